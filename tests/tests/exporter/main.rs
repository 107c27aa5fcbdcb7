//! The real exporter binary against the simulated AWS, at sixty times the speed: an hour passes in
//! a minute, lateness and all.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "unwrap is how a test fails, and its numbers are small and whole"
)]

mod answers;
mod clocks;
mod credentials;
mod crowd;
mod everything;
mod exactness;
mod exposition;
mod failures;
mod follow;
mod harness;
mod https;
mod latency;
mod lateness;
mod preview;
mod protection;
mod proxy;
mod quiet;
mod restarts;
mod scaling;
mod secrets;
mod selection;
mod serving;
mod thrift;
