//! How the newest minutes come in.

use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::truth::{Question, Truth};

use crate::play::{
    ACCOUNT, REGION, cloudwatch, function_query, noon, play_region, points, question,
};

/// A busy function whose region has this lateness.
fn busy(lateness: &str) -> String {
    format!(
        "{{lateness: {{lambda: {lateness}}}, functions: [{{name: f, errors: 0.2, traffic: {{steady: {{per_minute: 200}}}}}}]}}"
    )
}

const METRICS: [(&str, &str); 4] = [
    ("Invocations", "Sum"),
    ("Errors", "Sum"),
    ("Duration", "Sum"),
    ("Duration", "SampleCount"),
];

/// Values of the minute that begins at noon, every ten seconds until it is final.
fn watch(simulator: &Simulator, question: &Question) -> (Vec<f64>, Truth) {
    let last = simulator.truth(question).unwrap();
    let mut seen = Vec::new();
    while simulator.now_ms() < last.final_at * 1000 {
        seen.push(simulator.visible(question).unwrap().value.unwrap_or(0.0));
        simulator.advance_seconds(10);
    }
    seen.push(simulator.visible(question).unwrap().value.unwrap_or(0.0));
    (seen, last)
}

#[tokio::test]
async fn an_ordinary_minute_only_grows_and_ends_at_its_final_value() {
    for (metric, stat) in METRICS {
        let simulator = play_region(&busy("{}")).await;
        let (seen, last) = watch(
            &simulator,
            &question("f", metric, stat, noon(), noon() + 60),
        );
        assert!(seen.is_sorted(), "{metric} {stat}: {seen:?}");
        assert_eq!(seen[0], 0.0, "{metric} {stat}");
        assert!(
            seen.iter().any(|v| *v > 0.0 && Some(*v) < last.value),
            "{metric} {stat}: {seen:?}"
        );
        assert_eq!(seen.last().copied(), last.value, "{metric} {stat}");
        assert_eq!(last.minutes, 1);
    }
}

#[tokio::test]
async fn nobody_ever_sees_a_minute_that_has_not_begun() {
    let simulator = play_region(&busy("{}")).await;
    let read = points(
        &cloudwatch(&simulator).await,
        function_query("a", "f", "Invocations", "Sum"),
        noon() - 600,
        noon() + 3600,
    )
    .await;
    assert!(read.iter().all(|p| p.0 < noon()), "{read:?}");
    // The newest minutes are there, and too low.
    let newest = read[0];
    let truth = simulator
        .truth(&question(
            "f",
            "Invocations",
            "Sum",
            newest.0,
            newest.0 + 60,
        ))
        .unwrap();
    assert!(newest.1 < truth.value.unwrap());
}

#[tokio::test]
async fn a_tail_keeps_a_minute_incomplete_for_ten_minutes() {
    let simulator = play_region(&busy("{tail: {share: 1, fraction: 0.03, over: 10m}}")).await;
    let question = question("f", "Invocations", "Sum", noon(), noon() + 60);
    let last = simulator.truth(&question).unwrap();
    let (mut at_four, mut at_nine) = (0.0, 0.0);
    while simulator.now_ms() < last.final_at * 1000 {
        let value = simulator.visible(&question).unwrap().value.unwrap_or(0.0);
        match simulator.now_ms() / 1000 - noon() {
            240 => at_four = value,
            540 => at_nine = value,
            _ => {}
        }
        simulator.advance_seconds(10);
    }
    let all = last.value.unwrap();
    assert!(
        at_four >= all * 0.96 && at_four < at_nine && at_nine < all,
        "{at_four} {at_nine} {all}"
    );
    // The longest invocation of the minute takes less than a second more.
    assert_eq!(last.final_at, noon() + 60 + 600 + 1);
    assert_eq!(simulator.visible(&question).unwrap().value, last.value);
}

#[tokio::test]
async fn runs_that_fail_come_no_later_than_the_others() {
    let simulator = play_region(
        "{lateness: {lambda: {tail: {share: 1, fraction: 0.5, over: 100h}}}, \
          functions: [{name: f, errors: 0.005, traffic: {steady: {per_minute: 100}}}]}",
    )
    .await;
    simulator.advance_seconds(4 * 3600);
    let now = simulator.now_ms() / 1000;
    let share_seen = |metric: &str| {
        let question = question("f", metric, "Sum", now - 4 * 3600, now - 300);
        let seen = simulator.visible(&question).unwrap().value.unwrap_or(0.0);
        seen / simulator.truth(&question).unwrap().value.unwrap()
    };
    let (runs, errors) = (share_seen("Invocations"), share_seen("Errors"));
    assert!((0.49..0.6).contains(&runs), "{runs}");
    // Rarely do two fail in a minute: nearly all would be missing if the last run were the one.
    assert!((errors - runs).abs() < 0.2, "{errors} of {runs}");
}

#[tokio::test]
async fn a_late_minute_is_missing_for_an_hour_and_then_complete() {
    let simulator = play_region(&busy("{late: {share: 1, after: 1h}}")).await;
    let question = question("f", "Invocations", "Sum", noon(), noon() + 60);
    simulator.advance_seconds(60 + 3599);
    assert_eq!(simulator.visible(&question).unwrap().value, None);
    assert!(!simulator.truth(&question).unwrap().settled);
    simulator.advance_seconds(2);
    let visible = simulator.visible(&question).unwrap();
    assert_eq!(visible.value, simulator.truth(&question).unwrap().value);
    assert!(visible.value.unwrap() > 0.0 && visible.settled);
}

#[tokio::test]
async fn only_the_configured_share_of_minutes_is_late() {
    let simulator = play_region(&busy("{late: {share: 0.1, after: 1h}}")).await;
    simulator.advance_seconds(20 * 60);
    let minutes = |from: i64, to: i64| {
        let question = question("f", "Invocations", "Sum", from, to);
        (
            simulator.visible(&question).unwrap().minutes,
            simulator.truth(&question).unwrap().minutes,
        )
    };
    let now = simulator.now_ms() / 1000;
    let (seen, all) = minutes(now - 3000, now - 300);
    assert_eq!(all, 45);
    assert!(seen < all && seen >= 30, "{seen} of {all}");
    let (seen, all) = minutes(now - 7200, now - 3900);
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_revision_lowers_a_minute_to_its_final_value() {
    let simulator = play_region(&busy("{revision: {share: 1, fraction: 0.1, after: 15m}}")).await;
    let (seen, last) = watch(
        &simulator,
        &question("f", "Invocations", "Sum", noon(), noon() + 60),
    );
    let highest = seen.iter().copied().fold(0.0, f64::max);
    assert!(highest > last.value.unwrap(), "{seen:?}");
    assert_eq!(seen.last().copied(), last.value);
    assert_eq!(last.final_at, noon() + 60 + 900 + 1);
}

#[tokio::test]
async fn a_reread_may_answer_less_than_the_read_before_but_not_once_it_is_final() {
    let simulator = play_region(&busy("{settle: 10m, reread: {share: 0.3, fraction: 0.4}}")).await;
    let (seen, last) = watch(
        &simulator,
        &question("f", "Invocations", "Sum", noon(), noon() + 60),
    );
    assert!(!seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|v| Some(*v) <= last.value), "{seen:?}");
    assert_eq!(seen.last().copied(), last.value);
}

#[tokio::test]
async fn a_long_invocation_appears_in_the_minute_it_started_in_once_it_has_ended() {
    let simulator = play_region(
        "{functions: [{name: f, timeout: 15m, traffic: {steady: {per_minute: 10}}, \
         duration: {p50_ms: 600000, p90_ms: 600000, p99_ms: 600000, max_ms: 600000}}]}",
    )
    .await;
    let question = question("f", "Invocations", "Sum", noon(), noon() + 60);
    let last = simulator.truth(&question).unwrap();
    simulator.advance_seconds(60 + 180);
    let early = simulator.visible(&question).unwrap().value.unwrap_or(0.0);
    assert!(
        early < last.value.unwrap(),
        "all {early} are counted before they can have ended"
    );
    assert_eq!(last.final_at, noon() + 60 + 180 + 600);
    simulator.advance_seconds(600);
    assert_eq!(simulator.visible(&question).unwrap().value, last.value);
}

fn region_question(start: i64, end: i64) -> Question {
    Question {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        dimensions: Vec::new(),
        ..question("", "Invocations", "Sum", start, end)
    }
}

#[tokio::test]
async fn a_regions_aggregate_contains_all_functions_and_lags_or_leads_them() {
    let region = |lag: &str| {
        format!(
            "{{lateness: {{lambda: {{aggregate_lag: {lag}}}}}, functions: [
               {{name: f, tags: {{app: shop}}, traffic: {{steady: {{per_minute: 200}}}}}},
               {{name: other, traffic: {{steady: {{per_minute: 100}}}}}}]}}"
        )
    };
    let read = async |lag: &str| {
        let simulator = play_region(&region(lag)).await;
        let minute = (noon(), noon() + 60);
        let whole = region_question(minute.0, minute.1);
        let parts: Vec<Question> = ["f", "other"]
            .iter()
            .map(|f| question(f, "Invocations", "Sum", minute.0, minute.1))
            .collect();
        let total: f64 = parts
            .iter()
            .map(|q| simulator.truth(q).unwrap().value.unwrap())
            .sum();
        assert_eq!(simulator.truth(&whole).unwrap().value, Some(total));
        simulator.advance_seconds(120);
        let seen: f64 = parts
            .iter()
            .map(|q| simulator.visible(q).unwrap().value.unwrap())
            .sum();
        (
            simulator.visible(&whole).unwrap().value.unwrap_or(0.0),
            seen,
        )
    };
    let (lagging, parts) = read("40s").await;
    assert!(lagging < parts, "{lagging} {parts}");
    let (leading, parts) = read("'-40s'").await;
    assert!(leading > parts, "{leading} {parts}");
}
