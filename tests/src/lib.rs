//! Tests of Nightjar against real parts, and the AWS that they run against.

pub mod cluster_cost;
pub mod discovery_cost;
pub mod engine_cost;
pub mod exporter_cost;
pub mod figure;
pub mod fuzz;
pub mod http;
pub mod kube_api;
pub mod operator_cost;
pub mod operator_exporters;
pub mod panels;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod preflight;
pub mod quiet;
pub mod rule_cost;
pub mod running;
pub mod samples;
pub mod simulator;
pub mod truth;
pub mod webhook;
