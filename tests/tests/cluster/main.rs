//! The chart and the image in a whole cluster: pods, Prometheus, Alertmanager, and a simulated AWS.
//! `make test-cluster` starts all of that and says in the environment where it is.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "unwrap is how a test fails, and its numbers are small and whole"
)]

mod image;
mod incidents;
mod kubectl;
mod panels;
mod pods;

use std::process::Command;

use nightjar_tests::http;
use nightjar_tests::kube_api::answer;
use nightjar_tests::samples::{Series, ranges};
use serde_json::{Value, json};

use kubectl::{apply, delete, get, kubectl, namespace, until};

fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests with `make test-cluster`"))
}

/// A stack with one function of the demo account.
fn stack(namespace: &str, name: &str, spec: &Value) -> Value {
    let mut whole = json!({
        "regions": ["us-east-1"],
        "select": [{"names": ["us-tax"]}],
        "collection": {"interval": "1m", "discoveryInterval": "1m"},
        // All rules of all stacks have to fit into one ConfigMap: beyond, prometheus-operator makes another one, and
        // replaces Prometheus' pod, with its data.
        "services": {"lambda": {}},
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({
        "apiVersion": "nightjar.dev/v1alpha1",
        "kind": "ServerlessStack",
        "metadata": {"namespace": namespace, "name": name},
        "spec": whole,
    })
}

fn condition(namespace: &str, name: &str, kind: &str) -> Value {
    let stack = get(namespace, &format!("serverlessstack/{name}"));
    let conditions = stack["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or_default()
}

fn is_ready(namespace: &str, name: &str) -> bool {
    condition(namespace, name, "Ready")["status"] == "True"
}

async fn prometheus(selector: &str) -> Vec<Series> {
    ranges(&environment("PROMETHEUS_URL"), &format!("{selector}[5m]"))
        .await
        .unwrap()
        .into_iter()
        .map(|range| range.metric)
        .collect()
}

/// The main job: the example of the README, with the table of truth.
#[tokio::test]
async fn every_counter_in_prometheus_equals_what_aws_finally_counted() {
    namespace("shop");
    kubectl(&[
        "apply",
        "-f",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/checkout.yaml"),
    ]);
    until("the stack is Ready", || is_ready("shop", "checkout")).await;
    let output = Command::new(env!("CARGO_BIN_EXE_truth-table"))
        .args([
            "--prometheus",
            &environment("PROMETHEUS_URL"),
            "--simulator",
            &environment("SIMULATOR"),
        ])
        .args([
            "--namespace",
            "shop",
            "--stack",
            "checkout",
            "--open-minutes",
            "1",
            "--patience",
            "900",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // "N of M counters are equal to what AWS finally counted; K of them moved."
    let summary = said.lines().last().unwrap_or_default();
    let numbers: Vec<usize> = summary
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [equal, all, moved] = numbers[..] else {
        panic!("these are not three numbers: {said}")
    };
    assert!(equal == all && all >= 300 && moved >= 100, "{said}");
    // The series say what they are of, and nothing of the pod that happens to serve them.
    let invocations = prometheus("aws_lambda_invocations_total{stack=\"checkout\"}").await;
    assert!(invocations.len() >= 20, "{invocations:?}");
    for series in invocations {
        assert_eq!(
            (series.label("namespace"), series.label("account_id")),
            ("shop", "111122223333")
        );
        for changing in ["pod", "instance", "container", "endpoint"] {
            assert_eq!(series.label(changing), "", "{series:?}");
        }
    }
    let row = kubectl(&["-n", "shop", "get", "serverlessstacks"]);
    assert!(row.contains("True") && row.contains("AsExpected"), "{row}");
    lint(&served("shop", "checkout-exporter-0").await);
}

/// What an exporter serves, by the API server's proxy to its pod.
async fn served(namespace: &str, pod: &str) -> String {
    let address = get(namespace, &format!("pod/{pod}"))["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned();
    http::text(&format!("http://{address}:9988/metrics"))
        .await
        .unwrap()
}

/// Prometheus' own opinion of an exposition.
fn lint(exposition: &str) {
    let mut promtool = Command::new("promtool");
    let said = answer(promtool.args(["check", "metrics"]), exposition);
    assert_eq!(said, Ok((String::new(), String::new())));
}

#[tokio::test]
async fn pods_pass_the_restricted_standard_and_hold_no_kubernetes_token() {
    namespace("restricted");
    kubectl(&[
        "label",
        "namespace",
        "restricted",
        "--overwrite",
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    apply(&stack("restricted", "strict", &json!({})));
    until("the stack is Ready", || is_ready("restricted", "strict")).await;
    let pod = get("restricted", "pod/strict-exporter-0");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let volumes = pod["spec"]["volumes"].to_string();
    assert!(!volumes.contains("serviceAccountToken"), "{volumes}");
}

#[tokio::test]
async fn a_prometheus_that_selects_by_label_scrapes_only_the_stacks_that_carry_it() {
    namespace("labels");
    // First the one that carries no label: whoever knows the other one knows this one too.
    let monitoring =
        |labels: Value| json!({"monitoring": {"labels": labels, "scrapeInterval": "5s"}});
    apply(&stack("labels", "unseen", &monitoring(json!({}))));
    until("it is Ready", || is_ready("labels", "unseen")).await;
    let release = json!({"release": "kube-prometheus-stack"});
    apply(&stack("labels", "seen", &monitoring(release)));
    let targets = async || {
        let url = format!(
            "{}/api/v1/targets?state=active",
            environment("PROMETHEUS_URL")
        );
        http::json::<Value>(&url).await.unwrap().to_string()
    };
    kubectl::until_async("the labelled stack is scraped", async || {
        targets()
            .await
            .contains("serviceMonitor/labels/seen-exporter")
    })
    .await;
    let targets = targets().await;
    assert!(!targets.contains("unseen"), "{targets}");
    let message = condition("labels", "seen", "MonitoringConfigured")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("release"), "{message}");
}

#[tokio::test]
async fn a_deleted_stack_leaves_nothing_and_what_is_deleted_of_a_living_one_comes_back() {
    namespace("gone");
    let owned = || {
        let kinds = "statefulsets,services,configmaps,serviceaccounts,servicemonitors,\
            prometheusrules,alertmanagerconfigs,pods,endpointslices";
        let list = kubectl(&["-n", "gone", "get", kinds, "-o", "name"]);
        list.lines()
            .filter(|name| name.contains("brief"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    apply(&stack("gone", "brief", &json!({})));
    until("the stack is Ready", || is_ready("gone", "brief")).await;
    assert!(owned().len() >= 7, "{:?}", owned());
    let uid = |name: &str| get("gone", name)["metadata"]["uid"].clone();
    let before = uid("statefulset/brief-exporter");
    delete("gone", "statefulset/brief-exporter");
    until("the StatefulSet is back, and Ready", || {
        let now = uid("statefulset/brief-exporter");
        now.is_string() && now != before && is_ready("gone", "brief")
    })
    .await;
    delete("gone", "serverlessstack/brief");
    until("nothing is left of the stack", || owned().is_empty()).await;
}

#[tokio::test]
async fn an_edit_runs_in_the_same_pod_at_the_kubelets_own_pace() {
    namespace("edit");
    apply(&stack("edit", "edited", &json!({})));
    until("the stack is Ready", || is_ready("edit", "edited")).await;
    let pod = || get("edit", "pod/edited-exporter-0")["metadata"]["uid"].clone();
    let resources = || {
        get("edit", "serverlessstack/edited")["status"]["inventory"]["resources"]
            .as_i64()
            .unwrap_or(0)
    };
    let before = (pod(), resources());
    apply(&stack(
        "edit",
        "edited",
        &json!({"select": [{"names": ["us-tax", "edge-auth"]}]}),
    ));
    until("the edit runs", || {
        resources() > before.1 && is_ready("edit", "edited")
    })
    .await;
    assert_eq!(pod(), before.0, "the pod was replaced");
}

#[tokio::test]
async fn a_denied_action_stands_in_the_condition_with_account_region_and_remedy() {
    namespace("denied");
    let faults = format!("{}/faults", environment("SIMULATOR"));
    // Only in a region that no other test reads.
    let denial =
        json!([{"api": "lambda:ListFunctions", "region": "ap-south-1", "effect": "access_denied"}]);
    http::request("PUT", &faults, &[], denial.to_string())
        .await
        .unwrap();
    apply(&stack(
        "denied",
        "poor",
        // A pattern: a function that is named in full is not looked for in a list.
        &json!({"regions": ["us-east-1", "ap-south-1"], "select": [{"names": ["us-ta*"]}]}),
    ));
    until("the condition says so", || {
        condition("denied", "poor", "AWSReachable")["reason"] == "AccessDenied"
    })
    .await;
    let message = condition("denied", "poor", "AWSReachable")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    for word in ["lambda:ListFunctions", "ap-south-1", "111122223333"] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    assert!(!is_ready("denied", "poor"));
    http::request("DELETE", &faults, &[], "").await.unwrap();
    until("the stack is Ready", || is_ready("denied", "poor")).await;
}

#[tokio::test]
async fn two_stacks_that_select_the_same_function_both_work() {
    namespace("twice");
    for name in ["one", "two"] {
        apply(&stack("twice", name, &json!({})));
    }
    until("both are Ready", || {
        is_ready("twice", "one") && is_ready("twice", "two")
    })
    .await;
    for name in ["one", "two"] {
        let text = served("twice", &format!("{name}-exporter-0")).await;
        assert!(text.contains("function_name=\"us-tax\""), "{text}");
    }
}
