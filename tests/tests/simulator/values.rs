//! Datapoints that the Rust SDK reads, compared with the truth.

use aws_sdk_cloudwatch::types::RecentlyActive;
use nightjar_tests::simulator::account::AccountFile;

use crate::play::{
    account, cloudwatch, function_query, noon, play_region, play_shop, points, query, question,
};

const BUSY: &str =
    "{functions: [{name: f, errors: 0.1, throttles: 0.05, traffic: {steady: {per_minute: 100}}}]}";

#[tokio::test]
async fn settled_sums_add_up_to_the_truth() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let (start, end) = (noon() - 7200, noon() - 3600);
    for (metric, stat) in [
        ("Invocations", "Sum"),
        ("Errors", "Sum"),
        ("Throttles", "Sum"),
        ("Duration", "SampleCount"),
    ] {
        let read: f64 = points(&client, function_query("a", "f", metric, stat), start, end)
            .await
            .iter()
            .map(|p| p.1)
            .sum();
        let truth = simulator
            .truth(&question("f", metric, stat, start, end))
            .unwrap();
        assert!(truth.settled);
        assert_eq!(Some(read), truth.value, "{metric}");
        assert!(read > 0.0, "{metric}");
    }
}

#[tokio::test]
async fn durations_sum_to_the_microsecond_at_every_period() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let (start, end) = (noon() - 7200, noon() - 3600);
    let truth = simulator
        .truth(&question("f", "Duration", "Sum", start, end))
        .unwrap();
    // What a reader with fixed-point books does: milliseconds to whole microseconds.
    #[expect(clippy::cast_possible_truncation, reason = "an hour of durations")]
    let micros = |ms: f64| (ms * 1000.0).round() as i64;
    for period in [60, 300, 3600] {
        let query = query(
            "a",
            "AWS/Lambda",
            "Duration",
            ("FunctionName", "f"),
            period,
            "Sum",
        );
        let read = points(&client, query, start, end).await;
        assert_eq!(read.len(), usize::try_from(3600 / period).unwrap());
        let sum: i64 = read.iter().map(|p| micros(p.1)).sum();
        assert_eq!(sum, micros(truth.value.unwrap()), "period {period}");
    }
}

#[tokio::test]
async fn the_statistics_of_a_minute_belong_together() {
    let simulator = play_region(BUSY).await;
    let start = noon() - 3600;
    let tell = |stat: &str| {
        simulator
            .truth(&question("f", "Duration", stat, start, start + 60))
            .unwrap()
            .value
            .unwrap()
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    near(tell("Average") * tell("SampleCount"), tell("Sum"));
    let ladder = ["Minimum", "p10", "p50", "p90", "p99", "p100"].map(tell);
    assert!(ladder.is_sorted(), "{ladder:?}");
    near(tell("p100"), tell("Maximum"));
    let buckets: f64 = ["TC(:20)", "TC(20:50)", "TC(50:200)", "TC(200:)"]
        .map(tell)
        .iter()
        .sum();
    near(buckets, tell("SampleCount"));
    near(
        tell("PR(:50)"),
        100.0 * tell("TC(:50)") / tell("SampleCount"),
    );
    let shares: f64 = ["TS(:30%)", "TS(30%:)"].map(tell).iter().sum();
    near(shares, tell("Sum"));
    assert!(tell("tm90") < tell("Average") && tell("tm90") <= tell("wm90"));
    assert!(tell("IQM") > tell("p25") * 0.99 && tell("IQM") < tell("p75") * 1.01);
}

#[tokio::test]
async fn an_idle_function_has_no_datapoints_and_a_busy_one_has_zero_errors() {
    let simulator = play_region(
        "{functions: [{name: dead, traffic: dead}, {name: f, traffic: {steady: {per_minute: 5}}}]}",
    )
    .await;
    let client = cloudwatch(&simulator).await;
    let (start, end) = (noon() - 3600, noon() - 1800);
    for metric in ["Invocations", "Errors", "Duration"] {
        let read = points(
            &client,
            function_query("a", "dead", metric, "Sum"),
            start,
            end,
        )
        .await;
        assert!(read.is_empty(), "{metric}: {read:?}");
    }
    let errors = points(
        &client,
        function_query("a", "f", "Errors", "Sum"),
        start,
        end,
    )
    .await;
    assert_eq!(errors.len(), 30);
    assert!(errors.iter().all(|p| p.1 == 0.0));
}

#[tokio::test]
async fn a_callee_is_invoked_as_often_as_its_callers_call_it() {
    let simulator = play_region(
        "{functions: [
           {name: front, traffic: {steady: {per_minute: 50}}, calls: [{function: back, times: 2}, {queue: jobs, waits: false}]},
           {name: back}, {name: worker}],
          queues: [{name: jobs, consumers: [{function: worker, batch: 5}]}]}",
    )
    .await;
    let (start, end) = (noon() - 7200, noon() - 3600);
    let count = |name| {
        simulator
            .truth(&question(name, "Invocations", "Sum", start, end))
            .unwrap()
            .value
            .unwrap()
    };
    assert_eq!(count("back"), 2.0 * count("front"));
    let batches = count("front") / 5.0;
    assert!(
        (count("worker") - batches).abs() < 30.0,
        "{} for {batches}",
        count("worker")
    );
}

#[tokio::test]
async fn an_incident_shows_between_its_start_and_its_end_only() {
    let simulator = play_region(
        "{functions: [{name: f, timeout: 9s, traffic: {steady: {per_minute: 60}}}], incidents: [
           {what: errors, on: [f], share: 0.5, start: '2026-11-20T10:10:00Z', end: '2026-11-20T10:20:00Z'},
           {what: throttles, on: ['f*'], share: 0.5, start: '2026-11-20T10:30:00Z', end: '2026-11-20T10:40:00Z'},
           {what: timeouts, on: [f], share: 0.5, start: '2026-11-20T10:50:00Z', end: '2026-11-20T11:00:00Z'}]}",
    )
    .await;
    let ten = noon() - 7200;
    let tell = |metric: &str, stat: &str, from: i64, to: i64| {
        simulator
            .truth(&question("f", metric, stat, ten + from * 60, ten + to * 60))
            .unwrap()
            .value
            .unwrap()
    };
    let clean = |a: f64| assert!(a.abs() < f64::EPSILON, "{a}");
    clean(tell("Errors", "Sum", 0, 10));
    assert!(tell("Errors", "Sum", 10, 20) > 200.0);
    clean(tell("Errors", "Sum", 20, 50));
    clean(tell("Throttles", "Sum", 0, 30));
    assert!(tell("Throttles", "Sum", 30, 40) > 200.0);
    assert!(tell("Duration", "Maximum", 40, 50) < 1000.0);
    assert!((tell("Duration", "Maximum", 50, 60) - 9000.0).abs() < f64::EPSILON);
    assert!(tell("Errors", "Sum", 50, 60) > 200.0);
}

#[tokio::test]
async fn traffic_that_drops_or_surges_does_so_while_the_incident_lasts() {
    let simulator = play_region(
        "{functions: [{name: f, traffic: {steady: {per_minute: 60}}}], incidents: [
           {what: traffic, on: [f], factor: 0, start: '2026-11-20T10:10:00Z', end: '2026-11-20T10:20:00Z'},
           {what: traffic, on: [f], factor: 10, start: '2026-11-20T10:30:00Z', end: '2026-11-20T10:40:00Z'}]}",
    )
    .await;
    let ten = noon() - 7200;
    let runs = |from: i64| {
        let window = (ten + from * 60, ten + from * 60 + 600);
        simulator
            .truth(&question("f", "Invocations", "Sum", window.0, window.1))
            .unwrap()
            .value
            .unwrap_or(0.0)
    };
    assert!((500.0..700.0).contains(&runs(0)), "{}", runs(0));
    assert_eq!(runs(10), 0.0);
    assert!((500.0..700.0).contains(&runs(20)), "{}", runs(20));
    assert!((5000.0..7000.0).contains(&runs(30)), "{}", runs(30));
}

#[tokio::test]
async fn events_are_as_old_as_an_incident_says_and_go_in_circles_only_then() {
    let simulator = play_region(
        "{functions: [{name: f}], topics: [{name: t, subscribers: [{function: f}]}],
          schedules: [{name: s, every: 1m, calls: [{topic: t, times: 100}]}], incidents: [
           {what: lag, on: [f], age: 10m, start: '2026-11-20T10:10:00Z', end: '2026-11-20T10:20:00Z'},
           {what: recursion, on: [f], share: 0.5, start: '2026-11-20T10:10:00Z', end: '2026-11-20T10:20:00Z'}]}",
    )
    .await;
    let ten = noon() - 7200;
    let tell = |metric: &str, stat: &str, from: i64| {
        let window = (ten + from * 60, ten + from * 60 + 600);
        simulator
            .truth(&question("f", metric, stat, window.0, window.1))
            .unwrap()
            .value
            .unwrap_or(0.0)
    };
    assert!(tell("AsyncEventAge", "Maximum", 0) < 1000.0);
    assert_eq!(tell("AsyncEventAge", "Maximum", 10), 600_000.0);
    assert_eq!(tell("RecursiveInvocationsDropped", "Sum", 0), 0.0);
    assert!((400.0..600.0).contains(&tell("RecursiveInvocationsDropped", "Sum", 10)));
}

#[tokio::test]
async fn a_table_throttles_for_the_reason_that_its_incident_gives() {
    let simulator = play_region(
        "{tables: [{name: t, provisioned: {read: 800, write: 8}, traffic: {PutItem: {steady: {per_minute: 600}}}}], incidents: [
           {what: throttles, on: [t], share: 0.5, cause: key_range, start: '2026-11-20T10:10:00Z', end: '2026-11-20T10:20:00Z'},
           {what: throttles, on: [t], share: 0.5, cause: provisioned, start: '2026-11-20T10:30:00Z', end: '2026-11-20T10:40:00Z'}]}",
    )
    .await;
    let client = cloudwatch(&simulator).await;
    let ten = noon() - 7200;
    let sum = async |metric: &str, from: i64| {
        let query = query("a", "AWS/DynamoDB", metric, ("TableName", "t"), 60, "Sum");
        let read = points(&client, query, ten + from * 60, ten + from * 60 + 600).await;
        read.iter().map(|point| point.1).sum::<f64>()
    };
    let (hot, full) = (
        "WriteKeyRangeThroughputThrottleEvents",
        "WriteProvisionedThroughputThrottleEvents",
    );
    assert_eq!(sum(hot, 0).await, 0.0);
    assert!(sum(hot, 10).await > 2000.0);
    assert_eq!(sum(full, 10).await, 0.0);
    assert!(sum(full, 30).await > 2000.0);
    assert_eq!(sum(hot, 30).await, 0.0);
}

#[tokio::test]
async fn tables_and_apis_publish_their_metrics_under_their_own_dimensions() {
    let shop = play_shop().await;
    let client = cloudwatch(&shop).await;
    let (start, end) = (noon() - 3600, noon() - 1800);
    let one =
        |namespace, metric, dimension, stat| query("a", namespace, metric, dimension, 60, stat);
    let orders = ("TableName", "orders");
    for (metric, stat) in [
        ("ConsumedWriteCapacityUnits", "Sum"),
        ("ConsumedReadCapacityUnits", "Sum"),
    ] {
        let read = points(
            &client,
            one("AWS/DynamoDB", metric, orders, stat),
            start,
            end,
        )
        .await;
        assert!(!read.is_empty(), "{metric}");
    }
    let capacity = one(
        "AWS/DynamoDB",
        "ProvisionedReadCapacityUnits",
        orders,
        "Maximum",
    );
    let read = points(&client, capacity, start, end).await;
    assert_eq!(read.len(), 6, "every five minutes only: {read:?}");
    assert!(
        read.iter()
            .all(|p| p.0 % 300 == 0 && (p.1 - 40.0).abs() < f64::EPSILON)
    );
    for (metric, dimension) in [
        ("Count", ("ApiName", "shop-api")),
        ("4XXError", ("ApiName", "shop-api")),
        ("Latency", ("ApiName", "shop-api")),
        ("Count", ("ApiId", "h9g8f7e6d5")),
        ("4xx", ("ApiId", "h9g8f7e6d5")),
        ("DataProcessed", ("ApiId", "h9g8f7e6d5")),
    ] {
        let read = points(
            &client,
            one("AWS/ApiGateway", metric, dimension, "Sum"),
            start,
            end,
        )
        .await;
        assert_eq!(read.len(), 30, "{metric}");
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_values_after_a_restart_and_another_seed_others() {
    let (start, end) = (noon() - 3600, noon());
    let read = async |text: String| {
        let simulator = crate::play::play(&text).await;
        points(
            &cloudwatch(&simulator).await,
            function_query("a", "f", "Duration", "Sum"),
            start,
            end,
        )
        .await
    };
    let first = read(account(BUSY)).await;
    assert_eq!(first, read(account(BUSY)).await);
    assert_ne!(
        first,
        read(account(BUSY).replace("seed: 7", "seed: 8")).await
    );
}

#[tokio::test]
async fn list_metrics_pages_by_five_hundred_filters_and_leaves_out_the_inactive() {
    let simulator = play_region(
        "{generated: [{functions: 130}], functions: [
           {name: dead, traffic: dead}, {name: gone, traffic: {steady: {per_minute: 9}}, life: {until: '2026-11-20T06:00:00Z'}}]}",
    )
    .await;
    let client = cloudwatch(&simulator).await;
    let first = client
        .list_metrics()
        .namespace("AWS/Lambda")
        .send()
        .await
        .unwrap();
    assert_eq!(first.metrics().len(), 500);
    let second = client
        .list_metrics()
        .namespace("AWS/Lambda")
        .next_token(first.next_token().unwrap())
        .send()
        .await
        .unwrap();
    // 131 functions and the region have Invocations, Errors, Throttles, Duration and Concurrency;
    // the region has two more of its own.
    assert_eq!(second.metrics().len(), 132 * 5 + 2 - 500);
    assert_eq!(second.next_token(), None);
    let names = async |recent: bool| {
        let answer = client
            .list_metrics()
            .metric_name("Invocations")
            .dimensions(
                aws_sdk_cloudwatch::types::DimensionFilter::builder()
                    .name("FunctionName")
                    .value("gone")
                    .build(),
            )
            .set_recently_active(recent.then_some(RecentlyActive::Pt3H))
            .send()
            .await
            .unwrap();
        answer.metrics().len()
    };
    assert_eq!((names(false).await, names(true).await), (1, 0));
}

#[tokio::test]
async fn an_account_can_be_replaced_while_clients_read() {
    let simulator = play_region("{functions: [{name: f, traffic: dead}]}").await;
    let client = cloudwatch(&simulator).await;
    let read = async || {
        points(
            &client,
            function_query("a", "f", "Invocations", "Sum"),
            noon() - 3600,
            noon(),
        )
        .await
    };
    assert!(read().await.is_empty());
    let busy = AccountFile::parse("<busy>", &account(BUSY)).unwrap();
    simulator.replace_account(&busy).unwrap();
    assert!(!read().await.is_empty());
}
