//! Books that are right in the end although AWS is late, contradicts itself and revises downward.

use std::time::Instant;

use nightjar_tests::simulator::account::AccountFile;
use nightjar_tests::truth::same;

use crate::follow::{Follower, next_minute, open, totals};
use crate::harness::{DEADLINE, Exporter, simulator_at, stack};
use crate::restarts::sleep_until_next_day;

const ACCOUNT: &str = include_str!("../../accounts/late.yaml");

/// Without what is watched only while CloudWatch lists it: the test closes the account for the past
/// too, and such a metric would leave and begin anew.
const STACK: &str = "regions: [eu-west-1]\nselect: [{cloudFormation: {stackName: books}}]\n\
                     collection: {interval: 1m, discoveryInterval: 2m}\n\
                     services: {lambda: {optional: []}, dynamodb: {optional: [operations]}, apigateway: {}}";

/// The line of the account file that makes minutes read too high at first.
const REVISION: &str = "revision: {share: 0.02, fraction: 0.05, after: 15m}";

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_overstated_is_never_taken_back_and_made_up_for_by_what_comes_after() {
    // So often that what late minutes add does not make up for all of it at once.
    let often = ACCOUNT.replace(
        REVISION,
        "revision: {share: 0.4, fraction: 0.05, after: 15m}",
    );
    assert_ne!(often, ACCOUNT);
    let simulator = simulator_at(&often, "2026-10-01T10:00:00Z").await;
    open(&simulator, 0, 0).await;
    let mut exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    exporter.scrape().await;

    let opened = next_minute(&simulator);
    let end = opened + 2400;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    follower.punctual = false;
    follower.overstated = true;
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 12, "only {moved} counters moved");

    // The daily comparison adds what came late, and nothing falls meanwhile.
    sleep_until_next_day(&simulator, &mut exporter).await;
    let begun = Instant::now();
    let (first, shown) = loop {
        follower.compare(&exporter).await;
        let shown = exporter.scrape().await;
        let first = totals(&simulator, &shown, opened, end).await;
        let missing = first.iter().find(|(series, truth)| {
            shown[*series] < **truth && !same(series, shown[*series], **truth, 40)
        });
        match missing {
            None => break (first, shown),
            Some((series, truth)) => assert!(
                begun.elapsed() < DEADLINE,
                "{series:?} stays {} and not {truth}\n{}",
                shown[series],
                exporter.log()
            ),
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    };
    let over = first
        .iter()
        .filter(|(series, truth)| !same(series, shown[*series], **truth, 40));
    assert!(
        over.count() > 0,
        "AWS overstated nothing: this proves nothing"
    );

    // A second time, in which AWS overstates nothing: it fills up what the first had too much.
    let honest = ACCOUNT.replace(REVISION, "revision: {share: 0, fraction: 0, after: 15m}");
    assert_ne!(honest, ACCOUNT);
    let honest = AccountFile::parse("honest", &honest).unwrap();
    simulator.replace_account(&honest).unwrap();
    let opened = next_minute(&simulator);
    let end = opened + 1200;
    open(&simulator, opened, end).await;
    while simulator.now_ms() < (end + 20 * 60) * 1000 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    sleep_until_next_day(&simulator, &mut exporter).await;
    exporter
        .until("each counter is what AWS counted both times", async |e| {
            let now = e.scrape().await;
            let second = totals(&simulator, &now, opened, end).await;
            second.iter().all(|(series, second)| {
                let before = shown.get(series).copied().unwrap_or(0.0);
                let both = first.get(series).copied().unwrap_or(0.0) + second;
                assert!(
                    now[series] >= before,
                    "{series:?} fell from {before} to {}",
                    now[series]
                );
                same(series, now[series], both.max(before), 60)
            })
        })
        .await;
}
