//! The plan as data: what `-o json` prints.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::super::book::{DAY, Minute, Reading};
use super::super::collect::minutes;
use super::super::config::Config;
use super::super::discover::Discovered;
use super::super::gates::Gates;
use super::super::plan::{self, Batch};
use super::super::series::Reads;
use super::super::view;
use super::super::watched::Watched;
use crate::api::stack::Latency;
use crate::api::{Duration, Reason};
use crate::aws::{AwsError, quota_of};
use crate::services::found::Resource;
use crate::services::{ServiceId, reference};

/// Intervals that are compared with the stack's own, in seconds.
const INTERVALS: [u32; 5] = [60, 300, 600, 900, 1200];
/// The month that everything is given for.
const MONTH_DAYS: u64 = 30;
const MONTH_SECONDS: u64 = MONTH_DAYS * 86_400;
const METRIC_DATA: &str = "cloudwatch:GetMetricData";

/// The whole plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `namespace/name`.
    pub stack: String,
    /// Whether `spec.suspend` holds all polling at the moment.
    pub suspended: bool,
    /// `spec.collection.interval`.
    pub interval: String,
    /// `spec.collection.discoveryInterval`.
    pub discovery_interval: String,
    /// Resources of all accounts and regions.
    pub resources: u64,
    /// The most series that there can be: a gauge without a value is absent.
    pub series: u64,
    /// `spec.collection.maxSeries`.
    pub max_series: u64,
    /// What is asked and charged, at the stack's interval and at others.
    pub intervals: Vec<Rate>,
    /// Each account and region.
    pub targets: Vec<TargetReport>,
    /// What to add to which identity.
    pub missing: Vec<Missing>,
}

/// What CloudWatch is asked, and what it charges, at an interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// For example `5m`.
    pub interval: String,
    /// Whether this is the stack's.
    pub current: bool,
    /// Calls of `GetMetricData` in a poll.
    pub calls_per_poll: u64,
    /// Metrics in a poll, as they are billed, when everything is in use and nothing fails: what a region's own series
    /// rules out, errors and throttles above all, is not asked for. Idle resources are asked for less often.
    pub metrics_per_poll: u64,
    /// The same when everything fails.
    pub most_metrics_per_poll: u64,
    /// Metrics that are asked for once a day, to compare the day before with what was counted of it.
    pub metrics_per_audit: u64,
    /// Calls in 30 days.
    pub calls_per_month: u64,
    /// Metrics in 30 days, as they are billed.
    pub metrics_per_month: u64,
    /// US dollars for 30 days, when everything is in use and nothing fails.
    pub usd_per_month: f64,
    /// US dollars for 30 days, when everything fails all the time.
    pub most_usd_per_month: f64,
}

/// One account and region.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// The account's number, if it could be learnt.
    pub account_id: Option<String>,
    /// The role that is assumed there.
    pub role_arn: Option<String>,
    /// The region.
    pub region: String,
    /// By service.
    pub services: BTreeMap<&'static str, ServiceReport>,
    /// At each interval.
    pub intervals: Vec<Rate>,
    /// Requests to each API.
    pub requests: Vec<Requests>,
    /// Each IAM action that the stack needs here.
    pub permissions: Vec<Permission>,
    /// What could not be looked at, and why.
    pub problems: Vec<Trouble>,
}

/// One service in one account and region.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// Resources that belong to the stack.
    pub resources: u64,
    /// What CloudWatch knows them by: functions, tables, operations, stages ...
    pub kinds: BTreeMap<String, u64>,
    /// The most series that there can be.
    pub series: u64,
    /// Metrics in a poll, as they are billed.
    pub metrics_per_poll: u64,
    /// US dollars for 30 days at the stack's interval.
    pub usd_per_month: f64,
}

/// Requests to one API.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// The IAM action.
    pub action: &'static str,
    /// Requests in a round: a look-up, or a poll.
    pub per_round: u64,
    /// On average.
    pub per_second: f64,
    /// The most at any moment.
    pub most_per_second: u32,
    /// AWS's default quota of the account and region, shared with everybody, where it is published.
    pub quota_per_second: Option<u32>,
}

/// Whether an IAM action is allowed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// The action.
    pub action: &'static str,
    /// What it is for.
    pub purpose: String,
    /// Unknown when it could not be tried.
    pub allowed: Option<bool>,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The word that conditions and metrics have for it.
    pub reason: Reason,
    /// The IAM action of the request that failed.
    pub action: &'static str,
    /// What failed, why, and what to do.
    pub message: String,
}

/// What to allow to an identity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Whom to allow it, in words.
    pub identity: String,
    /// The actions.
    pub actions: Vec<&'static str>,
    /// An IAM policy that allows them.
    pub policy: Value,
}

impl Requests {
    /// The requests of a look-up.
    pub fn of_look_up(action: &'static str, count: u64, interval: Duration) -> Self {
        Self::new(action, count, interval.as_secs())
    }

    #[expect(clippy::cast_precision_loss, reason = "an average")]
    fn new(action: &'static str, per_round: u64, interval_seconds: u32) -> Self {
        let quota = quota_of(action);
        Self {
            action,
            per_round,
            per_second: per_round as f64 / f64::from(interval_seconds.max(1)),
            most_per_second: quota.own_per_second,
            quota_per_second: quota.aws_per_second,
        }
    }
}

impl TargetReport {
    /// Notes what failed.
    pub fn add_problem(&mut self, error: AwsError) {
        let trouble = Trouble {
            reason: error.reason,
            action: error.action,
            message: error.message,
        };
        if !self.problems.contains(&trouble) {
            self.problems.push(trouble);
        }
    }

    /// Says that another identity watches the same account and region.
    pub fn twice(&mut self) {
        let account = self.account_id.clone().unwrap_or_default();
        *self = Self {
            account_id: self.account_id.take(),
            role_arn: self.role_arn.take(),
            region: std::mem::take(&mut self.region),
            ..Self::default()
        };
        self.add_problem(AwsError::new(
            Reason::InvalidSpec,
            "sts:GetCallerIdentity",
            format!(
                "account {account} is in spec.accounts twice, under two identities: it is watched once. Remove one of them."
            ),
        ));
    }

    /// Counts what was found.
    pub fn take(&mut self, config: &Config, found: Discovered, now: Minute) {
        let interval = config.spec.collection.interval();
        let latency = &config.spec.latency;
        for error in found.problems {
            self.add_problem(error);
        }
        let today = now.floor(DAY);
        let mut all = Vec::new();
        for (id, found) in found.services {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.add_problem(error);
                    continue;
                }
            };
            for error in found.problems.into_iter().chain(found.lesser) {
                self.add_problem(error);
            }
            let mut report = count(id, &found.resources, latency, now);
            let asked = ask(&found.resources, latency, interval, today);
            let Rate {
                metrics_per_poll,
                usd_per_month,
                ..
            } = rate(&asked, interval, true);
            report.metrics_per_poll = metrics_per_poll;
            report.usd_per_month = usd_per_month;
            self.services.insert(id.name(), report);
            all.extend(found.resources);
        }
        self.intervals = intervals(interval)
            .into_iter()
            .map(|at| rate(&ask(&all, latency, at, today), at, at == interval))
            .collect();
        if let Some(rate) = self.intervals.iter().find(|rate| rate.current) {
            self.requests.push(Requests::new(
                METRIC_DATA,
                rate.calls_per_poll,
                interval.as_secs(),
            ));
        }
    }

    fn denied(&self) -> impl Iterator<Item = &'static str> {
        self.permissions
            .iter()
            .filter(|permission| permission.allowed == Some(false))
            .map(|permission| permission.action)
    }
}

/// The stack's interval among those that it is compared with.
fn intervals(own: Duration) -> BTreeSet<Duration> {
    INTERVALS
        .into_iter()
        .map(Duration::from_secs)
        .chain([own])
        .collect()
}

/// What is asked in the middle of things.
struct Asked {
    /// The calls of a poll in which nothing fails: each window reaches from what had settled at the poll before until
    /// now.
    poll: Vec<Batch>,
    /// Metrics, as they are billed, of a poll in which everything fails.
    most: u64,
    /// The calls that compare a day.
    audit: Vec<Batch>,
}

fn ask(resources: &[Resource], latency: &Latency, interval: Duration, today: Minute) -> Asked {
    // A day is compared when its night is over.
    let now = Minute(today.0 + DAY / 2);
    let before = now.back(minutes(interval.as_secs()));
    let since = |begun: Minute| -> Vec<Watched> {
        let subjects = resources.iter().flat_map(|resource| &resource.subjects);
        let watched = subjects.map(|subject| {
            let mut watched = Watched::new(subject.clone(), begun);
            watched.want_buckets(&latency.bounds(), |_| true, begun);
            let settled = watched.settle_at(before);
            for series in &mut watched.series {
                series.through = settled;
                series.read_through = settled;
            }
            watched
        });
        watched.collect()
    };
    let interval = minutes(interval.as_secs());
    // What began just now is in use.
    let active = since(now);
    let groups = plan::groups(&active, latency, interval, now);
    let failing = plan::billed_metrics(&groups);
    let quiet = Gates::closed(&active).sort(&active, groups, now).first;
    Asked {
        poll: plan::batches(quiet),
        most: failing,
        audit: plan::batches(plan::audits(&since(today.back(DAY)), now)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn rate(asked: &Asked, interval: Duration, current: bool) -> Rate {
    let polls = MONTH_SECONDS / u64::from(interval.as_secs().max(1));
    let billed = |calls: &[Batch]| calls.iter().map(Batch::billed_metrics).sum::<u64>();
    let (metrics_per_poll, metrics_per_audit) = (billed(&asked.poll), billed(&asked.audit));
    let month = |metrics_per_poll| metrics_per_poll * polls + metrics_per_audit * MONTH_DAYS;
    let most_metrics_per_poll = asked.most.max(metrics_per_poll);
    Rate {
        interval: interval.to_string(),
        current,
        calls_per_poll: asked.poll.len() as u64,
        metrics_per_poll,
        most_metrics_per_poll,
        metrics_per_audit,
        calls_per_month: asked.poll.len() as u64 * polls + asked.audit.len() as u64 * MONTH_DAYS,
        metrics_per_month: month(metrics_per_poll),
        usd_per_month: month(metrics_per_poll) as f64 * plan::DOLLARS_PER_METRIC,
        most_usd_per_month: month(most_metrics_per_poll) as f64 * plan::DOLLARS_PER_METRIC,
    }
}

/// Resources and series of a service. Every reading is taken to be there.
fn count(id: ServiceId, resources: &[Resource], latency: &Latency, now: Minute) -> ServiceReport {
    let mut report = ServiceReport {
        resources: resources.iter().filter(|r| r.arn.is_some()).count() as u64,
        ..ServiceReport::default()
    };
    let (quantiles, bounds) = (view::quantiles(latency), latency.bounds());
    for resource in resources {
        report.series += resource.facts.len() as u64;
        for subject in &resource.subjects {
            let kind = subject.shape.name.trim_start_matches(id.name());
            let kind = kind.trim_start_matches('_').replace('_', " ");
            *report.kinds.entry(kind).or_default() += 1;
            let mut watched = Watched::new(subject.clone(), now);
            watched.want_buckets(&bounds, |_| true, now);
            for series in &mut watched.series {
                let reading = Reading {
                    value: 0.0,
                    minute: now,
                };
                let read = quantiles.iter().map(|(_, q)| Reads::Quantile(*q));
                let gauge = latency.maxima || !series.metric.kind.counts();
                let read = read.chain(gauge.then_some(Reads::Greatest));
                series.readings = read.map(|reads| (reads, reading)).collect();
                let rows = view::rows(series, &quantiles, now, 0);
                report.series += rows.map(|row| row.value.series()).sum::<u64>();
            }
        }
    }
    report
}

impl Report {
    /// Puts the accounts and regions together.
    pub fn new(config: &Config, targets: Vec<TargetReport>) -> Self {
        let interval = config.spec.collection.interval();
        let services = || targets.iter().flat_map(|target| target.services.values());
        let nothing = Asked {
            poll: Vec::new(),
            most: 0,
            audit: Vec::new(),
        };
        let mut rates: Vec<Rate> = intervals(interval)
            .into_iter()
            .map(|at| rate(&nothing, at, at == interval))
            .collect();
        for target in &targets {
            for (total, rate) in rates.iter_mut().zip(&target.intervals) {
                total.calls_per_poll += rate.calls_per_poll;
                total.metrics_per_poll += rate.metrics_per_poll;
                total.most_metrics_per_poll += rate.most_metrics_per_poll;
                total.metrics_per_audit += rate.metrics_per_audit;
                total.calls_per_month += rate.calls_per_month;
                total.metrics_per_month += rate.metrics_per_month;
                total.usd_per_month += rate.usd_per_month;
                total.most_usd_per_month += rate.most_usd_per_month;
            }
        }
        Self {
            stack: format!("{}/{}", config.namespace, config.name),
            suspended: config.spec.suspend,
            interval: interval.to_string(),
            discovery_interval: config.spec.collection.discovery_interval.to_string(),
            resources: services().map(|service| service.resources).sum(),
            series: services().map(|service| service.series).sum(),
            max_series: u64::try_from(config.spec.collection.max_series).unwrap_or(0),
            intervals: rates,
            missing: missing(&targets),
            targets,
        }
    }

    /// Whether everything that the stack asks for can be watched.
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
            && self.resources > 0
            && self.series <= self.max_series
            && self.targets.iter().all(|target| target.problems.is_empty())
    }
}

/// The policies to add, one for each identity.
fn missing(targets: &[TargetReport]) -> Vec<Missing> {
    let mut actions: BTreeMap<(Option<&str>, &str), BTreeSet<&'static str>> = BTreeMap::new();
    let mut roles: BTreeSet<&str> = BTreeSet::new();
    for target in targets {
        let role = target.role_arn.as_deref();
        let identity = (role, target.account_id.as_deref().unwrap_or_default());
        let denied: Vec<_> = target.denied().collect();
        if !denied.is_empty() {
            actions.entry(identity).or_default().extend(denied);
        }
        let refused = |trouble: &Trouble| {
            trouble.reason == Reason::AccessDenied && trouble.action == "sts:AssumeRole"
        };
        if let Some(role) = role
            && target.problems.iter().any(refused)
        {
            roles.insert(role);
        }
    }
    let own = "the exporter's own identity".to_owned();
    let of_roles = roles.into_iter().map(|role| {
        let action = "sts:AssumeRole";
        let statement = reference::statement("NightjarAssumeRole", &BTreeSet::from([action]), role);
        Missing {
            identity: format!(
                "{own}, and name it, with the external id if there is one, in the trust policy of {role}"
            ),
            actions: vec![action],
            policy: reference::policy(&[statement]),
        }
    });
    let of_accounts = actions.iter().map(|((role, account), actions)| Missing {
        identity: role.map_or_else(|| format!("{own} in account {account}"), ToOwned::to_owned),
        actions: actions.iter().copied().collect(),
        policy: reference::policy(&[reference::statement("NightjarMissing", actions, "*")]),
    });
    of_accounts.chain(of_roles).collect()
}
