//! `spec.alerts`: what a stack changes of the catalogue of alerts.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Duration;
use super::route::Route;
use crate::rules::Severity;

/// Labels that alerts have already: an alert whose own one was overwritten would say the wrong thing, or collide with
/// another. A test compares them with what the rules group by.
pub const TAKEN: [&str; 28] = [
    "alertname",
    "alertstate",
    "namespace",
    "stack",
    "severity",
    "service",
    "pillar",
    "cause",
    "objective",
    "range",
    "account_id",
    "region",
    "function_name",
    "uuid",
    "runtime",
    "table_name",
    "global_secondary_index_name",
    "operation",
    "direction",
    "api_type",
    "api_id",
    "api_name",
    "stage",
    "code_class",
    "aws_service",
    "action",
    "reason",
    "pod",
];

fn labels_rule() -> String {
    format!(
        "self.all(k, k.size() <= 128 && k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$') && !k.startsWith('__') && !(k in ['{}']))",
        TAKEN.join("', '")
    )
}

/// Prometheus expands the labels of an alert as templates, and refuses the whole file if it cannot.
const VALUES_RULE: &str = "self.all(k, self[k] != '' && !self[k].contains('{{'))";

/// The alerts of the stack. The catalogue is in `docs/alerts.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    /// False leaves out all alerts; recording rules stay. Default: true.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// Labels for every alert, for example `team`, by which Alertmanager routes. Labels
    /// that alerts have already are taken, among them `severity`, `service`, `pillar`, `cause` and those
    /// that name the resource.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 256}))]
    #[x_kube(validation = Rule::new(labels_rule()).message("not a label for alerts: use letters, digits and _, and none of the labels that alerts or their series have already, such as severity or function_name"))]
    #[x_kube(validation = Rule::new(VALUES_RULE).message("labels of alerts are plain text and not empty: Prometheus would take {{ for a template"))]
    pub labels: BTreeMap<String, String>,

    /// Labels that the stack's series have in your Prometheus besides `stack` and `namespace`,
    /// for example `cluster` where one Prometheus holds several clusters. Every rule selects by
    /// them, and every alert carries them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 256}))]
    #[x_kube(validation = Rule::new(labels_rule()).message("not a label to select by: use letters, digits and _, and none of the labels that alerts or their series have already, such as severity or function_name"))]
    #[x_kube(validation = Rule::new(VALUES_RULE).message("labels of alerts are plain text and not empty: Prometheus would take {{ for a template"))]
    pub matchers: BTreeMap<String, String>,

    /// Changes of single alerts, by id (see `docs/alerts.md`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 128, "x-kubernetes-map-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(id, id.matches('^[A-Z][A-Za-z0-9]{2,62}$'))")
        .message("not the id of an alert: docs/alerts.md lists them, for example LambdaErrorRateHigh"))]
    pub overrides: BTreeMap<String, AlertOverride>,

    /// Who is told. Default: nobody but whom your Alertmanager's own routes tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            enabled: true,
            labels: BTreeMap::new(),
            matchers: BTreeMap::new(),
            overrides: BTreeMap::new(),
            route: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// What a stack changes of one alert. What is left out stays as the catalogue has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertOverride {
    /// False leaves the alert out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// `critical` pages, `warning` makes a ticket, `info` shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,

    /// The number that is crossed when the alert fires, as a decimal string, in the alert's own
    /// unit, for example `"0.02"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 24))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,15}([.][0-9]{1,6})?$')")
        .message("not a number: write a decimal string, for example \"0.02\""))]
    pub threshold: Option<String>,

    /// The evidence without which the alert does not fire, for example so many requests within
    /// the window, as a decimal string. Only for alerts that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 24))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,15}([.][0-9]{1,6})?$')")
        .message("not a number: write a decimal string, for example \"100\""))]
    pub minimum: Option<String>,

    /// How long the condition must hold before the alert fires, from 0s to 24h.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && self != '' && duration(self) <= duration('24h')")
        .message("not a duration from 0s to 24h: write for example 10m"))]
    pub for_: Option<Duration>,

    /// Labels for this alert; they go before those of all alerts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 256}))]
    #[x_kube(validation = Rule::new(labels_rule()).message("not a label for alerts: use letters, digits and _, and none of the labels that alerts or their series have already, such as severity or function_name"))]
    #[x_kube(validation = Rule::new(VALUES_RULE).message("labels of alerts are plain text and not empty: Prometheus would take {{ for a template"))]
    pub labels: BTreeMap<String, String>,
}
