//! Kinds that go, change or are forbidden while the operator runs.

use std::sync::OnceLock;

use kube::api::DeleteParams;
use nightjar_tests::kube_api::{KubeApi, condition};
use serde_json::{Value, json};

use crate::{World, release};

/// A server for these tests: a kind is there for the whole cluster.
fn api() -> &'static KubeApi {
    static API: OnceLock<KubeApi> = OnceLock::new();
    API.get_or_init(KubeApi::start)
}

#[tokio::test]
async fn stacks_live_again_when_their_kind_was_deleted_and_comes_back() {
    // Alone on a server: the kind is everybody's.
    let api: &'static KubeApi = Box::leak(Box::new(KubeApi::start()));
    let world = World::of(api, "kind-gone").await;
    let deleted = "crd/serverlessstacks.nightjar.dev";
    tokio::task::spawn_blocking(move || api.delete(deleted))
        .await
        .unwrap();
    tokio::task::spawn_blocking(move || api.install_release(&release("kind-gone"), &[]))
        .await
        .unwrap();
    // Nobody collects garbage here.
    for kind in nightjar_tests::kube_api::oracles::KINDS {
        world
            .stacks
            .of(kind)
            .delete("checkout-exporter", &DeleteParams::background())
            .await
            .unwrap();
    }
    let rules = world.stacks.of("ConfigMap");
    rules
        .delete("checkout-exporter-rules", &DeleteParams::background())
        .await
        .unwrap();
    world.apply("checkout", &json!({})).await;
    world.is_well("checkout").await;
}

/// A kind of the Prometheus operator, in one version, with a schema.
fn definition(kind: &str, version: &str, spec: &Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"spec": spec},
            }}}],
        },
    })
}

#[tokio::test]
async fn a_kind_of_another_version_is_as_good_as_absent_and_one_that_wants_more_than_we_know_disturbs_nothing_else()
 {
    let world = World::of(api(), "kind-other").await;
    let apply = |definition: Value| {
        tokio::task::spawn_blocking(move || {
            api().apply_text(&definition.to_string());
            let name = definition["metadata"]["name"].as_str().unwrap();
            api().wait("Established", &format!("crd/{name}"));
        })
    };
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    apply(definition("PrometheusRule", "v1beta1", &open))
        .await
        .unwrap();
    world.is_meddled_with().await;
    world.is_well("checkout").await;

    let mut demanding = open.clone();
    demanding["required"] = json!(["somethingNew"]);
    apply(definition("ServiceMonitor", "v1", &demanding))
        .await
        .unwrap();
    world
        .says("checkout", "MonitoringConfigured", "False", "somethingNew")
        .await;
    let stack = world
        .stacks
        .of("ServerlessStack")
        .get("checkout")
        .await
        .unwrap();
    assert_eq!(condition(&stack, "SpecValid")["status"], "True");
    let exporter = condition(&stack, "ExporterAvailable");
    assert_eq!(exporter["reason"], "ExporterNotReady", "{exporter}");
    // An edit of the stack reaches the exporters all the same.
    world
        .apply("checkout", &json!({"tags": ["all-the-same"]}))
        .await;
    world
        .stacks
        .wait_for("ConfigMap", "checkout-exporter", |map| {
            map.data["data"].to_string().contains("all-the-same")
        })
        .await;
    tokio::task::spawn_blocking(|| api().delete("crd/servicemonitors.monitoring.coreos.com"))
        .await
        .unwrap();
    world.is_well("checkout").await;
    tokio::task::spawn_blocking(|| api().delete("crd/prometheusrules.monitoring.coreos.com"))
        .await
        .unwrap();
}
