//! The metric table of AWS Lambda: functions and the account. Its other rows are beside this file.

use super::facts::ALL;
use super::managed::{CAPACITY_PROVIDER, EXECUTION_ENVIRONMENT};
use super::mappings::MAPPING;
use super::versions::{PROVISIONED, VERSION};
use crate::services::table::{
    Family, FamilyKind, Features, Gate, Metric, OptionalSet, Service, Shape, Unit,
};

/// AWS Lambda.
pub static SERVICE: Service = Service {
    name: "lambda",
    tagging_types: &["lambda:function"],
    iam_actions: &[
        "lambda:ListFunctions",
        "lambda:GetFunctionConfiguration",
        "lambda:ListEventSourceMappings",
        "lambda:GetAccountSettings",
        "lambda:GetFunctionConcurrency",
        "cloudwatch:ListMetrics",
    ],
    shapes: &[
        &FUNCTION,
        &ACCOUNT,
        &MAPPING,
        &VERSION,
        &PROVISIONED,
        &CAPACITY_PROVIDER,
        &EXECUTION_ENVIRONMENT,
    ],
    facts: ALL,
    optional: &[
        OptionalSet {
            name: "account",
            default: true,
            what: "the concurrency of all functions of the region together, and its limits; 3 metrics a region",
        },
        OptionalSet {
            name: "async",
            default: true,
            what: "events of asynchronous invocations, of functions that have them; 3 metrics a function",
        },
        OptionalSet {
            name: "eventSourceMappings",
            default: true,
            what: "settings of event source mappings, and 3 to 15 metrics of each whose metrics are turned on at AWS",
        },
        OptionalSet {
            name: "provisionedConcurrency",
            default: true,
            what: "the use of provisioned concurrency; 4 metrics for each alias or version that has it",
        },
        OptionalSet {
            name: "urls",
            default: true,
            what: "requests to function URLs; 4 metrics a function that has one",
        },
        OptionalSet {
            name: "versions",
            default: false,
            what: "aliases and versions that are called by name; 5 metrics each",
        },
        OptionalSet {
            name: "streaming",
            default: false,
            what: "streamed responses; 4 metrics a function that streams",
        },
        OptionalSet {
            name: "extensions",
            default: false,
            what: "what extensions do after a run; 1 metric a function that has such extensions",
        },
        OptionalSet {
            name: "reservedConcurrency",
            default: false,
            what: "reserved concurrency, as a setting; no metric, but one request a function and hour to the control plane, of which Lambda answers 15 a second to everybody in the account",
        },
    ],
};

/// The function has a dead-letter queue.
pub const DEAD_LETTER: Features = Features::bit(0);
/// CloudWatch lists asynchronous events of it.
pub const ASYNC: Features = Features::bit(1);
/// A stream feeds it.
pub const STREAM: Features = Features::bit(2);
/// An Amazon `DocumentDB` stream feeds it.
pub const DOCUMENT_DB: Features = Features::bit(3);
/// A Kafka topic feeds it.
pub const KAFKA: Features = Features::bit(4);
/// Its code is signed.
pub const SIGNED: Features = Features::bit(5);
/// CloudWatch lists requests to its URL.
pub const URL: Features = Features::bit(6);
/// CloudWatch lists streamed responses of it.
pub const STREAMING: Features = Features::bit(7);
/// CloudWatch lists work of extensions after its runs.
pub const EXTENSIONS: Features = Features::bit(8);
/// Its executions are durable.
pub const DURABLE: Features = Features::bit(9);
/// It runs on managed instances.
pub const MANAGED: Features = Features::bit(10);
/// It is invoked asynchronously, or a mapping has a destination for failures.
pub const DESTINATIONS: Features = Features::bit(11);

/// Throttles of managed instances.
static MANAGED_THROTTLES: Family = Family {
    name: "aws_lambda_managed_instance_throttles_total",
    kind: FamilyKind::Counter,
    help: "Requests that a managed instance refused, by what it was short of. Source: AWS/Lambda CPUThrottles, MemoryThrottles, DiskThrottles, ConcurrencyThrottles, Sum.",
};

/// Errors of function URLs.
static URL_ERRORS: Family = Family {
    name: "aws_lambda_url_errors_total",
    kind: FamilyKind::Counter,
    help: "Requests to the function's URL that were answered with a status of the class. Source: AWS/Lambda Url4xxCount, Url5xxCount, Sum.",
};

/// Ends of durable executions.
static DURABLE_ENDED: Family = Family {
    name: "aws_lambda_durable_executions_ended_total",
    kind: FamilyKind::Counter,
    help: "Durable executions that ended, by how. Source: AWS/Lambda DurableExecutionSucceeded, DurableExecutionFailed, DurableExecutionTimedOut, DurableExecutionStopped, Sum.",
};

/// All versions and aliases of a function together.
pub static FUNCTION: Shape = Shape {
    name: "lambda_function",
    namespace: "AWS/Lambda",
    dimensions: &["FunctionName"],
    labels: &["function_name"],
    optional: None,
    listed: false,
    features: &[
        (DEAD_LETTER, "a dead-letter queue"),
        (ASYNC, "asynchronous events, and optional set `async`"),
        (STREAM, "an event source mapping of a stream, and optional set `eventSourceMappings`"),
        (DOCUMENT_DB, "an event source mapping of Amazon DocumentDB, and optional set `eventSourceMappings`"),
        (KAFKA, "an event source mapping of Kafka, and optional set `eventSourceMappings`"),
        (SIGNED, "signed code"),
        (URL, "requests to a function URL, and optional set `urls`"),
        (STREAMING, "streamed responses, and optional set `streaming`"),
        (EXTENSIONS, "extensions that outlast runs, and optional set `extensions`"),
        (DURABLE, "durable executions"),
        (MANAGED, "managed instances"),
        (DESTINATIONS, "asynchronous events or an event source mapping, and their optional set"),
    ],
    metrics: &[
        Metric::counter(
            "Invocations",
            &Family {
                name: "aws_lambda_invocations_total",
                kind: FamilyKind::Counter,
                help: "Times that the function's code was run, failed runs included, throttled requests not. Minute of the run's start. Source: AWS/Lambda Invocations, Sum.",
            },
        ),
        Metric::counter(
            "Errors",
            &Family {
                name: "aws_lambda_errors_total",
                kind: FamilyKind::Counter,
                help: "Runs that ended with an error of the function or of its runtime, timeouts included. Source: AWS/Lambda Errors, Sum.",
            },
        )
        .within("Invocations")
        .gated(Gate::Dense),
        Metric::counter(
            "Throttles",
            &Family {
                name: "aws_lambda_throttles_total",
                kind: FamilyKind::Counter,
                help: "Requests that were refused for want of concurrency; they are neither invocations nor errors. Source: AWS/Lambda Throttles, Sum.",
            },
        )
        .gated(Gate::Dense),
        Metric::distribution(
            "Duration",
            &Family {
                name: "aws_lambda_duration_seconds",
                kind: FamilyKind::Summary,
                help: "Time that the function's code ran, without its initialisation. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda Duration.",
            },
            &Family {
                name: "aws_lambda_duration_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time that the function's code ran, without its initialisation. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda Duration, Maximum.",
            },
            &Family {
                name: "aws_lambda_duration_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time that the function's code ran, without its initialisation. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda Duration, TC.",
            },
        )
        .within("Invocations"),
        Metric::maximum(
            "ConcurrentExecutions",
            &Family {
                name: "aws_lambda_concurrent_executions",
                kind: FamilyKind::Gauge,
                help: "The most runs of the function at one time; absent while idle. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ConcurrentExecutions, Maximum.",
            },
        )
        .within("Invocations"),
        Metric::counter(
            "DeadLetterErrors",
            &Family {
                name: "aws_lambda_dead_letter_errors_total",
                kind: FamilyKind::Counter,
                help: "Asynchronous events that could not be sent to the function's dead-letter queue: they are lost. Source: AWS/Lambda DeadLetterErrors, Sum.",
            },
        )
        .needs(DEAD_LETTER)
        .gated(Gate::Sparse),
        Metric::counter(
            "AsyncEventsReceived",
            &Family {
                name: "aws_lambda_async_events_received_total",
                kind: FamilyKind::Counter,
                help: "Asynchronous events that Lambda took in for the function. Source: AWS/Lambda AsyncEventsReceived, Sum.",
            },
        )
        .needs(ASYNC),
        Metric::counter(
            "AsyncEventsDropped",
            &Family {
                name: "aws_lambda_async_events_dropped_total",
                kind: FamilyKind::Counter,
                help: "Asynchronous events that were given up without a successful run: too old, too many attempts, or no concurrency. Source: AWS/Lambda AsyncEventsDropped, Sum.",
            },
        )
        .needs(ASYNC)
        .gated(Gate::Sparse),
        Metric::maximum(
            "AsyncEventAge",
            &Family {
                name: "aws_lambda_async_event_age_seconds",
                kind: FamilyKind::Gauge,
                help: "Time from taking in an asynchronous event to its run, attempts before included; absent while there are none. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda AsyncEventAge, Maximum.",
            },
        )
        .unit(Unit::Milliseconds)
        .needs(ASYNC),
        Metric::counter(
            "DestinationDeliveryFailures",
            &Family {
                name: "aws_lambda_destination_delivery_failures_total",
                kind: FamilyKind::Counter,
                help: "Events that could not be sent to a destination of the function: permission, size, or an error of the destination. Source: AWS/Lambda DestinationDeliveryFailures, Sum.",
            },
        )
        .needs(DESTINATIONS)
        .gated(Gate::Sparse),
        Metric::counter(
            "RecursiveInvocationsDropped",
            &Family {
                name: "aws_lambda_recursive_invocations_dropped_total",
                kind: FamilyKind::Counter,
                help: "Invocations that Lambda stopped because the function had invoked itself about 16 times in a loop. Source: AWS/Lambda RecursiveInvocationsDropped, Sum.",
            },
        )
        .needs(DESTINATIONS)
        .gated(Gate::Sparse),
        Metric::counter(
            "OversizedRecordCount",
            &Family {
                name: "aws_lambda_oversized_records_total",
                kind: FamilyKind::Counter,
                help: "Change events of Amazon DocumentDB over 6 MB, which are not delivered. Source: AWS/Lambda OversizedRecordCount, Sum.",
            },
        )
        .needs(DOCUMENT_DB)
        .gated(Gate::Sparse),
        Metric::counter(
            "SignatureValidationErrors",
            &Family {
                name: "aws_lambda_signature_validation_errors_total",
                kind: FamilyKind::Counter,
                help: "Deployments of code whose signature could not be validated. Source: AWS/Lambda SignatureValidationErrors, Sum.",
            },
        )
        .needs(SIGNED)
        .gated(Gate::Sparse),
        Metric::maximum(
            "IteratorAge",
            &Family {
                name: "aws_lambda_iterator_age_seconds",
                kind: FamilyKind::Gauge,
                help: "Age of the last record of a batch from a stream when the function got it; absent while nothing is read. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda IteratorAge, Maximum.",
            },
        )
        .unit(Unit::Milliseconds)
        .needs(STREAM),
        Metric::maximum(
            "OffsetLag",
            &Family {
                name: "aws_lambda_kafka_offset_lag",
                kind: FamilyKind::Gauge,
                help: "How many records the function is behind the newest one of its Kafka topics. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda OffsetLag, Maximum.",
            },
        )
        .needs(KAFKA),
        Metric::counter(
            "UrlRequestCount",
            &Family {
                name: "aws_lambda_url_requests_total",
                kind: FamilyKind::Counter,
                help: "Requests to the function's URL. Source: AWS/Lambda UrlRequestCount, Sum.",
            },
        )
        .needs(URL),
        Metric::counter(
            "Url4xxCount",
            &URL_ERRORS,
        )
        .labelled(&[("code_class", "4xx")])
        .needs(URL),
        Metric::counter(
            "Url5xxCount",
            &URL_ERRORS,
        )
        .labelled(&[("code_class", "5xx")])
        .needs(URL),
        Metric::distribution(
            "UrlRequestLatency",
            &Family {
                name: "aws_lambda_url_request_duration_seconds",
                kind: FamilyKind::Summary,
                help: "Time from the arrival of a request to the function's URL to its answer. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda UrlRequestLatency.",
            },
            &Family {
                name: "aws_lambda_url_request_duration_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time from the arrival of a request to the function's URL to its answer. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda UrlRequestLatency, Maximum.",
            },
            &Family {
                name: "aws_lambda_url_request_duration_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time from the arrival of a request to the function's URL to its answer. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda UrlRequestLatency, TC.",
            },
        )
        .needs(URL),
        Metric::distribution(
            "PostRuntimeExtensionsDuration",
            &Family {
                name: "aws_lambda_post_runtime_extensions_duration_seconds",
                kind: FamilyKind::Summary,
                help: "Time that extensions ran after the function's code. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda PostRuntimeExtensionsDuration.",
            },
            &Family {
                name: "aws_lambda_post_runtime_extensions_duration_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time that extensions ran after the function's code. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda PostRuntimeExtensionsDuration, Maximum.",
            },
            &Family {
                name: "aws_lambda_post_runtime_extensions_duration_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time that extensions ran after the function's code. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda PostRuntimeExtensionsDuration, TC.",
            },
        )
        .needs(EXTENSIONS),
        Metric::distribution(
            "TimeToFirstByteLatency",
            &Family {
                name: "aws_lambda_response_time_to_first_byte_seconds",
                kind: FamilyKind::Summary,
                help: "Time to the first byte of a streamed response. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda TimeToFirstByteLatency.",
            },
            &Family {
                name: "aws_lambda_response_time_to_first_byte_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time to the first byte of a streamed response. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda TimeToFirstByteLatency, Maximum.",
            },
            &Family {
                name: "aws_lambda_response_time_to_first_byte_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time to the first byte of a streamed response. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda TimeToFirstByteLatency, TC.",
            },
        )
        .needs(STREAMING),
        Metric::distribution(
            "TimeToLastByteLatency",
            &Family {
                name: "aws_lambda_response_time_to_last_byte_seconds",
                kind: FamilyKind::Summary,
                help: "Time to the last byte of a streamed response. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda TimeToLastByteLatency.",
            },
            &Family {
                name: "aws_lambda_response_time_to_last_byte_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time to the last byte of a streamed response. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda TimeToLastByteLatency, Maximum.",
            },
            &Family {
                name: "aws_lambda_response_time_to_last_byte_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time to the last byte of a streamed response. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda TimeToLastByteLatency, TC.",
            },
        )
        .needs(STREAMING),
        Metric::counter(
            "StreamedOutboundBytes",
            &Family {
                name: "aws_lambda_streamed_outbound_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes of streamed responses. Source: AWS/Lambda StreamedOutboundBytes, Sum.",
            },
        )
        .unit(Unit::Bytes)
        .needs(STREAMING),
        Metric::average(
            "StreamedOutboundThroughput",
            &Family {
                name: "aws_lambda_streamed_outbound_bytes_per_second",
                kind: FamilyKind::Gauge,
                help: "Bytes a second of streamed responses; absent while there are none. The greatest of the averages of all minutes settled since the last snapshot. Source: AWS/Lambda StreamedOutboundThroughput, Average.",
            },
        )
        .unit(Unit::Bytes)
        .needs(STREAMING),
        Metric::counter(
            "DurableExecutionStarted",
            &Family {
                name: "aws_lambda_durable_executions_started_total",
                kind: FamilyKind::Counter,
                help: "Durable executions that began; each of their runs is an invocation besides. Source: AWS/Lambda DurableExecutionStarted, Sum.",
            },
        )
        .needs(DURABLE),
        Metric::counter(
            "DurableExecutionSucceeded",
            &DURABLE_ENDED,
        )
        .labelled(&[("status", "succeeded")])
        .needs(DURABLE),
        Metric::counter(
            "DurableExecutionFailed",
            &DURABLE_ENDED,
        )
        .labelled(&[("status", "failed")])
        .needs(DURABLE),
        Metric::counter(
            "DurableExecutionTimedOut",
            &DURABLE_ENDED,
        )
        .labelled(&[("status", "timed_out")])
        .needs(DURABLE),
        Metric::counter(
            "DurableExecutionStopped",
            &DURABLE_ENDED,
        )
        .labelled(&[("status", "stopped")])
        .needs(DURABLE),
        Metric::distribution(
            "DurableExecutionDuration",
            &Family {
                name: "aws_lambda_durable_execution_duration_seconds",
                kind: FamilyKind::Summary,
                help: "Time from the beginning of a durable execution to its end, waits included. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda DurableExecutionDuration.",
            },
            &Family {
                name: "aws_lambda_durable_execution_duration_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time from the beginning of a durable execution to its end, waits included. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda DurableExecutionDuration, Maximum.",
            },
            &Family {
                name: "aws_lambda_durable_execution_duration_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time from the beginning of a durable execution to its end, waits included. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda DurableExecutionDuration, TC.",
            },
        )
        .needs(DURABLE),
        Metric::maximum(
            "ApproximateRunningDurableExecutions",
            &Family {
                name: "aws_lambda_durable_running_executions",
                kind: FamilyKind::Gauge,
                help: "About how many durable executions are under way. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ApproximateRunningDurableExecutions, Maximum.",
            },
        )
        .needs(DURABLE),
        Metric::maximum(
            "ApproximateRunningDurableExecutionsUtilization",
            &Family {
                name: "aws_lambda_durable_running_executions_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Durable executions under way as a part of how many there may be. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ApproximateRunningDurableExecutionsUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .needs(DURABLE),
        Metric::maximum(
            "DurableExecutionOperations",
            &Family {
                name: "aws_lambda_durable_execution_operations",
                kind: FamilyKind::Gauge,
                help: "Operations of one durable execution; 3000 is the most. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda DurableExecutionOperations, Maximum.",
            },
        )
        .needs(DURABLE),
        Metric::maximum(
            "DurableExecutionStorageWrittenBytes",
            &Family {
                name: "aws_lambda_durable_execution_storage_written_bytes",
                kind: FamilyKind::Gauge,
                help: "Data that one durable execution wrote; 100 MB is the most. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda DurableExecutionStorageWrittenBytes, Maximum.",
            },
        )
        .unit(Unit::Bytes)
        .needs(DURABLE),
        Metric::counter(
            "CPUThrottles",
            &MANAGED_THROTTLES,
        )
        .labelled(&[("reason", "cpu")])
        .needs(MANAGED),
        Metric::counter(
            "MemoryThrottles",
            &MANAGED_THROTTLES,
        )
        .labelled(&[("reason", "memory")])
        .needs(MANAGED),
        Metric::counter(
            "DiskThrottles",
            &MANAGED_THROTTLES,
        )
        .labelled(&[("reason", "disk")])
        .needs(MANAGED),
        Metric::counter(
            "ConcurrencyThrottles",
            &MANAGED_THROTTLES,
        )
        .labelled(&[("reason", "concurrency")])
        .needs(MANAGED),
    ],
};

/// All functions of the region together.
pub static ACCOUNT: Shape = Shape {
    name: "lambda_account",
    namespace: "AWS/Lambda",
    dimensions: &[],
    labels: &[],
    optional: Some("account"),
    listed: false,
    features: &[],
    metrics: &[
        Metric::maximum(
            "ConcurrentExecutions",
            &Family {
                name: "aws_lambda_account_concurrent_executions",
                kind: FamilyKind::Gauge,
                help: "The most runs of all functions of the region at one time. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ConcurrentExecutions, Maximum.",
            },
        ),
        Metric::maximum(
            "UnreservedConcurrentExecutions",
            &Family {
                name: "aws_lambda_account_unreserved_concurrent_executions",
                kind: FamilyKind::Gauge,
                help: "The most runs at one time of all functions of the region that have no reserved concurrency. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda UnreservedConcurrentExecutions, Maximum.",
            },
        ),
        Metric::maximum(
            "ClaimedAccountConcurrency",
            &Family {
                name: "aws_lambda_account_claimed_concurrency",
                kind: FamilyKind::Gauge,
                help: "Concurrency that is not available to functions without reserved concurrency any more: used by these, reserved, or provisioned. At aws_lambda_account_concurrency_limit functions are throttled. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ClaimedAccountConcurrency, Maximum.",
            },
        ),
    ],
};
