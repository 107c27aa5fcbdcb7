//! Durations as quantiles and as histograms, compared with what the simulator knows of each minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use nightjar_tests::samples::Series;
use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::faults::{Effect, Fault};
use nightjar_tests::truth::{source, source_of_bucket};

use crate::follow::{ACCOUNT, STACK, next_minute, open, through};
use crate::harness::{DEADLINE, Exporter, simulator, stack};

fn buckets(samples: &BTreeMap<Series, f64>) -> BTreeMap<Series, f64> {
    let buckets = samples.iter().filter(|(s, _)| s.name.ends_with("_bucket"));
    buckets.map(|(s, value)| (s.clone(), *value)).collect()
}

fn has_buckets(samples: &BTreeMap<Series, f64>, family: &str) -> bool {
    let name = format!("{family}_distribution_seconds_bucket");
    samples.keys().any(|series| series.name == name)
}

/// Every bucket is no less than it was, and no less than the one before it.
fn check(now: &BTreeMap<Series, f64>, before: &BTreeMap<Series, f64>) {
    let mut by_subject: BTreeMap<Series, Vec<(f64, f64)>> = BTreeMap::new();
    for (series, value) in now {
        let before = before.get(series).copied().unwrap_or(0.0);
        assert!(*value >= before, "{series:?} fell from {before} to {value}");
        let mut subject = series.clone();
        let le = subject.labels.remove("le").unwrap();
        let bound = le.parse().unwrap_or(f64::INFINITY);
        by_subject.entry(subject).or_default().push((bound, *value));
    }
    for (subject, mut buckets) in by_subject {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(buckets.len(), 11, "{subject:?}");
        assert!(
            buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
            "{subject:?}: {buckets:?}"
        );
    }
}

async fn until_counted(exporter: &Exporter, simulator: &Simulator, end: i64) {
    exporter
        .until("all is final", async |exporter| {
            let samples = exporter.scrape().await;
            let through = through(&samples);
            simulator.now_ms() / 1000 >= end && through.values().all(|at| *at >= end)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_begin_at_zero_and_hold_what_cloudwatch_counts_below_their_bounds() {
    let simulator = simulator(ACCOUNT).await;
    let first = next_minute(&simulator);
    open(&simulator, first, first + 900).await;
    let spec = format!("{STACK}\nlatency: {{histograms: {{}}}}");
    let mut exporter = Exporter::start(&simulator, &stack(&spec)).await;
    let families = [
        "aws_lambda_duration",
        "aws_dynamodb_request_duration",
        "aws_apigateway_request_duration",
    ];
    let mut before = BTreeMap::new();
    exporter
        .until("all have histograms", async |exporter| {
            let samples = exporter.scrape().await;
            let seen = buckets(&samples);
            for (series, value) in &seen {
                if !before.contains_key(series) && series.label("le") != "+Inf" {
                    assert_eq!(*value, 0.0, "{series:?} is seen too late");
                }
            }
            check(&seen, &before);
            before.extend(seen);
            families.iter().all(|family| has_buckets(&samples, family))
        })
        .await;
    until_counted(&exporter, &simulator, first + 900).await;
    let base = buckets(&exporter.scrape().await);

    let opened = next_minute(&simulator);
    let end = opened + 600;
    open(&simulator, opened, end).await;
    let mut before = base.clone();
    let (begun, mut restarted) = (Instant::now(), false);
    loop {
        let samples = exporter.scrape().await;
        let seen = buckets(&samples);
        check(&seen, &before);
        before.extend(seen);
        let through = through(&samples);
        let at_least = |from: i64| through.values().all(|at| *at >= from) && !through.is_empty();
        if !restarted && at_least(opened + 240) {
            exporter.start_again(&simulator).await;
            exporter.until_polled().await;
            restarted = true;
        } else if at_least(end) {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{}", exporter.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(restarted);
    let (mut compared, mut divided) = (0, 0);
    let counted = buckets(&exporter.scrape().await);
    assert!(base.keys().all(|series| counted.contains_key(series)));
    for (series, value) in &counted {
        let counted = value - base[series];
        let source = source_of_bucket(series).unwrap();
        let truth = source
            .total(&simulator.url(), series, opened, end)
            .await
            .unwrap();
        assert!(
            (counted - truth.value).abs() < 1e-3,
            "{series:?}: {counted} is not {}\n{}",
            truth.value,
            exporter.log()
        );
        compared += 1;
        let mut all = series.clone();
        all.labels.insert("le".to_owned(), "+Inf".to_owned());
        let whole = before[&all] - base[&all];
        divided += usize::from(counted > 0.0 && counted < whole);
    }
    assert!(compared >= 5 * 11 && divided > 10, "{compared} {divided}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_trimmed_counts_quantiles_go_on_and_the_reason_is_told() {
    for effect in [Effect::NoTrimmedCounts, Effect::TrimmedCountsRefused] {
        let simulator = simulator(ACCOUNT).await;
        simulator.set_faults(vec![Fault::always("cloudwatch:GetMetricData", effect)]);
        let spec = format!("{STACK}\nlatency: {{histograms: {{}}}}");
        let exporter = Exporter::start(&simulator, &stack(&spec)).await;
        exporter
            .until("the reason is told", async |exporter| {
                let problems = exporter.problems().await;
                problems.contains(&"HistogramsUnavailable cloudwatch:GetMetricData".to_owned())
            })
            .await;
        exporter
            .until("quantiles and counts are there", async |exporter| {
                let samples = exporter.scrape().await;
                assert!(buckets(&samples).is_empty());
                let of_busy = |name: &str| {
                    let series = samples.iter().find(|(series, _)| {
                        series.name == name && series.label("function_name") == "shop-busy"
                    });
                    series.is_some_and(|(_, value)| *value > 0.0)
                };
                of_busy("aws_lambda_duration_seconds")
                    && of_busy("aws_lambda_duration_seconds_count")
            })
            .await;
        assert_eq!(exporter.problems().await.len(), 1, "{}", exporter.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_of_long_runs_are_those_of_minutes_whose_runs_have_all_ended() {
    const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        lateness: {lambda: {settle: 3m, aggregate_lag: 30s}}
        functions:
          - {name: shop-slow, traffic: {steady: {per_minute: 40}}, timeout: 15m, duration: {p50_ms: 180000}}
"#;
    let simulator = simulator(ACCOUNT).await;
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    let mut seen: BTreeMap<u64, Series> = BTreeMap::new();
    exporter
        .until("some quantiles were seen", async |exporter| {
            let samples = exporter.scrape().await;
            let of_p99 = |series: &Series| {
                series.name == "aws_lambda_duration_seconds" && series.label("quantile") == "0.99"
            };
            let now = samples.iter().filter(|(series, _)| of_p99(series));
            seen.extend(now.map(|(series, value)| (value.to_bits(), series.clone())));
            seen.len() >= 5
        })
        .await;
    let series = seen.values().next().unwrap();
    let mut count = series.clone();
    count.name += "_count";
    let source = source(&count).unwrap().in_statistic("p99");
    let now = next_minute(&simulator);
    let mut known = BTreeSet::new();
    for minute in (now - 7200..now - 900).step_by(60) {
        let truth = source
            .total(&simulator.url(), &count, minute, minute + 60)
            .await
            .unwrap();
        known.insert((truth.value * 1000.0).round() as i64);
    }
    for value in seen.into_keys().map(f64::from_bits) {
        let milliseconds = (value * 1e6).round() as i64;
        assert!(
            known.contains(&milliseconds),
            "{value} is no minute's 99th percentile"
        );
    }
}
