//! The simulator, as its clients see it: AWS's own SDKs against a simulator in this process.

#![expect(
    clippy::float_cmp,
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a test that panics has failed"
)]

mod account_file;
mod accounts;
mod binary;
mod contract;
mod discovery;
mod faults;
mod features;
mod lateness;
mod membership;
mod play;
mod python;
mod truth_table;
mod values;
