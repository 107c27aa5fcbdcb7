//! Every rule of the catalogue by the real promtool: it fires when it shall, and only then.
//!
//! The cases are beside the rules, in `*.test.yaml`. Their series get the labels that Prometheus puts on what it
//! scrapes from an exporter, and their counters move as an exporter's do: once in a poll interval. From each case that
//! fires others are made that must be silent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nightjar::api::{Duration, ServerlessStack};
use nightjar::rules::catalogue::{self, Alert};
use nightjar::rules::operator;
use nightjar::rules::render::{Context, Group, RuleFile, groups};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kube_api::oracles::rendered_text;
use crate::kube_api::output;

/// The tests of one alert.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    alert: String,
    /// Fields of the stack's specification over those of the usual one.
    #[serde(default)]
    spec: BTreeMap<String, Value>,
    fires: Case,
    #[serde(default)]
    silent: Vec<Case>,
    /// The made cases that do not hold for it, each with the reason.
    #[serde(default)]
    except: BTreeMap<String, String>,
}

/// Series, and what becomes of them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    /// In promtool's notation, with one value for each poll of five minutes, or of `step`.
    series: BTreeMap<String, String>,
    /// When it is looked at.
    at: Duration,
    /// The time between two values, if it is not a poll; the rules are evaluated as often.
    step: Option<Duration>,
    /// The wall clock at the beginning.
    start: Option<String>,
    /// The alert's labels beyond those that all alerts of the stack have.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The alert's summary.
    #[serde(default)]
    summary: String,
    /// Other alerts that fire for the same reason and are inhibited.
    #[serde(default)]
    also: BTreeSet<String>,
}

/// A poll in minutes; the series have a sample for each minute.
const POLL_MINUTES: usize = 5;

/// How often what compares with former weeks is evaluated here.
const WEEKLY_SECONDS: u32 = 30 * 60;

/// What happens shortly before a case is looked at, happens half an hour before.
const SHORTLY: u32 = 30 * 60;

fn subjects() -> Vec<Subject> {
    let mut files = Vec::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../operator/src");
    find(Path::new(root), &mut files);
    assert!(files.len() >= 4, "the tests of the rules moved: {files:?}");
    files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            serde_saphyr::from_str::<Vec<Subject>>(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.to_string_lossy().ends_with(".test.yaml") {
            files.push(path);
        }
    }
}

fn stack(spec: &BTreeMap<String, Value>) -> ServerlessStack {
    let mut all = json!({"regions": ["eu-west-1"], "select": [{"tags": {"app": "checkout"}}]});
    for (field, value) in spec {
        all[field] = value.clone();
    }
    let stack = json!({
        "apiVersion": "nightjar.dev/v1alpha1", "kind": "ServerlessStack",
        "metadata": {"name": "checkout", "namespace": "shop"}, "spec": all,
    });
    serde_json::from_value(stack).unwrap()
}

fn rendered(stack: &ServerlessStack) -> Vec<Group> {
    let mut groups = groups(&Context {
        stack,
        interval: stack.spec.collection.interval(),
        runbook_url: "",
    });
    groups.push(operator::group("shop", ""));
    groups
}

fn write(folder: &Path, name: &str, content: &impl serde::Serialize) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, serde_json::to_string_pretty(content).unwrap()).unwrap();
    path
}

fn promtool(arguments: &[&str], files: &[&Path]) {
    let output = Command::new("promtool")
        .args(arguments)
        .args(files)
        .output()
        .expect("promtool is in the PATH that tests/tier sets");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "promtool {arguments:?}:\n{out}\n{err}"
    );
}

#[test]
fn the_rules_of_every_example_are_without_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (path, documents) in crate::examples::examples() {
        let stacks = documents
            .into_iter()
            .filter(|document| document["kind"] == "ServerlessStack");
        for document in stacks {
            let stack: ServerlessStack = serde_json::from_value(document).unwrap();
            let groups = rendered(&stack);
            // At most one series for each function.
            let per_function = groups.iter().flat_map(|group| &group.rules).filter(|rule| {
                let record = rule.record.as_deref().unwrap_or_default();
                record.starts_with("function:")
            });
            assert!(per_function.count() <= 1, "{}", path.display());
            let name = format!("{}.json", files.len());
            files.push(write(folder.path(), &name, &RuleFile { groups }));
        }
    }
    assert!(files.len() >= 2, "the examples moved");
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &files);
}

#[test]
fn every_alert_fires_when_it_shall_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = subjects();
    let tested: BTreeSet<&str> = subjects.iter().map(|subject| &*subject.alert).collect();
    let all: BTreeSet<&str> = catalogue::alerts().map(|alert| &*alert.id).collect();
    assert_eq!(tested, all, "each alert has its tests");

    // By what a file of promtool's has once: the rules, and how often they are evaluated.
    let mut files: BTreeMap<(String, u32), Vec<Value>> = BTreeMap::new();
    for subject in &subjects {
        let mut alerts = catalogue::alerts();
        let alert = alerts.find(|alert| alert.id == subject.alert).unwrap();
        let stack = stack(&subject.spec);
        let mut groups = rendered(&stack);
        for rule in groups.iter_mut().flat_map(|group| &mut group.rules) {
            // One text is enough to compare; check above reads all of them.
            rule.annotations.retain(|name, _| name == "summary");
        }
        let labels = groups
            .iter()
            .flat_map(|group| &group.rules)
            .find(|rule| rule.alert.as_ref() == Some(&subject.alert))
            .unwrap_or_else(|| panic!("{} is not rendered", subject.alert))
            .labels
            .clone();
        let mut own = groups.clone();
        own.retain(|group| {
            let mut rules = group.rules.iter();
            rules.any(|rule| rule.alert.as_ref() == Some(&subject.alert))
        });
        for (i, (step, test)) in tests_of(subject, alert, &labels).into_iter().enumerate() {
            // What fires is seen among all rules, what is silent among those beside it: it takes a while.
            let groups = if i == 0 && subject.fires.step.is_none() {
                &groups
            } else {
                &own
            };
            let rules = serde_json::to_string(&RuleFile {
                groups: groups.clone(),
            })
            .unwrap();
            let evaluated = if alert.weekly { WEEKLY_SECONDS } else { step };
            files.entry((rules, evaluated)).or_default().push(test);
        }
    }
    let mut paths = Vec::new();
    for (i, ((rules, step), tests)) in files.into_iter().enumerate() {
        let rules_path = folder.path().join(format!("rules-{i}.json"));
        std::fs::write(&rules_path, rules).unwrap();
        let content = json!({
            "rule_files": [rules_path], "evaluation_interval": format!("{step}s"), "fuzzy_compare": true, "tests": tests,
        });
        paths.push(write(folder.path(), &format!("test-{i}.json"), &content));
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    promtool(&["test", "rules"], &paths);
}

/// A ratio that falls is below the page's threshold before it is below the ticket's: nobody gets a ticket about what is over.
#[test]
fn what_an_alert_holds_back_is_over_before_the_alert_is() {
    // For an hour all is well, then for twenty minutes nearly nothing.
    let (all, bad) = ("0+1000x59", "0x11 900 1800 2700 3600x44");
    let runs = "aws_lambda_invocations_total{function_name=\"pay\"}";
    let requests = "aws_apigateway_requests_total{api_id=\"a\",api_name=\"shop\",stage=\"prod\"}";
    let answers = "aws_apigateway_errors_total{api_id=\"a\",api_name=\"shop\",stage=\"prod\",code_class=\"5xx\"}";
    let puts =
        "aws_dynamodb_request_duration_seconds_count{table_name=\"orders\",operation=\"PutItem\"}";
    let throttled =
        "aws_dynamodb_throttled_requests_total{table_name=\"orders\",operation=\"PutItem\"}";
    let writes = "aws_dynamodb_write_throttle_events_total{table_name=\"orders\"}";
    let of_function = |name: &str| format!("aws_lambda_{name}_total{{function_name=\"pay\"}}");
    let (errors, refused, dropped) = (
        of_function("errors"),
        of_function("throttles"),
        of_function("async_events_dropped"),
    );
    let cases = [
        (
            "LambdaErrorRateCritical",
            "LambdaErrorRateHigh",
            runs,
            vec![&*errors],
        ),
        (
            "LambdaAsyncEventsDropped",
            "LambdaErrorRateCritical",
            runs,
            vec![&*errors, &*dropped],
        ),
        (
            "LambdaThrottledHeavily",
            "LambdaThrottled",
            runs,
            vec![&*refused],
        ),
        (
            "ApiServerErrorRateCritical",
            "ApiServerErrorRateHigh",
            requests,
            vec![answers],
        ),
        (
            "DynamoDbRequestsThrottledHeavily",
            "DynamoDbWritesThrottled",
            puts,
            vec![throttled, writes],
        ),
    ];
    let at = "290m";
    let tests: Vec<Value> = cases
        .into_iter()
        .map(|(urgent, held, whole, parts)| {
            let series = parts.into_iter().map(|part| (part.to_owned(), bad.to_owned()));
            let case = Case {
                what: format!("{held} without {urgent}"),
                series: series.chain([(whole.to_owned(), all.to_owned())]).collect(),
                at: at.parse().unwrap(),
                step: None,
                start: None,
                labels: BTreeMap::new(),
                summary: String::new(),
                also: BTreeSet::new(),
            };
            let firing = |id: &str| format!("ALERTS{{alertname=\"{id}\",alertstate=\"firing\"}}");
            let mut test = with_series(urgent, &case).1;
            let of = "on (function_name, api_name, table_name)";
            let seen = |id: &str| json!({
                "expr": format!("count(count_over_time({}[{at}]))", firing(id)), "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": 1}],
            });
            test["promql_expr_test"] = json!([
                {
                    "expr": format!("count_over_time(({} unless {of} {})[{at}:1m])", firing(held), firing(urgent)),
                    "eval_time": at, "exp_samples": [],
                },
                seen(urgent),
                seen(held),
                {"expr": format!("{} or {}", firing(held), firing(urgent)), "eval_time": at, "exp_samples": []},
            ]);
            test
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let groups = rendered(&stack(&BTreeMap::new()));
    let rules = write(folder.path(), "rules.json", &RuleFile { groups });
    let content = json!({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests});
    let file = write(folder.path(), "test.json", &content);
    promtool(&["test", "rules"], &[&file]);
}

/// The case that fires, those that are silent, and those that are made of them.
fn tests_of(
    subject: &Subject,
    alert: &Alert,
    labels: &BTreeMap<String, String>,
) -> Vec<(u32, Value)> {
    let id = &subject.alert;
    let fires = &subject.fires;
    let mut tests = vec![firing(id, fires, labels)];
    tests.extend(subject.silent.iter().map(|case| silent(id, case)));
    let mut made = BTreeMap::new();
    made.insert(
        "absent",
        Some(Case {
            series: BTreeMap::new(),
            ..fires.clone()
        }),
    );
    if fires.series.keys().any(|name| is_counter(name)) {
        made.insert(
            "idle",
            Some(over_counters(fires, |values| {
                let last = values.iter().flatten().next_back().copied();
                vec![last; values.len()]
            })),
        );
        made.insert(
            "first seen with a past",
            Some(over_counters(fires, |values| {
                let last = values.iter().flatten().next_back().copied();
                let unseen = values.len() / 2;
                (0..values.len())
                    .map(|i| last.filter(|_| i >= unseen))
                    .collect()
            })),
        );
    }
    if let Some(healthy) = subject.silent.first() {
        made.insert(
            "a restart",
            Some(over_counters(healthy, |values| {
                let step = healthy.step.map_or(300, Duration::as_secs);
                let restart = healthy.at.as_secs().saturating_sub(SHORTLY) / step;
                let half = usize::try_from(restart).unwrap();
                let base = values.get(half).copied().flatten().unwrap_or(0.0);
                values
                    .iter()
                    .enumerate()
                    .map(|(i, value)| {
                        value.map(|value| if i >= half { value - base } else { value })
                    })
                    .collect()
            })),
        );
    }
    if (alert.counts && labels["service"] != "nightjar") || labels.contains_key("objective") {
        let mut case = fires.clone();
        case.series.insert(
            format!(
                "nightjar_exporter_catching_up{{aws_service=\"{}\"}}",
                labels["service"]
            ),
            "1x3000".to_owned(),
        );
        made.insert("catching up", Some(case));
    }
    for (why, reason) in &subject.except {
        assert!(reason.len() > 10, "{id}: {why}");
        let known = made.remove(why.as_str());
        assert!(known.is_some(), "{id}: there is no made case {why:?}");
    }
    for (what, case) in made {
        let case = case.unwrap();
        tests.push(silent(
            id,
            &Case {
                what: format!("{}: {what}", case.what),
                ..case
            },
        ));
    }
    tests
}

fn firing(id: &str, case: &Case, labels: &BTreeMap<String, String>) -> (u32, Value) {
    let mut expected = labels.clone();
    let of_resource = expected["service"] != "nightjar" && !expected.contains_key("objective");
    if of_resource || case.labels.contains_key("aws_service") {
        expected.insert("account_id".to_owned(), "111122223333".to_owned());
        expected.insert("region".to_owned(), "eu-west-1".to_owned());
    }
    expected.extend(case.labels.clone());
    let mut alerts = case.also.clone();
    alerts.insert(id.to_owned());
    let firing: Vec<Value> = alerts
        .iter()
        .map(|name| json!({"labels": format!("{{alertname=\"{name}\"}}"), "value": 1}))
        .collect();
    let (step, mut test) = with_series(id, case);
    let at = case.at.to_string();
    test["alert_rule_test"] = json!([{
        "eval_time": at, "alertname": id,
        "exp_alerts": [{"exp_labels": expected, "exp_annotations": {"summary": case.summary}}],
    }]);
    test["promql_expr_test"] = json!([{
        "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": at, "exp_samples": firing,
    }]);
    (step, test)
}

fn silent(id: &str, case: &Case) -> (u32, Value) {
    let (step, mut test) = with_series(id, case);
    let at = case.at.to_string();
    test["promql_expr_test"] = json!([{
        "expr": format!("count_over_time(ALERTS{{alertname=\"{id}\",alertstate=\"firing\"}}[{at}])"),
        "eval_time": at, "exp_samples": [],
    }]);
    (step, test)
}

fn with_series(id: &str, case: &Case) -> (u32, Value) {
    let (step, repeat) = match case.step {
        Some(step) => (step.as_secs(), 1),
        None => (60, POLL_MINUTES),
    };
    let mut series = case.series.clone();
    // Else each case would tell that the exporter is down.
    if id != "NightjarExporterDown" {
        let info = "nightjar_exporter_build_info{version=\"0.1.0\"}".to_owned();
        series.insert(info, "1x3000".to_owned());
    }
    if !["NightjarExporterDown", "NightjarNeverPolled"].contains(&id) {
        // In the future: of no other service, and never old.
        let polled = "nightjar_exporter_last_poll_success_timestamp_seconds{aws_service=\"none\"}";
        series.insert(polled.to_owned(), "9999999999x3000".to_owned());
    }
    if id != "NightjarOperatorDown" {
        let info = "nightjar_operator_build_info{version=\"0.1.0\"}".to_owned();
        series.insert(info, "1x3000".to_owned());
    }
    let series: Vec<Value> = series
        .iter()
        .map(|(name, values)| {
            let values: Vec<String> = expanded(values)
                .into_iter()
                .flat_map(|value| std::iter::repeat_n(value, repeat))
                .map(|value| value.map_or_else(|| "_".to_owned(), |value| value.to_string()))
                .collect();
            json!({"series": scraped(name), "values": values.join(" ")})
        })
        .collect();
    let mut test = json!({
        "name": format!("{id}: {}", case.what), "interval": format!("{step}s"), "input_series": series,
    });
    if let Some(start) = &case.start {
        test["start_timestamp"] = json!(start);
    }
    (step, test)
}

/// The series with the labels that Prometheus and the ServiceMonitor give it.
fn scraped(series: &str) -> String {
    let (name, own) = series
        .strip_suffix('}')
        .and_then(|series| series.split_once('{'))
        .unwrap_or((series, ""));
    let of = if name.starts_with("nightjar_operator_") {
        "namespace=\"shop\",job=\"nightjar\",service=\"nightjar\",pod=\"nightjar-7d\""
    } else {
        "namespace=\"shop\",stack=\"checkout\",job=\"checkout-exporter\",service=\"checkout-exporter\""
    };
    let mut labels = vec![of.to_owned()];
    if name.starts_with("nightjar_exporter_") {
        if !own.contains("pod=") {
            labels.push("pod=\"checkout-exporter-0\"".to_owned());
        }
        labels.push(
            "instance=\"10.0.0.7:9988\",container=\"exporter\",endpoint=\"metrics\"".to_owned(),
        );
    }
    if name.starts_with("aws_") || own.contains("aws_service") {
        labels.push("account_id=\"111122223333\",region=\"eu-west-1\"".to_owned());
    }
    if !own.is_empty() {
        labels.push(own.to_owned());
    }
    format!("{name}{{{}}}", labels.join(","))
}

/// promtool's notation as numbers: `a+bxn`, `axn`, `_xn`, and single values.
fn expanded(notation: &str) -> Vec<Option<f64>> {
    let mut all = Vec::new();
    for token in notation.split_whitespace() {
        let (value, times) = token.split_once('x').unwrap_or((token, "0"));
        let times: u32 = times.parse().unwrap_or_else(|_| panic!("{token}"));
        if value == "_" {
            all.extend(std::iter::repeat_n(None, times.max(1) as usize));
            continue;
        }
        let (from, by) = match value[1..].find(['+', '-']) {
            Some(sign) => (&value[..=sign], &value[sign + 1..]),
            None => (value, "0"),
        };
        let number = |text: &str| -> f64 { text.parse().unwrap_or_else(|_| panic!("{token}")) };
        all.extend((0..=times).map(|i| Some(number(from) + f64::from(i) * number(by))));
    }
    all
}

fn is_counter(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or_default();
    ["_total", "_sum", "_count", "_bucket"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// The case with other counters, and without quantiles: what stands still has none.
fn over_counters(case: &Case, change: impl Fn(Vec<Option<f64>>) -> Vec<Option<f64>>) -> Case {
    let series = case.series.iter().filter_map(|(name, values)| {
        if is_counter(name) {
            let values: Vec<String> = change(expanded(values))
                .into_iter()
                .map(|value| value.map_or_else(|| "_".to_owned(), |value| value.to_string()))
                .collect();
            return Some((name.clone(), values.join(" ")));
        }
        (!name.contains("quantile=")).then(|| (name.clone(), values.clone()))
    });
    Case {
        series: series.collect(),
        ..case.clone()
    }
}

#[test]
fn prometheus_reads_the_query_of_every_panel() {
    let folder = tempfile::tempdir().unwrap();
    let rules: Vec<Value> = nightjar::rules::dashboards::dashboards()
        .iter()
        .flat_map(|dashboard| &dashboard.rows)
        .flat_map(|row| &row.panels)
        .flat_map(|panel| &panel.queries)
        .enumerate()
        .map(|(i, query)| {
            json!({"record": format!("panel:{i}:query"), "expr": query.expression().replace("$window", "30m")})
        })
        .collect();
    assert!(rules.len() > 50, "{}", rules.len());
    let file = write(
        folder.path(),
        "panels.json",
        &json!({"groups": [{"name": "panels", "rules": rules}]}),
    );
    promtool(&["check", "rules"], &[&file]);
}

#[test]
fn the_chart_delivers_the_alerts_about_the_operator() {
    let rendered = |values: &[&str]| {
        let documents = crate::kube_api::template(crate::kube_api::CHART, values);
        let rules = documents
            .into_iter()
            .find(|document| document["kind"] == "PrometheusRule");
        rules.map(|rules| rules["spec"].clone())
    };
    assert!(
        rendered(&[]).is_none(),
        "without its series there is nothing to judge"
    );
    let spec = rendered(&[
        "--namespace=ops",
        "--set=metrics.serviceMonitor.enabled=true",
        "--set=metrics.rules.runbookUrl=https://example.com/",
        "--set=metrics.rules.disabled={NightjarStacksNotReady}",
    ])
    .unwrap();
    let mut expected =
        serde_json::to_value(operator::group("ops", "https://example.com/")).unwrap();
    let all = expected["rules"].as_array_mut().unwrap();
    all.retain(|rule| rule["alert"] != "NightjarStacksNotReady");
    assert_eq!(spec, json!({"groups": [expected]}));
    let without = rendered(&["--set=metrics.serviceMonitor.enabled=true"]).unwrap();
    assert!(!without.to_string().contains("runbook_url"), "{without}");
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "operator.json", &spec);
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &[&file]);
}

#[test]
fn each_dashboard_is_in_a_config_map_for_grafanas_sidecar_or_for_our_operator() {
    let rendered = |values: &[&str], kind: &str| -> Vec<Value> {
        let documents = crate::kube_api::template(crate::kube_api::CHART, values);
        let of_kind = documents.into_iter().filter(|document| {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            document["kind"] == kind && (name.contains("-dashboard-") || name.contains("-grafana-"))
        });
        of_kind.collect()
    };
    let known = nightjar::rules::dashboards::dashboards();
    let maps = rendered(&[], "ConfigMap");
    assert_eq!(maps.len(), known.len());
    let mut keys = BTreeSet::new();
    for map in &maps {
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1", "{map}");
        for (key, text) in map["data"].as_object().unwrap() {
            assert!(keys.insert(key.clone()), "{key}");
            let json: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            let dashboard = known
                .iter()
                .find(|dashboard| dashboard.uid == json["uid"])
                .unwrap();
            assert_eq!(
                json,
                nightjar::rules::dashboards::json(dashboard),
                "run make generate"
            );
        }
    }
    let selector = "--set=dashboards.grafanaInstanceSelector.matchLabels.dashboards=grafana";
    let maps = rendered(&[selector], "ConfigMap");
    assert_eq!(maps.len(), known.len());
    assert!(
        maps.iter()
            .all(|map| map["metadata"]["labels"]["grafana_dashboard"].is_null())
    );
    assert!(rendered(&["--set=dashboards.enabled=false"], "ConfigMap").is_empty());
}

#[test]
fn the_files_that_render_prints_are_read_by_the_tools_that_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let text = "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {name: checkout, namespace: shop}\nspec:\n  regions: [eu-west-1]\n  \
                select: [{tags: {app: checkout}}]\n";
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, rendered_text(text, &["--rules"]).unwrap()).unwrap();
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &[&rules]);
    let refused = rendered_text(text, &["--route"]).unwrap_err();
    assert!(refused.contains("spec.alerts.route"), "{refused}");
    let route = "  alerts: {route: {receivers: [{name: hook, webhook: {urlSecretRef: {name: a, key: b}}}], critical: hook}}\n";
    let file = folder.path().join("alertmanager.yaml");
    let printed = rendered_text(&format!("{text}{route}"), &["--route"]).unwrap();
    std::fs::write(&file, printed).unwrap();
    output(Command::new("amtool").arg("check-config").arg(&file));
}
