use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::catalogue::{Alert, alerts, rooms};
use super::render::{Context, Group, Rule, groups};
use crate::api::{Duration, Reason, ServerlessStack};
use crate::exporter::telemetry::{Scope, Telemetry};
use crate::exporter::view;
use crate::services::{FamilyKind, ServiceId};

fn stack(spec: &str) -> ServerlessStack {
    let text = format!(
        "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {{name: checkout, namespace: shop}}, \
         spec: {{regions: [eu-west-1], select: [{{tags: {{app: checkout}}}}], {spec}}}}}"
    );
    let stack = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(crate::api::validate::validate(&stack), []);
    stack
}

/// A stack with one of everything.
const WHOLE: &str = "objectives: [{name: pay, target: '99.9', of: {function: pay}}, {name: all, target: '99', of: {stack: {}}}, \
     {name: shop, target: '99.5', window: 7d, of: {api: {name: shop, stage: prod}}}, \
     {name: quick, target: '99', window: 90d, of: {table: orders}, latencyBelow: 20ms}], alerts: {labels: {team: shop}}";

fn rendered(spec: &str) -> Vec<Group> {
    let stack = stack(spec);
    groups(&Context {
        interval: stack.spec.collection.interval(),
        stack: &stack,
        runbook_url: "https://example.com/",
    })
}

fn rules(groups: &[Group]) -> impl Iterator<Item = &Rule> {
    groups.iter().flat_map(|group| &group.rules)
}

fn rule(groups: &[Group], id: &str) -> Option<Rule> {
    rules(groups)
        .find(|rule| rule.alert.as_deref() == Some(id))
        .cloned()
}

/// Every series that an exporter can have, with its labels where the tables know them all.
fn known_series() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let mut known = BTreeMap::new();
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
                        let name = format!("{}{suffix}", family.name);
                        let all: &mut Option<BTreeSet<String>> =
                            known.entry(name).or_insert_with(|| Some(BTreeSet::new()));
                        all.get_or_insert_default().extend(labels.clone());
                    }
                }
            }
        }
        for family in service.facts {
            known.insert(family.name.to_owned(), None);
        }
    }
    for family in [&view::COUNTED_THROUGH, &view::CATCHING_UP] {
        known.insert(family.name.to_owned(), None);
    }
    let telemetry = Telemetry::new("checkout");
    let scope = Scope {
        aws_service: "lambda",
        account_id: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
    };
    telemetry.aws_request("lambda:ListFunctions", Some(Reason::Timeout));
    telemetry.folded(&scope, 1, 1);
    telemetry.discovered(&scope, 1, 1);
    telemetry.polled(&scope, 1);
    telemetry.lost(&scope, 1);
    for line in telemetry
        .encode()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let end = line.find(['{', ' ']).unwrap();
        known.insert(line[..end].to_owned(), None);
    }
    known
}

#[test]
fn every_rule_names_only_series_and_labels_that_an_exporter_has_and_only_its_own_stacks() {
    let known = known_series();
    let groups = rendered(WHOLE);
    let recorded: BTreeSet<&str> = rules(&groups)
        .filter_map(|rule| rule.record.as_deref())
        .collect();
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
            assert!(
                known.contains_key(name) || recorded.contains(name),
                "{name} in {rule:?}"
            );
            let selector = after
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .unwrap_or_else(|| panic!("{name} without a selector in {rule:?}"))
                .0;
            assert!(
                selector.starts_with("namespace=\"shop\",stack=\"checkout\""),
                "{name}{{{selector}}} selects other stacks too"
            );
            let Some(Some(labels)) = known.get(name) else {
                continue;
            };
            for label in matcher
                .captures_iter(selector)
                .map(|found| found[1].to_owned())
            {
                assert!(
                    labels.contains(&label)
                        || ["namespace", "stack", "quantile", "le"].contains(&&*label),
                    "{name} has no label {label}: {rule:?}"
                );
            }
        }
    }
    assert!(seen > 100, "the expression of the test is wrong: {seen}");
}

#[test]
fn every_label_that_a_rule_groups_by_is_one_of_its_series() {
    let labels: BTreeSet<String> = known_series().into_values().flatten().flatten().collect();
    let own = [
        "account_id",
        "region",
        "stack",
        "runtime",
        "action",
        "reason",
        "aws_service",
        "range",
        "pod",
    ];
    let grouping = Regex::new(r"(?:by|on|ignoring|without|group_left) \(([a-z0-9_, ]*)\)").unwrap();
    for rule in rules(&rendered(WHOLE)) {
        for found in grouping.captures_iter(&rule.expr) {
            for label in found[1].split(", ").filter(|label| !label.is_empty()) {
                assert!(
                    labels.contains(label) || own.contains(&label),
                    "no series has the label {label}: {rule:?}"
                );
            }
        }
    }
}

#[test]
fn every_alert_is_complete_and_within_its_own_bounds() {
    let mut ids = BTreeSet::new();
    let id = Regex::new("^(Lambda|DynamoDb|Api|Nightjar|Objective)[A-Z][A-Za-z]+$").unwrap();
    for alert in alerts() {
        assert!(ids.insert(&alert.id), "{} is there twice", alert.id);
        assert!(id.is_match(&alert.id), "{}", alert.id);
        for (name, threshold) in [("threshold", &alert.threshold), ("minimum", &alert.minimum)] {
            assert_eq!(
                alert.expr.contains(&format!("${{{name}}}"))
                    || (name == "threshold" && alert.expr.contains("${deprecated_soon}"))
                    || (name == "minimum" && alert.expr.starts_with("${burns_")),
                threshold.is_some(),
                "{}: {name}",
                alert.id
            );
            if let Some(threshold) = threshold {
                assert!(
                    (threshold.least..=threshold.most).contains(&threshold.default),
                    "{}: {name}",
                    alert.id
                );
            }
        }
        let longest = longest_range(&alert.expr);
        assert_eq!(
            alert.range.map(Duration::as_secs),
            longest,
            "{}: its range is not the longest in its expression",
            alert.id
        );
        assert_eq!(
            alert.weekly,
            alert.expr.contains("offset 1w") || alert.expr.contains("[1d]"),
            "{}",
            alert.id
        );
        let texts = [
            &alert.runbook.meaning,
            &alert.runbook.impact,
            &alert.runbook.silence,
            &alert.source,
        ];
        assert!(texts.iter().all(|text| text.len() >= 5), "{}", alert.id);
        assert!(
            !alert.runbook.fix.is_empty() && !alert.runbook.look.is_empty(),
            "{}",
            alert.id
        );
    }
    for alert in alerts() {
        for consequence in &alert.inhibits {
            assert!(ids.contains(consequence), "{}: {consequence}", alert.id);
        }
    }
}

/// The longest literal range, in seconds.
fn longest_range(expr: &str) -> Option<u32> {
    Regex::new(r"\[([0-9]+)([hd])\]")
        .unwrap()
        .captures_iter(expr)
        .map(|found| {
            let unit = if &found[2] == "h" { 3600 } else { 86_400 };
            found[1].parse::<u32>().unwrap() * unit
        })
        .max()
}

#[test]
fn nothing_is_left_of_the_placeholders_and_every_alert_is_rendered() {
    let groups = rendered(WHOLE);
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
        let expr = rule(&groups, &alert.id).unwrap().expr;
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
    alert.counts && room.service != "nightjar"
}

const ROUTE: &str = "alerts: {route: {receivers: [{name: pager, pagerDuty: {routingKeySecretRef: {name: pd, key: k}}}, \
     {name: chat, slack: {urlSecretRef: {name: s, key: url}, channel: '#shop'}, email: {to: a@b.c, from: d@e.f, smarthost: 'm:25'}}], \
     critical: pager, warning: chat, mute: [{days: [saturday, sunday]}]}}";

#[test]
fn a_route_is_the_same_tree_for_the_operator_and_for_a_plain_alertmanager() {
    let stack = stack(ROUTE);
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let config = super::route::alertmanager_config(&stack, route);
    let file = super::route::alertmanager_file(&stack, route);
    let of = |value: &serde_json::Value, pointer: &str| {
        value.pointer(pointer).cloned().unwrap_or_default()
    };
    assert_eq!(of(&config, "/route/matchers/0/name"), "stack");
    assert_eq!(of(&config, "/route/routes/0/receiver"), "pager");
    assert_eq!(
        of(&config, "/route/routes/0/muteTimeIntervals"),
        serde_json::Value::Null
    );
    assert_eq!(of(&config, "/route/routes/1/muteTimeIntervals/0"), "mute-0");
    assert_eq!(
        of(&config, "/receivers/1/pagerdutyConfigs/0/routingKey/name"),
        "pd"
    );
    assert_eq!(
        of(&file, "/route/routes/0/routes/1/receiver"),
        "shop/checkout/chat"
    );
    assert_eq!(
        of(&file, "/receivers/2/slack_configs/0/api_url_file"),
        "/etc/alertmanager/secrets/s/url"
    );
    let rules =
        |value: &serde_json::Value, pointer: &str| of(value, pointer).as_array().unwrap().len();
    assert_eq!(
        rules(&config, "/inhibitRules"),
        rules(&file, "/inhibit_rules")
    );
    assert_eq!(rules(&config, "/receivers"), 3);
}

#[test]
fn a_route_to_nobody_is_refused_by_name() {
    let text = format!(
        "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {{name: a}}, spec: {{regions: [eu-west-1], select: [{{names: [a]}}], {}}}}}",
        ROUTE.replace("warning: chat", "warning: cat").replace(
            "[{days: [saturday, sunday]}]",
            "[{from: '22:00', to: '06:00'}]"
        )
    );
    let stack: ServerlessStack = serde_saphyr::from_str(&text).unwrap();
    let found: Vec<String> = crate::api::validate::validate(&stack)
        .into_iter()
        .map(|invalid| invalid.field)
        .collect();
    assert_eq!(
        found,
        ["spec.alerts.route.warning", "spec.alerts.route.mute[0].to"]
    );
}

#[test]
fn every_panel_names_only_series_that_there_are() {
    let known = known_series();
    let rules_of_whole = rendered(WHOLE);
    let recorded: BTreeSet<&str> = rules(&rules_of_whole)
        .filter_map(|rule| rule.record.as_deref())
        .collect();
    let series = Regex::new(r"([a-z]+:)?(?:aws|nightjar|process)_[a-z0-9_]+(?::[a-z_]+)?").unwrap();
    let variables = Regex::new(r"\$([a-z]+)").unwrap();
    let mut seen = 0;
    for dashboard in super::dashboards::dashboards() {
        let mut ids = BTreeSet::new();
        let json = super::dashboards::json(dashboard);
        assert!(dashboard.uid.len() <= 40 && dashboard.rows[0].title == "Is it well");
        for panel in json["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{}",
                dashboard.uid
            );
        }
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            assert!(panel.description.len() > 10, "{}", panel.title);
            assert!((1..=24).contains(&panel.width), "{}", panel.title);
            for query in &panel.queries {
                let expr = query.expression();
                assert!(!expr.contains("${"), "{expr}");
                for name in series.find_iter(&expr).map(|name| name.as_str()) {
                    seen += 1;
                    assert!(
                        known.contains_key(name)
                            || recorded.contains(name)
                            || name == "aws_service"
                            || name.starts_with("process_"),
                        "{}: {}: {name}",
                        dashboard.uid,
                        panel.title
                    );
                }
                for variable in variables.captures_iter(&expr) {
                    let there = format!("\"name\":\"{}\"", &variable[1]);
                    assert!(
                        json["templating"].to_string().contains(&there),
                        "{}: {expr}",
                        dashboard.uid
                    );
                }
            }
            if let Some(link) = &panel.link {
                assert!(
                    super::dashboards::dashboards()
                        .iter()
                        .any(|other| other.uid == *link),
                    "{link}"
                );
            }
        }
    }
    assert!(seen > 60, "{seen}");
}
