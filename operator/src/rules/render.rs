//! From the catalogue to the rules of one stack.
//!
//! Expressions and texts hold placeholders `${name}`:
//!
//! | placeholder | becomes |
//! |---|---|
//! | `stack`, `stack_name` | the matchers that single out the stack's series; its name |
//! | `window` | the shortest range over which counters can be judged: two intervals and the settling |
//! | `long_window` | six intervals and the settling: a counter that moves once in an interval has a steady rate over it |
//! | `hour`, `three_hours`, `day` | ranges as long, or the window where that is longer |
//! | `two_intervals` | exactly two intervals: the mean of a rate over it does not show the steps of the counter |
//! | `window_seconds`, `interval_seconds`, `discovery_seconds` | numbers |
//! | `discovery_window` | a range with at least two discoveries in it |
//! | `attempts` | a range with at least one discovery and two polls in it |
//! | `threshold`, `minimum`, `threshold_percent` | the alert's numbers, as the stack has them |
//! | `high_quantile`, `slow_quantile` | the greatest quantile that is published; the first from 0.9 on |
//! | `unless_stopped` | `unless ...`: not of an exporter that its budget does not allow to poll at all |
//! | `stopped` | such exporters, with the least budget in dollars that would; nothing without a budget |
//! | `shards` | how many exporters the stack has, if several |
//! | `fresh` | `and ...`: CloudWatch answered lately, so that a counter that stands still says something |
//! | `deprecated`, `deprecated_soon` | functions whose runtime's support has ended, or ends within the threshold's days |
//! | `objective`, `objective_window`, `target` | of an objective: its name, its days, its share in percent |
//! | `of_objective` | the matchers of its recorded series |
//! | `judged_by` | what an objective counts as bad, and what tells |
//! | `burns_fast`, `burns_slowly` | its budget burns at the first two, or the last two of the Workbook's rates; at those that its target allows |
//! | `fast_ranges`, `slow_ranges` | the long ranges of these |
//! | others | the room's `sets` |

mod burning;

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde::Serialize;

use super::catalogue::{Alert, Range, Recording, Room, rooms};
use super::objectives;
use super::runtimes;
use crate::api::alerts::AlertOverride;
use crate::api::objective::Objective;
use crate::api::{Duration, ServerlessStack};
use crate::services::ServiceId;

/// CloudWatch's newest minutes still change for as long: see [`crate::exporter::series`].
const SETTLE_SECONDS: u32 = 180;

/// How often is evaluated what looks back for an hour or more.
const SLOW: Duration = Duration::from_secs(300);

/// How often is evaluated what only dashboards show, and the longest that anything else waits for it.
const USUAL: Duration = Duration::from_secs(60);

/// What the rules of a stack depend on.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    stack: &'a ServerlessStack,
    interval: Duration,
    runbook_url: &'a str,
    identity: BTreeMap<String, String>,
    matchers: String,
}

impl<'a> Context<'a> {
    /// The stack; how often CloudWatch is asked now, which is what the stack says, or more where its budget ran low; and
    /// where runbooks are: an alert's id and `.md` follow. Empty: alerts do not say.
    pub fn new(stack: &'a ServerlessStack, interval: Duration, runbook_url: &'a str) -> Self {
        let mut identity = stack.spec.alerts.matchers.clone();
        identity.insert("stack".to_owned(), stack.name_any());
        if let Some(namespace) = stack.namespace() {
            identity.insert("namespace".to_owned(), namespace);
        }
        let matchers: Vec<String> = identity
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        Self {
            stack,
            interval,
            runbook_url,
            matchers: matchers.join(","),
            identity,
        }
    }
}

/// A group of rules, as PrometheusRule objects and Prometheus' own files spell it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Unique in its file.
    pub name: String,
    /// How often it is evaluated, if not as Prometheus does by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Evaluated in this order.
    pub rules: Vec<Rule>,
}

/// A rule: it has either of `record` and `alert`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rule {
    /// The name of the recorded series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The name of the alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The expression.
    pub expr: String,
    /// How long it must hold.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<Duration>,
    /// How long it goes on firing afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<Duration>,
    /// Labels beyond those of the expression's result.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The file format of Prometheus, which is also the `spec` of a PrometheusRule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleFile {
    /// Its groups.
    pub groups: Vec<Group>,
}

/// The rules of a stack.
pub fn groups(context: &Context<'_>) -> Vec<Group> {
    let spec = &context.stack.spec;
    let name = context.stack.name_any();
    let watched = |service: &str| {
        let of_aws = spec.services.is_empty() || spec.services.contains_key(service);
        service == "nightjar" || (of_aws && ServiceId::from_name(service).is_some())
    };
    let mut groups = Vec::new();
    for room in rooms().iter().filter(|room| room.service == "objectives") {
        groups.extend(context.objectives(room));
    }
    for room in rooms().iter().filter(|room| watched(&room.service)) {
        let asked = |recording: &Recording| {
            let mut alerts = room.alerts.iter();
            alerts.any(|alert| alert.expr.contains(&recording.record))
        };
        let recordings = |by_alerts: bool| {
            let recordings = room.recordings.iter();
            recordings
                .filter(move |recording| asked(recording) == by_alerts)
                .filter_map(|recording| {
                    Some(Rule {
                        record: Some(recording.record.clone()),
                        expr: context.fill(&recording.expr, &About::room(room))?,
                        labels: context.identity(),
                        ..Rule::default()
                    })
                })
        };
        let alerts = |slow: bool| {
            let alerts = room.alerts.iter();
            alerts
                .filter(move |alert| alert.range.is_some() == slow)
                .filter_map(|alert| context.alert(&About::room(room), alert))
        };
        let usual = Group {
            name: format!("{name}.{}.{}", room.service, room.part),
            interval: Some(pace(context.interval)),
            rules: recordings(true).chain(alerts(false)).collect(),
        };
        let shown = Group {
            name: format!("{name}.{}.{}.shown", room.service, room.part),
            interval: Some(USUAL),
            rules: recordings(false).collect(),
        };
        // Each of its own: Prometheus evaluates groups at different moments.
        let slow = alerts(true).map(|rule| Group {
            name: format!(
                "{name}.{}.{}.{}",
                room.service,
                room.part,
                rule.alert.as_deref().unwrap_or_default()
            ),
            interval: Some(SLOW),
            rules: vec![rule],
        });
        groups.extend([usual, shown].into_iter().chain(slow));
    }
    groups.retain(|group| !group.rules.is_empty());
    groups
}

/// Nothing new comes between two polls: twice in that time is enough.
fn pace(interval: Duration) -> Duration {
    Duration::from_secs(interval.as_secs() / 2).min(USUAL)
}

/// What a text with placeholders is about.
#[derive(Clone, Copy, Debug)]
struct About<'a> {
    room: &'a Room,
    alert: Option<(&'a Alert, &'a AlertOverride)>,
    objective: Option<&'a Objective>,
}

impl<'a> About<'a> {
    fn room(room: &'a Room) -> Self {
        Self {
            room,
            alert: None,
            objective: None,
        }
    }
}

impl Context<'_> {
    fn alert(&self, about: &About<'_>, alert: &Alert) -> Option<Rule> {
        let room = about.room;
        let alerts = &self.stack.spec.alerts;
        let change = alerts.overrides.get(&alert.id).cloned().unwrap_or_default();
        if !alerts.enabled || change.enabled == Some(false) {
            return None;
        }
        if alert.polling && self.stack.spec.suspend {
            return None;
        }
        let about = About {
            alert: Some((alert, &change)),
            ..*about
        };
        let mut expr = self.fill(&alert.expr, &about)?;
        if alert.counts && room.service != "nightjar" {
            let range = if alert.smooth {
                Some(self.long_window())
            } else {
                alert.range.map(|range| self.range(range))
            };
            expr = format!("({expr}) {}", self.guard(&room.service, range));
        }
        let text = |text: &str| self.fill(text, &about);
        let severity = change.severity.unwrap_or(alert.severity);
        let mut labels = self.identity();
        for (key, value) in alerts.labels.iter().chain(&change.labels) {
            labels.insert(key.clone(), value.clone());
        }
        let service = match about.objective {
            Some(objective) => {
                labels.insert("objective".to_owned(), objective.name.clone());
                for (name, value) in objectives::resource(objective) {
                    labels.insert(name.to_owned(), untemplated(value));
                }
                self.expressions(objective)?.service.unwrap_or("stack")
            }
            None => &room.service,
        };
        for (key, value) in [
            ("severity", severity.as_str()),
            ("service", service),
            ("pillar", alert.pillar.as_str()),
            ("cause", &alert.cause),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        let annotations = [
            ("summary", Some(text(&alert.summary)?)),
            ("description", Some(text(&alert.description)?)),
            (
                "runbook_url",
                (!self.runbook_url.is_empty())
                    .then(|| format!("{}{}.md", self.runbook_url, alert.id)),
            ),
        ];
        let for_ = change.for_.unwrap_or(alert.for_);
        Some(Rule {
            alert: Some(alert.id.clone()),
            expr,
            for_: (for_.as_secs() > 0).then_some(for_),
            keep_firing_for: alert
                .holds
                .then(|| Duration::from_secs(alert.windows_held() * self.window().as_secs())),
            labels,
            annotations: annotations
                .into_iter()
                .filter_map(|(key, text)| Some((key.to_owned(), text?)))
                .collect(),
            ..Rule::default()
        })
    }

    /// Counters that rise by a backlog tell nothing about now.
    fn guard(&self, service: &str, range: Option<Duration>) -> String {
        let series = format!(
            "nightjar_exporter_catching_up{{{},aws_service=\"{service}\"}}",
            self.matchers()
        );
        let series = match range {
            Some(range) => format!("max_over_time({series}[{range}])"),
            None => series,
        };
        format!("unless on (account_id, region) ({series} == 1)")
    }

    /// What all series of the stack have, and all that is made of them.
    pub fn identity(&self) -> BTreeMap<String, String> {
        self.identity.clone()
    }

    /// The same as matchers.
    pub fn matchers(&self) -> &str {
        &self.matchers
    }

    /// The shortest range over which counters can be judged.
    pub fn window(&self) -> Duration {
        Duration::from_secs(2 * self.interval.as_secs() + SETTLE_SECONDS)
    }

    fn range(&self, range: Range) -> Duration {
        Duration::from_secs(range.seconds()).max(self.window())
    }

    /// Exporters whose budget does not allow even the slowest polling, with the least one that would.
    fn stopped(&self) -> Option<String> {
        self.stack.spec.collection.budget_usd_per_month.as_ref()?;
        let stack = self.matchers();
        Some(format!(
            "max by (pod) (nightjar_exporter_least_budget_dollars_per_month{{{stack}}}) > 0"
        ))
    }

    /// A range over which the steps of a counter, one in an interval, hardly show in its rate.
    fn long_window(&self) -> Duration {
        Duration::from_secs(6 * self.interval.as_secs() + SETTLE_SECONDS)
    }

    /// None if the stack lacks what the text asks for.
    fn fill(&self, text: &str, about: &About<'_>) -> Option<String> {
        let mut out = String::with_capacity(2 * text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(&self.value(name, about)?);
            rest = after;
        }
        out.push_str(rest);
        out.truncate(out.trim_end().len());
        Some(out)
    }

    fn value(&self, name: &str, about: &About<'_>) -> Option<String> {
        let About {
            room,
            alert,
            objective,
        } = *about;
        let burns = |fast: bool| {
            let [first, second, third, last] =
                objectives::burns(objective?, self.window().as_secs());
            let pair = if fast { [first, second] } else { [third, last] };
            let mut burns = pair.to_vec();
            burns.retain(|burn| objective.is_some_and(|of| objectives::can_burn(of, burn.rate)));
            (!burns.is_empty()).then_some(burns)
        };
        let ranges = |fast: bool| {
            let long = |burn: &objectives::Burn| Duration::from_secs(burn.long).to_string();
            let long: Vec<String> = burns(fast)?.iter().map(long).collect();
            Some(long.join(" or "))
        };
        let spec = &self.stack.spec;
        let discovery = spec.collection.discovery_interval.as_secs();
        let threshold = || {
            let (alert, change) = alert?;
            number(change.threshold.as_deref())
                .or(alert.threshold.as_ref().map(|threshold| threshold.default))
        };
        let stack = self.matchers();
        Some(match name {
            "stack" => stack.to_owned(),
            "stack_name" => self.stack.name_any(),
            "window" => self.window().to_string(),
            "long_window" => self.long_window().to_string(),
            "window_seconds" => self.window().as_secs().to_string(),
            "interval_seconds" => self.interval.as_secs().to_string(),
            "discovery_seconds" => discovery.to_string(),
            "discovery_window" => Duration::from_secs(2 * discovery + SETTLE_SECONDS)
                .max(self.window())
                .to_string(),
            "attempts" => Duration::from_secs(discovery + SETTLE_SECONDS / 2)
                .max(self.window())
                .to_string(),
            "two_intervals" => Duration::from_secs(2 * self.interval.as_secs()).to_string(),
            "stopped" => self.stopped()?,
            "unless_stopped" => self.stopped().map_or_else(String::new, |stopped| {
                format!("unless on (pod) ({stopped})")
            }),
            "shards" => {
                let shards = spec.exporter.shards;
                (shards > 1).then(|| shards.to_string())?
            }
            "threshold" => threshold()?.to_string(),
            "threshold_percent" => ((threshold()? * 1e4).round() / 1e2).to_string(),
            "minimum" => {
                let (alert, change) = alert?;
                number(change.minimum.as_deref())
                    .or(alert.minimum.as_ref().map(|minimum| minimum.default))?
                    .to_string()
            }
            "high_quantile" => self.quantile(1.0)?,
            "slow_quantile" => self.quantile(0.9)?,
            "fresh" => format!(
                "and on (account_id, region) (time() - nightjar_exporter_last_poll_success_timestamp_seconds{{{stack},aws_service=\"{}\"}} < {})",
                room.service,
                self.window().as_secs()
            ),
            "deprecated" => runtimes::ended(stack),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "days within a threshold's bounds"
            )]
            "deprecated_soon" => runtimes::ending(stack, (threshold()? * 86_400.0) as i64),
            "objective" => objective?.name.clone(),
            "of_objective" => self.of(&[objective?]),
            "objective_window" => objective?.window.clone(),
            "target" => objective?.target.clone(),
            "judged_by" => objectives::judged_by(objective?, self.stack)?,
            "burns_fast" => self.burning(about, &burns(true)?)?,
            "burns_slowly" => self.burning(about, &burns(false)?)?,
            "fast_ranges" => ranges(true)?,
            "slow_ranges" => ranges(false)?,
            name => match Range::ALL.into_iter().find(|range| range.as_str() == name) {
                Some(range) => self.range(range).to_string(),
                None => room.sets.get(name)?.clone(),
            },
        })
    }

    /// The first published quantile from `least` on, or else the greatest.
    fn quantile(&self, least: f64) -> Option<String> {
        let mut published: Vec<(f64, &String)> = self
            .stack
            .spec
            .latency
            .quantiles
            .iter()
            .filter_map(|quantile| Some((quantile.parse().ok()?, quantile)))
            .collect();
        published.sort_by(|a, b| a.0.total_cmp(&b.0));
        let first = published.iter().find(|(value, _)| *value >= least);
        first.or(published.last()).map(|(_, text)| (*text).clone())
    }
}

/// A number as people write it in a specification.
pub fn number(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A label's value that Prometheus shall not take for a template.
fn untemplated(value: &str) -> String {
    value.replace("{{", "{{`{{`}}")
}

/// A label's value between quotes.
pub fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
