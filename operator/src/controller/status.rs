//! What is said about a stack: six conditions and some numbers, judged from plain facts.
//!
//! All conditions are there from the first reconcile on. A message says what is the matter, where,
//! and what to do. `lastTransitionTime` moves only when a condition's status does.

mod aws;
mod exporters;
mod monitoring;
mod numbers;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::error::Error;
use super::look::Looked;
use crate::api::exporter_status::ExporterStatus;
use crate::api::shards::Assignment;
use crate::api::stack_status::{ExporterStatusSummary, Inventory, ServerlessStackStatus};
use crate::api::validate::InvalidField;
use crate::api::{Duration, Reason};

/// The root condition: all others are true.
pub const READY: &str = "Ready";
/// The specification can be used. False means: edit it, trying again does not help.
pub const SPEC_VALID: &str = "SpecValid";
/// All exporters run, are ready and run the present configuration.
pub const EXPORTER_AVAILABLE: &str = "ExporterAvailable";
/// All accounts and regions were discovered and polled, and nothing fails there now.
pub const AWS_REACHABLE: &str = "AWSReachable";
/// There is something by which Prometheus finds the exporters.
pub const MONITORING_CONFIGURED: &str = "MonitoringConfigured";
/// What polling costs is within the stack's budget.
pub const WITHIN_BUDGET: &str = "WithinBudget";

/// How many failing places a message names. The rest is counted: status is not a list.
const EXAMPLES: usize = 3;
/// The longest word of an exporter's that is repeated: one is a program in somebody else's namespace.
const LONGEST_WORD: usize = 400;
/// The longest message of a condition, in bytes.
const LONGEST_MESSAGE: usize = 4000;

/// All that a status is judged from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The stack's namespace.
    pub namespace: &'a str,
    /// The name of the stack's objects.
    pub object_name: &'a str,
    /// The generation that was looked at.
    pub generation: Option<i64>,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.collection.interval`, or the operator's default.
    pub interval: Duration,
    /// What is wrong with the specification.
    pub invalid: &'a [InvalidField],
    /// What of the specification is done only roughly, and how it would be done better.
    pub notes: &'a [String],
    /// Why the stack's objects are not as they shall be.
    pub failed: &'a [Error],
    /// Whether its objects were looked at at all, so that those which did not fail are as they shall be.
    pub applied: bool,
    /// How Prometheus finds the exporters.
    pub monitoring: Monitoring,
    /// SHA-256 of the configuration that shall run.
    pub config_hash: &'a str,
    /// Which exporter shall watch what; none for a stack that cannot be read.
    pub assignment: Option<&'a Assignment>,
    /// The exporters' pods, and the exporters' own words.
    pub looked: &'a Looked,
}

/// How Prometheus finds the exporters and their rules, and Alertmanager whom to tell.
#[derive(Debug, Default)]
pub struct Monitoring {
    /// By a ServiceMonitor with these labels of the user's; none where there is no such kind: by
    /// annotations of the Service.
    pub service_monitor: Option<BTreeMap<String, String>>,
    /// Whether there is the kind PrometheusRule.
    pub prometheus_rules: bool,
    /// Whether the stack says who is told of alerts, and no kind is there that would carry it out.
    pub route_is_lost: bool,
    /// Whether the dashboards are to be objects of the kind `GrafanaDashboard`, and it is not there.
    pub misses_grafana: bool,
}

/// One condition, before it is compared with what was said last time.
struct Verdict {
    status: &'static str,
    reason: Reason,
    message: String,
}

impl Verdict {
    fn yes(message: impl Into<String>) -> Self {
        Self {
            status: "True",
            reason: Reason::AsExpected,
            message: message.into(),
        }
    }
    fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: "False",
            reason,
            message: message.into(),
        }
    }
    fn unknown(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: "Unknown",
            reason,
            message: message.into(),
        }
    }
    fn because(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }
}

/// Whether a status says Ready.
pub fn says_ready(status: &ServerlessStackStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| condition.type_ == READY && condition.status == "True")
}

/// The status that the facts amount to.
pub fn judge(
    facts: &Facts<'_>,
    previous: &ServerlessStackStatus,
    now: Timestamp,
) -> ServerlessStackStatus {
    let heard: Vec<&ExporterStatus> = facts
        .looked
        .exporters
        .iter()
        .filter_map(|e| e.status.as_ref().ok())
        .collect();
    let pods = facts.looked.set.unwrap_or_default();
    // Numbers of only some exporters would look like a loss: the last whole ones stay. A pod that starts
    // again has no address for a while.
    let awaited = usize::try_from(pods.wanted).unwrap_or_default();
    let whole =
        !heard.is_empty() && heard.len() == facts.looked.exporters.len() && heard.len() >= awaited;
    let inventory = if whole {
        numbers::inventory(&heard)
    } else {
        previous.inventory.clone()
    };
    let spend = if whole {
        numbers::spend(&heard)
    } else {
        previous.spend.clone()
    };

    let parts = [
        (SPEC_VALID, spec_valid(facts)),
        (
            EXPORTER_AVAILABLE,
            exporters::exporter_available(facts, &heard),
        ),
        (AWS_REACHABLE, aws::aws_reachable(facts, &heard, &inventory)),
        (
            MONITORING_CONFIGURED,
            monitoring::monitoring_configured(facts),
        ),
        (WITHIN_BUDGET, numbers::within_budget(facts, &heard)),
    ];
    let ready = ready(&parts, &inventory);
    let conditions = std::iter::once((READY, ready))
        .chain(parts)
        .map(|(type_, verdict)| {
            condition(type_, &verdict, facts.generation, &previous.conditions, now)
        })
        .collect();
    ServerlessStackStatus {
        observed_generation: facts.generation,
        conditions,
        inventory,
        spend,
        exporter: ExporterStatusSummary {
            ready: pods.ready,
            shards: pods.wanted,
            config_hash: common_hash(&heard),
            revision: facts
                .assignment
                .filter(|_| facts.applied)
                .map_or(previous.exporter.revision, |assignment| {
                    Some(assignment.revision)
                }),
        },
    }
}

fn condition(
    type_: &str,
    verdict: &Verdict,
    generation: Option<i64>,
    previous: &[Condition],
    now: Timestamp,
) -> Condition {
    let before = previous
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == verdict.status);
    Condition {
        type_: type_.to_owned(),
        status: verdict.status.to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        message: shortened(&verdict.message, LONGEST_MESSAGE),
        observed_generation: generation,
        last_transition_time: before
            .map_or_else(|| Time(now), |before| before.last_transition_time.clone()),
    }
}

/// True if all parts are; otherwise it speaks for the first part that is false, or else open.
fn ready(parts: &[(&str, Verdict)], inventory: &Inventory) -> Verdict {
    let of = |status: &str| {
        parts
            .iter()
            .map(|(_, verdict)| verdict)
            .find(|verdict| verdict.status == status)
    };
    if let Some(part) = of("False").or_else(|| of("Unknown")) {
        return Verdict::no(part.reason, part.message.clone());
    }
    let noted = parts.iter().map(|(_, verdict)| verdict).find(|verdict| {
        matches!(
            verdict.reason,
            Reason::NothingSelected | Reason::AmbiguousName | Reason::SeriesCapped
        )
    });
    match noted {
        Some(part) => Verdict::yes(part.message.clone()).because(part.reason),
        None => Verdict::yes(format!(
            "{} resources in {} accounts and regions are watched",
            inventory.resources, inventory.targets
        )),
    }
}

fn spec_valid(facts: &Facts<'_>) -> Verdict {
    // What passed all rules of ours and is refused by the API server in what we made of it.
    let refused = facts.failed.iter().flat_map(Error::refused_fields);
    let invalid: Vec<InvalidField> = facts.invalid.iter().cloned().chain(refused).collect();
    if invalid.is_empty() {
        let usable = "the specification can be used";
        return Verdict::yes(match facts.notes {
            [] => usable.to_owned(),
            notes => format!("{usable}; {}", some_of(notes)),
        });
    }
    let all: Vec<String> = invalid
        .iter()
        .map(|field| format!("{}: {}", field.field, field.message))
        .collect();
    Verdict::no(Reason::InvalidSpec, some_of(&all))
}

/// The text, or its beginning if it is longer than that many bytes.
pub fn shortened(text: &str, most: usize) -> String {
    const END: &str = " ...";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub(END.len()));
    format!("{}{END}", &text[..end])
}

fn some_of(all: &[String]) -> String {
    let shown = all
        .iter()
        .take(EXAMPLES)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    match all.len().saturating_sub(EXAMPLES) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// Empty while they differ; what is no hash is none.
fn common_hash(heard: &[&ExporterStatus]) -> String {
    let mut hashes = heard.iter().map(|status| &status.config_hash);
    let first = hashes.next();
    first
        .filter(|first| first.len() <= 64 && hashes.all(|hash| hash == *first))
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
