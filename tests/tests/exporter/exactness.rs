//! Counters equal AWS's final truth, whatever happens between two scrapes.

use std::collections::BTreeMap;
use std::time::Duration;

use nightjar_tests::simulator::account::AccountFile;
use nightjar_tests::simulator::faults::{Effect, Fault};
use nightjar_tests::truth::source;

use crate::follow::{ACCOUNT, Follower, STACK, next_minute, open, seen_while_closed};
use crate::harness::{Exporter, simulator, stack, value};

#[tokio::test(flavor = "multi_thread")]
async fn every_counter_ends_at_the_truth_and_is_within_its_bounds_at_every_scrape() {
    let (simulator, exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 300).await;
    let (compared, moved) = Follower::new(&simulator, opened, opened + 300)
        .until_final(&exporter)
        .await;
    assert!(
        compared >= 40 && moved >= 25,
        "only {moved} of {compared} counters moved"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttles_resets_and_broken_answers_lose_nothing_and_count_nothing_twice() {
    let (simulator, exporter) = seen_while_closed().await;
    let fault = |effect, probability| Fault {
        probability: Some(probability),
        ..Fault::always("cloudwatch:GetMetricData", effect)
    };
    simulator.set_faults(vec![
        // So often that all attempts of some calls fail.
        fault(Effect::Throttle, 0.3),
        fault(Effect::Reset, 0.3),
        fault(Effect::Truncate, 0.2),
        fault(Effect::Corrupt, 0.2),
        fault(Effect::PartialData, 0.3),
        fault(Effect::InternalError, 0.3),
    ]);
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 600).await;
    let faults_end = opened + 600;
    let mut follower = Follower::new(&simulator, opened, opened + 600);
    let follows = follower.until_final(&exporter);
    let heals = async {
        while simulator.now_ms() < faults_end * 1000 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        simulator.set_faults(Vec::new());
    };
    let ((_, moved), ()) = tokio::join!(follows, heals);
    assert!(moved >= 25, "only {moved} counters moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_cloudwatch_is_made_up_for_when_it_ends() {
    let (simulator, exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 900).await;
    let down = |effect| Fault::always("cloudwatch:*", effect);
    simulator.set_faults(vec![down(Effect::Error { status: 503 })]);
    exporter
        .until("the outage is told", async |e| {
            e.problems()
                .await
                .iter()
                .any(|p| p.starts_with("ServerError"))
        })
        .await;
    let middle = opened + 600;
    let counters = async || {
        exporter
            .scrape()
            .await
            .into_iter()
            // The times say how old they are.
            .filter(|(s, _)| {
                source(s).is_some()
                    || s.name == "nightjar_exporter_counted_through_timestamp_seconds"
                    || s.name == "nightjar_exporter_last_poll_success_timestamp_seconds"
            })
            .collect::<BTreeMap<_, _>>()
    };
    let last_good = counters().await;
    while simulator.now_ms() < middle * 1000 {
        assert_eq!(
            counters().await,
            last_good,
            "last good data stay while CloudWatch is down"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    simulator.set_faults(Vec::new());
    let caught_up = async |e: &Exporter| {
        e.scrape()
            .await
            .iter()
            .any(|(s, v)| s.name == "nightjar_exporter_catching_up" && *v == 1.0)
    };
    exporter
        .until("it says that it catches up", caught_up)
        .await;
    let (_, moved) = Follower::new(&simulator, opened, opened + 900)
        .until_final(&exporter)
        .await;
    assert!(moved >= 25, "only {moved} counters moved");
    assert_eq!(exporter.problems().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_deployed_later_starts_at_zero_and_loses_no_invocation() {
    let line = |line: &&str| !line.contains("name: shop-busy, ");
    let without: String = ACCOUNT.split_inclusive('\n').filter(line).collect();
    let simulator = simulator(&without).await;
    open(&simulator, 0, 0).await;
    // So that the start is held for ten minutes unless a scrape comes.
    let spec = format!("{STACK}\nmonitoring: {{scrapeInterval: 5m}}");
    let exporter = Exporter::start(&simulator, &stack(&spec)).await;
    exporter.until_polled().await;
    exporter.scrape().await;
    let lambda = async || exporter.status().await["targets"][0]["services"]["lambda"].clone();
    let functions = lambda().await["resources"].as_u64().unwrap();
    simulator
        .replace_account(&AccountFile::parse("later", ACCOUNT).unwrap())
        .unwrap();
    // Its first invocation comes before anybody has found it.
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 600).await;
    exporter
        .until("the new function is found", async |_| {
            lambda().await["resources"].as_u64().unwrap() > functions
        })
        .await;
    let found = lambda().await["lastPoll"].as_i64().unwrap();
    exporter
        .until("it was polled twice", async |_| {
            lambda().await["lastPoll"].as_i64().unwrap() > found + 90
        })
        .await;
    // It was invoked for minutes; the first scrape sees it start all the same.
    let samples = exporter.scrape().await;
    let invocations = |name| {
        value(
            &samples,
            "aws_lambda_invocations_total",
            "function_name",
            name,
        )
    };
    assert_eq!(invocations("shop-busy"), Some(0.0));
    let (_, moved) = Follower::new(&simulator, opened, opened + 600)
        .until_final(&exporter)
        .await;
    assert!(moved >= 25, "only {moved} counters moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_function_leaves_and_the_others_stay() {
    let simulator = simulator(ACCOUNT).await;
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    let invocations = async |exporter: &Exporter, name: &str| {
        value(
            &exporter.scrape().await,
            "aws_lambda_invocations_total",
            "function_name",
            name,
        )
    };
    assert!(invocations(&exporter, "shop-idle").await.is_some());
    let without = ACCOUNT.replace("name: shop-idle, ", "name: was-idle, ");
    simulator
        .replace_account(&AccountFile::parse("later", &without).unwrap())
        .unwrap();
    exporter
        .until("the series is gone", async |e| {
            invocations(e, "shop-idle").await.is_none()
        })
        .await;
    assert!(invocations(&exporter, "shop-busy").await.is_some());
}
