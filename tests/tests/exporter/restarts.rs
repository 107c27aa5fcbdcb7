//! Counters go on after a process died, for however long.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::time::Duration;

use nightjar_tests::http;
use nightjar_tests::samples::Series;
use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::random::{mix, unit};

use crate::follow::{ACCOUNT, Follower, STACK, closed, next_minute, open, seen_while_closed};
use crate::harness::{Exporter, simulator_at, stack};

const DAY: i64 = 86_400;

const ONE_FUNCTION: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        functions:
          - {name: shop-busy, traffic: {steady: {per_minute: 400}}, timeout: 10s, errors: 0.05, throttles: 0.02, duration: {p50_ms: 33.3}}
"#;

/// Moments that are other ones in each run, and the same again with `NIGHTJAR_TEST_SEED`, which a
/// run prints.
fn moments(count: u64, longest: Duration) -> Vec<Duration> {
    use std::hash::{BuildHasher, RandomState};
    let seed = std::env::var("NIGHTJAR_TEST_SEED").map_or_else(
        |_| RandomState::new().hash_one(()),
        |seed| seed.parse().unwrap(),
    );
    eprintln!("NIGHTJAR_TEST_SEED={seed}");
    (0..count)
        .map(|number| longest.mul_f64(unit(mix(seed, number))))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_anywhere_goes_on_and_counts_each_minute_once() {
    let (simulator, mut exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 900).await;
    let mut follower = Follower::new(&simulator, opened, opened + 900);
    for moment in moments(5, Duration::from_secs(4)) {
        let until = tokio::time::Instant::now() + moment;
        while tokio::time::Instant::now() < until {
            follower.compare(&exporter).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        exporter.start_again(&simulator).await;
    }
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
}

/// The account is open all the time that the exporter is away. Answers the periods in which it asked when it was back.
async fn away_for(hours: i64, account: &str) -> BTreeSet<i64> {
    // The first hour that the books know whole begins after ten minutes.
    let simulator = simulator_at(account, "2026-06-01T10:50:00Z").await;
    let (simulator, mut exporter) = closed(simulator).await;
    let opened = next_minute(&simulator);
    let end = opened + (hours + 1) * 3600;
    open(&simulator, opened, end).await;
    let eleven = (opened / 3600 + 1) * 3600;
    let known = async |e: &Exporter| {
        let samples = e.scrape().await;
        crate::follow::through(&samples)
            .values()
            .all(|at| *at > eleven)
    };
    exporter.until("it counts beyond the hour", known).await;
    exporter.kill();
    simulator.advance_seconds((hours + 1) * 3600);
    simulator.reset_meter();
    exporter.start_again(&simulator).await;
    exporter
        .until("it says that it catches up", async |e| {
            e.scrape().await.iter().any(|(series, value)| {
                series.name == "nightjar_exporter_catching_up" && *value == 1.0
            })
        })
        .await;
    let log = exporter.log();
    assert!(log.contains("fetched in steps of"), "{log}");
    let mut follower = Follower::new(&simulator, opened, end);
    let (counters, moved) = follower.until_final(&exporter).await;
    assert!(
        moved * 2 > counters,
        "only {moved} of {counters} counters moved"
    );
    simulator
        .meter()
        .into_iter()
        .flat_map(|reading| reading.periods)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_of_hours_is_made_up_for_in_bins_of_five_minutes() {
    assert!(away_for(5, ACCOUNT).await.contains(&300));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_of_days_is_made_up_for_in_hours() {
    assert!(away_for(3 * 24, ACCOUNT).await.contains(&3600));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_15_days_there_are_no_minutes_any_more_and_all_is_made_up_for() {
    assert!(away_for(16 * 24, ACCOUNT).await.contains(&3600));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_64_days_there_are_hours_only_and_all_is_made_up_for() {
    // The truth of 92,160 minutes takes the simulator its time: one function is enough.
    assert!(away_for(64 * 24, ONE_FUNCTION).await.contains(&3600));
}

/// Kills the exporter and starts it again in the small hours of the next day.
pub async fn sleep_until_next_day(simulator: &Simulator, exporter: &mut Exporter) {
    exporter.kill();
    let now = simulator.now_ms() / 1000;
    let three = (now / DAY + 1) * DAY + 3 * 3600 + 600;
    simulator.advance_seconds(three - now);
    exporter.start_again(simulator).await;
}

async fn late_data_are_added(whole_day: bool) {
    let late = "{settle: 3m, tail: {share: 0.3, fraction: 0.3, over: 20m}, late: {share: 0.3, fraction: 0.5, after: 1h}}";
    let account = ACCOUNT
        .replace("{settle: 3m, aggregate_lag: 30s}", late)
        .replace("{settle: 3m}", late)
        .replace("{settle: 2m}", late);
    let simulator = simulator_at(&account, "2026-10-01T10:00:00Z").await;
    let (simulator, mut exporter) = closed(simulator).await;
    if whole_day {
        sleep_until_next_day(&simulator, &mut exporter).await;
        exporter
            .until("it is up to date", async |e| {
                let through = crate::follow::through(&e.scrape().await);
                !through.is_empty()
                    && through
                        .values()
                        .all(|at| at / DAY == simulator.now_ms() / 1000 / DAY)
            })
            .await;
    }
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 900).await;
    let mut follower = Follower::new(&simulator, opened, opened + 900);
    follower.punctual = false;
    follower.until_final(&exporter).await;
    sleep_until_next_day(&simulator, &mut exporter).await;
    let moved = follower.until_equal(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
    let corrections = |(series, value): (&Series, &f64)| {
        (series.name == "nightjar_exporter_late_corrections_total").then_some(*value)
    };
    let samples = exporter.scrape().await;
    let corrected: f64 = samples.iter().filter_map(corrections).sum();
    assert!(corrected > 0.0, "nothing came late");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_on_the_first_day_is_added_by_comparing_its_minutes() {
    late_data_are_added(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_is_added_by_the_daily_comparison() {
    late_data_are_added(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_not_shown_and_made_up_for_when_it_can() {
    let (simulator, exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    // What is written there goes to a disk that is full.
    let blocked = exporter.state().join("111122223333-eu-west-1.books.new");
    let block = |target: &str| {
        let link = exporter.dir.path().join("link");
        symlink(target, &link).unwrap();
        std::fs::rename(link, &blocked).unwrap();
    };
    block("/dev/full");
    open(&simulator, opened, opened + 600).await;
    exporter
        .until("it is told", async |e| {
            e.problems().await == ["StateNotSaved checkpoint"]
        })
        .await;
    let message = exporter.status().await["targets"][0]["problems"][0]["message"].to_string();
    assert!(message.contains("No space left on device"), "{message}");
    let mut writable = true;
    while simulator.now_ms() / 1000 < opened + 420 {
        if writable && simulator.now_ms() / 1000 > opened + 240 {
            // Now it cannot be opened for writing at all.
            block("/proc/nothing/here");
            writable = false;
        }
        let samples = exporter.scrape().await;
        let moved = samples.iter().find(|(series, value)| {
            nightjar_tests::truth::source(series).is_some() && **value > 0.0
        });
        assert_eq!(moved, None, "shown and not saved");
        let status = exporter.status().await["targets"][0]["services"].clone();
        for (service, through) in crate::follow::through(&samples) {
            let told = &status[&service]["countedThrough"];
            assert_eq!(told.as_i64(), Some(through), "told and not saved");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::remove_file(&blocked).unwrap();
    let mut follower = Follower::new(&simulator, opened, opened + 600);
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
    assert_eq!(exporter.problems().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_stop_at_any_moment_stops_and_one_that_was_suspended_goes_on() {
    let (simulator, mut exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 1500).await;
    let mut follower = Follower::new(&simulator, opened, opened + 1500);
    // Within the start and the first polls: most of that time something is under way.
    for moment in moments(5, Duration::from_millis(1500)) {
        tokio::time::sleep(moment).await;
        follower.compare(&exporter).await;
        assert_eq!(exporter.stop().await, Some(0));
        exporter.start_again(&simulator).await;
    }
    let started = simulator.now_ms() / 1000;
    exporter
        .until("it polls", async |e| {
            let lambda = e.status().await["targets"][0]["services"]["lambda"].clone();
            lambda["lastPoll"].as_i64() > Some(started)
        })
        .await;
    exporter.signal("-STOP");
    tokio::time::sleep(Duration::from_secs(5)).await;
    exporter.signal("-CONT");
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_books_it_begins_at_zero_and_counts_nothing_twice() {
    for damage in [
        (|path| std::fs::remove_file(path).unwrap()) as fn(&std::path::Path),
        |path| std::fs::write(path, &std::fs::read(path).unwrap()[..100]).unwrap(),
    ] {
        let (simulator, mut exporter) = seen_while_closed().await;
        let opened = next_minute(&simulator);
        open(&simulator, opened, opened + 300).await;
        Follower::new(&simulator, opened, opened + 300)
            .until_final(&exporter)
            .await;
        exporter.kill();
        damage(&exporter.state().join("111122223333-eu-west-1.books"));
        exporter.start_again(&simulator).await;
        exporter.until_polled().await;
        // All of it was counted before: a number above zero would be counted twice.
        let opened = next_minute(&simulator);
        exporter.scrape().await;
        open(&simulator, opened, opened + 300).await;
        let (_, moved) = Follower::new(&simulator, opened, opened + 300)
            .until_final(&exporter)
            .await;
        assert!(moved >= 25, "only {moved} counters moved");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_aws_is_away_a_restarted_exporter_shows_what_it_kept() {
    let (simulator, mut exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 300).await;
    let mut follower = Follower::new(&simulator, opened, opened + 300);
    follower.until_final(&exporter).await;
    let all_down = serde_json::json!([{"api": "*", "effect": {"error": {"status": 503}}}]);
    http::request(
        "PUT",
        &format!("{}/faults", simulator.url()),
        &[],
        all_down.to_string(),
    )
    .await
    .unwrap();
    exporter.start_again(&simulator).await;
    exporter
        .until("all counters are there", async |e| {
            follower.compare(e).await.counters >= 40
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_leaves_and_comes_back_begins_at_zero() {
    let two = STACK.replace("[eu-west-1]", "[eu-west-1, us-east-1]");
    let (simulator, exporter) = seen_while_closed().await;
    exporter.configure(&stack(&two));
    exporter
        .until("both are kept", async |e| {
            e.state().join("111122223333-us-east-1.books").exists()
        })
        .await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 300).await;
    let (_, moved) = Follower::new(&simulator, opened, opened + 300)
        .until_final(&exporter)
        .await;
    assert!(moved >= 25, "only {moved} counters moved");
    exporter.configure(&stack(&STACK.replace("eu-west-1", "us-east-1")));
    let kept = exporter.state().join("111122223333-eu-west-1.books");
    // Another exporter may publish it now, and more than is kept here.
    exporter
        .until("its books are gone", async |_| !kept.exists())
        .await;
    exporter.configure(&stack(&two));
    let counters = async |e: &Exporter| {
        let mut samples = e.scrape().await;
        samples.retain(|series, _| {
            nightjar_tests::truth::source(series).is_some() && series.label("region") == "eu-west-1"
        });
        samples
    };
    exporter
        .until("its counters are back", async |e| {
            counters(e).await.len() >= 40
        })
        .await;
    let back = counters(&exporter).await;
    let above = back.iter().find(|(_, value)| **value > 0.0);
    assert_eq!(
        above, None,
        "it goes on where another exporter may have gone on"
    );
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 300).await;
    let (_, moved) = Follower::new(&simulator, opened, opened + 300)
        .until_final(&exporter)
        .await;
    assert!(moved >= 25, "only {moved} counters moved");
}
