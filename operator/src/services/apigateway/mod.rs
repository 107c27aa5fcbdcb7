//! Amazon API Gateway: REST, HTTP and WebSocket APIs, their stages, metrics and settings.

mod discovery;
mod methods;
mod metrics;

pub use discovery::{Stage, discover};
pub use metrics::SERVICE;

/// The service's alerts and recording rules.
pub const RULES: &[&str] = &[include_str!("rules/stages.yaml")];
