//! What becomes of the catalogue for one stack: its settings, its windows, its labels.

use std::collections::BTreeSet;

use regex::Regex;

use super::{WHOLE, rendered, rendered_at, rule, rules, whole};
use crate::api::Duration;
use crate::exporter::budget::LADDER;
use crate::rules::catalogue::{Alert, alerts, rooms};
use crate::rules::operator;
use crate::rules::render::Rule;

#[test]
fn no_range_of_a_counter_is_shorter_than_polling_allows() {
    let range = Regex::new(r"\[([0-9a-z]+)\]").unwrap();
    let mut seen = 0;
    for interval in LADDER.into_iter().chain([420, 3600]) {
        let spec = format!("{WHOLE}, services: {{}}");
        let groups = rendered_at(&spec, Duration::from_secs(interval));
        let window = 2 * interval + 180;
        for rule in rules(&groups).filter(|rule| !rule.expr.contains("avg_over_time(table:")) {
            for found in range.captures_iter(&rule.expr) {
                let seconds = match found[1].strip_suffix('d') {
                    Some(days) => days.parse::<u32>().unwrap() * 86_400,
                    None => found[1].parse::<Duration>().unwrap().as_secs(),
                };
                assert!(seconds >= window, "{interval}: {}", rule.expr);
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen}");
}

#[test]
fn nothing_is_left_of_the_placeholders_and_every_alert_is_rendered() {
    let groups = whole();
    let text = serde_json::to_string(&groups).unwrap();
    assert!(!text.contains("${"), "{text}");
    let rendered: BTreeSet<_> = rules(&groups)
        .filter_map(|rule| rule.alert.clone())
        .collect();
    assert_eq!(rendered, alerts().map(|alert| alert.id.clone()).collect());
    let names: BTreeSet<_> = groups.iter().map(|group| &group.name).collect();
    assert_eq!(
        names.len(),
        groups.len(),
        "a group's name is unique in its file"
    );
}

#[test]
fn every_alert_can_be_routed() {
    for rule in rules(&rendered(WHOLE)).filter(|rule| rule.alert.is_some()) {
        for label in [
            "namespace",
            "stack",
            "severity",
            "team",
            "service",
            "pillar",
            "cause",
        ] {
            assert!(rule.labels.contains_key(label), "{label}: {rule:?}");
        }
        assert_eq!(rule.labels["namespace"], "shop");
    }
}

#[test]
fn a_stack_changes_alerts_by_their_id() {
    let before = rule(&rendered(WHOLE), "LambdaErrorRateHigh").unwrap();
    assert!(before.expr.contains("> 0.05") && before.labels["severity"] == "warning");
    let changed = "alerts: {labels: {team: shop}, matchers: {cluster: 'a\"b'}, overrides: {LambdaErrorRateHigh: \
                   {threshold: '0.02', minimum: '7', severity: critical, for: 10m, labels: {team: pay}}, LambdaThrottled: {enabled: false}}}";
    let groups = rendered(changed);
    let after = rule(&groups, "LambdaErrorRateHigh").unwrap();
    assert!(
        after.expr.contains("> 0.02") && after.expr.contains(">= 7"),
        "{}",
        after.expr
    );
    assert!(
        after
            .expr
            .contains(r#"{cluster="a\"b",namespace="shop",stack="checkout"}"#),
        "{}",
        after.expr
    );
    assert_eq!(after.labels["severity"], "critical");
    assert_eq!(after.labels["team"], "pay");
    assert_eq!(after.labels["cluster"], "a\"b");
    assert_eq!(after.for_, Some(Duration::from_secs(600)));
    assert!(
        after.annotations["description"].contains("more than 2 %"),
        "{after:?}"
    );
    assert_eq!(rule(&groups, "LambdaThrottled"), None);
    assert_eq!(
        rule(&groups, "LambdaThrottledHeavily").unwrap().labels["team"],
        "shop"
    );
}

#[test]
fn windows_are_two_intervals_and_the_settling() {
    for (interval, window) in [("1m", "[5m]"), ("5m", "[13m]"), ("20m", "[43m]")] {
        let groups = rendered(&format!("collection: {{interval: {interval}}}"));
        let rule = rule(&groups, "DynamoDbReadsThrottled").unwrap();
        assert!(rule.expr.contains(window), "{interval}: {}", rule.expr);
        assert!(
            rule.annotations["description"].contains(window.trim_matches(['[', ']'])),
            "{rule:?}"
        );
    }
}

#[test]
fn rules_are_evaluated_twice_in_a_poll_interval_and_at_least_once_a_minute() {
    for (interval, every) in [("1m", 30), ("90s", 45), ("2m", 60), ("20m", 60)] {
        let groups = rendered(&format!("collection: {{interval: {interval}}}"));
        let group = groups
            .iter()
            .find(|group| group.name == "checkout.lambda.failures");
        let interval = group.unwrap().interval;
        assert_eq!(interval.map(Duration::as_secs), Some(every));
    }
}

#[test]
fn what_an_alert_asks_is_recorded_just_before_it_and_what_is_only_shown_elsewhere() {
    let groups = rendered(WHOLE);
    let of = |name: &str| {
        let group = groups.iter().find(|group| group.name == name).unwrap();
        let names = group.rules.iter();
        names.map(|rule| rule.record.clone().or(rule.alert.clone()).unwrap())
    };
    let judged: Vec<_> = of("checkout.lambda.failures").collect();
    assert_eq!(judged[0], "function:aws_lambda_errors:ratio");
    assert_eq!(judged[1], "LambdaErrorRateHigh");
    let shown: Vec<_> = of("checkout.lambda.failures.shown").collect();
    assert!(shown.contains(&"region:aws_lambda_invocations:rate".to_owned()));
    assert!(!shown.iter().any(|name| judged.contains(name)));
}

/// A query finds no sample that is older than five minutes.
#[test]
fn what_is_recorded_is_recorded_more_often_than_prometheus_forgets_it() {
    let groups = rendered(WHOLE);
    let budgets = groups.iter().filter(|g| g.name.ends_with(".budgets"));
    assert_eq!(budgets.count(), 1);
    for group in groups {
        let records = group.rules.iter().any(|rule| rule.record.is_some());
        let often = group.interval.is_none_or(|every| every.as_secs() < 300);
        assert!(!records || often, "{}", group.name);
    }
}

#[test]
fn what_the_stack_does_not_have_has_no_rules() {
    let only_lambda = rendered("services: {lambda: {}}");
    assert!(rules(&only_lambda).all(|rule| {
        !rule.expr.contains("aws_dynamodb_") && !rule.expr.contains("aws_apigateway_")
    }));
    assert_eq!(
        rule(&rendered("latency: {quantiles: []}"), "LambdaNearTimeout"),
        None
    );
    assert_eq!(rule(&rendered("suspend: true"), "NightjarDataOld"), None);
    let without = rendered("alerts: {enabled: false}");
    assert!(rules(&without).all(|rule| rule.record.is_some()));
    assert!(rules(&without).count() > 5);
}

#[test]
fn alerts_on_counters_wait_while_the_exporter_catches_up() {
    let groups = rendered(WHOLE);
    for alert in alerts() {
        let Some(Rule { expr, .. }) = rule(&groups, &alert.id) else {
            assert!(
                alert.id.starts_with("NightjarOperator")
                    || operator::group("", "")
                        .rules
                        .iter()
                        .any(|rule| rule.alert.as_ref() == Some(&alert.id))
            );
            continue;
        };
        assert_eq!(
            expr.contains("unless on (account_id, region)"),
            guarded(alert),
            "{expr}"
        );
    }
}

fn guarded(alert: &Alert) -> bool {
    let room = rooms()
        .iter()
        .find(|room| room.alerts.iter().any(|other| other.id == alert.id))
        .unwrap();
    alert.counts && !["nightjar", "operator"].contains(&room.service.as_str())
}

#[test]
fn a_stop_by_the_budget_is_told_only_of_a_stack_that_has_one() {
    let without = rendered("services: {}");
    assert_eq!(rule(&without, "NightjarBudgetExhausted"), None);
    assert!(
        !rule(&without, "NightjarDataOld")
            .unwrap()
            .expr
            .contains("budget")
    );
    assert_eq!(rule(&without, "NightjarShardMissing"), None);
}
