//! `GetMetricData` and `ListMetrics`: AWS's documented contract over the pure series.
//!
//! Requests and answers are plain data here; `wire` turns them into CBOR or JSON. What AWS refuses
//! is refused with its code, what AWS answers silently with nothing (a period that is too fine for
//! the age of the data) is answered with nothing.

mod listing;
mod parse;
mod summaries;

use std::collections::{HashMap, HashSet};

use super::api::{open, seal};
use super::model::RegionModel;
use super::stats::{Stat, Summary};
pub use listing::list_metrics;
use summaries::Buckets;
pub use summaries::summarize;

/// One metric of a call.
#[derive(Debug)]
pub struct Query<'v> {
    /// Names its result.
    pub id: &'v str,
    namespace: &'v str,
    metric: &'v str,
    dimensions: Vec<(&'v str, &'v str)>,
    period: i64,
    stat: Stat,
    stat_text: &'v str,
    label: Option<&'v str>,
    returned: bool,
}

/// A whole call.
#[derive(Debug)]
pub struct Request<'v> {
    start: i64,
    end: i64,
    /// Its queries.
    pub queries: Vec<Query<'v>>,
    ascending: bool,
    max_datapoints: usize,
    from: Position,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    query: usize,
    datapoint: usize,
    now_ms: Option<i64>,
}

/// Result of one query.
#[derive(Debug, Clone)]
pub struct MetricResult {
    /// The query's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Beginnings of periods, seconds since 1970.
    pub timestamps: Vec<i64>,
    /// Their values.
    pub values: Vec<f64>,
    /// `Complete`, `PartialData`, `InternalError` or `Forbidden`.
    pub status: &'static str,
}

/// Answer to a call.
#[derive(Debug)]
pub struct Answer {
    /// Results, in the order of the queries.
    pub results: Vec<MetricResult>,
    /// Where the next page begins.
    pub next_token: Option<String>,
    /// A message about the whole call.
    pub message: Option<&'static str>,
}

impl Answer {
    /// Number of datapoints in it.
    pub fn datapoints(&self) -> usize {
        self.results.iter().map(|r| r.values.len()).sum()
    }
}

impl Request<'_> {
    /// Whether a statistic of the call is a trimmed count.
    pub fn counts_some(&self) -> bool {
        self.queries.iter().any(Query::counts_some)
    }

    /// What `CloudWatch` charges for: five statistics of one metric are one.
    pub fn billed(&self) -> u64 {
        let mut stats: HashMap<_, HashSet<&str>> = HashMap::new();
        for query in &self.queries {
            let mut dimensions = query.dimensions.clone();
            dimensions.sort_unstable();
            stats
                .entry((query.namespace, query.metric, dimensions))
                .or_default()
                .insert(query.stat_text);
        }
        stats.values().map(|s| s.len().div_ceil(5) as u64).sum()
    }

    /// The datapoints that AWS's rate limit counts: the range by the period, whether they exist or not.
    pub fn estimated_datapoints(&self) -> u64 {
        self.queries
            .iter()
            .map(|q| u64::try_from((self.end - self.start) / q.period).unwrap_or(0))
            .sum()
    }

    /// The periods of its queries, in seconds.
    pub fn periods(&self) -> impl Iterator<Item = i64> {
        self.queries.iter().map(|q| q.period)
    }

    /// Whether all of it is after this second.
    pub fn starts_after(&self, second: i64) -> bool {
        self.start > second
    }

    /// Whether it asks for the first page.
    pub fn begins(&self) -> bool {
        self.from.now_ms.is_none()
    }

    /// A token that leads to the first page.
    pub fn first_page(&self, now_ms: i64) -> String {
        let now_ms = Some(self.from.now_ms.unwrap_or(now_ms));
        let from = Position {
            now_ms,
            ..Position::default()
        };
        from.token()
    }

    /// The whole minutes of its window, in seconds since 1970.
    pub fn minutes(&self) -> impl Iterator<Item = i64> {
        (self.start.div_euclid(60)..self.end.div_euclid(60)).map(|minute| minute * 60)
    }

    /// Leaves out all datapoints of trimmed counts.
    pub fn without_trimmed_counts(&self, answer: &mut Answer) {
        for query in self.queries.iter().filter(|query| query.counts_some()) {
            for result in answer.results.iter_mut().filter(|r| r.id == query.id) {
                result.values.clear();
                result.timestamps.clear();
            }
        }
    }

    /// Cuts an answer in half, with a token for the rest.
    pub fn halve(&self, answer: &mut Answer, now_ms: i64) {
        let keep = answer.datapoints() / 2;
        let mut seen = 0;
        for number in 0..answer.results.len() {
            let result = &mut answer.results[number];
            let room = keep - seen;
            if result.values.len() <= room {
                seen += result.values.len();
                continue;
            }
            result.values.truncate(room);
            result.timestamps.truncate(room);
            result.status = "PartialData";
            let query = self
                .queries
                .iter()
                .position(|q| q.id == result.id)
                .unwrap_or(0);
            let before = if query == self.from.query {
                self.from.datapoint
            } else {
                0
            };
            let position = Position {
                query,
                datapoint: before + room,
                now_ms: Some(self.from.now_ms.unwrap_or(now_ms)),
            };
            answer.results.truncate(number + 1);
            answer.next_token = Some(position.token());
            return;
        }
    }

    /// Carries the call out.
    pub fn answer(&self, region: &RegionModel, now_ms: i64) -> Answer {
        // Pages of one call show one moment, or a page could repeat or skip a datapoint.
        let now_ms = self.from.now_ms.unwrap_or(now_ms);
        let mut results = Vec::new();
        let mut room = self.max_datapoints;
        let mut next = None;
        let mut last: Option<Buckets> = None;
        for (number, query) in self.queries.iter().enumerate().skip(self.from.query) {
            if !query.returned {
                continue;
            }
            if room == 0 {
                next = Some(Position {
                    query: number,
                    datapoint: 0,
                    now_ms: Some(now_ms),
                });
                break;
            }
            let buckets = match last.take() {
                Some(buckets) if buckets.serves(query) => buckets,
                _ => Buckets::fill(self, number, region, now_ms),
            };
            let skip = if number == self.from.query {
                self.from.datapoint
            } else {
                0
            };
            let taken = buckets.summaries.len().saturating_sub(skip).min(room);
            let order: Box<dyn Iterator<Item = &(i64, Summary)>> = if self.ascending {
                Box::new(buckets.summaries.iter())
            } else {
                Box::new(buckets.summaries.iter().rev())
            };
            let (timestamps, values) = order
                .skip(skip)
                .take(taken)
                .map(|(at, summary)| (*at, summary.stat(query.stat)))
                .unzip();
            room -= taken;
            let cut = skip + taken < buckets.summaries.len();
            results.push(MetricResult {
                id: query.id.to_owned(),
                label: query.label.unwrap_or(query.metric).to_owned(),
                timestamps,
                values,
                status: if cut { "PartialData" } else { "Complete" },
            });
            if cut {
                next = Some(Position {
                    query: number,
                    datapoint: skip + taken,
                    now_ms: Some(now_ms),
                });
                break;
            }
            last = Some(buckets);
        }
        Answer {
            results,
            next_token: next.map(Position::token),
            message: None,
        }
    }
}

impl Position {
    fn token(self) -> String {
        seal(&format!(
            "gmd:{}:{}:{}",
            self.query,
            self.datapoint,
            self.now_ms.unwrap_or(0)
        ))
    }

    fn read(token: &str) -> Option<Self> {
        let opened = open(token)?;
        let mut parts = opened.strip_prefix("gmd:")?.split(':');
        Some(Self {
            query: parts.next()?.parse().ok()?,
            datapoint: parts.next()?.parse().ok()?,
            now_ms: Some(parts.next()?.parse().ok()?),
        })
    }
}

impl Query<'_> {
    /// Whether its statistic is a trimmed count.
    fn counts_some(&self) -> bool {
        self.stat_text.starts_with("TC")
    }

    fn same_metric(&self, other: &Self) -> bool {
        self.metric == other.metric
            && self.namespace == other.namespace
            && self.period == other.period
            && self.dimensions == other.dimensions
    }
}
