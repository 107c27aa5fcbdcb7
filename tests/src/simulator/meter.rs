//! What clients asked for, and what AWS would charge for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Dollars per thousand metrics that `GetMetricData` was asked for.
const METRIC_DATA_PER_1000: f64 = 0.01;
/// Dollars per thousand other `CloudWatch` requests; the monthly free million is not taken off.
const REQUESTS_PER_1000: f64 = 0.01;

/// One API of one account and region.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Account id.
    pub account: String,
    /// Region.
    pub region: String,
    /// API, `cloudwatch:GetMetricData`.
    pub api: String,
    /// Requests, with those that were refused.
    pub requests: u64,
    /// Requests refused for their rate.
    pub throttles: u64,
    /// Requests that ended with any other error.
    pub errors: u64,
    /// Requests that a fault script spoiled in any way.
    pub faults: u64,
    /// Queries in requests that were answered.
    pub queries: u64,
    /// Metrics that were billed: five statistics of one metric in one call are one.
    pub metrics_billed: u64,
    /// Datapoints that were returned.
    pub datapoints: u64,
    /// Periods that were asked for, in seconds.
    pub periods: BTreeSet<i64>,
    /// Dollars.
    pub dollars: f64,
}

/// Counts requests by account, region and API.
#[derive(Debug, Default)]
pub struct Meter {
    readings: BTreeMap<(String, String, String), Reading>,
}

impl Meter {
    /// The reading of an API, to be added to.
    pub fn of(&mut self, account: &str, region: &str, api: &str) -> &mut Reading {
        let key = (account.to_owned(), region.to_owned(), api.to_owned());
        self.readings.entry(key).or_insert_with(|| Reading {
            account: account.to_owned(),
            region: region.to_owned(),
            api: api.to_owned(),
            ..Reading::default()
        })
    }

    /// All readings.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        self.readings
            .values()
            .map(|r| Reading {
                dollars: dollars(r),
                ..r.clone()
            })
            .collect()
    }

    /// Begins again at zero.
    pub fn reset(&mut self) {
        self.readings.clear();
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn dollars(reading: &Reading) -> f64 {
    match reading.api.as_str() {
        "cloudwatch:GetMetricData" => reading.metrics_billed as f64 / 1000.0 * METRIC_DATA_PER_1000,
        api if api.starts_with("cloudwatch:") => {
            (reading.requests - reading.throttles) as f64 / 1000.0 * REQUESTS_PER_1000
        }
        _ => 0.0,
    }
}
