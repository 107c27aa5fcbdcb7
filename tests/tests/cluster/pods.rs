//! What befalls pods, nodes and namespaces while stacks are watched: the numbers go on where they were, or begin again at
//! 0, and everything is well again by itself.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nightjar_tests::http;
use nightjar_tests::samples::{Series, parse};
use nightjar_tests::simulator::clock::Clock;
use nightjar_tests::simulator::{Options, Simulator};
use nightjar_tests::truth::source;
use serde_json::{Value, json};

use crate::kubectl::{apply, delete, get, kubectl, kubectl_with, namespace, until, until_async};
use crate::{environment, is_ready, stack};

const ACCOUNT: &str = r#"
seed: 11
accounts:
  - id: "111122223333"
    regions:
      us-east-1:
        functions: [{name: us-tax, traffic: {steady: {per_minute: 60}}}]
"#;
/// How far AWS is behind at first, in seconds: so much is there to be counted when its time jumps to ours.
const BEHIND: i64 = 900;

const NAMESPACE: &str = "pods";
const POD: &str = "pod/tough-exporter-0";

fn pod() -> Value {
    get(NAMESPACE, POD)
}

fn restarts() -> i64 {
    let pod = pod();
    let container = &pod["status"]["containerStatuses"][0];
    container["restartCount"].as_i64().unwrap_or(0)
}

/// What the exporter serves of the function's invocations. None while it does not answer.
async fn counted() -> Option<(Series, f64)> {
    let pod = pod();
    let address = pod["status"]["podIP"].as_str()?;
    let text = http::text(&format!("http://{address}:9988/metrics")).await;
    let samples = parse(&text.ok()?).unwrap();
    let mut samples = samples.into_iter();
    samples.find(|(series, _)| series.name == "aws_lambda_invocations_total")
}

/// The exporter's process, as this machine numbers it: the one in the pod's cgroup that is not the pause container's.
fn process() -> PathBuf {
    let uid = pod()["metadata"]["uid"].as_str().unwrap().to_owned();
    let uid = [uid.replace('-', "_"), uid];
    let of_pod = |process: &PathBuf| {
        let read = |file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
        let cgroup = read("cgroup");
        uid.iter().any(|uid| cgroup.contains(uid.as_str()))
            && read("cmdline").contains("exporter\0")
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut processes = processes.map(|entry| entry.unwrap().path());
    processes.find(of_pod).expect("the exporter's process")
}

/// The control group that limits a process' memory, of either version.
fn memory_group(process: &Path) -> PathBuf {
    let groups = std::fs::read_to_string(process.join("cgroup")).unwrap();
    let of = |marker: &str, root: &str| {
        let mut lines = groups.lines();
        let path = lines.find_map(|line| Some(line.split_once(marker)?.1))?;
        Some(PathBuf::from(format!("{root}{path}")))
    };
    of(":memory:", "/sys/fs/cgroup/memory")
        .or_else(|| of("0::", "/sys/fs/cgroup"))
        .expect("a control group")
}

/// How many processes the kernel has killed since it runs for want of memory.
fn killed_for_memory() -> u64 {
    let counts = std::fs::read_to_string("/proc/vmstat").unwrap();
    let mut counts = counts.lines();
    let count = counts.find_map(|line| line.strip_prefix("oom_kill "));
    count.expect("the kernel counts them").parse().unwrap()
}

fn signal(process: &str, signal: &str) {
    let kill = Command::new("kill").args([signal, process]).status();
    assert!(kill.unwrap().success(), "kill {signal} {process}");
}

fn number(process: &Path) -> String {
    process.file_name().unwrap().to_str().unwrap().to_owned()
}

/// After something that leaves the pod's volume in place: no number is less than it was.
async fn goes_on(what: &str, restarted: i64, before: f64) {
    until_async(what, async || {
        let counted = counted().await;
        if let Some((_, value)) = counted {
            assert!(value >= before, "{what}: {value} after {before}");
        }
        restarts() > restarted && counted.is_some() && is_ready(NAMESPACE, "tough")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_is_killed_out_of_memory_evicted_or_without_its_kubelet_recovers() {
    let host: IpAddr = environment("HOST_IP").parse().unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let options = Options {
        listen: SocketAddr::new(host, 0),
        clock: Clock::new(now - BEHIND * 1000, 1.0),
        ..Options::default()
    };
    let simulator = Simulator::from_text(ACCOUNT, options).await.unwrap();
    namespace(NAMESPACE);
    let env = json!([{"name": "AWS_ENDPOINT_URL", "value": simulator.url()}]);
    apply(&stack(
        NAMESPACE,
        "tough",
        &json!({"exporter": {"env": env}}),
    ));
    until_async("the counter begins", async || {
        counted().await.is_some_and(|(_, value)| value == 0.0)
    })
    .await;
    simulator.advance_seconds(BEHIND);
    let counts = async || counted().await.is_some_and(|(_, value)| value > 0.0);
    until_async("something is counted", async || {
        counts().await && is_ready(NAMESPACE, "tough")
    })
    .await;

    let (_, before) = counted().await.unwrap();
    let restarted = restarts();
    signal(&number(&process()), "-KILL");
    goes_on("it goes on after kill -9", restarted, before).await;

    // Something else takes all the memory that the container may have, and the kernel takes the exporter for it.
    let (_, before) = counted().await.unwrap();
    let restarted = restarts();
    let exporter = process();
    let killed = killed_for_memory();
    std::fs::write(exporter.join("oom_score_adj"), "1000").unwrap();
    let mut hog = Command::new("bash")
        .args(["-c", "echo $$ >\"$0\" && exec tail /dev/zero"])
        .arg(memory_group(&exporter).join("cgroup.procs"))
        .spawn()
        .unwrap();
    until("the kernel has killed the exporter", || !exporter.exists()).await;
    hog.kill().unwrap();
    hog.wait().unwrap();
    goes_on("it goes on after it was out of memory", restarted, before).await;
    let last = &pod()["status"]["containerStatuses"][0]["lastState"]["terminated"];
    // Not by containerd's word for it, which says "Error" when it missed the kernel's event.
    assert_eq!(last["exitCode"], 137, "{last}");
    assert!(killed_for_memory() > killed, "{last}");

    // A kubelet that says nothing for a minute: the node is taken for lost, the pod goes on.
    let uid = pod()["metadata"]["uid"].clone();
    let (_, before) = counted().await.unwrap();
    let node = environment("SIMULATOR");
    let node = node.trim_start_matches("http://").split(':').next();
    let of_node = format!("^kubelet .*--node-ip={}( |$)", node.unwrap());
    let kubelet = Command::new("pgrep").args(["-f", "--", &of_node]).output();
    let kubelet = String::from_utf8(kubelet.unwrap().stdout).unwrap();
    signal(kubelet.trim(), "-STOP");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(
        counted().await.unwrap().1 >= before,
        "it counts without a kubelet"
    );
    signal(kubelet.trim(), "-CONT");
    until("the node is back and the stack Ready", || {
        let node = get("default", "node/node1");
        let conditions = node["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|one| one["type"] == "Ready");
        ready.is_some_and(|ready| ready["status"] == "True") && is_ready(NAMESPACE, "tough")
    })
    .await;
    assert_eq!(pod()["metadata"]["uid"], uid, "the pod was replaced");
    assert!(counted().await.unwrap().1 >= before);

    // Its volume goes with it: counters begin again at 0, and count nothing twice.
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"namespace": NAMESPACE, "name": "tough-exporter-0"},
    });
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/tough-exporter-0/eviction");
    let create = ["create", "--raw", &path, "-f", "-"];
    kubectl_with(&create, &eviction.to_string()).unwrap();
    let evicted = jiff::Timestamp::now().as_second();
    until("another pod is Ready", || {
        pod()["metadata"]["uid"].is_string()
            && pod()["metadata"]["uid"] != uid
            && is_ready(NAMESPACE, "tough")
    })
    .await;
    until_async("it counts again", counts).await;
    let (series, value) = counted().await.unwrap();
    let now = jiff::Timestamp::now().as_second();
    // Minutes before it came are another pod's.
    let since = (evicted.div_euclid(60) * 60, (now / 60 + 1) * 60);
    let source = source(&series).unwrap();
    let truth = source
        .total(&simulator.url(), &series, since.0, since.1)
        .await
        .unwrap()
        .value;
    assert!(
        value <= truth,
        "{value} of {truth} since the pod was evicted"
    );
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
}

#[tokio::test]
async fn a_namespace_that_is_deleted_takes_its_stack_along_and_nothing_else() {
    namespace("doomed");
    namespace("beside");
    for (namespace, name) in [("doomed", "one"), ("beside", "two")] {
        apply(&stack(namespace, name, &json!({})));
    }
    until("both are Ready", || {
        is_ready("doomed", "one") && is_ready("beside", "two")
    })
    .await;
    kubectl(&["delete", "namespace", "doomed", "--wait=false"]);
    until("the namespace is gone", || {
        kubectl(&["get", "namespace", "doomed", "--ignore-not-found"]).is_empty()
    })
    .await;
    namespace("doomed");
    apply(&stack("doomed", "one", &json!({})));
    until("a new one of the same name is Ready", || {
        is_ready("doomed", "one") && is_ready("beside", "two")
    })
    .await;
    // Another test may replace its pod; none may have died.
    let operators = kubectl(&["-n", "nightjar", "get", "pods", "-o", "json"]);
    let operators: Value = serde_json::from_str(&operators).unwrap();
    for pod in operators["items"].as_array().unwrap() {
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        assert_eq!(*restarts, 0, "{pod}");
    }
}

/// The operator is replaced while stacks are edited, without its chart's other settings.
#[tokio::test]
async fn the_chart_is_upgraded_while_stacks_are_edited() {
    namespace("upgrade");
    apply(&stack("upgrade", "edited", &json!({})));
    until("the stack is Ready", || is_ready("upgrade", "edited")).await;
    let exporter = || get("upgrade", "pod/edited-exporter-0")["metadata"]["uid"].clone();
    let exporter_before = exporter();
    let operators = || {
        let name = kubectl(&["-n", "nightjar", "get", "pods", "-o", "name"]);
        name.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = operators();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/nightjar");
    let mut helm = Command::new("helm")
        .args(["upgrade", "nightjar", chart, "--namespace", "nightjar"])
        .args(["--reuse-values", "--wait", "--timeout", "120s"])
        .args(["--set", "operator.podAnnotations.upgraded=yes"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut edits = 0;
    let upgraded = loop {
        edits += 1;
        let tags = json!([format!("team-{edits}")]);
        let patch = json!({"spec": {"tags": tags}}).to_string();
        kubectl(&[
            "-n",
            "upgrade",
            "patch",
            "serverlessstack",
            "edited",
            "--type=merge",
            "-p",
            &patch,
        ]);
        if let Some(status) = helm.try_wait().unwrap() {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(upgraded.success(), "helm upgrade: {upgraded}");
    until("another operator runs alone", || {
        let now = operators();
        now.len() == 1 && now != before
    })
    .await;
    until("the last edit is what runs", || {
        let config = get("upgrade", "configmap/edited-exporter");
        let stack = get("upgrade", "serverlessstack/edited");
        config["data"]
            .to_string()
            .contains(&format!("team-{edits}"))
            && stack["status"]["observedGeneration"] == stack["metadata"]["generation"]
            && is_ready("upgrade", "edited")
    })
    .await;
    assert!(edits > 3, "{edits}");
    assert_eq!(exporter(), exporter_before, "the exporter was replaced");
    delete("upgrade", "serverlessstack/edited");
}
