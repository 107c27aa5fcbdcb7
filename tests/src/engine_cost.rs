//! Whether the engine is exact, whatever happens; what it asks for, what that costs, how fresh it is, and how it
//! grows: the real exporter against the simulator's truth and its meter.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::figure::Figure;
use crate::http;
use crate::running::Running;
use crate::samples::Series;
use crate::simulator::clock::Clock;
use crate::simulator::faults::{Effect, Fault};
use crate::simulator::{Options, Simulator};
use crate::truth::{same, source};

/// Simulated seconds in a real one.
const SPEED: f64 = 60.0;
/// Everything that can be late, revised or contradictory.
const LATE: &str = include_str!("../accounts/late.yaml");

async fn simulator(
    account: &str,
    origin: &str,
    speed: f64,
    limits: bool,
) -> anyhow::Result<Simulator> {
    let origin: jiff::Timestamp = origin.parse()?;
    let options = Options {
        clock: Clock::new(origin.as_millisecond(), speed),
        limits,
        ..Options::default()
    };
    Ok(Simulator::from_text(account, options).await?)
}

async fn until(simulator: &Simulator, second: i64) {
    while simulator.now_ms() < second * 1000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn hours(simulator: &Simulator, from: i64, until: i64) -> anyhow::Result<()> {
    let body = serde_json::json!({"from": from, "until": until}).to_string();
    http::request("PUT", &format!("{}/hours", simulator.url()), &[], body).await?;
    Ok(())
}

fn fault(api: &str, effect: Effect, probability: Option<f64>) -> Fault {
    Fault {
        api: api.to_owned(),
        account: None,
        region: None,
        calls: None,
        probability,
        times: None,
        effect,
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
pub async fn exactness(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
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

/// What a thousand functions cost in 30 days, and in how many calls they are asked for.
pub async fn bill(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    const FOUR: &str = "{regions: [eu-west-1], select: [{names: [\"shop-*\"]}], services: {lambda: {optional: [], excludeMetrics: [aws_lambda_concurrent_executions]}}}";
    let cases = [
        ("all active, errors everywhere", "errors: 0.05", 350.0, 300),
        ("all active, quiet", "errors: 0", 180.0, 300),
        ("80 % idle, quiet", "errors: 0, idle_share: 0.8", 60.0, 480),
    ];
    let mut figures = Vec::new();
    for (name, functions, limit, warm_up) in cases {
        let account = format!(
            "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: 1000, prefix: shop-, per_minute: 60, {functions}}}]}}}}}}]"
        );
        // The night's comparison of the day before, at 3 o'clock, is in the four hours that are measured; so it must have
        // begun on that day.
        let origin = jiff::Timestamp::from_second(1_790_996_400 - i64::from(warm_up) * 60)?;
        let simulator = simulator(&account, &origin.to_string(), SPEED, true).await?;
        let exporter = Running::start(nightjar, &simulator, "bill", FOUR)?;
        let begun = simulator.now_ms() / 1000;
        until(&simulator, begun + i64::from(warm_up) * 60).await;
        let functions = exporter.functions().await;
        if functions != 1000 {
            bail!("{name}: {functions} of 1,000 functions are published");
        }
        let spent = async || {
            let samples = exporter.scrape().await.unwrap_or_default();
            let by = |purpose: &str| {
                let of = samples.iter().filter(|(series, _)| {
                    series.name == "nightjar_exporter_spent_dollars_total"
                        && series.label("purpose") == purpose
                });
                of.map(|(_, dollars)| dollars).sum::<f64>()
            };
            (by("poll"), by("audit"))
        };
        let before = spent().await;
        simulator.reset_meter();
        let from = simulator.now_ms();
        until(&simulator, from / 1000 + 4 * 3600).await;
        let after = spent().await;
        let meter = simulator.meter();
        #[expect(clippy::cast_precision_loss, reason = "an estimate of dollars")]
        let hours = (simulator.now_ms() - from) as f64 / 3_600_000.0;
        let metered: f64 = meter
            .iter()
            .filter(|r| r.api == "cloudwatch:GetMetricData")
            .map(|r| r.dollars)
            .sum();
        let listed: f64 = meter
            .iter()
            .filter(|r| r.api == "cloudwatch:ListMetrics")
            .map(|r| r.dollars)
            .sum();
        let (polls, audits) = (after.0 - before.0, after.1 - before.1);
        if (polls + audits - metered).abs() > 0.02 * metered + 0.001 {
            bail!(
                "{name}: the exporter says that it spent ${:.4}, and the meter says ${metered:.4}",
                polls + audits
            );
        }
        let month = (polls + listed) / hours * 720.0 + audits * 30.0;
        figures.push(Figure::at_most(
            &format!("1,000 functions x 4 metrics, {name}: 30 days"),
            month,
            "USD",
            limit,
            format!(
                "polls ${:.2}, comparisons ${:.2}, lists of what is active ${:.2}; {hours:.1} h measured",
                polls / hours * 720.0,
                audits * 30.0,
                listed / hours * 720.0 + 0.0 // the sum of none is -0
            ),
        ));
        if warm_up == 300 {
            let calls: u64 = meter
                .iter()
                .filter(|r| r.api == "cloudwatch:GetMetricData")
                .map(|r| r.requests)
                .sum();
            let queries: u64 = meter.iter().map(|r| r.queries).sum();
            #[expect(clippy::cast_precision_loss, reason = "counts are small")]
            let (calls, queries, cycles) = (calls as f64, queries as f64, hours * 12.0);
            // Of the comparisons, one a day and not in each cycle, there are as many calls as they need at least.
            let per_cycle = queries / cycles;
            figures.push(Figure::at_most(
                &format!("calls per cycle / ceil(queries / 500), {name}"),
                calls / cycles / (per_cycle / 500.0).ceil(),
                "",
                1.05,
                format!(
                    "{:.1} calls, {per_cycle:.0} queries a cycle, the day's comparison among them",
                    calls / cycles
                ),
            ));
        }
    }
    Ok(figures)
}

/// CPU time and memory of a cycle, and how they grow with the number of functions.
pub async fn growth(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut points: Vec<(f64, f64, f64, f64)> = Vec::new();
    for (functions, cycles, cpu_limit, rss_limit) in [
        (1000_u32, 5, 0.05, 30.0),
        (10_000, 4, 1.0, 120.0),
        (100_000, 2, f64::INFINITY, 1536.0),
    ] {
        let account = format!(
            "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {functions}, prefix: shop-}}]}}}}}}]"
        );
        let interval: u32 = if functions > 10_000 { 300 } else { 60 };
        let four = if functions == 1000 {
            "services: {lambda: {optional: [], excludeMetrics: [aws_lambda_concurrent_executions]}}, "
        } else {
            ""
        };
        let spec = format!(
            "{{regions: [eu-west-1], select: [{{names: [\"shop-*\"]}}], {four}collection: {{interval: {interval}s, discoveryInterval: {interval}s, maxSeries: 10000000}}}}"
        );
        let simulator = Simulator::from_text(&account, Options::default()).await?;
        let exporter = Running::start(nightjar, &simulator, "growth", &spec)?;
        let begun = Instant::now();
        let pause = Duration::from_secs(u64::from(interval));
        let polled = async |since: Option<i64>| -> anyhow::Result<i64> {
            loop {
                let last = exporter.last_poll().await;
                if let Some(at) = last.filter(|_| last != since) {
                    return Ok(at);
                }
                if begun.elapsed() > Duration::from_mins(45) {
                    bail!("{functions} functions are not polled within 45 minutes");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let mut last = polled(None).await?;
        let first = begun.elapsed();
        last = polled(Some(last)).await?;
        let (cpu, calls) = (exporter.cpu_seconds()?, calls(&simulator));
        let from = Instant::now();
        for _ in 0..cycles {
            // Two scrapes a cycle, as Prometheus makes them. To look whether a poll is over costs something too: that
            // is done towards the end only.
            exporter.scrape_as_prometheus().await?;
            tokio::time::sleep(pause / 2).await;
            exporter.scrape_as_prometheus().await?;
            tokio::time::sleep(pause * 5 / 12).await;
            last = polled(Some(last)).await?;
        }
        let per_cycle = |total: f64| total / f64::from(cycles);
        let took = per_cycle(from.elapsed().as_secs_f64());
        let (cpu, peak) = (per_cycle(exporter.cpu_seconds()? - cpu), exporter.peak()?);
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let calls = per_cycle((self::calls(&simulator) - calls) as f64);
        points.push((f64::from(functions), calls, cpu, peak));
        let what = if functions == 1000 {
            "4 metrics"
        } else {
            "all default metrics"
        };
        figures.push(Figure::at_most(
            &format!("{functions} functions, {what}: CPU of a cycle with two scrapes"),
            cpu,
            "s",
            cpu_limit,
            format!(
                "{calls:.0} calls of GetMetricData and, as is the default, one look-up of all resources in a cycle of \
                 {interval} s; first snapshot after {:.0} s",
                first.as_secs_f64()
            ),
        ));
        figures.push(Figure::at_most(
            &format!("{functions} functions, {what}: peak RSS"),
            peak,
            "MiB",
            rss_limit,
            String::new(),
        ));
        if functions == 100_000 {
            let limit = f64::from(interval);
            figures.push(Figure::at_most(
                "100,000 functions on one exporter: from poll to poll, within AWS's quotas",
                took,
                "s",
                limit * 1.2,
                format!("asked for every {interval} s; the simulator answers at once and refuses what is above the quotas"),
            ));
        }
    }
    let exponent = |of: fn(&(f64, f64, f64, f64)) -> f64| {
        let (small, large) = (points[1], points[2]);
        (of(&large) / of(&small)).ln() / (large.0 / small.0).ln()
    };
    for (name, value) in [
        ("calls", exponent(|p| p.1)),
        ("CPU", exponent(|p| p.2)),
        ("RSS", exponent(|p| p.3)),
    ] {
        figures.push(Figure::at_most(
            &format!("growth from 10,000 to 100,000 functions: exponent of {name}"),
            value,
            "",
            1.05,
            "1 is linear".to_owned(),
        ));
    }
    Ok(figures)
}

fn calls(simulator: &Simulator) -> u64 {
    let meter = simulator.meter();
    let data = meter.iter().filter(|r| r.api == "cloudwatch:GetMetricData");
    data.map(|reading| reading.requests).sum()
}

/// How old the newest minute is that counters hold, whole or in part.
pub async fn age(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (interval, limit) in [(300_i64, 350.0), (60, 230.0)] {
        let account = "accounts: [{id: '111122223333', regions: {eu-west-1: {lateness: {lambda: {settle: 3m}}, generated: [{functions: 20, prefix: shop-, per_minute: 400}]}}}]";
        let simulator = simulator(account, "2026-10-01T10:00:00Z", SPEED, true).await?;
        hours(&simulator, 0, 0).await?;
        let spec = format!(
            "{{regions: [eu-west-1], select: [{{names: [\"shop-*\"]}}], services: {{lambda: {{optional: []}}}}, collection: {{interval: {interval}s}}}}"
        );
        let exporter = Running::start(nightjar, &simulator, "age", &spec)?;
        while exporter.functions().await != 20 || exporter.last_poll().await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let begun = simulator.now_ms() / 1000;
        while simulator.now_ms() / 1000 < begun + 180 {
            exporter.scrape().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let opened = (simulator.now_ms() / 60_000 + 1) * 60;
        hours(&simulator, opened, opened + 86_400).await?;
        until(&simulator, opened + 900).await;
        let probe = Series {
            name: "aws_lambda_invocations_total".to_owned(),
            labels: BTreeMap::new(),
        };
        // By minute since the opening, what happened until its end.
        let mut totals: Vec<f64> = vec![0.0];
        let (mut ages, mut partly) = (Vec::new(), Vec::new());
        let from = simulator.now_ms() / 1000;
        let first_calls = calls(&simulator);
        while simulator.now_ms() / 1000 < from + 6 * interval.max(300) {
            let Some(samples) = exporter.scrape().await else {
                continue;
            };
            let now = simulator.now_ms() / 1000;
            let minutes = usize::try_from((now - opened) / 60).unwrap_or(0);
            while totals.len() <= minutes {
                let at = opened + 60 * i64::try_from(totals.len()).unwrap_or(0);
                let mut sum = 0.0;
                for (series, _) in samples
                    .iter()
                    .filter(|(series, _)| series.name == probe.name)
                {
                    let Some(source) = source(series) else {
                        continue;
                    };
                    sum += source
                        .total(&simulator.url(), series, at - 60, at)
                        .await?
                        .value;
                }
                totals.push(totals.last().copied().unwrap_or_default() + sum);
            }
            let of = samples
                .iter()
                .filter(|(series, _)| series.name == probe.name);
            let counted: f64 = of.map(|(_, value)| value).sum();
            let end = |minute: usize| opened + 60 * i64::try_from(minute).unwrap_or(0);
            let whole = (1..totals.len()).rev().find(|minute| {
                counted >= totals[*minute] - 0.01 * (totals[*minute] - totals[minute - 1])
            });
            let part = (1..totals.len())
                .rev()
                .find(|minute| counted > totals[minute - 1]);
            #[expect(clippy::cast_precision_loss, reason = "seconds of an hour")]
            let age = |minute: usize| (now - end(minute)) as f64;
            ages.extend(whole.map(age));
            partly.extend(part.map(age));
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let requests = (calls(&simulator) - first_calls) as f64 * 3600.0
            / (simulator.now_ms() / 1000 - from) as f64;
        figures.push(Figure::at_most(
            &format!("age of the newest minute of which counters hold 99 %, every {interval} s"),
            mean(&ages),
            "s",
            limit,
            format!(
                "mean of {} looks; partly counted: {:.0} s; {requests:.0} requests an hour",
                ages.len(),
                mean(&partly)
            ),
        ));
    }
    Ok(figures)
}
