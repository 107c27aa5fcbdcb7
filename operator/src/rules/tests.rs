use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::catalogue::{Alert, Range, Severity, alerts, rooms};
use super::dashboards::{Kind, singled_out};
use super::latency;
use super::operator;
use super::render::{Context, Group, Rule, groups};
use crate::api::alerts::TAKEN;
use crate::api::{Duration, Reason, ServerlessStack};
use crate::controller::metrics::{Metrics, Now};
use crate::exporter::budget::{LADDER, Terms};
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
     {name: quick, target: '99', window: 90d, of: {table: orders}, latencyBelow: 20ms}], alerts: {labels: {team: shop}}, latency: {histograms: {}}, \
     collection: {budgetUsdPerMonth: '25'}, exporter: {shards: 2}";

/// The stack's rules and the operator's.
fn whole() -> Vec<Group> {
    let mut groups = rendered(WHOLE);
    groups.push(operator::group("shop", "https://example.com/"));
    groups
}

fn rendered(spec: &str) -> Vec<Group> {
    rendered_at(spec, stack(spec).spec.collection.interval())
}

/// With another interval in effect than the stack's own.
fn rendered_at(spec: &str, interval: Duration) -> Vec<Group> {
    groups(&Context {
        interval,
        stack: &stack(spec),
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
fn grouped_by(expr: &str) -> BTreeSet<String> {
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

/// Each grouping of an expression must be by labels that all series in it have.
fn assert_groupings(expr: &str, known: &BTreeMap<String, BTreeSet<String>>) {
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
    let known = known_series();
    let groups = rendered(WHOLE);
    let recorded: BTreeSet<&str> = rules(&groups)
        .filter_map(|rule| rule.record.as_deref())
        .collect();
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
            let Some(labels) = known.get(name) else {
                continue;
            };
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
fn known_and_recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = known_series();
    for rule in rules(&rendered(WHOLE)) {
        if let Some(record) = &rule.record {
            let labels = known.entry(record.clone()).or_default();
            labels.extend(grouped_by(&rule.expr));
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

#[test]
fn an_alert_hides_only_what_is_not_more_urgent() {
    let severity = |id: &str| alerts().find(|alert| alert.id == id).unwrap().severity;
    for alert in alerts() {
        for consequence in &alert.inhibits {
            // Critical is the first of them.
            assert!(
                severity(consequence) >= alert.severity,
                "{} hides {consequence}",
                alert.id
            );
        }
    }
    assert!(Severity::Critical < Severity::Info);
}

#[test]
fn what_is_held_on_to_is_hidden_only_by_what_is_held_longer() {
    for alert in alerts() {
        for hidden in alert.hides().filter(|hidden| hidden.holds) {
            assert!(
                alert.windows_held() > hidden.windows_held(),
                "{} ends before {}",
                alert.id,
                hidden.id
            );
        }
    }
    let groups = rendered("services: {}");
    let kept = |id| rule(&groups, id).unwrap().keep_firing_for;
    assert_eq!(
        [
            "LambdaAsyncEventsDropped",
            "LambdaErrorRateCritical",
            "LambdaErrorRateHigh"
        ]
        .map(kept),
        [
            Some(Duration::from_secs(2 * 780)),
            Some(Duration::from_secs(780)),
            None
        ]
    );
}

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
        let named = |range: &Range| alert.expr.contains(&format!("${{{}}}", range.as_str()));
        let longest = Range::ALL.into_iter().rfind(named);
        assert_eq!(
            alert.range, longest,
            "{}: its range is not the longest in its expression",
            alert.id
        );
        assert_eq!(
            alert.weekly,
            alert.expr.contains("offset 1w") || alert.expr.contains("${day}"),
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
fn every_panel_names_only_series_and_labels_that_there_are() {
    let known = known_and_recorded();
    let matcher = Regex::new(r#"([a-z_]+)(?:=|!=|=~|!~)""#).unwrap();
    let shown = Regex::new(r"\{\{([a-z_]+)\}\}").unwrap();
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
                assert_groupings(&expr, &known);
                let mut labels = BTreeSet::new();
                for found in series.find_iter(&expr) {
                    let (name, after) = (found.as_str(), &expr[found.end()..]);
                    let Some(selector) = after
                        .strip_prefix('{')
                        .and_then(|rest| rest.split_once('}'))
                    else {
                        assert_eq!(name, "aws_service", "{expr}");
                        continue;
                    };
                    seen += 1;
                    let Some(of_series) = known.get(name) else {
                        panic!("{}: {}: {name}", dashboard.uid, panel.title);
                    };
                    labels.extend(of_series.iter().cloned());
                    for label in matcher.captures_iter(selector.0) {
                        assert!(
                            of_series.contains(&label[1]),
                            "{name} has no label {}: {expr}",
                            &label[1]
                        );
                    }
                }
                if expr.contains(" by (") {
                    labels = grouped_by(&expr);
                }
                for label in query
                    .legend()
                    .iter()
                    .flat_map(|legend| shown.captures_iter(legend))
                {
                    assert!(
                        labels.contains(&label[1]),
                        "{}: {}: no label {}",
                        dashboard.uid,
                        panel.title,
                        &label[1]
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
                // What a link hands over must be in what is clicked on.
                if panel.kind != Kind::Table {
                    let expr = panel.queries[0].expression();
                    let labels = if expr.contains(" by (") {
                        let of_all = ["namespace", "stack"].map(|label| expr.contains(label));
                        assert!(of_all.iter().all(|there| *there), "{expr}");
                        grouped_by(&expr)
                    } else {
                        let name = series.find(&expr).unwrap().as_str();
                        known[name].clone()
                    };
                    for (label, _) in singled_out(link) {
                        assert!(
                            labels.contains(label),
                            "{}: no {label}: {expr}",
                            panel.title
                        );
                    }
                }
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

/// The fields of a JSON object are all among those that Grafana's schema has there.
fn assert_fields(value: &serde_json::Value, path: &str, known: &[&str]) {
    for field in value
        .as_object()
        .unwrap_or_else(|| panic!("{path}: {value}"))
        .keys()
    {
        assert!(
            known.contains(&field.as_str()),
            "{path} has no field {field}"
        );
    }
}

/// Against `dashboard_kind.cue` and the panels' own schemas of Grafana 11, as far as the dashboards use them: a field that
/// is spelt wrong is ignored by Grafana, and nobody sees it.
#[test]
fn dashboards_have_only_fields_units_and_colours_that_grafana_has() {
    const UNITS: [&str; 8] = [
        "short",
        "percentunit",
        "s",
        "bytes",
        "ops",
        "reqps",
        "currencyUSD",
        "none",
    ];
    const COLOURS: [&str; 5] = ["green", "orange", "red", "transparent", "text"];
    let variable = Regex::new(r"\$\{?([a-z]+)").unwrap();
    for dashboard in super::dashboards::dashboards() {
        let json = super::dashboards::json(dashboard);
        let uid = &dashboard.uid;
        assert_fields(
            &json,
            uid,
            &[
                "uid",
                "title",
                "description",
                "tags",
                "schemaVersion",
                "version",
                "editable",
                "fiscalYearStartMonth",
                "graphTooltip",
                "refresh",
                "time",
                "timepicker",
                "timezone",
                "weekStart",
                "links",
                "annotations",
                "templating",
                "panels",
            ],
        );
        let mut names = BTreeSet::new();
        for variable in json["templating"]["list"].as_array().unwrap() {
            assert!(
                names.insert(variable["name"].as_str().unwrap().to_owned()),
                "{variable}"
            );
            assert_fields(
                variable,
                uid,
                &[
                    "name",
                    "label",
                    "type",
                    "query",
                    "hide",
                    "current",
                    "includeAll",
                    "multi",
                    "options",
                    "refresh",
                    "regex",
                    "datasource",
                    "definition",
                    "sort",
                    "allValue",
                    "description",
                ],
            );
            let kinds = ["datasource", "query", "custom"];
            assert!(
                kinds.contains(&variable["type"].as_str().unwrap()),
                "{variable}"
            );
        }
        assert!(names.contains("datasource"));
        let mut taken: Vec<[u64; 4]> = Vec::new();
        for panel in json["panels"].as_array().unwrap() {
            let at = format!("{uid}: {}", panel["title"]);
            let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            let [x, y, w, h] = ["x", "y", "w", "h"].map(of);
            assert!(w >= 1 && h >= 1 && x + w <= 24, "{at}");
            let free =
                |[a, b, c, d]: &[u64; 4]| x + w <= *a || a + c <= x || y + h <= *b || b + d <= y;
            assert!(taken.iter().all(free), "{at} covers another panel");
            taken.push([x, y, w, h]);
            if panel["type"] == "row" {
                assert_fields(
                    panel,
                    &at,
                    &["id", "type", "title", "collapsed", "panels", "gridPos"],
                );
                continue;
            }
            assert_fields(
                panel,
                &at,
                &[
                    "id",
                    "type",
                    "title",
                    "description",
                    "gridPos",
                    "datasource",
                    "targets",
                    "fieldConfig",
                    "options",
                    "transformations",
                ],
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{at}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert_fields(
                defaults,
                &at,
                &[
                    "unit",
                    "color",
                    "custom",
                    "links",
                    "mappings",
                    "thresholds",
                    "noValue",
                ],
            );
            assert!(
                UNITS.contains(&defaults["unit"].as_str().unwrap()),
                "{at}: {defaults}"
            );
            let steps = defaults["thresholds"]["steps"].as_array().unwrap();
            let begins: Vec<Option<f64>> =
                steps.iter().map(|step| step["value"].as_f64()).collect();
            assert!(
                begins[0].is_none() && begins[1..].iter().all(Option::is_some),
                "{at}: {steps:?}"
            );
            assert!(begins.is_sorted_by(|a, b| a < b), "{at}: {steps:?}");
            for step in steps {
                assert!(
                    COLOURS.contains(&step["color"].as_str().unwrap()),
                    "{at}: {step}"
                );
            }
            let (options, custom): (&[&str], &[&str]) = match panel["type"].as_str().unwrap() {
                "stat" => (
                    &[
                        "colorMode",
                        "graphMode",
                        "justifyMode",
                        "orientation",
                        "reduceOptions",
                        "textMode",
                        "wideLayout",
                    ],
                    &[],
                ),
                "timeseries" => (
                    &["legend", "tooltip"],
                    &[
                        "drawStyle",
                        "lineWidth",
                        "fillOpacity",
                        "showPoints",
                        "spanNulls",
                        "axisSoftMin",
                        "thresholdsStyle",
                    ],
                ),
                "table" => (&["showHeader", "cellHeight"], &["align", "filterable"]),
                other => panic!("{at}: {other}"),
            };
            assert_fields(&panel["options"], &at, options);
            assert_fields(&defaults["custom"], &at, custom);
            let mut references = BTreeSet::new();
            for target in panel["targets"].as_array().unwrap() {
                assert_fields(
                    target,
                    &at,
                    &[
                        "refId",
                        "datasource",
                        "expr",
                        "legendFormat",
                        "instant",
                        "range",
                        "editorMode",
                        "format",
                    ],
                );
                assert!(references.insert(target["refId"].to_string()), "{at}");
                for name in variable.captures_iter(target["expr"].as_str().unwrap()) {
                    assert!(
                        names.contains(&name[1]),
                        "{at}: there is no variable {}",
                        &name[1]
                    );
                }
            }
        }
        for annotation in json["annotations"]["list"].as_array().unwrap() {
            let text = annotation["expr"].as_str().unwrap();
            for name in variable.captures_iter(text) {
                assert!(
                    names.contains(&name[1]),
                    "{uid}: there is no variable {} for {text}",
                    &name[1]
                );
            }
        }
    }
}

#[test]
fn every_threshold_that_is_drawn_by_an_alert_s_name_has_one() {
    for panel in super::dashboards::dashboards()
        .iter()
        .flat_map(|d| &d.rows)
        .flat_map(|row| &row.panels)
    {
        for step in panel.thresholds.iter().skip(1) {
            assert!(step.begin().is_some(), "{}: {step:?}", panel.title);
        }
    }
}

#[test]
fn an_objective_of_latency_says_what_judges_it_and_what_would_judge_it_better() {
    let told = |target: &str, latency: &str| {
        let spec = format!(
            "objectives: [{{name: quick, target: '{target}', of: {{table: orders}}, latencyBelow: 20ms}}], latency: {{{latency}}}"
        );
        let text = rule(&rendered(&spec), "ObjectiveBurnsFast").unwrap();
        let text = text.annotations["description"].clone();
        (text, latency::notes(&stack(&spec)).join(", "))
    };
    let quantile =
        "quantile 0.99: bad are the requests of a poll in which 99 % of them were not within 20ms.";
    let histogram = "Judged by the histogram: bad are requests that took longer than";
    for (target, latency, judged, note) in [
        (
            "99",
            "",
            format!("Judged by {quantile}"),
            "set spec.latency.histograms to have each request counted",
        ),
        (
            "99.9",
            "",
            format!("Judged by {quantile}"),
            "counted, or add \"0.999\" to spec.latency.quantiles, which has none that reaches its target",
        ),
        (
            "99.9",
            "histograms: {bounds: ['0.02', '0.1']}",
            format!("{histogram} 0.02 s. Where there is none, by {quantile}"),
            "",
        ),
        (
            "99",
            "histograms: {bounds: ['0.019', '0.021']}, quantiles: []",
            format!(
                "{histogram} 0.019 s, the greatest bound of the histogram that is not above 20ms."
            ),
            "judged by the bound 0.019 of the histograms: add \"0.02\" to spec.latency.histograms.bounds",
        ),
        (
            "99",
            "histograms: {bounds: ['0.5']}",
            format!("Judged by {quantile}"),
            "add \"0.02\" to spec.latency.histograms.bounds, which has none that is as low",
        ),
    ] {
        let (text, told) = told(target, latency);
        assert!(text.ends_with(&judged), "{latency}: {text}");
        assert!(
            told.ends_with(note) && told.is_empty() == note.is_empty(),
            "{latency}: {told}"
        );
    }
}

#[test]
fn an_objective_that_nothing_could_judge_is_refused_by_name() {
    let text = "{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {name: a}, spec: {regions: [eu-west-1], \
         select: [{names: [a]}], latency: {quantiles: [], histograms: {bounds: ['2']}}, services: {lambda: {}}, \
         objectives: [{name: c, target: '99', of: {function: pay}, latencyBelow: 2s}, {name: a, target: '99', of: {function: pay}, latencyBelow: 1s}, {name: b, target: '99', of: {table: orders}}]}}";
    let stack: ServerlessStack = serde_saphyr::from_str(text).unwrap();
    let found = crate::api::validate::validate(&stack);
    let fields: Vec<&str> = found.iter().map(|invalid| &*invalid.field).collect();
    assert_eq!(
        fields,
        [
            "spec.objectives[1].latencyBelow",
            "spec.objectives[2].of.table"
        ]
    );
}

#[test]
fn the_name_of_what_an_objective_is_about_is_never_taken_for_a_template() {
    let groups = rendered("objectives: [{name: a, target: '99', of: {api: {name: '{{ shop'}}}]");
    assert_eq!(
        rule(&groups, "ObjectiveBurnsFast").unwrap().labels["api_name"],
        "{{`{{`}} shop"
    );
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
