//! What AWS finally counts: the answer that a test compares with.

use serde::Serialize;

use super::cloudwatch::summarize;
use super::lateness::View;
use super::model::{RegionModel, World};
use super::series::Series;
use super::stats::Stat;

/// Which number is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Account id.
    pub account: String,
    /// Region.
    pub region: String,
    /// Namespace, `AWS/Lambda`.
    pub namespace: String,
    /// Metric, `Invocations`.
    pub metric: String,
    /// Dimensions with their values.
    pub dimensions: Vec<(String, String)>,
    /// Statistic, `Sum`.
    pub stat: String,
    /// First second of the window, a whole minute.
    pub start: i64,
    /// First second after the window, a whole minute.
    pub end: i64,
}

/// The number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// The statistic over the window; null when there is no datapoint.
    pub value: Option<f64>,
    /// Samples in the window.
    pub samples: u64,
    /// Minutes of the window that have a datapoint.
    pub minutes: u64,
    /// Whether every minute of the window is final by now.
    pub settled: bool,
    /// When the last minute of the window is final, seconds since 1970 (rounded up).
    pub final_at: i64,
}

/// Answers a question; errors are for people.
pub fn tell(world: &World, question: &Question, view: View, now_ms: i64) -> Result<Truth, String> {
    let region = find_region(world, &question.account, &question.region)?;
    let dimensions: Vec<(&str, &str)> = question
        .dimensions
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let series = Series::find(region, &question.namespace, &question.metric, &dimensions).ok_or_else(|| {
        format!(
            "there is no series {} {} with dimensions {:?} in {} {}: /truth/series lists those of a resource",
            question.namespace, question.metric, dimensions, question.account, question.region
        )
    })?;
    let stat = Stat::parse(&question.stat)
        .ok_or_else(|| format!("\"{}\" is not a statistic", question.stat))?;
    let (from, until) = (question.start, question.end);
    if from % 60 != 0 || until % 60 != 0 || from >= until {
        return Err(format!(
            "the window [{from}, {until}) must begin and end at whole minutes (multiples of 60) and not be empty"
        ));
    }
    // One period that covers the window, however it lies: summarize per minute and merge.
    let minutes = summarize(
        region,
        &series,
        (from, until),
        60,
        view,
        stat.needs_values(),
    );
    let mut whole = super::stats::Summary::new(series.scale(), stat.needs_values());
    for (_, minute) in &minutes {
        whole.merge(minute);
    }
    whole.seal();
    let final_ms = (from / 60..until / 60)
        .map(|minute| series.final_at(region, minute))
        .max()
        .unwrap_or(until * 1000);
    Ok(Truth {
        value: (whole.count() > 0).then(|| whole.stat(stat)),
        samples: whole.count(),
        minutes: minutes.len() as u64,
        settled: now_ms >= final_ms,
        final_at: (final_ms + 999).div_euclid(1000),
    })
}

/// A region of the file.
pub fn find_region<'a>(
    world: &'a World,
    account: &str,
    region: &str,
) -> Result<&'a RegionModel, String> {
    let account = world
        .account(account)
        .ok_or_else(|| format!("there is no account \"{account}\" in the account file"))?;
    account.regions.get(region).ok_or_else(|| {
        format!(
            "account {} has no region \"{region}\" in the account file",
            account.id
        )
    })
}
