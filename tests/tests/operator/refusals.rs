//! Bad stacks are refused where they are written, with the field named and a way out; and the
//! exporter, which reads files that no API server saw, refuses the same ones.

use std::collections::BTreeMap;

use kube::api::{Patch, PatchParams};
use nightjar::api::ServerlessStack;
use nightjar::api::validate::validate;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::shared;

/// One bad stack, as `bad-stacks.yaml` has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    /// What is wrong with it.
    what: String,
    /// The field that the refusal must name.
    field: String,
    /// A word of the way out.
    says: String,
    /// The stack's name, if that is what is wrong.
    name: Option<String>,
    /// Fields of the specification over those of a good one; null removes.
    #[serde(default)]
    spec: BTreeMap<String, Value>,
}

fn table() -> Vec<Bad> {
    serde_saphyr::from_str(include_str!("bad-stacks.yaml")).unwrap()
}

fn document(bad: &Bad) -> Value {
    let mut spec = json!({"regions": ["eu-west-1"], "select": [{"tags": {"app": "checkout"}}]});
    for (field, value) in &bad.spec {
        match value {
            Value::Null => drop(spec.as_object_mut().unwrap().remove(field)),
            value => spec[field] = value.clone(),
        }
    }
    json!({
        "apiVersion": "nightjar.dev/v1alpha1",
        "kind": "ServerlessStack",
        "metadata": {"name": bad.name.as_deref().unwrap_or("bad"), "namespace": "refusals"},
        "spec": spec,
    })
}

#[tokio::test]
async fn the_api_server_refuses_each_bad_stack_with_its_field_and_a_way_out() {
    shared().api.namespace("refusals").await;
    let mut wrong = Vec::new();
    for bad in table() {
        match shared().api.try_apply(&document(&bad).to_string()) {
            Ok(()) => wrong.push(format!("{}: was taken", bad.what)),
            Err(refusal) if refusal.contains(&bad.field) && refusal.contains(&bad.says) => {}
            Err(refusal) => wrong.push(format!(
                "{}: no {:?} and {:?} in: {refusal}",
                bad.what, bad.field, bad.says
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of a struct that it empties server-side apply makes null, which would be taken for absent, unless the struct is
/// atomic or inside of such a one.
#[tokio::test]
async fn what_a_change_empties_is_refused_as_in_a_new_stack_and_not_taken_for_removed() {
    let namespace = shared().api.namespace("emptied").await;
    let secret = json!({"name": "secret", "key": "key"});
    let whole = json!({
        "regions": ["eu-west-1"],
        "select": [{"tags": {"app": "checkout"}}],
        "credentials": {"secretRef": {"name": "aws"}},
        "exporter": {"storage": {"size": "1Gi"}},
        "alerts": {"route": {
            "receivers": [{
                "name": "hook",
                "webhook": {"urlSecretRef": secret},
                "pagerDuty": {"routingKeySecretRef": secret},
            }],
            "critical": "hook",
            "groupWait": "1m",
            "groupInterval": "10m",
            "repeatInterval": "2h",
        }},
    });
    let stacks = namespace.of("ServerlessStack");
    let apply = async |spec: &Value| {
        let stack = json!({
            "apiVersion": "nightjar.dev/v1alpha1", "kind": "ServerlessStack",
            "metadata": {"name": "checkout"}, "spec": spec,
        });
        let (user, stack) = (PatchParams::apply("a-user"), Patch::Apply(stack));
        stacks.patch("checkout", &user, &stack).await
    };
    apply(&whole).await.unwrap();
    for (field, required) in [
        ("alerts.route", "receivers"),
        ("alerts.route.receivers[0].pagerDuty", "routingKeySecretRef"),
        ("credentials.secretRef", "name"),
        ("exporter.storage", "size"),
    ] {
        let mut emptied = whole.clone();
        let pointer = format!("/{}", field.replace('.', "/").replace("[0]", "/0"));
        *emptied.pointer_mut(&pointer).unwrap() = json!({});
        match apply(&emptied).await {
            Ok(taken) => panic!("{field} is taken: {:#}", taken.data["spec"]),
            Err(refusal) => {
                let (refusal, named) = (refusal.to_string(), format!("spec.{field}.{required}"));
                assert!(refusal.contains(&named), "{refusal}");
            }
        }
    }
}

#[tokio::test]
async fn what_an_objective_is_about_can_be_changed_by_another_than_wrote_it() {
    let namespace = shared().api.namespace("another").await;
    let stacks = namespace.of("ServerlessStack");
    let apply = async |manager: &str, of: Value| {
        let stack = json!({
            "apiVersion": "nightjar.dev/v1alpha1", "kind": "ServerlessStack",
            "metadata": {"name": "checkout"},
            "spec": {
                "regions": ["eu-west-1"],
                "select": [{"tags": {"app": "checkout"}}],
                "objectives": [{"name": "orders", "target": "99.9", "of": of}],
            },
        });
        let manager = PatchParams::apply(manager).force();
        stacks
            .patch("checkout", &manager, &Patch::Apply(stack))
            .await
    };
    apply("a-user", json!({"function": "orders"}))
        .await
        .unwrap();
    let of = json!({"table": "orders"});
    let taken = apply("a-repository", of.clone()).await.unwrap();
    assert_eq!(taken.data["spec"]["objectives"][0]["of"], of);
}

#[test]
fn a_file_that_no_api_server_saw_is_refused_for_the_same_fields() {
    let mut wrong = Vec::new();
    for bad in table() {
        // A duration that is none does not even decode: serde names the place.
        let Ok(stack) = serde_json::from_value::<ServerlessStack>(document(&bad)) else {
            continue;
        };
        let invalid = validate(&stack);
        let names_it = |field: &str| field.starts_with(&bad.field) || bad.field.starts_with(field);
        if !invalid.iter().any(|invalid| names_it(&invalid.field)) {
            wrong.push(format!("{}: {invalid:?}", bad.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
