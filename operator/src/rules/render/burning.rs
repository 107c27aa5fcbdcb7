//! The rules of a stack's objectives: two groups for all of them.
//!
//! First come the rates and the budget of each, then what is made of them for all at once, and last the alerts of each,
//! which need its numbers and the labels of what it is about.

use std::collections::BTreeMap;

use kube::ResourceExt as _;

use super::{About, Context, Group, Rule, escaped};
use crate::api::Duration;
use crate::api::objective::Objective;
use crate::rules::catalogue::Room;
use crate::rules::objectives::{self, Burn, Expressions, RECORDED_SECONDS};

/// Over many days a budget changes slowly, and reading them costs. But a query finds no sample that is older than five
/// minutes.
const BUDGET_SECONDS: u32 = 240;

impl Context<'_> {
    pub(super) fn expressions(&self, objective: &Objective) -> Option<Expressions> {
        objectives::expressions(objective, self.stack, self.matchers(), self.window())
    }

    /// What the stack publishes nothing to count by, which validation refuses, is left out.
    pub(super) fn objectives(&self, room: &Room) -> [Group; 2] {
        let mut rules = Vec::new();
        let mut by_window: BTreeMap<&str, Vec<&Objective>> = BTreeMap::new();
        for objective in &self.stack.spec.objectives {
            let Some((counted, budget)) = self
                .expressions(objective)
                .zip(objectives::budget(objective))
            else {
                continue;
            };
            for (name, expr) in [
                ("objective:nightjar_errors:rate", counted.bad),
                ("objective:nightjar_requests:rate", counted.all),
                (
                    "objective:nightjar_error_budget:ratio",
                    format!("vector({budget})"),
                ),
            ] {
                rules.push(self.record(name, expr, ("objective", &objective.name)));
            }
            let same = by_window.entry(&objective.window).or_default();
            same.push(objective);
        }
        let mut left = Vec::new();
        for objectives in by_window.values() {
            let of = self.of(objectives);
            let errors = |range| {
                let sum = |series| {
                    format!("sum_over_time(objective:nightjar_{series}:rate{{{of}}}[{range}])")
                };
                format!("{} / ({} > 0)", sum("errors"), sum("requests"))
            };
            let burns = objectives::burns(objectives[0], self.window().as_secs());
            let mut ranges: Vec<u32> = burns
                .iter()
                .flat_map(|burn| [burn.long, burn.short])
                .collect();
            ranges.sort_unstable();
            ranges.dedup();
            for range in ranges {
                let range = Duration::from_secs(range);
                let expr = errors(range);
                let range = ("range", &*range.to_string());
                rules.push(self.record("objective:nightjar_errors:ratio", expr, range));
            }
            let whole = objectives::days(&objectives[0].window) * 86_400;
            left.push(Rule {
                record: Some("objective:nightjar_error_budget:remaining".to_owned()),
                expr: format!(
                    "1 - {} / objective:nightjar_error_budget:ratio{{{of}}}",
                    errors(Duration::from_secs(whole))
                ),
                labels: self.identity(),
                ..Rule::default()
            });
        }
        for objective in by_window.values().flatten() {
            let about = About {
                objective: Some(objective),
                ..About::room(room)
            };
            let alerts = room.alerts.iter();
            rules.extend(alerts.filter_map(|alert| self.alert(&about, alert)));
        }
        let group = |part: &str, seconds, rules| Group {
            name: format!("{}.objectives.{part}", self.stack.name_any()),
            interval: Some(Duration::from_secs(seconds)),
            rules,
        };
        [
            group("burning", RECORDED_SECONDS, rules),
            group("budgets", BUDGET_SECONDS, left),
        ]
    }

    fn record(&self, name: &str, expr: String, (label, value): (&str, &str)) -> Rule {
        let mut labels = self.identity();
        labels.insert(label.to_owned(), value.to_owned());
        Rule {
            record: Some(name.to_owned()),
            expr,
            labels,
            ..Rule::default()
        }
    }

    /// The matchers of the recorded series of some objectives, whose names are letters, digits and hyphens.
    pub(super) fn of(&self, objectives: &[&Objective]) -> String {
        let names: Vec<String> = objectives.iter().map(|one| escaped(&one.name)).collect();
        let operator = if names.len() == 1 { "=" } else { "=~" };
        format!(
            "{},objective{operator}\"{}\"",
            self.matchers(),
            names.join("|")
        )
    }

    /// The budget burns at one of these rates, over its long and its short range.
    pub(super) fn burning(&self, about: &About<'_>, burns: &[Burn]) -> Option<String> {
        let objective = about.objective?;
        let (budget, service) = (
            objectives::budget(objective)?,
            self.expressions(objective)?.service,
        );
        let minimum = self.value("minimum", about)?;
        let of = self.of(&[objective]);
        let stack = self.matchers();
        let service = service.map_or_else(String::new, |name| format!(",aws_service=\"{name}\""));
        let parts: Vec<String> = burns
            .iter()
            .map(|burn| {
                let (long, short) =
                    (Duration::from_secs(burn.long), Duration::from_secs(burn.short));
                // Without the noise of binary fractions.
                let most = (budget * burn.rate * 1e10).round() / 1e10;
                let over = |range| {
                    format!("objective:nightjar_errors:ratio{{{of},range=\"{range}\"}} > {most}")
                };
                format!(
                    "({} and ignoring (range) {} \
                     and ignoring (range) sum_over_time(objective:nightjar_errors:rate{{{of}}}[{long}]) * {RECORDED_SECONDS} >= {minimum} \
                     unless on () max(max_over_time(nightjar_exporter_catching_up{{{stack}{service}}}[{short}])) == 1)",
                    over(long),
                    over(short),
                )
            })
            .collect();
        // Both may be true: it is one alert.
        let both = parts.join(" or ");
        Some(format!("max without (range) ({both}) / {budget}"))
    }
}
