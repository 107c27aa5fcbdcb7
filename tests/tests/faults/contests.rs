//! Others who keep changing what is the operator's.

use std::time::Duration;

use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use nightjar_tests::kube_api::eventually;
use nightjar_tests::kube_api::fault_proxy::rule::{Effect, Rule};
use serde_json::{Value, json};

use crate::World;

#[tokio::test]
async fn who_makes_an_object_of_that_name_at_the_last_moment_keeps_it() {
    let world = World::new("contest-first").await;
    // The operator has asked, and nothing was there; its write is on the way.
    world.proxy.set([Rule {
        verbs: &["patch"],
        resources: &["configmaps"],
        name: "second-exporter".to_owned(),
        times: 1,
        ..Rule::all(Effect::Delay(Duration::from_secs(3)))
    }]);
    world.apply("second", &json!({})).await;
    world.proxy.until_struck(1).await;
    let theirs = json!({"metadata": {"name": "second-exporter"}, "data": {"stack.yaml": "theirs"}});
    let made = world.stacks.apply("ConfigMap", &theirs).await;
    let said = world
        .says("second", "Ready", "False", "contest-first/second-exporter")
        .await;
    assert!(said.contains("ConfigMap"), "{said}");
    let after = world.stacks.of("ConfigMap").get("second-exporter").await;
    assert_eq!(
        after.unwrap().metadata.resource_version,
        made.metadata.resource_version
    );
}

/// Somebody does the same to an object ten times a second for ten seconds.
async fn storm(name: &'static str, kind: &str, resource: &str, edit: Option<Value>) {
    let world = World::new(name).await;
    let api = world.stacks.of(kind);
    let tool = PatchParams {
        field_manager: Some("another-tool".to_owned()),
        ..PatchParams::default()
    };
    let before = world.proxy.writes().len();
    for _ in 0..100 {
        // It may not be back yet.
        match &edit {
            Some(edit) => drop(
                api.patch("checkout-exporter", &tool, &Patch::Merge(edit))
                    .await,
            ),
            None => drop(
                api.delete("checkout-exporter", &DeleteParams::background())
                    .await,
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let of_it = format!("patch {resource} {name}/checkout-exporter");
    let writes = world.proxy.writes().split_off(before);
    let answers = writes.iter().filter(|write| **write == of_it).count();
    assert!((1..=8).contains(&answers), "{answers} answers: {writes:#?}");
    let events = world.stacks.of("Event");
    let told = async || events.list(&ListParams::default()).await.unwrap().items;
    let of_that = format!("{kind} checkout-exporter");
    eventually("the Event", told, |events| {
        events.iter().any(|event| {
            event.data["reason"] == "Contested"
                && event.data["note"].as_str().is_some_and(|note| {
                    note.contains(&of_that) && (edit.is_none() || note.contains("another-tool"))
                })
        })
    })
    .await;
    world.is_well("checkout").await;
}

#[tokio::test]
async fn a_configuration_that_somebody_keeps_changing_is_put_back_at_a_calm_pace() {
    let edit = json!({"data": {"stack.yaml": "theirs"}});
    storm("contest-config", "ConfigMap", "configmaps", Some(edit)).await;
}

#[tokio::test]
async fn labels_that_somebody_keeps_changing_are_put_back_at_a_calm_pace() {
    let edit = json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "theirs"}}});
    storm("contest-labels", "Service", "services", Some(edit)).await;
}

#[tokio::test]
async fn an_object_that_somebody_keeps_deleting_comes_back_at_a_calm_pace() {
    storm("contest-deleted", "Service", "services", None).await;
}
