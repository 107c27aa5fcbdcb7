//! The dashboards' queries, asked of a Prometheus as Grafana would ask them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use nightjar::rules::dashboards::{Kind, dashboards, json};
use serde_json::Value;

use crate::http;

/// A query and what came of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The dashboard's uid.
    pub dashboard: &'static str,
    /// The panel's title.
    pub panel: String,
    /// Which of the panel's queries, from 0.
    pub query: usize,
    /// What was asked.
    pub expression: String,
    /// How many series were answered.
    pub series: usize,
    /// The best of three.
    pub took: Duration,
}

/// Asks everything of every dashboard, with everything chosen in the variables.
pub async fn ask(prometheus: &str, namespace: &str) -> anyhow::Result<Vec<Asked>> {
    let mut all = Vec::new();
    for dashboard in dashboards() {
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            for (number, query) in panel.queries.iter().enumerate() {
                let expression = chosen(&query.expression(), namespace);
                let (series, took) = answer(prometheus, &expression, panel.kind)
                    .await
                    .with_context(|| format!("{}: {}: {expression}", dashboard.uid, panel.title))?;
                all.push(Asked {
                    dashboard: &dashboard.uid,
                    panel: panel.title.clone(),
                    query: number,
                    expression,
                    series,
                    took,
                });
            }
        }
        let json = json(dashboard);
        for annotation in json["annotations"]["list"].as_array().into_iter().flatten() {
            let name = annotation["name"].as_str().unwrap_or_default();
            let Some(expression) = annotation["expr"].as_str() else {
                continue;
            };
            let expression = chosen(expression, namespace);
            let (series, took) = answer(prometheus, &expression, Kind::Timeseries)
                .await
                .with_context(|| format!("{}: annotation {name}", dashboard.uid))?;
            all.push(Asked {
                dashboard: &dashboard.uid,
                panel: format!("annotation {name}"),
                query: 0,
                expression,
                series,
                took,
            });
        }
    }
    Ok(all)
}

/// The expression with the variables filled in.
fn chosen(expression: &str, namespace: &str) -> String {
    let mut out = expression
        .replace("$namespace", namespace)
        .replace("$window", "30m");
    for variable in [
        "stack",
        "account",
        "region",
        "function",
        "table",
        "api",
        "objective",
    ] {
        out = out.replace(&format!("${variable}"), ".*");
    }
    out
}

async fn answer(
    prometheus: &str,
    expression: &str,
    kind: Kind,
) -> anyhow::Result<(usize, Duration)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // Six hours over a panel of some 720 points, as the dashboards begin with.
    let (start, end) = ((now - 6 * 3600).to_string(), now.to_string());
    let url = match kind {
        Kind::Stat | Kind::Table => format!(
            "{prometheus}/api/v1/query?{}",
            http::query([("query", expression)])
        ),
        Kind::Timeseries => format!(
            "{prometheus}/api/v1/query_range?{}",
            http::query([
                ("query", expression),
                ("start", &start),
                ("end", &end),
                ("step", "30")
            ])
        ),
    };
    let mut best = Duration::MAX;
    let mut series = 0;
    for _ in 0..3 {
        let begun = Instant::now();
        let answer: Value = http::json(&url).await?;
        best = best.min(begun.elapsed());
        series = answer["data"]["result"].as_array().map_or(0, Vec::len);
    }
    Ok((series, best))
}
