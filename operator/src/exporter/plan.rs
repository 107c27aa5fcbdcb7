//! Which questions are put to `GetMetricData`, and in which calls; what that costs.
//!
//! All statistics of a metric ride in one call, because CloudWatch bills up to five of them as one
//! metric there. A call holds at most 500 queries.

use std::collections::{BTreeMap, HashMap};

use super::book::{Minute, Span};
use super::gates::{Gates, LEAST_ROWS};
use super::series::{Series, Stat, statistics};
use super::stats::with_buckets;
use super::watched::Watched;
use crate::api::stack::Latency;
use crate::services::table::Metric;

/// CloudWatch's limit of queries in a call.
pub const QUERIES_PER_CALL: usize = 500;
/// Statistics of one metric in one call that are billed as one metric.
const STATISTICS_PER_BILLED_METRIC: usize = 5;
/// Dollars for a billed metric.
pub const DOLLARS_PER_METRIC: f64 = 0.01 / 1000.0;
/// Datapoints that the answer to a call may have, as CloudWatch estimates them: a period each of the window for each
/// query. A page holds 100,800; a call whose answer is one page is asked, and counted against the quota, once.
const DATAPOINTS_PER_CALL: i64 = 90_000;
/// Series whose windows begin further apart than so many datapoints are not asked for in one call:
/// the shorter window would be fetched as long as the longer one.
const WIDEST_SPREAD: i64 = 60;

/// The series of a region as a whole: its namespace and metric; it has no dimensions.
pub type Region = (&'static str, &'static str);

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A row of a subject.
    Row {
        /// Which subject, by its place among the watched ones.
        subject: usize,
        /// Which of its series.
        row: usize,
    },
    /// A region's series, which tells of rows that they are zero.
    Region(Region),
}

/// All statistics of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is about.
    pub of: Of,
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

const fn billed(statistics: usize) -> u64 {
    statistics.div_ceil(STATISTICS_PER_BILLED_METRIC) as u64
}

impl Group {
    /// The subject and its series that it is about; none if it is about a region.
    pub fn row<'a>(&self, watched: &'a [Watched]) -> Option<(&'a Watched, &'a Series)> {
        match self.of {
            Of::Row { subject, row } => {
                let watched = &watched[subject];
                Some((watched, &watched.series[row]))
            }
            Of::Region(_) => None,
        }
    }

    /// What CloudWatch bills for it.
    pub fn billed_metrics(&self) -> u64 {
        billed(self.stats.len())
    }
}

impl Batch {
    /// What CloudWatch bills for it.
    pub fn billed_metrics(&self) -> u64 {
        billed_metrics(&self.groups)
    }

    /// The datapoints that CloudWatch takes it for, whether there are any or not.
    pub fn datapoints(&self) -> i64 {
        let queries: usize = self.groups.iter().map(|group| group.stats.len()).sum();
        datapoints(self.span, queries)
    }
}

fn datapoints(span: Span, queries: usize) -> i64 {
    let queries = i64::try_from(queries).expect("a call holds 500");
    (span.to.0 - span.from.0) / span.bin * queries
}

/// What CloudWatch bills for questions.
pub fn billed_metrics(groups: &[Group]) -> u64 {
    groups.iter().map(Group::billed_metrics).sum()
}

/// The questions for everything that is due when a poll follows after another in `interval` minutes.
pub fn groups(watched: &[Watched], latency: &Latency, interval: i64, now: Minute) -> Vec<Group> {
    each_series(watched, now, |one, series| {
        if !one.due(now, interval) {
            return None;
        }
        let span = series.question(one.settle_at(now), now)?;
        let stats = with_buckets(series.metric, latency, &series.buckets);
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
        .filter(|(_, one)| !one.retired(now) && !one.left_out);
    for (subject, one) in alive {
        for (row, series) in one.series.iter().enumerate() {
            if let Some((stats, span)) = question(one, series) {
                let of = Of::Row { subject, row };
                groups.push(Group { of, stats, span });
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
            let queries = queries + group.stats.len();
            queries <= QUERIES_PER_CALL
                && datapoints(batch.span, queries) <= DATAPOINTS_PER_CALL
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

/// What polling costs in 30 days: metrics, as they are billed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demand {
    /// At each of the intervals, if everything goes on as it is: idle subjects are asked less often, rows that are ruled
    /// out are not, and the days are compared.
    pub expected: Vec<f64>,
    /// At the last of the intervals, if everything is in use and fails.
    pub most: f64,
}

/// What polling costs at each of these intervals, in seconds.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn demand(
    watched: &[Watched],
    gates: &Gates,
    latency: &Latency,
    intervals: &[u32],
    now: Minute,
) -> Demand {
    const MONTH_MINUTES: f64 = 30.0 * 24.0 * 60.0;
    let mut prices: HashMap<*const Metric, u64> = HashMap::new();
    let mut regions: BTreeMap<Region, usize> = BTreeMap::new();
    // What is asked for in a poll, by how long the subject would wait if polls were ever so frequent.
    let mut by_patience: BTreeMap<i64, u64> = BTreeMap::new();
    let (mut all, mut audits) = (0, 0);
    let asked_for = |one: &&Watched| !one.retired(now) && !one.left_out;
    for one in watched.iter().filter(asked_for) {
        let mut asked = 0;
        for series in &one.series {
            let price = prices
                .entry(std::ptr::from_ref(series.metric))
                .or_insert_with(|| billed(statistics(series.metric, latency).len()));
            all += *price;
            audits += u64::from(series.metric.kind.counts());
            if let Some(region) = gates.region(one, series) {
                *regions.entry(region).or_default() += 1;
            }
            if !gates.rules_out(one, series) {
                asked += *price;
            }
        }
        *by_patience.entry(one.patience(now, 0)).or_default() += asked;
    }
    let told = regions.values().filter(|rows| **rows >= LEAST_ROWS).count() as f64;
    let minutes = |interval: &u32| f64::from((*interval).max(60)) / 60.0;
    let audits = audits as f64 * 30.0;
    let expected = |interval: &u32| {
        let interval = minutes(interval);
        let per_minute = by_patience
            .iter()
            .map(|(patience, asked)| *asked as f64 / interval.max(*patience as f64));
        (per_minute.sum::<f64>() + told / interval) * MONTH_MINUTES + audits
    };
    let slowest = intervals.last().map_or(1.0, minutes);
    Demand {
        expected: intervals.iter().map(expected).collect(),
        most: (all as f64 + told) / slowest * MONTH_MINUTES + audits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(subject: usize, stats: usize, from: i64) -> Group {
        Group {
            of: Of::Row { subject, row: 0 },
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
            .map(|subject| group(subject, 1 + subject % 6, 1000))
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
    fn a_long_backlog_is_asked_for_in_calls_whose_answers_are_one_page() {
        let day = |subject| {
            let mut group = group(subject, 2, 1010 - 24 * 60);
            group.span.bin = 5;
            group
        };
        let batches = batches((0..400).map(day).collect());
        assert!(batches.iter().all(|batch| batch.datapoints() <= 90_000));
        assert_eq!(batches[0].datapoints(), 288 * 2 * 156);
        assert_eq!(batches.len(), 3);
        // One that is larger by itself is asked for all the same.
        let mut alone = group(0, 5, 1010 - 60 * 24 * 800);
        alone.span.bin = 60;
        assert_eq!(super::batches(vec![alone.clone(), alone]).len(), 2);
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
    }
}
