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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// What is counted at the moment of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Whether this replica leads.
    pub leads: bool,
    /// Stacks that are Ready.
    pub ready: i64,
    /// Stacks that are not.
    pub not_ready: i64,
    /// Stacks that cannot be read.
    pub undecodable: i64,
    /// Stacks whose turn has not come yet.
    pub waiting: i64,
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
    watch_errors: Family<KindLabel, Counter>,
    queue_depth: Gauge,
    /// Reconciliations that run now.
    pub in_flight: Gauge,
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
            watch_errors: Family::default(),
            queue_depth: Gauge::default(),
            in_flight: Gauge::default(),
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
            "Errors of watches, which are tried again, by the kind of object",
            metrics.watch_errors.clone(),
        );
        registry.register(
            "queue_depth",
            "Stacks that something happened to and whose reconciliation has not begun yet",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "reconciliations_in_flight",
            "Reconciliations that run now",
            metrics.in_flight.clone(),
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

    /// A watch failed, and is tried again.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&KindLabel { kind }).inc();
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

    /// The metrics as text.
    pub fn encode(&self, now: &Now) -> String {
        self.leader.set(now.leads.into());
        for (ready, stacks) in [("True", now.ready), ("False", now.not_ready)] {
            self.stacks.get_or_create(&ReadyLabel { ready }).set(stacks);
        }
        self.undecodable.set(now.undecodable);
        self.queue_depth.set(now.waiting);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

/// The page about these metrics.
pub fn reference() -> String {
    use std::fmt::Write;
    let metrics = Metrics::new();
    // Labels are seen on a series only.
    metrics.requested("get", Some(200), Duration::ZERO);
    metrics.failed(Reason::KubernetesApi);
    metrics.watch_failed("Service");
    let text = metrics.encode(&Now::default());
    let mut page = String::from(
        "# The operator's metrics\n\nGenerated from `operator/src/controller/metrics.rs` by `make generate`.\n\n\
         On `/metrics` of each replica. What an exporter serves is in [metrics.md](metrics.md).\n\n\
         | metric | type | labels | what |\n|---|---|---|---|\n",
    );
    let of = |keyword: &str, name: &str| {
        let start = format!("# {keyword} {name} ");
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(&*start))
            .unwrap_or_default()
    };
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    for name in names {
        let (type_, help) = (of("TYPE", name), of("HELP", name));
        let suffix = match type_ {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let mut series = text.lines().filter(|line| !line.starts_with('#'));
        let labels = series
            .find_map(|line| line.strip_prefix(name)?.split_once('{')?.1.split_once('}'))
            .map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let labels = labels.filter(|(label, _)| *label != "le");
        let labels: Vec<String> = labels.map(|(label, _)| format!("`{label}`")).collect();
        let labels = labels.join(" ");
        writeln!(page, "| `{name}{suffix}` | {type_} | {labels} | {help} |")
            .expect("writing to a String cannot fail");
    }
    page
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_each_metric_with_its_type_its_labels_and_what_it_is() {
        let page = reference();
        for row in [
            "| `nightjar_operator_api_requests_total` | counter | `verb` `code` | Requests to",
            "| `nightjar_operator_api_request_duration_seconds` | histogram | `verb` | How long",
            "| `nightjar_operator_watch_errors_total` | counter | `kind` | Errors of watches",
            "| `nightjar_operator_queue_depth` | gauge |  | Stacks that",
            "| `nightjar_operator_build_info` | info | `version` | The running version",
        ] {
            assert!(page.contains(row), "{row} is not in\n{page}");
        }
    }
}
