//! What is said about a stack: six conditions and some numbers, judged from plain facts.
//!
//! All conditions are there from the first reconcile on. A message says what is the matter, where,
//! and what to do. `lastTransitionTime` moves only when a condition's status does.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::error::Error;
use super::exporters::Exporter;
use super::look::Looked;
use crate::api::exporter_status::{ExporterStatus, Problem, Spend, TargetStatus};
use crate::api::shards::Assignment;
use crate::api::stack_status::{
    ExporterStatusSummary, Inventory, ServerlessStackStatus, SpendStatus,
};
use crate::api::validate::InvalidField;
use crate::api::{Duration, Reason};
use crate::exporter::plan::DOLLARS_PER_METRIC;

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
        inventory(&heard)
    } else {
        previous.inventory.clone()
    };
    let spend = if whole {
        spend(&heard)
    } else {
        previous.spend.clone()
    };

    let parts = [
        (SPEC_VALID, spec_valid(facts)),
        (EXPORTER_AVAILABLE, exporter_available(facts, &heard)),
        (AWS_REACHABLE, aws_reachable(facts, &heard, &inventory)),
        (MONITORING_CONFIGURED, monitoring_configured(facts)),
        (WITHIN_BUDGET, within_budget(facts, &heard)),
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

fn exporter_available(facts: &Facts<'_>, heard: &[&ExporterStatus]) -> Verdict {
    let Facts {
        namespace,
        object_name,
        ..
    } = facts;
    if !facts.invalid.is_empty() {
        return Verdict::unknown(
            Reason::InvalidSpec,
            "exporters are not changed while the specification cannot be used",
        );
    }
    let mut failed = facts.failed.iter();
    if let Some(error) = failed.find(|error| !error.is_about_monitoring()) {
        return Verdict::no(error.reason(), error.to_string());
    }
    let Some(pods) = facts.looked.set else {
        return Verdict::unknown(
            Reason::Progressing,
            "the exporter's StatefulSet is being made",
        );
    };
    if let Some(twice) = published_twice(&facts.looked.exporters) {
        return Verdict::no(Reason::PublishedTwice, twice);
    }
    if let Some((pod, node)) = facts.looked.stuck.first() {
        return Verdict::no(Reason::PodStuck, stuck(namespace, pod, node.as_deref()));
    }
    if pods.ready < pods.wanted {
        return Verdict::no(
            Reason::ExporterNotReady,
            format!(
                "{} of {} exporter pods are ready: if this lasts, kubectl -n {namespace} describe pod -l app.kubernetes.io/instance={} says why",
                pods.ready,
                pods.wanted,
                object_name.trim_end_matches("-exporter"),
            ),
        );
    }
    if pods.updated < pods.wanted {
        return Verdict::no(
            Reason::ExporterNotReady,
            format!(
                "{} of {} exporter pods were replaced by new ones",
                pods.updated, pods.wanted
            ),
        );
    }
    let silent: Vec<String> = facts
        .looked
        .exporters
        .iter()
        .filter_map(|exporter| {
            Some(format!(
                "{}: {}",
                exporter.pod,
                shortened(exporter.status.as_ref().err()?, LONGEST_WORD)
            ))
        })
        .collect();
    if !silent.is_empty() {
        return Verdict::no(
            Reason::ExporterUnreachable,
            format!(
                "{}; a NetworkPolicy must let the operator reach the exporters",
                some_of(&silent)
            ),
        );
    }
    if heard.len() < usize::try_from(pods.wanted).unwrap_or_default() {
        return Verdict::no(
            Reason::ExporterUnreachable,
            format!(
                "the EndpointSlices of Service {namespace}/{object_name} name {} of {} exporters",
                heard.len(),
                pods.wanted
            ),
        );
    }
    if let Some(error) = heard.iter().find_map(|status| status.config_error.as_ref()) {
        return Verdict::no(
            Reason::InvalidSpec,
            format!(
                "the exporter cannot use its configuration: {}",
                shortened(error, LONGEST_WORD)
            ),
        );
    }
    if heard
        .iter()
        .any(|status| status.config_hash != facts.config_hash)
    {
        return Verdict::no(
            Reason::ConfigurationPending,
            "the exporter still runs the configuration before the last change: the kubelet brings it the new one within about a minute",
        );
    }
    if let Some(assignment) = facts.assignment.filter(|assignment| assignment.is_moving()) {
        let awaited: Vec<String> = assignment
            .awaited()
            .into_iter()
            .map(|shard| format!("{object_name}-{shard}"))
            .collect();
        return Verdict::no(
            Reason::Resharding,
            format!(
                "the number of shards is {} now: accounts and regions that move wait until {} says that it has released them",
                assignment.shards,
                some_of(&awaited)
            ),
        );
    }
    Verdict::yes(format!(
        "{} of {} exporters run the present configuration",
        pods.ready, pods.wanted
    ))
}

/// Tells of an account and region that two exporters publish. It cannot happen as long as kubelets
/// do what they promise, or two of spec.accounts are one account.
fn published_twice(exporters: &[Exporter]) -> Option<String> {
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for exporter in exporters {
        for target in exporter.status.iter().flat_map(|status| &status.targets) {
            let Some(account) = &target.account_id else {
                continue;
            };
            let other = seen.insert((account, &target.region), &exporter.pod);
            if let Some(other) = other.filter(|other| *other != exporter.pod) {
                return Some(format!(
                    "account {account}, {} is published by {other} and by {}: if spec.accounts names the account twice, remove one; else delete the pod that started last",
                    target.region, exporter.pod
                ));
            }
        }
    }
    None
}

fn stuck(namespace: &str, pod: &str, node: Option<&str>) -> String {
    let node = node.unwrap_or("its node");
    format!(
        "pod {pod} does not end: if {node} is lost, make sure that it is switched off, then let the pod go by \
         kubectl taint nodes {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or by \
         kubectl -n {namespace} delete pod {pod} --force; two pods of one shard would publish everything twice, so the operator does not do it"
    )
}

fn aws_reachable(facts: &Facts<'_>, heard: &[&ExporterStatus], inventory: &Inventory) -> Verdict {
    if facts.suspend {
        return Verdict::unknown(
            Reason::Suspended,
            "spec.suspend is true: AWS is not asked, and counters stand still",
        );
    }
    if heard.is_empty() {
        return Verdict::unknown(
            Reason::Progressing,
            "no exporter has said yet whether it reaches AWS",
        );
    }
    let targets: Vec<&TargetStatus> = heard.iter().flat_map(|status| &status.targets).collect();
    let mut problems: Vec<(&TargetStatus, &Problem)> = targets
        .iter()
        .flat_map(|target| {
            target
                .problems
                .iter()
                .map(move |problem| (*target, problem))
        })
        .collect();
    // The worst first, then a stable order, so that the message changes only when the facts do.
    problems.sort_by_key(|(target, problem)| {
        (
            severity(problem.reason),
            place(target),
            problem.action.clone(),
        )
    });
    let (failures, notes): (Vec<_>, Vec<_>) = problems
        .into_iter()
        .partition(|(_, problem)| severity(problem.reason) != Severity::Note);
    if let Some((_, worst)) = failures.first() {
        let all: Vec<String> = failures
            .iter()
            .map(|(target, problem)| sentence(target, problem))
            .collect();
        let works = targets
            .iter()
            .filter(|target| !failures.iter().any(|(failing, _)| failing == *target))
            .count();
        return Verdict::no(
            worst.reason,
            format!(
                "{} ({works} of {} accounts and regions work)",
                some_of(&all),
                targets.len()
            ),
        );
    }
    let waiting: Vec<String> = targets
        .iter()
        .filter(|target| !was_read(target))
        .map(|target| place(target))
        .collect();
    let stopped = |status: &&ExporterStatus| status.spend.least_budget_usd_per_month.is_some();
    if heard.iter().any(stopped) {
        return Verdict::unknown(
            Reason::BudgetTooSmall,
            "nothing is polled: the condition WithinBudget says why",
        );
    }
    if !waiting.is_empty() || targets.is_empty() {
        return Verdict::unknown(
            Reason::Progressing,
            format!(
                "the first discovery and poll are under way: {}",
                some_of(&waiting)
            ),
        );
    }
    if let Some((_, first)) = notes.first() {
        let all: Vec<String> = notes
            .iter()
            .map(|(target, problem)| sentence(target, problem))
            .collect();
        return Verdict::yes(some_of(&all)).because(first.reason);
    }
    if inventory.resources == 0 {
        return Verdict::yes(
            "AWS answers, but nothing there is selected: compare spec.select and spec.regions with the resources' tags and names",
        )
        .because(Reason::NothingSelected);
    }
    Verdict::yes(format!("all {} accounts and regions answer", targets.len()))
}

fn monitoring_configured(facts: &Facts<'_>) -> Verdict {
    let Facts {
        namespace,
        object_name,
        ..
    } = facts;
    if !facts.invalid.is_empty() {
        return Verdict::unknown(
            Reason::InvalidSpec,
            "monitoring objects are not changed while the specification cannot be used",
        );
    }
    let about_monitoring: Vec<&Error> = facts
        .failed
        .iter()
        .filter(|error| error.is_about_monitoring())
        .collect();
    if let Some(first) = about_monitoring.first() {
        let all: Vec<String> = about_monitoring.iter().map(ToString::to_string).collect();
        return Verdict::no(first.reason(), some_of(&all));
    }
    if !facts.applied {
        let reason = facts
            .failed
            .first()
            .map_or(Reason::Progressing, Error::reason);
        return Verdict::unknown(reason, "the stack's objects could not be looked at");
    }
    let Monitoring {
        service_monitor,
        prometheus_rules,
        route_is_lost,
        misses_grafana,
    } = &facts.monitoring;
    let found = match service_monitor {
        Some(labels) if labels.is_empty() => format!(
            "ServiceMonitor {namespace}/{object_name} is there, without labels of yours: if your Prometheus selects by a label (kube-prometheus-stack: release), set it in spec.monitoring.labels or the chart's monitoring.labels"
        ),
        Some(labels) => {
            let labels: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!(
                "ServiceMonitor {namespace}/{object_name} is there to be selected by {}",
                labels.join(", ")
            )
        }
        None => format!(
            "no kind ServiceMonitor in this cluster: Service {namespace}/{object_name} carries prometheus.io/* annotations instead"
        ),
    };
    let rules = if *prometheus_rules {
        String::new()
    } else {
        format!(
            "; no kind PrometheusRule in this cluster: the rules are in ConfigMap {namespace}/{object_name}-rules instead, for the rule_files of your Prometheus"
        )
    };
    let dashboards = if *misses_grafana {
        "; no kind GrafanaDashboard in this cluster: the dashboards are ConfigMaps beside the operator instead, for Grafana's sidecar"
    } else {
        ""
    };
    if *route_is_lost {
        return Verdict::no(
            Reason::AlertmanagerConfigAbsent,
            format!(
                "no kind AlertmanagerConfig in this cluster: nobody is told of alerts as spec.alerts.route says. Install the \
                 Prometheus operator, or give your Alertmanager what nightjar render --route prints and remove \
                 spec.alerts.route; {found}{rules}{dashboards}"
            ),
        );
    }
    let verdict = Verdict::yes(format!("{found}{rules}{dashboards}"));
    match service_monitor {
        Some(_) => verdict,
        None => verdict.because(Reason::PrometheusOperatorAbsent),
    }
}

/// How much a problem matters; the first is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Somebody has to do something.
    Act,
    /// It may pass.
    Wait,
    /// The stack works; something about it is worth knowing.
    Note,
}

const fn severity(reason: Reason) -> Severity {
    match reason {
        Reason::AccessDenied
        | Reason::CredentialsInvalid
        | Reason::InvalidRequest
        | Reason::InvalidSpec
        | Reason::NameConflict
        | Reason::NotFound
        | Reason::PodStuck
        | Reason::PublishedTwice
        | Reason::StateNotSaved
        | Reason::AlertmanagerConfigAbsent
        | Reason::StorageUnchangeable
        | Reason::BudgetTooSmall => Severity::Act,
        Reason::Unreachable
        | Reason::Timeout
        | Reason::ServerError
        | Reason::InvalidAnswer
        | Reason::Throttled
        | Reason::KubernetesApi
        | Reason::ExporterNotReady
        | Reason::ExporterUnreachable
        | Reason::Contested
        | Reason::Unknown => Severity::Wait,
        Reason::AsExpected
        | Reason::Progressing
        | Reason::Suspended
        | Reason::ConfigurationPending
        | Reason::Resharding
        | Reason::PrometheusOperatorAbsent
        | Reason::NothingSelected
        | Reason::AmbiguousName
        | Reason::BudgetStretched
        | Reason::HistogramsUnavailable
        | Reason::ClockSkewed
        | Reason::SeriesCapped => Severity::Note,
    }
}

/// Whether discovery succeeded and whatever it found was polled.
fn was_read(target: &TargetStatus) -> bool {
    target.last_discovery.is_some()
        && target
            .services
            .values()
            .all(|service| service.resources == 0 || service.last_poll.is_some())
}

fn place(target: &TargetStatus) -> String {
    let account = target.account_id.clone().map(|id| format!("account {id}"));
    let account = account
        .or_else(|| {
            target
                .role_arn
                .clone()
                .map(|role| format!("the account of {role}"))
        })
        .unwrap_or_else(|| "the credentials' own account".to_owned());
    format!("{account}, {}", target.region)
}

fn sentence(target: &TargetStatus, problem: &Problem) -> String {
    let place = place(target);
    let Problem {
        reason,
        action,
        message,
        ..
    } = problem;
    let (action, message) = (
        &shortened(action, LONGEST_WORD),
        &shortened(message, LONGEST_WORD),
    );
    let named = if action.is_empty() || message.contains(action) {
        String::new()
    } else {
        format!("{action}: ")
    };
    let remedy = if *reason == Reason::AccessDenied && !action.is_empty() {
        let whom = target
            .role_arn
            .as_deref()
            .unwrap_or("the exporter's identity");
        format!("; allow {action} to {whom}")
    } else {
        String::new()
    };
    format!("{place}: {named}{message}{remedy}")
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

fn inventory(heard: &[&ExporterStatus]) -> Inventory {
    let mut inventory = Inventory::default();
    for status in heard {
        inventory.series = inventory.series.saturating_add(to_i64(status.series));
        for target in &status.targets {
            inventory.targets += 1;
            for (service, found) in &target.services {
                let found = to_i64(found.resources);
                inventory.resources = inventory.resources.saturating_add(found);
                let of_service = match service.as_str() {
                    "lambda" => &mut inventory.functions,
                    "dynamodb" => &mut inventory.tables,
                    "apigateway" => &mut inventory.apis,
                    // An exporter of a newer version: counted among the resources.
                    _ => continue,
                };
                *of_service = of_service.saturating_add(found);
            }
        }
    }
    inventory
}

/// Of no exporter 0, and not -0.
fn total(heard: &[&ExporterStatus], of: impl Fn(&Spend) -> f64) -> f64 {
    heard.iter().map(|status| of(&status.spend)).sum::<f64>() + 0.0
}

#[expect(clippy::cast_precision_loss, reason = "dollars and cents")]
fn spend(heard: &[&ExporterStatus]) -> SpendStatus {
    let forecast = total(heard, |spend| spend.forecast_usd_per_month);
    let spent = total(heard, |spend| {
        spend.metrics_requested as f64 * DOLLARS_PER_METRIC
    });
    SpendStatus {
        forecast_usd_per_month: format!("{forecast:.2}"),
        spent_usd: format!("{spent:.2}"),
        interval: slowest(heard).map_or_else(String::new, |interval| interval.to_string()),
    }
}

/// The interval of the exporter that polls most slowly.
fn slowest(heard: &[&ExporterStatus]) -> Option<Duration> {
    let seconds = heard.iter().map(|status| status.spend.interval_seconds);
    seconds
        .max()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}

fn within_budget(facts: &Facts<'_>, heard: &[&ExporterStatus]) -> Verdict {
    let sum = |of: fn(&Spend) -> Option<f64>| {
        let parts = heard.iter().filter_map(|status| of(&status.spend));
        parts.reduce(|a, b| a + b)
    };
    let Some(budget) = sum(|spend| spend.budget_usd_per_month) else {
        return if heard.is_empty() {
            Verdict::unknown(Reason::Progressing, "what polling costs is not known yet")
        } else {
            Verdict::yes("there is no budget: spec.collection.budgetUsdPerMonth sets one")
        };
    };
    let stopped = heard
        .iter()
        .any(|status| status.spend.least_budget_usd_per_month.is_some());
    if stopped {
        let least = |spend: &Spend| {
            spend
                .least_budget_usd_per_month
                .or(spend.budget_usd_per_month)
        };
        let least = (sum(least).unwrap_or_default() * 100.0).ceil() / 100.0;
        return Verdict::no(
            Reason::BudgetTooSmall,
            format!(
                "nothing is polled: even the slowest polling costs more than the ${budget:.2} of \
                 spec.collection.budgetUsdPerMonth. Set it to \"{least:.2}\" at least, select less, or leave metrics out \
                 with spec.services.<name>.excludeMetrics; `nightjar plan` shows what costs how much"
            ),
        );
    }
    let forecast = total(heard, |spend| spend.forecast_usd_per_month);
    let costs = format!("polling costs ${forecast:.2} of ${budget:.2} in 30 days");
    let slowest = slowest(heard).filter(|interval| interval.as_secs() > facts.interval.as_secs());
    match slowest {
        Some(slowest) => Verdict::yes(format!(
            "{costs}, and for that goes on every {slowest} instead of every {}; nothing is lost but freshness",
            facts.interval
        ))
        .because(Reason::BudgetStretched),
        None => Verdict::yes(costs),
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

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
