//! What need not be asked is not asked, and lost neither; what may not be spent is not spent.

use std::fmt::Write as _;

use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::faults::{Effect, Fault};
use serde_json::Value;

use crate::follow::{Follower, next_minute, open};
use crate::harness::{Exporter, simulator, stack};

/// Forty functions, one of which fails at certain times, and one that is hardly ever called.
fn account(incidents: &str) -> String {
    let mut functions = String::new();
    for number in 0..40 {
        let _ = writeln!(
            functions,
            "          - {{name: shop-{number}, timeout: 10s, traffic: {{steady: {{per_minute: 60}}}}, duration: {{p50_ms: 20}}}}"
        );
    }
    format!(
        "seed: 5\naccounts:\n  - id: \"111122223333\"\n    regions:\n      eu-west-1:\n        lateness:\n          \
         lambda: {{settle: 3m, aggregate_lag: 90s}}\n        functions:\n{functions}          \
         - {{name: shop-idle, timeout: 10s, traffic: {{idle: {{per_day: 20}}}}, duration: {{p50_ms: 20}}}}\n        \
         incidents: [{incidents}]\n"
    )
}

const LAMBDA: &str =
    "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\nservices: {lambda: {optional: []}}";

/// Metrics that were billed so far.
fn billed(simulator: &Simulator) -> u64 {
    let meter = simulator.meter();
    meter.iter().map(|reading| reading.metrics_billed).sum()
}

async fn spend(exporter: &Exporter) -> Value {
    exporter.status().await["spend"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_no_function_has_are_not_paid_for_and_those_that_one_has_are_counted() {
    let incident = "{what: errors, on: [shop-7], share: 0.5, every: 1d, at: 10h30m, lasts: 3m}, \
                    {what: throttles, on: [shop-9], share: 0.5, every: 1d, at: 10h30m, lasts: 3m}";
    let simulator = simulator(&account(incident)).await;
    open(&simulator, 0, 0).await;
    let exporter = Exporter::start(
        &simulator,
        &stack(&format!("{LAMBDA}\ncollection: {{interval: 1m}}")),
    )
    .await;
    exporter.until_polled().await;
    exporter.scrape().await;
    let opened = next_minute(&simulator);
    let end = opened + 2700;
    open(&simulator, opened, end).await;
    // Of five metrics of each function, those of errors and throttles are ruled out.
    exporter
        .until(
            "errors are not asked for while there are none",
            async |_| {
                simulator.reset_meter();
                let begun = simulator.now_ms();
                while simulator.now_ms() < begun + 180_000 {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                // A poll is one request here.
                simulator.meter().iter().any(|polls| {
                    let all = polls.requests * 40..=polls.requests * (40 * 3 + 5 + 2);
                    polls.api == "cloudwatch:GetMetricData"
                        && polls.requests >= 2
                        && all.contains(&polls.metrics_billed)
                })
            },
        )
        .await;
    let mut follower = Follower::new(&simulator, opened, end);
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 82, "only {moved} counters moved");
    let failed = |name: &str, function: &str| {
        let of = follower
            .last()
            .iter()
            .find(|(s, _)| s.name == name && s.label("function_name") == function);
        of.map(|(_, value)| *value).unwrap()
    };
    assert!(failed("aws_lambda_errors_total", "shop-7") > 0.0);
    assert!(failed("aws_lambda_throttles_total", "shop-9") > 0.0);
    assert_eq!(failed("aws_lambda_errors_total", "shop-8"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_makes_polling_slower_when_things_fail_and_loses_nothing() {
    let incident = "{what: errors, on: [shop-7], share: 0.5, every: 1d, at: 10h20m, lasts: 20m}";
    let simulator = simulator(&account(incident)).await;
    open(&simulator, 0, 0).await;
    // About 125 metrics a poll: every five minutes that is $10.80, every minute $54; with errors $14.30.
    let spec = format!("{LAMBDA}\ncollection: {{interval: 1m, budgetUsdPerMonth: \"13\"}}");
    let exporter = Exporter::start(&simulator, &stack(&spec)).await;
    exporter.until_polled().await;
    exporter.scrape().await;
    let begun = (simulator.now_ms(), billed(&simulator));
    let opened = next_minute(&simulator);
    let end = opened + 2400;
    open(&simulator, opened, end).await;
    exporter
        .until("it polls every five minutes", async |e| {
            spend(e).await["intervalSeconds"] == 300
        })
        .await;
    let mut slower = false;
    let mut follower = Follower::new(&simulator, opened, end);
    let until = follower.until_final(&exporter);
    let look = async {
        while simulator.now_ms() < end * 1000 {
            slower |= spend(&exporter).await["intervalSeconds"] == 600;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let ((_, moved), ()) = tokio::join!(until, look);
    assert!(moved >= 80, "only {moved} counters moved");
    assert!(slower, "errors cost more, so polls are rarer");
    assert_eq!(
        spend(&exporter).await["leastBudgetUsdPerMonth"],
        Value::Null
    );
    // A poll asks for five metrics of each function and a few of the region at most.
    let minutes = (simulator.now_ms() - begun.0) / 60_000;
    let polls = u64::try_from(minutes).unwrap() / 5 + 2;
    let asked = billed(&simulator) - begun.1;
    assert!(
        asked <= polls * (41 * 5 + 7),
        "{asked} metrics in {minutes} minutes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_that_fail_again_and_again_use_up_what_was_saved_and_then_wait_for_the_budget() {
    let simulator = simulator(&account("")).await;
    open(&simulator, 0, 0).await;
    let spec = format!("{LAMBDA}\ncollection: {{interval: 1m, budgetUsdPerMonth: \"13\"}}");
    let exporter = Exporter::start(&simulator, &stack(&spec)).await;
    exporter.until_polled().await;
    exporter.scrape().await;
    // A poll is one request here, of 125 metrics at least, and is tried every 30 seconds while it fails.
    let polls = || {
        let meter = simulator.meter().into_iter();
        let polls = meter.filter(|reading| reading.api == "cloudwatch:GetMetricData");
        polls.map(|reading| reading.requests).sum::<u64>()
    };
    let denied = Fault::always("cloudwatch:GetMetricData", Effect::AccessDenied);
    simulator.set_faults(vec![denied]);
    simulator.reset_meter();
    exporter
        .until_told("BudgetStretched cloudwatch:GetMetricData")
        .await;
    let quickly = polls();
    assert!(quickly > 20, "{quickly} polls before it waits");
    let begun = simulator.now_ms();
    exporter
        .until("a quarter of an hour has passed", async |_| {
            simulator.now_ms() > begun + 900_000
        })
        .await;
    let seconds = (simulator.now_ms() - begun) / 1000;
    let most = u64::try_from(seconds).unwrap() * 1_300_000 / (31 * 86_400) / 125 + 2;
    let slowly = polls() - quickly;
    assert!(
        slowly <= most,
        "{slowly} polls in {seconds} s, {most} can be paid"
    );
    // What was not asked for meanwhile is asked for later.
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 600).await;
    simulator.set_faults(Vec::new());
    exporter.until_well().await;
    let mut follower = Follower::new(&simulator, opened, opened + 600);
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 80, "only {moved} counters moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_too_small_says_which_one_would_do_and_nothing_is_polled() {
    let simulator = simulator(&account("")).await;
    let of = |budget: &str| {
        stack(&format!(
            "{LAMBDA}\ncollection: {{interval: 1m, budgetUsdPerMonth: \"{budget}\"}}"
        ))
    };
    let exporter = Exporter::start(&simulator, &of("0.5")).await;
    exporter
        .until("the least budget is told", async |e| {
            spend(e).await["leastBudgetUsdPerMonth"].is_f64()
        })
        .await;
    let least = spend(&exporter).await["leastBudgetUsdPerMonth"]
        .as_f64()
        .unwrap();
    let looked = async |e: &Exporter| e.status().await["targets"][0]["lastDiscovery"].as_i64();
    let first = looked(&exporter).await;
    exporter
        .until("it looks again, and would have polled before", async |e| {
            looked(e).await > first
        })
        .await;
    let page = nightjar_tests::http::text(&exporter.at("/")).await.unwrap();
    assert!(page.contains("Nothing is polled"), "{page}");
    assert_eq!(billed(&simulator), 0);
    exporter.configure(&of(&format!("{:.2}", least + 0.01)));
    exporter.until_polled().await;
    assert_eq!(
        spend(&exporter).await["leastBudgetUsdPerMonth"],
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_function_is_asked_for_ever_less_often_and_loses_no_invocation() {
    let simulator = simulator(&account("").replace("per_minute: 60", "per_minute: 0.01")).await;
    open(&simulator, 0, 0).await;
    let exporter = Exporter::start(
        &simulator,
        &stack(&format!("{LAMBDA}\ncollection: {{interval: 1m}}")),
    )
    .await;
    exporter.until_polled().await;
    exporter.scrape().await;
    // Nothing has happened for longer than a function is asked for every minute.
    exporter
        .until("hardly anything is asked for", async |_| {
            simulator.reset_meter();
            let begun = simulator.now_ms();
            while simulator.now_ms() < begun + 600_000 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            // Once in twenty minutes and once at least in ten; with the account's own series each minute.
            billed(&simulator) <= 41 + 30
        })
        .await;
    let opened = next_minute(&simulator);
    let end = opened + 3600;
    open(&simulator, opened, end).await;
    let (_, moved) = Follower::new(&simulator, opened, end)
        .until_final(&exporter)
        .await;
    assert!(moved >= 2, "only {moved} counters moved");
}
