//! Whether AWS answers in all accounts and regions, and what to do where it does not.

use super::{Facts, LONGEST_WORD, Verdict, shortened, some_of};
use crate::api::Reason;
use crate::api::exporter_status::{ExporterStatus, Problem, TargetStatus};
use crate::api::stack_status::Inventory;

pub(super) fn aws_reachable(
    facts: &Facts<'_>,
    heard: &[&ExporterStatus],
    inventory: &Inventory,
) -> Verdict {
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

/// How much a problem matters; the first is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Somebody has to do something.
    Act,
    /// It may pass.
    Wait,
    /// The stack works; something about it is worth knowing.
    Note,
}

pub(super) const fn severity(reason: Reason) -> Severity {
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
        // A role is assumed by who is not it yet.
        let whom = target
            .role_arn
            .as_deref()
            .filter(|_| action != "sts:AssumeRole")
            .unwrap_or("the exporter's identity");
        format!("; allow {action} to {whom}")
    } else {
        String::new()
    };
    format!("{place}: {named}{message}{remedy}")
}
