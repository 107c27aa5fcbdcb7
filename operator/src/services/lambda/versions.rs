//! The metrics of single versions and aliases. Their families are not those of functions: a function's
//! series already hold all of its versions.

use crate::services::table::{Family, FamilyKind, Metric, Shape};

/// A version or an alias, as it is called.
pub static VERSION: Shape = Shape {
    name: "lambda_version",
    namespace: "AWS/Lambda",
    dimensions: &["FunctionName", "Resource"],
    labels: &["function_name", "resource"],
    optional: Some("versions"),
    listed: true,
    features: &[],
    metrics: &[
        Metric::counter(
            "Invocations",
            &Family {
                name: "aws_lambda_version_invocations_total",
                kind: FamilyKind::Counter,
                help: "Times that the version or alias was run; also in the series of the whole function. Source: AWS/Lambda Invocations, Sum.",
            },
        ),
        Metric::counter(
            "Errors",
            &Family {
                name: "aws_lambda_version_errors_total",
                kind: FamilyKind::Counter,
                help: "Runs of the version or alias that failed; also in the series of the whole function. Source: AWS/Lambda Errors, Sum.",
            },
        )
        .within("Invocations"),
        Metric::counter(
            "Throttles",
            &Family {
                name: "aws_lambda_version_throttles_total",
                kind: FamilyKind::Counter,
                help: "Requests to the version or alias that were refused; also in the series of the whole function. Source: AWS/Lambda Throttles, Sum.",
            },
        ),
        Metric::distribution(
            "Duration",
            &Family {
                name: "aws_lambda_version_duration_seconds",
                kind: FamilyKind::Summary,
                help: "Time that the code of the version or alias ran. Quantiles are the worst one-minute quantiles since the last snapshot. Source: AWS/Lambda Duration.",
            },
            &Family {
                name: "aws_lambda_version_duration_max_seconds",
                kind: FamilyKind::Gauge,
                help: "Time that the code of the version or alias ran. The longest over all minutes settled since the last snapshot; absent while idle. With spec.latency.maxima. Source: AWS/Lambda Duration, Maximum.",
            },
            &Family {
                name: "aws_lambda_version_duration_distribution_seconds",
                kind: FamilyKind::Histogram,
                help: "Time that the code of the version or alias ran. Counts by how long it took, which CloudWatch interpolates; absent where CloudWatch has none. With spec.latency.histograms. Source: AWS/Lambda Duration, TC.",
            },
        )
        .within("Invocations"),
        Metric::maximum(
            "ConcurrentExecutions",
            &Family {
                name: "aws_lambda_version_concurrent_executions",
                kind: FamilyKind::Gauge,
                help: "The most runs of the version or alias at one time; absent while idle. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ConcurrentExecutions, Maximum.",
            },
        )
        .within("Invocations"),
    ],
};

/// A version or an alias with provisioned concurrency.
pub static PROVISIONED: Shape = Shape {
    name: "lambda_provisioned",
    namespace: "AWS/Lambda",
    dimensions: &["FunctionName", "Resource"],
    labels: &["function_name", "resource"],
    optional: Some("provisionedConcurrency"),
    listed: true,
    features: &[],
    metrics: &[
        Metric::counter(
            "ProvisionedConcurrencyInvocations",
            &Family {
                name: "aws_lambda_provisioned_concurrency_invocations_total",
                kind: FamilyKind::Counter,
                help: "Runs on provisioned concurrency. Source: AWS/Lambda ProvisionedConcurrencyInvocations, Sum.",
            },
        ),
        Metric::counter(
            "ProvisionedConcurrencySpilloverInvocations",
            &Family {
                name: "aws_lambda_provisioned_concurrency_spillover_invocations_total",
                kind: FamilyKind::Counter,
                help: "Runs on ordinary concurrency because all that is provisioned was in use. Source: AWS/Lambda ProvisionedConcurrencySpilloverInvocations, Sum.",
            },
        ),
        Metric::maximum(
            "ProvisionedConcurrentExecutions",
            &Family {
                name: "aws_lambda_provisioned_concurrent_executions",
                kind: FamilyKind::Gauge,
                help: "The most runs on provisioned concurrency at one time. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ProvisionedConcurrentExecutions, Maximum.",
            },
        )
        .zero_if_missing(),
        Metric::maximum(
            "ProvisionedConcurrencyUtilization",
            &Family {
                name: "aws_lambda_provisioned_concurrency_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Runs on provisioned concurrency as a part of how many it allows. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ProvisionedConcurrencyUtilization, Maximum.",
            },
        )
        .zero_if_missing(),
    ],
};
