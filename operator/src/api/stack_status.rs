//! What the operator writes into a stack's `status`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known about the stack. Counts and conditions, never lists of resources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerlessStackStatus {
    /// The generation of the specification that this status speaks of.
    pub observed_generation: Option<i64>,
    /// Ready, and the parts that it is made of.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What was found in AWS.
    pub inventory: Inventory,
    /// What the watching itself costs.
    pub spend: SpendStatus,
    /// The exporters.
    pub exporter: ExporterStatusSummary,
}

/// How many resources belong to the stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Inventory {
    /// All resources.
    pub resources: i64,
    /// Lambda functions.
    pub functions: i64,
    /// DynamoDB tables.
    pub tables: i64,
    /// API Gateway APIs.
    pub apis: i64,
    /// Series that the exporters publish for them.
    pub series: i64,
    /// Accounts and regions that are watched, each pair counted once.
    pub targets: i64,
}

/// What the watching itself costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SpendStatus {
    /// US dollars that CloudWatch charges for a month of 30 days at the present plan.
    pub forecast_usd_per_month: String,
    /// US dollars that CloudWatch has charged since the exporters started.
    pub spent_usd: String,
    /// How often the exporters ask CloudWatch: slower than `spec.collection.interval` where the budget
    /// demands it.
    pub interval: String,
}

/// The exporters of the stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExporterStatusSummary {
    /// Exporter pods that are ready.
    pub ready: i32,
    /// Exporter pods that there shall be.
    pub shards: i32,
    /// SHA-256 of the configuration that all exporters run; empty while they differ.
    pub config_hash: String,
    /// Counts how often the accounts and regions were shared out among exporters: part of their configuration.
    pub revision: Option<i64>,
}
