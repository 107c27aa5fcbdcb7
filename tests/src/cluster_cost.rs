//! How soon a stack that is applied in a whole cluster is watched, and how fast Prometheus answers the dashboards.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::figure::Figure;
use crate::http;
use crate::panels;
use crate::samples::ranges;

/// The stack's, in Prometheus' configuration.
const JOB: &str = "serviceMonitor/bench/bench-exporter/0";

fn kubectl(args: &[&str], input: &str) -> anyhow::Result<String> {
    Ok(String::from_utf8(kubectl_bytes(args, input)?)?)
}

fn kubectl_bytes(args: &[&str], input: &str) -> anyhow::Result<Vec<u8>> {
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
    Ok(child.wait_with_output()?.stdout)
}

/// Whether the Prometheus operator has written the job into the Secret from which Prometheus is configured.
fn is_configured() -> anyhow::Result<bool> {
    let decoded = "go-template={{index .data \"prometheus.yaml.gz\" | base64decode}}";
    let of = ["-n", "monitoring", "get", "secret", "prometheus-prometheus"];
    let packed = kubectl_bytes(&[&of[..], &["-o", decoded]].concat(), "")?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text)?;
    Ok(text.contains(JOB))
}

/// Whether Prometheus runs with that configuration.
async fn is_loaded(prometheus: &str) -> anyhow::Result<bool> {
    let config = http::text(&format!("{prometheus}/api/v1/status/config")).await?;
    Ok(config.contains(JOB))
}

/// Whether it has scraped the exporter.
async fn is_up(prometheus: &str) -> anyhow::Result<bool> {
    let url = format!("{prometheus}/api/v1/targets?state=active&scrapePool={JOB}");
    let targets: serde_json::Value = http::json(&url).await?;
    let targets = targets["data"]["activeTargets"].as_array();
    Ok(targets.is_some_and(|targets| targets.iter().any(|target| target["health"] == "up")))
}

/// After how many seconds it is so, as far as is seen by looking that often.
async fn until(
    begun: Instant,
    every_ms: u64,
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<f64> {
    while !is_so().await? {
        if begun.elapsed() > Duration::from_mins(5) {
            bail!("not within five minutes: {what}");
        }
        tokio::time::sleep(Duration::from_millis(every_ms)).await;
    }
    Ok(begun.elapsed().as_secs_f64())
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
    let names = "statefulset/bench-exporter,service/bench-exporter,configmap/bench-exporter,serviceaccount/bench-exporter,servicemonitor/bench-exporter";
    let names: Vec<&str> = names.split(',').collect();
    let all = [
        &["-n", "bench", "get", "--ignore-not-found", "-o", "name"],
        &names[..],
    ]
    .concat();
    let objects = until(begun, 20, "all objects", async || {
        Ok(kubectl(&all, "")?.lines().count() == names.len())
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
    let pod_ready = until(begun, 20, "the pod is Ready", async || {
        Ok(kubectl(&pod, "")? == "1")
    })
    .await?;
    let ready = [
        "-n",
        "bench",
        "get",
        "serverlessstack",
        "bench",
        "-o",
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
    ];
    // These go on side by side. What was so before the pod was Ready is seen now.
    let query = "aws_lambda_invocations_total{stack=\"bench\"}[5m]";
    let (stack_ready, configured, loaded, up, series) = tokio::try_join!(
        until(begun, 20, "the stack is Ready", async || {
            Ok(kubectl(&ready, "")? == "True")
        }),
        until(begun, 200, "Prometheus is configured", async || {
            is_configured()
        }),
        until(begun, 200, "its configuration is loaded", async || {
            is_loaded(&prometheus).await
        }),
        until(begun, 200, "its target is up", async || is_up(&prometheus)
            .await),
        until(begun, 200, "a series in Prometheus", async || {
            Ok(!ranges(&prometheus, query).await?.is_empty())
        }),
    )?;
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
            format!(
                "all objects, the ServiceMonitor too, after {objects:.1} s; Prometheus' Secret with the job after {configured:.1} s; \
                 the kubelet, which looks at Secrets once a minute, and the config reloader have brought it to Prometheus after \
                 {loaded:.1} s; scraped after {up:.1} s"
            ),
        ),
    ])
}
