//! The stack's route for the Prometheus operator.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::metadata;
use crate::api::ServerlessStack;
use crate::controller::resolve::Resolved;
use crate::rules::route;

/// `monitoring.coreos.com/v1alpha1`, kind AlertmanagerConfig: only the fields that we set.
#[derive(Clone, Debug, Serialize)]
pub struct AlertmanagerConfig {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Routes, receivers, inhibitions.
    pub spec: Value,
}

/// None if the stack names nobody to tell.
pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> Option<AlertmanagerConfig> {
    let route = stack.spec.alerts.route.as_ref()?;
    let mut metadata = metadata(stack);
    let labels = metadata.labels.get_or_insert_with(BTreeMap::new);
    for (key, value) in resolved.monitor_labels(stack) {
        labels.entry(key).or_insert(value);
    }
    Some(AlertmanagerConfig {
        metadata,
        spec: route::alertmanager_config(stack, route),
    })
}
