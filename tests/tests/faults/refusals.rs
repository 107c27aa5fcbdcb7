//! What the cluster's own rules refuse or change.

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::World;

async fn kubectl_apply(world: &World, object: &Value) {
    let (api, text) = (world.api, object.to_string());
    tokio::task::spawn_blocking(move || api.apply_text(&text))
        .await
        .unwrap();
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
    // A policy is in force a moment after it was made.
    let mut round = 0;
    loop {
        round += 1;
        let stack = format!("friday-{round}");
        world.apply(&stack, &json!({})).await;
        let seen = world
            .stacks
            .wait_for("ServerlessStack", &stack, |stack| {
                stack.data["status"]["observedGeneration"] == 1
            })
            .await;
        if seen.data["status"].to_string().contains("Fridays") {
            break;
        }
    }
    let stack = format!("friday-{round}");
    world
        .says(&stack, "Ready", "False", "no StatefulSets on Fridays")
        .await;
    for kind in ["ServiceAccount", "ConfigMap", "Service"] {
        world
            .stacks
            .wait_for(kind, &format!("{stack}-exporter"), |_| true)
            .await;
    }
    let api = world.api;
    let name = world.name;
    tokio::task::spawn_blocking(move || {
        api.delete(&format!("validatingadmissionpolicybinding/{name}"));
        api.delete(&format!("validatingadmissionpolicy/{name}"));
    })
    .await
    .unwrap();
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
    let mut round = 0;
    loop {
        round += 1;
        let stack = format!("late-{round}");
        world.apply(&stack, &json!({})).await;
        let seen = world
            .stacks
            .wait_for("ServerlessStack", &stack, |stack| {
                stack.data["status"]["observedGeneration"] == 1
            })
            .await;
        if seen.data["status"].to_string().contains("deaf.example.com") {
            break;
        }
    }
    let stack = format!("late-{round}");
    for kind in ["ServiceAccount", "ConfigMap", "StatefulSet"] {
        world
            .stacks
            .wait_for(kind, &format!("{stack}-exporter"), |_| true)
            .await;
    }
    let (api, name) = (world.api, world.name);
    tokio::task::spawn_blocking(move || {
        api.delete(&format!("validatingwebhookconfiguration/{name}"));
    })
    .await
    .unwrap();
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
