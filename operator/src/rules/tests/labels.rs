//! The series and labels that an exporter can have; rules name no others, and only their own stack's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{WHOLE, rendered, rules, whole};
use crate::api::Reason;
use crate::api::alerts::TAKEN;
use crate::controller::metrics::{Metrics, Now};
use crate::exporter::budget::Terms;
use crate::exporter::telemetry::{Scope, Telemetry};
use crate::exporter::view;
use crate::rules::operator;
use crate::services::ServiceId;
use crate::services::table::FamilyKind;

/// Every series that an exporter can have, with its labels where the tables know them all.
fn known_series() -> BTreeMap<String, BTreeSet<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in ServiceId::ALL.map(ServiceId::service) {
        for shape in service.shapes {
            for metric in shape.metrics {
                let labels = shape
                    .labels
                    .iter()
                    .chain(metric.labels.iter().map(|(name, _)| name))
                    .map(|name| (*name).to_owned());
                let labels: BTreeSet<String> = labels.collect();
                for family in metric.families() {
                    let suffixes: &[&str] = match family.kind {
                        FamilyKind::Counter | FamilyKind::Gauge => &[""],
                        FamilyKind::Summary => &["", "_sum", "_count"],
                        FamilyKind::Histogram => &["_bucket", "_sum", "_count"],
                    };
                    for suffix in suffixes {
                        let all = known.entry(format!("{}{suffix}", family.name)).or_default();
                        all.extend(labels.clone());
                        match family.kind {
                            FamilyKind::Counter | FamilyKind::Gauge => {}
                            FamilyKind::Summary => {
                                all.insert("quantile".to_owned());
                            }
                            FamilyKind::Histogram => {
                                all.insert("le".to_owned());
                            }
                        }
                    }
                }
            }
        }
        for family in service.facts {
            let labels = labels_of_fact(family.name).iter().copied();
            known.insert(family.name.to_owned(), labels.map(str::to_owned).collect());
        }
    }
    for labels in known.values_mut() {
        labels.extend(["account_id", "region", "stack", "namespace"].map(str::to_owned));
    }
    for family in [&view::COUNTED_THROUGH, &view::CATCHING_UP] {
        let labels = [
            "aws_service",
            "account_id",
            "region",
            "stack",
            "namespace",
            "pod",
        ];
        known.insert(family.name.to_owned(), labels.map(str::to_owned).into());
    }
    let telemetry = Telemetry::new("checkout");
    let scope = Scope {
        aws_service: "lambda",
        account_id: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
    };
    telemetry.aws_request("lambda:ListFunctions", "eu-west-1", Some(Reason::Timeout));
    telemetry.wrongly_ruled_out(&scope);
    telemetry.billed(1, "poll");
    telemetry.planned(&Terms {
        budget: Some(1.0),
        least_budget: Some(2.0),
        ..Terms::default()
    });
    telemetry.folded(&scope, 1, 1);
    telemetry.discovered(&scope, 1);
    telemetry.found(&scope, 1);
    telemetry.polled(&scope, 1);
    telemetry.lost(&scope, 1);
    let operator = Metrics::new();
    operator.failed(Reason::Timeout);
    operator.requested("get", Some(200), std::time::Duration::ZERO);
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    for line in format!("{}{}", telemetry.encode(), operator.encode(&Now::default())).lines() {
        if line.starts_with('#') {
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let labels = known.entry(line[..end].to_owned()).or_default();
        labels.extend(label.captures_iter(line).map(|found| found[1].to_owned()));
        labels.extend(["namespace", "pod"].map(str::to_owned));
    }
    known
}

/// The labels of a setting's series, beyond those that all have.
fn labels_of_fact(name: &str) -> &'static [&'static str] {
    let table = [
        ("aws_lambda_account_", &[][..]),
        (
            "aws_lambda_event_source_mapping_",
            &["function_name", "uuid"],
        ),
        ("aws_lambda_function_info", &["function_name", "runtime"]),
        ("aws_lambda_", &["function_name"]),
        ("aws_dynamodb_account_", &[]),
        (
            "aws_dynamodb_",
            &["table_name", "global_secondary_index_name"],
        ),
        ("aws_apigateway_account_", &[]),
        (
            "aws_apigateway_",
            &["api_type", "api_id", "api_name", "stage"],
        ),
    ];
    let known = table.into_iter().find(|(begin, _)| name.starts_with(begin));
    known
        .unwrap_or_else(|| panic!("whose labels has {name}?"))
        .1
}

/// The labels that an expression's outermost grouping leaves.
pub(super) fn grouped_by(expr: &str) -> BTreeSet<String> {
    let by = Regex::new(r"by \(([a-z0-9_, ]*)\)").unwrap();
    let labels = by.captures(expr).map(|found| found[1].to_owned());
    let labels = labels.unwrap_or_default();
    let mut all: BTreeSet<String> = labels.split(", ").map(str::to_owned).collect();
    all.extend(["namespace", "stack", "objective", "range"].map(str::to_owned));
    all
}

/// What is within the parentheses that open at the beginning.
fn within(text: &str) -> &str {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return &text[1..i],
            ')' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// The series of an expression, each with the place where it begins.
fn series_in(expr: &str) -> impl Iterator<Item = (usize, &str)> {
    static SERIES: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"((?:[a-z]+:)?(?:aws|nightjar|process)_[a-z0-9_]+(?::[a-z_]+)?)\{").unwrap()
    });
    SERIES.captures_iter(expr).map(|found| {
        let name = found.get(1).unwrap();
        (name.start(), name.as_str())
    })
}

/// The parts of an expression between the `or` that are in no parentheses.
fn alternatives(expr: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (i, c) in expr.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && expr[i..].starts_with(" or ") => {
                parts.push(&expr[begin..i]);
                begin = i + " or ".len();
            }
            _ => {}
        }
    }
    parts.push(&expr[begin..]);
    parts
}

/// The labels of an expression's result: of each alternative those that its first grouping leaves, or else those of its
/// first series.
fn labels_of_result(expr: &str, known: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    static AGGREGATION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"\b(?:sum|max|min|count|avg|vector)( by)? \(|\b(?:sum|max|min|count|avg|vector)\(",
        )
        .unwrap()
    });
    let whole = within(expr);
    if expr.starts_with('(') && whole.len() + 2 == expr.len() {
        return labels_of_result(whole, known);
    }
    let parts = alternatives(expr).into_iter().map(|part| {
        let first = series_in(part).next();
        let aggregation = AGGREGATION.find(part);
        match (aggregation, first) {
            (Some(found), Some((at, _))) if found.start() < at => {
                let is_grouped = found.as_str().ends_with("by (");
                let labels = part[found.end()..].split(')').next().filter(|_| is_grouped);
                let labels = labels.into_iter().flat_map(|labels| labels.split(", "));
                labels.map(str::to_owned).collect()
            }
            (_, Some((_, name))) => {
                let labels = known.get(name);
                labels
                    .unwrap_or_else(|| panic!("no series {name} in {expr}"))
                    .clone()
            }
            (_, None) => BTreeSet::new(),
        }
    });
    parts
        .reduce(|all: BTreeSet<String>, labels| &all & &labels)
        .unwrap_or_default()
}

/// What is on the left of an operator: up to a parenthesis that is not closed, and to the last `or`.
fn left_of(before: &str) -> &str {
    let mut depth = 0;
    let mut begin = 0;
    for (i, c) in before.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' if depth == 0 => {
                begin = i + 1;
                break;
            }
            '(' => depth -= 1,
            _ => {}
        }
    }
    let last = alternatives(before[begin..].trim()).pop();
    last.unwrap_or_default()
}

/// Each grouping of an expression must be by labels that all series in it have.
pub(super) fn assert_groupings(expr: &str, known: &BTreeMap<String, BTreeSet<String>>) {
    let grouping = Regex::new(r"(?:sum|max|min|count|avg|topk) by \(([a-z0-9_, ]*)\) \(").unwrap();
    let series =
        Regex::new(r"(?:[a-z]+:)?(?:aws|nightjar|process)_[a-z0-9_]+(?::[a-z_]+)?\{").unwrap();
    for found in grouping.captures_iter(expr) {
        let inside = within(&expr[found.get(0).unwrap().end() - 1..]);
        // What is taken away has labels of its own.
        let inside = inside.split(" unless on (").next().unwrap_or_default();
        for name in series.find_iter(inside) {
            let name = name.as_str().trim_end_matches('{');
            let Some(labels) = known.get(name) else {
                panic!("no series {name} in {expr}");
            };
            for label in found[1].split(", ").filter(|label| !label.is_empty()) {
                assert!(
                    labels.contains(label),
                    "{name} has no label {label}: {expr}"
                );
            }
        }
    }
}

#[test]
fn every_rule_names_only_series_and_labels_that_an_exporter_has_and_only_its_own_stacks() {
    let known = known_and_recorded();
    let groups = rendered(WHOLE);
    assert!(operator::group("shop", "").rules.iter().all(|rule| {
        let name = rule
            .expr
            .split(['{', '('])
            .find(|part| part.starts_with("nightjar_operator_"));
        name.is_some_and(|name| known.contains_key(name))
    }));
    let series = Regex::new(r"([a-z]+:)?(?:aws|nightjar)_[a-z0-9_]+(?::[a-z_]+)?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(?:=|!=|=~|!~)""#).unwrap();
    let mut seen = 0;
    for rule in rules(&groups) {
        for name in series.find_iter(&rule.expr) {
            let after = &rule.expr[name.end()..];
            let name = name.as_str();
            if name == "aws_service" {
                continue;
            }
            seen += 1;
            assert!(known.contains_key(name), "{name} in {rule:?}");
            let selector = after
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .unwrap_or_else(|| panic!("{name} without a selector in {rule:?}"))
                .0;
            assert!(
                selector.starts_with("namespace=\"shop\",stack=\"checkout\""),
                "{name}{{{selector}}} selects other stacks too"
            );
            let labels = &known[name];
            for label in matcher
                .captures_iter(selector)
                .map(|found| found[1].to_owned())
            {
                assert!(
                    labels.contains(&label),
                    "{name} has no label {label}: {rule:?}"
                );
            }
        }
    }
    assert!(seen > 100, "the expression of the test is wrong: {seen}");
}

/// All series, recorded ones included, with their labels.
pub(super) fn known_and_recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = known_series();
    for rule in rules(&rendered(WHOLE)) {
        if let Some(record) = &rule.record {
            let of_result = labels_of_result(&rule.expr, &known);
            let labels = known.entry(record.clone()).or_default();
            labels.extend(of_result);
            labels.extend(rule.labels.keys().cloned());
        }
    }
    known
}

#[test]
fn every_label_that_a_rule_groups_by_is_one_of_its_series() {
    let known = known_and_recorded();
    for rule in rules(&whole()) {
        assert_groupings(&rule.expr, &known);
    }
}

#[test]
fn every_label_that_a_rule_matches_on_is_one_of_both_sides() {
    let known = known_and_recorded();
    let matching =
        Regex::new(r" [a-z/*+<>=-]+ on \(([a-z0-9_, ]*)\) (?:group_left \([a-z_, ]*\) )?").unwrap();
    let mut seen = 0;
    for rule in rules(&whole()) {
        for found in matching.captures_iter(&rule.expr) {
            let whole = found.get(0).unwrap();
            let after = format!("({})", &rule.expr[whole.end()..]);
            let right = alternatives(within(&after))[0];
            let sides = [left_of(&rule.expr[..whole.start()]), right];
            for label in found[1].split(", ").filter(|label| !label.is_empty()) {
                for side in sides {
                    seen += 1;
                    let labels = labels_of_result(side, &known);
                    assert!(
                        labels.contains(label),
                        "{side} has no label {label}: {rule:?}"
                    );
                }
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn every_label_that_a_text_names_is_one_of_the_alerts_result() {
    let known = known_and_recorded();
    let named = Regex::new(r"\$labels\.([a-z_]+)").unwrap();
    let mut seen = 0;
    for rule in rules(&whole()).filter(|rule| rule.alert.is_some()) {
        let labels = labels_of_result(&rule.expr, &known);
        for text in rule.annotations.values() {
            assert_eq!(
                text.matches("$labels").count(),
                named.find_iter(text).count()
            );
            for found in named.captures_iter(text) {
                seen += 1;
                assert!(
                    labels.contains(&found[1]),
                    "{}: {labels:?}: {rule:?}",
                    &found[1]
                );
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn an_alert_about_a_table_or_its_index_tells_which() {
    let index = "global_secondary_index_name";
    let known = known_and_recorded();
    let mut seen = 0;
    for rule in rules(&whole()).filter(|rule| rule.alert.is_some()) {
        if !labels_of_result(&rule.expr, &known).contains(index) {
            continue;
        }
        seen += 1;
        for text in ["summary", "description"] {
            let names = rule.annotations[text].contains(&format!("$labels.{index}"));
            assert!(names, "{text}: {rule:?}");
        }
    }
    assert_eq!(seen, 7);
}

#[test]
fn no_stack_can_overwrite_a_label_that_tells_what_an_alert_is_about() {
    let grouping = Regex::new(r"by \(([a-z0-9_, ]*)\)").unwrap();
    let mut derived: BTreeSet<String> = ["alertname", "alertstate", "range"]
        .map(str::to_owned)
        .into();
    for rule in rules(&rendered(WHOLE)).filter(|rule| rule.alert.is_some()) {
        for found in grouping.captures_iter(&rule.expr) {
            let labels = found[1].split(", ").filter(|label| !label.is_empty());
            derived.extend(labels.map(str::to_owned));
        }
        derived.extend(rule.labels.keys().filter(|label| *label != "team").cloned());
    }
    for rule in rules(&rendered(WHOLE)).filter(|rule| rule.record.is_some()) {
        derived.extend(
            grouped_by(&rule.expr)
                .into_iter()
                .filter(|label| !label.is_empty()),
        );
    }
    assert_eq!(derived, TAKEN.map(str::to_owned).into());
}
