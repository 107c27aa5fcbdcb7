//! What the exporter says about itself: `nightjar_exporter_*`, counted as things happen and
//! encoded at each scrape, so that it lives on when polling hangs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::budget::Terms;
use super::plan::DOLLARS_PER_METRIC;
use super::series::rate_window_seconds;
use crate::api::Reason;

/// A handle on all of the exporter's own metrics; clones share them.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Metrics>);

#[derive(Debug)]
struct Metrics {
    registry: Registry,
    aws_requests: Family<Action, Counter>,
    aws_request_failures: Family<Failure, Counter>,
    requested: Counter,
    spent: Family<Purpose, Counter<f64, AtomicU64>>,
    late_corrections: Family<Scope, Counter>,
    absurd_datapoints: Family<Scope, Counter>,
    wrongly_ruled_out: Family<Scope, Counter>,
    lost: Family<Scope, Counter>,
    checkpoint: Gauge,
    checkpoint_failures: Counter,
    checkpoints_set_aside: Family<Cause, Counter>,
    last_poll: Family<Scope, Gauge>,
    last_discovery: Family<Scope, Gauge>,
    resources: Family<Scope, Gauge>,
    rate_window: Gauge,
    poll_interval: Gauge,
    rung: Gauge,
    least_budget: Family<[(String, String); 0], Gauge<f64, AtomicU64>>,
    forecast: Gauge<f64, AtomicU64>,
    budget: Family<[(String, String); 0], Gauge<f64, AtomicU64>>,
    series: Gauge,
    series_dropped: Gauge,
    config_reload_failed: Gauge,
    web_config_reload_failed: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Action {
    action: &'static str,
    region: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failure {
    action: &'static str,
    region: String,
    reason: &'static str,
}

/// One service in one account and region.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Scope {
    /// `lambda`, `dynamodb` ... A plain `service` would clash with the label that Prometheus puts on
    /// every target in Kubernetes.
    pub aws_service: &'static str,
    /// The account's number.
    pub account_id: String,
    /// The region.
    pub region: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Purpose {
    purpose: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Telemetry {
    /// Registers everything, for the stack of that name.
    pub fn new(stack: &str) -> Self {
        let labels = [("stack".into(), stack.to_owned().into())];
        let mut registry = Registry::with_labels(labels.into_iter());
        let own = registry.sub_registry_with_prefix("nightjar_exporter");
        macro_rules! metric {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                own.register($name, $help, Clone::clone(&metric));
                metric
            }};
        }
        let metrics = Metrics {
            aws_requests: metric!(
                "aws_requests",
                "Requests to AWS, by IAM action and region; retries of the SDK are not counted apart"
            ),
            aws_request_failures: metric!(
                "aws_request_failures",
                "Requests to AWS that failed, by IAM action, region and reason"
            ),
            requested: metric!(
                "metrics_requested",
                "Metrics requested from GetMetricData as CloudWatch bills them: 0.01 US dollars for 1000"
            ),
            spent: metric!(
                "spent_dollars",
                "What CloudWatch has charged in US dollars for the metrics that were requested, by what for: poll; audit, the daily comparison; probe, a look at permissions"
            ),
            late_corrections: metric!(
                "late_corrections",
                "Minutes whose value changed after it had been counted"
            ),
            absurd_datapoints: metric!(
                "absurd_datapoints",
                "Datapoints that no metric can have (negative, not a number, beyond all bounds); they are not counted"
            ),
            wrongly_ruled_out: metric!(
                "wrongly_ruled_out",
                "Days in which the daily comparison found something in a series that had not been asked for because another one ruled it out; it was added"
            ),
            lost: metric!(
                "lost_seconds",
                "Time that counters lack for ever, because CloudWatch did not keep its data until they were asked for"
            ),
            checkpoint: metric!(
                "checkpoint_timestamp_seconds",
                "When books were last written to the state directory"
            ),
            checkpoint_failures: metric!(
                "checkpoint_failures",
                "Times that books could not be written; what could not be written is not published"
            ),
            checkpoints_set_aside: metric!(
                "checkpoints_set_aside",
                "Books that could not be used at the start, by cause (corrupt, other_version, foreign): their counters began at 0"
            ),
            last_poll: metric!(
                "last_poll_success_timestamp_seconds",
                "When CloudWatch last answered all questions"
            ),
            last_discovery: metric!(
                "last_discovery_success_timestamp_seconds",
                "When the resources were last looked up and all of them found"
            ),
            resources: metric!("resources", "Resources that belong to the stack"),
            poll_interval: metric!("poll_interval_seconds", "How often CloudWatch is asked now"),
            rate_window: metric!(
                "rate_window_seconds",
                "The shortest window over which rate() of a counter always sees an increase: twice the interval in effect, and the time in which a minute settles"
            ),
            rung: metric!(
                "budget_rung",
                "How many rungs of the ladder polling is slower than asked for, to stay within the budget; 0 at the stack's own interval"
            ),
            budget: metric!(
                "budget_dollars_per_month",
                "What this exporter may spend in 30 days in US dollars, its part of spec.collection.budgetUsdPerMonth; absent without a budget"
            ),
            least_budget: metric!(
                "least_budget_dollars_per_month",
                "The least that this exporter must be allowed to spend in 30 days in US dollars before it polls at all; absent while its budget is enough"
            ),
            forecast: metric!(
                "spend_forecast_dollars_per_month",
                "What CloudWatch charges in US dollars for 30 days at the present plan"
            ),
            series: metric!("series", "AWS series that are published"),
            series_dropped: metric!(
                "series_dropped",
                "AWS series that are left out because of spec.collection.maxSeries"
            ),
            config_reload_failed: metric!(
                "config_reload_failed",
                "1 while the configuration file cannot be used and the one before it runs on"
            ),
            web_config_reload_failed: metric!(
                "web_config_reload_failed",
                "1 while the web configuration file cannot be used and what it said before stays in effect"
            ),
            registry: Registry::default(),
        };
        let build: Family<Build, Gauge> = Family::default();
        build
            .get_or_create(&Build {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1);
        own.register("build_info", "Always 1; the label tells the version", build);
        registry.register_collector(Box::new(Process));
        Self(Arc::new(Metrics {
            registry,
            ..metrics
        }))
    }

    /// A request to AWS ended.
    pub fn aws_request(&self, action: &'static str, region: &str, failure: Option<Reason>) {
        let labels = Action {
            action,
            region: region.to_owned(),
        };
        self.0.aws_requests.get_or_create(&labels).inc();
        if let Some(reason) = failure {
            self.aws_request_failed(action, region, reason);
        }
    }

    /// What a request that was counted brought is of no use.
    pub fn aws_request_failed(&self, action: &'static str, region: &str, reason: Reason) {
        let failure = Failure {
            action,
            region: region.to_owned(),
            reason: reason.as_str(),
        };
        self.0.aws_request_failures.get_or_create(&failure).inc();
    }

    /// Requests of an IAM action in a region since the process started.
    pub fn aws_requests(&self, action: &'static str, region: &str) -> u64 {
        let region = region.to_owned();
        self.0
            .aws_requests
            .get_or_create(&Action { action, region })
            .get()
    }

    /// A call was billed, that was for something.
    #[expect(clippy::cast_precision_loss, reason = "metrics of one call")]
    pub fn billed(&self, metrics: u64, purpose: &'static str) {
        self.0.requested.inc_by(metrics);
        let spent = self.0.spent.get_or_create(&Purpose { purpose });
        spent.inc_by(metrics as f64 * DOLLARS_PER_METRIC);
    }

    /// Metrics billed since the process started.
    pub fn metrics_requested(&self) -> u64 {
        self.0.requested.get()
    }

    /// An answer was folded.
    pub fn folded(&self, scope: &Scope, corrections: u64, absurd: u64) {
        self.0
            .late_corrections
            .get_or_create(scope)
            .inc_by(corrections);
        self.0.absurd_datapoints.get_or_create(scope).inc_by(absurd);
    }

    /// A series was not asked for although it had something.
    pub fn wrongly_ruled_out(&self, scope: &Scope) {
        self.0.wrongly_ruled_out.get_or_create(scope).inc();
    }

    /// Seconds are missing in the counters for ever.
    pub fn lost(&self, scope: &Scope, seconds: i64) {
        self.0
            .lost
            .get_or_create(scope)
            .inc_by(seconds.unsigned_abs());
    }

    /// Books were written, or could not be.
    pub fn saved(&self, at: i64, failed: bool) {
        if failed {
            self.0.checkpoint_failures.inc();
        } else {
            self.0.checkpoint.set(at);
        }
    }

    /// Books could not be used.
    pub fn set_aside(&self, cause: &'static str) {
        self.0
            .checkpoints_set_aside
            .get_or_create(&Cause { cause })
            .inc();
    }

    /// All resources were found.
    pub fn discovered(&self, scope: &Scope, at: i64) {
        self.0.last_discovery.get_or_create(scope).set(at);
    }

    /// So many resources belong to the stack.
    pub fn found(&self, scope: &Scope, resources: u64) {
        self.0
            .resources
            .get_or_create(scope)
            .set(i64::try_from(resources).unwrap_or(i64::MAX));
    }

    /// What the process before this one knew: when CloudWatch had last answered, and when resources were looked up.
    pub fn remembered(&self, scope: &Scope, polled: Option<i64>, discovered: Option<i64>) {
        for (family, at) in [
            (&self.0.last_poll, polled),
            (&self.0.last_discovery, discovered),
        ] {
            if let Some(at) = at {
                family.get_or_create(scope).set(at);
            }
        }
    }

    /// CloudWatch answered everything.
    pub fn polled(&self, scope: &Scope, at: i64) {
        self.0.last_poll.get_or_create(scope).set(at);
        // There before anything is lost: `increase` does not see a counter's first value.
        self.0.lost.get_or_create(scope).inc_by(0);
    }

    /// A service, account and region is not watched any more.
    pub fn forget(&self, scope: &Scope) {
        let metrics = &*self.0;
        for family in [
            &metrics.last_poll,
            &metrics.last_discovery,
            &metrics.resources,
        ] {
            family.remove(scope);
        }
    }

    /// The plan in effect.
    pub fn planned(&self, terms: &Terms) {
        self.0.poll_interval.set(terms.interval_seconds.into());
        let interval = i64::from(terms.interval_seconds);
        self.0.rate_window.set(rate_window_seconds(interval));
        self.0
            .rung
            .set(i64::try_from(terms.rung).unwrap_or(i64::MAX));
        self.0.forecast.set(terms.forecast);
        for (family, dollars) in [
            (&self.0.budget, terms.budget),
            (&self.0.least_budget, terms.least_budget),
        ] {
            match dollars {
                Some(dollars) => {
                    family.get_or_create(&[]).set(dollars);
                }
                None => family.clear(),
            }
        }
    }

    /// A snapshot was published.
    pub fn published(&self, series: u64, dropped: u64) {
        self.0.series.set(i64::try_from(series).unwrap_or(i64::MAX));
        self.0
            .series_dropped
            .set(i64::try_from(dropped).unwrap_or(i64::MAX));
    }

    /// Whether the newest configuration file could not be used.
    pub fn config_reload_failed(&self, failed: bool) {
        self.0.config_reload_failed.set(failed.into());
    }

    /// Whether the newest web configuration file could not be used.
    pub fn web_config_reload_failed(&self, failed: bool) {
        self.0.web_config_reload_failed.set(failed.into());
    }

    /// The OpenMetrics text of now, with the closing `# EOF`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("writing to a string cannot fail");
        text
    }
}

/// The standard metrics of a process, as client libraries of Prometheus name them.
#[derive(Debug)]
struct Process;

impl prometheus_client::collector::Collector for Process {
    fn encode(
        &self,
        mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeMetric;
        use prometheus_client::metrics::MetricType;
        use prometheus_client::metrics::counter::ConstCounter;
        use prometheus_client::metrics::gauge::ConstGauge;

        let now = metrics_process::collector::collect();
        if let Some(seconds) = now.cpu_seconds_total {
            let metric = ConstCounter::new(seconds);
            metric.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                "CPU time of the process",
                None,
                MetricType::Counter,
            )?)?;
        }
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Resident memory of the process",
                now.resident_memory_bytes,
            ),
            ("process_open_fds", "Open file descriptors", now.open_fds),
            (
                "process_start_time_seconds",
                "When the process started",
                now.start_time_seconds,
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
            }
        }
        Ok(())
    }
}
