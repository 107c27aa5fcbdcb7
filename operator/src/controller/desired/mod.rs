//! What shall exist for a stack: one field per kind, computed from plain data.
//!
//! [`desired`] never asks anybody anything: the same stack and the same [`Resolved`] give the
//! same objects, byte for byte. `nightjar render` prints them, the operator applies them.

mod alertmanager_config;
mod config_map;
pub mod prometheus_rule;
mod service;
mod service_account;
mod service_monitor;
mod stateful_set;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

pub use alertmanager_config::AlertmanagerConfig;
pub use prometheus_rule::PrometheusRule;
pub use service_monitor::ServiceMonitor;
pub use stateful_set::storage_of;

use super::resolve::Resolved;
use crate::api::ServerlessStack;
use crate::api::hash::sha256_hex;
use crate::api::validate::InvalidField;

/// The exporter's port, by the name that Services and monitors use.
pub const PORT_NAME: &str = "metrics";
/// The exporter's port.
pub const PORT: i32 = 9988;
/// The key of the ConfigMap that holds the exporter's configuration.
pub const CONFIG_KEY: &str = "stack.yaml";

/// The annotation of the ConfigMap that repeats the assignment of shards in it, for the operator,
/// whose watches see metadata only.
pub const ASSIGNMENT_ANNOTATION: &str = "nightjar.dev/assignment";

/// The annotation of the StatefulSet that says what its volumes were made of, for the same reason.
pub const STORAGE_ANNOTATION: &str = "nightjar.dev/storage";

/// The end of the name of the ConfigMap with the rules.
pub const RULES_SUFFIX: &str = "-exporter-rules";

/// What an object may hold: etcd takes a little more, with all that is around it.
const LARGEST: usize = 1_000_000;

/// All objects of one stack.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What the exporters run.
    pub config_map: ConfigMap,
    /// The exporters' identity, unless the stack names one of the user's.
    pub service_account: Option<ServiceAccount>,
    /// Where Prometheus and the operator find the exporters.
    pub service: Service,
    /// The exporters.
    pub stateful_set: StatefulSet,
    /// The scrape configuration, where the Prometheus operator is installed.
    pub service_monitor: Option<ServiceMonitor>,
    /// The rules, where the Prometheus operator is installed.
    pub prometheus_rule: Option<PrometheusRule>,
    /// The rules as a file, where it is not.
    pub rules: Option<ConfigMap>,
    /// Who is told of alerts, if the stack says so and the kind is installed.
    pub alertmanager_config: Option<AlertmanagerConfig>,
}

impl Desired {
    /// SHA-256 of the configuration file, as an exporter that runs it reports it.
    pub fn config_hash(&self) -> String {
        let file = self
            .config_map
            .data
            .as_ref()
            .and_then(|data| data.get(CONFIG_KEY));
        sha256_hex(file.map_or(&[][..], |file| file.as_bytes()))
    }

    /// What makes an object too large for the API server.
    pub fn too_large(&self) -> Option<InvalidField> {
        let of = |map: &ConfigMap| map.data.iter().flatten().map(|(_, file)| file.len()).sum();
        let rules = self.prometheus_rule.as_ref();
        // Close enough: as it is sent it is a little shorter.
        let rules = rules.map_or(0, |rule| {
            serde_json::to_string(&rule.spec).map_or(0, |text| text.len())
        });
        let rules = rules.max(self.rules.as_ref().map_or(0, of));
        let (field, bytes, remedy) = if of(&self.config_map) > LARGEST {
            let remedy = "select by tags, by a CloudFormation stack or by names with *, or make two stacks of it";
            ("spec", of(&self.config_map), remedy)
        } else if rules > LARGEST {
            let remedy = "write fewer or shorter objectives and labels, or make two stacks of it";
            ("spec.alerts", rules, remedy)
        } else {
            return None;
        };
        Some(InvalidField {
            field: field.to_owned(),
            message: format!(
                "makes an object of {bytes} bytes, and the most is {LARGEST}: {remedy}"
            ),
        })
    }
}

/// The objects of a stack.
pub fn desired(stack: &ServerlessStack, resolved: &Resolved) -> Desired {
    Desired {
        config_map: config_map::build(stack, resolved),
        service_account: service_account::build(stack, resolved),
        service: service::build(stack, resolved),
        stateful_set: stateful_set::build(stack, resolved),
        service_monitor: resolved
            .service_monitors
            .then(|| service_monitor::build(stack, resolved)),
        prometheus_rule: resolved
            .prometheus_rules
            .then(|| prometheus_rule::build(stack, resolved)),
        alertmanager_config: resolved
            .alertmanager_configs
            .then(|| alertmanager_config::build(stack, resolved))
            .flatten(),
        rules: (!resolved.prometheus_rules).then(|| prometheus_rule::config_map(stack, resolved)),
    }
}

/// The one name of all objects of a stack.
pub fn object_name(stack: &ServerlessStack) -> String {
    format!("{}-exporter", stack.name_any())
}

/// The name of the ConfigMap with the rules.
pub fn rules_name(stack: &ServerlessStack) -> String {
    format!("{}{RULES_SUFFIX}", stack.name_any())
}

/// Labels that select the exporters of one stack. A StatefulSet's selector cannot change: these
/// stay as they are for ever.
fn selector_labels(stack: &ServerlessStack) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "nightjar-exporter".to_owned()),
        (INSTANCE, stack.name_any()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Labels of all objects of one stack.
fn labels(stack: &ServerlessStack) -> BTreeMap<String, String> {
    let mut labels = selector_labels(stack);
    for (key, value) in [
        ("app.kubernetes.io/component", "exporter"),
        ("app.kubernetes.io/part-of", "nightjar"),
        (MANAGED_BY.0, MANAGED_BY.1),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// The label that names the stack.
pub const INSTANCE: &str = "app.kubernetes.io/instance";

/// The label by which the operator's watches find what it made.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "nightjar");

fn metadata(stack: &ServerlessStack) -> ObjectMeta {
    ObjectMeta {
        name: Some(object_name(stack)),
        namespace: stack.namespace(),
        labels: Some(labels(stack)),
        owner_references: owner_reference(stack).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// None for a stack that is only rendered: it has no UID to refer to.
fn owner_reference(stack: &ServerlessStack) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: ServerlessStack::api_version(&()).into_owned(),
        kind: ServerlessStack::kind(&()).into_owned(),
        name: stack.name_any(),
        uid: stack.uid()?,
        controller: Some(true),
        block_owner_deletion: Some(true),
    })
}

#[cfg(test)]
mod tests;
