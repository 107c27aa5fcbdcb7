//! Which metrics a resource has: what [`Need`] means of each kind of resource.

use super::account::SourceKind;
use super::metrics::Need;
use super::model::{FunctionModel, Mapping, TableModel};

/// Whether a function is what a metric needs.
pub fn function_has(function: &FunctionModel, need: Need) -> bool {
    let settings = &function.settings;
    match need {
        Need::Async => function.asynchronous,
        Need::DeadLetter => function.asynchronous && settings.dead_letter.is_some(),
        Need::Stream => {
            matches!(
                function.streamed,
                Some(SourceKind::Kinesis | SourceKind::DocumentDb)
            )
        }
        Need::DocumentDb => function.streamed == Some(SourceKind::DocumentDb),
        Need::Kafka => function.streamed == Some(SourceKind::Kafka),
        Need::Url => settings.url,
        Need::Streaming => settings.streaming,
        Need::Extensions => settings.extensions,
        Need::Durable => settings.durable,
        Need::Signed => settings.signed,
        Need::Managed => settings.capacity_provider.is_some(),
        Need::Provisioned => settings
            .alias
            .as_ref()
            .is_some_and(|a| a.provisioned.is_some()),
        _ => true,
    }
}

/// Whether a mapping is what a metric needs.
pub fn mapping_has(mapping: &Mapping, need: Need) -> bool {
    let asks = |metric: &str| mapping.consumer.metrics.iter().any(|m| m == metric);
    let kafka = mapping.stream == Some(SourceKind::Kafka);
    let pollers = mapping.consumer.pollers.is_some();
    mapping.consumer.enabled
        && match need {
            Need::Events => asks("EventCount"),
            Need::StreamEvents => asks("EventCount") && mapping.stream.is_some(),
            Need::QueueEvents => asks("EventCount") && mapping.stream.is_none(),
            Need::KafkaEvents => asks("EventCount") && kafka,
            Need::KafkaErrors => asks("ErrorCount") && kafka,
            Need::KafkaLag => asks("KafkaMetrics") && kafka,
            Need::Pollers => pollers,
            Need::KafkaPollers => pollers && kafka,
            _ => true,
        }
}

/// Whether a table is what a metric needs.
pub fn table_has(table: &TableModel, need: Need) -> bool {
    let settings = &table.settings;
    match need {
        Need::ProvisionedTable => table.provisioned().is_some(),
        Need::MaximumTable => settings.on_demand_maximum.is_some(),
        Need::TimeToLive => settings.time_to_live,
        Need::Building => settings.building,
        Need::Faults => settings.faults,
        Need::Legacy => settings.legacy,
        _ => true,
    }
}
