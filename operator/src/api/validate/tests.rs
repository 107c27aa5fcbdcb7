//! What is valid, and how all that is not is told.

use super::*;

fn invalid_fields(spec: &str) -> Vec<String> {
    let text = format!(
        "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {{name: a}}, spec: {{{spec}}}}}"
    );
    let stack: ServerlessStack = serde_saphyr::from_str(&text).unwrap();
    validate(&stack)
        .into_iter()
        .map(|invalid| invalid.field)
        .collect()
}

#[test]
fn five_lines_are_a_valid_stack() {
    assert!(invalid_fields("regions: [eu-west-1], select: [{tags: {app: checkout}}]").is_empty());
}

#[test]
fn every_example_is_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        for document in documents {
            if document["kind"] != "ServerlessStack" {
                continue;
            }
            let stack: ServerlessStack = serde_json::from_value(document).unwrap();
            assert_eq!(validate(&stack), [], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 2, "the examples moved");
}

#[test]
fn an_optional_set_of_another_service_is_refused() {
    let spec = "regions: [eu-west-1], select: [{names: ['*']}], services: {lambda: {optional: [operations]}, dynamodb: {optional: [operations]}}";
    assert_eq!(invalid_fields(spec), ["spec.services.lambda.optional"]);
}

#[test]
fn the_schema_and_the_documentation_know_every_optional_set() {
    let crd = serde_json::to_string(&<ServerlessStack as kube::CustomResourceExt>::crd()).unwrap();
    for id in ServiceId::ALL {
        let names: Vec<_> = id.service().optional.iter().map(|set| set.name).collect();
        if names.is_empty() {
            continue;
        }
        let list: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        assert!(crd.contains(&format!("[{}]", list.join(", "))), "{names:?}");
        assert!(
            names.iter().all(|name| crd.contains(&format!("`{name}`"))),
            "{names:?}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_fields() {
    let spec = "regions: [mars-1], select: [{}], services: {s3: {}}, latency: {quantiles: ['1.5']}, collection: {interval: 1s}";
    assert_eq!(
        invalid_fields(spec),
        [
            "spec.regions[0]",
            "spec.select[0]",
            "spec.services",
            "spec.latency.quantiles",
            "spec.collection.interval"
        ]
    );
}
