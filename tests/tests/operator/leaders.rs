//! Several operators of one release: one of them writes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::kube_api::{KubeApi, Namespace, Operator, eventually};

/// An API server for these tests alone; each has a release of its own.
fn api() -> &'static KubeApi {
    static API: OnceLock<KubeApi> = OnceLock::new();
    API.get_or_init(KubeApi::start)
}

/// A release with its namespace of stacks.
struct Release {
    name: &'static str,
    home: Namespace,
    stacks: Namespace,
}

impl Release {
    async fn new(name: &'static str) -> Self {
        api().install_release(name, &[]);
        let (home, stacks) = (api().home().await, api().namespace(name).await);
        Self { name, home, stacks }
    }

    fn operator(&self) -> Operator {
        let (lease, namespace) = (
            format!("--lease-name={}", self.name),
            format!("--namespace={}", self.name),
        );
        api().operator(&[&lease, &namespace])
    }

    async fn led_by(&self, operator: &Operator) {
        self.home
            .wait_for("Lease", self.name, |lease| {
                lease.data["spec"]["holderIdentity"] == *operator.name
            })
            .await;
    }

    async fn has_objects_of(&self, stack: &str) {
        for kind in ["ServiceAccount", "ConfigMap", "Service", "StatefulSet"] {
            self.stacks
                .wait_for(kind, &format!("{stack}-exporter"), |_| true)
                .await;
        }
    }

    async fn write_lease(&self, spec: Value) {
        let patch = json!({"spec": spec});
        self.home
            .of("Lease")
            .patch(self.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }
}

/// Writes of an operator other than to its Lease.
fn writes_of(operator: &Operator) -> Vec<String> {
    api()
        .writes()
        .into_iter()
        .filter(|write| {
            write.starts_with(&format!("{} ", operator.name)) && !write.contains(" leases ")
        })
        .collect()
}

#[tokio::test]
async fn one_replica_writes_and_the_other_takes_over_when_it_stops_or_dies() {
    let release = Release::new("nightjar-takeover").await;
    let mut first = release.operator();
    release.led_by(&first).await;
    let mut second = release.operator();
    release.stacks.stack("one").await;
    release.has_objects_of("one").await;
    eventually(
        "the follower",
        async || second.is_ready().await,
        |ready| *ready,
    )
    .await;
    assert_eq!(first.metric("nightjar_operator_leader ").await, "1");
    assert_eq!(second.metric("nightjar_operator_leader ").await, "0");
    assert!(!writes_of(&first).is_empty());
    assert_eq!(writes_of(&second), Vec::<String>::new());

    // Told to stop, it gives the Lease back.
    first.signal("TERM");
    assert_eq!(first.ended().await, Some(0));
    release.led_by(&second).await;
    assert_eq!(first.lines_with(&["gave the Lease back"]), 1);
    release.stacks.stack("two").await;
    release.has_objects_of("two").await;
    let before = writes_of(&first);

    // Dead, it leaves the Lease to expire.
    let third = release.operator();
    second.signal("KILL");
    assert_eq!(second.ended().await, None);
    release.led_by(&third).await;
    release.stacks.stack("three").await;
    release.has_objects_of("three").await;
    assert_eq!(writes_of(&first), before);
}

#[tokio::test]
async fn a_leader_that_was_frozen_writes_nothing_when_it_wakes_and_ends() {
    let release = Release::new("nightjar-frozen").await;
    let mut frozen = release.operator();
    release.stacks.stack("one").await;
    release.has_objects_of("one").await;
    frozen.signal("STOP");
    let next = release.operator();
    release.led_by(&next).await;
    let before = writes_of(&frozen);
    // Work that both would see.
    release.stacks.stack("two").await;
    release.has_objects_of("two").await;
    frozen.signal("CONT");
    assert_eq!(frozen.ended().await, Some(1));
    assert_eq!(writes_of(&frozen), before);
    assert_eq!(frozen.lines_with(&["gave the Lease back"]), 0);
}

#[tokio::test]
async fn a_leader_ends_when_its_lease_is_stolen_and_makes_it_anew_when_it_is_deleted() {
    let release = Release::new("nightjar-stolen").await;
    let mut operator = release.operator();
    release.led_by(&operator).await;
    let leases = release.home.of("Lease");
    let uid = leases.get(release.name).await.unwrap().uid();
    leases
        .delete(release.name, &DeleteParams::background())
        .await
        .unwrap();
    release
        .home
        .wait_for("Lease", release.name, |lease| {
            lease.uid() != uid && lease.data["spec"]["holderIdentity"] == *operator.name
        })
        .await;
    release
        .write_lease(json!({"holderIdentity": "a-thief"}))
        .await;
    assert_eq!(operator.ended().await, Some(1));
    assert_eq!(operator.lines_with(&["taken over by a-thief"]), 1);
}

#[tokio::test]
async fn a_restart_asks_once_for_each_object() {
    let release = Release::new("nightjar-restart").await;
    let mut first = release.operator();
    for stack in ["one", "two", "three"] {
        release.stacks.stack(stack).await;
        release.has_objects_of(stack).await;
        release
            .stacks
            .wait_for("ConfigMap", &format!("{stack}-exporter-rules"), |_| true)
            .await;
    }
    first.signal("TERM");
    assert_eq!(first.ended().await, Some(0));
    let second = release.operator();
    // What it asked for of the stacks' objects, by object.
    let asked = || {
        let mut asked: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for event in api().audit_log() {
            let object = &event["objectRef"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (verb, resource) = (text(&event["verb"]), text(&object["resource"]));
            if event["stage"] == "ResponseComplete"
                && event["user"]["username"] == *second.name
                && object["namespace"] == *release.name
                && !["list", "watch"].contains(&&*verb)
                && !["events", "serverlessstacks"].contains(&&*resource)
            {
                let key = (resource, text(&object["name"]));
                asked.entry(key).or_default().push(verb);
            }
        }
        asked
    };
    // Not before it leads, and then all of them.
    eventually("the requests", async || asked(), |asked| asked.len() == 15).await;
    // Another look at each has nothing to ask for.
    for stack in ["one", "two", "three"] {
        let stack = format!("{stack}.{}", release.name);
        let looks = || second.lines_with(&["reconciled", &stack]);
        let before = looks();
        eventually("a look", async || looks(), |now| *now > before + 1).await;
    }
    let asked = asked();
    assert!(asked.values().all(|verbs| verbs.len() == 1), "{asked:#?}");
}
