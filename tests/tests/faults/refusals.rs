//! What the cluster's own rules refuse or change.

use kube::api::{DeleteParams, DynamicObject};
use serde_json::{Value, json};

use crate::World;

async fn kubectl_apply(world: &World, object: &Value) {
    let (api, text) = (world.api, object.to_string());
    tokio::task::spawn_blocking(move || api.apply_text(&text))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_and_over_when_there_is_more() {
    let world = World::new("refused-quota").await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": world.name},
        "spec": {"hard": {"count/configmaps": "2"}},
    });
    kubectl_apply(&world, &quota).await;
    // No quota controller runs here.
    let full = json!({"hard": {"count/configmaps": "2"}, "used": {"count/configmaps": "2"}});
    world
        .stacks
        .write_status("ResourceQuota", "small", full)
        .await;
    world.apply("more", &json!({})).await;
    world
        .says("more", "Ready", "False", "exceeded quota: small")
        .await;
    world
        .stacks
        .of("ResourceQuota")
        .delete("small", &DeleteParams::background())
        .await
        .unwrap();
    world.is_well("more").await;
    world.is_well("checkout").await;
}

/// A policy of admission for one namespace.
fn policy(kind: &str, name: &str, version: &str, spec: &Value) -> Value {
    let binding = json!({
        "apiVersion": format!("admissionregistration.k8s.io/{version}"),
        "kind": format!("{kind}Binding"),
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
        },
    });
    let mut binding = binding;
    if kind == "ValidatingAdmissionPolicy" {
        binding["spec"]["validationActions"] = json!(["Deny"]);
    }
    let policy = json!({
        "apiVersion": format!("admissionregistration.k8s.io/{version}"),
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
}

/// A stack that meets what refuses: that is in force a moment after it was made.
async fn one_that_is_refused(world: &World, quoted: &str) -> String {
    for round in 0.. {
        let stack = format!("refused-{round}");
        world.apply(&stack, &json!({})).await;
        let first_word = |stack: &DynamicObject| stack.data["status"]["observedGeneration"] == 1;
        let seen = world
            .stacks
            .wait_for("ServerlessStack", &stack, first_word)
            .await;
        if seen.data["status"].to_string().contains(quoted) {
            return stack;
        }
    }
    unreachable!("there is no last round")
}

/// The others are there.
async fn are_there(world: &World, stack: &str, kinds: &[&str]) {
    for kind in kinds {
        world
            .stacks
            .wait_for(kind, &format!("{stack}-exporter"), |_| true)
            .await;
    }
}

/// What refused, and has the name of the world, is gone.
async fn is_lifted(world: &World, kind: &str) {
    let (api, object) = (world.api, format!("{kind}/{}", world.name));
    tokio::task::spawn_blocking(move || api.delete(&object))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_policy_that_denies_a_kind_is_quoted_and_the_other_kinds_are_there() {
    let world = World::new("refused-policy").await;
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["statefulsets"],
        }]},
        "validations": [{"expression": "false", "message": "no StatefulSets on Fridays"}],
    });
    kubectl_apply(
        &world,
        &policy("ValidatingAdmissionPolicy", world.name, "v1", &spec),
    )
    .await;
    let stack = one_that_is_refused(&world, "Fridays").await;
    world
        .says(&stack, "Ready", "False", "no StatefulSets on Fridays")
        .await;
    are_there(&world, &stack, &["ServiceAccount", "ConfigMap", "Service"]).await;
    for kind in [
        "validatingadmissionpolicybinding",
        "validatingadmissionpolicy",
    ] {
        is_lifted(&world, kind).await;
    }
    world.is_well(&stack).await;
    world.is_well("checkout").await;
}

#[tokio::test]
async fn a_webhook_that_never_answers_for_one_kind_leaves_the_others_alone() {
    let world = World::new("refused-webhook").await;
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", deaf.local_addr().unwrap());
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": world.name},
        "webhooks": [{
            "name": "deaf.example.com", "clientConfig": {"url": url}, "timeoutSeconds": 2, "failurePolicy": "Fail",
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.name}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["services"]}],
        }],
    });
    kubectl_apply(&world, &webhook).await;
    let stack = one_that_is_refused(&world, "deaf.example.com").await;
    are_there(
        &world,
        &stack,
        &["ServiceAccount", "ConfigMap", "StatefulSet"],
    )
    .await;
    is_lifted(&world, "validatingwebhookconfiguration").await;
    drop(deaf);
    world.is_well(&stack).await;
    world.is_well("checkout").await;
}

#[tokio::test]
async fn a_namespace_that_is_going_gets_nothing_new_and_nobody_is_flooded() {
    let world = World::new("refused-going").await;
    let (api, name) = (world.api, world.name);
    // No namespace controller runs here: it goes for ever.
    tokio::task::spawn_blocking(move || {
        api.kubectl_with(&["delete", "namespace", name, "--wait=false"], "")
            .unwrap();
    })
    .await
    .unwrap();
    for kind in nightjar_tests::kube_api::oracles::KINDS {
        world
            .stacks
            .of(kind)
            .delete("checkout-exporter", &DeleteParams::background())
            .await
            .unwrap();
    }
    world
        .says("checkout", "Ready", "False", "being terminated")
        .await;
    let before = world.proxy.writes().len();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let writes = world.proxy.writes().split_off(before);
    assert!(writes.len() <= 40, "{}: {writes:#?}", writes.len());
}
