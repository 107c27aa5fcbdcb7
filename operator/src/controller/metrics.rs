//! The operator's metrics about itself.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::api::Reason;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadyLabel {
    ready: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabel {
    verb: &'static str,
}

/// Handles of all metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciliations: Counter,
    failures: Family<ReasonLabel, Counter>,
    duration: Histogram,
    writes: Counter,
    put_back: Counter,
    stacks: Family<ReadyLabel, Gauge>,
    undecodable: Gauge,
    leader: Gauge,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<VerbLabel, Histogram>,
    /// Errors of the watches, which are retried.
    pub watch_errors: Counter,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("nightjar_operator");
        let metrics = Self {
            reconciliations: Counter::default(),
            failures: Family::default(),
            duration: Histogram::new(exponential_buckets(0.005, 2.0, 13)),
            writes: Counter::default(),
            put_back: Counter::default(),
            stacks: Family::default(),
            undecodable: Gauge::default(),
            leader: Gauge::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 8))
            }),
            watch_errors: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "build",
            "The running version",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "reconciliations",
            "Reconciliations of stacks",
            metrics.reconciliations.clone(),
        );
        registry.register(
            "reconcile_failures",
            "Reconciliations that failed, by reason",
            metrics.failures.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "How long reconciliations took",
            metrics.duration.clone(),
        );
        registry.register(
            "object_writes",
            "Objects applied or deleted",
            metrics.writes.clone(),
        );
        registry.register(
            "objects_put_back",
            "Objects that somebody else had changed, and that were applied again",
            metrics.put_back.clone(),
        );
        registry.register(
            "stacks",
            "Stacks, by the status of their condition Ready",
            metrics.stacks.clone(),
        );
        registry.register(
            "undecodable_stacks",
            "Stacks that this version cannot read",
            metrics.undecodable.clone(),
        );
        registry.register(
            "watch_errors",
            "Errors of watches, which are retried",
            metrics.watch_errors.clone(),
        );
        registry.register(
            "leader",
            "1 for the replica that holds the Lease and writes, 0 for the others",
            metrics.leader.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the Kubernetes API, by verb and HTTP status code; the code error stands for those without an answer",
            metrics.requests.clone(),
        );
        registry.register(
            "api_request_duration_seconds",
            "How long the Kubernetes API took to begin an answer, by verb",
            metrics.request_duration.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// The Kubernetes API answered a request, or did not.
    pub fn requested(&self, verb: &'static str, code: Option<u16>, took: Duration) {
        let code = code.map_or_else(|| "error".to_owned(), |code| code.to_string());
        self.requests
            .get_or_create(&RequestLabels { verb, code })
            .inc();
        self.request_duration
            .get_or_create(&VerbLabel { verb })
            .observe(took.as_secs_f64());
    }

    /// A reconciliation ended.
    pub fn reconciled(&self, took: Duration) {
        self.reconciliations.inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A reconciliation failed.
    pub fn failed(&self, reason: Reason) {
        self.failures
            .get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            })
            .inc();
    }

    /// Objects were written, some of them because somebody else had changed them.
    pub fn wrote(&self, objects: usize, put_back: usize) {
        self.writes.inc_by(objects as u64);
        self.put_back.inc_by(put_back as u64);
    }

    /// The metrics as text, with the present stacks counted by readiness.
    pub fn encode(&self, ready: i64, not_ready: i64, undecodable: i64) -> String {
        self.stacks
            .get_or_create(&ReadyLabel { ready: "True" })
            .set(ready);
        self.stacks
            .get_or_create(&ReadyLabel { ready: "False" })
            .set(not_ready);
        self.undecodable.set(undecodable);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
