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

/// What the scrapes of a time in which everything happens came to.
#[derive(Debug, Default)]
struct Seen {
    before: BTreeMap<Series, f64>,
    scrapes: u64,
    fell: u64,
}

impl Seen {
    async fn look(&mut self, exporter: &Running) {
        let Some(samples) = exporter.scrape().await else {
            return;
        };
        self.scrapes += 1;
        for (series, value) in samples {
            if source(&series).is_none() {
                continue;
            }
            let last = self.before.insert(series, value);
            self.fell += u64::from(last.is_some_and(|last| value < last));
        }
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
/// comparison of the day: are all counters what AWS finally counted?
///
/// What AWS takes back stays counted until it has grown again: it is left out here, and a test of its own shows that it
/// is paid back.
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let account: String = LATE
        .split_inclusive('\n')
        .filter(|line| !line.trim_start().starts_with("revision:"))
        .collect();
    if account.len() == LATE.len() {
        bail!("late.yaml has no revisions any more");
    }
    let simulator = simulator(&account, "2026-10-01T18:00:00Z", SPEED, true).await?;
    hours(&simulator, 0, 0).await?;
    let spec = "{regions: [eu-west-1], select: [{cloudFormation: {stackName: books}}], collection: {interval: 1m, discoveryInterval: 5m}}";
    let mut exporter = Running::start(nightjar, &simulator, "books", spec)?;
    let begun = Instant::now();
    while exporter.last_poll().await.is_none() {
        if begun.elapsed() > Duration::from_mins(2) {
            bail!("it was not polled within two minutes");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
    let metric_data = "cloudwatch:GetMetricData";
    let noise = vec![
        fault(metric_data, Effect::Throttle, Some(0.05)),
        fault(metric_data, Effect::Reset, Some(0.01)),
        fault(metric_data, Effect::Truncate, Some(0.01)),
    ];
    simulator.set_faults(noise.clone());
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
                noise.clone()
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
        seen.look(&exporter).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The night, and the daily comparison.
    simulator.set_faults(Vec::new());
    exporter.kill();
    let night = (end / 86_400 + 1) * 86_400 + 3 * 3600 + 600;
    simulator.advance_seconds((night - simulator.now_ms() / 1000).max(0));
    exporter.start_again(&simulator)?;
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
    ])
}

/// The same account while its books are lost twice: counters begin at 0, and count nothing twice.
pub async fn lost_books(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let simulator = simulator(LATE, "2026-10-01T06:00:00Z", SPEED, true).await?;
    let spec = "{regions: [eu-west-1], select: [{cloudFormation: {stackName: books}}], collection: {interval: 1m, discoveryInterval: 5m}}";
    let mut exporter = Running::start(nightjar, &simulator, "books", spec)?;
    let (mut resets, mut overcounted, mut compared) = (0_u64, 0_u64, 0_u64);
    for round in 0..3 {
        if round > 0 {
            exporter.kill();
            for file in std::fs::read_dir(exporter.dir.path().join("state"))? {
                std::fs::remove_file(file?.path())?;
            }
            exporter.start_again(&simulator)?;
        }
        let since = simulator.now_ms() / 60_000 * 60;
        let mut zero = false;
        let mut last = BTreeMap::new();
        while simulator.now_ms() / 1000 < since + 1800 {
            if let Some(samples) = exporter.scrape().await {
                let counters: BTreeMap<Series, f64> = samples
                    .into_iter()
                    .filter(|(s, _)| source(s).is_some())
                    .collect();
                zero |= !counters.is_empty() && counters.values().all(|value| *value == 0.0);
                last = counters;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        resets += u64::from(zero);
        let now = simulator.now_ms() / 60_000 * 60 + 60;
        for (series, counted) in &last {
            let Some(source) = source(series) else {
                continue;
            };
            // AWS overstates some minutes at first, by a twentieth.
            let total = source
                .total(&simulator.url(), series, since - 120, now)
                .await?;
            compared += 1;
            overcounted += u64::from(*counted > total.value * 1.05 + 1.0);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    Ok(vec![
        Figure::at_most(
            "books deleted twice: starts that were not seen at 0",
            (3 - resets) as f64,
            "",
            0.0,
            "of 3".to_owned(),
        ),
        Figure::at_most(
            "books deleted twice: counters above what happened since their start",
            overcounted as f64,
            "",
            0.0,
            format!("of {compared}"),
        ),
    ])
}
