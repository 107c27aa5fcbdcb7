//! `DynamoDB` tables with their capacity.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Consumer, Latency, Life, Name, Traffic};

/// A `DynamoDB` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The table's name.
    pub name: Name,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// When it exists.
    #[serde(default)]
    pub life: Life,
    /// Provisioned capacity; left out: on demand.
    #[serde(default)]
    pub provisioned: Option<Provisioned>,
    /// Between what the capacity of the table and of each index is scaled; left out: it is not.
    #[serde(default)]
    pub auto_scaling: Option<AutoScaling>,
    /// Global secondary indexes; every write goes to each of them too.
    #[serde(default)]
    pub indexes: Vec<Name>,
    /// Whether the last of them is being built.
    #[serde(default)]
    pub building: bool,
    /// The most request units on demand; left out: no limit.
    #[serde(default)]
    pub on_demand_maximum: Option<Provisioned>,
    /// Whether items expire.
    #[serde(default)]
    pub time_to_live: bool,
    /// Regions of the global table's other replicas.
    #[serde(default)]
    pub replicas: Vec<String>,
    /// Whether the global table is of the version of 2017.
    #[serde(default)]
    pub legacy: bool,
    /// Whether changes go to Kinesis.
    #[serde(default)]
    pub kinesis: bool,
    /// Whether AWS FIS injects errors.
    #[serde(default)]
    pub faults: bool,
    /// Who reads the table's stream.
    #[serde(default)]
    pub stream: Option<Consumer>,
    /// Traffic from outside the account, by operation.
    #[serde(default)]
    pub traffic: BTreeMap<String, Traffic>,
    /// How long a request takes.
    #[serde(default = "default_table_latency")]
    pub latency: Latency,
    /// Capacity units of one read request.
    #[serde(default = "default_read_units")]
    pub read_units: f64,
    /// Capacity units of one write request.
    #[serde(default = "default_write_units")]
    pub write_units: f64,
    /// Share of requests that are throttled.
    #[serde(default)]
    pub throttles: f64,
    /// Share of requests that fail on AWS's side.
    #[serde(default)]
    pub errors: f64,
    /// Share of requests that are the client's fault.
    #[serde(default)]
    pub user_errors: f64,
}

/// The bounds of automatic scaling.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoScaling {
    /// At least so much.
    pub min: Provisioned,
    /// At most so much.
    pub max: Provisioned,
}

/// Provisioned throughput.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    /// Read capacity units.
    pub read: u64,
    /// Write capacity units.
    pub write: u64,
}

fn default_table_latency() -> Latency {
    Latency {
        p50_ms: 4.0,
        ..Latency::default()
    }
}
fn default_read_units() -> f64 {
    0.5
}
fn default_write_units() -> f64 {
    1.0
}
