//! An account file, compiled: every name resolved, every call turned into an edge.
//!
//! A region is a list of nodes (functions, table operations, API stages, topics, queues, schedules,
//! state machines). A node's requests are its own traffic plus what its callers send it, so callers
//! and callees always agree. Compilation refuses what cannot be played: unknown names, circles,
//! shares that are no shares. It stores nothing per minute.

mod compile;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::account::{
    AccountError, AccountFile, Api, Consumer, Function, Incident, Latency, LatenessByService, Life,
    Provisioned, Queue, Role, Schedule, SourceKind, Stack, StateMachine, Table, Topic, Traffic,
};
use super::hours::Hours;
use compile::{compile_account, line};

/// Index of a node in its region.
pub type NodeId = usize;

/// Operations that a table can receive; the first four read.
pub const OPERATIONS: [&str; 7] = [
    "GetItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
];
/// How many of `OPERATIONS` read.
pub const READS: usize = 4;

/// Everything that the simulator plays.
#[derive(Debug)]
pub struct World {
    /// The accounts, in the file's order.
    pub accounts: Vec<AccountModel>,
    /// When requests come from outside.
    pub hours: Arc<Hours>,
}

/// One account.
#[derive(Debug)]
pub struct AccountModel {
    /// Twelve digits.
    pub id: String,
    /// Keys that belong to it.
    pub access_keys: Vec<String>,
    /// Actions that direct credentials may not use.
    pub deny: Vec<String>,
    /// Roles that can be assumed.
    pub roles: Vec<Role>,
    /// Its regions.
    pub regions: BTreeMap<String, RegionModel>,
    /// What a region looks like that the file does not mention.
    pub empty: RegionModel,
}

/// One region.
#[derive(Debug)]
pub struct RegionModel {
    /// Account id.
    pub account: String,
    /// Region name.
    pub name: String,
    /// When requests come from outside.
    pub hours: Arc<Hours>,
    /// Mixed into every value of the region.
    pub seed: u64,
    /// Lateness by service.
    pub lateness: LatenessByService,
    /// How many runs of all functions may go on at once.
    pub concurrency_limit: u32,
    /// Whatever has requests.
    pub nodes: Vec<Node>,
    /// Functions by name, in listing order (by name).
    pub functions: Vec<FunctionModel>,
    /// Tables in listing order.
    pub tables: Vec<TableModel>,
    /// REST APIs.
    pub rest_apis: Vec<ApiModel>,
    /// HTTP APIs.
    pub http_apis: Vec<ApiModel>,
    /// Event source mappings.
    pub mappings: Vec<Mapping>,
    /// Topics, as they were written.
    pub topics: Vec<Topic>,
    /// Queues, as they were written.
    pub queues: Vec<Queue>,
    /// Schedules, as they were written.
    pub schedules: Vec<Schedule>,
    /// State machines, as they were written.
    pub state_machines: Vec<StateMachine>,
    /// Nested stacks.
    pub stacks: Vec<Stack>,
    function_index: HashMap<String, usize>,
    table_index: HashMap<String, usize>,
}

/// Something that receives requests.
#[derive(Debug)]
pub struct Node {
    /// Distinguishes its random numbers from every other node's.
    pub key: u64,
    /// Requests from outside.
    pub traffic: Traffic,
    /// A schedule's period in minutes instead.
    pub every_minutes: Option<i64>,
    /// Requests from other nodes.
    pub incoming: Vec<Edge>,
    /// When it exists, in milliseconds since 1970.
    pub life: Life,
    /// Base share of failures (of 5xx for an API stage).
    pub errors: f64,
    /// Share of 4xx of an API stage.
    pub client_errors: f64,
    /// Base share of throttled requests.
    pub throttles: f64,
    /// Base share of timeouts.
    pub timeouts: f64,
    /// How long a request takes.
    pub latency: Quantiles,
    /// Longest possible duration in microseconds (a function's timeout).
    pub cap_us: i64,
    /// What goes wrong here.
    pub incidents: Vec<Arc<Incident>>,
}

/// Requests that come from another node.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// The caller.
    pub from: NodeId,
    /// Requests per request of the caller.
    pub times: f64,
    /// Distinguishes the rounding of parallel edges.
    pub key: u64,
    /// Whether the caller waits.
    pub waits: bool,
}

/// A quantile function in microseconds, linear between its points.
#[derive(Debug, Clone, Copy)]
pub struct Quantiles {
    /// (quantile, microseconds), from 0 to 1.
    pub points: [(f64, f64); 5],
}

/// A function.
#[derive(Debug)]
pub struct FunctionModel {
    /// Its name.
    pub name: String,
    /// Where its requests are.
    pub node: NodeId,
    /// What the file says of it; shared by generated functions.
    pub settings: Arc<Function>,
    /// Whether something invokes it asynchronously.
    pub asynchronous: bool,
    /// The kind of stream that feeds it, if one does; a table's stream is like Kinesis.
    pub streamed: Option<SourceKind>,
}

/// A table.
#[derive(Debug)]
pub struct TableModel {
    /// Its name.
    pub name: String,
    /// Node of each of `OPERATIONS`.
    pub operations: [NodeId; OPERATIONS.len()],
    /// What the file says of it.
    pub settings: Table,
}

/// An API.
#[derive(Debug)]
pub struct ApiModel {
    /// What the file says of it.
    pub settings: Api,
    /// Node of each stage, in the file's order.
    pub stages: Vec<NodeId>,
}

/// An event source mapping.
#[derive(Debug)]
pub struct Mapping {
    /// Its id.
    pub uuid: String,
    /// What it reads.
    pub source_arn: String,
    /// Where its records are counted.
    pub from: NodeId,
    /// Whom it invokes.
    pub function: String,
    /// What the file says of it.
    pub consumer: Consumer,
    /// The kind of the source if it is a stream.
    pub stream: Option<SourceKind>,
}

impl World {
    /// Compiles an account file; `origin` names it in errors.
    pub fn compile(origin: &str, file: &AccountFile) -> Result<Self, AccountError> {
        let refuse = |line: u64, reason: String| AccountError::Invalid {
            origin: origin.to_owned(),
            line,
            reason,
        };
        if file.accounts.is_empty() {
            return Err(refuse(
                0,
                "`accounts` is empty: describe at least one".to_owned(),
            ));
        }
        let hours = Arc::new(Hours::default());
        let mut accounts: Vec<AccountModel> = Vec::new();
        for account in &file.accounts {
            let id = &account.id.value;
            if id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refuse(
                    line(&account.id),
                    format!("account id \"{id}\" is not twelve digits (quote it in YAML)"),
                ));
            }
            if accounts.iter().any(|other| &other.id == id) {
                return Err(refuse(
                    line(&account.id),
                    format!("account {id} is described twice"),
                ));
            }
            let mut account = compile_account(file.seed, account)
                .map_err(|(line, reason)| refuse(line, reason))?;
            for region in account.regions.values_mut() {
                region.hours = Arc::clone(&hours);
            }
            accounts.push(account);
        }
        Ok(Self { accounts, hours })
    }

    /// The account with this id.
    pub fn account(&self, id: &str) -> Option<&AccountModel> {
        self.accounts.iter().find(|a| a.id == id)
    }
}

impl AccountModel {
    /// A region; one that the file does not mention is empty.
    pub fn region(&self, name: &str) -> &RegionModel {
        self.regions.get(name).unwrap_or(&self.empty)
    }
}

impl RegionModel {
    /// A function by name.
    pub fn function(&self, name: &str) -> Option<&FunctionModel> {
        self.function_index.get(name).map(|&i| &self.functions[i])
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&TableModel> {
        self.table_index.get(name).map(|&i| &self.tables[i])
    }
}

/// Whether something with this life exists at a moment.
pub fn alive(life: &Life, now_ms: i64) -> bool {
    life.from.is_none_or(|from| from.ms <= now_ms)
        && life.until.is_none_or(|until| now_ms < until.ms)
}

impl Quantiles {
    /// Fills in what the file leaves out.
    pub fn new(latency: &Latency) -> Self {
        let p50 = latency.p50_ms * 1000.0;
        let p90 = latency.p90_ms.map_or(p50 * 2.0, |v| v * 1000.0);
        let p99 = latency.p99_ms.map_or(p90 * 2.5, |v| v * 1000.0);
        let max = latency.max_ms.map_or(p99 * 1.5, |v| v * 1000.0);
        Self {
            points: [
                (0.0, p50 * 0.4),
                (0.5, p50),
                (0.9, p90),
                (0.99, p99),
                (1.0, max),
            ],
        }
    }

    /// The value at quantile `q`, in microseconds.
    pub fn at(&self, q: f64) -> f64 {
        for pair in self.points.windows(2) {
            let ((q0, v0), (q1, v1)) = (pair[0], pair[1]);
            if q <= q1 {
                return v0 + (v1 - v0) * (q - q0) / (q1 - q0);
            }
        }
        self.points[4].1
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for anything.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len()).any(|cut| rest.is_char_boundary(cut) && matches(tail, &rest[cut..]))
}

impl TableModel {
    /// Provisioned throughput, if the table has any.
    pub fn provisioned(&self) -> Option<Provisioned> {
        self.settings.provisioned
    }
}
