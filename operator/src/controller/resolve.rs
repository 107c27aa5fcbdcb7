//! What a stack's objects depend on besides the stack: what the operator was told at its start,
//! and what the cluster offers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::api::quantity::millionths;
use crate::api::shards::Assignment;
use crate::api::stack::{Storage, is_budget};
use crate::api::{Duration, ServerlessStack};

/// Settings of all exporters, from the operator's arguments.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ExporterArgs {
    /// Image of the exporters; the operator's own image holds the exporter.
    #[arg(
        long = "exporter-image",
        env = "NIGHTJAR_EXPORTER_IMAGE",
        value_name = "IMAGE",
        default_value = concat!("nightjar:", env!("CARGO_PKG_VERSION"))
    )]
    pub image: String,

    /// Pull policy of that image: Always, IfNotPresent or Never. Default: Kubernetes' own rule.
    #[arg(long = "exporter-image-pull-policy", env = "NIGHTJAR_EXPORTER_IMAGE_PULL_POLICY", value_name = "POLICY",
          value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: Option<String>,

    /// A Secret with which that image is pulled; it must exist in each stack's namespace. Repeatable.
    #[arg(long = "exporter-image-pull-secret", value_name = "NAME")]
    pub image_pull_secrets: Vec<String>,

    /// An annotation for all ServiceAccounts that the operator makes, for example
    /// `eks.amazonaws.com/role-arn=arn:aws:iam::111122223333:role/nightjar-exporter`.
    /// A stack's `spec.credentials.annotations` go before it. Repeatable.
    #[arg(long = "exporter-service-account-annotation", value_name = "KEY=VALUE", value_parser = key_value)]
    pub service_account_annotations: Vec<(String, String)>,

    /// A key of a ConfigMap that holds the certificate authorities which exporters trust, in PEM
    /// form; it must exist in each stack's namespace. Default: those of the image.
    #[arg(long = "exporter-ca-config-map", value_name = "NAME/KEY", value_parser = name_slash_key)]
    pub ca_config_map: Option<(String, String)>,

    /// An environment variable for all exporters, for example
    /// `HTTPS_PROXY=http://proxy:3128`.
    /// A stack's `spec.exporter.env` goes before it. Repeatable.
    #[arg(long = "exporter-env", value_name = "NAME=VALUE", value_parser = key_value)]
    pub env: Vec<(String, String)>,

    /// A label for all ServiceMonitors, by which a Prometheus selects them, for example
    /// `release=kube-prometheus-stack`. A stack's `spec.monitoring.labels` goes before it. Repeatable.
    #[arg(long = "monitor-label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub monitor_labels: Vec<(String, String)>,

    /// Where alerts say that their runbooks are, for example where you publish `docs/runbooks/`; an
    /// alert's name and `.md` follow. Default: alerts do not say.
    #[arg(
        long = "runbook-url",
        env = "NIGHTJAR_RUNBOOK_URL",
        value_name = "URL",
        default_value = ""
    )]
    pub runbook_url: String,

    /// How often stacks that do not say it ask CloudWatch, from 1m to 20m. Default: 5m.
    #[arg(long = "default-interval", env = "NIGHTJAR_DEFAULT_INTERVAL", value_name = "DURATION",
          value_parser = |text: &str| duration(text, 60..=1200))]
    pub interval: Option<Duration>,

    /// What CloudWatch may charge in 30 days for watching a stack that does not say it, in US dollars, for
    /// example 25. Default: no limit.
    #[arg(long = "default-budget-usd-per-month", env = "NIGHTJAR_DEFAULT_BUDGET_USD_PER_MONTH", value_name = "DOLLARS",
          value_parser = budget)]
    pub budget_usd_per_month: Option<String>,

    /// How often Prometheus scrapes the exporters of stacks that do not say it, from 5s to 5m.
    /// Default: 30s.
    #[arg(long = "default-scrape-interval", env = "NIGHTJAR_DEFAULT_SCRAPE_INTERVAL", value_name = "DURATION",
          value_parser = |text: &str| duration(text, 5..=300))]
    pub scrape_interval: Option<Duration>,
}

impl ExporterArgs {
    /// The stack with what all stacks have that do not say it themselves.
    pub fn complete(&self, stack: &ServerlessStack) -> ServerlessStack {
        let mut stack = stack.clone();
        let interval = &mut stack.spec.collection.interval;
        *interval = interval.or(self.interval);
        let budget = &mut stack.spec.collection.budget_usd_per_month;
        *budget = budget.take().or_else(|| self.budget_usd_per_month.clone());
        let scrape_interval = &mut stack.spec.monitoring.scrape_interval;
        *scrape_interval = scrape_interval.or(self.scrape_interval);
        stack
    }
}

fn budget(text: &str) -> Result<String, String> {
    if is_budget(text) {
        Ok(text.to_owned())
    } else {
        Err("write US dollars above 0, with two decimals at most".to_owned())
    }
}

fn duration(text: &str, seconds: RangeInclusive<u32>) -> Result<Duration, String> {
    let duration: Duration = text.parse().map_err(|error| format!("{error}"))?;
    if seconds.contains(&duration.as_secs()) {
        return Ok(duration);
    }
    let (least, most) = seconds.into_inner();
    let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
    Err(format!("write a duration from {least} to {most}"))
}

/// `NAME=VALUE`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not of the form NAME=VALUE")),
    }
}

/// `NAME/KEY`.
pub(super) fn name_slash_key(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => {
            Ok((name.to_owned(), key.to_owned()))
        }
        Some(_) | None => Err(format!("{text:?} is not of the form NAME/KEY")),
    }
}

/// Whether volumes are the same, however their size is written.
fn is_same_storage(a: Option<&Storage>, b: Option<&Storage>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.storage_class_name == b.storage_class_name
                && (a.size == b.size || millionths(&a.size) == millionths(&b.size))
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Which exporter watches what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// What the exporters are told.
    pub assignment: Assignment,
    /// How many exporters there shall be now: during a move those too that have not released yet.
    pub replicas: u32,
    /// The version of the configuration that the assignment was made from; none if there was none.
    pub made_from: Option<String>,
}

impl Shards {
    /// Of a stack that never had exporters.
    pub fn first(stack: &ServerlessStack) -> Self {
        let replicas = stack.spec.exporter.shards.max(1).unsigned_abs();
        Self {
            assignment: Assignment::first(replicas),
            replicas,
            made_from: None,
        }
    }

    /// Of a stack whose status may say how often they were shared out, and whose number does not change.
    pub fn as_written(stack: &ServerlessStack) -> Self {
        let mut shards = Self::first(stack);
        let status = stack.status.as_ref();
        if let Some(revision) = status.and_then(|status| status.exporter.revision) {
            shards.assignment.revision = revision;
        }
        shards
    }
}

/// What a stack's objects depend on besides the stack.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Which exporter watches what.
    pub shards: Shards,
    /// The operator's settings for all exporters.
    pub exporter: ExporterArgs,
    /// Whether the cluster has the kind ServiceMonitor.
    pub service_monitors: bool,
    /// Whether it has the kind PrometheusRule.
    pub prometheus_rules: bool,
    /// Whether it has the kind AlertmanagerConfig.
    pub alertmanager_configs: bool,
    /// How often the exporters ask CloudWatch now, as far as that is known: a budget may have made it slower than the
    /// stack says.
    pub interval: Option<Duration>,
    /// What the exporters' volumes were made of, if there are exporters already.
    pub made_storage: Option<Option<Storage>>,
}

impl Resolved {
    /// What the exporters' volumes are made of: what the stack says, unless they are made of something else.
    pub fn storage<'a>(&'a self, stack: &'a ServerlessStack) -> Option<&'a Storage> {
        let wanted = stack.spec.exporter.storage.as_ref();
        match &self.made_storage {
            Some(made) if !is_same_storage(made.as_ref(), wanted) => made.as_ref(),
            Some(_) | None => wanted,
        }
    }

    /// The labels by which a Prometheus selects the stack's ServiceMonitor.
    pub fn monitor_labels(&self, stack: &ServerlessStack) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<_, _> = self.exporter.monitor_labels.iter().cloned().collect();
        labels.extend(stack.spec.monitoring.labels.clone());
        labels
    }

    /// The annotations of the ServiceAccount that the operator makes for the stack.
    pub fn service_account_annotations(&self, stack: &ServerlessStack) -> BTreeMap<String, String> {
        let defaults = &self.exporter.service_account_annotations;
        let mut annotations: BTreeMap<_, _> = defaults.iter().cloned().collect();
        annotations.extend(stack.spec.credentials.annotations.clone());
        annotations
    }
}
