//! How a cycle grows with the number of functions.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::calls;
use crate::figure::Figure;
use crate::running::Running;
use crate::simulator::{Options, Simulator};

/// CPU time and memory of a cycle, and how they grow with the number of functions.
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut points: Vec<(f64, f64, f64, f64)> = Vec::new();
    for (functions, four, cycles, cpu_limit, rss_limit) in [
        (1000_u32, true, 5, 0.05, 30.0),
        (1000, false, 3, f64::INFINITY, f64::INFINITY),
        (10_000, false, 4, 1.0, 120.0),
        (100_000, false, 2, f64::INFINITY, 1536.0),
    ] {
        let account = format!(
            "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {functions}, prefix: shop-}}]}}}}}}]"
        );
        let interval: u32 = if functions > 10_000 { 300 } else { 60 };
        let services = if four {
            "services: {lambda: {optional: [], excludeMetrics: [aws_lambda_concurrent_executions]}}, "
        } else {
            ""
        };
        let spec = format!(
            "{{regions: [eu-west-1], select: [{{names: [\"shop-*\"]}}], {services}collection: {{interval: {interval}s, discoveryInterval: {interval}s, maxSeries: 10000000}}}}"
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
        let what = if four {
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
        let (small, large) = (points[1], points[3]);
        (of(&large) / of(&small)).ln() / (large.0 / small.0).ln()
    };
    for (name, value) in [
        ("calls", exponent(|p| p.1)),
        ("CPU", exponent(|p| p.2)),
        ("RSS", exponent(|p| p.3)),
    ] {
        figures.push(Figure::at_most(
            &format!("growth from 1,000 to 100,000 functions: exponent of {name}"),
            value,
            "",
            1.05,
            "1 is linear".to_owned(),
        ));
    }
    Ok(figures)
}
