//! What cannot be carried out, or fails for one object: said with the remedy, and a hindrance for nothing else.

use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::kube_api::{condition, eventually};
use crate::shared;

fn stack(exporter: &Value) -> Value {
    json!({"metadata": {"name": "checkout"}, "spec": {
        "regions": ["eu-west-1"],
        "select": [{"tags": {"app": "checkout"}}],
        "exporter": exporter,
    }})
}

#[tokio::test]
async fn a_changed_volume_is_refused_with_a_remedy_that_works_and_holds_up_nothing_else() {
    let namespace = shared().api.namespace("volumes").await;
    let claimed = |set: &kube::core::DynamicObject| {
        let claim = &set.data["spec"]["volumeClaimTemplates"][0];
        claim["spec"]["resources"]["requests"]["storage"].clone()
    };
    let first = json!({"storage": {"size": "1Gi"}});
    namespace.apply("ServerlessStack", &stack(&first)).await;
    let old = namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    assert_eq!(claimed(&old), "1Gi");

    let second = json!({"storage": {"size": "10Gi"}, "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]});
    namespace.apply("ServerlessStack", &stack(&second)).await;
    let condition_ = namespace
        .wait_for_condition("checkout", "Ready", "False", "StorageUnchangeable")
        .await;
    let message = condition_["message"].as_str().unwrap();
    let remedy = "kubectl -n volumes delete statefulset checkout-exporter --cascade=orphan";
    assert!(message.contains(remedy), "{message}");
    let changed = namespace
        .wait_for("StatefulSet", "checkout-exporter", |set| {
            set.data.to_string().contains("proxy:3128")
        })
        .await;
    assert_eq!(claimed(&changed), "1Gi");
    let live = namespace
        .wait_for("ServerlessStack", "checkout", |stack| {
            condition(stack, "SpecValid")["status"] == "True"
        })
        .await;
    assert_eq!(condition(&live, "MonitoringConfigured")["status"], "True");

    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let sets = namespace.of("StatefulSet");
    sets.delete("checkout-exporter", &orphan).await.unwrap();
    // No garbage collector runs here, whose finalizer it is.
    let released = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    // Gone already: that is right as well.
    let _ = sets
        .patch("checkout-exporter", &PatchParams::default(), &released)
        .await;
    let new = namespace
        .wait_for("StatefulSet", "checkout-exporter", |set| {
            set.uid() != old.uid()
        })
        .await;
    assert_eq!(claimed(&new), "10Gi");
    namespace
        .wait_for_condition("checkout", "Ready", "False", "ExporterNotReady")
        .await;
}

#[tokio::test]
async fn an_object_that_fails_keeps_nothing_superfluous_alive() {
    let namespace = shared().api.namespace("partly").await;
    let theirs =
        json!({"metadata": {"name": "checkout-exporter-rules"}, "data": {"theirs": "yes"}});
    namespace.apply("ConfigMap", &theirs).await;
    namespace.apply("ServerlessStack", &stack(&json!({}))).await;
    namespace
        .wait_for("ServiceAccount", "checkout-exporter", |_| true)
        .await;
    // Exporters need no rules.
    let condition_ = namespace
        .wait_for_condition("checkout", "MonitoringConfigured", "False", "NameConflict")
        .await;
    let message = condition_["message"].as_str().unwrap();
    assert!(
        message.contains("partly/checkout-exporter-rules"),
        "{message}"
    );
    namespace
        .wait_for_condition("checkout", "ExporterAvailable", "False", "ExporterNotReady")
        .await;

    let mut named = stack(&json!({}));
    named["spec"]["credentials"] = json!({"serviceAccountName": "reader"});
    namespace.apply("ServerlessStack", &named).await;
    let accounts = namespace.of("ServiceAccount");
    eventually(
        "the end of the operator's ServiceAccount",
        async || accounts.get_opt("checkout-exporter").await.unwrap(),
        Option::is_none,
    )
    .await;
}

#[tokio::test]
async fn a_route_that_no_kind_carries_out_is_told_with_both_ways_out() {
    let namespace = shared().api.namespace("unrouted").await;
    let mut routed = stack(&json!({}));
    routed["spec"]["alerts"] = json!({"route": {
        "receivers": [{"name": "hook", "webhook": {"urlSecretRef": {"name": "hook", "key": "url"}}}],
        "critical": "hook",
    }});
    namespace.apply("ServerlessStack", &routed).await;
    let condition_ = namespace
        .wait_for_condition(
            "checkout",
            "MonitoringConfigured",
            "False",
            "AlertmanagerConfigAbsent",
        )
        .await;
    let message = condition_["message"].as_str().unwrap();
    assert!(message.contains("nightjar render --route"), "{message}");
}

#[tokio::test]
async fn who_keeps_deleting_an_object_is_told_of_and_gets_slower_answers() {
    let namespace = shared().api.namespace("deletions").await;
    namespace.stack("checkout").await;
    namespace
        .wait_for("Service", "checkout-exporter", |_| true)
        .await;
    let (services, events) = (namespace.of("Service"), namespace.of("Event"));
    let made = || {
        let write = format!(
            "{} patch services deletions/checkout-exporter",
            shared().operator.name
        );
        let writes = shared().api.writes();
        writes.iter().filter(|one| **one == write).count()
    };
    let told = async || {
        // It may be gone at the moment.
        let _ = services
            .delete("checkout-exporter", &DeleteParams::background())
            .await;
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let contested = |event: &&kube::core::DynamicObject| event.data["reason"] == "Contested";
        events.iter().find(contested).cloned()
    };
    let event = eventually("the Event", told, Option::is_some)
        .await
        .unwrap();
    let note = event.data["note"].as_str().unwrap();
    assert!(
        note.contains("Service checkout-exporter was deleted"),
        "{note}"
    );
    // From then on it is made once in ten seconds, however often it is deleted; the first may be under way.
    let (before, begun) = (made(), std::time::Instant::now());
    for _ in 0..40 {
        told().await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let made = made() - before;
    let most = 2 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    assert!(made <= most, "{made} instead of {most}");
    namespace
        .wait_for("Service", "checkout-exporter", |_| true)
        .await;
}

#[tokio::test]
async fn a_wide_listing_shows_the_exporters_the_shards_and_the_interval_in_effect() {
    let namespace = shared().api.namespace("columns").await;
    namespace.stack("checkout").await;
    let status = json!({"spend": {"interval": "10m"}, "exporter": {"ready": 3, "shards": 4}});
    namespace
        .wait_for("ServerlessStack", "checkout", |stack| {
            !condition(stack, "Ready").is_null()
        })
        .await;
    // The operator corrects it some time; the columns show whatever stands there.
    let listing = async || {
        namespace
            .write_status("ServerlessStack", "checkout", status.clone())
            .await;
        let wide = ["get", "serverlessstacks", "-n", "columns", "-o", "wide"];
        shared().api.kubectl_with(&wide, "").unwrap()
    };
    let shown = |text: &String| {
        let mut lines = text.lines();
        let (Some(head), Some(row)) = (lines.next(), lines.next()) else {
            return false;
        };
        let column = |name: &str| {
            let at = head.find(name)?;
            row.get(at..)?.split_whitespace().next()
        };
        [("EXPORTERS", "3"), ("SHARDS", "4"), ("INTERVAL", "10m")]
            .iter()
            .all(|(name, value)| column(name) == Some(*value))
    };
    eventually("the listing", listing, shown).await;
}
