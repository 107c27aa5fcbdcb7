//! Whether all counters are what AWS finally counted, whatever happens.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::{SPEED, hours, simulator};
use crate::figure::Figure;
use crate::running::Running;
use crate::samples::Series;
use crate::simulator::Simulator;
use crate::simulator::faults::{Effect, Fault};
use crate::truth::{same, source};

/// Everything that can be late, revised or contradictory.
const LATE: &str = include_str!("../../accounts/late.yaml");

fn fault(api: &str, effect: Effect, probability: Option<f64>) -> Fault {
    Fault {
        probability,
        ..Fault::always(api, effect)
    }
}

/// Without what AWS takes back: it stays counted until it has grown again, and a test of its own shows that it is paid back.
fn account() -> anyhow::Result<String> {
    let lines = LATE.split_inclusive('\n');
    let account: String = lines
        .filter(|line| !line.trim_start().starts_with("revision:"))
        .collect();
    if account.len() == LATE.len() {
        bail!("late.yaml has no revisions any more");
    }
    Ok(account)
}

/// Throttles, resets and broken answers, as they happen all the time.
fn noise() -> Vec<Fault> {
    let metric_data = "cloudwatch:GetMetricData";
    vec![
        fault(metric_data, Effect::Throttle, Some(0.05)),
        fault(metric_data, Effect::Reset, Some(0.01)),
        fault(metric_data, Effect::Truncate, Some(0.01)),
    ]
}

/// Waits until an exporter has polled.
async fn polled(exporter: &Running) -> anyhow::Result<()> {
    let begun = Instant::now();
    while exporter.last_poll().await.is_none() {
        if begun.elapsed() > Duration::from_mins(2) {
            bail!("it was not polled within two minutes");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Goes to the time after the next daily comparison, with no fault any more.
fn next_night(simulator: &Simulator, exporter: &mut Running, from: i64) -> anyhow::Result<()> {
    simulator.set_faults(Vec::new());
    exporter.kill();
    let night = (from / 86_400 + 1) * 86_400 + 3 * 3600 + 600;
    simulator.advance_seconds((night - simulator.now_ms() / 1000).max(0));
    exporter.start_again(simulator)
}

/// What the scrapes of a time in which everything happens came to.
#[derive(Debug, Default)]
struct Seen {
    before: BTreeMap<Series, f64>,
    scrapes: u64,
    fell: u64,
    compared: u64,
    above: u64,
}

impl Seen {
    async fn look(&mut self, exporter: &Running) -> BTreeMap<Series, f64> {
        let mut counters = exporter.scrape().await.unwrap_or_default();
        counters.retain(|series, _| source(series).is_some());
        self.scrapes += u64::from(!counters.is_empty());
        for (series, value) in &counters {
            let last = self.before.insert(series.clone(), *value);
            self.fell += u64::from(last.is_some_and(|last| *value < last));
        }
        counters
    }

    /// Compares each counter of a scrape with all that there is by now.
    async fn compare(
        &mut self,
        counters: BTreeMap<Series, f64>,
        simulator: &Simulator,
        opened: i64,
    ) -> anyhow::Result<()> {
        let now = simulator.now_ms() / 60_000 * 60 + 60;
        for (series, counted) in counters {
            let Some(source) = source(&series) else {
                continue;
            };
            let most = source.total(&simulator.url(), &series, opened, now).await?;
            self.compared += 1;
            let minutes = (now - opened) / 60;
            self.above +=
                u64::from(counted > most.value && !same(&series, counted, most.value, minutes));
        }
        Ok(())
    }

    /// Counters that are not what the simulator finally counted, with the worst ratio.
    async fn unequal(
        &self,
        simulator: &Simulator,
        opened: i64,
        end: i64,
    ) -> anyhow::Result<(Vec<String>, usize)> {
        let minutes = (end - opened) / 60;
        let (mut unequal, mut moved) = (Vec::new(), 0);
        for (series, counted) in &self.before {
            let Some(source) = source(series) else {
                continue;
            };
            let total = source.total(&simulator.url(), series, opened, end).await?;
            moved += usize::from(total.value > 0.0);
            if !same(series, *counted, total.value, minutes) {
                unequal.push(format!(
                    "{} {:?}: {counted} is not {}",
                    series.name, series.labels, total.value
                ));
            }
        }
        Ok((unequal, moved))
    }
}

/// Two hours with all lateness, throttles, resets and broken answers, five kills, an outage and a full disk, and the
/// comparison of the day: are all counters what AWS finally counted, and were they never more?
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let account = account()?;
    let simulator = simulator(&account, "2026-10-01T18:00:00Z", SPEED, true).await?;
    hours(&simulator, 0, 0).await?;
    let spec = "{regions: [eu-west-1], select: [{cloudFormation: {stackName: books}}], collection: {interval: 1m, discoveryInterval: 5m}}";
    let mut exporter = Running::start(nightjar, &simulator, "books", spec)?;
    polled(&exporter).await?;
    let mut seen = Seen::default();
    // Until every counter was seen at 0.
    let start = simulator.now_ms() / 1000;
    while simulator.now_ms() / 1000 < start + 180 {
        seen.look(&exporter).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let opened = (simulator.now_ms() / 60_000 + 1) * 60;
    let end = opened + 7200;
    hours(&simulator, opened, end).await?;
    simulator.set_faults(noise());
    let kills = [13, 31, 58, 95, 111].map(|minute| opened + minute * 60);
    let (outage, full_disk) = (opened + 2400, opened + 4200);
    let (mut killed, mut down, mut full) = (0, false, false);
    loop {
        let now = simulator.now_ms() / 1000;
        if now > end + 900 {
            break;
        }
        if kills.get(killed).is_some_and(|at| now >= *at) {
            // At some instruction of a poll, or between two.
            let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            tokio::time::sleep(Duration::from_millis(u64::from(
                nanos.subsec_micros() % 1000,
            )))
            .await;
            exporter.start_again(&simulator)?;
            killed += 1;
        }
        if down != (outage..outage + 600).contains(&now) {
            down = !down;
            simulator.set_faults(if down {
                vec![fault("*", Effect::Error { status: 503 }, None)]
            } else {
                noise()
            });
        }
        if full != (full_disk..full_disk + 600).contains(&now) {
            full = !full;
            let books = exporter
                .dir
                .path()
                .join("state/111122223333-eu-west-1.books.new");
            let _ = std::fs::remove_file(&books);
            if full {
                std::os::unix::fs::symlink("/dev/full", &books)?;
            }
        }
        let counters = seen.look(&exporter).await;
        seen.compare(counters, &simulator, opened).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    next_night(&simulator, &mut exporter, end)?;
    let begun = Instant::now();
    let (unequal, moved) = loop {
        seen.look(&exporter).await;
        let (unequal, moved) = seen.unequal(&simulator, opened, end).await?;
        if unequal.is_empty() || begun.elapsed() > Duration::from_mins(2) {
            break (unequal, moved);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let example = unequal.first().cloned().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    Ok(vec![
        Figure::at_most(
            "2 h of all lateness and faults, 5 kills, outage, full disk, a day's comparison: counters unequal to the truth",
            unequal.len() as f64,
            "",
            0.0,
            format!(
                "of {}, {moved} of which moved; {example}",
                seen.before.len()
            ),
        ),
        Figure::at_most(
            "the same: samples that decreased",
            seen.fell as f64,
            "",
            0.0,
            format!("in {} scrapes", seen.scrapes),
        ),
        Figure::at_most(
            "the same: samples above what had happened by then",
            seen.above as f64,
            "",
            0.0,
            format!("of {}", seen.compared),
        ),
    ])
}

/// How a life of an exporter begins without books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    /// Its books are deleted while it does not run.
    Deleted,
    /// Another exporter was to have the region for a while: this one gave its books up.
    Moved,
}

/// When counting may begin after a reset: so long before and after the minute in which it happened.
const GAP_SECONDS: (i64, i64) = (120, 300);

/// The same account with the same noise while its books are lost twice, and a region goes away and comes back: counters
/// begin at 0, miss no more than the minutes of the reset, and count nothing twice.
pub async fn lost_books(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let simulator = simulator(&account()?, "2026-10-01T06:00:00Z", SPEED, true).await?;
    hours(&simulator, 0, 0).await?;
    let spec = "{regions: [eu-west-1], select: [{cloudFormation: {stackName: books}}], collection: {interval: 1m, discoveryInterval: 1m}}";
    let mut exporter = Running::start(nightjar, &simulator, "books", spec)?;
    polled(&exporter).await?;
    let books = exporter
        .dir
        .path()
        .join("state/111122223333-eu-west-1.books");
    let (mut resets, mut unequal, mut compared, mut moved) = (0_u64, Vec::new(), 0_u64, 0_u64);
    let lives = [Reset::Deleted, Reset::Moved, Reset::Deleted];
    for reset in lives {
        let opened = (simulator.now_ms() / 60_000 + 1) * 60;
        let end = opened + 3600;
        hours(&simulator, opened, end).await?;
        simulator.set_faults(noise());
        // Until CloudWatch lists all of it, which it does a quarter of an hour late: what the life before did not know of is
        // not counted twice by the next one, however early it begins.
        super::until(&simulator, opened + 1800).await;
        match reset {
            Reset::Deleted => {
                exporter.kill();
                std::fs::remove_file(&books)?;
                exporter.start_again(&simulator)?;
            }
            Reset::Moved => {
                exporter.configure(&spec.replace("eu-west-1", "us-east-1"))?;
                let begun = Instant::now();
                while books.exists() {
                    if begun.elapsed() > Duration::from_mins(1) {
                        bail!("the books of a region that left are not given up within a minute");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                exporter.configure(spec)?;
            }
        }
        let since = simulator.now_ms() / 60_000 * 60;
        let mut zero = false;
        let mut seen = Seen::default();
        while simulator.now_ms() / 1000 < end + 900 {
            let counters = seen.look(&exporter).await;
            zero |= !counters.is_empty() && counters.values().all(|value| *value == 0.0);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        resets += u64::from(zero);
        next_night(&simulator, &mut exporter, end)?;
        let begun = Instant::now();
        let outside = loop {
            seen.look(&exporter).await;
            let mut outside = Vec::new();
            (compared, moved) = (0, 0);
            for (series, counted) in &seen.before {
                let Some(source) = source(series) else {
                    continue;
                };
                let total = async |from| source.total(&simulator.url(), series, from, end).await;
                let least = total(since + GAP_SECONDS.1).await?.value;
                let most = total(since - GAP_SECONDS.0).await?.value;
                compared += 1;
                moved += u64::from(least > 0.0);
                let minutes = (end - opened) / 60;
                let within = (least..=most).contains(counted)
                    || same(series, *counted, least, minutes)
                    || same(series, *counted, most, minutes);
                if !within {
                    outside.push(format!(
                        "{reset:?}: {} {:?}: {counted} is not from {least} to {most}",
                        series.name, series.labels
                    ));
                }
            }
            if outside.is_empty() || begun.elapsed() > Duration::from_mins(2) {
                break outside;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        unequal.extend(outside);
    }
    let example = unequal.first().cloned().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    Ok(vec![
        Figure::at_most(
            "books deleted twice, a region moved away and back, all lateness and faults: lives that were not seen to begin at 0",
            lives.len() as f64 - resets as f64,
            "",
            0.0,
            format!("of {}", lives.len()),
        ),
        Figure::at_most(
            "the same, after the daily comparison: counters that hold not what AWS finally counted since, once",
            unequal.len() as f64,
            "",
            0.0,
            format!(
                "of {compared} in each life, {moved} of which moved; counting begins within {} s before and {} s after the reset; {example}",
                GAP_SECONDS.0, GAP_SECONDS.1
            ),
        ),
    ])
}
