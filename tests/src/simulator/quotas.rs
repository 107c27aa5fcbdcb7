//! AWS's rate limits, as token buckets per account, region and API.
//!
//! Buckets refill with simulated time: at sixty times the speed, sixty times as fast.

use std::collections::HashMap;
use std::time::Instant;

/// A limit that several APIs may share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Its name.
    pub name: &'static str,
    /// Tokens a second.
    pub rate: f64,
    /// Tokens that can be saved.
    pub burst: f64,
}

const fn limit(name: &'static str, rate: f64, burst: f64) -> Limit {
    Limit { name, rate, burst }
}

/// The limit on requests of an API, where AWS documents one.
#[must_use]
pub fn of(service: &str, operation: &str) -> Option<Limit> {
    Some(match (service, operation) {
        ("cloudwatch", "GetMetricData") => limit("GetMetricData", 500.0, 500.0),
        ("cloudwatch", "ListMetrics") => limit("ListMetrics", 25.0, 25.0),
        ("lambda", "GetFunction") => limit("GetFunction", 100.0, 100.0),
        ("lambda", _) => limit("Lambda control plane", 15.0, 15.0),
        ("apigateway" | "apigatewayv2", _) => limit("API Gateway control plane", 10.0, 40.0),
        _ => return None,
    })
}

/// The limit on estimated datapoints of `GetMetricData`.
#[must_use]
pub fn datapoints(recent: bool) -> Limit {
    if recent {
        Limit {
            name: "datapoints of the last three hours",
            rate: 180_000.0,
            burst: 180_000.0,
        }
    } else {
        Limit {
            name: "older datapoints",
            rate: 396_000.0,
            burst: 396_000.0,
        }
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub struct Buckets {
    levels: HashMap<(String, String, &'static str), (f64, Instant)>,
}

impl Buckets {
    /// Takes tokens if there are enough; a cost above the burst needs a full bucket.
    pub fn take(
        &mut self,
        account: &str,
        region: &str,
        limit: Limit,
        cost: f64,
        speed: f64,
    ) -> bool {
        let now = Instant::now();
        let key = (account.to_owned(), region.to_owned(), limit.name);
        let (level, at) = self.levels.entry(key).or_insert((limit.burst, now));
        let refill = now.duration_since(*at).as_secs_f64() * limit.rate * speed.max(1.0);
        *level = (*level + refill).min(limit.burst);
        *at = now;
        if *level >= cost.min(limit.burst) {
            *level -= cost;
            return true;
        }
        false
    }
}
