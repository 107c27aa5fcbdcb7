//! `nightjar plan` says what the exporter then does, and what it lacks to do so.

use std::collections::BTreeMap;
use std::process::Output;

use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::meter::Reading;
use serde_json::{Value, json};

use crate::harness::{Exporter, nightjar, simulator, stack};

const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        generated: [{functions: 120, prefix: shop-, per_minute: 600, errors: 0}]
        functions:
          - {name: shop-slow, timeout: 15m, traffic: {steady: {per_minute: 600}}, duration: {p50_ms: 33}}
          - {name: other, traffic: {steady: {per_minute: 60}}}
        tables:
          - {name: shop-orders, traffic: {GetItem: {steady: {per_minute: 600}}, PutItem: {steady: {per_minute: 600}}}}
        rest_apis:
          - {name: shop-api, id: aaaaaaaaaa, stages: [{name: prod, traffic: {steady: {per_minute: 600}}}]}
        http_apis:
          - {name: shop-front, id: bbbbbbbbbb, stages: [{name: $default, traffic: {steady: {per_minute: 600}}}]}
      us-east-1:
        functions:
          - {name: shop-far, traffic: {steady: {per_minute: 600}}, duration: {p50_ms: 33}}
  - id: "444455556666"
    roles:
      - {name: nightjar-read, external_id: shop-7f3a, deny: ["dynamodb:*", "cloudwatch:GetMetricData"]}
    regions:
      eu-west-1:
        functions:
          - {name: shop-b, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}}
"#;

// Without the account's errors, of which there are none: everything is in use all the time, as the plan supposes.
const STACK: &str = "regions: [eu-west-1, us-east-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m, discoveryInterval: 1h}\nservices: {lambda: {}, apigateway: {}, dynamodb: {optional: [operations, throttleReasons, conditions]}}";
const OTHER_ACCOUNT: &str = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\naccounts:\n- {}\n- roleArn: arn:aws:iam::444455556666:role/nightjar-read\n  externalIdSecretRef: {name: x, key: y}";

async fn plan(simulator: &Simulator, stack: &str, more: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("1"), "shop-7f3a\n").unwrap();
    let file = dir.path().join("stack.yaml");
    std::fs::write(&file, stack).unwrap();
    tokio::process::Command::new(nightjar())
        .args(["plan", "-f"])
        .arg(&file)
        .arg("--external-ids")
        .arg(dir.path())
        .args(more)
        .env("AWS_ENDPOINT_URL", simulator.url())
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .output()
        .await
        .unwrap()
}

async fn report(simulator: &Simulator, spec: &str, code: i32) -> Value {
    let output = plan(simulator, &stack(spec), &["-o", "json"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}\n{report}");
    serde_json::from_str(&report).unwrap()
}

fn current(target: &Value) -> Value {
    let rates = target["intervals"].as_array().unwrap();
    rates
        .iter()
        .find(|rate| rate["current"] == true)
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plan_counts_is_what_the_exporter_does() {
    let simulator = simulator(ACCOUNT).await;
    let report = report(&simulator, STACK, 0).await;
    // Discovery asked what the plan says, and metrics were not polled but for the one request that
    // shows that they may be.
    let mut asked: BTreeMap<(String, String), u64> = BTreeMap::new();
    for reading in simulator.meter() {
        let action = match reading.api.as_str() {
            api if api.starts_with("apigateway") => "apigateway:GET",
            api => api,
        };
        *asked
            .entry((reading.region.clone(), action.to_owned()))
            .or_default() += reading.requests;
        if action == "cloudwatch:GetMetricData" {
            assert_eq!((reading.requests, reading.metrics_billed), (1, 1));
        }
    }
    for target in report["targets"].as_array().unwrap() {
        let region = target["region"].as_str().unwrap();
        for requests in target["requests"].as_array().unwrap() {
            let action = requests["action"].as_str().unwrap();
            if action != "cloudwatch:GetMetricData" {
                assert_eq!(
                    Some(requests["perRound"].as_u64().unwrap()),
                    asked.get(&(region.to_owned(), action.to_owned())).copied(),
                    "{region} {action}"
                );
            }
        }
    }
    assert_eq!(report["resources"], 125);
    assert_eq!(
        report["targets"][0]["services"]["lambda"]["kinds"]["function"],
        121
    );

    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    let planned = current(&report)["usdPerMonth"].as_f64().unwrap();
    exporter
        .until("the exporter forecasts what is planned", async |e| {
            let forecast = e.status().await["spend"]["forecastUsdPerMonth"].as_f64();
            let differs = (forecast.unwrap() - planned).abs() > 1e-6;
            if differs {
                eprintln!("planned {planned}, forecast {forecast:?}");
            }
            !differs
        })
        .await;
    // Gauges without a value, and what never happened, are absent.
    let published = exporter.status().await["series"].as_u64();
    let planned = report["series"].as_u64();
    assert!(
        published > Some(0) && published <= planned,
        "{published:?} of {planned:?}"
    );
    // Beyond the polls, each counter and distribution is compared once a day: not the gauges.
    let lambda = &report["targets"][1]["intervals"][0];
    assert_eq!(
        (&lambda["metricsPerPoll"], &lambda["metricsPerAudit"]),
        (&json!(8), &json!(4))
    );
    // Whole polls lie between some two looks at the meter, wherever in a poll the first look was.
    let mut looks = Vec::new();
    exporter
        .until("whole polls ask and cost what is planned", async |_| {
            looks.push(simulator.meter());
            let now = looks.last().unwrap();
            report["targets"].as_array().unwrap().iter().all(|target| {
                let (rate, after) = (current(target), asked_in(now, &target["region"]));
                let (calls, metrics) = (
                    rate["callsPerPoll"].as_u64().unwrap(),
                    rate["metricsPerPoll"].as_u64().unwrap(),
                );
                looks.iter().any(|look| {
                    let before = asked_in(look, &target["region"]);
                    let polls = (after.0 - before.0) / calls;
                    polls >= 3
                        && after.0 - before.0 == polls * calls
                        && after.1 - before.1 == polls * metrics
                })
            })
        })
        .await;
}

/// Requests for metrics in a region, and the metrics that were billed for them.
fn asked_in(meter: &[Reading], region: &Value) -> (u64, u64) {
    let of_region = meter
        .iter()
        .filter(|r| r.api == "cloudwatch:GetMetricData" && r.region == *region);
    of_region.fold((0, 0), |sum, r| {
        (sum.0 + r.requests, sum.1 + r.metrics_billed)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_missing_action_is_named_with_the_policy_that_allows_it() {
    let simulator = simulator(ACCOUNT).await;
    let report = report(&simulator, OTHER_ACCOUNT, 1).await;
    let role = "arn:aws:iam::444455556666:role/nightjar-read";
    let missing = report["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0]["identity"], role);
    // All of them at once, although ListTables is denied before DescribeTable is ever needed.
    let actions = json!([
        "cloudwatch:GetMetricData",
        "dynamodb:DescribeLimits",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "dynamodb:ListTables"
    ]);
    assert_eq!(missing[0]["actions"], actions);
    assert_eq!(missing[0]["policy"]["Statement"][0]["Action"], actions);
    assert_eq!(missing[0]["policy"]["Version"], "2012-10-17");
    // What is allowed is planned all the same, there and in the other account.
    for target in report["targets"].as_array().unwrap() {
        assert!(
            target["services"]["lambda"]["resources"].as_u64().unwrap() > 0,
            "{target}"
        );
    }
    let output = plan(&simulator, &stack(OTHER_ACCOUNT), &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\"dynamodb:DescribeTable\"") && text.contains(role),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_assumed_is_told_and_the_other_account_is_planned() {
    let simulator = simulator(&ACCOUNT.replace("shop-7f3a", "another")).await;
    let report = report(&simulator, OTHER_ACCOUNT, 1).await;
    assert_eq!(report["missing"][0]["actions"], json!(["sts:AssumeRole"]));
    assert_eq!(
        report["missing"][0]["policy"]["Statement"][0]["Resource"],
        "arn:aws:iam::444455556666:role/nightjar-read"
    );
    assert_eq!(report["resources"], 124);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_selects_nothing_ends_with_1_and_a_bad_file_with_2() {
    let simulator = simulator(ACCOUNT).await;
    let nothing = "regions: [eu-west-1]\nselect: [{names: [nobody]}]";
    assert_eq!(report(&simulator, nothing, 1).await["resources"], 0);
    let output = plan(&simulator, &stack("regions: []\nselect: []"), &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("spec.regions"), "{said}");
}
