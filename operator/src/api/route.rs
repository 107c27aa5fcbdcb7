//! `spec.alerts.route`: who is told, and how.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;
use super::stack::SecretKeyRef;
use crate::rules::Severity;

/// Who is told of the stack's alerts. It becomes an `AlertmanagerConfig` where that kind is
/// installed; `nightjar render --route` prints the same for a plain Alertmanager. Alerts of a severity
/// without a receiver are not sent. A warning is not sent while a critical alert about the same
/// resource has the same cause, nor a consequence while its cause fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.critical) ? [self.critical] : [], has(self.warning) ? [self.warning] : [], has(self.info) ? [self.info] : []].all(names, names.all(name, self.receivers.exists(r, r.name == name)))")
    .message("critical, warning and info name receivers: one of them is not in the list"))]
pub struct Route {
    /// Where alerts can be sent.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub receivers: Vec<Receiver>,

    /// The receiver of critical alerts. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub critical: Option<String>,

    /// The receiver of warnings. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub warning: Option<String>,

    /// The receiver of what is only worth knowing. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub info: Option<String>,

    /// Labels of alerts: those of one severity that agree in all of them are sent together. With `[stack]` it is one
    /// message for all pages of the stack, for example of an API and of the function behind it. Default:
    /// `[namespace, stack, cause]`.
    #[serde(default = "by_cause")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(label, label.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))")
        .message("not a label to group by: use letters, digits and _, for example cause"))]
    pub group_by: Vec<String>,

    /// How long the first alert of a group waits for others. Default: 30s.
    #[serde(default = "half_a_minute")]
    pub group_wait: Duration,

    /// How long a group waits before new alerts in it are sent, 1s at least. Default: 5m.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("not a pause: Alertmanager takes 1s at least, write for example 5m"))]
    pub group_interval: Duration,

    /// How long until an alert that still fires is sent again, 1s at least. Default: 4h.
    #[serde(default = "four_hours")]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("not a pause: Alertmanager takes 1s at least, write for example 4h"))]
    pub repeat_interval: Duration,

    /// Times at which warnings and what is only worth knowing are not sent. Critical alerts always
    /// are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub mute: Vec<Mute>,
}

fn by_cause() -> Vec<String> {
    ["namespace", "stack", "cause"].map(str::to_owned).to_vec()
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn four_hours() -> Duration {
    Duration::from_secs(4 * 3600)
}

/// Where alerts can be sent: one or several ways. Secrets are in the stack's namespace; Nightjar
/// never reads them, Alertmanager's operator does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.slack) || has(self.pagerDuty) || has(self.opsgenie) || has(self.webhook) || has(self.email)")
    .message("a receiver has at least one of slack, pagerDuty, opsgenie, webhook, email"))]
pub struct Receiver {
    /// Its name in `critical`, `warning` and `info`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self != 'none'")
        .message("begin with a letter, use lower-case letters, digits and hyphens; none is taken"))]
    pub name: String,

    /// A Slack channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,

    /// A PagerDuty service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pager_duty: Option<PagerDuty>,

    /// An Opsgenie team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opsgenie: Option<Opsgenie>,

    /// An HTTP endpoint that takes Alertmanager's JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,

    /// A mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// Alertmanager expands what it sends to as templates.
const PLAIN: &str = "!self.contains('{{')";
/// The same, and every address has that sign.
const ADDRESS: &str = "self.contains('@') && !self.contains('{{')";

/// A Slack channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// The incoming webhook's URL.
    pub url_secret_ref: SecretKeyRef,
    /// The channel, for example `#shop-alerts`.
    #[schemars(length(min = 1, max = 80))]
    #[x_kube(validation = Rule::new(PLAIN).message("the channel is plain text: Alertmanager would take {{ for a template, and send nothing if it cannot read it"))]
    pub channel: String,
}

/// A PagerDuty service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PagerDuty {
    /// The integration key of the Events API v2.
    pub routing_key_secret_ref: SecretKeyRef,
}

/// An Opsgenie team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Opsgenie {
    /// The API key of the integration.
    pub api_key_secret_ref: SecretKeyRef,
}

/// An HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its URL; in a Secret because URLs often hold tokens.
    pub url_secret_ref: SecretKeyRef,
}

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// Who gets it.
    #[schemars(length(min = 3, max = 254))]
    #[x_kube(validation = Rule::new(ADDRESS).message("not an address: write for example shop@example.com"))]
    pub to: String,
    /// Who sends it.
    #[schemars(length(min = 3, max = 254))]
    #[x_kube(validation = Rule::new(ADDRESS).message("not an address: write for example nightjar@example.com"))]
    pub from: String,
    /// The mail server, as `host:port`.
    #[schemars(length(min = 3, max = 261))]
    #[x_kube(validation = Rule::new("self.matches('^([-._a-zA-Z0-9]+|[[][:.0-9a-fA-F]+[]]):[0-9]{1,5}$')")
        .message("not a mail server: write host:port, for example mail.example.com:587"))]
    pub smarthost: String,
    /// The user's name at the mail server. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 254))]
    pub username: Option<String>,
    /// The user's password at the mail server. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
}

/// A time at which little is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mute {
    /// Days of the week. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,

    /// When it begins, in UTC, as `22:00`. Default: 00:00.
    #[serde(default = "midnight")]
    #[schemars(length(min = 5, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("not a time: write for example 22:00"))]
    pub from: String,

    /// When it ends, in UTC, as `24:00`, later than it begins. Default: 24:00.
    #[serde(default = "end_of_day")]
    #[schemars(length(min = 5, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')").message("not a time: write for example 06:00, or 24:00"))]
    pub to: String,
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

/// A day of the week.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the days of the week")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Route {
    /// The receiver of a severity.
    pub fn receiver(&self, severity: Severity) -> Option<&str> {
        match severity {
            Severity::Critical => self.critical.as_deref(),
            Severity::Warning => self.warning.as_deref(),
            Severity::Info => self.info.as_deref(),
        }
    }
}
