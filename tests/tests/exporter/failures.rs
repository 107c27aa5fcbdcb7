//! What fails is told, with the remedy, and takes nothing else down.

use std::collections::BTreeMap;
use std::time::Duration;

use nightjar_tests::http;
use nightjar_tests::samples::Series;
use nightjar_tests::simulator::faults::{Effect, Fault};
use nightjar_tests::simulator::meter::Reading;
use nightjar_tests::truth::source;

use crate::harness::{Exporter, ended, label_values, nightjar, simulator, stack, value};

const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        functions:
          - {name: shop-a, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}}
        tables:
          - {name: shop-t, traffic: {GetItem: {steady: {per_minute: 100}}}}
  - id: "444455556666"
    roles:
      - {name: nightjar-read, external_id: shop-7f3a}
    regions:
      eu-west-1:
        functions:
          - {name: shop-b, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}}
  - id: "777788889999"
    roles:
      - {name: nightjar-read}
    regions:
      eu-west-1:
        functions:
          - {name: shop-c, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}}
"#;

const STACK: &str = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m, discoveryInterval: 1m}";

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_action_is_named_and_the_other_services_go_on() {
    let simulator = simulator(ACCOUNT).await;
    simulator.set_faults(vec![Fault::always(
        "lambda:ListFunctions",
        Effect::AccessDenied,
    )]);
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter
        .until("the denial is told", async |e| {
            e.problems()
                .await
                .contains(&"AccessDenied lambda:ListFunctions".to_owned())
        })
        .await;
    let message = exporter.status().await["targets"][0]["problems"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("Allow the action lambda:ListFunctions"),
        "{message}"
    );
    exporter
        .until("the table is published", async |e| {
            value(
                &e.scrape().await,
                "aws_dynamodb_consumed_read_capacity_units_total",
                "table_name",
                "shop-t",
            )
            .is_some()
        })
        .await;
    let failures = exporter.scrape().await;
    let denied = value(
        &failures,
        "nightjar_exporter_aws_request_failures_total",
        "reason",
        "AccessDenied",
    );
    assert!(denied.is_some_and(|count| count > 0.0));
    simulator.set_faults(Vec::new());
    exporter
        .until("the function is published", async |e| {
            value(
                &e.scrape().await,
                "aws_lambda_invocations_total",
                "function_name",
                "shop-a",
            )
            .is_some()
        })
        .await;
    exporter
        .until("no problem is left", async |e| {
            e.problems().await.is_empty()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aws_that_cannot_be_reached_leaves_the_exporter_serving_and_is_found_when_it_is_back() {
    let simulator = simulator(ACCOUNT).await;
    simulator.set_faults(vec![Fault::always("*", Effect::Reset)]);
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter
        .until("it is told", async |e| {
            e.problems()
                .await
                .iter()
                .any(|p| p.starts_with("Unreachable"))
        })
        .await;
    assert!(
        exporter
            .scrape()
            .await
            .keys()
            .any(|series| series.name == "nightjar_exporter_build_info")
    );
    simulator.set_faults(Vec::new());
    exporter.until_polled().await;
    exporter
        .until("no problem is left", async |e| {
            e.problems().await.is_empty()
        })
        .await;
}

/// All counters, and when each service was last polled and up to when it is counted.
async fn last_good(exporter: &Exporter) -> BTreeMap<Series, f64> {
    let mut samples = exporter.scrape().await;
    samples.retain(|series, _| {
        source(series).is_some()
            || series.name == "nightjar_exporter_last_poll_success_timestamp_seconds"
            || series.name == "nightjar_exporter_counted_through_timestamp_seconds"
    });
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloudwatch_that_does_not_answer_in_time_is_told_and_last_good_data_stay_with_their_age()
{
    let simulator = simulator(ACCOUNT).await;
    let dir = tempfile::tempdir().unwrap();
    // Three seconds of the simulator's, who then answers after a minute.
    let environment = [("NIGHTJAR_AWS_TIMEOUT", "3m")];
    // Where there is nothing to ask for, a poll succeeds.
    let spec = format!("{STACK}\nservices: {{lambda: {{}}, dynamodb: {{}}}}");
    let exporter = Exporter::start_with(dir, &simulator, &stack(&spec), &environment).await;
    exporter
        .until("invocations are counted", async |e| {
            let samples = e.scrape().await;
            let name = "aws_lambda_invocations_total";
            value(&samples, name, "function_name", "shop-a").is_some_and(|count| count > 0.0)
        })
        .await;
    let stall = Effect::Stall { seconds: 60.0 };
    simulator.set_faults(vec![Fault::always("cloudwatch:GetMetricData", stall)]);
    exporter
        .until("the timeout is told", async |e| {
            e.problems()
                .await
                .contains(&"Timeout cloudwatch:GetMetricData".to_owned())
        })
        .await;
    let good = last_good(&exporter).await;
    assert!(good.len() >= 6, "{good:?}");
    let later = simulator.now_ms() + 10 * 60_000;
    while simulator.now_ms() < later {
        assert_eq!(last_good(&exporter).await, good);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let page = http::request("GET", &exporter.at("/"), &[], "").await;
    let page = String::from_utf8(page.unwrap().to_vec()).unwrap();
    let ages: Vec<u32> = page
        .split(" min ago")
        .filter_map(|before| {
            before
                .rsplit(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .collect();
    assert!(ages.iter().any(|minutes| *minutes >= 10), "{page}");
    simulator.set_faults(Vec::new());
    exporter
        .until("it goes on", async |e| {
            e.problems().await.is_empty() && last_good(e).await != good
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_instead_of_resources_takes_none_away_and_polling_goes_on() {
    let simulator = simulator(ACCOUNT).await;
    let spec = format!("{STACK}\ntags: [team]");
    let exporter = Exporter::start(&simulator, &stack(&spec)).await;
    exporter.until_polled().await;
    let invocations = async |exporter: &Exporter| {
        value(
            &exporter.scrape().await,
            "aws_lambda_invocations_total",
            "function_name",
            "shop-a",
        )
        .expect("the function is published")
    };
    for effect in [
        Effect::Corrupt,
        Effect::Truncate,
        Effect::Error { status: 502 },
    ] {
        let apis = ["lambda:*", "dynamodb:*", "tag:*", "sts:*"];
        simulator.set_faults(apis.map(|api| Fault::always(api, effect.clone())).to_vec());
        exporter
            .until("both services' failures are told", async |e| {
                let problems = e.problems().await;
                ["lambda:ListFunctions", "dynamodb:ListTables"]
                    .iter()
                    .all(|action| problems.iter().any(|p| p.ends_with(action)))
            })
            .await;
        let counted = invocations(&exporter).await;
        exporter
            .until("it goes on counting", async |e| {
                invocations(e).await > counted + 180.0
            })
            .await;
        assert!(!exporter.problems().await.is_empty());
        simulator.set_faults(Vec::new());
        exporter
            .until("no problem is left", async |e| {
                e.problems().await.is_empty()
            })
            .await;
    }
}

/// When each service's resources were last found, all of them, in seconds since 1970.
async fn last_found(exporter: &Exporter, service: &str) -> f64 {
    let name = "nightjar_exporter_last_discovery_success_timestamp_seconds";
    let samples = exporter.scrape().await;
    value(&samples, name, "aws_service", service).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_round_that_finds_all_is_a_discovery_that_succeeded() {
    let simulator = simulator(ACCOUNT).await;
    let spec = STACK.replace(
        "[{names: [\"shop-*\"]}]",
        "[{names: [\"shop-*\"]}, {tags: {app: shop}}]",
    );
    let exporter = Exporter::start(&simulator, &stack(&spec)).await;
    exporter.until_polled().await;
    exporter.until_well().await;
    let whole = async |e: &Exporter| e.status().await["targets"][0]["lastDiscovery"].as_i64();

    simulator.set_faults(vec![Fault::always(
        "lambda:ListFunctions",
        Effect::AccessDenied,
    )]);
    exporter
        .until_told("AccessDenied lambda:ListFunctions")
        .await;
    let before = (
        last_found(&exporter, "lambda").await,
        whole(&exporter).await,
    );
    let other = last_found(&exporter, "dynamodb").await;
    exporter
        .until("the other service is looked up three times", async |e| {
            last_found(e, "dynamodb").await > other + 180.0
        })
        .await;
    assert_eq!(
        (
            last_found(&exporter, "lambda").await,
            whole(&exporter).await
        ),
        before
    );
    simulator.set_faults(Vec::new());
    exporter
        .until("it succeeds again", async |e| {
            last_found(e, "lambda").await > before.0 && whole(e).await > before.1
        })
        .await;

    // Of which resources belong to the stack a part is not known.
    exporter.until_well().await;
    simulator.set_faults(vec![Fault::always("tag:*", Effect::AccessDenied)]);
    exporter.until_told("AccessDenied tag:GetResources").await;
    let now = async |e: &Exporter| {
        (
            last_found(e, "lambda").await,
            last_found(e, "dynamodb").await,
            whole(e).await,
        )
    };
    let before = now(&exporter).await;
    simulator.reset_meter();
    exporter
        .until("it looked three times", async |_| {
            let looked =
                |reading: &Reading| reading.api == "lambda:ListFunctions" && reading.requests >= 3;
            simulator.meter().iter().any(looked)
        })
        .await;
    assert_eq!(now(&exporter).await, before);
}

/// The settings of tables and of stages of APIs.
async fn settings(exporter: &Exporter) -> BTreeMap<Series, f64> {
    let mut samples = exporter.scrape().await;
    samples.retain(|series, _| {
        let name = &series.name;
        [
            "aws_dynamodb_table_info",
            "aws_dynamodb_table_items",
            "aws_apigateway_stage_info",
        ]
        .contains(&name.as_str())
    });
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_read_stay_as_they_were() {
    let simulator = simulator(crate::follow::ACCOUNT).await;
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    exporter.until_well().await;
    let good = settings(&exporter).await;
    assert_eq!(good.len(), 4, "{good:#?}");
    let apis = [
        "dynamodb:DescribeTable",
        "apigateway:GetStages",
        "apigatewayv2:GetStages",
    ];
    simulator.set_faults(
        apis.map(|api| Fault::always(api, Effect::AccessDenied))
            .to_vec(),
    );
    exporter
        .until_told("AccessDenied dynamodb:DescribeTable")
        .await;
    exporter.until_told("AccessDenied apigateway:GET").await;
    simulator.reset_meter();
    exporter
        .until("it looked three times", async |e| {
            assert_eq!(settings(e).await, good);
            let looked = |reading: &Reading| {
                reading.api == "dynamodb:DescribeTable" && reading.requests >= 3
            };
            simulator.meter().iter().any(looked)
        })
        .await;
    simulator.set_faults(Vec::new());
    exporter.until_well().await;
    assert_eq!(settings(&exporter).await, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_three_whose_role_is_refused_does_not_disturb_the_others() {
    let simulator = simulator(ACCOUNT).await;
    let three = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m}\naccounts:\n- {}\n- roleArn: arn:aws:iam::444455556666:role/nightjar-read\n  externalIdSecretRef: {name: x, key: y}\n- roleArn: arn:aws:iam::777788889999:role/nightjar-read";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("1"), "wrong-id\n").unwrap();
    let exporter = Exporter::start_in(dir, &simulator, &stack(three)).await;
    exporter
        .until("the refusal is told", async |e| {
            e.problems().await == ["AccessDenied sts:AssumeRole"]
        })
        .await;
    exporter
        .until("the other accounts are published", async |e| {
            label_values(
                &e.scrape().await,
                "aws_lambda_invocations_total",
                "account_id",
            ) == ["111122223333", "777788889999"]
        })
        .await;
    // The right external id is taken over without a restart.
    std::fs::write(exporter.dir.path().join("1"), "shop-7f3a\n").unwrap();
    exporter
        .until("all accounts are published", async |e| {
            label_values(
                &e.scrape().await,
                "aws_lambda_invocations_total",
                "account_id",
            ) == ["111122223333", "444455556666", "777788889999"]
        })
        .await;
}

#[test]
fn a_file_that_is_not_a_stack_ends_with_2_and_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pod.yaml");
    std::fs::write(&path, "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n").unwrap();
    let mut command = std::process::Command::new(nightjar());
    command.args(["exporter", "--listen", "127.0.0.1:0", "--config"]);
    let output = ended(command.arg(&path));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("line 1") && said.contains("nightjar.dev/v1alpha1"),
        "{said}"
    );
}
