//! What people write and what they read: the `ServerlessStack` kind, and the contract between
//! the operator and its exporters.
//!
//! Nothing in here does anything. The types promise to tolerate unknown fields, so that an
//! operator and an exporter of neighbouring versions understand each other.

pub mod alerts;
pub mod bound;
pub mod crd;
pub mod duration;
pub mod exporter_status;
pub mod hash;
pub mod objective;
pub mod quantity;
pub mod reason;
pub mod route;
pub mod shards;
pub mod stack;
pub mod stack_status;
pub mod validate;
mod validate_alerts;
mod validate_exporter;
mod validate_objectives;

pub use bound::Bound;
pub use duration::Duration;
pub use reason::Reason;
pub use stack::{ServerlessStack, ServerlessStackSpec};
