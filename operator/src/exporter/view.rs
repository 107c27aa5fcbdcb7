//! From the books to the rows that are published.

use std::sync::Arc;

use super::book::{Minute, Reading};
use super::collect::minutes;
use super::encode::{render_labels, tag_label, with_labels};
use super::membership::Tags;
use super::series::{Reads, SETTLE_MINUTES, Series};
use super::snapshot::{Row, RowValue, SubjectView};
use super::stats::Quantile;
use super::target::Target;
use crate::api::exporter_status::{ServiceStatus, TargetStatus};
use crate::api::stack::Latency;
use crate::services::ServiceId;
use crate::services::found::Fact;
use crate::services::table::{Family, FamilyKind, MetricKind};

/// Up to when the counters are final.
pub static COUNTED_THROUGH: Family = Family {
    name: "nightjar_exporter_counted_through_timestamp_seconds",
    kind: FamilyKind::Gauge,
    help: "All minutes that end by this time are final in the counters.",
};

/// Whether rules may judge.
pub static CATCHING_UP: Family = Family {
    name: "nightjar_exporter_catching_up",
    kind: FamilyKind::Gauge,
    help: "1 while the counters rise by a backlog of minutes, until it has left a rate window; rules do not judge then. A backlog of more than three hours is fetched in steps of five minutes, of more than a day in steps of an hour: no count is lost, but when in a step it was.",
};

/// The labels that all of a target's series have; none while its account is not known.
fn common(target: &Target) -> Option<String> {
    Some(render_labels([
        ("stack", target.config().name.as_str()),
        ("account_id", target.identity.as_ref()?.account_id.as_str()),
        ("region", target.parts.key.1.as_str()),
    ]))
}

/// The subjects that the target has to show now: first those that count, then settings.
pub fn subjects(target: &Target) -> Vec<SubjectView> {
    let config = target.config();
    let now = target.minute();
    let interval = minutes(target.parts.economy.terms().interval_seconds);
    let latency = &config.spec.latency;
    let mut subjects = Vec::new();
    let Some(common) = common(target) else {
        return subjects;
    };
    let quantiles = quantiles(latency);
    for watched in target
        .watched
        .iter()
        .filter(|watched| !watched.retired(now))
    {
        let labels = watched
            .subject
            .labels
            .iter()
            .map(|(name, value)| (*name, &**value));
        let oldest = now.back(watched.patience(now, interval) + SETTLE_MINUTES + 2);
        let work = watched.subject.longest_work_minutes;
        subjects.push(SubjectView {
            labels: with_labels(common.clone(), labels).into(),
            rows: watched
                .series
                .iter()
                .flat_map(|series| rows(series, &quantiles, oldest, work))
                .collect(),
        });
    }
    for (fact, tags) in target.inventory.facts() {
        subjects.push(SubjectView {
            labels: fact_labels(&common, fact, tags, &config.spec.tags).into(),
            rows: vec![Row {
                family: fact.family,
                labels: &[],
                value: RowValue::Gauge(fact.value),
            }],
        });
    }
    subjects
}

/// What is said of the counters that the target shows.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of our time are exact in a float"
)]
pub fn freshness(target: &Target) -> Vec<SubjectView> {
    let Some(common) = common(target) else {
        return Vec::new();
    };
    let rows = |through: i64| {
        let catching_up = f64::from(u8::from(target.catching_up()));
        [
            (&COUNTED_THROUGH, through as f64),
            (&CATCHING_UP, catching_up),
        ]
        .map(|(family, value)| Row {
            family,
            labels: &[],
            value: RowValue::Gauge(value),
        })
    };
    let counted = |(id, status): (&ServiceId, &ServiceStatus)| {
        let labels = with_labels(common.clone(), [("aws_service", id.name())]);
        Some(SubjectView {
            labels: labels.into(),
            rows: rows(status.counted_through?).into(),
        })
    };
    target.services.iter().filter_map(counted).collect()
}

/// The quantiles that a stack wants, each with the text of its label.
pub(super) fn quantiles(latency: &Latency) -> Vec<(Arc<str>, Quantile)> {
    let known = |text: &String| Some((text.as_str().into(), Quantile::parse(text)?));
    latency.quantiles.iter().filter_map(known).collect()
}

/// A series' own row, and the maximum and the histogram of a distribution. Readings from before `oldest` are left out; those of a
/// distribution wait for the longest work that began in their minute.
pub(super) fn rows(
    series: &Series,
    quantiles: &[(Arc<str>, Quantile)],
    oldest: Minute,
    longest_work_minutes: u32,
) -> impl Iterator<Item = Row> {
    let metric = series.metric;
    // A datapoint of five minutes is taken when they have settled, and the next one is five minutes away.
    let mut oldest = oldest.back(2 * metric.lag_minutes());
    if metric.kind.counts() {
        oldest = oldest.back(longest_work_minutes.into());
    }
    let fresh = |reads| {
        let reading = series.reading(reads);
        reading.filter(|reading: &Reading| reading.minute >= oldest)
    };
    let row = |family, value| Row {
        family,
        labels: metric.labels,
        value,
    };
    let greatest = || Some(RowValue::Gauge(fresh(Reads::Greatest)?.value));
    let (value, maximum) = match metric.kind {
        MetricKind::Counter => (Some(RowValue::Counter(series.sum.shown())), None),
        MetricKind::Distribution => {
            let summary = summary(series, quantiles, fresh);
            (Some(summary), greatest())
        }
        MetricKind::Maximum | MetricKind::Average => (greatest(), None),
    };
    let maximum = maximum.and_then(|value| Some(row(metric.maximum?, value)));
    let histogram = histogram(series).and_then(|value| Some(row(metric.histogram?, value)));
    value
        .map(|value| row(metric.family, value))
        .into_iter()
        .chain(maximum)
        .chain(histogram)
}

fn histogram(series: &Series) -> Option<RowValue> {
    let buckets = &series.buckets;
    (!buckets.is_empty()).then(|| RowValue::Histogram {
        sum: buckets.sum(),
        count: buckets.count(),
        buckets: buckets.shown(),
    })
}

fn summary(
    series: &Series,
    quantiles: &[(Arc<str>, Quantile)],
    fresh: impl Fn(Reads) -> Option<Reading>,
) -> RowValue {
    RowValue::Summary {
        sum: series.sum.shown(),
        count: series.count.shown(),
        quantiles: quantiles
            .iter()
            .filter_map(|(text, q)| Some((text.clone(), fresh(Reads::Quantile(*q))?.value)))
            .collect(),
    }
}

fn fact_labels(common: &str, fact: &Fact, values: Option<&Tags>, tags: &[String]) -> String {
    let labels = fact.labels.iter().map(|(name, value)| (*name, &**value));
    let mut text = with_labels(common.to_owned(), labels);
    if let Some(values) = values.filter(|_| fact.info) {
        let mut taken: Vec<String> = Vec::new();
        for key in tags {
            let label = tag_label(key);
            // Two keys may become one label: the first in the stack's list has it.
            if taken.contains(&label) {
                continue;
            }
            if let Some(value) = values.get(key) {
                text = with_labels(text, [(label.as_str(), value.as_str())]);
                taken.push(label);
            }
        }
    }
    text
}

/// What the target reports of itself.
pub fn status(target: &Target) -> TargetStatus {
    TargetStatus {
        account_id: target
            .identity
            .as_ref()
            .map(|identity| identity.account_id.clone()),
        role_arn: target.parts.key.0.clone(),
        region: target.parts.key.1.clone(),
        last_discovery: target.last_discovery,
        services: target
            .services
            .iter()
            .map(|(id, status)| (id.name().to_owned(), status.clone()))
            .collect(),
        problems: target.problems.list(),
    }
}
