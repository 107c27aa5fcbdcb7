//! A stack and its objects.

use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::kube_api::{condition, eventually, version};
use crate::shared;

/// A stack's objects where there is no Prometheus operator.
const KINDS: [&str; 4] = ["ServiceAccount", "ConfigMap", "Service", "StatefulSet"];

#[tokio::test]
async fn a_stack_becomes_its_objects_which_it_owns() {
    let namespace = shared().api.namespace("objects").await;
    let stack = namespace.stack("checkout").await;
    for kind in KINDS {
        let object = namespace
            .wait_for(kind, "checkout-exporter", |_| true)
            .await;
        let owner = &object.owner_references()[0];
        assert_eq!(
            (&owner.uid, owner.controller, owner.block_owner_deletion),
            (&stack.uid().unwrap(), Some(true), Some(true)),
            "{kind}"
        );
    }
    let service = namespace
        .wait_for("Service", "checkout-exporter", |_| true)
        .await;
    assert_eq!(service.annotations()["prometheus.io/port"], "9988");
    let config = namespace
        .wait_for("ConfigMap", "checkout-exporter", |_| true)
        .await;
    let document = config.data["data"]["stack.yaml"].as_str().unwrap();
    assert!(document.contains("app: checkout"), "{document}");
}

#[tokio::test]
async fn what_the_operator_has_for_all_stacks_is_used_where_a_stack_says_nothing() {
    let namespace = shared().api.namespace("defaults").await;
    let silent = namespace.stack("silent").await;
    // Else the API server's default would be the stack's own word, for ever.
    let own = &silent.data["spec"]["collection"]["interval"];
    assert!(own.is_null(), "{own}");
    let spec = json!({
        "regions": ["eu-west-1"],
        "select": [{"names": ["a"]}],
        "collection": {"interval": "2m"},
    });
    let stack = json!({"metadata": {"name": "outspoken"}, "spec": spec});
    namespace.apply("ServerlessStack", &stack).await;
    for (name, interval) in [("silent", "interval: 10m"), ("outspoken", "interval: 2m")] {
        let name = format!("{name}-exporter");
        let config = namespace.wait_for("ConfigMap", &name, |_| true).await;
        let document = config.data["data"]["stack.yaml"].as_str().unwrap();
        assert!(document.contains(interval), "{document}");
    }
}

#[tokio::test]
async fn every_condition_is_there_from_the_beginning_and_the_events_say_what_happens() {
    let namespace = shared().api.namespace("conditions").await;
    namespace.stack("checkout").await;
    let stack = namespace
        .wait_for("ServerlessStack", "checkout", |stack| {
            !condition(stack, "Ready").is_null()
        })
        .await;
    for (type_, status) in [
        ("Ready", "False"),
        ("SpecValid", "True"),
        ("ExporterAvailable", "False"),
        ("AWSReachable", "Unknown"),
        ("MonitoringConfigured", "True"),
    ] {
        let condition = condition(&stack, type_);
        assert_eq!(condition["status"], status, "{type_}: {condition}");
        assert_eq!(condition["observedGeneration"], 1, "{type_}");
        assert_ne!(condition["message"], "", "{type_}");
    }
    assert_eq!(stack.data["status"]["observedGeneration"], 1);
    let events = namespace.of("Event");
    eventually(
        "the Events",
        async || events.list(&ListParams::default()).await.unwrap().items,
        |events| {
            events
                .iter()
                .any(|event| event.data["regarding"]["name"] == "checkout")
        },
    )
    .await;
}

#[tokio::test]
async fn with_nothing_to_do_nothing_is_written_however_often_it_is_looked_at() {
    let namespace = shared().api.namespace("quiet").await;
    namespace.stack("checkout").await;
    for kind in KINDS {
        namespace
            .wait_for(kind, "checkout-exporter", |_| true)
            .await;
    }
    namespace
        .wait_for("ServerlessStack", "checkout", |stack| {
            !condition(stack, "Ready").is_null()
        })
        .await;
    let looks = || {
        shared()
            .operator
            .lines_with(&["reconciled", "checkout.quiet"])
    };
    // As the API server counts them: an apply that changes nothing is a request too.
    let writes = || -> Vec<String> {
        let mut all = shared().api.writes();
        all.retain(|write| {
            write.starts_with(&format!("{} ", shared().operator.name)) && write.contains(" quiet/")
        });
        all
    };
    // The first looks are over when one of them wrote nothing.
    let looked_once_more = async || {
        let (looked, written) = (looks(), writes());
        eventually("the number of looks", async || looks(), |now| *now > looked).await;
        writes() == written
    };
    eventually("quiet", looked_once_more, |quiet| *quiet).await;
    let before = writes();
    assert!(before.len() >= 5, "{before:?}");
    for round in 0..5 {
        let looked = looks();
        // A field that the operator does not set wakes it and gives it nothing to do.
        let poke = json!({"metadata": {"annotations": {"example.com/poke": round.to_string()}}});
        namespace
            .of("ServiceAccount")
            .patch(
                "checkout-exporter",
                &PatchParams::default(),
                &Patch::Merge(&poke),
            )
            .await
            .unwrap();
        eventually("the number of looks", async || looks(), |now| *now > looked).await;
    }
    assert_eq!(writes(), before);
}

#[tokio::test]
async fn a_deleted_object_comes_back() {
    let namespace = shared().api.namespace("deleted").await;
    namespace.stack("checkout").await;
    for kind in KINDS {
        let old = namespace
            .wait_for(kind, "checkout-exporter", |_| true)
            .await;
        namespace
            .of(kind)
            .delete("checkout-exporter", &DeleteParams::background())
            .await
            .unwrap();
        namespace
            .wait_for(kind, "checkout-exporter", |new| new.uid() != old.uid())
            .await;
    }
}

#[tokio::test]
async fn what_somebody_changes_on_an_object_is_put_back_and_what_somebody_adds_stays() {
    let namespace = shared().api.namespace("edited").await;
    namespace.stack("checkout").await;
    namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    let edit = json!({
        "metadata": {
            "labels": {"app.kubernetes.io/part-of": "something-else", "app.kubernetes.io/managed-by": null},
            "annotations": {"example.com/note": "mine"},
        },
        "spec": {"replicas": 7},
    });
    let edited = namespace
        .of("StatefulSet")
        .patch(
            "checkout-exporter",
            &PatchParams::default(),
            &Patch::Merge(&edit),
        )
        .await
        .unwrap();
    assert_eq!(edited.data["spec"]["replicas"], 7);
    let back = namespace
        .wait_for("StatefulSet", "checkout-exporter", |set| {
            set.data["spec"]["replicas"] == 1
        })
        .await;
    assert_eq!(back.uid(), edited.uid());
    assert_eq!(back.labels()["app.kubernetes.io/part-of"], "nightjar");
    assert_eq!(back.labels()["app.kubernetes.io/managed-by"], "nightjar");
    assert_eq!(back.annotations()["example.com/note"], "mine");
}

#[tokio::test]
async fn who_keeps_changing_an_object_is_named_in_an_event_and_gets_slower_answers() {
    let namespace = shared().api.namespace("contest").await;
    namespace.stack("checkout").await;
    namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    let sets = namespace.of("StatefulSet");
    let tool = PatchParams {
        field_manager: Some("another-tool".to_owned()),
        ..PatchParams::default()
    };
    let put_back = || {
        let mut all = shared().api.writes();
        all.retain(|write| {
            *write
                == format!(
                    "{} patch statefulsets contest/checkout-exporter",
                    shared().operator.name
                )
        });
        all.len()
    };
    let before = put_back();
    let events = namespace.of("Event");
    let told = async || {
        let edit = json!({"spec": {"replicas": 7}});
        sets.patch("checkout-exporter", &tool, &Patch::Merge(&edit))
            .await
            .unwrap();
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let contested = |event: &&kube::core::DynamicObject| event.data["reason"] == "Contested";
        events.iter().find(contested).cloned()
    };
    let event = eventually("the Event", told, Option::is_some)
        .await
        .unwrap();
    let note = event.data["note"].as_str().unwrap();
    assert!(
        note.contains("StatefulSet checkout-exporter") && note.contains("another-tool"),
        "{note}"
    );
    assert_eq!(event.data["type"], "Warning");
    // Once told, the next answers come at a pace that the API server does not feel: two in ten seconds at most,
    // however many edits there are.
    let answered = put_back();
    for _ in 0..40 {
        told().await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(put_back() - answered <= 3, "{} after {before}", put_back());
    namespace
        .wait_for("StatefulSet", "checkout-exporter", |set| {
            set.data["spec"]["replicas"] == 1
        })
        .await;
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_touched_and_the_stack_says_so_until_it_is_gone() {
    let namespace = shared().api.namespace("stranger").await;
    let theirs = json!({"metadata": {"name": "checkout-exporter"}, "data": {"theirs": "yes"}});
    let before = namespace.apply("ConfigMap", &theirs).await;
    namespace.stack("checkout").await;
    let condition = namespace
        .wait_for_condition("checkout", "Ready", "False", "NameConflict")
        .await;
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("ConfigMap stranger/checkout-exporter"),
        "{message}"
    );
    let after = namespace
        .of("ConfigMap")
        .get("checkout-exporter")
        .await
        .unwrap();
    assert_eq!(version(&after), version(&before));

    namespace
        .of("ConfigMap")
        .delete("checkout-exporter", &DeleteParams::background())
        .await
        .unwrap();
    namespace
        .wait_for("ConfigMap", "checkout-exporter", |map| {
            !map.owner_references().is_empty()
        })
        .await;
    namespace
        .wait_for_condition("checkout", "Ready", "False", "ExporterNotReady")
        .await;
}

#[tokio::test]
async fn an_edit_of_the_stack_reaches_the_configuration_without_replacing_pods() {
    let namespace = shared().api.namespace("edit").await;
    namespace.stack("checkout").await;
    let config = namespace
        .wait_for("ConfigMap", "checkout-exporter", |_| true)
        .await;
    let set = namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    let spec = json!({
        "regions": ["eu-west-1", "us-east-1"],
        "select": [{"names": ["checkout-*"]}],
        "collection": {"interval": "10m"},
    });
    namespace
        .apply(
            "ServerlessStack",
            &json!({"metadata": {"name": "checkout"}, "spec": spec}),
        )
        .await;
    let changed = namespace
        .wait_for("ConfigMap", "checkout-exporter", |map| {
            map.data["data"] != config.data["data"]
        })
        .await;
    let document = changed.data["data"]["stack.yaml"].as_str().unwrap();
    assert!(
        document.contains("us-east-1") && document.contains("generation: 2"),
        "{document}"
    );
    namespace
        .wait_for("ServerlessStack", "checkout", |stack| {
            stack.data["status"]["observedGeneration"] == 2
        })
        .await;
    let after = namespace
        .of("StatefulSet")
        .get("checkout-exporter")
        .await
        .unwrap();
    assert_eq!(after.metadata.generation, set.metadata.generation);
}

#[tokio::test]
async fn the_operators_service_account_goes_when_the_stack_names_another() {
    let namespace = shared().api.namespace("identity").await;
    namespace.stack("checkout").await;
    namespace
        .wait_for("ServiceAccount", "checkout-exporter", |_| true)
        .await;
    let spec = json!({
        "regions": ["eu-west-1"],
        "select": [{"names": ["checkout-*"]}],
        "credentials": {"serviceAccountName": "reader"},
    });
    namespace
        .apply(
            "ServerlessStack",
            &json!({"metadata": {"name": "checkout"}, "spec": spec}),
        )
        .await;
    let accounts = namespace.of("ServiceAccount");
    eventually(
        "the ServiceAccount",
        async || accounts.get_opt("checkout-exporter").await.unwrap(),
        Option::is_none,
    )
    .await;
    let set = namespace
        .of("StatefulSet")
        .get("checkout-exporter")
        .await
        .unwrap();
    assert_eq!(
        set.data["spec"]["template"]["spec"]["serviceAccountName"],
        "reader"
    );
}
