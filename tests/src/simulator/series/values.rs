//! The values of a minute, made from the runs, requests and reads in it.

use super::super::account::Cause;
use super::super::lateness::{Arrival, View};
use super::super::metrics::{Direction, Measure, Row};
use super::super::model::{
    ApiModel, FunctionModel, Node, NodeId, READS, RegionModel, TableModel, alive,
};
use super::super::needs::function_has;
use super::super::random::mix;
use super::super::traffic::{
    Happened, MINUTE_MS, Points, cause, durations, happened, lag_us, longest_us, stopped,
};

/// Something that goes up and down, one value for each datapoint.
pub(super) fn level(key: u64, minute: i64, minutes: i64, most: u64, view: View) -> Points {
    let visible = match view {
        View::Final => true,
        View::At(now) => now >= (minute + minutes) * MINUTE_MS,
    };
    if !visible || minute % minutes != 0 {
        return Points::new();
    }
    let value = mix(key, minute.cast_unsigned()) % most.max(1);
    vec![(i64::try_from(value).unwrap_or(i64::MAX), 1)]
}

pub(super) fn region_minute(region: &RegionModel, row: &Row, minute: i64, view: View) -> Points {
    let measure = row.measure;
    let view = view.behind(region.lateness.lambda.aggregate_lag.ms);
    let mut all = Points::new();
    for function in &region.functions {
        if !function_has(function, row.need) {
            continue;
        }
        all.extend(function_minute(region, function, measure, minute, view));
    }
    if measure == Measure::Concurrency {
        let running: i64 = all.iter().map(|p| p.0).sum();
        return if all.is_empty() {
            all
        } else {
            vec![(running, 1)]
        };
    }
    if measure != Measure::Duration {
        // Counts are zeros and ones: merging keeps big regions small.
        all.sort_unstable();
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }
    all
}

pub(super) fn function_minute(
    region: &RegionModel,
    function: &FunctionModel,
    measure: Measure,
    minute: i64,
    view: View,
) -> Points {
    let arrival = Arrival::new(
        &region.lateness.lambda,
        region.nodes[function.node].key,
        minute,
    );
    node_minute(region, function.node, measure, minute, view, &arrival, 0)
}

pub(super) fn stage_minute(
    region: &RegionModel,
    api: &ApiModel,
    stage: usize,
    measure: Measure,
    minute: i64,
    view: View,
) -> Points {
    let node = api.stages[stage];
    let arrival = Arrival::new(&region.lateness.apigateway, region.nodes[node].key, minute);
    let settings = &api.settings.stages[stage];
    let extra = match measure {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds of overhead are few"
        )]
        Measure::LatencyWithOverhead => (settings.overhead_ms * 1000.0) as i64,
        Measure::Bytes => i64::try_from(settings.bytes).unwrap_or(i64::MAX),
        _ => 0,
    };
    node_minute(region, node, measure, minute, view, &arrival, extra)
}

/// A minute of one node: what happened, as far as it is visible, as the measure sees it.
pub(super) fn node_minute(
    region: &RegionModel,
    id: NodeId,
    measure: Measure,
    minute: i64,
    view: View,
    arrival: &Arrival,
    extra: i64,
) -> Points {
    let node = &region.nodes[id];
    let mut all = happened(region, id, minute);
    if measure == Measure::SuccessDuration {
        all.handled -= all.errors + all.client_errors;
        (all.errors, all.client_errors) = (0, 0);
    }
    if all == Happened::default() {
        return Points::new();
    }
    // Durations are needed for themselves, and to know which requests have ended by now. What can
    // never be cut short (no cap) reports at once.
    let settled = match view {
        View::Final => true,
        View::At(now) => now >= arrival.final_at(longest_us(node) / 1000),
    };
    let waits = node.cap_us != i64::MAX;
    let wants_values = matches!(
        measure,
        Measure::Duration
            | Measure::SuccessDuration
            | Measure::LatencyWithOverhead
            | Measure::PartOfDuration(_)
            | Measure::Concurrency
    );
    let mut took = if wants_values || !settled {
        durations(node, minute, &all)
    } else {
        vec![(0, all.handled)]
    };
    let mut seen = all;
    if let (View::At(now), false) = (view, settled) {
        arrival.show(&mut took, now, waits);
        let handled: u64 = took.iter().map(|p| p.1).sum();
        let of = |count: u64, kind: u64| arrival.among(count, handled, all.handled, kind);
        let mut refused = vec![(0, all.throttles)];
        arrival.show(&mut refused, now, false);
        seen = Happened {
            handled,
            errors: of(all.errors, 0),
            client_errors: of(all.client_errors, 1),
            // They are errors too.
            timeouts: of(all.timeouts, 0),
            throttles: if all.throttles == 0 {
                0
            } else {
                refused.iter().map(|p| p.1).sum()
            },
        };
    }
    let flags = |ones: u64, zeros: u64| -> Points { vec![(0, zeros), (1, ones)] };
    let mut points = match measure {
        Measure::Handled | Measure::AsyncReceived => vec![(1, seen.handled)],
        Measure::Errors => flags(seen.errors, seen.handled.saturating_sub(seen.errors)),
        Measure::ClientErrors => flags(
            seen.client_errors,
            seen.handled.saturating_sub(seen.client_errors),
        ),
        Measure::Throttles => flags(seen.throttles, seen.handled),
        Measure::SparseThrottles => vec![(1, seen.throttles)],
        Measure::SparseErrors => vec![(1, seen.errors)],
        Measure::Duration | Measure::SuccessDuration | Measure::LatencyWithOverhead => {
            for point in &mut took {
                point.0 += extra;
            }
            took
        }
        Measure::Concurrency => concurrency(&took),
        Measure::Part(part) => vec![(1, fraction(seen.handled, part, 1000))],
        Measure::PartOfErrors(part) => vec![(1, fraction(seen.errors, part, 1000))],
        Measure::PartOfThrottles(part) => vec![(1, fraction(seen.throttles, part, 1000))],
        Measure::PartOfDuration(part) => {
            for point in &mut took {
                point.0 = point.0 * part / 1000;
            }
            took
        }
        Measure::Each(amount) => {
            let all = seen.handled.saturating_mul(amount);
            let all = i64::try_from(all).unwrap_or(i64::MAX);
            vec![(all, u64::from(seen.handled > 0))]
        }
        // Two retries, then the event is given up: most errors recover.
        Measure::AsyncDropped => flags(
            seen.errors / 3,
            seen.handled.saturating_sub(seen.errors / 3),
        ),
        // The queue refuses one in twenty of those, where there are enough.
        Measure::DeadLetterErrors => vec![(1, seen.errors / 60)],
        Measure::UserErrors => vec![(1, seen.client_errors)],
        Measure::AsyncAge => ages(node, minute, seen.handled, 15_000),
        Measure::IteratorAge => ages(node, minute, seen.handled, 900_000),
        Measure::Recursion => vec![(1, stopped(node, minute, seen.handled))],
        Measure::Bytes => {
            let bytes = i64::try_from(seen.handled)
                .unwrap_or(i64::MAX)
                .saturating_mul(extra);
            vec![(bytes, u64::from(seen.handled > 0))]
        }
        Measure::ConsumedRead
        | Measure::ConsumedWrite
        | Measure::Utilization
        | Measure::Level(_)
        | Measure::AccountCapacity(_)
        | Measure::GreatestTable(_)
        | Measure::PartOfReadThrottles(_)
        | Measure::PartOfWriteThrottles(_)
        | Measure::PartOfWrites(_)
        | Measure::ProvisionedRead
        | Measure::ProvisionedWrite
        | Measure::ReadThrottles
        | Measure::WriteThrottles => Points::new(),
    };
    points.retain(|p| p.1 > 0);
    points
}

/// Occurrences at operations of tables.
pub(super) fn sum_operations(
    region: &RegionModel,
    nodes: &[NodeId],
    measure: Measure,
    minute: i64,
    view: View,
) -> u64 {
    nodes
        .iter()
        .flat_map(|&id| {
            let arrival = Arrival::new(&region.lateness.dynamodb, region.nodes[id].key, minute);
            node_minute(region, id, measure, minute, view, &arrival, 0)
        })
        .map(|p| p.1)
        .sum()
}

/// How many requests to these operations were throttled for one reason.
pub(super) fn throttled_because(
    region: &RegionModel,
    nodes: &[NodeId],
    why: Cause,
    minute: i64,
    view: View,
) -> u64 {
    let thousandths: u64 = nodes
        .iter()
        .map(|id| {
            let all = sum_operations(region, &[*id], Measure::SparseThrottles, minute, view);
            let share = match cause(&region.nodes[*id], minute) {
                Some(cause) => u64::from(cause == why) * 1000,
                // Where nobody says why there is some of each, so that every metric has values.
                None => match why {
                    Cause::KeyRange => 600,
                    Cause::Provisioned => 300,
                    Cause::Maximum => 200,
                    Cause::Account => 100,
                },
            };
            all * share
        })
        .sum();
    thousandths / 1000
}

/// What the tables have provisioned as a part of what the account may, in thousandths of a percent.
pub(super) fn account_capacity(region: &RegionModel, row: &Row, minute: i64, view: View) -> Points {
    // AWS's default quotas, in capacity units of a region.
    const ACCOUNT: u64 = 80_000;
    const TABLE: u64 = 40_000;
    let visible = match view {
        View::Final => true,
        View::At(now) => now >= (minute + row.minutes) * MINUTE_MS,
    };
    if !visible || minute % row.minutes != 0 {
        return Points::new();
    }
    let (Measure::AccountCapacity(direction) | Measure::GreatestTable(direction)) = row.measure
    else {
        return Points::new();
    };
    let units = region
        .tables
        .iter()
        .filter(|table| alive(&table.settings.life, minute * MINUTE_MS))
        .filter_map(TableModel::provisioned)
        .map(|provisioned| match direction {
            Direction::Read => provisioned.read,
            Direction::Write => provisioned.write,
        });
    let part = if row.measure == Measure::AccountCapacity(direction) {
        fraction(units.sum(), 100_000, ACCOUNT)
    } else {
        fraction(units.max().unwrap_or(0), 100_000, TABLE)
    };
    vec![(i64::try_from(part).unwrap_or(i64::MAX), 1)]
}

/// Metrics of a whole table are made of those of its operations.
pub(super) fn table_minute(
    region: &RegionModel,
    table: &TableModel,
    measure: Measure,
    minute: i64,
    view: View,
) -> Points {
    let settings = &table.settings;
    let (reads, writes) = table.operations.split_at(READS);
    let handled =
        |nodes: &[NodeId], measure: Measure| sum_operations(region, nodes, measure, minute, view);
    let one = |value: i64| {
        if value > 0 {
            vec![(value, 1)]
        } else {
            Points::new()
        }
    };
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let provisioned = |units: u64| {
        let visible = match view {
            View::Final => true,
            View::At(now) => now >= (minute + 1) * MINUTE_MS,
        };
        if minute % 5 == 0 && visible && alive(&settings.life, minute * MINUTE_MS) {
            vec![(whole(units), 1)]
        } else {
            Points::new()
        }
    };
    match measure {
        Measure::ConsumedRead => one(tenths(
            handled(reads, Measure::Handled),
            settings.read_units,
        )),
        Measure::ConsumedWrite => one(tenths(
            handled(writes, Measure::Handled),
            settings.write_units,
        )),
        Measure::ReadThrottles => counted(handled(reads, Measure::SparseThrottles)),
        Measure::WriteThrottles => counted(handled(writes, Measure::SparseThrottles)),
        Measure::PartOfReadThrottles(why) => {
            counted(throttled_because(region, reads, why, minute, view))
        }
        Measure::PartOfWriteThrottles(why) => {
            counted(throttled_because(region, writes, why, minute, view))
        }
        Measure::PartOfWrites(part) => {
            counted(fraction(handled(writes, Measure::Handled), part, 1000))
        }
        Measure::ProvisionedRead => table
            .provisioned()
            .map_or_else(Points::new, |p| provisioned(p.read)),
        Measure::ProvisionedWrite => table
            .provisioned()
            .map_or_else(Points::new, |p| provisioned(p.write)),
        _ => Points::new(),
    }
}

pub(super) fn counted(count: u64) -> Points {
    if count > 0 {
        vec![(1, count)]
    } else {
        Points::new()
    }
}

/// Capacity units, in tenths.
#[expect(
    clippy::cast_possible_truncation,
    reason = "units of a minute are far below 2^53"
)]
pub(super) fn tenths(requests: u64, units: f64) -> i64 {
    requests.cast_signed() * (units * 10.0).round() as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "units of a minute are far below 2^53"
)]
pub(super) fn portion_of(value: i64, share: f64) -> i64 {
    (value as f64 * share) as i64
}

/// `count` times `part / whole`, in whole numbers.
pub(super) fn fraction(count: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(count) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX)
}

/// The most that ran at once: the mean and a half, at least one.
pub(super) fn concurrency(took: &Points) -> Points {
    let busy: i128 = took
        .iter()
        .map(|&(v, w)| i128::from(v) * i128::from(w))
        .sum();
    if busy == 0 {
        return Points::new();
    }
    let peak = busy * 3 / 2 / 60_000_000 + 1;
    vec![(i64::try_from(peak).unwrap_or(i64::MAX), 1)]
}

pub(super) fn ages(node: &Node, minute: i64, count: u64, most_us: u64) -> Points {
    if count == 0 {
        return Points::new();
    }
    if let Some(behind) = lag_us(node, minute) {
        return vec![(behind, count)];
    }
    let age = 1000 + mix(mix(node.key, minute.cast_unsigned()), 0xa9e) % most_us;
    let age = i64::try_from(age).unwrap_or(i64::MAX);
    vec![(age, count - count / 10), (age * 3, count / 10)]
}
