//! A walk over the schema of a stack: every field gets values at, beyond and far from its limits.
//!
//! Whatever they are, one of three things happens: the API server refuses them and names the field, the status does
//! (`SpecValid=False`), or the cluster holds what the stack says. And the way back leads to where it began.
//!
//! The order is that of a seed, and the time is bounded: a run sees a part, and always the same one first.

use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use nightjar_tests::kube_api::condition;
use nightjar_tests::simulator::random::mix;
use serde_json::{Value, json};

use crate::World;

const SEED: u64 = 1;
/// How long each half of the walk lasts.
const TIME: Duration = Duration::from_secs(60);
/// How many stacks walk at once.
const WALKERS: usize = 6;

/// Complete stacks: together they have every field, since some fields exclude others.
fn bases() -> Vec<Value> {
    let secret = json!({"name": "a-secret", "key": "key"});
    let full = json!({
        "regions": ["eu-west-1", "us-east-1"],
        "accounts": [{"roleArn": "arn:aws:iam::111122223333:role/nightjar-read", "externalIdSecretRef": secret}],
        "credentials": {"annotations": {"example.com/role": "a-role"}},
        "select": [
            {"tags": {"app": "checkout"}},
            {"names": ["checkout-*"]},
            {"cloudFormation": {"stackName": "checkout-prod"}},
            {"arns": ["arn:aws:lambda:eu-west-1:111122223333:function:pay"]},
        ],
        "exclude": [
            {"tags": {"app": "canary"}},
            {"names": ["*-canary"]},
            {"cloudFormation": {"stackName": "canary"}},
            {"arns": ["arn:aws:lambda:eu-west-1:111122223333:function:canary"]},
        ],
        "suspend": false,
        "tags": ["team"],
        "services": {"lambda": {"excludeMetrics": ["Errors"], "optional": []}, "dynamodb": {}, "apigateway": {}},
        "latency": {"quantiles": ["0.5", "0.99"], "maxima": true},
        "collection": {"interval": "5m", "discoveryInterval": "5m", "budgetUsdPerMonth": "25", "maxSeries": 1000},
        "exporter": {
            "shards": 1,
            "storage": {"size": "1Gi", "storageClassName": "fast"},
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "10m"}},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.shop:3128"}],
        },
        "monitoring": {"labels": {"release": "prometheus"}, "scrapeInterval": "30s"},
        "objectives": [
            {"name": "placed", "target": "99.9", "window": "30d", "of": {"api": {"name": "shop-api", "stage": "prod"}}},
            {"name": "quick", "target": "99", "of": {"function": "checkout-create"}, "latencyBelow": "2s"},
            {"name": "stored", "target": "99", "of": {"table": "orders"}},
            {"name": "all", "target": "99", "of": {"stack": {}}},
        ],
        "alerts": {
            "enabled": true,
            "labels": {"team": "shop"},
            "matchers": {"squad": "shop"},
            "overrides": {"LambdaErrorRateHigh": {
                "enabled": true, "for": "10m", "labels": {"urgent": "yes"}, "severity": "critical", "threshold": "0.02",
                "minimum": "5",
            }},
            "route": {
                "critical": "people", "warning": "people", "info": "people",
                "groupWait": "30s", "groupInterval": "5m", "repeatInterval": "4h",
                "mute": [{"days": ["saturday"], "from": "00:00", "to": "24:00"}],
                "receivers": [
                    {"name": "people", "email": {
                        "from": "nightjar@example.com", "to": "people@example.com", "smarthost": "mail.example.com:587",
                        "username": "nightjar", "passwordSecretRef": secret,
                    }},
                    {"name": "genie", "opsgenie": {"apiKeySecretRef": secret}},
                    {"name": "duty", "pagerDuty": {"routingKeySecretRef": secret}},
                    {"name": "room", "slack": {"channel": "#room", "urlSecretRef": secret}},
                    {"name": "hook", "webhook": {"urlSecretRef": secret}},
                ],
            },
        },
    });
    let with = |credentials: Value| {
        let mut base = full.clone();
        base["credentials"] = credentials;
        base
    };
    vec![
        with(json!({"annotations": {"example.com/role": "a-role"}})),
        with(json!({"serviceAccountName": "somebody"})),
        with(json!({"secretRef": {"name": "checkout-aws"}})),
    ]
}

fn schema() -> Value {
    let definition: Value =
        serde_saphyr::from_str(include_str!("../../../crds/serverlessstacks.yaml")).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The places of a value that a path of the schema means: the first of a list, or of a map, where the rest of the
/// path is. JSON pointers.
fn place(value: &Value, path: &[String]) -> Option<String> {
    let Some((first, rest)) = path.split_first() else {
        return Some(String::new());
    };
    match (first.as_str(), value) {
        ("[]", Value::Array(items)) => {
            let mut places = items.iter().enumerate();
            places.find_map(|(index, item)| Some(format!("/{index}{}", place(item, rest)?)))
        }
        ("*", Value::Object(fields)) => {
            let mut places = fields.iter();
            places.find_map(|(key, field)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                Some(format!("/{key}{}", place(field, rest)?))
            })
        }
        (name, Value::Object(fields)) => {
            Some(format!("/{name}{}", place(fields.get(name)?, rest)?))
        }
        _ => None,
    }
}

/// All variants: what is changed, and the whole specification.
fn variants() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    visit(&schema(), &mut Vec::new(), &mut all);
    all
}

fn visit(schema: &Value, path: &mut Vec<String>, all: &mut Vec<(String, Value)>) {
    if !path.is_empty() {
        let found = bases()
            .into_iter()
            .find_map(|base| Some((place(&base, path)?, base)));
        let (place, base) = found.unwrap_or_else(|| panic!("no base has {}", path.join(".")));
        let mut vary = |what: String, value: Option<Value>| {
            let mut spec = base.clone();
            match value {
                Some(value) => *spec.pointer_mut(&place).unwrap() = value,
                None => remove(&mut spec, &place),
            }
            all.push((format!("{} {what}", path.join(".")), spec));
        };
        vary("absent".to_owned(), None);
        vary("null".to_owned(), Some(Value::Null));
        for (what, value) in values(schema, base.pointer(&place).unwrap()) {
            vary(what, Some(value));
        }
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            path.push(name.clone());
            visit(schema, path, all);
            path.pop();
        }
    }
    for (step, key) in [("[]", "items"), ("*", "additionalProperties")] {
        if schema[key].is_object() {
            path.push(step.to_owned());
            visit(&schema[key], path, all);
            path.pop();
        }
    }
}

fn remove(value: &mut Value, place: &str) {
    let (parent, last) = place.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        Value::Object(fields) => {
            drop(fields.remove(&last.replace("~1", "/").replace("~0", "~")));
        }
        other => panic!("{other} has no {last}"),
    }
}

/// Text that something downstream may take for something else.
const NASTY: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "a\nb: c",
    "ü🐦",
    "\u{202e}abc",
    "\"'`\\",
    "{{ .x }}",
    "$(HOME) ${HOME}",
    "%s%n",
    "*",
    "-a",
    "A.B",
    "0",
    "-1",
    "1e309",
    "true",
    "99999999999999999999h",
];

/// Values at, beyond and far from the limits of a schema.
fn values(schema: &Value, now: &Value) -> Vec<(String, Value)> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the schema's limits are of 32 bits"
    )]
    let number = |key: &str| Some(schema[key].as_f64()? as i64);
    let mut all: Vec<(String, Value)> = Vec::new();
    match schema["type"].as_str() {
        Some("string") => {
            all.extend(NASTY.iter().map(|text| (format!("{text:?}"), json!(text))));
            if let Some(choices) = schema["enum"].as_array() {
                all.extend(
                    choices
                        .iter()
                        .map(|choice| (choice.to_string(), choice.clone())),
                );
            }
            let most = schema["maxLength"].as_u64().unwrap_or(1 << 18);
            for length in [most, most + 1, most * 10] {
                let length = usize::try_from(length).unwrap();
                all.push((format!("of {length} letters"), json!("a".repeat(length))));
            }
        }
        Some("integer") => {
            for edge in [number("minimum"), number("maximum")].into_iter().flatten() {
                for value in [edge - 1, edge, edge + 1] {
                    all.push((value.to_string(), json!(value)));
                }
            }
            all.push(("huge".to_owned(), json!(i64::MAX)));
            all.push(("a half".to_owned(), json!(0.5)));
        }
        Some("boolean") => {
            all.extend([true, false].map(|value| (value.to_string(), json!(value))));
        }
        Some("array") => {
            let first = now[0].clone();
            all.push(("empty".to_owned(), json!([])));
            all.push(("twice".to_owned(), json!([first.clone(), first.clone()])));
            let many: Vec<Value> = (0..=schema["maxItems"].as_u64().unwrap_or(1000))
                .map(|number| match &first {
                    Value::String(text) => json!(format!("{text}{number}")),
                    other => other.clone(),
                })
                .collect();
            all.push(("one too many".to_owned(), json!(many)));
        }
        Some("object") => {
            all.push(("empty".to_owned(), json!({})));
            all.push(("unknown".to_owned(), json!({"unknown": "field"})));
            if let (true, Some(fields)) =
                (schema["additionalProperties"].is_object(), now.as_object())
            {
                let value = fields.values().next().cloned().unwrap_or(json!("value"));
                let mut keys: Vec<String> = NASTY.iter().map(|key| (*key).to_owned()).collect();
                keys.extend([63, 64, 317, 1000].map(|length| "a".repeat(length)));
                for key in keys {
                    let short: String = key.chars().take(20).collect();
                    all.push((format!("with the key {short:?}"), json!({key: value})));
                }
                let many = (0..=schema["maxProperties"].as_u64().unwrap_or(1000))
                    .map(|number| (format!("key-{number}"), value.clone()));
                let many: serde_json::Map<_, _> = many.collect();
                all.push(("one too many".to_owned(), Value::Object(many)));
            }
        }
        _ => {}
    }
    all
}

/// What the API server says to a specification; empty if it takes it.
async fn offer(world: &World, name: &str, spec: &Value) -> Result<(), String> {
    let object = json!({
        "apiVersion": "nightjar.dev/v1alpha1", "kind": "ServerlessStack", "metadata": {"name": name}, "spec": spec,
    });
    let stacks = world.stacks.of("ServerlessStack");
    let apply = PatchParams::apply("a-user").force();
    let answer = stacks.patch(name, &apply, &Patch::Apply(&object)).await;
    answer.map(drop).map_err(|error| error.to_string())
}

/// Waits until the status speaks of the present specification, and answers what is wrong with what became of it.
async fn outcome(world: &World, name: &str) -> Result<bool, String> {
    let stack = world
        .stacks
        .wait_for("ServerlessStack", name, |stack| {
            stack.data["status"]["observedGeneration"] == json!(stack.metadata.generation)
        })
        .await;
    let valid = condition(&stack, "SpecValid");
    if valid["status"] == "False" {
        let message = valid["message"].as_str().unwrap_or_default();
        return match message.contains("spec") {
            true => Ok(false),
            false => Err(format!("SpecValid names no field: {message}")),
        };
    }
    for type_ in ["Ready", "ExporterAvailable", "MonitoringConfigured"] {
        let condition = condition(&stack, type_);
        if condition["reason"] == "KubernetesApi" || condition["reason"] == "Timeout" {
            return Err(format!("{type_}: {}", condition["message"]));
        }
    }
    Ok(true)
}

fn shuffled<T>(mut items: Vec<T>) -> Vec<T> {
    for last in (1..items.len()).rev() {
        let other = mix(SEED, last as u64) % (last as u64 + 1);
        items.swap(last, usize::try_from(other).unwrap());
    }
    items
}

/// The objects of a stack without what tells one write from another.
async fn objects(world: &World, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for kind in nightjar_tests::kube_api::oracles::KINDS {
        let found = world
            .stacks
            .of(kind)
            .get_opt(&format!("{name}-exporter"))
            .await;
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

#[tokio::test]
async fn whatever_a_field_holds_it_is_refused_by_name_or_carried_out_and_the_way_back_leads_home() {
    let world = World::new("walk").await;
    println!("seed {SEED}");
    for base in bases() {
        offer(&world, "walk-0", &base).await.unwrap();
        assert_eq!(outcome(&world, "walk-0").await, Ok(true));
        world.stacks.converges("walk-0", &[]).await;
    }
    let all = shuffled(variants());
    assert!(all.len() > 1000, "{}", all.len());
    let end = Instant::now() + TIME;
    let walkers = (0..WALKERS).map(|walker| {
        let (all, world) = (&all, &world);
        async move {
            let name = format!("walk-{walker}");
            let (mut wrong, mut taken, mut seen) = (Vec::new(), Vec::new(), 0);
            for (number, (what, spec)) in all.iter().skip(walker).step_by(WALKERS).enumerate() {
                if Instant::now() > end {
                    break;
                }
                seen += 1;
                match offer(world, &name, spec).await {
                    Err(refusal) if refusal.contains("spec") => continue,
                    Err(refusal) => {
                        wrong.push(format!("{what}: refused without a field: {refusal}"))
                    }
                    Ok(()) => match outcome(world, &name).await {
                        Ok(false) => {}
                        Ok(true) => {
                            taken.push((what, spec));
                            // Each is a process and a dozen requests.
                            if number % 8 == 0 {
                                world.stacks.converges(&name, &[]).await;
                            }
                        }
                        Err(why) => wrong.push(format!("{what}: {why}")),
                    },
                }
            }
            (wrong, taken, seen)
        }
    });
    let (mut wrong, mut taken, mut seen) = (Vec::new(), Vec::new(), 0);
    for (w, t, s) in join_all(walkers).await {
        wrong.extend(w);
        taken.extend(t);
        seen += s;
    }
    println!(
        "{seen} of {} values, {} of them taken",
        all.len(),
        taken.len()
    );
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 200 && taken.len() > 20, "{seen}, {}", taken.len());

    // There and back. A volume cannot be changed, and shards move only with exporters that run.
    taken
        .retain(|(what, _)| !what.starts_with("exporter storage") && !what.starts_with("exporter"));
    let end = Instant::now() + TIME;
    let mut pairs = 0;
    let walkers = (0..WALKERS).map(|walker| {
        let (taken, world) = (&taken, &world);
        async move {
            let name = format!("back-{walker}");
            let mut pairs = 0;
            while Instant::now() < end && pairs < 40 {
                let choose = |salt: u64| {
                    let number = mix(SEED + salt, (walker * 1000 + pairs) as u64);
                    taken[usize::try_from(number % taken.len() as u64).unwrap()]
                };
                let ((from, a), (to, b)) = (choose(1), choose(2));
                offer(world, &name, a).await.unwrap();
                assert_eq!(outcome(world, &name).await, Ok(true), "{from}");
                world.stacks.converges(&name, &[]).await;
                let before = objects(world, &name).await;
                offer(world, &name, b).await.unwrap();
                assert_eq!(outcome(world, &name).await, Ok(true), "{from} -> {to}");
                offer(world, &name, a).await.unwrap();
                world.stacks.converges(&name, &[]).await;
                assert_eq!(
                    objects(world, &name).await,
                    before,
                    "{from} -> {to} and back"
                );
                pairs += 1;
            }
            pairs
        }
    });
    for walked in join_all(walkers).await {
        pairs += walked;
    }
    println!("{pairs} pairs there and back");
    assert!(pairs > 10, "{pairs}");
    assert_eq!(world.stacks.strangers().await, world.strangers);
}
