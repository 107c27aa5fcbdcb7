//! APIs of API Gateway with their stages.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Call, Latency, Life, Name, Traffic};

/// How clients speak to an API of the second generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Requests and answers.
    #[default]
    Http,
    /// Messages.
    Websocket,
}

/// A REST, HTTP or WebSocket API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The API's name.
    pub name: Name,
    /// Its id, ten characters in AWS.
    pub id: String,
    /// HTTP or WebSocket; of no meaning for a REST API.
    #[serde(default)]
    pub protocol: Protocol,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// When it exists.
    #[serde(default)]
    pub life: Life,
    /// Its stages; traffic arrives at a stage.
    pub stages: Vec<ApiStage>,
    /// What a request calls.
    #[serde(default)]
    pub calls: Vec<Call>,
}

/// A stage of an API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiStage {
    /// Its name; `$default` is usual for HTTP APIs.
    pub name: String,
    /// Tags of the stage.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Requests.
    #[serde(default)]
    pub traffic: Traffic,
    /// How long the integration takes.
    #[serde(default)]
    pub latency: Latency,
    /// What the gateway itself adds.
    #[serde(default = "default_overhead")]
    pub overhead_ms: f64,
    /// Share of requests that end with 4xx.
    #[serde(default)]
    pub errors_4xx: f64,
    /// Share of requests that end with 5xx.
    #[serde(default)]
    pub errors_5xx: f64,
    /// Response bytes of one request (HTTP APIs publish them).
    #[serde(default = "default_bytes")]
    pub bytes: u64,
    /// Throttle of the stage, requests a second.
    #[serde(default)]
    pub throttle_rate: Option<f64>,
    /// X-Ray tracing.
    #[serde(default)]
    pub tracing: bool,
    /// Whether a cache cluster is attached (REST).
    #[serde(default)]
    pub cache: bool,
    /// Whether each method has metrics of its own.
    #[serde(default)]
    pub detailed: bool,
}

fn default_overhead() -> f64 {
    8.0
}
fn default_bytes() -> u64 {
    1800
}
