//! Which metric of CloudWatch's a counter is made of.

/// Counters by their name: the metric, its unit in Prometheus' unit, and how its series is found.
/// Of a summary, the name is that of its family.
pub const COUNTERS: &[(&str, &str, u32, Subject)] = &[
    ("aws_lambda_invocations_total", "Invocations", 1, FUNCTION),
    ("aws_lambda_errors_total", "Errors", 1, FUNCTION),
    ("aws_lambda_throttles_total", "Throttles", 1, FUNCTION),
    ("aws_lambda_duration_seconds", "Duration", 1000, FUNCTION),
    (
        "aws_lambda_dead_letter_errors_total",
        "DeadLetterErrors",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_async_events_received_total",
        "AsyncEventsReceived",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_async_events_dropped_total",
        "AsyncEventsDropped",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_destination_delivery_failures_total",
        "DestinationDeliveryFailures",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_recursive_invocations_dropped_total",
        "RecursiveInvocationsDropped",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_oversized_records_total",
        "OversizedRecordCount",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_signature_validation_errors_total",
        "SignatureValidationErrors",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_url_requests_total",
        "UrlRequestCount",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_url_request_duration_seconds",
        "UrlRequestLatency",
        1000,
        FUNCTION,
    ),
    (
        "aws_lambda_post_runtime_extensions_duration_seconds",
        "PostRuntimeExtensionsDuration",
        1000,
        FUNCTION,
    ),
    (
        "aws_lambda_response_time_to_first_byte_seconds",
        "TimeToFirstByteLatency",
        1000,
        FUNCTION,
    ),
    (
        "aws_lambda_response_time_to_last_byte_seconds",
        "TimeToLastByteLatency",
        1000,
        FUNCTION,
    ),
    (
        "aws_lambda_streamed_outbound_bytes_total",
        "StreamedOutboundBytes",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_durable_executions_started_total",
        "DurableExecutionStarted",
        1,
        FUNCTION,
    ),
    (
        "aws_lambda_durable_execution_duration_seconds",
        "DurableExecutionDuration",
        1000,
        FUNCTION,
    ),
    (
        "aws_lambda_version_invocations_total",
        "Invocations",
        1,
        VERSION,
    ),
    ("aws_lambda_version_errors_total", "Errors", 1, VERSION),
    (
        "aws_lambda_version_throttles_total",
        "Throttles",
        1,
        VERSION,
    ),
    (
        "aws_lambda_version_duration_seconds",
        "Duration",
        1000,
        VERSION,
    ),
    (
        "aws_lambda_provisioned_concurrency_invocations_total",
        "ProvisionedConcurrencyInvocations",
        1,
        VERSION,
    ),
    (
        "aws_lambda_provisioned_concurrency_spillover_invocations_total",
        "ProvisionedConcurrencySpilloverInvocations",
        1,
        VERSION,
    ),
    (
        "aws_lambda_esm_polled_events_total",
        "PolledEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_filtered_out_events_total",
        "FilteredOutEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_invoked_events_total",
        "InvokedEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_failed_invoke_events_total",
        "FailedInvokeEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_dropped_events_total",
        "DroppedEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_on_failure_delivered_events_total",
        "OnFailureDestinationDeliveredEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_deleted_events_total",
        "DeletedEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_committed_events_total",
        "CommittedEventCount",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_esm_event_poller_throughput_bytes_total",
        "EventPollerThroughputInBytes",
        1,
        MAPPING,
    ),
    (
        "aws_lambda_capacity_provider_network_receive_bytes_total",
        "NetworkIn",
        1,
        PROVIDER,
    ),
    (
        "aws_lambda_capacity_provider_network_transmit_bytes_total",
        "NetworkOut",
        1,
        PROVIDER,
    ),
    (
        "aws_lambda_capacity_provider_disk_read_bytes_total",
        "DiskReadBytes",
        1,
        PROVIDER,
    ),
    (
        "aws_lambda_capacity_provider_disk_written_bytes_total",
        "DiskWriteBytes",
        1,
        PROVIDER,
    ),
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
    ("aws_apigateway_requests_total", "Count", 1, STAGE),
    (
        "aws_apigateway_request_duration_seconds",
        "Latency",
        1000,
        STAGE,
    ),
    (
        "aws_apigateway_integration_duration_seconds",
        "IntegrationLatency",
        1000,
        STAGE,
    ),
    (
        "aws_apigateway_data_processed_bytes_total",
        "DataProcessed",
        1,
        STAGE,
    ),
    ("aws_apigateway_cache_hits_total", "CacheHitCount", 1, STAGE),
    (
        "aws_apigateway_cache_misses_total",
        "CacheMissCount",
        1,
        STAGE,
    ),
    (
        "aws_apigateway_websocket_connects_total",
        "ConnectCount",
        1,
        STAGE,
    ),
    (
        "aws_apigateway_websocket_messages_total",
        "MessageCount",
        1,
        STAGE,
    ),
    (
        "aws_apigateway_websocket_integration_errors_total",
        "IntegrationError",
        1,
        STAGE,
    ),
    (
        "aws_apigateway_websocket_client_errors_total",
        "ClientError",
        1,
        STAGE,
    ),
    (
        "aws_apigateway_websocket_execution_errors_total",
        "ExecutionError",
        1,
        STAGE,
    ),
    ("aws_apigateway_method_requests_total", "Count", 1, METHOD),
    (
        "aws_apigateway_method_request_duration_seconds",
        "Latency",
        1000,
        METHOD,
    ),
    (
        "aws_apigateway_method_integration_duration_seconds",
        "IntegrationLatency",
        1000,
        METHOD,
    ),
];

/// Families of which each value of a label (or of two) is a metric of its own.
pub const BY_LABEL: &[(&str, &[&str], &str, Subject)] = &[
    (
        "aws_lambda_url_errors_total",
        &["code_class=4xx"],
        "Url4xxCount",
        FUNCTION,
    ),
    (
        "aws_lambda_url_errors_total",
        &["code_class=5xx"],
        "Url5xxCount",
        FUNCTION,
    ),
    (
        "aws_lambda_managed_instance_throttles_total",
        &["reason=cpu"],
        "CPUThrottles",
        FUNCTION,
    ),
    (
        "aws_lambda_managed_instance_throttles_total",
        &["reason=memory"],
        "MemoryThrottles",
        FUNCTION,
    ),
    (
        "aws_lambda_managed_instance_throttles_total",
        &["reason=disk"],
        "DiskThrottles",
        FUNCTION,
    ),
    (
        "aws_lambda_managed_instance_throttles_total",
        &["reason=concurrency"],
        "ConcurrencyThrottles",
        FUNCTION,
    ),
    (
        "aws_lambda_durable_executions_ended_total",
        &["status=succeeded"],
        "DurableExecutionSucceeded",
        FUNCTION,
    ),
    (
        "aws_lambda_durable_executions_ended_total",
        &["status=failed"],
        "DurableExecutionFailed",
        FUNCTION,
    ),
    (
        "aws_lambda_durable_executions_ended_total",
        &["status=timed_out"],
        "DurableExecutionTimedOut",
        FUNCTION,
    ),
    (
        "aws_lambda_durable_executions_ended_total",
        &["status=stopped"],
        "DurableExecutionStopped",
        FUNCTION,
    ),
    (
        "aws_lambda_esm_errors_total",
        &["type=polling"],
        "PollingErrorCount",
        MAPPING,
    ),
    (
        "aws_lambda_esm_errors_total",
        &["type=invoke"],
        "InvokeErrorCount",
        MAPPING,
    ),
    (
        "aws_lambda_esm_errors_total",
        &["type=schema_registry"],
        "SchemaRegistryErrorCount",
        MAPPING,
    ),
    (
        "aws_lambda_esm_errors_total",
        &["type=commit"],
        "CommitErrorCount",
        MAPPING,
    ),
    (
        "aws_lambda_esm_errors_total",
        &["type=on_failure_delivery"],
        "OnFailureDestinationDeliveryErrorCount",
        MAPPING,
    ),
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
    (
        "aws_apigateway_errors_total",
        &["api_type=rest", "code_class=4xx"],
        "4XXError",
        STAGE,
    ),
    (
        "aws_apigateway_errors_total",
        &["api_type=rest", "code_class=5xx"],
        "5XXError",
        STAGE,
    ),
    (
        "aws_apigateway_errors_total",
        &["api_type=http", "code_class=4xx"],
        "4xx",
        STAGE,
    ),
    (
        "aws_apigateway_errors_total",
        &["api_type=http", "code_class=5xx"],
        "5xx",
        STAGE,
    ),
    (
        "aws_apigateway_method_errors_total",
        &["api_type=rest", "code_class=4xx"],
        "4XXError",
        METHOD,
    ),
    (
        "aws_apigateway_method_errors_total",
        &["api_type=rest", "code_class=5xx"],
        "5XXError",
        METHOD,
    ),
    (
        "aws_apigateway_method_errors_total",
        &["api_type=http", "code_class=4xx"],
        "4xx",
        METHOD,
    ),
    (
        "aws_apigateway_method_errors_total",
        &["api_type=http", "code_class=5xx"],
        "5xx",
        METHOD,
    ),
];

/// Metrics that each resource of their kind has from its first minute on, but for indexes: here a
/// series that the simulator does not have is a mistake of ours.
pub const NEVER_ABSENT: &[&str] = &[
    "Invocations",
    "Errors",
    "Throttles",
    "Duration",
    "ConsumedReadCapacityUnits",
    "ConsumedWriteCapacityUnits",
    "Count",
    "Latency",
];

/// How a series is found: service, namespace, dimensions with the labels that hold their values,
/// and the seconds between two datapoints.
#[derive(Clone, Copy)]
pub struct Subject {
    /// The service's label on the exporter's own metrics.
    pub service: &'static str,
    /// CloudWatch's namespace.
    pub namespace: &'static str,
    /// Dimensions, each with the label that holds its value.
    pub dimensions: &'static [(&'static str, &'static str)],
    /// Seconds between two datapoints.
    pub period: i64,
}

const fn lambda(dimensions: &'static [(&'static str, &'static str)], period: i64) -> Subject {
    Subject {
        service: "lambda",
        namespace: "AWS/Lambda",
        dimensions,
        period,
    }
}

const fn dynamodb(dimensions: &'static [(&'static str, &'static str)], period: i64) -> Subject {
    Subject {
        service: "dynamodb",
        namespace: "AWS/DynamoDB",
        dimensions,
        period,
    }
}

const fn apigateway(dimensions: &'static [(&'static str, &'static str)]) -> Subject {
    Subject {
        service: "apigateway",
        namespace: "AWS/ApiGateway",
        dimensions,
        period: 60,
    }
}

const FUNCTION: Subject = lambda(&[("FunctionName", "function_name")], 60);
const VERSION: Subject = lambda(
    &[("FunctionName", "function_name"), ("Resource", "resource")],
    60,
);
const MAPPING: Subject = lambda(&[("EventSourceMappingUUID", "uuid")], 60);
const PROVIDER: Subject = lambda(
    &[
        ("CapacityProviderName", "capacity_provider_name"),
        ("InstanceType", "instance_type"),
    ],
    300,
);
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
// REST APIs are known by their name, the others by their id.
const STAGE: Subject = apigateway(&[
    ("ApiName", "api_name"),
    ("ApiId", "api_id"),
    ("Stage", "stage"),
]);
const METHOD: Subject = apigateway(&[
    ("ApiName", "api_name"),
    ("ApiId", "api_id"),
    ("Stage", "stage"),
    ("Resource", "resource"),
    ("Method", "method"),
]);
