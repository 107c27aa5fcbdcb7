//! The stack's rules: for the Prometheus operator, or as a file for a Prometheus without it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde::Serialize;

use super::{metadata, rules_name};
use crate::api::ServerlessStack;
use crate::controller::resolve::Resolved;
use crate::rules::render::RuleFile;
use crate::rules::{Context, groups};

/// `monitoring.coreos.com/v1`, kind PrometheusRule: only the fields that we set.
#[derive(Clone, Debug, Serialize)]
pub struct PrometheusRule {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The rules.
    pub spec: RuleFile,
}

/// The object for the Prometheus operator.
pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> PrometheusRule {
    let mut metadata = metadata(stack);
    let labels = metadata.labels.get_or_insert_with(BTreeMap::new);
    for (key, value) in resolved.monitor_labels(stack) {
        labels.entry(key).or_insert(value);
    }
    PrometheusRule {
        metadata,
        spec: rule_file(stack, resolved),
    }
}

/// The ConfigMap with a file for `rule_files`, whose name is unique among all stacks' files.
pub fn config_map(stack: &ServerlessStack, resolved: &Resolved) -> ConfigMap {
    let mut metadata = metadata(stack);
    metadata.name = Some(rules_name(stack));
    let file = format!(
        "{}-{}.rules.yaml",
        stack.namespace().unwrap_or_default(),
        stack.name_any()
    );
    ConfigMap {
        metadata,
        data: Some([(file, text(stack, resolved))].into()),
        ..ConfigMap::default()
    }
}

/// The rules in Prometheus' own format.
pub fn text(stack: &ServerlessStack, resolved: &Resolved) -> String {
    serde_saphyr::to_string(&rule_file(stack, resolved))
        .expect("rules hold only strings, lists and maps with string keys")
}

fn rule_file(stack: &ServerlessStack, resolved: &Resolved) -> RuleFile {
    let own = stack.spec.collection.interval();
    RuleFile {
        groups: groups(&Context::new(
            stack,
            resolved.interval.map_or(own, |interval| interval.max(own)),
            &resolved.exporter.runbook_url,
        )),
    }
}
