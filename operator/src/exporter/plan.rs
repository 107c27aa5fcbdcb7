//! Which questions are put to `GetMetricData`, and in which calls.
//!
//! All statistics of a metric ride in one call, because CloudWatch bills up to five of them as one
//! metric there. A call holds at most 500 queries.

use super::book::{Minute, Span};
use super::series::{Series, Stat, statistics};
use super::watched::Watched;
use crate::api::stack::Latency;

/// CloudWatch's limit of queries in a call.
pub const QUERIES_PER_CALL: usize = 500;
/// Statistics of one metric in one call that are billed as one metric.
const STATISTICS_PER_BILLED_METRIC: usize = 5;
/// Dollars for a billed metric.
pub const DOLLARS_PER_METRIC: f64 = 0.01 / 1000.0;
/// Series whose windows begin further apart than so many datapoints are not asked for in one call:
/// the shorter window would be fetched as long as the longer one.
const WIDEST_SPREAD: i64 = 60;

/// All statistics of one row of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which subject, by its place among the watched ones.
    pub subject: usize,
    /// Which of its series.
    pub row: usize,
    /// The statistics.
    pub stats: Vec<Stat>,
    /// What the answer is to cover.
    pub span: Span,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What is asked for: the longest window of the questions.
    pub span: Span,
    /// The questions.
    pub groups: Vec<Group>,
}

impl Group {
    /// What CloudWatch bills for it.
    pub fn billed_metrics(&self) -> u64 {
        self.stats.len().div_ceil(STATISTICS_PER_BILLED_METRIC) as u64
    }
}

impl Batch {
    /// What CloudWatch bills for it.
    pub fn billed_metrics(&self) -> u64 {
        self.groups.iter().map(Group::billed_metrics).sum()
    }
}

/// The questions for everything that is watched.
pub fn groups(watched: &[Watched], latency: &Latency, now: Minute) -> Vec<Group> {
    each_series(watched, now, |one, series| {
        let span = series.question(one.settle_at(now), now)?;
        let stats = statistics(series.metric, latency);
        // Quantiles of hours say nothing of minutes.
        let whole = span.bin == 1 && span.to >= now;
        let stats = stats.into_iter().filter(|stat| whole || stat.adds_up());
        Some((stats.collect(), span))
    })
}

/// The questions for the days that are to be compared.
pub fn audits(watched: &[Watched], now: Minute) -> Vec<Group> {
    each_series(watched, now, |_, series| {
        let span = series.audit_question(now)?;
        let stats = statistics(series.metric, &Latency::default());
        let stats = stats.into_iter().filter(Stat::adds_up);
        Some((stats.collect(), span))
    })
}

fn each_series(
    watched: &[Watched],
    now: Minute,
    question: impl Fn(&Watched, &Series) -> Option<(Vec<Stat>, Span)>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    let alive = watched
        .iter()
        .enumerate()
        .filter(|(_, one)| !one.retired(now));
    for (subject, one) in alive {
        for (row, series) in one.series.iter().enumerate() {
            if let Some((stats, span)) = question(one, series) {
                groups.push(Group {
                    subject,
                    row,
                    stats,
                    span,
                });
            }
        }
    }
    groups
}

/// Puts the questions into as few calls as can be.
pub fn batches(mut groups: Vec<Group>) -> Vec<Batch> {
    groups.sort_by_key(|group| (group.span.bin, group.span.to, group.span.from));
    let mut batches: Vec<Batch> = Vec::new();
    let mut queries = 0;
    for group in groups {
        let fits = batches.last().is_some_and(|batch| {
            queries + group.stats.len() <= QUERIES_PER_CALL
                && (group.span.bin, group.span.to) == (batch.span.bin, batch.span.to)
                && group.span.from.0 - batch.span.from.0 <= WIDEST_SPREAD * batch.span.bin
        });
        if !fits {
            queries = 0;
            batches.push(Batch {
                span: group.span,
                groups: Vec::new(),
            });
        }
        queries += group.stats.len();
        batches
            .last_mut()
            .expect("one was just pushed")
            .groups
            .push(group);
    }
    batches
}

/// Dollars that a month of 30 days costs when everything is asked for once an interval.
#[expect(clippy::cast_precision_loss, reason = "an estimate in dollars")]
pub fn dollars_per_month(billed_metrics: u64, interval_seconds: u32) -> f64 {
    let polls = 30.0 * 86_400.0 / f64::from(interval_seconds.max(1));
    billed_metrics as f64 * polls * DOLLARS_PER_METRIC
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(subject: usize, stats: usize, from: i64) -> Group {
        Group {
            subject,
            row: 0,
            stats: vec![Stat::Sum; stats],
            span: Span {
                from: Minute(from),
                to: Minute(1010),
                bin: 1,
            },
        }
    }

    #[test]
    fn no_call_is_too_large_and_no_metric_is_split_between_two() {
        let groups: Vec<_> = (0..999)
            .map(|subject| group(subject, 1 + subject % 6, 10))
            .collect();
        let batches = batches(groups.clone());
        let total: usize = groups.iter().map(|group| group.stats.len()).sum();
        assert!(
            batches
                .iter()
                .all(|b| b.groups.iter().map(|g| g.stats.len()).sum::<usize>() <= QUERIES_PER_CALL)
        );
        assert_eq!(
            batches.iter().map(|b| b.groups.len()).sum::<usize>(),
            groups.len()
        );
        assert!(batches.len() <= total.div_ceil(QUERIES_PER_CALL) + 1);
    }

    #[test]
    fn a_call_begins_with_its_oldest_window() {
        let batches = batches(vec![group(0, 1, 30), group(1, 1, 10)]);
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].span.from, Minute(10));
    }

    #[test]
    fn a_series_that_lags_far_behind_does_not_lengthen_the_others() {
        let batches = batches(vec![group(0, 1, 1000), group(1, 1, 10)]);
        assert_eq!(batches.len(), 2);
    }

    #[test]
    fn hours_and_minutes_are_asked_for_in_calls_of_their_own() {
        let mut hours = group(0, 1, 960);
        hours.span.bin = 60;
        assert_eq!(batches(vec![hours, group(1, 1, 960)]).len(), 2);
    }

    #[test]
    fn five_statistics_are_one_billed_metric_and_the_sixth_is_another() {
        assert_eq!(group(0, 5, 0).billed_metrics(), 1);
        assert_eq!(group(0, 6, 0).billed_metrics(), 2);
        // 5,000 metrics every five minutes: AWS's price list says 432 dollars.
        assert!((dollars_per_month(5000, 300) - 432.0).abs() < 1e-9);
    }
}
