//! The stacks in `examples/`, as people apply them.

use std::path::PathBuf;

use serde_json::Value;

use crate::chart::{pod_of, restricted_namespace};
use crate::kube_api::yaml_documents;
use crate::shared;

/// The files, each with its documents.
pub fn examples() -> Vec<(PathBuf, Vec<Value>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    let read = |path: PathBuf| {
        let documents = yaml_documents(&std::fs::read_to_string(&path).unwrap());
        (path, documents)
    };
    files.into_iter().map(read).collect()
}

/// Namespace and name of each stack of a file.
pub fn stacks(documents: &[Value]) -> Vec<(String, String)> {
    let stacks = documents
        .iter()
        .filter(|document| document["kind"] == "ServerlessStack");
    stacks
        .map(|stack| {
            let of = |field: &str| stack["metadata"][field].as_str();
            (
                of("namespace").unwrap_or("default").to_owned(),
                of("name").unwrap().to_owned(),
            )
        })
        .collect()
}

/// Applies all of them to the shared API server.
pub fn apply_all() {
    static APPLIED: std::sync::Once = std::sync::Once::new();
    APPLIED.call_once(|| {
        let api = &shared().api;
        api.apply_text(&restricted_namespace("shop"));
        for (path, _) in examples() {
            let said = api
                .kubectl_with(&["apply", "-f", &path.display().to_string()], "")
                .unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
            assert!(!said.contains("Warning"), "{}: {said}", path.display());
        }
    });
}

#[tokio::test]
async fn each_example_is_taken_and_its_exporter_may_run_where_pods_are_restricted() {
    apply_all();
    let api = &shared().api;
    api.apply_text(&restricted_namespace("examples-restricted"));
    let mut names = Vec::new();
    for (path, documents) in examples() {
        let stacks = stacks(&documents);
        assert!(!stacks.is_empty(), "{} has no stack", path.display());
        for (namespace, name) in stacks {
            let place = api.namespace(&namespace).await;
            place
                .wait_for_condition(&name, "SpecValid", "True", "AsExpected")
                .await;
            let set = place
                .wait_for("StatefulSet", &format!("{name}-exporter"), |_| true)
                .await;
            let pod = pod_of(&set.data, "examples-restricted").to_string();
            let dry_run = ["create", "--dry-run=server", "-f", "-"];
            api.kubectl_with(&dry_run, &pod)
                .unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
            names.push((namespace, name));
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "two examples describe the same stack");
}
