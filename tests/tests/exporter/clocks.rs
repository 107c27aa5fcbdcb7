//! Clocks that are wrong and machines that sleep: minutes are AWS's, and each counts once.

use std::time::Duration;

use crate::follow::{Follower, next_minute, open, seen_while_closed};
use crate::harness::Exporter;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_suspended_for_an_hour_makes_up_for_it() {
    let (simulator, exporter) = seen_while_closed().await;
    let opened = next_minute(&simulator);
    let end = opened + 4500;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    let counts = async |e: &Exporter| {
        let through = crate::follow::through(&e.scrape().await);
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
