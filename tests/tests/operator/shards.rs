//! Shards: the real operator moves accounts and regions between real exporters. The test plays the
//! parts of Kubernetes that are not here: it starts and ends pods, says so, and brings each pod its
//! configuration as late as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::DeleteParams;
use nightjar::api::exporter_status::ExporterStatus;
use nightjar::api::shards::owner;
use nightjar_tests::http;
use nightjar_tests::simulator::clock::Clock;
use nightjar_tests::simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::kube_api::{Namespace, Process, condition, eventually, free_ports, nightjar, spawn};
use crate::shared;

const REGIONS: [&str; 6] = [
    "eu-west-1",
    "eu-west-2",
    "eu-central-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

/// The regions of a shard.
fn regions_of(shard: u32, shards: u32) -> BTreeSet<String> {
    REGIONS
        .iter()
        .filter(|region| owner(None, region, shards) == shard)
        .map(|region| (*region).to_owned())
        .collect()
}

fn all() -> BTreeSet<String> {
    regions_of(0, 1)
}

/// The exporters' addresses, whom the watchdog asks.
type Running = Arc<Mutex<BTreeMap<u32, u16>>>;

struct Cluster {
    namespace: Namespace,
    folder: tempfile::TempDir,
    simulator: Simulator,
    pods: BTreeMap<u32, Process>,
    running: Running,
    /// How often all exporters were asked at once.
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

async fn status(port: u16) -> Option<ExporterStatus> {
    http::json(&format!("http://127.0.0.1:{port}/status"))
        .await
        .ok()
}

async fn published(port: u16) -> BTreeSet<String> {
    let status = status(port).await;
    let targets = status.into_iter().flat_map(|status| status.targets);
    targets.map(|target| target.region).collect()
}

impl Cluster {
    async fn new(name: &str) -> Self {
        let account = "seed: 1\naccounts:\n  - id: \"111122223333\"\n    regions:\n      eu-west-1:\n        functions: [{name: pay}]\n";
        let options = Options {
            clock: Clock::real(),
            ..Options::default()
        };
        let cluster = Self {
            namespace: shared().api.namespace(name).await,
            folder: tempfile::tempdir().unwrap(),
            simulator: Simulator::from_text(account, options).await.unwrap(),
            pods: BTreeMap::new(),
            running: Running::default(),
            asked: Arc::default(),
            stop: Arc::default(),
        };
        cluster.watch_for_doubles();
        cluster
    }

    /// Asks all exporters again and again, and ends the test when two publish one region.
    fn watch_for_doubles(&self) {
        let (running, asked, stop) = (self.running.clone(), self.asked.clone(), self.stop.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let ports = running.lock().unwrap().clone();
                let mut seen: BTreeMap<String, u32> = BTreeMap::new();
                for (shard, port) in ports {
                    for region in published(port).await {
                        if let Some(other) = seen.insert(region.clone(), shard) {
                            eprintln!(
                                "{region} is published by shard {other} and by shard {shard}"
                            );
                            std::process::abort();
                        }
                    }
                }
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }

    async fn apply(&self, shards: u32) {
        let spec = json!({
            "regions": REGIONS,
            "select": [{"names": ["pay"]}],
            "exporter": {"shards": shards},
        });
        let stack = json!({"metadata": {"name": "checkout"}, "spec": spec});
        self.namespace.apply("ServerlessStack", &stack).await;
    }

    fn file(&self, shard: u32) -> PathBuf {
        self.folder.path().join(format!("stack-{shard}.yaml"))
    }

    /// The configuration that the operator wrote, and the revision in it.
    async fn written(&self) -> (String, Value) {
        let map = self
            .namespace
            .wait_for("ConfigMap", "checkout-exporter", |_| true)
            .await;
        let assignment =
            serde_json::from_str(&map.annotations()["nightjar.dev/assignment"]).unwrap();
        (
            map.data["data"]["stack.yaml"].as_str().unwrap().to_owned(),
            assignment,
        )
    }

    /// Waits until the operator has written that revision, with or without shards that it waits for.
    async fn until_written(&self, shards: u32, moving: bool) {
        eventually(
            "the assignment",
            async || self.written().await.1,
            |assignment| {
                assignment["shards"] == shards && assignment["former"].is_array() == moving
            },
        )
        .await;
    }

    /// The kubelet brings a pod its configuration.
    async fn bring(&self, shard: u32) {
        let draft = self.folder.path().join(format!("draft-{shard}"));
        std::fs::write(&draft, self.written().await.0).unwrap();
        std::fs::rename(draft, self.file(shard)).unwrap();
    }

    /// A pod starts and has an address.
    async fn start(&mut self, shard: u32) {
        self.bring(shard).await;
        let [port] = free_ports();
        let arguments = [
            "exporter".to_owned(),
            format!("--config={}", self.file(shard).display()),
            format!("--listen=0.0.0.0:{port}"),
            format!("--shard={shard}"),
        ];
        let url = self.simulator.url();
        let environment = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        let log = self.folder.path().join(format!("log-{shard}"));
        let pod = spawn(&nightjar(), &arguments, &environment, &log);
        eventually("the exporter", async || status(port).await, Option::is_some).await;
        self.pods.insert(shard, pod);
        self.running.lock().unwrap().insert(shard, port);
        self.namespace.pod_serves("checkout", shard, port).await;
    }

    /// A pod ends.
    async fn end(&mut self, shard: u32) {
        self.running.lock().unwrap().remove(&shard);
        self.pods.remove(&shard);
        self.namespace
            .of("EndpointSlice")
            .delete(
                &format!("checkout-exporter-{shard}"),
                &DeleteParams::default(),
            )
            .await
            .unwrap();
    }

    /// The StatefulSet's controller says what there is.
    async fn say_what_is(&self) {
        let pods = self.pods.len();
        self.namespace.pods_are_ready("checkout", pods).await;
    }

    async fn until_replicas(&self, replicas: u32) {
        self.namespace
            .wait_for("StatefulSet", "checkout-exporter", |set| {
                set.data["spec"]["replicas"] == replicas
            })
            .await;
    }

    async fn until_publishes(&self, shard: u32, regions: &BTreeSet<String>) {
        let port = self.running.lock().unwrap()[&shard];
        let what = format!("what shard {shard} publishes");
        eventually(&what, async || published(port).await, |now| now == regions).await;
    }

    async fn until_available(&self) {
        self.namespace
            .wait_for_condition("checkout", "ExporterAvailable", "True", "AsExpected")
            .await;
    }

    /// Waits until the operator has looked some more times.
    async fn until_looked(&self) {
        let stack = format!("checkout.{}", self.namespace.name);
        let looks = || shared().operator.lines_with(&["reconciled", &stack]);
        let before = looks();
        eventually("the looks", async || looks(), |now| *now >= before + 3).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_moves_is_never_published_by_two_however_late_a_shard_reads_its_configuration()
 {
    let moving = regions_of(1, 2);
    assert!(
        !moving.is_empty() && moving != all(),
        "choose other regions"
    );
    let mut cluster = Cluster::new("shards").await;
    cluster.apply(1).await;
    cluster.start(0).await;
    cluster.say_what_is().await;
    cluster.until_publishes(0, &all()).await;
    cluster.until_available().await;

    // One more, and the old one does not hear of it.
    cluster.apply(2).await;
    cluster.until_replicas(2).await;
    cluster.start(1).await;
    cluster.say_what_is().await;
    cluster.until_written(2, true).await;
    cluster.until_looked().await;
    cluster.until_publishes(1, &BTreeSet::new()).await;
    cluster.until_publishes(0, &all()).await;
    // It hears and releases; then the new one does not hear of that, and nobody has the regions.
    cluster.bring(0).await;
    cluster.until_publishes(0, &regions_of(0, 2)).await;
    cluster.until_written(2, false).await;
    cluster.until_looked().await;
    cluster.until_publishes(1, &BTreeSet::new()).await;
    cluster
        .namespace
        .wait_for_condition(
            "checkout",
            "ExporterAvailable",
            "False",
            "ConfigurationPending",
        )
        .await;
    cluster.bring(1).await;
    cluster.until_publishes(1, &moving).await;
    cluster.bring(0).await;
    cluster.until_available().await;

    // Back to one: the other stays until it has released, and what it had waits until it has.
    cluster.apply(1).await;
    cluster.until_written(1, true).await;
    cluster.bring(0).await;
    cluster.until_looked().await;
    cluster.until_replicas(2).await;
    cluster.until_publishes(0, &regions_of(0, 2)).await;
    cluster.until_publishes(1, &moving).await;
    let resharding = cluster
        .namespace
        .wait_for_condition("checkout", "Ready", "False", "ConfigurationPending")
        .await;
    assert_ne!(resharding["message"], "");
    cluster.bring(1).await;
    cluster.until_publishes(1, &BTreeSet::new()).await;
    cluster.until_written(1, false).await;
    cluster.until_replicas(1).await;
    cluster.end(1).await;
    cluster.say_what_is().await;
    cluster.bring(0).await;
    cluster.until_publishes(0, &all()).await;
    cluster.until_available().await;
    assert!(
        cluster.asked.load(Ordering::Relaxed) > 100,
        "nobody watched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_refuses_a_configuration_that_is_older_than_what_it_runs() {
    let mut cluster = Cluster::new("shards-back").await;
    cluster.apply(1).await;
    cluster.start(0).await;
    cluster.say_what_is().await;
    cluster.until_available().await;
    let (old, _) = cluster.written().await;
    cluster.apply(2).await;
    cluster.until_written(2, true).await;
    cluster.bring(0).await;
    cluster.until_publishes(0, &regions_of(0, 2)).await;

    std::fs::write(cluster.file(0), old).unwrap();
    let port = cluster.running.lock().unwrap()[&0];
    let now = eventually(
        "the refusal",
        async || status(port).await,
        |status| {
            status
                .as_ref()
                .is_some_and(|status| status.config_error.is_some())
        },
    )
    .await
    .unwrap();
    assert!(now.config_error.unwrap().contains("revision 1"));
    cluster.until_publishes(0, &regions_of(0, 2)).await;
    // The configuration is removed, and with it what the operator knew: it goes on from what runs.
    cluster
        .namespace
        .of("ConfigMap")
        .delete("checkout-exporter", &DeleteParams::default())
        .await
        .unwrap();
    eventually(
        "a revision that is not older than the one that runs",
        async || cluster.written().await.1,
        |assignment| assignment["revision"].as_i64().unwrap() >= now.revision,
    )
    .await;
    let set = cluster
        .namespace
        .wait_for("StatefulSet", "checkout-exporter", |_| true)
        .await;
    assert_eq!(set.data["spec"]["replicas"], 2);
    let stack = cluster
        .namespace
        .of("ServerlessStack")
        .get("checkout")
        .await
        .unwrap();
    assert_eq!(condition(&stack, "Ready")["status"], "False");
}
