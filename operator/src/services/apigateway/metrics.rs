//! The metric table of Amazon API Gateway.

use super::methods::{HTTP_ROUTE, REST_METHOD};
use crate::services::table::{
    Family, FamilyKind, Features, Metric, OptionalSet, Service, Shape, Unit,
};

/// Amazon API Gateway.
pub static SERVICE: Service = Service {
    name: "apigateway",
    tagging_types: &["apigateway:restapis", "apigateway:apis"],
    iam_actions: &["apigateway:GET", "cloudwatch:ListMetrics"],
    shapes: &[
        &REST_STAGE,
        &HTTP_STAGE,
        &WEBSOCKET_STAGE,
        &REST_METHOD,
        &HTTP_ROUTE,
    ],
    facts: &[
        &STAGE_INFO,
        &STAGE_RATE,
        &STAGE_BURST,
        &ACCOUNT_RATE,
        &ACCOUNT_BURST,
    ],
    optional: &[
        OptionalSet {
            name: "account",
            default: true,
            what: "the throttle of the account, as a setting; no metric",
        },
        OptionalSet {
            name: "methods",
            default: false,
            what: "methods and resources of stages that have detailed metrics; 5 metrics each, besides what AWS charges for detailed metrics",
        },
    ],
};

/// The stage has a cache.
pub const CACHE: Features = Features::bit(0);

static REQUESTS: Family = Family {
    name: "aws_apigateway_requests_total",
    kind: FamilyKind::Counter,
    help: "Requests to the stage. Source: AWS/ApiGateway Count, Sum.",
};

static ERRORS: Family = Family {
    name: "aws_apigateway_errors_total",
    kind: FamilyKind::Counter,
    help: "Requests that were answered with a status of the class; throttled ones are 4xx. Source: AWS/ApiGateway 4XXError and 5XXError (REST), 4xx and 5xx (HTTP), Sum.",
};

static DURATION: Family = Family {
    name: "aws_apigateway_request_duration_seconds",
    kind: FamilyKind::Summary,
    help: "Time from a request's arrival to its answer. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/ApiGateway Latency.",
};

static LONGEST_DURATION: Family = Family {
    name: "aws_apigateway_request_duration_max_seconds",
    kind: FamilyKind::Gauge,
    help: "The longest time from a request's arrival to its answer, over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/ApiGateway Latency, Maximum.",
};

static INTEGRATION_DURATION: Family = Family {
    name: "aws_apigateway_integration_duration_seconds",
    kind: FamilyKind::Summary,
    help: "Time from handing a request to the integration to its answer. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/ApiGateway IntegrationLatency.",
};

static LONGEST_INTEGRATION_DURATION: Family = Family {
    name: "aws_apigateway_integration_duration_max_seconds",
    kind: FamilyKind::Gauge,
    help: "The longest time from handing a request to the integration to its answer, over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/ApiGateway IntegrationLatency, Maximum.",
};

static DURATION_HISTOGRAM: Family = Family {
    name: "aws_apigateway_request_duration_distribution_seconds",
    kind: FamilyKind::Histogram,
    help: "Time from a request's arrival to its answer. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/ApiGateway Latency, TC.",
};

static INTEGRATION_DURATION_HISTOGRAM: Family = Family {
    name: "aws_apigateway_integration_duration_distribution_seconds",
    kind: FamilyKind::Histogram,
    help: "Time from handing a request to the integration to its answer. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/ApiGateway IntegrationLatency, TC.",
};

const fn errors(
    cloudwatch: &'static str,
    class: &'static [(&'static str, &'static str)],
) -> Metric {
    Metric::counter(cloudwatch, &ERRORS)
        .labelled(class)
        .within("Count")
}

const DURATION_ROW: Metric =
    Metric::distribution("Latency", &DURATION, &LONGEST_DURATION, &DURATION_HISTOGRAM)
        .within("Count");
const INTEGRATION_ROW: Metric = Metric::distribution(
    "IntegrationLatency",
    &INTEGRATION_DURATION,
    &LONGEST_INTEGRATION_DURATION,
    &INTEGRATION_DURATION_HISTOGRAM,
);

/// A stage of a REST API. CloudWatch keys it by the API's name, not its id.
pub static REST_STAGE: Shape = Shape {
    name: "apigateway_rest_stage",
    namespace: "AWS/ApiGateway",
    dimensions: &["ApiName", "Stage"],
    labels: &["api_type", "api_id", "api_name", "stage"],
    optional: None,
    listed: false,
    features: &[
        (CACHE, "the stage has a cache"),
    ],
    metrics: &[
        Metric::counter("Count", &REQUESTS),
        errors("4XXError", &[("code_class", "4xx")]),
        errors("5XXError", &[("code_class", "5xx")]),
        DURATION_ROW,
        INTEGRATION_ROW.within("Count"),
        Metric::counter(
            "CacheHitCount",
            &Family {
                name: "aws_apigateway_cache_hits_total",
                kind: FamilyKind::Counter,
                help: "Requests that the stage's cache answered. Source: AWS/ApiGateway CacheHitCount, Sum.",
            },
        )
        .within("Count")
        .needs(CACHE),
        Metric::counter(
            "CacheMissCount",
            &Family {
                name: "aws_apigateway_cache_misses_total",
                kind: FamilyKind::Counter,
                help: "Requests that the stage's cache could not answer. Source: AWS/ApiGateway CacheMissCount, Sum.",
            },
        )
        .within("Count")
        .needs(CACHE),
    ],
};

/// A stage of an HTTP API.
pub static HTTP_STAGE: Shape = Shape {
    name: "apigateway_http_stage",
    namespace: "AWS/ApiGateway",
    dimensions: &["ApiId", "Stage"],
    labels: &["api_type", "api_id", "api_name", "stage"],
    optional: None,
    listed: false,
    features: &[],
    metrics: &[
        Metric::counter("Count", &REQUESTS),
        errors("4xx", &[("code_class", "4xx")]),
        errors("5xx", &[("code_class", "5xx")]),
        DURATION_ROW,
        INTEGRATION_ROW.within("Count"),
        Metric::counter(
            "DataProcessed",
            &Family {
                name: "aws_apigateway_data_processed_bytes_total",
                kind: FamilyKind::Counter,
                help: "Data that the stage processed; HTTP APIs only. Source: AWS/ApiGateway DataProcessed, Sum.",
            },
        )
        .within("Count")
        .unit(Unit::Bytes),
    ],
};

/// A stage of a WebSocket API.
pub static WEBSOCKET_STAGE: Shape = Shape {
    name: "apigateway_websocket_stage",
    namespace: "AWS/ApiGateway",
    dimensions: &["ApiId", "Stage"],
    labels: &["api_type", "api_id", "api_name", "stage"],
    optional: None,
    listed: false,
    features: &[],
    metrics: &[
        Metric::counter(
            "ConnectCount",
            &Family {
                name: "aws_apigateway_websocket_connects_total",
                kind: FamilyKind::Counter,
                help: "Messages to the route $connect. Source: AWS/ApiGateway ConnectCount, Sum.",
            },
        ),
        Metric::counter(
            "MessageCount",
            &Family {
                name: "aws_apigateway_websocket_messages_total",
                kind: FamilyKind::Counter,
                help: "Messages to and from clients, without connects and disconnects. Source: AWS/ApiGateway MessageCount, Sum.",
            },
        ),
        Metric::counter(
            "IntegrationError",
            &Family {
                name: "aws_apigateway_websocket_integration_errors_total",
                kind: FamilyKind::Counter,
                help: "Messages whose integration answered with 4xx or 5xx. Source: AWS/ApiGateway IntegrationError, Sum.",
            },
        ),
        Metric::counter(
            "ClientError",
            &Family {
                name: "aws_apigateway_websocket_client_errors_total",
                kind: FamilyKind::Counter,
                help: "Messages that API Gateway answered with 4xx before any integration. Source: AWS/ApiGateway ClientError, Sum.",
            },
        ),
        Metric::counter(
            "ExecutionError",
            &Family {
                name: "aws_apigateway_websocket_execution_errors_total",
                kind: FamilyKind::Counter,
                help: "Messages for which API Gateway failed to call the integration. Source: AWS/ApiGateway ExecutionError, Sum.",
            },
        ),
        INTEGRATION_ROW,
    ],
};

/// What a stage is.
pub static STAGE_INFO: Family = Family {
    name: "aws_apigateway_stage_info",
    kind: FamilyKind::Gauge,
    help: "Always 1; the labels describe the stage. Source: apigateway:GET (GetRestApis, GetApis, GetStages).",
};

/// Throttle of a stage.
pub static STAGE_RATE: Family = Family {
    name: "aws_apigateway_stage_throttling_rate_limit",
    kind: FamilyKind::Gauge,
    help: "Requests a second that a stage lets through for a long time; absent where only the account's throttle holds. Source: apigateway:GET (GetStages), settings of all methods.",
};

/// Burst of a stage.
pub static STAGE_BURST: Family = Family {
    name: "aws_apigateway_stage_throttling_burst_limit",
    kind: FamilyKind::Gauge,
    help: "Requests at one moment that a stage lets through; absent where only the account's throttle holds. Source: apigateway:GET (GetStages), settings of all methods.",
};

/// Throttle of the account.
pub static ACCOUNT_RATE: Family = Family {
    name: "aws_apigateway_account_throttling_rate_limit",
    kind: FamilyKind::Gauge,
    help: "Requests a second that all APIs of the region together let through. Read once an hour. Source: apigateway:GET (GetAccount).",
};

/// Burst of the account.
pub static ACCOUNT_BURST: Family = Family {
    name: "aws_apigateway_account_throttling_burst_limit",
    kind: FamilyKind::Gauge,
    help: "Requests at one moment that all APIs of the region together let through. Read once an hour. Source: apigateway:GET (GetAccount).",
};
