//! The metrics and settings of event source mappings. AWS publishes the metrics only of mappings that
//! ask for them (`MetricsConfig`).

use crate::services::table::{Family, FamilyKind, Features, Metric, Shape, Unit};

/// The mapping asks for counts of events.
pub const EVENTS: Features = Features::bit(0);
/// The mapping asks for counts of errors.
pub const ERRORS: Features = Features::bit(1);
/// The mapping asks for metrics of Kafka.
pub const KAFKA_LAG: Features = Features::bit(2);
/// It reads a queue.
pub const QUEUE: Features = Features::bit(3);
/// It reads a stream or a Kafka topic.
pub const STREAM: Features = Features::bit(4);
/// It reads a Kafka topic.
pub const KAFKA: Features = Features::bit(5);
/// Its pollers are provisioned.
pub const POLLERS: Features = Features::bit(6);

/// Errors of a mapping.
static MAPPING_ERRORS: Family = Family {
    name: "aws_lambda_esm_errors_total",
    kind: FamilyKind::Counter,
    help: "Errors of the mapping, by where they happened. Source: AWS/Lambda PollingErrorCount, InvokeErrorCount, SchemaRegistryErrorCount, CommitErrorCount, OnFailureDestinationDeliveryErrorCount, Sum.",
};

/// An event source mapping.
pub static MAPPING: Shape = Shape {
    name: "lambda_event_source_mapping",
    namespace: "AWS/Lambda",
    dimensions: &["EventSourceMappingUUID"],
    labels: &["uuid", "function_name"],
    optional: Some("eventSourceMappings"),
    listed: false,
    features: &[
        (EVENTS, "MetricsConfig has EventCount"),
        (ERRORS, "MetricsConfig has ErrorCount"),
        (KAFKA_LAG, "MetricsConfig has KafkaMetrics"),
        (QUEUE, "its source is a queue"),
        (STREAM, "its source is a stream or Kafka"),
        (KAFKA, "its source is Kafka"),
        (POLLERS, "its pollers are provisioned"),
    ],
    metrics: &[
        Metric::counter(
            "PolledEventCount",
            &Family {
                name: "aws_lambda_esm_polled_events_total",
                kind: FamilyKind::Counter,
                help: "Events that the mapping read from its source. Source: AWS/Lambda PolledEventCount, Sum.",
            },
        )
        .needs(EVENTS),
        Metric::counter(
            "FilteredOutEventCount",
            &Family {
                name: "aws_lambda_esm_filtered_out_events_total",
                kind: FamilyKind::Counter,
                help: "Events that the mapping's filters dropped. Source: AWS/Lambda FilteredOutEventCount, Sum.",
            },
        )
        .needs(EVENTS),
        Metric::counter(
            "InvokedEventCount",
            &Family {
                name: "aws_lambda_esm_invoked_events_total",
                kind: FamilyKind::Counter,
                help: "Events that the function was invoked with. Source: AWS/Lambda InvokedEventCount, Sum.",
            },
        )
        .needs(EVENTS),
        Metric::counter(
            "FailedInvokeEventCount",
            &Family {
                name: "aws_lambda_esm_failed_invoke_events_total",
                kind: FamilyKind::Counter,
                help: "Events whose invocation failed; retries count again. Minute of the end. Source: AWS/Lambda FailedInvokeEventCount, Sum.",
            },
        )
        .needs(EVENTS),
        Metric::counter(
            "DroppedEventCount",
            &Family {
                name: "aws_lambda_esm_dropped_events_total",
                kind: FamilyKind::Counter,
                help: "Events that were given up: too old or too many attempts. Source: AWS/Lambda DroppedEventCount, Sum.",
            },
        )
        .needs(EVENTS.and(STREAM)),
        Metric::counter(
            "OnFailureDestinationDeliveredEventCount",
            &Family {
                name: "aws_lambda_esm_on_failure_delivered_events_total",
                kind: FamilyKind::Counter,
                help: "Events that were sent to the destination for failures. Source: AWS/Lambda OnFailureDestinationDeliveredEventCount, Sum.",
            },
        )
        .needs(EVENTS.and(STREAM)),
        Metric::counter(
            "DeletedEventCount",
            &Family {
                name: "aws_lambda_esm_deleted_events_total",
                kind: FamilyKind::Counter,
                help: "Messages that were deleted from the queue after their processing. Source: AWS/Lambda DeletedEventCount, Sum.",
            },
        )
        .needs(EVENTS.and(QUEUE)),
        Metric::counter(
            "CommittedEventCount",
            &Family {
                name: "aws_lambda_esm_committed_events_total",
                kind: FamilyKind::Counter,
                help: "Records whose offset was committed. Source: AWS/Lambda CommittedEventCount, Sum.",
            },
        )
        .needs(EVENTS.and(KAFKA)),
        Metric::counter(
            "PollingErrorCount",
            &MAPPING_ERRORS,
        )
        .labelled(&[("type", "polling")])
        .needs(ERRORS.and(KAFKA)),
        Metric::counter(
            "InvokeErrorCount",
            &MAPPING_ERRORS,
        )
        .labelled(&[("type", "invoke")])
        .needs(ERRORS.and(KAFKA)),
        Metric::counter(
            "SchemaRegistryErrorCount",
            &MAPPING_ERRORS,
        )
        .labelled(&[("type", "schema_registry")])
        .needs(ERRORS.and(KAFKA)),
        Metric::counter(
            "CommitErrorCount",
            &MAPPING_ERRORS,
        )
        .labelled(&[("type", "commit")])
        .needs(ERRORS.and(KAFKA)),
        Metric::counter(
            "OnFailureDestinationDeliveryErrorCount",
            &MAPPING_ERRORS,
        )
        .labelled(&[("type", "on_failure_delivery")])
        .needs(ERRORS.and(KAFKA)),
        Metric::maximum(
            "MaxOffsetLag",
            &Family {
                name: "aws_lambda_esm_max_offset_lag",
                kind: FamilyKind::Gauge,
                help: "How many records the slowest partition is behind the newest one. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda MaxOffsetLag, Maximum.",
            },
        )
        .needs(KAFKA_LAG.and(KAFKA)),
        Metric::maximum(
            "SumOffsetLag",
            &Family {
                name: "aws_lambda_esm_sum_offset_lag",
                kind: FamilyKind::Gauge,
                help: "How many records all partitions together are behind the newest ones. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda SumOffsetLag, Maximum.",
            },
        )
        .needs(KAFKA_LAG.and(KAFKA)),
        Metric::maximum(
            "ProvisionedPollers",
            &Family {
                name: "aws_lambda_esm_provisioned_pollers",
                kind: FamilyKind::Gauge,
                help: "Pollers of a mapping that has provisioned ones. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ProvisionedPollers, Maximum.",
            },
        )
        .needs(POLLERS),
        Metric::maximum(
            "EventPollerUnit",
            &Family {
                name: "aws_lambda_esm_event_poller_units",
                kind: FamilyKind::Gauge,
                help: "Units of provisioned pollers of Kafka that were in use. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda EventPollerUnit, Maximum.",
            },
        )
        .needs(POLLERS.and(KAFKA)),
        Metric::counter(
            "EventPollerThroughputInBytes",
            &Family {
                name: "aws_lambda_esm_event_poller_throughput_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes that provisioned pollers of Kafka read. Source: AWS/Lambda EventPollerThroughputInBytes, Sum.",
            },
        )
        .unit(Unit::Bytes)
        .needs(POLLERS.and(KAFKA)),
    ],
};
