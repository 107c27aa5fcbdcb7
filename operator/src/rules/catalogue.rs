//! The catalogue's types, and all of it, read once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::Duration;
use crate::services::ServiceId;

/// How urgent an alert is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody must act now: it pages.
    Critical,
    /// Somebody must act in working hours: a ticket.
    Warning,
    /// Worth knowing: shown on dashboards.
    Info,
}

impl Severity {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pillar of the AWS Well-Architected Framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pillar {
    /// It does what it shall.
    Reliability,
    /// It does so fast enough.
    Performance,
    /// It costs no more than it must.
    Cost,
    /// It is safe.
    Security,
    /// It can be run and understood.
    Operations,
}

impl Pillar {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reliability => "reliability",
            Self::Performance => "performance",
            Self::Cost => "cost",
            Self::Security => "security",
            Self::Operations => "operations",
        }
    }
}

/// What one file of rules holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// `lambda`, `dynamodb`, `apigateway`, `nightjar`, `objectives` or `operator`.
    pub service: String,
    /// Tells the files of one service apart.
    pub part: String,
    /// What the runbooks call the service.
    pub title: String,
    /// Lists of labels that expressions name as `${name}`, and what else several of its texts share.
    #[serde(default)]
    pub sets: BTreeMap<String, String>,
    /// Where to look, whatever the alert.
    pub look: Vec<String>,
    /// Series that dashboards and alerts share.
    #[serde(default)]
    pub recordings: Vec<Recording>,
    /// The alerts.
    pub alerts: Vec<Alert>,
}

/// A recording rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// `level:metric:operation`.
    pub record: String,
    /// What it is, with its unit.
    pub help: String,
    /// The expression.
    #[serde(deserialize_with = "folded")]
    pub expr: String,
}

/// A number in an alert's expression that a stack may change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// What holds unless the stack says otherwise.
    pub default: f64,
    /// What the number counts.
    pub unit: String,
    /// The least that makes sense.
    pub least: f64,
    /// The most that makes sense.
    pub most: f64,
}

/// A long range of a counter: never shorter than the window, in which a counter surely moves if anything happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// An hour; `${hour}`.
    Hour,
    /// Three hours; `${three_hours}`.
    ThreeHours,
    /// A day; `${day}`.
    Day,
}

impl Range {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hour, Self::ThreeHours, Self::Day];

    /// The placeholder's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::ThreeHours => "three_hours",
            Self::Day => "day",
        }
    }

    /// In seconds, where polling allows it.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Hour => 3600,
            Self::ThreeHours => 3 * 3600,
            Self::Day => 24 * 3600,
        }
    }
}

/// An alerting rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its name in Prometheus, in `spec.alerts.overrides` and of its runbook.
    pub id: String,
    /// How urgent it is.
    pub severity: Severity,
    /// What it is about.
    pub pillar: Pillar,
    /// Alerts of one cause about one resource silence each other: the more severe one is sent.
    pub cause: String,
    /// Alerts about the same resource that are only consequences of this one.
    #[serde(default)]
    pub inhibits: Vec<String>,
    /// The labels in which a consequence agrees with it. Default: those of the resource.
    #[serde(default)]
    pub equal: Vec<String>,
    /// An objective of the same resource burns because of it: one of both is sent.
    #[serde(default)]
    pub burns: bool,
    /// It goes on firing until what it hides, which begins or ends a little earlier or later, is over too: else that would
    /// be told as something new. See [`Alert::windows_held`].
    #[serde(default)]
    pub holds: bool,
    /// How long the expression must hold.
    #[serde(rename = "for")]
    pub for_: Duration,
    /// The expression, with placeholders (see [`super::render`]).
    #[serde(deserialize_with = "folded")]
    pub expr: String,
    /// Beyond it the alert fires. None where there is nothing to compare.
    pub threshold: Option<Threshold>,
    /// The evidence without which it does not.
    pub minimum: Option<Threshold>,
    /// The longest range in the expression, if that is longer than the stack's window: it is evaluated every five minutes
    /// then, in a group of its own.
    pub range: Option<Range>,
    /// Judges rates over the long window.
    #[serde(default)]
    pub smooth: bool,
    /// Judges counters, which tell nothing while the exporter catches up. Default: true for AWS.
    #[serde(default = "yes")]
    pub counts: bool,
    /// Of no use while `spec.suspend` holds the polling.
    #[serde(default)]
    pub polling: bool,
    /// One line that names the resource and the number.
    #[serde(deserialize_with = "folded")]
    pub summary: String,
    /// What it means here and now.
    #[serde(deserialize_with = "folded")]
    pub description: String,
    /// Where the threshold comes from.
    pub source: String,
    /// What to do.
    pub runbook: Runbook,
}

fn yes() -> bool {
    true
}

/// How a text is folded in the file is of no interest.
fn folded<'de, D: Deserializer<'de>>(file: D) -> Result<String, D::Error> {
    let text = String::deserialize(file)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl Alert {
    /// What is held back while it fires: the less urgent alerts of its cause, and its consequences.
    pub fn hides(&self) -> impl Iterator<Item = &'static Self> {
        alerts().filter(|other| {
            let less_urgent = other.cause == self.cause && other.severity > self.severity;
            less_urgent || self.inhibits.contains(&other.id)
        })
    }

    /// For how many of the stack's windows it goes on firing: a ratio over a window is back to normal at most one window
    /// later than it was below any other threshold, and then as long as what it hides is held itself.
    pub fn windows_held(&self) -> u32 {
        if !self.holds {
            return 0;
        }
        1 + self.hides().map(Self::windows_held).max().unwrap_or(0)
    }
}

/// What a person reads who was woken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// What it means.
    pub meaning: String,
    /// What users notice.
    pub impact: String,
    /// How to look, beyond what [`Room::look`] says.
    pub look: Vec<String>,
    /// How to fix it.
    pub fix: Vec<String>,
    /// When silencing it is right.
    pub silence: String,
}

/// Nightjar's own rules, beside those of the services' rooms.
const OWN: [&str; 3] = [
    include_str!("nightjar/exporter.yaml"),
    include_str!("nightjar/operator.yaml"),
    include_str!("nightjar/objectives.yaml"),
];

static ROOMS: LazyLock<Vec<Room>> = LazyLock::new(|| {
    let files = ServiceId::ALL.iter().flat_map(|id| id.rules());
    files
        .chain(&OWN)
        .map(|text| serde_saphyr::from_str(text).expect("the tests have read every file of rules"))
        .collect()
});

/// All rules.
pub fn rooms() -> &'static [Room] {
    &ROOMS
}

/// All alerts.
pub fn alerts() -> impl Iterator<Item = &'static Alert> {
    rooms().iter().flat_map(|room| &room.alerts)
}

/// The alert of that id, if stacks have it: those about the operator are no stack's.
pub fn alert(id: &str) -> Option<&'static Alert> {
    rooms()
        .iter()
        .filter(|room| room.service != super::operator::SERVICE)
        .flat_map(|room| &room.alerts)
        .find(|alert| alert.id == id)
}
