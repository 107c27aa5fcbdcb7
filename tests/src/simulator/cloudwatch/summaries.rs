//! The periods of a metric, and what is in them.

use super::{Query, Request};
use crate::simulator::lateness::View;
use crate::simulator::model::RegionModel;
use crate::simulator::series::Series;
use crate::simulator::stats::Summary;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// A metric's periods: statistics of one metric that are asked one after another share them.
pub(super) struct Buckets<'r, 'v> {
    request: &'r Request<'v>,
    query: usize,
    keeps_values: bool,
    /// Beginning of the period and what is in it, ascending.
    pub(super) summaries: Vec<(i64, Summary)>,
}

impl<'r, 'v> Buckets<'r, 'v> {
    pub(super) fn serves(&self, query: &Query) -> bool {
        (self.keeps_values || !query.stat.needs_values())
            && self.request.queries[self.query].same_metric(query)
    }

    pub(super) fn fill(
        request: &'r Request<'v>,
        number: usize,
        region: &RegionModel,
        now_ms: i64,
    ) -> Self {
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
