//! What the rules of a stack of a thousand functions cost a Prometheus: the real exporter, the real rules, the
//! demo's Prometheus, with the weeks before that some rules look back to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Deserialize;

use crate::figure::Figure;
use crate::http;
use crate::samples::instant;
use crate::simulator::{Options, Simulator};

const FUNCTIONS: u32 = 1000;
/// How often the rules of a stack that is polled once a minute are evaluated: a round has each of them at least once, but
/// for those that look far back.
const ROUND_SECONDS: i64 = 30;
const STACK: &str = "apiVersion: nightjar.dev/v1alpha1
kind: ServerlessStack
metadata: {name: bench, namespace: bench}
spec:
  regions: [eu-west-1]
  select: [{names: [\"shop-*\"]}]
  collection: {interval: 1m, maxSeries: 1000000}
  objectives:
    - {name: works, target: \"99.9\", window: 30d, of: {function: shop-00000}}
    - {name: quick, target: \"99\", window: 7d, of: {function: shop-00001}, latencyBelow: 1s}
    - {name: api, target: \"99.9\", window: 30d, of: {api: {name: shop-api0, stage: prod}}}
    - {name: all, target: \"99.9\", window: 90d, of: {stack: {}}}
    - {name: table, target: \"99.9\", window: 30d, of: {table: shop-table0}}
";

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn account() -> String {
    let tables: Vec<String> = (0..20)
        .map(|i| {
            format!(
                "{{name: shop-table{i}, provisioned: {{read: 100, write: 100}}, traffic: {{GetItem: {{steady: {{per_minute: 300}}}}, PutItem: {{steady: {{per_minute: 100}}}}}}}}"
            )
        })
        .collect();
    let apis: Vec<String> = (0..5)
        .map(|i| {
            format!(
                "{{name: shop-api{i}, id: a1b2c3d4e{i}, stages: [{{name: prod, traffic: {{steady: {{per_minute: 300}}}}}}]}}"
            )
        })
        .collect();
    format!(
        "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {FUNCTIONS}, prefix: shop}}], tables: [{}], rest_apis: [{}]}}}}}}]",
        tables.join(", "),
        apis.join(", ")
    )
}

/// Every hundredth function fails each time, so that some alerts fire: what an alert that fires costs is mostly its texts.
const FAILS: u32 = 100;

/// The hours that rules look back to: those of both weeks before, and the last three, sample by sample as Prometheus scrapes.
fn history(file: &Path, now: u64) -> anyhow::Result<()> {
    const WEEK: u64 = 7 * 86_400;
    let windows = [
        (now - 2 * WEEK - 5400, now - 2 * WEEK + 1800),
        (now - WEEK - 5400, now - WEEK + 1800),
        (now - 3 * 3600, now - 120),
    ];
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    let families: [(&str, &str, &[&str]); 4] = [
        ("aws_lambda_invocations", "counter", &["_total{"]),
        ("aws_lambda_errors", "counter", &["_total{"]),
        ("aws_lambda_duration_seconds_count", "unknown", &["{"]),
        (
            "aws_lambda_duration_seconds",
            "unknown",
            &[
                "{quantile=\"0.5\",",
                "{quantile=\"0.9\",",
                "{quantile=\"0.99\",",
            ],
        ),
    ];
    for (family, kind, series) in families {
        writeln!(out, "# TYPE {family} {kind}")?;
        for series in series {
            for function in 0..FUNCTIONS {
                let name = format!(
                    "{family}{series}namespace=\"bench\",job=\"bench-exporter\",service=\"bench-exporter\",stack=\"bench\",account_id=\"111122223333\",region=\"eu-west-1\",function_name=\"shop-{function:05}\"}}"
                );
                let mut value = 0;
                for (from, to) in windows {
                    for at in (from..to).step_by(30) {
                        value += 30;
                        let value = match (family, series.contains("quantile")) {
                            (_, true) => 1,
                            ("aws_lambda_errors", _) if !function.is_multiple_of(FAILS) => 0,
                            _ => value,
                        };
                        writeln!(out, "{name} {value} {at}")?;
                    }
                }
            }
        }
    }
    writeln!(out, "# EOF")?;
    Ok(out.flush()?)
}

fn configuration(exporter: SocketAddr) -> String {
    let mut text = format!(
        "global: {{scrape_interval: 30s, evaluation_interval: 15s}}\nrule_files: [rules.yaml]\nscrape_configs:\n- job_name: bench-exporter\n  \
         static_configs: [{{targets: [\"{exporter}\"], labels: {{namespace: bench, service: bench-exporter}}}}]\n  metric_relabel_configs:\n"
    );
    let _ = writeln!(
        text,
        "  - {{source_labels: [__name__], regex: \"aws_.*()\", target_label: instance, replacement: \"$1\"}}"
    );
    text
}

#[derive(Deserialize)]
struct Rules {
    data: Groups,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    last_evaluation: String,
    evaluation_time: f64,
    rules: Vec<serde_json::Value>,
}

/// Runs a tool to its end, and answers what it printed.
fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("{} does not start", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}

/// Measures. `prometheus` and `promtool` must be in the path.
#[expect(clippy::cast_precision_loss, reason = "counts and kilobytes")]
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let stack = dir.path().join("stack.yaml");
    std::fs::write(&stack, STACK)?;
    let rules = run(Command::new(nightjar)
        .args(["render", "--rules", "-f"])
        .arg(&stack))?;
    std::fs::write(dir.path().join("rules.yaml"), &rules)?;

    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let text = dir.path().join("history.txt");
    history(&text, now)?;
    run(Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(&text)
        .arg(dir.path().join("data")))?;
    std::fs::remove_file(&text)?;

    let simulator = Simulator::from_text(&account(), Options::default()).await?;
    let exporter = free_address()?;
    let _exporter = Running(
        Command::new(nightjar)
            .args(["exporter", "--listen", &exporter.to_string(), "--config"])
            .arg(&stack)
            .arg("--state-dir")
            .arg(dir.path().join("state"))
            .env("AWS_ENDPOINT_URL", simulator.url())
            .env("AWS_ACCESS_KEY_ID", "AKIABENCH")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stderr(Stdio::null())
            .spawn()?,
    );
    std::fs::write(dir.path().join("prometheus.yml"), configuration(exporter))?;
    let listen = free_address()?;
    let _prometheus = Running(
        Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                dir.path().join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={listen}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("prometheus does not start")?,
    );
    let prometheus = format!("http://{listen}");
    until_judged(&prometheus).await?;

    // Those that look far back are evaluated every five minutes, each at a moment of its own.
    let mut rounds: BTreeMap<i64, BTreeMap<String, f64>> = BTreeMap::new();
    let mut rules_of = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(330) {
        let answer: Rules = http::json(&format!("{prometheus}/api/v1/rules")).await?;
        let groups = answer.data.groups;
        rules_of = groups.iter().map(|group| group.rules.len()).sum();
        for group in groups {
            let evaluated: Timestamp = group.last_evaluation.parse()?;
            let round = evaluated.as_second().div_euclid(ROUND_SECONDS);
            let took = rounds.entry(round).or_default();
            took.insert(group.name, group.evaluation_time * 1e3);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    // Those at the two ends were not seen whole.
    rounds.pop_first();
    rounds.pop_last();
    let mut of_group: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (group, took) in rounds.values().flatten() {
        of_group.entry(group).or_default().push(*took);
    }
    let median = |took: &mut Vec<f64>| {
        took.sort_by(f64::total_cmp);
        took.get(took.len() / 2).copied().unwrap_or_default()
    };
    let slowest = of_group
        .iter_mut()
        .map(|(name, took)| (name, median(took)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(name, took)| format!("{name} takes {took:.0} ms when it is due"))
        .unwrap_or_default();
    let sums = rounds.values().map(|groups| groups.values().sum::<f64>());
    let sums: Vec<f64> = sums.collect();
    let longest = sums.iter().copied().fold(0.0, f64::max);
    let recorded = instant(&prometheus, "count({__name__=~\".+:.+:.+\"})")
        .await?
        .first()
        .map_or(0.0, |sample| sample.1);
    Ok(vec![
        Figure::at_most(
            "rules of 1,000 functions: the longest round",
            longest,
            "ms",
            250.0,
            format!(
                "{rules_of} rules, {} rounds of {ROUND_SECONDS} s, {:.0} ms in the mean; {slowest}",
                sums.len(),
                sums.iter().sum::<f64>() / sums.len() as f64
            ),
        ),
        Figure::at_most(
            "rules of 1,000 functions: recorded series",
            recorded,
            "series",
            2000.0,
            "with 20 tables, 5 APIs and 5 objectives".to_owned(),
        ),
        Figure::at_most(
            "rules of 1,000 functions: size of the file",
            rules.len() as f64 / 1e3,
            "kB",
            1000.0,
            "as a PrometheusRule it must fit into etcd".to_owned(),
        ),
    ])
}

/// Waits until the ratio of each function is recorded.
async fn until_judged(prometheus: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let found = instant(prometheus, "count(function:aws_lambda_errors:ratio)")
            .await
            .unwrap_or_default();
        if found
            .first()
            .is_some_and(|sample| sample.1 >= f64::from(FUNCTIONS))
        {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_mins(10) {
            bail!(
                "Prometheus has not recorded every function's ratio within ten minutes: {found:?}"
            );
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
