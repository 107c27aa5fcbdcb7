//! The reference pages, written from the tables: `docs/metrics.md`, `docs/iam.md` and `docs/alerts.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::table::{Family, FamilyKind, Features, Gate, Metric, Missing, OptionalSet, Shape};
use super::{ServiceId, Wanted};
use crate::api::ServerlessStackSpec;

/// Actions that are needed whatever is watched, with the reason.
const COMMON_ACTIONS: [(&str, &str); 3] = [
    ("cloudwatch:GetMetricData", "the metrics"),
    ("tag:GetResources", "selectors by tags, and `spec.tags`"),
    (
        "cloudformation:ListStackResources",
        "selectors by CloudFormation stack",
    ),
];

/// Actions that only an optional set of metrics or settings needs.
const OPTIONAL_ACTIONS: [(&str, &str); 4] = [
    ("lambda:ListEventSourceMappings", "eventSourceMappings"),
    ("lambda:GetFunctionConcurrency", "reservedConcurrency"),
    ("dynamodb:DescribeTimeToLive", "timeToLive"),
    (
        "application-autoscaling:DescribeScalableTargets",
        "autoScaling",
    ),
];

/// A page of the reference.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Page {
    /// All metrics.
    Metrics,
    /// The IAM policy.
    Iam,
    /// All alerts and recording rules.
    Alerts,
    /// The operator's own metrics.
    OperatorMetrics,
    /// The alerts about the operator, as the chart delivers them: a file of rules.
    OperatorRules,
}

/// The IAM actions that a stack's exporter needs in each account, each with what it is for.
pub fn actions(spec: &ServerlessStackSpec, services: &[ServiceId]) -> Vec<(&'static str, String)> {
    let selectors = || spec.select.iter().chain(&spec.exclude);
    let mut actions: Vec<(&'static str, String)> = Vec::new();
    for (action, purpose) in COMMON_ACTIONS {
        let needed = match action {
            "tag:GetResources" => {
                !spec.tags.is_empty() || selectors().any(|selector| selector.tags.is_some())
            }
            "cloudformation:ListStackResources" => {
                selectors().any(|selector| selector.cloud_formation.is_some())
            }
            _ => true,
        };
        if needed {
            actions.push((action, purpose.to_owned()));
        }
    }
    for id in services {
        let wanted = Wanted::new(id.service(), spec.services.get(id.name()));
        for action in id.service().iam_actions {
            let unwanted = OPTIONAL_ACTIONS
                .iter()
                .any(|(optional, set)| optional == action && !wanted.set(set));
            if !unwanted && actions.iter().all(|(known, _)| known != action) {
                actions.push((action, format!("discovery of {}", id.name())));
            }
        }
    }
    actions
}

/// A statement of an IAM policy that allows these actions.
pub fn statement(sid: &str, actions: &BTreeSet<&str>, resource: &str) -> serde_json::Value {
    serde_json::json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
}

/// An IAM policy of these statements.
pub fn policy(statements: &[serde_json::Value]) -> serde_json::Value {
    serde_json::json!({"Version": "2012-10-17", "Statement": statements})
}

/// Writes a page.
pub fn page(page: Page) -> String {
    match page {
        Page::Metrics => metrics(),
        Page::Iam => iam(),
        Page::Alerts => crate::rules::pages::alerts(),
        Page::OperatorMetrics => crate::controller::metrics::reference(),
        Page::OperatorRules => crate::rules::operator::text(),
    }
}

fn metrics() -> String {
    let mut text = String::from(
        "# Metrics\n\nGenerated from the tables in `operator/src/services/` by `make generate`.\n\n\
         Every series has the labels `stack`, `account_id` and `region`, and those named below. A counter exists at 0 \
         from the discovery of its resource on: a minute for which CloudWatch has no datapoint adds nothing. A \
         quantile or a maximum is the worst of the one-minute values since the last poll; of a distribution it is known \
         when all work that began in its minute has ended, so that of a function with a timeout of 15 minutes is 18 minutes \
         old. A gauge for which CloudWatch \
         has no datapoint is absent, or 0 where that is said.\n\n\
         Each metric of each resource is billed as one, at 5 statistics as well as at 1; the sixth doubles it. `gate` \
         names what can rule a metric out, so that it is neither asked for nor billed: `region`, the same metric of the \
         whole region, or another metric of the same resource.\n\n\
         A `rate()` over a counter needs a window of at least twice the polling interval in effect plus the 3 minutes in \
         which a minute settles: 13 minutes at the default of 5m, 5 minutes at 1m. `nightjar_exporter_rate_window_seconds` is \
         that window.\n\n\
         With `spec.latency.histograms` each distribution is published as a histogram too, all of which counts from the minute on \
         in which its buckets began. CloudWatch computes the buckets from a sketch of the values: they may hold fractions. Values \
         that only the daily comparison finds are in the summary's `_sum` and `_count` and not in the histogram's, because nothing \
         says in which bucket they belong. Where CloudWatch has no such counts the histogram is absent, and the stack's condition says `HistogramsUnavailable`.\n\n\
         Not published is `ReplicationLag` of AWS/DynamoDB: no document of AWS's says its unit and its dimensions.\n",
    );
    for id in ServiceId::ALL {
        let service = id.service();
        let _ = write!(
            text,
            "\n## {}\n\n| metric | type | labels | exists where | period | gate | what, and where from |\n\
             |---|---|---|---|---|---|---|\n",
            service.name
        );
        let mut rows: BTreeMap<&str, Entry> = BTreeMap::new();
        for shape in service.shapes {
            for metric in shape.metrics {
                for family in metric.families() {
                    Entry::of(&mut rows, family).add(shape, metric);
                }
            }
        }
        for family in service.facts {
            Entry::of(&mut rows, family);
        }
        for entry in rows.values() {
            let _ = writeln!(text, "{}", entry.line());
        }
        if service.optional.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\nOptional sets, in `spec.services.{}.optional`:\n\n| set | default | what, and what it costs |\n|---|---|---|\n",
            service.name
        );
        for OptionalSet {
            name,
            default,
            what,
        } in service.optional
        {
            let default = if *default { "yes" } else { "no" };
            let _ = writeln!(text, "| `{name}` | {default} | {what} |");
        }
    }
    text
}

/// What the page says of a family: of all its rows together.
struct Entry {
    family: &'static Family,
    labels: BTreeSet<&'static str>,
    exists: BTreeSet<String>,
    periods: BTreeSet<u8>,
    gated: bool,
    within: Option<&'static str>,
    zero: bool,
}

impl Entry {
    fn of<'a>(rows: &'a mut BTreeMap<&str, Self>, family: &'static Family) -> &'a mut Self {
        rows.entry(family.name).or_insert_with(|| Self {
            family,
            labels: BTreeSet::new(),
            exists: BTreeSet::new(),
            periods: BTreeSet::new(),
            gated: false,
            within: None,
            zero: false,
        })
    }

    fn add(&mut self, shape: &Shape, metric: &Metric) {
        self.labels.extend(shape.labels);
        self.labels
            .extend(metric.labels.iter().map(|(name, _)| name));
        let set = shape.optional.map(|set| format!("optional set `{set}`"));
        let needed = shape
            .features
            .iter()
            .filter(|(one, _)| *one != Features::NONE && metric.needs.contains(*one));
        let needed = needed.map(|(_, what)| (*what).to_owned());
        self.exists
            .insert(set.into_iter().chain(needed).collect::<Vec<_>>().join(", "));
        self.periods.insert(metric.period_minutes);
        self.gated |= metric.gate != Gate::None;
        self.within = self.within.or(metric.within);
        self.zero |= !metric.kind.counts() && metric.missing == Missing::Zero;
    }

    fn line(&self) -> String {
        let kind = match self.family.kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Summary => "summary",
            FamilyKind::Histogram => "histogram",
            FamilyKind::Gauge if self.zero => "gauge, 0 without a datapoint",
            FamilyKind::Gauge => "gauge",
        };
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let labels = match (self.periods.is_empty(), labels.is_empty()) {
            (true, _) => "the resource's".to_owned(),
            (false, true) => "none".to_owned(),
            (false, false) => labels.join(" "),
        };
        let exists = if self.exists.contains("") {
            String::new()
        } else {
            self.exists
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("; or ")
        };
        let period = self
            .periods
            .iter()
            .map(|minutes| format!("{}s", u32::from(*minutes) * 60));
        let period = period.collect::<Vec<_>>().join(", ");
        let region = self.gated.then(|| "region".to_owned());
        let pulse = self.within.map(|metric| format!("`{metric}`"));
        let gate: Vec<_> = region.into_iter().chain(pulse).collect();
        let gate = gate.join(", ");
        format!(
            "| `{}` | {kind} | {labels} | {exists} | {period} | {gate} | {} |",
            self.family.name, self.family.help
        )
    }
}

fn iam() -> String {
    let mut text = String::from(
        "# The exporter's IAM policy\n\nGenerated from the tables in `operator/src/services/` by `make generate`.\n\n\
         All actions are reads, and none of them can be limited to single resources without missing some. Leave out \
         what you do not need: an action that is missing is named in the stack's condition `AWSReachable` and takes \
         nothing else down.\n\n```json\n",
    );
    let mut statements: Vec<(String, BTreeSet<&str>)> = vec![(
        "Common".to_owned(),
        COMMON_ACTIONS.iter().map(|(action, _)| *action).collect(),
    )];
    for id in ServiceId::ALL {
        let service = id.service();
        let mut sid = service.name.to_owned();
        sid[..1].make_ascii_uppercase();
        statements.push((sid, service.iam_actions.iter().copied().collect()));
    }
    let statements: Vec<_> = statements
        .into_iter()
        .map(|(sid, actions)| statement(&sid, &actions, "*"))
        .collect();
    let policy = policy(&statements);
    let _ = writeln!(text, "{policy:#}\n```\n\n| action | what for |\n|---|---|");
    for (action, reason) in COMMON_ACTIONS {
        let _ = writeln!(text, "| `{action}` | {reason} |");
    }
    let mut told = BTreeSet::new();
    for action in ServiceId::ALL
        .iter()
        .flat_map(|id| id.service().iam_actions)
    {
        if told.insert(action) {
            let uses_it = |id: &&ServiceId| id.service().iam_actions.contains(action);
            let services = ServiceId::ALL.iter().filter(uses_it).map(|id| id.name());
            let services = services.collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "| `{action}` | discovery of {services} |");
        }
    }
    text.push_str(
        "\nAn account that is read through `spec.accounts[].roleArn` has this policy on that role, whose trust policy \
         lets the exporter's identity assume it; the exporter's own identity then needs `sts:AssumeRole` on it.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_every_action_of_every_service() {
        let page = iam();
        for id in ServiceId::ALL {
            for action in id.service().iam_actions {
                assert!(page.contains(&format!("\"{action}\"")), "{action}");
            }
        }
        let json = page
            .split("```json\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap();
        serde_json::from_str::<serde_json::Value>(json).unwrap();
    }
}
