//! The catalogue of alerts and recording rules, and what is made of it for one stack.
//!
//! The rules are data: YAML files in each service's room, and in `nightjar/` for Nightjar itself.
//! Nothing here evaluates them: Prometheus does. [`render`] is pure, the same stack and the same
//! interval give the same text, byte for byte.
//!
//! What every rule keeps, checked by the tests of this module and by promtool:
//!
//! - It names only metrics that a table produces, and each with the stack's own selector.
//! - It is silent for what is idle or absent, at a restart, while the exporter catches up.
//! - Its windows are at least two poll intervals and the time in which minutes settle.

pub mod catalogue;
pub mod dashboards;
pub mod latency;
pub mod objectives;
pub mod operator;
pub mod pages;
pub mod render;
pub mod route;
pub mod runtimes;

#[cfg(test)]
mod tests;

pub use catalogue::{Alert, Pillar, Room, Severity, rooms};
pub use render::{Context, Group, Rule, groups};
