//! DynamoDB's counters.

use super::{ByLabel, Counter, Subject};

pub(super) const COUNTERS: &[Counter] = &[
    (
        "aws_dynamodb_consumed_read_capacity_units_total",
        "ConsumedReadCapacityUnits",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_consumed_write_capacity_units_total",
        "ConsumedWriteCapacityUnits",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_read_throttle_events_total",
        "ReadThrottleEvents",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_write_throttle_events_total",
        "WriteThrottleEvents",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_conditional_check_failed_requests_total",
        "ConditionalCheckFailedRequests",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_transaction_conflicts_total",
        "TransactionConflict",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_ttl_deleted_items_total",
        "TimeToLiveDeletedItemCount",
        1,
        TABLE,
    ),
    (
        "aws_dynamodb_request_duration_seconds",
        "SuccessfulRequestLatency",
        1000,
        OPERATION,
    ),
    (
        "aws_dynamodb_system_errors_total",
        "SystemErrors",
        1,
        OPERATION,
    ),
    (
        "aws_dynamodb_throttled_requests_total",
        "ThrottledRequests",
        1,
        OPERATION,
    ),
    (
        "aws_dynamodb_returned_items_total",
        "ReturnedItemCount",
        1,
        OPERATION,
    ),
    (
        "aws_dynamodb_fis_induced_errors_total",
        "FaultInjectionServiceInducedErrors",
        1,
        OPERATION,
    ),
    (
        "aws_dynamodb_stream_returned_bytes_total",
        "ReturnedBytes",
        1,
        STREAM,
    ),
    (
        "aws_dynamodb_stream_returned_records_total",
        "ReturnedRecordsCount",
        1,
        STREAM,
    ),
    (
        "aws_dynamodb_kinesis_change_data_capture_units_total",
        "ConsumedChangeDataCaptureUnits",
        1,
        KINESIS,
    ),
    (
        "aws_dynamodb_kinesis_failed_records_total",
        "FailedToReplicateRecordCount",
        1,
        KINESIS,
    ),
    (
        "aws_dynamodb_kinesis_throttled_records_total",
        "ThrottledPutRecordCount",
        1,
        KINESIS,
    ),
    (
        "aws_dynamodb_user_errors_total",
        "UserErrors",
        1,
        DYNAMODB_ACCOUNT,
    ),
];

pub(super) const BY_LABEL: &[ByLabel] = &[
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=read", "reason=key_range"],
        "ReadKeyRangeThroughputThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=write", "reason=key_range"],
        "WriteKeyRangeThroughputThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=read", "reason=provisioned_throughput"],
        "ReadProvisionedThroughputThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=write", "reason=provisioned_throughput"],
        "WriteProvisionedThroughputThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=read", "reason=max_on_demand_throughput"],
        "ReadMaxOnDemandThroughputThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=write", "reason=max_on_demand_throughput"],
        "WriteMaxOnDemandThroughputThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=read", "reason=account_limit"],
        "ReadAccountLimitThrottleEvents",
        TABLE,
    ),
    (
        "aws_dynamodb_throttle_events_by_reason_total",
        &["direction=write", "reason=account_limit"],
        "WriteAccountLimitThrottleEvents",
        TABLE,
    ),
];

const fn dynamodb(dimensions: &'static [(&'static str, &'static str)], period: i64) -> Subject {
    Subject {
        service: "dynamodb",
        namespace: "AWS/DynamoDB",
        dimensions,
        period,
    }
}

// An index's series have one label more; one that is empty is no dimension.
const TABLE: Subject = dynamodb(
    &[
        ("TableName", "table_name"),
        ("GlobalSecondaryIndexName", "global_secondary_index_name"),
    ],
    60,
);
const OPERATION: Subject = dynamodb(
    &[("TableName", "table_name"), ("Operation", "operation")],
    60,
);
const STREAM: Subject = dynamodb(
    &[
        ("TableName", "table_name"),
        ("Operation", "operation"),
        ("StreamLabel", "stream_label"),
    ],
    60,
);
const KINESIS: Subject = dynamodb(
    &[
        ("TableName", "table_name"),
        ("DelegatedOperation", "delegated_operation"),
    ],
    300,
);
const DYNAMODB_ACCOUNT: Subject = dynamodb(&[], 60);
