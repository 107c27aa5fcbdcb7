//! Tests of Nightjar against real parts, and the AWS that they run against.

pub mod discovery_cost;
pub mod fuzz;
pub mod http;
#[cfg(test)]
mod preflight;
pub mod samples;
pub mod simulator;
pub mod truth;
