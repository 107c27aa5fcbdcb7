//! Lambda functions, one by one and by the thousand.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Call, Latency, Life, Name, Span, Traffic};

/// A Lambda function.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// The function's name.
    pub name: Name,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Runtime identifier.
    #[serde(default = "default_runtime")]
    pub runtime: String,
    /// Memory.
    #[serde(default = "default_memory")]
    pub memory_mb: u32,
    /// Timeout.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// `x86_64` or `arm64`.
    #[serde(default = "default_architecture")]
    pub architecture: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// When it exists.
    #[serde(default)]
    pub life: Life,
    /// Name of the queue that takes failed asynchronous events.
    #[serde(default)]
    pub dead_letter: Option<Name>,
    /// Reserved concurrency.
    #[serde(default)]
    pub reserved_concurrency: Option<u32>,
    /// An alias by which everybody calls it.
    #[serde(default)]
    pub alias: Option<Alias>,
    /// Whether its requests come to a function URL.
    #[serde(default)]
    pub url: bool,
    /// Whether its responses are streamed.
    #[serde(default)]
    pub streaming: bool,
    /// Whether extensions go on after its runs.
    #[serde(default)]
    pub extensions: bool,
    /// Whether its executions are durable.
    #[serde(default)]
    pub durable: bool,
    /// Whether its code is signed.
    #[serde(default)]
    pub signed: bool,
    /// The capacity provider on whose instances it runs.
    #[serde(default)]
    pub capacity_provider: Option<String>,
    /// Environment variables, to prove that nobody stores them.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// X-Ray active tracing.
    #[serde(default)]
    pub tracing: bool,
    /// Invocations that come from outside the account.
    #[serde(default)]
    pub traffic: Traffic,
    /// How long an invocation takes.
    #[serde(default)]
    pub duration: Latency,
    /// Share of invocations that fail.
    #[serde(default)]
    pub errors: f64,
    /// Share of requests that are throttled.
    #[serde(default)]
    pub throttles: f64,
    /// Share of invocations that run into the timeout.
    #[serde(default)]
    pub timeouts: f64,
    /// What each invocation calls.
    #[serde(default)]
    pub calls: Vec<Call>,
}

/// An alias of a function.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// Its provisioned concurrency.
    #[serde(default)]
    pub provisioned: Option<u32>,
}

/// Many functions with alike settings: `{prefix}-00000`, `{prefix}-00001` ...
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// How many.
    pub functions: u32,
    /// Beginning of their names.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Share of them that is idle.
    #[serde(default)]
    pub idle_share: f64,
    /// Mean invocations per minute of the others.
    #[serde(default = "default_generated_rate")]
    pub per_minute: f64,
    /// Tags of all of them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack of all of them.
    #[serde(default)]
    pub stack: Option<String>,
    /// Duration of all of them.
    #[serde(default)]
    pub duration: Latency,
    /// Share of invocations that fail.
    #[serde(default = "default_generated_errors")]
    pub errors: f64,
}

fn default_runtime() -> String {
    "python3.13".to_owned()
}
fn default_memory() -> u32 {
    128
}
fn default_timeout() -> Span {
    Span::seconds(3)
}
fn default_architecture() -> String {
    "x86_64".to_owned()
}
fn default_prefix() -> String {
    "fn".to_owned()
}
fn default_generated_rate() -> f64 {
    60.0
}
fn default_generated_errors() -> f64 {
    0.002
}
