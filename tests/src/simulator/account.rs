//! The account file: what a person writes to describe the AWS accounts that the simulator plays.
//!
//! Plain data, one struct per kind of resource. Every field has a default that a small example can
//! leave out; an unknown field is an error with its line. What the fields *mean* for traffic and
//! metrics is in `model` (compilation) and `traffic` (values).

mod apigateway;
mod composition;
mod dynamodb;
mod incident;
mod lambda;
mod lateness;
mod time;
mod traffic;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

pub use apigateway::{Api, ApiStage, Protocol};
pub use composition::{Call, Consumer, Queue, Schedule, Source, SourceKind, StateMachine, Topic};
pub use dynamodb::{AutoScaling, Provisioned, Table};
pub use incident::{Cause, Incident, IncidentKind};
pub use lambda::{Alias, Function, Generated};
pub use lateness::{Late, Lateness, LatenessByService, Reread, Revision, Tail};
pub use time::{Instant, SignedSpan, Span};
pub use traffic::{Latency, Traffic};

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

fn one() -> f64 {
    1.0
}
