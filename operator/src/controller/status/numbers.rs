//! What is watched, what that costs, and whether it is within the budget.

use super::{Facts, Verdict};
use crate::api::exporter_status::{ExporterStatus, Spend};
use crate::api::stack_status::{Inventory, SpendStatus};
use crate::api::{Duration, Reason};
use crate::exporter::plan::DOLLARS_PER_METRIC;

pub(super) fn inventory(heard: &[&ExporterStatus]) -> Inventory {
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
pub(super) fn spend(heard: &[&ExporterStatus]) -> SpendStatus {
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

pub(super) fn within_budget(facts: &Facts<'_>, heard: &[&ExporterStatus]) -> Verdict {
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

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
