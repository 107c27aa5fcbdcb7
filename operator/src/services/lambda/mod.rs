//! AWS Lambda: functions, their metrics and their settings.

mod discovery;
mod facts;
mod managed;
mod mapping_discovery;
mod mappings;
mod metrics;
mod reading;
mod versions;

pub use discovery::discover;
pub use mapping_discovery::Mappings;
pub use metrics::SERVICE;
pub use reading::Memory;

/// The service's alerts and recording rules.
pub const RULES: &[&str] = &[
    include_str!("rules/failures.yaml"),
    include_str!("rules/load.yaml"),
    include_str!("rules/events.yaml"),
];
