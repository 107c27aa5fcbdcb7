//! The objects of a stack as they are sent.

use serde::Serialize;
use serde_json::{Value, json};

use super::Kind;
use crate::controller::desired::Desired;

/// One object to apply, with what identifies it.
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) object: Value,
}

/// When an object is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Without its identity or configuration a pod would only wait, with an Event for each try.
    Needed,
    /// After what pods need.
    Pods,
    /// At any time.
    Other,
}

impl Target {
    pub(super) fn step(&self, configuration: &str) -> Step {
        match self.kind {
            Kind::ConfigMap if self.name == configuration => Step::Needed,
            Kind::ServiceAccount => Step::Needed,
            Kind::StatefulSet => Step::Pods,
            Kind::ConfigMap
            | Kind::Service
            | Kind::ServiceMonitor
            | Kind::PrometheusRule
            | Kind::AlertmanagerConfig
            | Kind::GrafanaDashboard => Step::Other,
        }
    }
}

/// The object as it is sent: with its type, which k8s-openapi's and our own types add alike.
pub(super) fn target<T: Serialize>(kind: Kind, object: Option<&T>) -> Option<Target> {
    let mut object = serde_json::to_value(object?).expect("Kubernetes objects have string keys");
    let resource = kind.resource();
    object["apiVersion"] = json!(resource.api_version);
    object["kind"] = json!(resource.kind);
    let name = object["metadata"]["name"]
        .as_str()
        .expect("desired() names all objects")
        .to_owned();
    Some(Target { kind, name, object })
}

/// All objects, in the order in which a pod needs them.
pub(super) fn targets(desired: &Desired) -> Vec<Target> {
    // All fields by name: a kind that is forgotten here does not compile.
    let Desired {
        config_map,
        service_account,
        service,
        stateful_set,
        service_monitor,
        prometheus_rule,
        alertmanager_config,
        rules,
    } = desired;
    [
        target(Kind::ServiceAccount, service_account.as_ref()),
        target(Kind::ConfigMap, Some(config_map)),
        target(Kind::Service, Some(service)),
        target(Kind::StatefulSet, Some(stateful_set)),
        target(Kind::ServiceMonitor, service_monitor.as_ref()),
        target(Kind::PrometheusRule, prometheus_rule.as_ref()),
        target(Kind::AlertmanagerConfig, alertmanager_config.as_ref()),
        target(Kind::ConfigMap, rules.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All objects as they are sent, but for the hash and the UID that only a live object has.
pub fn documents(desired: &Desired) -> Vec<Value> {
    targets(desired)
        .into_iter()
        .map(|target| target.object)
        .collect()
}
