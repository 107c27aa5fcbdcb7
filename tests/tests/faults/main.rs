//! What the operator does when what it lives on fails.
//!
//! A real kube-apiserver and etcd. These tests wait more than they work: run them all at once.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod outages;

use serde_json::{Value, json};

/// A small stack with these fields besides.
fn stack(name: &str, fields: &Value) -> Value {
    let mut spec = json!({"regions": ["eu-west-1"], "select": [{"tags": {"app": name}}]});
    let fields = fields.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    json!({"metadata": {"name": name}, "spec": spec})
}
