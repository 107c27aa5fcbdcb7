//! The pages that are written from the catalogue: `docs/alerts.md` and a runbook for each alert.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::catalogue::{Alert, Room, Threshold, rooms};
use super::objectives;
use super::operator;
use super::render::{Context, Rule, groups};
use crate::api::ServerlessStack;
use crate::api::objective::{Indicator, Objective};

/// `nightjar runbooks`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder that gets a file for each alert; made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes a file for each alert.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let examples = example_rules();
    for (room, alert) in all() {
        let path = folder.join(format!("{}.md", alert.id));
        let example = examples
            .iter()
            .find(|rule| rule.alert.as_ref() == Some(&alert.id));
        std::fs::write(&path, runbook(room, alert, example))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn all() -> impl Iterator<Item = (&'static Room, &'static Alert)> {
    rooms()
        .iter()
        .flat_map(|room| room.alerts.iter().map(move |alert| (room, alert)))
}

/// The rules of the stack `checkout` in the namespace `shop`, with an objective and every default.
fn example_rules() -> Vec<Rule> {
    let mut stack = ServerlessStack::new("checkout", crate::api::ServerlessStackSpec::default());
    stack.metadata.namespace = Some("shop".to_owned());
    stack.spec.objectives = vec![Objective {
        name: "payments".to_owned(),
        target: "99.9".to_owned(),
        window: "30d".to_owned(),
        of: Indicator {
            function: Some("pay".to_owned()),
            ..Indicator::default()
        },
        latency_below: None,
    }];
    // What only some stacks have.
    stack.spec.collection.budget_usd_per_month = Some("25".to_owned());
    stack.spec.exporter.shards = 2;
    let context = Context::new(&stack, stack.spec.collection.interval(), "");
    let operator = operator::group("nightjar", "");
    groups(&context)
        .into_iter()
        .chain([operator])
        .flat_map(|group| group.rules)
        .collect()
}

/// `docs/alerts.md`.
pub fn alerts() -> String {
    let mut text = String::from(
        "# Alerts and recording rules\n\nGenerated from the catalogue in `operator/src/services/*/rules/` and `operator/src/rules/nightjar/` by \
         `make generate`.\n\n\
         The operator renders these rules for each stack, as a PrometheusRule where the Prometheus operator is installed, \
         else as a ConfigMap `<stack>-exporter-rules` with a file for Prometheus' `rule_files`. `nightjar render --rules -f stack.yaml` \
         prints the file.\n\n\
         A stack changes an alert by its name:\n\n\
         ```yaml\nspec:\n  alerts:\n    labels: {team: shop}            # for every alert: route by them\n    overrides:\n      \
         LambdaErrorRateHigh: {threshold: \"0.02\", minimum: \"10\", severity: critical, for: 10m}\n      \
         LambdaTrafficSurge: {enabled: false}\n```\n\n\
         Every alert has the labels `namespace`, `stack`, `severity`, `service`, `pillar` and `cause`, and those of the stack's \
         `spec.alerts.labels`, of which `team` is the usual one: these are the names to route by. Alerts about an objective have \
         `objective` and the name of what it is about. `critical` pages, `warning` is a ticket, `info` is shown. Of alerts about \
         one resource with one `cause` only the most severe needs to be sent, and of a cause and its consequences only the cause: \
         so that these do not come when it ends, such an alert goes on for a window or two (`keep_firing_for`). \
         `spec.alerts.route` brings these inhibition rules, `nightjar render --route -f stack.yaml` prints them for your own \
         Alertmanager. An API and the function behind it are not known to belong together: to be told of both at once, group by `stack` (`spec.alerts.route.groupBy`).\n\n\
         The *window* is two poll intervals and three minutes (13m by default), or longer where a stack polls more seldom. Rules are \
         evaluated twice in a poll interval, and at least once a minute; what only dashboards show once a minute; what looks back \
         for an hour or more every five minutes. An alert on counters does not fire while the exporter catches up with a backlog, \
         nor for what is idle or gone. How fast an objective's budget burns is judged at 14.4, 6, 3 and 1 times; of a low target not \
         at the fastest, where more than all requests had to be bad: `spec.objectives[].target` tells from where on. Alerts on quantiles \
         need at least one in `spec.latency.quantiles`; alerts on an optional set of `spec.services` need that set \
         (docs/metrics.md). The alerts about Nightjar's operator are the chart's (`metrics.rules.enabled`), with the operator's own \
         namespace and no stack: route them by that namespace.\n",
    );
    let mut service = "";
    for room in rooms() {
        if room.service != service {
            service = &room.service;
            let _ = write!(
                text,
                "\n## {}\n\n| alert | severity | pillar | fires when it holds for | threshold | needs at least |\n|---|---|---|---|---|---|\n",
                room.title
            );
        }
        for alert in &room.alerts {
            let number = |threshold: &Option<Threshold>| {
                threshold
                    .as_ref()
                    .map_or_else(String::new, |t| format!("{} {}", t.default, t.unit))
            };
            let _ = writeln!(
                text,
                "| [{id}](runbooks/{id}.md) | {} | {} | {} | {} | {} |",
                alert.severity,
                alert.pillar.as_str(),
                alert.for_,
                number(&alert.threshold),
                number(&alert.minimum),
                id = alert.id,
            );
        }
    }
    text.push_str(
        "\n## Recording rules\n\nWith the labels of the level before the first colon, `stack` and `namespace`.\n\n| series | what |\n|---|---|\n",
    );
    let of_rooms = rooms().iter().flat_map(|room| &room.recordings);
    let of_rooms = of_rooms.map(|recording| (&*recording.record, &*recording.help));
    for (record, help) in of_rooms.chain(objectives::RECORDINGS) {
        let _ = writeln!(text, "| `{record}` | {help} |");
    }
    text
}

/// `docs/runbooks/<id>.md`.
fn runbook(room: &Room, alert: &Alert, example: Option<&Rule>) -> String {
    let Alert {
        id,
        severity,
        pillar,
        runbook,
        ..
    } = alert;
    let mut text = format!(
        "# {id}\n\n{} · {severity} · {} · generated from the catalogue by `make generate`\n\n\
         ## What it means\n\n{}\n\n## What users notice\n\n{}\n",
        room.title,
        pillar.as_str(),
        runbook.meaning,
        runbook.impact
    );
    text.push_str("\n## How to look\n\n");
    for line in runbook.look.iter().chain(&room.look) {
        let _ = writeln!(text, "- {line}");
    }
    text.push_str("\n## How to fix it\n\n");
    for line in &runbook.fix {
        let _ = writeln!(text, "- {line}");
    }
    let of_operator = room.service == operator::SERVICE;
    let (matchers, for_good) = if of_operator {
        (
            "namespace=<namespace>",
            "the chart's value `metrics.rules.disabled`".to_owned(),
        )
    } else {
        (
            "stack=<stack> namespace=<namespace>",
            format!("`spec.alerts.overrides.{id}: {{enabled: false}}` in the stack"),
        )
    };
    let _ = write!(
        text,
        "\n## How to silence it\n\n{}\n\n```sh\namtool silence add alertname={id} {matchers} --duration=2h --comment='why'\n```\n\nFor good: {for_good}.\n",
        runbook.silence
    );
    text.push_str("\n## The rule\n\n");
    if let Some(rule) = example {
        let _ = write!(
            text,
            "{}; it must hold for {}{}:\n\n```promql\n{}\n```\n",
            if of_operator {
                "For an operator in the namespace `nightjar`"
            } else {
                "For the stack `checkout` in the namespace `shop`, with every default"
            },
            alert.for_,
            rule.keep_firing_for
                .map_or_else(String::new, |kept| format!(
                    ", and the alert goes on for {kept} afterwards, until what it hides is over too"
                )),
            rule.expr
        );
    }
    if !of_operator {
        text.push_str(
            "\n| `spec.alerts.overrides` | default | from | to | unit |\n|---|---|---|---|---|\n",
        );
        for (name, threshold) in [("threshold", &alert.threshold), ("minimum", &alert.minimum)] {
            if let Some(t) = threshold {
                let _ = writeln!(
                    text,
                    "| `{name}` | {} | {} | {} | {} |",
                    t.default, t.least, t.most, t.unit
                );
            }
        }
        let _ = writeln!(text, "| `for` | {} | 0s | 24h | |", alert.for_);
        let _ = writeln!(
            text,
            "| `severity` | {severity} | | | critical, warning or info |"
        );
    }
    let _ = write!(
        text,
        "\nWhere the threshold comes from: {}.\n",
        alert.source
    );
    if !alert.inhibits.is_empty() {
        let _ = write!(
            text,
            "\nWhile it fires, these are only its consequences: {}.\n",
            alert.inhibits.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_series_that_is_recorded_is_on_the_page_and_no_other() {
        let page = alerts();
        let (_, table) = page.split_once("## Recording rules").unwrap();
        let listed = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: BTreeSet<&str> = listed.filter_map(|line| line.split('`').next()).collect();
        let rules = example_rules();
        let recorded = rules.iter().filter_map(|rule| rule.record.as_deref());
        assert_eq!(listed, recorded.collect());
    }

    #[test]
    fn every_alert_is_on_the_page_and_its_runbook_has_all_parts_and_its_own_rule() {
        let page = alerts();
        let examples = example_rules();
        for (room, alert) in all() {
            assert!(
                page.contains(&format!("(runbooks/{}.md)", alert.id)),
                "{}",
                alert.id
            );
            let example = examples
                .iter()
                .find(|rule| rule.alert.as_ref() == Some(&alert.id));
            assert!(example.is_some(), "{}", alert.id);
            let text = runbook(room, alert, example);
            for part in [
                "What it means",
                "What users notice",
                "How to look",
                "How to fix it",
                "How to silence it",
                "The rule",
            ] {
                assert!(
                    text.contains(&format!("## {part}\n\n")),
                    "{}: {part}",
                    alert.id
                );
            }
        }
    }
}
