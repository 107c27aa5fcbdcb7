//! The cases are beside the rules, in `*.test.yaml`. Their series get the labels that Prometheus puts on what it
//! scrapes from an exporter, and their counters move as an exporter's do: once in a poll interval. From each case that
//! fires others are made that must be silent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nightjar::api::Duration;
use nightjar::rules::catalogue::Alert;
use serde::Deserialize;
use serde_json::{Value, json};

/// The tests of one alert.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    pub(super) alert: String,
    /// Fields of the stack's specification over those of the usual one.
    #[serde(default)]
    pub(super) spec: BTreeMap<String, Value>,
    pub(super) fires: Case,
    #[serde(default)]
    silent: Vec<Case>,
    /// The made cases that do not hold for it, each with the reason.
    #[serde(default)]
    except: BTreeMap<String, String>,
}

/// Series, and what becomes of them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) what: String,
    /// In promtool's notation, with one value for each poll of five minutes, or of `step`.
    pub(super) series: BTreeMap<String, String>,
    /// When it is looked at.
    pub(super) at: Duration,
    /// The time between two values, if it is not a poll; the rules are evaluated as often.
    pub(super) step: Option<Duration>,
    /// The wall clock at the beginning.
    pub(super) start: Option<String>,
    /// The alert's labels beyond those that all alerts of the stack have.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// The alert's summary.
    #[serde(default)]
    pub(super) summary: String,
    /// Other alerts that fire for the same reason and are inhibited.
    #[serde(default)]
    pub(super) also: BTreeSet<String>,
    /// What is recorded then: series without the stack's own labels, and their values.
    #[serde(default)]
    pub(super) records: BTreeMap<String, f64>,
}

impl Subject {
    /// The names of what its cases find recorded.
    pub(super) fn recorded(&self) -> BTreeSet<&str> {
        let cases = [&self.fires].into_iter().chain(&self.silent);
        cases
            .flat_map(|case| case.records.keys())
            .map(|series| series.split('{').next().unwrap_or_default())
            .collect()
    }
}

/// A poll in minutes; the series have a sample for each minute.
const POLL_MINUTES: usize = 5;

/// What happens shortly before a case is looked at, happens half an hour before.
const SHORTLY: u32 = 30 * 60;

pub(super) fn subjects() -> Vec<Subject> {
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

/// The case that fires, those that are silent, and those that are made of them.
pub(super) fn tests_of(
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
                records: BTreeMap::new(),
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
    let mut queries = vec![json!({
        "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": at, "exp_samples": firing,
    })];
    queries.extend(recorded(case));
    test["promql_expr_test"] = json!(queries);
    (step, test)
}

fn silent(id: &str, case: &Case) -> (u32, Value) {
    let (step, mut test) = with_series(id, case);
    let at = case.at.to_string();
    let mut queries = vec![json!({
        "expr": format!("count_over_time(ALERTS{{alertname=\"{id}\",alertstate=\"firing\"}}[{at}])"),
        "eval_time": at, "exp_samples": [],
    })];
    queries.extend(recorded(case));
    test["promql_expr_test"] = json!(queries);
    (step, test)
}

/// A query for each series that is recorded; rounded, for the noise of binary fractions.
fn recorded(case: &Case) -> impl Iterator<Item = Value> {
    let at = case.at.to_string();
    case.records.iter().map(move |(series, value)| {
        let (_, own) = name_and_labels(series);
        let labels = ["namespace=\"shop\"", "stack=\"checkout\"", own];
        let labels: Vec<&str> = labels.into_iter().filter(|part| !part.is_empty()).collect();
        json!({
            "expr": format!("round({series}, 0.000001)"), "eval_time": at,
            "exp_samples": [{"labels": format!("{{{}}}", labels.join(",")), "value": value}],
        })
    })
}

/// A series' name, and what is between its braces.
fn name_and_labels(series: &str) -> (&str, &str) {
    series
        .strip_suffix('}')
        .and_then(|series| series.split_once('{'))
        .unwrap_or((series, ""))
}

pub(super) fn with_series(id: &str, case: &Case) -> (u32, Value) {
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
    let (name, own) = name_and_labels(series);
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
