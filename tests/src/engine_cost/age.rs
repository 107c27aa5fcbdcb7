//! How fresh counters are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{SPEED, calls, hours, simulator, until};
use crate::figure::Figure;
use crate::running::Running;
use crate::samples::Series;
use crate::truth::source;

/// How old the newest minute is that counters hold, whole or in part.
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
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
