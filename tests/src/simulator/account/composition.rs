//! How resources feed each other: calls, and the topics, queues, streams, schedules and state machines between them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Name, Span, Traffic};

/// A call from one resource to another. Exactly one target is named.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// Invoke this function.
    pub function: Option<Name>,
    /// Use this table, with `operation`.
    pub table: Option<Name>,
    /// Publish to this topic.
    pub topic: Option<Name>,
    /// Send to this queue.
    pub queue: Option<Name>,
    /// Start this state machine.
    pub state_machine: Option<Name>,
    /// For a table: `GetItem`, `Query`, `PutItem` ...
    pub operation: Option<Name>,
    /// How often per invocation of the caller.
    pub times: Option<f64>,
    /// Whether the caller waits for the answer (a table is always waited for).
    pub waits: Option<bool>,
}

/// An SNS topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// The topic's name.
    pub name: Name,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// Functions and queues that subscribe.
    #[serde(default)]
    pub subscribers: Vec<Call>,
}

/// An SQS queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// The queue's name.
    pub name: Name,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// Who reads it.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// Name of its dead-letter queue.
    #[serde(default)]
    pub dead_letter: Option<Name>,
}

/// What kind of source a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A Kinesis stream.
    Kinesis,
    /// A Kafka topic (Amazon MSK).
    Kafka,
    /// The change stream of a `DocumentDB` cluster.
    DocumentDb,
}

/// A stream that functions read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: SourceKind,
    /// Records that come from outside the account.
    #[serde(default)]
    pub traffic: Traffic,
    /// Who reads it.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
}

/// A function that reads a queue or a stream through an event source mapping.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The function.
    pub function: Name,
    /// Mean records per invocation.
    #[serde(default = "super::one")]
    pub batch: f64,
    /// Configured batch size.
    #[serde(default = "default_batch_size")]
    pub batch_size: u32,
    /// The mapping's maximum concurrency.
    #[serde(default)]
    pub maximum_concurrency: Option<u32>,
    /// Metrics that the mapping asks for: `EventCount`, `ErrorCount`, `KafkaMetrics`.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Provisioned pollers.
    #[serde(default)]
    pub pollers: Option<u32>,
    /// A disabled mapping invokes nothing.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A schedule that calls something every so often.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The rule's name.
    pub name: Name,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// How often; whole minutes.
    pub every: Span,
    /// What it calls.
    #[serde(default)]
    pub calls: Vec<Call>,
}

/// A state machine, as the calls that one execution makes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateMachine {
    /// Its name.
    pub name: Name,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The `CloudFormation` stack that made it.
    #[serde(default)]
    pub stack: Option<String>,
    /// Executions started from outside the account.
    #[serde(default)]
    pub traffic: Traffic,
    /// The steps of one execution.
    #[serde(default)]
    pub calls: Vec<Call>,
}

fn default_batch_size() -> u32 {
    10
}

fn yes() -> bool {
    true
}
