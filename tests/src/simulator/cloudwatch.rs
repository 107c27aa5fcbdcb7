//! `GetMetricData` and `ListMetrics`: AWS's documented contract over the pure series.
//!
//! Requests and answers are plain data here; `wire` turns them into CBOR or JSON. What AWS refuses
//! is refused with its code, what AWS answers silently with nothing (a period that is too fine for
//! the age of the data) is answered with nothing.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::api::{ApiError, Context, integer, list, open, seal, text};
use super::lateness::View;
use super::metrics::{DYNAMODB, LAMBDA, Measure, ROWS};
use super::model::RegionModel;
use super::series::Series;
use super::stats::{Stat, Summary};
use super::traffic::MINUTE_MS;

/// Most queries of one call.
const MAX_QUERIES: usize = 500;
/// Most datapoints of one answer.
const MAX_DATAPOINTS: usize = 100_800;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

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

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::caller("ValidationError", message)
}

fn required(field: &str) -> ApiError {
    invalid(format!("The parameter {field} is required."))
}

impl<'v> Request<'v> {
    /// Checks a call as AWS does.
    pub fn parse(input: &'v Value) -> Result<Self, ApiError> {
        let start = integer(input, "StartTime").ok_or_else(|| required("StartTime"))?;
        let end = integer(input, "EndTime").ok_or_else(|| required("EndTime"))?;
        let queries = list(input, "MetricDataQueries");
        if queries.is_empty() {
            return Err(required("MetricDataQueries"));
        }
        if queries.len() > MAX_QUERIES {
            return Err(invalid(format!(
                "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
            )));
        }
        if start >= end {
            return Err(invalid(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        let mut ids = HashSet::new();
        let queries = queries
            .iter()
            .map(|q| {
                let query = Query::parse(q)?;
                if ids.insert(query.id) {
                    Ok(query)
                } else {
                    Err(invalid(
                        "The values for parameter id in MetricDataQueries are not unique.",
                    ))
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !queries.iter().any(|q| q.returned) {
            return Err(invalid("At least one query must return data (ReturnData)."));
        }
        let max_datapoints = match integer(input, "MaxDatapoints") {
            None => MAX_DATAPOINTS,
            Some(most) => usize::try_from(most)
                .ok()
                .filter(|m| (1..=MAX_DATAPOINTS).contains(m))
                .ok_or_else(|| {
                    invalid(format!(
                        "The parameter MaxDatapoints must be between 1 and {MAX_DATAPOINTS}."
                    ))
                })?,
        };
        let ascending = match text(input, "ScanBy") {
            None | Some("TimestampDescending") => false,
            Some("TimestampAscending") => true,
            Some(other) => {
                return Err(invalid(format!(
                    "The value {other} for parameter ScanBy is not supported."
                )));
            }
        };
        let from = match text(input, "NextToken") {
            None => Position::default(),
            Some(token) => Position::read(token).ok_or_else(|| {
                ApiError::caller("InvalidNextToken", "The next token is invalid.")
            })?,
        };
        Ok(Self {
            start,
            end,
            queries,
            ascending,
            max_datapoints,
            from,
        })
    }

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

impl<'v> Query<'v> {
    /// Whether its statistic is a trimmed count.
    fn counts_some(&self) -> bool {
        self.stat_text.starts_with("TC")
    }

    fn parse(input: &'v Value) -> Result<Self, ApiError> {
        let id = text(input, "Id").ok_or_else(|| required("MetricDataQueries.member.Id"))?;
        let good = id.len() <= 255
            && id.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            return Err(invalid(format!(
                "The value {id} for parameter MetricDataQueries.member.Id is not valid: it must begin with a \
                 lowercase letter and contain only letters, digits and underscores."
            )));
        }
        let metric_stat = match (
            input.get("MetricStat").filter(|m| !m.is_null()),
            text(input, "Expression"),
        ) {
            (Some(metric), None) => metric,
            (None, None) => return Err(invalid("Either MetricStat or Expression is required.")),
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "MetricStat and Expression must not be used together.",
                ));
            }
            (None, Some(expression)) => {
                return Err(invalid(format!(
                    "Error in expression '{id}': the simulator does not play expressions: {expression}"
                )));
            }
        };
        let metric = metric_stat
            .get("Metric")
            .ok_or_else(|| required("MetricStat.Metric"))?;
        let period = integer(metric_stat, "Period").ok_or_else(|| required("MetricStat.Period"))?;
        let whole = period >= 60 && period % 60 == 0;
        if !whole && ![1, 5, 10, 20, 30].contains(&period) {
            return Err(invalid(format!(
                "The value {period} for parameter Period is not valid: it must be 1, 5, 10, 20, 30 or a multiple of 60."
            )));
        }
        let stat_text = text(metric_stat, "Stat").ok_or_else(|| required("MetricStat.Stat"))?;
        let stat = Stat::parse(stat_text).ok_or_else(|| {
            invalid(format!(
                "The value {stat_text} for parameter Stat is not supported."
            ))
        })?;
        let dimensions = list(metric, "Dimensions")
            .iter()
            .map(|d| Some((text(d, "Name")?, text(d, "Value")?)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| required("Dimensions.member.Value"))?;
        Ok(Self {
            id,
            namespace: text(metric, "Namespace").ok_or_else(|| required("Metric.Namespace"))?,
            metric: text(metric, "MetricName").ok_or_else(|| required("Metric.MetricName"))?,
            dimensions,
            period,
            stat,
            stat_text,
            label: text(input, "Label"),
            returned: input
                .get("ReturnData")
                .and_then(Value::as_bool)
                .unwrap_or(true),
        })
    }

    fn same_metric(&self, other: &Self) -> bool {
        self.metric == other.metric
            && self.namespace == other.namespace
            && self.period == other.period
            && self.dimensions == other.dimensions
    }
}

/// A metric's periods: statistics of one metric that are asked one after another share them.
struct Buckets<'r, 'v> {
    request: &'r Request<'v>,
    query: usize,
    keeps_values: bool,
    /// Beginning of the period and what is in it, ascending.
    summaries: Vec<(i64, Summary)>,
}

impl<'r, 'v> Buckets<'r, 'v> {
    fn serves(&self, query: &Query) -> bool {
        (self.keeps_values || !query.stat.needs_values())
            && self.request.queries[self.query].same_metric(query)
    }

    fn fill(request: &'r Request<'v>, number: usize, region: &RegionModel, now_ms: i64) -> Self {
        let query = &request.queries[number];
        let keeps_values = request.queries[number..]
            .iter()
            .take_while(|q| q.same_metric(query))
            .any(|q| q.stat.needs_values());
        let mut buckets = Self {
            request,
            query: number,
            keeps_values,
            summaries: Vec::new(),
        };
        if let Some(series) = Series::find(region, query.namespace, query.metric, &query.dimensions)
            && let Some((start, end)) =
                window(request.start, request.end, query.period, now_ms / 1000)
        {
            buckets.summaries = summarize(
                region,
                &series,
                (start, end),
                query.period,
                View::At(now_ms),
                keeps_values,
            );
        }
        buckets
    }
}

/// Values of a series by period over `[start, end)`, in seconds; periods without data are left out.
pub fn summarize(
    region: &RegionModel,
    series: &Series,
    (start, end): (i64, i64),
    period: i64,
    view: View,
    keep: bool,
) -> Vec<(i64, Summary)> {
    let mut summaries: Vec<(i64, Summary)> = Vec::new();
    let native = series.native_minutes();
    let last = match view {
        View::Final => end,
        View::At(now) => end.min(now / 1000 + 60),
    };
    let mut minute = start.div_euclid(60) + i64::from(start.rem_euclid(60) != 0);
    while minute * 60 < last {
        if minute % native == 0 {
            let points = series.minute(region, minute, view);
            if !points.is_empty() {
                let bucket = (minute * 60).div_euclid(period) * period;
                match summaries.last_mut() {
                    Some((at, summary)) if *at == bucket => summary.add(&points),
                    _ => {
                        let mut summary = Summary::new(series.scale(), keep);
                        summary.add(&points);
                        summaries.push((bucket, summary));
                    }
                }
            }
        }
        minute += 1;
    }
    for (_, summary) in &mut summaries {
        summary.seal();
    }
    summaries
}

/// The part of `[start, end)` that has data at this period, or `None`.
fn window(start: i64, end: i64, period: i64, now: i64) -> Option<(i64, i64)> {
    let age = now - start;
    // Retention: whoever asks too finely for old data gets nothing, and no error.
    let finest = if age > 63 * DAY {
        3600
    } else if age > 15 * DAY {
        300
    } else {
        60
    };
    if period % finest != 0 {
        return None;
    }
    let rounded = start - start.rem_euclid(finest);
    let oldest = now - 455 * DAY;
    (end > oldest).then(|| (rounded.max(oldest - oldest.rem_euclid(HOUR)), end))
}

/// `ListMetrics`.
pub fn list_metrics(context: &Context, input: &Value) -> Result<Value, ApiError> {
    const PAGE: usize = 500;
    let namespace = text(input, "Namespace");
    let name = text(input, "MetricName");
    let filters = list(input, "Dimensions")
        .iter()
        .map(|f| {
            Ok((
                text(f, "Name").ok_or_else(|| required("Dimensions.member.Name"))?,
                text(f, "Value"),
            ))
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    if filters.len() > 10 {
        return Err(ApiError::caller(
            "InvalidParameterValue",
            "The collection Dimensions must not have a size greater than 10.",
        ));
    }
    let recent = match text(input, "RecentlyActive") {
        None => None,
        Some("PT3H") => Some(180),
        Some(other) => {
            return Err(ApiError::caller(
                "InvalidParameterValue",
                format!("The value {other} for parameter RecentlyActive is not supported."),
            ));
        }
    };
    let start = match text(input, "NextToken") {
        None => 0,
        Some(token) => super::api::read_token("metrics", token).ok_or_else(|| {
            ApiError::caller("InvalidParameterValue", "The next token is invalid.")
        })?,
    };
    let region = context.region;
    let now = context.now_ms / MINUTE_MS;
    let rows: Vec<bool> = ROWS
        .iter()
        .map(|row| {
            namespace.is_none_or(|n| n == row.namespace) && name.is_none_or(|n| n == row.name)
        })
        .collect();
    let mut metrics = Vec::new();
    let mut next = None;
    for (position, series) in Series::all(region).enumerate().skip(start) {
        if !rows[series.row] {
            continue;
        }
        let dimensions = series.dimensions(region);
        let fits = filters.iter().all(|(name, value)| {
            dimensions
                .iter()
                .any(|d| d.0 == *name && value.is_none_or(|v| v == d.1))
        });
        if !fits || !listed(region, &series, now, recent) {
            continue;
        }
        if metrics.len() == PAGE {
            next = Some(super::api::token("metrics", position));
            break;
        }
        let dimensions: Vec<Value> = dimensions
            .into_iter()
            .map(|(name, value)| json!({"Name": name, "Value": value}))
            .collect();
        metrics.push(json!({
            "Namespace": series.metric().namespace,
            "MetricName": series.metric().name,
            "Dimensions": dimensions,
        }));
    }
    let mut answer = json!({"Metrics": metrics});
    if let Some(token) = next {
        answer["NextToken"] = json!(token);
    }
    Ok(answer)
}

/// `CloudWatch` forgets to list what had no data for two weeks, or for three hours on request.
fn listed(region: &RegionModel, series: &Series, now: i64, recent: Option<i64>) -> bool {
    if matches!(
        series.metric().measure,
        Measure::ProvisionedRead
            | Measure::ProvisionedWrite
            | Measure::Level(_)
            | Measure::AccountCapacity(_)
            | Measure::GreatestTable(_)
    ) {
        return true;
    }
    let minutes = recent.unwrap_or(14 * 1440);
    let lateness = match series.metric().namespace {
        DYNAMODB => &region.lateness.dynamodb,
        LAMBDA => &region.lateness.lambda,
        _ => &region.lateness.apigateway,
    };
    let newest = lateness.listing.ms / MINUTE_MS;
    (newest..minutes).any(|back| {
        !series
            .minute(region, now - 1 - back, View::Final)
            .is_empty()
    })
}
