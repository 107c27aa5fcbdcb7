//! What GitOps rests on: `nightjar render`, `nightjar crd`, and health checks in docs/gitops.md.

use std::process::Command;

use serde_json::{Value, json};

use crate::examples::{apply_all, examples, stacks};
use crate::kube_api::oracles::render;
use crate::kube_api::{output, yaml_documents};
use crate::{OPERATOR_ARGUMENTS, shared};

#[tokio::test]
async fn render_prints_what_the_operator_applies() {
    apply_all();
    let api = &shared().api;
    let mut objects = 0;
    for (path, documents) in examples() {
        for (namespace, name) in stacks(&documents) {
            let place = api.namespace(&namespace).await;
            place.converges(&name, &OPERATOR_ARGUMENTS).await;
            let live = place.of("ServerlessStack").get(&name).await.unwrap();
            let rendered = render(&json!(live).to_string(), &OPERATOR_ARGUMENTS).unwrap();
            objects += rendered.len();

            // From the file alone, only what the API server gives a stack is not known.
            let file = documents
                .iter()
                .find(|document| {
                    document["kind"] == "ServerlessStack" && document["metadata"]["name"] == *name
                })
                .unwrap();
            let without = |mut object: Value| {
                let metadata = object["metadata"].as_object_mut().unwrap();
                metadata.remove("ownerReferences");
                if let Some(text) = object["data"]["stack.yaml"].as_str() {
                    let lines = text.lines().filter(|line| !line.contains("generation:"));
                    object["data"]["stack.yaml"] = json!(lines.collect::<Vec<_>>());
                }
                object
            };
            let from_file = render(&file.to_string(), &OPERATOR_ARGUMENTS).unwrap();
            let from_file: Vec<_> = from_file.into_iter().map(without).collect();
            let rendered: Vec<_> = rendered.into_iter().map(without).collect();
            assert_eq!(from_file, rendered, "{}", path.display());
        }
    }
    assert!(objects > 20, "{objects}");
}

#[test]
fn render_says_what_is_wrong_with_a_file() {
    for (text, says) in [
        ("kind: Pod", "ServerlessStack"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}",
            "nightjar.dev/v1alpha1",
        ),
        (
            "{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {name: a}, spec: {regions: [moon], select: [{names: [a]}]}}",
            "spec.regions",
        ),
        (
            "{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {}, spec: {regions: [eu-west-1], select: [{names: [a]}]}}",
            "metadata.name",
        ),
    ] {
        let said = render(text, &[]).unwrap_err();
        assert!(said.contains(says), "{text}: {said}");
    }
}

/// The YAML block of docs/gitops.md that holds this line.
fn block_of_docs(with: &str) -> Value {
    let text = include_str!("../../../docs/gitops.md");
    let mut blocks = text.split("```yaml\n").skip(1);
    let block = blocks
        .find_map(|rest| {
            let block = rest.split("```").next().unwrap();
            block.contains(with).then_some(block)
        })
        .unwrap_or_else(|| panic!("docs/gitops.md has no block with {with}"));
    yaml_documents(block).remove(0)
}

/// A Lua literal of plain data.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(all) => format!("{{{}}}", all.iter().map(lua).collect::<Vec<_>>().join(",")),
        Value::Object(all) => {
            let pairs = all
                .iter()
                .map(|(key, value)| format!("[{:?}]={}", key, lua(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
    }
}

fn stack(spec: &Value, generation: i64, status: Option<Value>) -> Value {
    let mut stack =
        json!({"metadata": {"name": "checkout", "generation": generation}, "spec": spec});
    if let Some(status) = status {
        stack["status"] = status;
    }
    stack
}

fn status(generation: i64, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(type_, status, reason)| {
            json!({"type": type_, "status": status, "reason": reason, "message": "because",
                   "observedGeneration": generation})
        })
        .collect();
    json!({"observedGeneration": generation, "conditions": conditions})
}

#[test]
fn argo_cds_health_check_judges_a_stack_by_ready_and_its_generation() {
    let config = block_of_docs("resource.customizations.health");
    let check = config["data"]["resource.customizations.health.nightjar.dev_ServerlessStack"]
        .as_str()
        .unwrap();
    let plain = json!({});
    let suspended = json!({"suspend": true});
    for (health, stack) in [
        ("Progressing", stack(&plain, 1, None)),
        ("Progressing", stack(&plain, 1, Some(json!({})))),
        (
            "Healthy",
            stack(
                &plain,
                2,
                Some(status(2, &[("Ready", "True", "AsExpected")])),
            ),
        ),
        // It speaks of the specification before the last edit.
        (
            "Progressing",
            stack(
                &plain,
                3,
                Some(status(2, &[("Ready", "True", "AsExpected")])),
            ),
        ),
        (
            "Progressing",
            stack(
                &plain,
                2,
                Some(status(
                    2,
                    &[
                        ("Ready", "False", "ExporterNotReady"),
                        ("SpecValid", "True", "AsExpected"),
                    ],
                )),
            ),
        ),
        (
            "Degraded",
            stack(
                &plain,
                2,
                Some(status(
                    2,
                    &[
                        ("Ready", "False", "AccessDenied"),
                        ("SpecValid", "True", "AsExpected"),
                    ],
                )),
            ),
        ),
        (
            "Degraded",
            stack(
                &plain,
                2,
                Some(status(
                    2,
                    &[
                        ("Ready", "False", "InvalidSpec"),
                        ("SpecValid", "False", "InvalidSpec"),
                    ],
                )),
            ),
        ),
        (
            "Suspended",
            stack(
                &suspended,
                2,
                Some(status(2, &[("Ready", "False", "Suspended")])),
            ),
        ),
    ] {
        // Argo CD runs Lua 5.1.
        let program = format!(
            "obj = {}\nlocal hs = (function()\n{check}\nend)()\nprint(hs.status) print(hs.message)",
            lua(&stack)
        );
        let said = output(Command::new("lua5.1").args(["-e", &program]));
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some(health), "{stack}");
        assert!(!lines.next().unwrap_or_default().is_empty(), "{said}");
    }
}
