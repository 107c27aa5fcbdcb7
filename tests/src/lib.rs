//! Tests of Nightjar against real parts, and the AWS that they run against.

pub mod discovery_cost;
pub mod engine_cost;
pub mod http;
pub mod kube_api;
pub mod operator_cost;
#[cfg(test)]
mod preflight;
pub mod running;
pub mod samples;
pub mod simulator;
pub mod truth;
