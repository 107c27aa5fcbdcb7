//! The account file: what a person writes to describe the AWS accounts that the simulator plays.
//!
//! Plain data, one struct per kind of resource. Every field has a default that a small example can
//! leave out; an unknown field is an error with its line. What the fields *mean* for traffic and
//! metrics is in `model` (compilation) and `traffic` (values).

mod time;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

pub use time::{Instant, SignedSpan, Span};

/// A name in the file that refers to, or defines, a resource; remembers its line for errors.
pub type Name = Spanned<String>;

/// Why an account file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The file cannot be read at all.
    #[error("cannot read account file {path}: {source}")]
    Read {
        /// The file's path as it was given.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The text is not a valid account file.
    #[error("{origin}:{line}: {reason}")]
    Invalid {
        /// The file, or `<text>`.
        origin: String,
        /// Line, from 1; 0 when the fault belongs to no single line.
        line: u64,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// A whole account file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountFile {
    /// Every value is a function of this seed, the series and the minute.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The accounts; credentials that belong to none of them act in the first.
    pub accounts: Vec<Account>,
}

/// One AWS account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Twelve digits.
    pub id: Name,
    /// Access keys of this account. When no account lists any, every key is accepted.
    #[serde(default)]
    pub access_keys: Vec<String>,
    /// IAM actions (`lambda:ListFunctions`, `lambda:*`) that direct credentials may not use.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Roles that can be assumed here.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// What exists, by region.
    #[serde(default)]
    pub regions: BTreeMap<String, Region>,
}

/// A role that `sts:AssumeRole` accepts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role's name, the last part of its ARN.
    pub name: String,
    /// When set, `AssumeRole` must carry exactly this external id.
    #[serde(default)]
    pub external_id: Option<String>,
    /// When set, `AssumeRoleWithWebIdentity` must carry exactly this token; and the agent of EKS Pod
    /// Identity, which the simulator plays at `/v1/credentials`, gives the role to whom shows it.
    #[serde(default)]
    pub token: Option<String>,
    /// IAM actions that a session of this role may not use.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// Everything in one region of one account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// How late and how revised the newest data is, by service.
    pub lateness: LatenessByService,
    /// `CloudFormation` stacks that are nested in others; a stack that a resource names exists anyway.
    pub stacks: Vec<Stack>,
    /// Lambda functions.
    pub functions: Vec<Function>,
    /// Many alike Lambda functions, for load.
    pub generated: Vec<Generated>,
    /// `DynamoDB` tables.
    pub tables: Vec<Table>,
    /// API Gateway REST APIs.
    pub rest_apis: Vec<Api>,
    /// API Gateway HTTP APIs.
    pub http_apis: Vec<Api>,
    /// SNS topics.
    pub topics: Vec<Topic>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// Kinesis streams, Kafka topics and change streams of `DocumentDB`.
    pub sources: Vec<Source>,
    /// `EventBridge` schedules.
    pub schedules: Vec<Schedule>,
    /// Step Functions state machines.
    pub state_machines: Vec<StateMachine>,
    /// What goes wrong, and when.
    pub incidents: Vec<Incident>,
    /// How many runs of all functions may go on at once; left out: 1,000, as a new account has.
    pub concurrency_limit: Option<u32>,
}

/// Lateness for each service that publishes metrics.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatenessByService {
    /// `AWS/Lambda`.
    pub lambda: Lateness,
    /// `AWS/DynamoDB`.
    pub dynamodb: Lateness,
    /// `AWS/ApiGateway`.
    pub apigateway: Lateness,
}

/// How a minute's data arrives. Shares are of minutes, fractions are of a minute's data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lateness {
    /// After the end of a minute, how long until an ordinary minute is complete.
    pub settle: Span,
    /// Minutes whose last few percent trickle in.
    pub tail: Tail,
    /// Minutes of which a part comes very late.
    pub late: Late,
    /// Minutes that are first overstated and then revised downward.
    pub revision: Revision,
    /// Reads that answer less than an earlier read of the same minute did.
    pub reread: Reread,
    /// How far the region's aggregate series (no dimensions) lag behind their parts; negative: run ahead.
    pub aggregate_lag: SignedSpan,
    /// How long after its first datapoint a series is listed; AWS says up to 15 minutes.
    pub listing: Span,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            settle: Span::seconds(180),
            tail: Tail::default(),
            late: Late::default(),
            revision: Revision::default(),
            reread: Reread::default(),
            aggregate_lag: SignedSpan::default(),
            listing: Span::seconds(0),
        }
    }
}

/// A share of minutes that miss `fraction` of their data until `over` has passed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// Share of minutes, 0 to 1.
    pub share: f64,
    /// Part of the data that trickles.
    pub fraction: f64,
    /// When the last of it has come, after the end of the minute.
    pub over: Span,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 0.03,
            over: Span::seconds(600),
        }
    }
}

/// A share of minutes of which `fraction` comes at once, `after` the end of the minute.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Late {
    /// Share of minutes, 0 to 1.
    pub share: f64,
    /// Part of the data that is late; 1 means that the whole minute is missing until then.
    pub fraction: f64,
    /// When it comes.
    pub after: Span,
}

impl Default for Late {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 1.0,
            after: Span::seconds(3600),
        }
    }
}

/// A share of minutes that read `fraction` too high until `after` the end of the minute.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revision {
    /// Share of minutes, 0 to 1.
    pub share: f64,
    /// How much too high, as a part of the final value; at least one event.
    pub fraction: f64,
    /// When the value drops to what is final.
    pub after: Span,
}

impl Default for Revision {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 0.05,
            after: Span::seconds(900),
        }
    }
}

/// A share of (minute, half minute of reading) pairs that answer `fraction` less.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reread {
    /// Share of reads, 0 to 1.
    pub share: f64,
    /// How much less.
    pub fraction: f64,
}

impl Default for Reread {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 0.3,
        }
    }
}

/// A `CloudFormation` stack that is nested in another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// The stack that contains it.
    #[serde(default)]
    pub parent: Option<String>,
}

/// When a resource exists; both ends are optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Life {
    /// It does not exist before.
    pub from: Option<Instant>,
    /// It does not exist from here on.
    pub until: Option<Instant>,
}

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
    #[serde(default = "one")]
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

/// Something that goes wrong for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// What happens.
    pub what: IncidentKind,
    /// Names of functions, tables or APIs, `*` matches anything.
    pub on: Vec<Name>,
    /// Share of requests that are hit (all but latency, traffic and lag).
    #[serde(default)]
    pub share: f64,
    /// How much slower (latency), or how much more comes from outside (traffic; 0: nothing).
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// How old records and events are when they are read (lag).
    #[serde(default)]
    pub age: Span,
    /// Why a table throttles; left out: some of each reason.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// First moment, for an incident that happens once.
    #[serde(default)]
    pub start: Option<Instant>,
    /// First moment after it.
    #[serde(default)]
    pub end: Option<Instant>,
    /// Period of one that comes back, counted from 1970.
    #[serde(default)]
    pub every: Option<Span>,
    /// Where in the period it begins.
    #[serde(default)]
    pub at: Span,
    /// How long it lasts each time.
    #[serde(default)]
    pub lasts: Option<Span>,
}

/// Kinds of incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Invocations or requests fail.
    Errors,
    /// Requests are refused.
    Throttles,
    /// Everything takes `factor` times as long.
    Latency,
    /// Invocations run until the function's timeout and fail.
    Timeouts,
    /// Requests are answered with 4xx, or to a table are the client's fault.
    ClientErrors,
    /// `factor` times as many requests come from outside.
    Traffic,
    /// Who reads a stream, or works off events, is `age` behind.
    Lag,
    /// Lambda stops events that go round in a circle.
    Recursion,
}

/// Why a table throttles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A hot partition.
    KeyRange,
    /// The provisioned capacity is used up.
    Provisioned,
    /// The maximum of an on-demand table.
    Maximum,
    /// The account's limit.
    Account,
}

/// The shape of traffic over time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Traffic {
    /// None of its own: only what others call.
    #[default]
    None,
    /// About the same all the time.
    Steady {
        /// Mean requests per minute.
        per_minute: f64,
        /// Relative noise, 0.2 unless told.
        #[serde(default = "default_noise")]
        noise: f64,
    },
    /// A daily wave.
    Wave {
        /// Mean requests per minute over a day.
        per_minute: f64,
        /// Height of the wave relative to the mean, 0 to 1.
        #[serde(default = "default_amplitude")]
        amplitude: f64,
        /// Hour of the peak, UTC, 0 to 24.
        #[serde(default = "default_peak")]
        peak_hour: f64,
        /// Relative noise.
        #[serde(default = "default_noise")]
        noise: f64,
    },
    /// Quiet, then a burst.
    Bursty {
        /// Requests per minute between bursts.
        #[serde(default)]
        per_minute: f64,
        /// Requests per minute in a burst.
        burst_per_minute: f64,
        /// A burst begins this often.
        every: Span,
        /// How long it lasts.
        lasts: Span,
    },
    /// A few requests a day, at no particular time.
    Idle {
        /// How many on an average day.
        #[serde(default = "one")]
        per_day: f64,
    },
    /// Nothing, ever: a leftover.
    Dead,
}

/// A latency distribution, by some of its quantiles, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// Default: twice the median.
    #[serde(default)]
    pub p90_ms: Option<f64>,
    /// Default: two and a half times p90.
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// Default: one and a half times p99.
    #[serde(default)]
    pub max_ms: Option<f64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            p50_ms: 40.0,
            p90_ms: None,
            p99_ms: None,
            max_ms: None,
        }
    }
}

impl AccountFile {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, AccountError> {
        let text = std::fs::read_to_string(path).map_err(|source| AccountError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Adds generated functions to the first region of the first account.
    pub fn generate(&mut self, functions: u32) -> Result<(), String> {
        let region = self
            .accounts
            .first_mut()
            .and_then(|a| a.regions.values_mut().next())
            .ok_or("the account file has no region to generate functions in")?;
        let text = format!("{{functions: {functions}}}");
        let generated = serde_saphyr::from_str(&text).map_err(|e| e.to_string())?;
        region.generated.push(generated);
        Ok(())
    }

    /// Reads text; `origin` names it in errors.
    pub fn parse(origin: &str, text: &str) -> Result<Self, AccountError> {
        serde_saphyr::from_str(text).map_err(|error| AccountError::Invalid {
            origin: origin.to_owned(),
            line: error.location().map_or(0, |l| l.line()),
            reason: first_line(&error.to_string()),
        })
    }
}

/// The parser's message without its excerpt of the file: the error names file and line itself.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn default_seed() -> u64 {
    1
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
fn default_overhead() -> f64 {
    8.0
}
fn default_bytes() -> u64 {
    1800
}
fn default_batch_size() -> u32 {
    10
}
fn default_factor() -> f64 {
    5.0
}
fn default_noise() -> f64 {
    0.2
}
fn default_amplitude() -> f64 {
    0.6
}
fn default_peak() -> f64 {
    19.0
}
fn one() -> f64 {
    1.0
}
fn yes() -> bool {
    true
}
