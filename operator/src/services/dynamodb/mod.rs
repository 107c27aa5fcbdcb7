//! Amazon DynamoDB: tables, their metrics and their settings.

mod capacity;
mod discovery;
mod facts;
mod metrics;
mod scaling;
mod settings;

pub use discovery::discover;
pub use metrics::SERVICE;

/// The service's alerts and recording rules.
pub const RULES: &[&str] = &[include_str!("rules/tables.yaml")];
