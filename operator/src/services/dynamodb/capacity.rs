//! The rows that tables and global secondary indexes have in common. A table's series do not hold
//! those of its indexes, so that they can be added up.

use crate::services::table::{Family, FamilyKind, Metric};

/// Consumed read capacity.
pub const CONSUMED_READ: Metric =
    Metric::counter("ConsumedReadCapacityUnits", &CONSUMED_READ_FAMILY);
static CONSUMED_READ_FAMILY: Family = Family {
    name: "aws_dynamodb_consumed_read_capacity_units_total",
    kind: FamilyKind::Counter,
    help: "Read capacity units that were consumed; by a table, its indexes not included. Source: AWS/DynamoDB ConsumedReadCapacityUnits, Sum.",
};

/// Throttled reads.
pub const READ_THROTTLES: Metric = Metric::counter("ReadThrottleEvents", &READ_THROTTLES_FAMILY);
static READ_THROTTLES_FAMILY: Family = Family {
    name: "aws_dynamodb_read_throttle_events_total",
    kind: FamilyKind::Counter,
    help: "Reads of single items that were throttled. Source: AWS/DynamoDB ReadThrottleEvents, Sum.",
};

/// Consumed write capacity.
pub const CONSUMED_WRITE: Metric =
    Metric::counter("ConsumedWriteCapacityUnits", &CONSUMED_WRITE_FAMILY);
static CONSUMED_WRITE_FAMILY: Family = Family {
    name: "aws_dynamodb_consumed_write_capacity_units_total",
    kind: FamilyKind::Counter,
    help: "Write capacity units that were consumed; by a table, its indexes not included. Source: AWS/DynamoDB ConsumedWriteCapacityUnits, Sum.",
};

/// Throttled writes.
pub const WRITE_THROTTLES: Metric = Metric::counter("WriteThrottleEvents", &WRITE_THROTTLES_FAMILY);
static WRITE_THROTTLES_FAMILY: Family = Family {
    name: "aws_dynamodb_write_throttle_events_total",
    kind: FamilyKind::Counter,
    help: "Writes of single items that were throttled. Source: AWS/DynamoDB WriteThrottleEvents, Sum.",
};

/// Throttling by reason.
static REASONS: Family = Family {
    name: "aws_dynamodb_throttle_events_by_reason_total",
    kind: FamilyKind::Counter,
    help: "Reads and writes of single items that were throttled, by reason; key_range is a hot partition. Source: AWS/DynamoDB ReadKeyRangeThroughputThrottleEvents, ReadProvisionedThroughputThrottleEvents, ReadMaxOnDemandThroughputThrottleEvents, ReadAccountLimitThrottleEvents, and those of Write, Sum.",
};

/// Reads, by reason.
pub const KEY_RANGE_READ: Metric =
    Metric::counter("ReadKeyRangeThroughputThrottleEvents", &REASONS)
        .labelled(&[("direction", "read"), ("reason", "key_range")]);
/// Reads, by reason.
pub const PROVISIONED_THROTTLES_READ: Metric =
    Metric::counter("ReadProvisionedThroughputThrottleEvents", &REASONS)
        .labelled(&[("direction", "read"), ("reason", "provisioned_throughput")]);
/// Reads, by reason.
pub const MAXIMUM_READ: Metric =
    Metric::counter("ReadMaxOnDemandThroughputThrottleEvents", &REASONS).labelled(&[
        ("direction", "read"),
        ("reason", "max_on_demand_throughput"),
    ]);
/// Reads, by reason.
pub const LIMIT_READ: Metric = Metric::counter("ReadAccountLimitThrottleEvents", &REASONS)
    .labelled(&[("direction", "read"), ("reason", "account_limit")]);
/// Writes, by reason.
pub const KEY_RANGE_WRITE: Metric =
    Metric::counter("WriteKeyRangeThroughputThrottleEvents", &REASONS)
        .labelled(&[("direction", "write"), ("reason", "key_range")]);
/// Writes, by reason.
pub const PROVISIONED_THROTTLES_WRITE: Metric =
    Metric::counter("WriteProvisionedThroughputThrottleEvents", &REASONS)
        .labelled(&[("direction", "write"), ("reason", "provisioned_throughput")]);
/// Writes, by reason.
pub const MAXIMUM_WRITE: Metric =
    Metric::counter("WriteMaxOnDemandThroughputThrottleEvents", &REASONS).labelled(&[
        ("direction", "write"),
        ("reason", "max_on_demand_throughput"),
    ]);
/// Writes, by reason.
pub const LIMIT_WRITE: Metric = Metric::counter("WriteAccountLimitThrottleEvents", &REASONS)
    .labelled(&[("direction", "write"), ("reason", "account_limit")]);
