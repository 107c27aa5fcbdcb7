//! Who is told of which alert, by the real amtool.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nightjar::api::ServerlessStack;
use nightjar::rules::catalogue::{self, Alert};
use nightjar::rules::render::{Context, Rule, groups};
use nightjar::rules::route::{alertmanager_config, alertmanager_file};
use nightjar::rules::{Severity, operator};
use serde_json::{Value, json};

use crate::kube_api::{KubeApi, free_ports, program};

const STACK: &str = "
apiVersion: nightjar.dev/v1alpha1
kind: ServerlessStack
metadata: {name: checkout, namespace: shop}
spec:
  regions: [eu-west-1]
  select: [{tags: {app: checkout}}]
  objectives: [{name: all, target: '99.9', of: {stack: {}}}, {name: pay, target: '99.9', of: {function: pay}}]
  collection: {budgetUsdPerMonth: '25'}
  exporter: {shards: 2}
  alerts:
    labels: {team: shop}
    route:
      receivers:
        - {name: pager, pagerDuty: {routingKeySecretRef: {name: pagers, key: key}}}
        - {name: chat, slack: {urlSecretRef: {name: chat, key: url}, channel: '#shop'}, email: {to: shop@example.com, from: nightjar@example.com, smarthost: 'mail:25', username: n, passwordSecretRef: {name: mail, key: password}}}
        - {name: hook, webhook: {urlSecretRef: {name: hook, key: url}}, opsgenie: {apiKeySecretRef: {name: genie, key: key}}}
      critical: pager
      warning: chat
      groupBy: [namespace, stack, cause]
      mute: [{days: [saturday, sunday]}, {from: '20:00', to: '24:00'}]
";

fn amtool(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("amtool")
        .args(arguments)
        .arg(file)
        .output()
        .expect("amtool is in the PATH that tests/tier sets");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "amtool {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn receiver_of(file: &Path, labels: &BTreeMap<String, String>) -> String {
    let output = Command::new("amtool")
        .args(["config", "routes", "test", "--config.file"])
        .arg(file)
        .args(labels.iter().map(|(name, value)| format!("{name}={value}")))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn each_alert_reaches_the_receiver_of_its_severity_and_no_other_stacks_alert_does() {
    let stack: ServerlessStack = serde_saphyr::from_str(STACK).unwrap();
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, alertmanager_file(&stack, route).to_string()).unwrap();
    amtool(&["check-config"], &file);

    // Alerts as Prometheus sends them: also those whose expression has no label of the resource left.
    let rules = groups(&Context::new(&stack, stack.spec.collection.interval(), ""));
    let labels_of = |id: &str| {
        let rule = rules
            .iter()
            .flat_map(|group| &group.rules)
            .find(|rule| rule.alert.as_deref() == Some(id))
            .unwrap_or_else(|| panic!("{id}"));
        let mut labels = rule.labels.clone();
        labels.insert("alertname".to_owned(), id.to_owned());
        labels
    };
    let table = [
        ("LambdaErrorRateCritical", "shop/checkout/pager"),
        ("LambdaErrorRateHigh", "shop/checkout/chat"),
        ("LambdaErrorRateElevated", "shop/checkout/none"),
        ("LambdaRuntimeDeprecated", "shop/checkout/chat"),
        ("DynamoDbRequestsThrottledHeavily", "shop/checkout/pager"),
        ("ApiServerErrorRateCritical", "shop/checkout/pager"),
        ("ApiTrafficDropped", "shop/checkout/chat"),
        // Aggregated: the series had lost all labels but those that the rule gives.
        ("NightjarExporterDown", "shop/checkout/pager"),
        ("NightjarSeriesCapped", "shop/checkout/chat"),
        ("ObjectiveBurnsFast", "shop/checkout/pager"),
        ("ObjectiveBurnsSlowly", "shop/checkout/chat"),
    ];
    // And all of them, by their severity.
    let by_severity = of_stacks().map(|alert| {
        let receiver = match alert.severity {
            Severity::Critical => "shop/checkout/pager",
            Severity::Warning => "shop/checkout/chat",
            Severity::Info => "shop/checkout/none",
        };
        assert_eq!(
            receiver_of(&file, &labels_of(&alert.id)),
            receiver,
            "{}",
            alert.id
        );
    });
    assert!(by_severity.count() > 60);
    for (id, expected) in table {
        let mut labels = labels_of(id);
        assert_eq!(receiver_of(&file, &labels), expected, "{id}");
        for (label, other) in [("stack", "orders"), ("namespace", "other")] {
            let own = labels.insert(label.to_owned(), other.to_owned()).unwrap();
            assert_eq!(
                receiver_of(&file, &labels),
                "shop/checkout/none",
                "{id} of another {label}"
            );
            labels.insert(label.to_owned(), own);
        }
    }
}

/// The alerts that a stack has: the operator's are nobody's stack.
fn of_stacks() -> impl Iterator<Item = &'static Alert> {
    let operators = operator::group("", "");
    catalogue::alerts().filter(move |alert| {
        let mut rules = operators.rules.iter();
        !rules.any(|rule| rule.alert.as_ref() == Some(&alert.id))
    })
}

/// A real Alertmanager; it ends with the test.
struct Alertmanager {
    process: std::process::Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Alertmanager {
    fn start(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let [port] = free_ports();
        let process = Command::new("alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("alertmanager is in the PATH that tests/tier sets");
        let started = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        };
        Self::until("it answers", || {
            started.try_amtool(&["alert", "query"]).is_some()
        });
        started
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_so() {
            assert!(
                Instant::now() < deadline,
                "Alertmanager: {what}: not within a minute"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn try_amtool(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("amtool")
            .args(arguments)
            .arg(format!("--alertmanager.url={}", self.url))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    fn amtool(&self, arguments: &[&str]) -> String {
        self.try_amtool(arguments)
            .unwrap_or_else(|| panic!("amtool {arguments:?}"))
    }

    /// An alert fires, or has ended.
    fn send(&self, labels: &BTreeMap<String, String>, fires: bool) {
        let mut arguments = vec!["alert".to_owned(), "add".to_owned()];
        if !fires {
            let ended = a_second_ago();
            arguments.push(format!("--end={ended}"));
        }
        arguments.extend(labels.iter().map(|(name, value)| format!("{name}={value}")));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.amtool(&arguments);
    }

    /// What Alertmanager says of an alert that fires.
    fn status(&self, labels: &BTreeMap<String, String>) -> Value {
        let answer = self.amtool(&[
            "alert",
            "query",
            "--active",
            "--inhibited",
            "--silenced",
            "--unprocessed",
            "-o",
            "json",
        ]);
        let alerts: Vec<Value> = serde_json::from_str(&answer).unwrap();
        let same = |alert: &&Value| alert["labels"] == json!(labels);
        let found = alerts.iter().find(same);
        found.unwrap_or_else(|| panic!("{labels:?} is not among {alerts:?}"))["status"].clone()
    }

    /// Its groups of alerts: only there it says what is muted, and amtool does not show it.
    fn groups(&self) -> Vec<Value> {
        let address = self.url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).unwrap();
        let request = "GET /api/v2/alerts/groups HTTP/1.0\r\n\r\n";
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn is_inhibited(&self, labels: &BTreeMap<String, String>) -> bool {
        let status = self.status(labels);
        status["inhibitedBy"]
            .as_array()
            .is_some_and(|by| !by.is_empty())
    }
}

/// A second ago, as amtool reads it.
fn a_second_ago() -> String {
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
    now.to_string()
}

/// The labels of an alert about one resource: those of the rule, and those that its expression leaves.
fn labels_of(rules: &[Rule], id: &str, resource: &str) -> BTreeMap<String, String> {
    let rule = rules
        .iter()
        .find(|rule| rule.alert.as_deref() == Some(id))
        .unwrap_or_else(|| panic!("{id}"));
    let grouped = rule
        .expr
        .split_once("by (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(labels, _)| labels.to_owned());
    let recorded = ["function", "table"].into_iter().find_map(|level| {
        let of_it = rule.expr.contains(&format!("{level}:"));
        of_it.then(|| format!("account_id, region, {level}_name"))
    });
    let mut labels = rule.labels.clone();
    for label in grouped.or(recorded).unwrap_or_default().split(", ") {
        let fixed = [
            "stack",
            "direction",
            "operation",
            "reason",
            "action",
            "range",
        ]
        .contains(&label);
        let known = label.is_empty() || labels.contains_key(label) || fixed && label == "range";
        if !known {
            let value = if fixed {
                "one".to_owned()
            } else {
                format!("{label}-{resource}")
            };
            labels.insert(label.to_owned(), value);
        }
    }
    labels.insert("alertname".to_owned(), id.to_owned());
    labels
}

/// The file of the stack, with receivers that reach nobody.
fn stack_of(text: &str) -> (ServerlessStack, Vec<Rule>) {
    let stack: ServerlessStack = serde_saphyr::from_str(text).unwrap();
    let rules = groups(&Context::new(&stack, stack.spec.collection.interval(), ""));
    let rules = rules.into_iter().flat_map(|group| group.rules).collect();
    (stack, rules)
}

#[test]
fn a_consequence_is_held_back_while_its_cause_fires_and_that_of_another_resource_is_not() {
    let (stack, rules) = stack_of(STACK);
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let alertmanager = Alertmanager::start(&alertmanager_file(&stack, route));
    let mut pairs: Vec<(&str, &str)> = of_stacks()
        .flat_map(|alert| alert.inhibits.iter().map(|other| (&*alert.id, &**other)))
        .collect();
    // Of one cause the more urgent one.
    for (more, less) in of_stacks().flat_map(|a| of_stacks().map(move |b| (a, b))) {
        let same = more.cause == less.cause && more.severity < less.severity;
        let resource = |alert: &Alert| {
            labels_of(&rules, &alert.id, "a")
                .into_keys()
                .collect::<Vec<_>>()
        };
        if same && resource(more) == resource(less) {
            pairs.push((&more.id, &less.id));
        }
    }
    assert!(pairs.len() > 50, "{pairs:?}");
    for (cause, consequence) in pairs {
        let source = labels_of(&rules, cause, "a");
        let target = labels_of(&rules, consequence, "a");
        alertmanager.send(&target, true);
        Alertmanager::until(&format!("{consequence} alone"), || {
            !alertmanager.is_inhibited(&target)
        });
        alertmanager.send(&source, true);
        Alertmanager::until(&format!("{consequence} beside {cause}"), || {
            alertmanager.is_inhibited(&target)
        });
        assert!(
            !alertmanager.is_inhibited(&source),
            "{cause} beside {consequence}"
        );
        let other = labels_of(&rules, consequence, "b");
        // What is about the whole stack is the cause of all in it.
        let shared = [
            "account_id",
            "region",
            "function_name",
            "table_name",
            "api_id",
            "pod",
            "aws_service",
        ];
        if shared
            .iter()
            .any(|label| source.contains_key(*label) && other.contains_key(*label))
        {
            alertmanager.send(&other, true);
            assert!(
                !alertmanager.is_inhibited(&other),
                "another {consequence} beside {cause}"
            );
            alertmanager.send(&other, false);
        }
        alertmanager.send(&source, false);
        alertmanager.send(&target, false);
    }
}

#[test]
fn of_an_objective_and_what_makes_it_burn_one_is_told() {
    let (stack, rules) = stack_of(STACK);
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let alertmanager = Alertmanager::start(&alertmanager_file(&stack, route));
    let burns = |id: &str, function: Option<&str>| {
        let mut labels = labels_of(&rules, id, "a");
        labels.insert("objective".to_owned(), "x".to_owned());
        labels.remove("function_name");
        labels.extend(function.map(|name| ("function_name".to_owned(), name.to_owned())));
        labels
    };
    let page = labels_of(&rules, "LambdaErrorRateCritical", "a");
    let ticket = labels_of(&rules, "LambdaErrorRateHigh", "a");
    let (of_it, of_another, of_all) = (
        burns("ObjectiveBurnsFast", Some("function_name-a")),
        burns("ObjectiveBurnsFast", Some("function_name-b")),
        burns("ObjectiveBurnsFast", None),
    );
    for objective in [&of_it, &of_another, &of_all] {
        alertmanager.send(objective, true);
    }
    alertmanager.send(&ticket, true);
    Alertmanager::until("the page about the objective is told", || {
        alertmanager.is_inhibited(&ticket)
    });
    assert!(!alertmanager.is_inhibited(&of_it));
    alertmanager.send(&page, true);
    Alertmanager::until("the page about the function is told", || {
        alertmanager.is_inhibited(&of_it)
    });
    assert!(!alertmanager.is_inhibited(&page));
    assert!(!alertmanager.is_inhibited(&of_another));
    assert!(!alertmanager.is_inhibited(&of_all));
}

#[test]
fn warnings_are_muted_at_their_times_and_pages_never_are() {
    let text = STACK.replace(
        "mute: [{days: [saturday, sunday]}, {from: '20:00', to: '24:00'}]",
        "mute: [{from: '00:00', to: '24:00'}]\n      groupWait: 1s",
    );
    let (stack, rules) = stack_of(&text);
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let alertmanager = Alertmanager::start(&alertmanager_file(&stack, route));
    let warning = labels_of(&rules, "LambdaThrottled", "a");
    let page = labels_of(&rules, "ApiServerErrorRateCritical", "a");
    alertmanager.send(&page, true);
    alertmanager.send(&warning, true);
    let muted = |labels: &BTreeMap<String, String>| {
        let groups = alertmanager.groups();
        let mut alerts = groups
            .iter()
            .flat_map(|group| group["alerts"].as_array().unwrap());
        let found = alerts.find(|alert| alert["labels"] == json!(labels))?;
        Some(found["status"]["mutedBy"] != json!([]))
    };
    Alertmanager::until("the warning is muted", || muted(&warning) == Some(true));
    Alertmanager::until("the page is in a group", || muted(&page).is_some());
    assert_eq!(muted(&page), Some(false));
}

#[test]
fn an_api_and_the_function_behind_it_are_told_together_where_a_stack_groups_by_itself() {
    for (by, expected) in [
        ("[stack]", vec![2]),
        ("[namespace, stack, cause]", vec![1, 1]),
    ] {
        let text = STACK
            .replace("[namespace, stack, cause]", by)
            .replace("critical: pager", "critical: pager\n      groupWait: 1s");
        let (stack, rules) = stack_of(&text);
        let route = stack.spec.alerts.route.as_ref().unwrap();
        let alertmanager = Alertmanager::start(&alertmanager_file(&stack, route));
        for id in ["ApiServerErrorRateCritical", "LambdaErrorRateCritical"] {
            alertmanager.send(&labels_of(&rules, id, "a"), true);
        }
        let sizes = || {
            let groups = alertmanager.groups();
            let sizes = groups
                .iter()
                .map(|group| group["alerts"].as_array().unwrap().len());
            sizes.collect::<Vec<_>>()
        };
        Alertmanager::until(&format!("two pages by {by}"), || {
            sizes().iter().sum::<usize>() == 2
        });
        assert_eq!(sizes(), expected, "{by}");
    }
}

#[test]
fn the_prometheus_operator_s_kind_takes_the_route_with_every_field() {
    // The definition is beside the programs of tests/parts.
    let program = program("operator");
    let crds = program.ancestors().nth(2).unwrap().join("crds");
    let definition =
        std::fs::read_to_string(crds.join("monitoring.coreos.com_alertmanagerconfigs.yaml"))
            .unwrap_or_else(|error| panic!("{}: {error}", crds.display()));
    let api = KubeApi::start();
    api.kubectl_with(&["apply", "--server-side", "-f", "-"], &definition)
        .unwrap();
    let (stack, _) = stack_of(STACK);
    let route = stack.spec.alerts.route.as_ref().unwrap();
    let mut object = json!({
        "apiVersion": "monitoring.coreos.com/v1alpha1", "kind": "AlertmanagerConfig",
        "metadata": {"name": "checkout", "namespace": "default"}, "spec": alertmanager_config(&stack, route),
    });
    let create = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
    // The kind is served a moment after it was made.
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(refused) = api.kubectl_with(&create, &object.to_string()) {
        let early = refused.contains("no matches for kind") || refused.contains("not found");
        assert!(early && Instant::now() < deadline, "{refused}");
        std::thread::sleep(Duration::from_millis(200));
    }
    object["spec"]["muteTimeInterval"] = json!([]);
    let refused = api.kubectl_with(&create, &object.to_string()).unwrap_err();
    assert!(refused.contains("muteTimeInterval"), "{refused}");
}
