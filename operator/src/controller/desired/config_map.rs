//! The exporters' configuration: the stack itself, without what changes on its own, and which
//! exporter watches what of it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::{ASSIGNMENT_ANNOTATION, CONFIG_KEY, metadata};
use crate::api::shards::Assignment;
use crate::api::{ServerlessStack, ServerlessStackSpec};
use crate::controller::resolve::Resolved;

/// A `ServerlessStack` as an exporter reads it. Status, labels and resource version stay out:
/// they change without the exporter's work changing, and each change of the text is a reload.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: &'a ServerlessStackSpec,
    assignment: &'a Assignment,
}

pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> ConfigMap {
    let assignment = &resolved.shards.assignment;
    let mut metadata = metadata(stack);
    let text = serde_json::to_string(assignment).expect("an assignment is plain data");
    metadata.annotations = Some([(ASSIGNMENT_ANNOTATION.to_owned(), text)].into());
    ConfigMap {
        metadata,
        data: Some([(CONFIG_KEY.to_owned(), document(stack, assignment))].into()),
        ..ConfigMap::default()
    }
}

fn document(stack: &ServerlessStack, assignment: &Assignment) -> String {
    let document = Document {
        api_version: ServerlessStack::api_version(&()).into_owned(),
        kind: ServerlessStack::kind(&()).into_owned(),
        metadata: ObjectMeta {
            name: Some(stack.name_any()),
            namespace: stack.namespace(),
            generation: stack.metadata.generation,
            ..ObjectMeta::default()
        },
        spec: &stack.spec,
        assignment,
    };
    serde_saphyr::to_string(&document)
        .expect("a stack holds only strings, numbers, lists and maps with string keys")
}
