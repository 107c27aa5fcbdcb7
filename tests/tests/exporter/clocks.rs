//! Clocks that are wrong and machines that sleep: minutes are AWS's, and each counts once.

use std::time::Duration;

use nightjar_tests::simulator::{Options, Simulator};

use crate::follow::{
    ACCOUNT, Follower, STACK, closed_as, next_minute, open, seen_while_closed, through,
};
use crate::harness::{Exporter, KEYS, faketime, stack};

/// What is told of the node's clock: by how many seconds it is ahead of AWS's.
async fn ahead(exporter: &Exporter) -> Option<i64> {
    let status = exporter.status().await;
    // One that was just started has no target yet.
    let problems = status["targets"][0]["problems"].as_array()?;
    let skewed = problems.iter().find(|p| p["reason"] == "ClockSkewed")?;
    let message = skewed["message"].as_str().unwrap();
    let (_, seconds) = message.split_once("clock is ").unwrap();
    let (seconds, rest) = seconds.split_once(" s ").unwrap();
    let seconds: i64 = seconds.parse().unwrap();
    assert!(
        message.contains("Let the node synchronise its clock"),
        "{message}"
    );
    Some(if rest.starts_with("ahead") {
        seconds
    } else {
        -seconds
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_a_quarter_of_an_hour_ahead_or_back_is_told_and_changes_no_count() {
    let (simulator, mut exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    let end = opened + 3000;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    let now = || simulator.now_ms() / 1000;
    for skew in [900, -900, 900, 0] {
        exporter.skew_seconds = skew;
        exporter.start_again(&simulator).await;
        // Some of a minute is the way of an answer, at this speed.
        let about = skew - 240..=skew + 240;
        exporter
            .until("the clock is told", async |e| {
                follower.compare(e).await;
                about.contains(&ahead(e).await.unwrap_or(0))
            })
            .await;
        let until = now() + 480;
        while now() < until {
            follower.compare(&exporter).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
}

/// In real time: only there the library leaves the clock alone that nobody sets.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_while_it_runs_is_told_and_changes_no_count() {
    let simulator = Simulator::from_text(ACCOUNT, Options::default()).await;
    let simulator = simulator.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clock");
    let set = |seconds: i64| {
        let draft = file.with_extension("draft");
        std::fs::write(&draft, format!("{seconds:+}")).unwrap();
        std::fs::rename(draft, &file).unwrap();
    };
    set(0);
    let library = faketime();
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let environment = [&KEYS, &environment[..]].concat();
    let exporter = closed_as(dir, &simulator, &stack(STACK), &environment).await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 86_400).await;
    let mut follower = Follower::new(&simulator, opened, opened + 86_400);
    // Polls are a minute apart, and come up to half a minute late.
    let patience = Duration::from_mins(4);
    let polled = async |e: &Exporter| {
        let status = e.status().await;
        status["targets"][0]["services"]["lambda"]["lastPoll"].as_i64()
    };
    // After each change at least one poll, after the first also one that knows.
    for (skew, polls) in [(900, 2), (-900, 1), (0, 1)] {
        set(skew);
        for _ in 0..polls {
            let before = polled(&exporter).await;
            exporter
                .until_within(patience, "it polls, and the clock is told", async |e| {
                    follower.compare(e).await;
                    polled(e).await != before && (ahead(e).await.unwrap_or(0) - skew).abs() < 60
                })
                .await;
        }
    }
    let moved = follower.last().values().filter(|count| **count > 0.0);
    assert!(moved.count() >= 25, "{:#?}", follower.last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_suspended_for_an_hour_makes_up_for_it() {
    let (simulator, exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    let end = opened + 4500;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    let counts = async |e: &Exporter| {
        let through = through(&e.scrape().await);
        through.values().all(|at| *at > opened)
    };
    exporter.until("it counts", counts).await;
    follower.compare(&exporter).await;
    exporter.signal("-STOP");
    let stopped = simulator.now_ms();
    while simulator.now_ms() < stopped + 3_600_000 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    exporter.signal("-CONT");
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
}
