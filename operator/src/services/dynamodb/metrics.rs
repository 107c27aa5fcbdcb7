//! The metric table of Amazon DynamoDB.

use super::capacity::{
    CONSUMED_READ, CONSUMED_WRITE, KEY_RANGE_READ, KEY_RANGE_WRITE, LIMIT_READ, LIMIT_WRITE,
    MAXIMUM_READ, MAXIMUM_WRITE, PROVISIONED_THROTTLES_READ, PROVISIONED_THROTTLES_WRITE,
    READ_THROTTLES, WRITE_THROTTLES,
};
use super::facts::ALL;
use crate::services::table::{
    Family, FamilyKind, Features, Metric, OptionalSet, Service, Shape, Unit,
};

/// Amazon DynamoDB.
pub static SERVICE: Service = Service {
    name: "dynamodb",
    tagging_types: &["dynamodb:table"],
    iam_actions: &[
        "dynamodb:ListTables",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "dynamodb:DescribeLimits",
        "application-autoscaling:DescribeScalableTargets",
        "cloudwatch:ListMetrics",
    ],
    shapes: &[
        &TABLE, &INDEX, &OPERATION, &STREAM, &REPLICA, &KINESIS, &ACCOUNT,
    ],
    facts: ALL,
    optional: &[
        OptionalSet {
            name: "account",
            default: true,
            what: "errors that are the caller's, and the use and the values of the account's limits; 5 metrics a region",
        },
        OptionalSet {
            name: "operations",
            default: true,
            what: "durations and errors of each operation in use on a table; 3 metrics each, 4 of queries and scans",
        },
        OptionalSet {
            name: "indexes",
            default: true,
            what: "each global secondary index; 8 to 10 metrics",
        },
        OptionalSet {
            name: "throttleReasons",
            default: true,
            what: "why a table or index throttles; 4 to 6 metrics each",
        },
        OptionalSet {
            name: "conditions",
            default: true,
            what: "failed conditions and conflicts of transactions; 2 metrics a table",
        },
        OptionalSet {
            name: "timeToLive",
            default: true,
            what: "expired items, of tables with time to live; 1 metric a table, and one request a table and hour to the control plane",
        },
        OptionalSet {
            name: "autoScaling",
            default: true,
            what: "between what capacity is scaled automatically; no metrics, and one request for every 50 capacities and hour to Application Auto Scaling where a table is provisioned",
        },
        OptionalSet {
            name: "replication",
            default: true,
            what: "replicas of global tables; 1 metric a table and region, 2 of legacy ones",
        },
        OptionalSet {
            name: "streams",
            default: false,
            what: "reads of a table's stream; 2 metrics a stream",
        },
        OptionalSet {
            name: "kinesis",
            default: false,
            what: "change data for Kinesis; 4 metrics a table that sends it",
        },
        OptionalSet {
            name: "faultInjection",
            default: false,
            what: "errors that AWS FIS injects; 1 metric an operation",
        },
    ],
};

/// Its capacity is provisioned.
pub const PROVISIONED: Features = Features::bit(0);
/// It is on demand with a maximum.
pub const MAXIMUM: Features = Features::bit(1);
/// Throttling is watched by reason.
pub const REASONS: Features = Features::bit(2);
/// Conditions and transactions are watched.
pub const CONDITIONS: Features = Features::bit(3);
/// Items expire.
pub const EXPIRES: Features = Features::bit(4);
/// An index that is being built.
pub const BUILDING: Features = Features::bit(5);
/// An operation that returns items.
pub const ITEMS: Features = Features::bit(6);
/// AWS FIS may inject errors.
pub const FAULTS: Features = Features::bit(7);
/// A global table of the version of 2017.
pub const LEGACY: Features = Features::bit(8);

/// A table without its indexes.
pub static TABLE: Shape = Shape {
    name: "dynamodb_table",
    namespace: "AWS/DynamoDB",
    dimensions: &["TableName"],
    labels: &["table_name"],
    optional: None,
    listed: false,
    features: &[
        (PROVISIONED, "capacity is provisioned"),
        (MAXIMUM, "on demand with a maximum"),
        (REASONS, "optional set `throttleReasons`"),
        (CONDITIONS, "optional set `conditions`"),
        (EXPIRES, "time to live is on, and optional set `timeToLive`"),
    ],
    metrics: &[
        CONSUMED_READ,
        CONSUMED_WRITE,
        READ_THROTTLES,
        WRITE_THROTTLES,
        KEY_RANGE_READ.needs(REASONS),
        KEY_RANGE_WRITE.needs(REASONS),
        LIMIT_READ.needs(REASONS),
        LIMIT_WRITE.needs(REASONS),
        PROVISIONED_THROTTLES_READ.needs(REASONS.and(PROVISIONED)),
        PROVISIONED_THROTTLES_WRITE.needs(REASONS.and(PROVISIONED)),
        MAXIMUM_READ.needs(REASONS.and(MAXIMUM)),
        MAXIMUM_WRITE.needs(REASONS.and(MAXIMUM)),
        Metric::counter(
            "ConditionalCheckFailedRequests",
            &Family {
                name: "aws_dynamodb_conditional_check_failed_requests_total",
                kind: FamilyKind::Counter,
                help: "Writes that were not done because their condition was false. Source: AWS/DynamoDB ConditionalCheckFailedRequests, Sum.",
            },
        )
        .needs(CONDITIONS),
        Metric::counter(
            "TransactionConflict",
            &Family {
                name: "aws_dynamodb_transaction_conflicts_total",
                kind: FamilyKind::Counter,
                help: "Requests for single items that were refused because a transaction held the item. Source: AWS/DynamoDB TransactionConflict, Sum.",
            },
        )
        .needs(CONDITIONS),
        Metric::counter(
            "TimeToLiveDeletedItemCount",
            &Family {
                name: "aws_dynamodb_ttl_deleted_items_total",
                kind: FamilyKind::Counter,
                help: "Items that were deleted because their time had come. Source: AWS/DynamoDB TimeToLiveDeletedItemCount, Sum.",
            },
        )
        .needs(EXPIRES),
    ],
};

/// A global secondary index.
pub static INDEX: Shape = Shape {
    name: "dynamodb_index",
    namespace: "AWS/DynamoDB",
    dimensions: &["TableName", "GlobalSecondaryIndexName"],
    labels: &["table_name", "global_secondary_index_name"],
    optional: Some("indexes"),
    listed: false,
    features: &[
        (PROVISIONED, "capacity is provisioned"),
        (MAXIMUM, "on demand with a maximum"),
        (REASONS, "optional set `throttleReasons`"),
        (BUILDING, "the index is being built"),
    ],
    metrics: &[
        CONSUMED_READ,
        CONSUMED_WRITE,
        READ_THROTTLES,
        WRITE_THROTTLES,
        KEY_RANGE_READ.needs(REASONS),
        KEY_RANGE_WRITE.needs(REASONS),
        LIMIT_READ.needs(REASONS),
        LIMIT_WRITE.needs(REASONS),
        PROVISIONED_THROTTLES_READ.needs(REASONS.and(PROVISIONED)),
        PROVISIONED_THROTTLES_WRITE.needs(REASONS.and(PROVISIONED)),
        MAXIMUM_READ.needs(REASONS.and(MAXIMUM)),
        MAXIMUM_WRITE.needs(REASONS.and(MAXIMUM)),
        Metric::maximum(
            "OnlineIndexPercentageProgress",
            &Family {
                name: "aws_dynamodb_online_index_progress_ratio",
                kind: FamilyKind::Gauge,
                help: "How far an index is built. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB OnlineIndexPercentageProgress, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .needs(BUILDING)
        .every_minutes(5),
    ],
};

/// One operation on a table.
pub static OPERATION: Shape = Shape {
    name: "dynamodb_operation",
    namespace: "AWS/DynamoDB",
    dimensions: &["TableName", "Operation"],
    labels: &["table_name", "operation"],
    optional: Some("operations"),
    listed: true,
    features: &[
        (ITEMS, "queries and scans"),
        (FAULTS, "optional set `faultInjection`"),
    ],
    metrics: &[
        Metric::distribution(
            "SuccessfulRequestLatency",
            &Family {
                name: "aws_dynamodb_request_duration_seconds",
                kind: FamilyKind::Summary,
                help: "Time that successful requests took inside DynamoDB. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/DynamoDB SuccessfulRequestLatency.",
            },
            &Family {
                name: "aws_dynamodb_request_duration_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time that successful requests took inside DynamoDB. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/DynamoDB SuccessfulRequestLatency, Maximum.",
            },
            &Family {
                name: "aws_dynamodb_request_duration_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time that successful requests took inside DynamoDB. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/DynamoDB SuccessfulRequestLatency, TC.",
            },
        ),
        Metric::counter(
            "SystemErrors",
            &Family {
                name: "aws_dynamodb_system_errors_total",
                kind: FamilyKind::Counter,
                help: "Requests that failed with an HTTP 500 of DynamoDB. Source: AWS/DynamoDB SystemErrors, Sum.",
            },
        ),
        Metric::counter(
            "ThrottledRequests",
            &Family {
                name: "aws_dynamodb_throttled_requests_total",
                kind: FamilyKind::Counter,
                help: "Requests of which a part was throttled; of a batch, only when all of it was. Source: AWS/DynamoDB ThrottledRequests, Sum.",
            },
        ),
        Metric::counter(
            "ReturnedItemCount",
            &Family {
                name: "aws_dynamodb_returned_items_total",
                kind: FamilyKind::Counter,
                help: "Items that queries and scans returned. Source: AWS/DynamoDB ReturnedItemCount, Sum.",
            },
        )
        .needs(ITEMS),
        Metric::counter(
            "FaultInjectionServiceInducedErrors",
            &Family {
                name: "aws_dynamodb_fis_induced_errors_total",
                kind: FamilyKind::Counter,
                help: "Errors that an experiment of AWS FIS caused. Source: AWS/DynamoDB FaultInjectionServiceInducedErrors, Sum.",
            },
        )
        .needs(FAULTS),
    ],
};

/// Reads of a table's stream.
pub static STREAM: Shape = Shape {
    name: "dynamodb_stream",
    namespace: "AWS/DynamoDB",
    dimensions: &["TableName", "Operation", "StreamLabel"],
    labels: &["table_name", "operation", "stream_label"],
    optional: Some("streams"),
    listed: true,
    features: &[],
    metrics: &[
        Metric::counter(
            "ReturnedBytes",
            &Family {
                name: "aws_dynamodb_stream_returned_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes that were read from the table's stream. Source: AWS/DynamoDB ReturnedBytes, Sum.",
            },
        )
        .unit(Unit::Bytes),
        Metric::counter(
            "ReturnedRecordsCount",
            &Family {
                name: "aws_dynamodb_stream_returned_records_total",
                kind: FamilyKind::Counter,
                help: "Records that were read from the table's stream. Source: AWS/DynamoDB ReturnedRecordsCount, Sum.",
            },
        ),
    ],
};

/// A replica of a global table.
pub static REPLICA: Shape = Shape {
    name: "dynamodb_replica",
    namespace: "AWS/DynamoDB",
    dimensions: &["TableName", "ReceivingRegion"],
    labels: &["table_name", "receiving_region"],
    optional: Some("replication"),
    listed: false,
    features: &[
        (LEGACY, "a global table of the version of 2017"),
    ],
    metrics: &[
        Metric::maximum(
            "ReplicationLatency",
            &Family {
                name: "aws_dynamodb_replication_latency_seconds",
                kind: FamilyKind::Gauge,
                help: "Time until a write is in the replica. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB ReplicationLatency, Maximum.",
            },
        )
        .unit(Unit::Milliseconds)
        .every_minutes(5),
        Metric::maximum(
            "PendingReplicationCount",
            &Family {
                name: "aws_dynamodb_pending_replication_items",
                kind: FamilyKind::Gauge,
                help: "Writes that are not in the replica yet. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB PendingReplicationCount, Maximum.",
            },
        )
        .needs(LEGACY)
        .every_minutes(5),
    ],
};

/// What a table sends to Kinesis.
pub static KINESIS: Shape = Shape {
    name: "dynamodb_kinesis",
    namespace: "AWS/DynamoDB",
    dimensions: &["TableName", "DelegatedOperation"],
    labels: &["table_name", "delegated_operation"],
    optional: Some("kinesis"),
    listed: true,
    features: &[],
    metrics: &[
        Metric::maximum(
            "AgeOfOldestUnreplicatedRecord",
            &Family {
                name: "aws_dynamodb_kinesis_oldest_unreplicated_record_age_seconds",
                kind: FamilyKind::Gauge,
                help: "Age of the oldest change that is not in Kinesis yet. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB AgeOfOldestUnreplicatedRecord, Maximum.",
            },
        )
        .unit(Unit::Milliseconds)
        .every_minutes(5),
        Metric::counter(
            "ConsumedChangeDataCaptureUnits",
            &Family {
                name: "aws_dynamodb_kinesis_change_data_capture_units_total",
                kind: FamilyKind::Counter,
                help: "Units of change data that were consumed. Source: AWS/DynamoDB ConsumedChangeDataCaptureUnits, Sum.",
            },
        )
        .every_minutes(5),
        Metric::counter(
            "FailedToReplicateRecordCount",
            &Family {
                name: "aws_dynamodb_kinesis_failed_records_total",
                kind: FamilyKind::Counter,
                help: "Changes that could not be sent to Kinesis. Source: AWS/DynamoDB FailedToReplicateRecordCount, Sum.",
            },
        )
        .every_minutes(5),
        Metric::counter(
            "ThrottledPutRecordCount",
            &Family {
                name: "aws_dynamodb_kinesis_throttled_records_total",
                kind: FamilyKind::Counter,
                help: "Changes that Kinesis throttled. Source: AWS/DynamoDB ThrottledPutRecordCount, Sum.",
            },
        )
        .every_minutes(5),
    ],
};

/// All tables of the region together.
pub static ACCOUNT: Shape = Shape {
    name: "dynamodb_account",
    namespace: "AWS/DynamoDB",
    dimensions: &[],
    labels: &[],
    optional: Some("account"),
    listed: false,
    features: &[],
    metrics: &[
        Metric::counter(
            "UserErrors",
            &Family {
                name: "aws_dynamodb_user_errors_total",
                kind: FamilyKind::Counter,
                help: "Requests of the account in the region that failed with an HTTP 400: wrong parameters, missing tables. Failed conditions are not among them. Source: AWS/DynamoDB UserErrors, Sum.",
            },
        ),
        Metric::maximum(
            "AccountProvisionedReadCapacityUtilization",
            &Family {
                name: "aws_dynamodb_account_provisioned_read_capacity_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Provisioned read capacity of all tables as a part of the account's limit. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB AccountProvisionedReadCapacityUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
        Metric::maximum(
            "MaxProvisionedTableReadCapacityUtilization",
            &Family {
                name: "aws_dynamodb_account_max_provisioned_table_read_capacity_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Provisioned read capacity of the largest table as a part of a table's limit. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB MaxProvisionedTableReadCapacityUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
        Metric::maximum(
            "AccountProvisionedWriteCapacityUtilization",
            &Family {
                name: "aws_dynamodb_account_provisioned_write_capacity_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Provisioned write capacity of all tables as a part of the account's limit. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB AccountProvisionedWriteCapacityUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
        Metric::maximum(
            "MaxProvisionedTableWriteCapacityUtilization",
            &Family {
                name: "aws_dynamodb_account_max_provisioned_table_write_capacity_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Provisioned write capacity of the largest table as a part of a table's limit. The greatest of all minutes settled since the last snapshot. Source: AWS/DynamoDB MaxProvisionedTableWriteCapacityUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
    ],
};
