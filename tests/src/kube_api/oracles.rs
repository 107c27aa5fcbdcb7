//! What must be true of a stack after every fault, whatever it was.

use std::process::Command;
use std::time::Duration;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use nightjar::api::hash::sha256_hex;
use serde_json::{Value, json};

use crate::samples;

use super::fault_proxy::FaultProxy;
use super::fault_proxy::rule::WRITES;
use super::{Namespace, Operator, answer, eventually, eventually_every, nightjar, yaml_documents};

/// How often an answer that is dear is asked for.
const PACE: Duration = Duration::from_millis(500);

/// The hash of what the operator applied, on each of its objects.
pub const HASH: &str = "nightjar.dev/applied-hash";

/// The kinds that hold objects of a stack, in a cluster without optional ones.
pub const KINDS: [&str; 4] = ["ServiceAccount", "ConfigMap", "Service", "StatefulSet"];

/// The objects that `nightjar render` prints for a stack in a cluster without optional kinds, or why it prints nothing.
pub fn render(stack: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let printed = rendered_text(stack, &[&["--no-service-monitor"], arguments].concat())?;
    Ok(yaml_documents(&printed))
}

/// What `nightjar render` prints for a stack, as it stands there.
pub fn rendered_text(stack: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(nightjar());
    command.args(["render", "-f", "-"]).args(arguments);
    answer(&mut command, stack).map(|(printed, _)| printed)
}

impl Namespace {
    /// In what the namespace differs from what it shall hold for a stack: nothing missing, nothing else, and
    /// nothing that applying once more would change.
    pub async fn differences(&self, stack: &str, arguments: &[&str]) -> Vec<String> {
        let stack = match self.of("ServerlessStack").get(stack).await {
            Ok(stack) => stack,
            Err(error) => return vec![error.to_string()],
        };
        let rendered = match render(&serde_json::to_string(&stack).unwrap(), arguments) {
            Ok(rendered) => rendered,
            Err(error) => return vec![error],
        };
        let mut differences = Vec::new();
        let mut known = Vec::new();
        for object in rendered {
            let kind = object["kind"].as_str().unwrap().to_owned();
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            if let Err(difference) = self.is_as_rendered(&kind, &name, object).await {
                differences.push(format!("{kind} {name}: {difference}"));
            }
            known.push((kind, name));
        }
        for kind in KINDS {
            let objects = self.of(kind).list(&ListParams::default()).await.unwrap();
            for object in objects {
                let ours = object
                    .owner_references()
                    .iter()
                    .any(|owner| Some(&owner.uid) == stack.metadata.uid.as_ref());
                let which = (kind.to_owned(), object.name_any());
                if ours && !known.contains(&which) {
                    differences.push(format!("{kind} {}: superfluous", which.1));
                }
            }
        }
        differences
    }

    async fn is_as_rendered(&self, kind: &str, name: &str, object: Value) -> Result<(), String> {
        let api = self.of(kind);
        let there = api.get(name).await.map_err(|error| error.to_string())?;
        // The operator hashes what it applies before it adds the hash.
        let hash = sha256_hex(object.to_string().as_bytes());
        if there.annotations().get(HASH) != Some(&hash) {
            return Err(format!("another hash than that of {object:#}"));
        }
        let mut again = object;
        again["metadata"]["annotations"][HASH] = json!(hash);
        let dry = PatchParams::apply("nightjar").dry_run();
        let applied = api.patch(name, &dry, &Patch::Apply(&again)).await;
        let applied = applied.map_err(|error| error.to_string())?;
        if applied == there {
            Ok(())
        } else {
            Err(format!("{there:#?} instead of {applied:#?}"))
        }
    }

    /// Waits until the cluster holds for a stack what `nightjar render` prints.
    pub async fn converges(&self, stack: &str, arguments: &[&str]) {
        let what = format!("what the cluster holds for {}/{stack}", self.name);
        let ask = async || self.differences(stack, arguments).await;
        // Each answer is a process and a dozen requests.
        eventually_every(PACE, &what, ask, Vec::is_empty).await;
    }

    /// The status speaks of the present generation, and is what it would be if there had never been another.
    pub async fn status_is_true(&self, stack: &str) {
        let speaks_of_now = |stack: &DynamicObject| {
            let status = &stack.data["status"];
            let generation = json!(stack.metadata.generation);
            let conditions = status["conditions"].as_array();
            status["observedGeneration"] == generation
                && conditions.is_some_and(|conditions| {
                    !conditions.is_empty()
                        && conditions
                            .iter()
                            .all(|condition| condition["observedGeneration"] == generation)
                })
        };
        self.wait_for("ServerlessStack", stack, speaks_of_now).await;
        let stacks = self.of("ServerlessStack");
        // A status that is about to change is not the one to compare with: asked again until both agree.
        let both = async || {
            let old = stacks.get(stack).await.unwrap();
            let mut empty = old.clone();
            empty.data["status"] = json!({});
            if let Err(error) = stacks
                .replace_status(stack, &PostParams::default(), &empty)
                .await
            {
                return (error.to_string(), String::new());
            }
            self.poke(stack).await;
            let new = self.wait_for("ServerlessStack", stack, speaks_of_now).await;
            (story(&old), story(&new))
        };
        eventually(
            "the status from scratch beside the former one",
            both,
            |(old, new)| old == new,
        )
        .await;
    }

    /// Changes what wakes the operator and gives it nothing to do.
    pub async fn poke(&self, stack: &str) {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let poke = json!({"metadata": {"annotations": {"example.com/poke": number.to_string()}}});
        self.of("ServiceAccount")
            .patch(
                &format!("{stack}-exporter"),
                &PatchParams::default(),
                &Patch::Merge(&poke),
            )
            .await
            .unwrap();
    }

    /// Everything that is nobody's of ours, byte for byte.
    pub async fn strangers(&self) -> Vec<String> {
        let mut all = Vec::new();
        for kind in KINDS.into_iter().chain(["Secret"]) {
            let api: Api<DynamicObject> = self.of(kind);
            for object in api.list(&ListParams::default()).await.unwrap() {
                let owners = object.owner_references();
                if !owners.iter().any(|owner| owner.kind == "ServerlessStack") {
                    all.push(format!(
                        "{kind} {}",
                        serde_json::to_string(&object).unwrap()
                    ));
                }
            }
        }
        all
    }
}

/// A status without its times.
fn story(stack: &DynamicObject) -> String {
    let mut status = stack.data["status"].clone();
    if let Some(conditions) = status["conditions"].as_array_mut() {
        for condition in conditions {
            condition["lastTransitionTime"].take();
        }
    }
    format!("{status:#}")
}

impl Operator {
    /// Its own metrics can be read, no series comes twice, and no counter falls.
    pub async fn metrics_are_sound(&self) {
        let series = async || {
            let text = self.metrics().await;
            samples::parse(&text).unwrap_or_else(|error| panic!("{error:#}:\n{text}"))
        };
        let (before, now) = (series().await, series().await);
        let counts = |name: &str| {
            ["_total", "_count", "_bucket", "_sum"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        let counters = before.iter().filter(|(series, _)| counts(&series.name));
        let mut known = 0;
        for (series, value) in counters {
            assert!(
                now.get(series) >= Some(value),
                "{series:?} fell from {value}"
            );
            known += 1;
        }
        assert!(known > 10, "{known}");
    }
}

impl FaultProxy {
    /// What was written through it, but for Leases and Events.
    pub fn writes(&self) -> Vec<String> {
        let mut all = self.requests();
        all.retain(|seen| {
            WRITES.contains(&seen.verb) && !["leases", "events"].contains(&&*seen.resource)
        });
        all.iter().map(ToString::to_string).collect()
    }

    /// Waits until one look at the stack wrote nothing, then has it looked at again and again:
    /// nothing is written any more.
    pub async fn stays_quiet(&self, namespace: &Namespace, stack: &str, looks: impl Fn() -> usize) {
        let look = async || {
            let (before, writes) = (looks(), self.writes().len());
            namespace.poke(stack).await;
            eventually("the number of looks", async || looks(), |now| *now > before).await;
            self.writes().split_off(writes)
        };
        eventually("what a look wrote", look, Vec::is_empty).await;
        for _ in 0..3 {
            assert_eq!(look().await, Vec::<String>::new());
        }
    }
}
