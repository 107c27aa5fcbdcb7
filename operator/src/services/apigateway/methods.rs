//! The rows of single methods (REST) and routes (HTTP), which AWS publishes of stages with detailed metrics.
//! Their families are not those of stages: a stage's series already hold all of its methods.

use crate::services::table::{Family, FamilyKind, Metric, Shape};

static REQUESTS: Family = Family {
    name: "aws_apigateway_method_requests_total",
    kind: FamilyKind::Counter,
    help: "Requests to the method; also in the series of the stage. Source: AWS/ApiGateway Count, Sum.",
};

static ERRORS: Family = Family {
    name: "aws_apigateway_method_errors_total",
    kind: FamilyKind::Counter,
    help: "Requests to the method that were answered with a status of the class; also in the series of the stage. Source: AWS/ApiGateway 4XXError and 5XXError (REST), 4xx and 5xx (HTTP), Sum.",
};

static DURATION: Family = Family {
    name: "aws_apigateway_method_request_duration_seconds",
    kind: FamilyKind::Summary,
    help: "Time from the arrival of a request to the method to its answer. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/ApiGateway Latency.",
};

static LONGEST_DURATION: Family = Family {
    name: "aws_apigateway_method_request_duration_max_seconds",
    kind: FamilyKind::Gauge,
    help: "The longest time from the arrival of a request to the method to its answer, over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/ApiGateway Latency, Maximum.",
};

static INTEGRATION_DURATION: Family = Family {
    name: "aws_apigateway_method_integration_duration_seconds",
    kind: FamilyKind::Summary,
    help: "Time from handing a request to the method's integration to its answer. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/ApiGateway IntegrationLatency.",
};

static LONGEST_INTEGRATION_DURATION: Family = Family {
    name: "aws_apigateway_method_integration_duration_max_seconds",
    kind: FamilyKind::Gauge,
    help: "The longest time from handing a request to the method's integration to its answer, over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/ApiGateway IntegrationLatency, Maximum.",
};

static DURATION_HISTOGRAM: Family = Family {
    name: "aws_apigateway_method_request_duration_distribution_seconds",
    kind: FamilyKind::Histogram,
    help: "Time from the arrival of a request to the method to its answer. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/ApiGateway Latency, TC.",
};

static INTEGRATION_DURATION_HISTOGRAM: Family = Family {
    name: "aws_apigateway_method_integration_duration_distribution_seconds",
    kind: FamilyKind::Histogram,
    help: "Time from handing a request to the method's integration to its answer. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/ApiGateway IntegrationLatency, TC.",
};

const REQUESTS_ROW: Metric = Metric::counter("Count", &REQUESTS);
const DURATION_ROW: Metric =
    Metric::distribution("Latency", &DURATION, &LONGEST_DURATION, &DURATION_HISTOGRAM)
        .within("Count");
const INTEGRATION_ROW: Metric = Metric::distribution(
    "IntegrationLatency",
    &INTEGRATION_DURATION,
    &LONGEST_INTEGRATION_DURATION,
    &INTEGRATION_DURATION_HISTOGRAM,
)
.within("Count");

/// A method of a resource of a stage of a REST API.
pub static REST_METHOD: Shape = Shape {
    name: "apigateway_rest_method",
    namespace: "AWS/ApiGateway",
    dimensions: &["ApiName", "Stage", "Resource", "Method"],
    labels: &[
        "api_type", "api_id", "api_name", "stage", "resource", "method",
    ],
    optional: Some("methods"),
    listed: true,
    features: &[],
    metrics: &[
        REQUESTS_ROW,
        Metric::counter("4XXError", &ERRORS)
            .within("Count")
            .labelled(&[("code_class", "4xx")]),
        Metric::counter("5XXError", &ERRORS)
            .within("Count")
            .labelled(&[("code_class", "5xx")]),
        DURATION_ROW,
        INTEGRATION_ROW,
    ],
};

/// A route of a stage of an HTTP API.
pub static HTTP_ROUTE: Shape = Shape {
    name: "apigateway_http_route",
    namespace: "AWS/ApiGateway",
    dimensions: &["ApiId", "Stage", "Resource", "Method"],
    labels: &[
        "api_type", "api_id", "api_name", "stage", "resource", "method",
    ],
    optional: Some("methods"),
    listed: true,
    features: &[],
    metrics: &[
        REQUESTS_ROW,
        Metric::counter("4xx", &ERRORS)
            .within("Count")
            .labelled(&[("code_class", "4xx")]),
        Metric::counter("5xx", &ERRORS)
            .within("Count")
            .labelled(&[("code_class", "5xx")]),
        DURATION_ROW,
        INTEGRATION_ROW,
    ],
};
