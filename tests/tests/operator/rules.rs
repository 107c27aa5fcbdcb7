//! Every rule of the catalogue by the real promtool: it fires when it shall, and only then. What is in the `*.test.yaml`
//! beside the rules is told in [`cases`].

mod cases;
mod delivery;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nightjar::api::ServerlessStack;
use nightjar::rules::catalogue;
use nightjar::rules::operator;
use nightjar::rules::render::{Context, Group, RuleFile, groups};
use nightjar::services::ServiceId;
use serde_json::{Value, json};

use cases::{Case, subjects, tests_of, with_series};

/// How often what compares with former weeks is evaluated here.
const WEEKLY_SECONDS: u32 = 30 * 60;

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
    let mut groups = groups(&Context::new(stack, stack.spec.collection.interval(), ""));
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

/// What is recorded of each thing of a level: the labels that single it out, and how many series at most. There are many
/// things of the first levels; of the others few.
const LEVELS: [(&str, &[&str], usize); 7] = [
    ("function", &["account_id", "region", "function_name"], 1),
    (
        "operation",
        &["account_id", "region", "table_name", "operation"],
        2,
    ),
    (
        "table",
        &[
            "account_id",
            "region",
            "table_name",
            "global_secondary_index_name",
        ],
        2,
    ),
    // One for each class of errors.
    (
        "stage",
        &[
            "account_id",
            "region",
            "api_type",
            "api_id",
            "api_name",
            "stage",
        ],
        2,
    ),
    ("region", &["account_id", "region"], 4),
    // One for each IAM action that is asked for.
    ("stack", &[], 24),
    // Two rates, the budget and what is left of it, and the ratio over four long ranges and four short ones.
    ("objective", &["objective"], 12),
];

/// The labels of recorded series that single no thing out, and how many values they have.
const PARTS: [(&str, usize); 2] = [("code_class", 2), ("action", 24)];

/// Each thing has few recorded series, however many there are of it.
fn assert_bounded(groups: &[Group], what: &str) {
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        let Some(record) = &rule.record else { continue };
        let level = record.split(':').next().unwrap_or_default();
        let (level, things, _) = *LEVELS
            .iter()
            .find(|(known, ..)| *known == level)
            .unwrap_or_else(|| panic!("{what}: {record} is of no known level"));
        let groupings = rule.expr.split(" by (").skip(1);
        let labels = groupings.filter_map(|rest| rest.split_once(')'));
        let labels: BTreeSet<&str> = labels.flat_map(|(labels, _)| labels.split(", ")).collect();
        let mut series = 1;
        for label in labels {
            let part = PARTS.iter().find(|(name, _)| *name == label);
            let is_known = things.contains(&label) || part.is_some();
            assert!(is_known, "{what}: {record} by {label}");
            series *= part.map_or(1, |(_, values)| *values);
        }
        // Each objective is a thing of its own, and some rules are for several.
        let matched = rule.expr.split_once("objective=");
        let matched = matched.and_then(|(_, rest)| rest.split('"').nth(1));
        let own = rule.labels.get("objective").map(String::as_str);
        let of = own.or(matched).unwrap_or_default();
        for thing in of.split('|') {
            *counts.entry((level, thing.to_owned())).or_default() += series;
        }
    }
    for ((level, thing), count) in counts {
        let most = LEVELS.iter().find(|(known, ..)| *known == level);
        let most = most.map_or(0, |(.., most)| *most);
        assert!(
            count <= most,
            "{what}: {count} series of each {level} {thing}"
        );
    }
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
            assert_bounded(&groups, &path.display().to_string());
            let name = format!("{}.json", files.len());
            files.push(write(folder.path(), &name, &RuleFile { groups }));
        }
    }
    assert!(files.len() >= 2, "the examples moved");
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], &files);
}

#[test]
fn each_recorded_series_has_its_value_in_a_case() {
    let subjects = subjects();
    let valued: BTreeSet<&str> = subjects.iter().flat_map(|one| one.recorded()).collect();
    let all = subjects.iter().flat_map(|one| rendered(&stack(&one.spec)));
    let all: BTreeSet<String> = all
        .flat_map(|group| group.rules)
        .filter_map(|rule| rule.record)
        .collect();
    assert_eq!(valued, all.iter().map(String::as_str).collect());
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
        let recorded = subject.recorded();
        own.retain(|group| {
            let mut rules = group.rules.iter();
            rules.any(|rule| {
                let record = rule.record.as_deref();
                rule.alert.as_ref() == Some(&subject.alert)
                    || record.is_some_and(|record| recorded.contains(record))
            })
        });
        let mut concerned = groups;
        if let Some(of) = ServiceId::from_name(&labels["service"]) {
            let others = ServiceId::ALL.into_iter().filter(|id| *id != of);
            let others: Vec<String> = others.map(|id| format!(".{}.", id.name())).collect();
            concerned.retain(|group| !others.iter().any(|other| group.name.contains(other)));
        }
        for (i, (step, test)) in tests_of(subject, alert, &labels).into_iter().enumerate() {
            // What fires is seen among all rules that its series can concern, what is silent among those beside it: it
            // takes a while.
            let groups = if i == 0 && subject.fires.step.is_none() {
                &concerned
            } else {
                &own
            };
            let rules = serde_json::to_string(&RuleFile {
                groups: groups.clone(),
            })
            .unwrap();
            let weekly = alert.expr.contains("offset 1w") || alert.expr.contains("${day}");
            let evaluated = if weekly { WEEKLY_SECONDS } else { step };
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
    // For an hour all is well, then for twenty minutes nearly nothing; and what fails in the two polls after these is
    // between the thresholds, for one pair of alerts or the other.
    let (all, bad) = ("0+1000x59", "0x11 900 1800 2700 3600 3800 3860x42");
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
                records: BTreeMap::new(),
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
