//! How soon a stack that is applied in a whole cluster is watched, and how fast Prometheus answers the dashboards.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::figure::Figure;
use crate::panels;
use crate::samples::ranges;

fn kubectl(args: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new("kubectl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("stdin is piped")?
        .write_all(input.as_bytes())?;
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
}

/// From `kubectl apply` to the first series in Prometheus.
pub async fn figures() -> anyhow::Result<Vec<Figure>> {
    let prometheus =
        std::env::var("PROMETHEUS_URL").context("there is no cluster: run make bench")?;
    kubectl(&["create", "namespace", "bench"], "")?;
    let stack = serde_json::json!({
        "apiVersion": "nightjar.dev/v1alpha1",
        "kind": "ServerlessStack",
        "metadata": {"namespace": "bench", "name": "bench"},
        "spec": {
            "regions": ["us-east-1"],
            "select": [{"names": ["us-tax"]}],
            "monitoring": {"labels": {"release": "kube-prometheus-stack"}},
        },
    });
    let begun = Instant::now();
    kubectl(&["apply", "-f", "-"], &stack.to_string())?;
    let until =
        async |what: &str, args: &[&str], is_so: &dyn Fn(&str) -> bool| -> anyhow::Result<f64> {
            loop {
                if is_so(&kubectl(args, "")?) {
                    return Ok(begun.elapsed().as_secs_f64());
                }
                if begun.elapsed() > Duration::from_mins(5) {
                    bail!("not within five minutes: {what}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
    let names = "statefulset/bench-exporter,service/bench-exporter,configmap/bench-exporter,serviceaccount/bench-exporter,servicemonitor/bench-exporter";
    let names: Vec<&str> = names.split(',').collect();
    let all = [
        &["-n", "bench", "get", "--ignore-not-found", "-o", "name"],
        &names[..],
    ]
    .concat();
    let objects = until("all objects", &all, &|out| {
        out.lines().count() == names.len()
    })
    .await?;
    let pod = [
        "-n",
        "bench",
        "get",
        "statefulset",
        "bench-exporter",
        "-o",
        "jsonpath={.status.readyReplicas}",
    ];
    let pod_ready = until("the pod is Ready", &pod, &|out| out == "1").await?;
    let ready = [
        "-n",
        "bench",
        "get",
        "serverlessstack",
        "bench",
        "-o",
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
    ];
    let stack_ready = until("the stack is Ready", &ready, &|out| out == "True").await?;
    while ranges(
        &prometheus,
        "aws_lambda_invocations_total{stack=\"bench\"}[5m]",
    )
    .await?
    .is_empty()
    {
        if begun.elapsed() > Duration::from_mins(5) {
            bail!("no series in Prometheus within five minutes");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let series = begun.elapsed().as_secs_f64();
    let asked = panels::ask(&prometheus, ".*").await?;
    let slowest = asked
        .iter()
        .max_by_key(|asked| asked.took)
        .context("the dashboards have queries")?;
    Ok(vec![
        Figure::at_most(
            "the slowest of all panels' queries",
            slowest.took.as_secs_f64() * 1e3,
            "ms",
            200.0,
            format!(
                "{}: {}, of {} queries; best of three, in a Prometheus that is minutes old",
                slowest.dashboard,
                slowest.panel,
                asked.len()
            ),
        ),
        Figure::at_most(
            "apply to all objects created",
            objects,
            "s",
            1.0,
            "as kubectl sees it, its own time included",
        ),
        Figure::at_most("apply to the exporter pod Ready", pod_ready, "s", 5.0, ""),
        Figure::at_most(
            "apply to the stack Ready",
            stack_ready,
            "s",
            90.0,
            "first discovery and poll included",
        ),
        Figure::at_most(
            "apply to the first series in Prometheus",
            series,
            "s",
            120.0,
            "after Ready it waits for the config reloader and a scrape interval",
        ),
    ])
}
