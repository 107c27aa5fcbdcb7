//! The cluster by kubectl, as a user has it.

use std::process::Command;
use std::time::{Duration, Instant};

use nightjar_tests::kube_api::answer;
use serde_json::Value;

/// How long anything may take: an edit waits for the kubelet, which looks every minute or so.
const DEADLINE: Duration = Duration::from_mins(4);

/// Runs kubectl with something to read; what it prints, or what it says when it refuses.
pub fn kubectl_with(args: &[&str], input: &str) -> Result<String, String> {
    assert!(
        std::env::var("KUBECONFIG").is_ok(),
        "there is no cluster: run these tests with `make test-cluster`"
    );
    match answer(Command::new("kubectl").args(args), input) {
        Ok((printed, _)) => Ok(printed),
        Err(said) => Err(format!("kubectl {args:?}: {said}")),
    }
}

/// Runs kubectl; what it refuses fails the test.
pub fn kubectl(args: &[&str]) -> String {
    kubectl_with(args, "").unwrap_or_else(|error| panic!("{error}"))
}

/// Makes a namespace for a test.
pub fn namespace(name: &str) {
    kubectl(&["create", "namespace", name]);
}

/// Applies an object.
pub fn apply(object: &Value) {
    kubectl_with(&["apply", "-f", "-"], &object.to_string())
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Deletes an object, and does not wait until it is gone.
pub fn delete(namespace: &str, name: &str) {
    kubectl(&["-n", namespace, "delete", name, "--wait=false"]);
}

/// An object; null when there is none.
pub fn get(namespace: &str, name: &str) -> Value {
    match kubectl_with(&["-n", namespace, "get", name, "-o", "json"], "") {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(error) if error.contains("NotFound") => Value::Null,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    until_async(what, async || is_so()).await;
}

/// Waits until something that has to be asked for is so.
pub async fn until_async(what: &str, is_so: impl AsyncFn() -> bool) {
    until_within(DEADLINE, what, is_so).await;
}

/// The same for what may take another time.
pub async fn until_within(deadline: Duration, what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        if begun.elapsed() > deadline {
            let all = kubectl_with(&["get", "serverlessstacks,pods", "-A", "-o", "wide"], "")
                .unwrap_or_default();
            panic!("not within {deadline:?}: {what}\n{all}");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
