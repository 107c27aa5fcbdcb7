//! API Gateway's counters.

use super::{ByLabel, Counter, Subject};

pub(super) const COUNTERS: &[Counter] = &[
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

pub(super) const BY_LABEL: &[ByLabel] = &[
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

const fn apigateway(dimensions: &'static [(&'static str, &'static str)]) -> Subject {
    Subject {
        service: "apigateway",
        namespace: "AWS/ApiGateway",
        dimensions,
        period: 60,
    }
}

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
