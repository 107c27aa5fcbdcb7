//! What it asks for, and what that costs.

use std::path::Path;

use anyhow::bail;

use super::{SPEED, simulator, until};
use crate::figure::Figure;
use crate::running::Running;

/// What a thousand functions cost in 30 days, and in how many calls they are asked for.
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
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
