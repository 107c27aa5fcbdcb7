//! Names and labels as long as they may be, and longer.

use kube::ResourceExt;
use serde_json::{Value, json};

use crate::kube_api::KubeApi;
use crate::optional_kinds::{PROMETHEUS_RULES, SERVICE_MONITORS};

fn stack(namespace: &str, name: &str, fields: &Value) -> Value {
    let mut spec = json!({"regions": ["eu-west-1"], "select": [{"names": ["checkout-*"]}]});
    let fields = fields.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    json!({
        "apiVersion": "nightjar.dev/v1alpha1", "kind": "ServerlessStack",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// A key of a label or an annotation, with a prefix of so many letters and a name of so many.
fn key(prefix: usize, name: usize) -> String {
    let labels = "a.".repeat(prefix / 2);
    let prefix = format!("{labels}{}", "b".repeat(prefix - labels.len()));
    format!("{prefix}/{}", "k".repeat(name))
}

#[tokio::test]
async fn the_longest_names_and_labels_work_and_names_that_only_end_differently_are_not_mixed_up() {
    // Of its own: a kind is there for the whole cluster.
    let api = KubeApi::start();
    api.install_chart();
    api.apply_text(SERVICE_MONITORS);
    api.apply_text(PROMETHEUS_RULES);
    let _operator = api.operator(&[]);
    let namespace = api.namespace(&"n".repeat(63)).await;
    let (label, value) = (key(253, 63), "v".repeat(63));
    let fields = json!({
        "monitoring": {"labels": {&label: value}},
        "credentials": {"annotations": {&label: "a".repeat(2000)}},
    });
    let names = ["x", "y"].map(|end| format!("{}{end}", "s".repeat(42)));
    for name in &names {
        namespace
            .apply("ServerlessStack", &stack(&namespace.name, name, &fields))
            .await;
    }
    for name in &names {
        let uid = namespace
            .wait_for("ServerlessStack", name, |stack| {
                stack.data["status"]["observedGeneration"] == 1
            })
            .await
            .uid();
        for kind in ["ServiceAccount", "ConfigMap", "Service", "StatefulSet"] {
            let object = namespace
                .wait_for(kind, &format!("{name}-exporter"), |_| true)
                .await;
            assert_eq!(Some(&object.owner_references()[0].uid), uid.as_ref());
            if kind == "ConfigMap" {
                let file = object.data["data"]["stack.yaml"].as_str().unwrap();
                assert!(
                    file.contains(&*namespace.name) && file.contains(&**name),
                    "{file}"
                );
            }
        }
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            let object = namespace
                .wait_for(kind, &format!("{name}-exporter"), |_| true)
                .await;
            assert_eq!(object.labels()[&label], value);
        }
        namespace
            .wait_for_condition(name, "MonitoringConfigured", "True", "AsExpected")
            .await;
        namespace
            .wait_for_condition(name, "SpecValid", "True", "AsExpected")
            .await;
    }
}

#[tokio::test]
async fn longer_names_and_labels_are_refused_with_the_reason() {
    let api = &crate::shared().api;
    let namespace = api.namespace("too-long").await;
    let plain = json!({});
    let labelled = |label: &str, value: &str| json!({"monitoring": {"labels": {label: value}}});
    for (name, fields, reason) in [
        ("s".repeat(44), plain.clone(), "metadata.name"),
        ("s".repeat(253), plain.clone(), "at most 43 characters"),
        ("s".repeat(254), plain, "metadata.name"),
        (
            "value".to_owned(),
            labelled("team", &"v".repeat(64)),
            "spec.monitoring.labels",
        ),
        (
            "prefix".to_owned(),
            labelled(&key(254, 1), "v"),
            "spec.monitoring.labels",
        ),
        (
            "key".to_owned(),
            labelled(&key(10, 64), "v"),
            "spec.monitoring.labels",
        ),
    ] {
        let refusal = api
            .try_apply(&stack(&namespace.name, &name, &fields).to_string())
            .unwrap_err();
        assert!(refusal.contains(reason), "{refusal}");
    }
}
