//! A walk over the schema of a stack: every field gets values at, beyond and far from its limits.
//!
//! Whatever they are, one of three things happens: the API server refuses them and names the field, the status does
//! (`SpecValid=False`), or the cluster holds what the stack says. And the way back leads to where it began.
//!
//! All are offered to the API server. Of those that it takes, a part is walked, in the order of a seed:
//! `WALK_STEPS=10000 WALK_SEED=2` walks all of them, in another order.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use kube::api::{DynamicObject, Patch, PatchParams};
use nightjar::api::ServerlessStack;
use nightjar::api::validate::validate;
use nightjar::exporter::config::parse_stack;
use nightjar::rules::render::{Context, groups};
use nightjar::rules::route::alertmanager_file;
use nightjar_tests::kube_api::oracles::KINDS;
use nightjar_tests::kube_api::{answer, condition, program};
use nightjar_tests::simulator::random::mix;
use serde_json::{Value, json};

use crate::World;
use crate::specifications::{Variant, bases, variants};

/// How many stacks walk at once.
const WALKERS: usize = 6;

/// A setting of whoever runs the test, or the one that always runs.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What the API server makes of a specification, or why it refuses it.
async fn offer(
    world: &World,
    name: &str,
    spec: &Value,
    is_meant: bool,
) -> Result<DynamicObject, String> {
    let object = json!({
        "apiVersion": "nightjar.dev/v1alpha1", "kind": "ServerlessStack", "metadata": {"name": name}, "spec": spec,
    });
    let stacks = world.stacks.of("ServerlessStack");
    let mut apply = PatchParams::apply("a-user").force();
    apply.dry_run = !is_meant;
    let answer = stacks.patch(name, &apply, &Patch::Apply(&object)).await;
    answer.map_err(|error| error.to_string())
}

fn stack(object: &DynamicObject) -> ServerlessStack {
    serde_json::from_value(json!(object)).unwrap()
}

/// Those that the API server takes, with the stacks that it makes of them. Whatever it refuses, it says what; and what
/// it takes of a new stack, it takes as a change of an old one, and makes the same of it.
async fn taken(world: &World, all: Vec<Variant>) -> Vec<(Variant, ServerlessStack)> {
    let offered = stream::iter(all).map(async |variant| {
        let as_new = offer(world, "offered", &variant.1, false).await;
        let mut as_change = Vec::new();
        for old in ["base-0", "checkout"] {
            as_change.push(offer(world, old, &variant.1, false).await);
        }
        (variant, as_new, as_change)
    });
    let (mut taken, mut wrong) = (Vec::new(), Vec::new());
    for (variant, as_new, as_change) in offered.buffered(WALKERS).collect::<Vec<_>>().await {
        match as_new {
            Ok(new) => {
                for change in as_change {
                    match change {
                        Ok(changed) if stack(&changed).spec == stack(&new).spec => {}
                        Ok(changed) => {
                            wrong.push((variant.0.clone(), format!("{:#}", changed.data["spec"])));
                        }
                        Err(refusal) => wrong.push((variant.0.clone(), refusal)),
                    }
                }
                taken.push((variant, stack(&new)));
            }
            Err(refusal) if refusal.contains("spec") => {
                for changed in as_change.into_iter().filter_map(Result::ok) {
                    wrong.push((
                        variant.0.clone(),
                        format!("{refusal}: {:#}", changed.data["spec"]),
                    ));
                }
            }
            Err(refusal) => wrong.push((variant.0, refusal)),
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
    taken
}

/// Of those that can be used, Prometheus takes the rules and Alertmanager the route.
fn are_taken_downstream(taken: &[(Variant, ServerlessStack)]) {
    let folder = tempfile::tempdir().unwrap();
    let (mut rules, mut routes) = (BTreeMap::new(), BTreeMap::new());
    for ((what, _), stack) in taken {
        if !validate(stack).is_empty() {
            continue;
        }
        let context = Context::new(stack, stack.spec.collection.interval(), "");
        let file = json!({"groups": groups(&context)});
        rules.entry(file.to_string()).or_insert(what);
        if let Some(route) = &stack.spec.alerts.route {
            let file = alertmanager_file(stack, route);
            routes.entry(file.to_string()).or_insert(what);
        }
    }
    assert!(rules.len() > 20 && routes.len() > 20, "the schema moved");
    for (name, arguments, files) in [
        ("promtool", &["check", "rules", "--lint=none"][..], rules),
        ("amtool", &["check-config"], routes),
    ] {
        let files = files.iter().enumerate().map(|(number, (text, what))| {
            let path = folder.path().join(format!("{name}-{number}.yaml"));
            std::fs::write(&path, text).unwrap();
            (path, what)
        });
        let files: Vec<_> = files.collect();
        let mut check = Command::new(program(name));
        check
            .args(arguments)
            .args(files.iter().map(|(path, _)| path));
        if let Err(refusal) = answer(&mut check, "") {
            panic!("{name}: {refusal}\n{files:#?}");
        }
    }
}

fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    for last in (1..items.len()).rev() {
        let other = mix(seed, last as u64) % (last as u64 + 1);
        items.swap(last, usize::try_from(other).unwrap());
    }
    items
}

/// Waits until a specification is carried out, and answers the objects, or nothing if the status names what of it
/// cannot be used.
async fn carried_out(world: &World, name: &str) -> Option<Vec<String>> {
    let speaks_of_now = |stack: &DynamicObject| {
        stack.data["status"]["observedGeneration"] == json!(stack.metadata.generation)
    };
    let stacks = &world.stacks;
    let stack = stacks
        .wait_for("ServerlessStack", name, speaks_of_now)
        .await;
    let valid = condition(&stack, "SpecValid");
    if valid["status"] == "False" {
        let message = valid["message"].as_str().unwrap();
        assert!(message.starts_with("spec."), "{name}: {message}");
        println!("{name}: {message}");
        return None;
    }
    stacks.converges(name, &[]).await;
    for type_ in ["ExporterAvailable", "MonitoringConfigured"] {
        let condition = condition(&stack, type_);
        assert_ne!(condition["reason"], "KubernetesApi", "{name}: {condition}");
    }
    let map = stacks.of("ConfigMap");
    let map = map.get(&format!("{name}-exporter")).await.unwrap();
    // As an exporter reads it.
    let text = map.data["data"]["stack.yaml"].as_str().unwrap();
    let read = parse_stack(Path::new("stack.yaml"), text).unwrap();
    assert_eq!(read.spec, self::stack(&stack).spec, "{name}");
    Some(objects(world, name).await)
}

/// The objects of a stack without what tells one write from another.
async fn objects(world: &World, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    let maps = ("ConfigMap", format!("{name}-exporter-rules"));
    for (kind, object) in KINDS
        .map(|kind| (kind, format!("{name}-exporter")))
        .into_iter()
        .chain([maps])
    {
        let found = world.stacks.of(kind).get_opt(&object).await;
        let Some(object) = found.unwrap() else {
            continue;
        };
        let mut data = object.data.clone();
        if let Some(text) = data["data"]["stack.yaml"].as_str() {
            let lines: Vec<_> = text
                .lines()
                .filter(|line| !line.contains("generation:"))
                .collect();
            data["data"]["stack.yaml"] = json!(lines);
        }
        data["status"].take();
        let labels = json!(object.metadata.labels);
        all.push(format!("{kind} {labels} {data:#}"));
    }
    all
}

/// Walks from each of some specifications to the next, back, and there again.
async fn walk(world: &World, walker: usize, steps: &[&Variant]) {
    let (mut name, mut before) = (String::new(), None::<&Value>);
    for (number, (what, spec)) in steps.iter().enumerate() {
        let storage = |spec: &Value| spec["exporter"]["storage"].clone();
        // A volume cannot be changed.
        if before.is_none_or(|before| storage(before) != storage(spec)) {
            name = format!("walk-{walker}-{number}");
            before = None;
        }
        println!("{name}: {what}");
        offer(world, &name, spec, true).await.unwrap();
        let there = carried_out(world, &name).await;
        if let Some(before) = before {
            offer(world, &name, before, true).await.unwrap();
            carried_out(world, &name).await;
            offer(world, &name, spec, true).await.unwrap();
            let again = carried_out(world, &name).await;
            assert_eq!(again, there, "{name}: {what}, there and back");
        }
        // After what cannot be used, that of before still runs.
        if there.is_some() {
            before = Some(spec);
        }
    }
}

#[tokio::test]
async fn whatever_a_field_holds_it_is_refused_by_name_or_carried_out_and_the_way_back_leads_home() {
    let world = World::new("walk").await;
    for (number, base) in bases().iter().enumerate() {
        let name = format!("base-{number}");
        offer(&world, &name, base, true).await.unwrap();
        assert!(carried_out(&world, &name).await.is_some(), "{name}");
    }
    let all = variants();
    let offered = all.len();
    let taken = taken(&world, all).await;
    println!("{} of {offered} values are taken", taken.len());
    assert!(offered > 1000 && taken.len() > 100, "the schema moved");
    are_taken_downstream(&taken);
    let taken = shuffled(taken, setting("WALK_SEED", 1));
    let steps = usize::try_from(setting("WALK_STEPS", 60)).unwrap();
    let steps: Vec<_> = taken
        .iter()
        .take(steps)
        .map(|(variant, _)| variant)
        .collect();
    let parts = steps.chunks(steps.len().div_ceil(WALKERS)).enumerate();
    join_all(parts.map(|(walker, part)| walk(&world, walker, part))).await;
    assert_eq!(world.stacks.strangers().await, world.strangers);
}
