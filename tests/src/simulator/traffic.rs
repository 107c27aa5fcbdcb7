//! What finally happened in a minute: requests, failures and durations of a node.
//!
//! Pure functions of seed, node and minute; nothing is stored. A minute's durations are a small
//! weighted list of whole microseconds, so every statistic of a minute (and of any number of
//! minutes) follows from the same list and sums are exact.

use super::account::{Cause, Incident, IncidentKind, Traffic};
use super::model::{Node, NodeId, RegionModel, alive};
use super::random::{mix, round, unit};

/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60_000;

/// Values with how often each occurred. The unit is the series' own: microseconds for durations.
pub type Points = Vec<(i64, u64)>;

/// What happened at a node in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Happened {
    /// Requests that were refused.
    pub throttles: u64,
    /// Requests that were carried out (a function's invocations).
    pub handled: u64,
    /// Of those, how many failed (5xx); contains the timeouts.
    pub errors: u64,
    /// Of those, how many were the client's fault (4xx); none of `errors`.
    pub client_errors: u64,
    /// Of those, how many ran into the timeout.
    pub timeouts: u64,
}

/// Where the strata of a duration distribution begin and end; finer towards the tail.
const STRATA: [f64; 15] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0,
];

/// Random numbers for different purposes must not be the same.
#[derive(Clone, Copy)]
enum Purpose {
    Noise = 1,
    Count,
    Throttles,
    Errors,
    ClientErrors,
    Timeouts,
    Edge,
    Strata,
    Value,
    Surge,
    Recursion,
}

fn chance(key: u64, minute: i64, purpose: Purpose) -> u64 {
    mix(mix(key, minute.cast_unsigned()), purpose as u64)
}

/// What happened at a node in a minute (minutes are counted from 1970).
#[must_use]
pub fn happened(region: &RegionModel, id: NodeId, minute: i64) -> Happened {
    let node = &region.nodes[id];
    let requests = requests(region, node, minute);
    if requests == 0 {
        return Happened::default();
    }
    let throttles = part(
        node,
        minute,
        requests,
        IncidentKind::Throttles,
        node.throttles,
        Purpose::Throttles,
    );
    let handled = requests - throttles;
    let timeouts = part(
        node,
        minute,
        handled,
        IncidentKind::Timeouts,
        node.timeouts,
        Purpose::Timeouts,
    );
    let failed = part(
        node,
        minute,
        handled - timeouts,
        IncidentKind::Errors,
        node.errors,
        Purpose::Errors,
    );
    let client_errors = part(
        node,
        minute,
        handled - timeouts - failed,
        IncidentKind::ClientErrors,
        node.client_errors,
        Purpose::ClientErrors,
    );
    Happened {
        throttles,
        handled,
        errors: failed + timeouts,
        client_errors,
        timeouts,
    }
}

/// The durations of `count` requests of a node in a minute, ascending, in microseconds.
#[must_use]
pub fn durations(node: &Node, minute: i64, happened: &Happened) -> Points {
    let mut points = Points::with_capacity(STRATA.len());
    let factor: f64 = active(node, minute)
        .filter(|i| i.what == IncidentKind::Latency)
        .map(|i| i.factor)
        .product();
    let count = happened.handled - happened.timeouts;
    let offset = unit(chance(node.key, minute, Purpose::Strata));
    let mut before = 0;
    for (number, edges) in STRATA.windows(2).enumerate() {
        let after = upto(count, edges[1], offset);
        let weight = after - before;
        before = after;
        if weight == 0 {
            continue;
        }
        let within = unit(mix(chance(node.key, minute, Purpose::Value), number as u64));
        let value = node.latency.at(edges[0] + (edges[1] - edges[0]) * within) * factor;
        points.push((whole(value).min(node.cap_us), weight));
    }
    if happened.timeouts > 0 {
        points.push((node.cap_us, happened.timeouts));
    }
    points
}

/// The longest that a request of this node can take, in microseconds, over all time.
#[must_use]
pub fn longest_us(node: &Node) -> i64 {
    let timeouts = node.timeouts > 0.0
        || node
            .incidents
            .iter()
            .any(|i| i.what == IncidentKind::Timeouts);
    if timeouts {
        return node.cap_us;
    }
    let factor: f64 = node
        .incidents
        .iter()
        .filter(|i| i.what == IncidentKind::Latency)
        .map(|i| i.factor.max(1.0))
        .product();
    whole(node.latency.points[4].1 * factor).min(node.cap_us)
}

/// How many of a function's runs Lambda stops because their events go round in a circle.
#[must_use]
pub fn stopped(node: &Node, minute: i64, handled: u64) -> u64 {
    part(
        node,
        minute,
        handled,
        IncidentKind::Recursion,
        0.0,
        Purpose::Recursion,
    )
}

/// How far behind a node's readers are in a minute, in microseconds, where an incident says it.
#[must_use]
pub fn lag_us(node: &Node, minute: i64) -> Option<i64> {
    active(node, minute)
        .filter(|i| i.what == IncidentKind::Lag)
        .map(|i| i.age.ms * 1000)
        .max()
}

/// Why a node's requests are throttled in a minute, where an incident says it.
#[must_use]
pub fn cause(node: &Node, minute: i64) -> Option<Cause> {
    active(node, minute)
        .filter(|i| i.what == IncidentKind::Throttles)
        .find_map(|i| i.cause)
}

fn requests(region: &RegionModel, node: &Node, minute: i64) -> u64 {
    if !alive(&node.life, minute * MINUTE_MS) {
        return 0;
    }
    let mut total = if region.hours.open(minute) {
        own(node, minute)
    } else {
        0
    };
    for incident in active(node, minute).filter(|i| i.what == IncidentKind::Traffic) {
        total = round(
            scale(total, incident.factor),
            chance(node.key, minute, Purpose::Surge),
        );
    }
    for edge in &node.incoming {
        let from = happened(region, edge.from, minute).handled;
        if from > 0 {
            total += round(
                scale(from, edge.times),
                chance(mix(node.key, edge.key), minute, Purpose::Edge),
            );
        }
    }
    total
}

fn own(node: &Node, minute: i64) -> u64 {
    if let Some(every) = node.every_minutes {
        return u64::from(minute.rem_euclid(every) == 0);
    }
    let noisy = |rate: f64, noise: f64| {
        rate * (1.0 + noise * (2.0 * unit(chance(node.key, minute, Purpose::Noise)) - 1.0))
    };
    let rate = match &node.traffic {
        Traffic::None | Traffic::Dead => return 0,
        Traffic::Steady { per_minute, noise } => noisy(*per_minute, *noise),
        Traffic::Wave {
            per_minute,
            amplitude,
            peak_hour,
            noise,
        } => {
            #[expect(clippy::cast_precision_loss, reason = "a minute of a day is small")]
            let hour = minute.rem_euclid(1440) as f64 / 60.0;
            let wave = ((hour - peak_hour) / 24.0 * std::f64::consts::TAU).cos();
            noisy(per_minute * (1.0 + amplitude * wave), *noise)
        }
        Traffic::Bursty {
            per_minute,
            burst_per_minute,
            every,
            lasts,
        } => {
            let burst = (minute * MINUTE_MS).rem_euclid(every.ms.max(MINUTE_MS)) < lasts.ms;
            noisy(
                if burst {
                    *burst_per_minute
                } else {
                    *per_minute
                },
                0.2,
            )
        }
        Traffic::Idle { per_day } => per_day / 1440.0,
    };
    round(rate, chance(node.key, minute, Purpose::Count))
}

/// How many of `count` are hit by base share and incidents of one kind.
fn part(
    node: &Node,
    minute: i64,
    count: u64,
    kind: IncidentKind,
    base: f64,
    purpose: Purpose,
) -> u64 {
    let mut spared = 1.0 - base;
    for incident in active(node, minute).filter(|i| i.what == kind) {
        spared *= 1.0 - incident.share;
    }
    if spared >= 1.0 {
        return 0;
    }
    round(
        scale(count, 1.0 - spared),
        chance(node.key, minute, purpose),
    )
    .min(count)
}

fn active(node: &Node, minute: i64) -> impl Iterator<Item = &Incident> {
    let at = minute * MINUTE_MS;
    node.incidents
        .iter()
        .map(AsRef::as_ref)
        .filter(move |incident| {
            match (incident.start, incident.end, incident.every, incident.lasts) {
                (Some(start), Some(end), _, _) => start.ms <= at && at < end.ms,
                (_, _, Some(every), Some(lasts)) => {
                    (at - incident.at.ms).rem_euclid(every.ms) < lasts.ms
                }
                _ => false,
            }
        })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a minute are far below 2^53"
)]
fn scale(count: u64, by: f64) -> f64 {
    count as f64 * by
}

/// How many of `count` evenly spread samples lie below quantile `edge`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a minute are far below 2^53 and not negative"
)]
fn upto(count: u64, edge: f64, offset: f64) -> u64 {
    if edge >= 1.0 {
        return count;
    }
    ((scale(count, edge) + offset) as u64).min(count)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "microseconds of at most fifteen minutes, or saturated"
)]
fn whole(microseconds: f64) -> i64 {
    (microseconds.round() as i64).max(1)
}
