//! Which metric of CloudWatch's a counter is made of.

mod apigateway;
mod dynamodb;
mod lambda;

/// A counter by its name: the metric, its unit in Prometheus' unit, and how its series is found.
/// Of a summary, the name is that of its family.
pub type Counter = (&'static str, &'static str, u32, Subject);

/// A family of which each value of a label (or of two) is a metric of its own.
pub type ByLabel = (&'static str, &'static [&'static str], &'static str, Subject);

/// All counters with a metric each.
pub fn counters() -> impl Iterator<Item = &'static Counter> {
    let services = [lambda::COUNTERS, dynamodb::COUNTERS, apigateway::COUNTERS];
    services.into_iter().flatten()
}

/// All metrics that are told apart by labels.
pub fn by_label() -> impl Iterator<Item = &'static ByLabel> {
    let services = [lambda::BY_LABEL, dynamodb::BY_LABEL, apigateway::BY_LABEL];
    services.into_iter().flatten()
}

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
