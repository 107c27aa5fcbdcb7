//! Kinds that go, change or are forbidden while the operator runs.

use std::sync::OnceLock;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
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

/// Takes the right to list and watch a resource away from all who have it by name, and answers what they had.
async fn forbid(api: &KubeApi, resource: &str) -> Vec<ClusterRole> {
    let roles: Api<ClusterRole> = Api::all(api.client().await);
    let mut had = Vec::new();
    for role in roles.list(&ListParams::default()).await.unwrap() {
        let mut less = role.clone();
        for rule in less.rules.iter_mut().flatten() {
            if rule.resources.iter().flatten().any(|one| one == resource) {
                rule.verbs.retain(|verb| verb != "list" && verb != "watch");
            }
        }
        if less != role {
            permit(api, &less).await;
            had.push(role);
        }
    }
    assert!(!had.is_empty(), "nobody may watch {resource}");
    had
}

/// A role has the rights that it says.
async fn permit(api: &KubeApi, role: &ClusterRole) {
    let roles: Api<ClusterRole> = Api::all(api.client().await);
    let patch = Patch::Merge(json!({"rules": role.rules}));
    let name = role.metadata.name.as_ref().unwrap();
    let params = PatchParams::default();
    roles.patch(name, &params, &patch).await.unwrap();
}

#[tokio::test]
async fn an_optional_kind_that_may_not_be_watched_any_more_is_named_and_disturbs_no_other_and_is_used_again_when_it_may()
 {
    // Alone on a server: a permission is there for the whole cluster.
    let api: &'static KubeApi = Box::leak(Box::new(KubeApi::start()));
    let world = World::of(api, "kind-forbidden").await;
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let kind = "AlertmanagerConfig";
    let installed = definition(kind, "v1alpha1", &open).to_string();
    tokio::task::spawn_blocking(move || {
        api.apply_text(&installed);
        api.wait(
            "Established",
            "crd/alertmanagerconfigs.monitoring.coreos.com",
        );
    })
    .await
    .unwrap();
    let secret = json!({"name": "room", "key": "url"});
    let tagged = |tag: &str| {
        json!({"tags": [tag], "alerts": {"route": {
            "receivers": [{"name": "room", "slack": {"channel": "#room", "urlSecretRef": secret}}], "critical": "room",
        }}})
    };
    world.apply("checkout", &tagged("before")).await;
    let configs = world.stacks.of(kind);
    world
        .stacks
        .wait_for(kind, "checkout-exporter", |_| true)
        .await;
    world
        .says("checkout", "MonitoringConfigured", "True", "")
        .await;

    let had = forbid(api, "alertmanagerconfigs").await;
    // What is being watched already is not taken away.
    world.proxy.cut();
    let message = world
        .says("checkout", "MonitoringConfigured", "False", kind)
        .await;
    assert!(message.contains("ClusterRole"), "{message}");
    let stack = world.stacks.of("ServerlessStack").get("checkout").await;
    let exporter = condition(&stack.unwrap(), "ExporterAvailable");
    assert_eq!(exporter["reason"], "ExporterNotReady", "{exporter}");
    // All others are seen and put right as ever.
    world.apply("checkout", &tagged("meanwhile")).await;
    let services = world.stacks.of("Service");
    services
        .delete("checkout-exporter", &DeleteParams::background())
        .await
        .unwrap();
    world.stacks.converges("checkout", &[]).await;

    for role in &had {
        permit(api, role).await;
    }
    world
        .says("checkout", "MonitoringConfigured", "True", "")
        .await;
    // It is seen that one is deleted.
    let old = configs.get("checkout-exporter").await.unwrap();
    configs
        .delete("checkout-exporter", &DeleteParams::background())
        .await
        .unwrap();
    world
        .stacks
        .wait_for(kind, "checkout-exporter", |new| {
            new.metadata.uid != old.metadata.uid
        })
        .await;
    world.is_well("checkout").await;
}
