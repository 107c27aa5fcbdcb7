//! The scrape configuration for the Prometheus operator, which is optional in a cluster: only
//! the fields that we set are modelled.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;

use super::{PORT_NAME, metadata, selector_labels};
use crate::api::{Duration, ServerlessStack};
use crate::controller::resolve::Resolved;

/// `monitoring.coreos.com/v1`, kind ServiceMonitor.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceMonitor {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What is scraped and how.
    pub spec: ServiceMonitorSpec,
}

/// What is scraped and how.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitorSpec {
    /// The Services whose endpoints are scraped.
    pub selector: LabelSelector,
    /// The ports.
    pub endpoints: Vec<Endpoint>,
}

/// One port of the selected Services.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    port: &'static str,
    path: &'static str,
    interval: Duration,
    metric_relabelings: Vec<Relabeling>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relabeling {
    source_labels: [&'static str; 1],
    regex: &'static str,
    target_label: &'static str,
    replacement: &'static str,
}

/// Labels that name the scraped process. A series of AWS's must outlive its exporter's pod, so
/// they are blanked there; the exporter's own metrics keep them.
const PROCESS_LABELS: [&str; 4] = ["pod", "instance", "container", "endpoint"];

pub fn build(stack: &ServerlessStack, resolved: &Resolved) -> ServiceMonitor {
    let mut metadata = metadata(stack);
    let labels = metadata.labels.get_or_insert_with(BTreeMap::new);
    for (key, value) in resolved.monitor_labels(stack) {
        // Ours find the object again: a user's label of the same key must not hide it from us.
        labels.entry(key).or_insert(value);
    }
    ServiceMonitor {
        metadata,
        spec: ServiceMonitorSpec {
            selector: LabelSelector {
                match_labels: Some(selector_labels(stack)),
                ..LabelSelector::default()
            },
            endpoints: vec![Endpoint {
                port: PORT_NAME,
                path: "/metrics",
                interval: stack.spec.monitoring.scrape_interval(),
                metric_relabelings: PROCESS_LABELS.map(blank_for_aws).to_vec(),
            }],
        },
    }
}

/// The empty group captures nothing, so that `$1` blanks the label: an empty replacement got lost
/// in some versions of the Prometheus operator, and `labeldrop` cannot depend on the metric.
fn blank_for_aws(target_label: &'static str) -> Relabeling {
    Relabeling {
        source_labels: ["__name__"],
        regex: "aws_.*()",
        target_label,
        replacement: "$1",
    }
}
