//! What the operator costs, and how soon it does things: against a real kube-apiserver and etcd.
//!
//! Times and requests are the API server's own, from its audit log, where it has them.
#![allow(clippy::unwrap_used, reason = "a measurement ends there")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::figure::Figure;
use crate::kube_api::{KubeApi, Namespace, Operator, condition};
use crate::operator_exporters;

const STACKS: usize = 1000;
/// The namespaces that they are in.
const NAMESPACES: usize = 20;
/// Stacks that are applied one after the other before, besides a first one.
const ONE_BY_ONE: usize = 20;
/// The objects of a stack.
const OBJECTS: usize = 4;
const LONGEST: Duration = Duration::from_mins(10);

/// All figures of the operator.
pub async fn figures(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut rows = Vec::new();
    rows.extend(outage(nightjar).await?);
    rows.extend(crowd(nightjar).await?);
    rows.extend(failover(nightjar).await?);
    Ok(rows)
}

fn stack(name: &str, tag: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"regions": ["eu-west-1"], "select": [{"tags": {"app": name}}], "tags": [tag]},
    })
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// What the API server was asked by operators, when it had answered.
struct Asked {
    at: f64,
    verb: String,
    resource: String,
    /// `namespace/name` of the object.
    object: String,
    code: u64,
}

fn asked(api: &KubeApi) -> Vec<Asked> {
    let mut all = Vec::new();
    for event in api.audit_log() {
        if event["stage"] != "ResponseComplete" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let at: Timestamp = text(&event["stageTimestamp"]).parse().unwrap();
        #[expect(
            clippy::cast_precision_loss,
            reason = "microseconds of this century fit"
        )]
        let at = at.as_microsecond() as f64 / 1e6;
        let of = &event["objectRef"];
        let resource = match of["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text(&of["resource"])),
            None => text(&of["resource"]),
        };
        all.push(Asked {
            at,
            verb: text(&event["verb"]),
            resource,
            object: format!("{}/{}", text(&of["namespace"]), text(&of["name"])),
            code: event["responseStatus"]["code"].as_u64().unwrap_or(0),
        });
    }
    all
}

/// When the last object of each stack was there, by `namespace/name` of its objects.
fn completed(asked: &[Asked]) -> HashMap<String, f64> {
    let mut made: HashMap<String, (usize, f64)> = HashMap::new();
    let kinds = ["serviceaccounts", "configmaps", "services", "statefulsets"];
    for one in asked {
        if one.code == 201 && kinds.contains(&&*one.resource) {
            let (count, last) = made.entry(one.object.clone()).or_default();
            *count += 1;
            *last = last.max(one.at);
        }
    }
    let whole = made.into_iter().filter(|(_, (count, _))| *count >= OBJECTS);
    whole.map(|(object, (_, last))| (object, last)).collect()
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) -> anyhow::Result<f64> {
    let begun = Instant::now();
    while !is_so().await {
        if begun.elapsed() > LONGEST {
            bail!("not within ten minutes: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn has(namespace: &Namespace, kind: &str, name: &str, part: &str) -> bool {
    match namespace.of(kind).get_opt(name).await {
        Ok(Some(object)) => object.data.to_string().contains(part),
        Ok(None) | Err(_) => false,
    }
}

/// The API server dies, and comes back after a minute.
async fn outage(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let api = KubeApi::start_for(nightjar.to_owned());
    api.install_chart();
    let operator = api.operator(&[]);
    operator.supervise();
    let namespace = api.namespace("shop").await;
    namespace.stack("checkout").await;
    let config = "checkout-exporter";
    until("the configuration", async || {
        has(&namespace, "ConfigMap", config, "checkout").await
    })
    .await?;
    api.server_dies();
    tokio::time::sleep(Duration::from_mins(1)).await;
    api.server_comes_back();
    let begun = Instant::now();
    namespace
        .apply("ServerlessStack", &stack("checkout", "after-the-outage"))
        .await;
    until("the edit", async || {
        has(&namespace, "ConfigMap", config, "after-the-outage").await
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    Ok(vec![Figure::at_most(
        "API server back after 60 s: until an edit is reconciled",
        took,
        "s",
        5.0,
        "from /readyz; the operator is started again whenever it ends, without a kubelet's growing pause",
    )])
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
async fn crowd(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let api = KubeApi::start_for(nightjar.to_owned());
    api.install_chart();
    let mut operator = api.operator(&[]);
    let mut rows = Vec::new();

    let one = api.namespace("one").await;
    one.stack("warm").await;
    until("the first stack", async || {
        has(&one, "StatefulSet", "warm-exporter", "").await
    })
    .await?;
    let mut applied = BTreeMap::new();
    for number in 0..ONE_BY_ONE {
        let name = format!("one-{number}");
        applied.insert(format!("one/{name}-exporter"), now());
        one.apply("ServerlessStack", &stack(&name, "a")).await;
        until("one stack", async || {
            has(&one, "StatefulSet", &format!("{name}-exporter"), "").await
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let done = completed(&asked(&api));
    let mut times: Vec<f64> = applied
        .iter()
        .map(|(object, at)| done.get(object).copied().unwrap_or(f64::NAN) - at)
        .collect();
    times.sort_by(f64::total_cmp);
    rows.push(Figure::at_most(
        "operator: apply to all objects created, one stack",
        times[times.len() / 2],
        "s",
        0.3,
        format!(
            "median of {ONE_BY_ONE}, longest {:.2} s",
            times[times.len() - 1]
        ),
    ));

    // A thousand at once.
    let mut namespaces = Vec::new();
    for number in 0..NAMESPACES {
        namespaces.push(api.namespace(&format!("crowd-{number}")).await);
    }
    let applied: HashMap<String, f64> = futures::stream::iter(0..STACKS)
        .map(|number| {
            let namespace = &namespaces[number % NAMESPACES];
            async move {
                let name = format!("stack-{number}");
                let begun = now();
                namespace.apply("ServerlessStack", &stack(&name, "a")).await;
                (format!("{}/{name}-exporter", namespace.name), begun)
            }
        })
        .buffer_unordered(32)
        .collect()
        .await;
    // Reading the long log takes time of a processor that all others need: only when all may be there.
    let sets: Api<StatefulSet> = Api::all(api.client().await);
    let begun = Instant::now();
    let done = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let one = sets.list_metadata(&ListParams::default().limit(1)).await?;
        let others = one.metadata.remaining_item_count.unwrap_or(0);
        if usize::try_from(others)? >= STACKS + ONE_BY_ONE {
            let done = completed(&asked(&api));
            if applied.keys().all(|object| done.contains_key(object)) {
                break done;
            }
        }
        if begun.elapsed() > LONGEST {
            bail!(
                "after ten minutes not all of {STACKS} stacks are whole: {} exporters",
                others + 1
            );
        }
    };
    let mut times: Vec<f64> = applied
        .iter()
        .map(|(object, at)| done[object] - at)
        .collect();
    times.sort_by(f64::total_cmp);
    let span = applied.values().copied().fold(f64::NEG_INFINITY, f64::max)
        - applied.values().copied().fold(f64::INFINITY, f64::min);
    rows.push(Figure::at_most(
        "operator: apply to all objects created, 1,000 stacks at once: p99",
        percentile_of(&times, 99),
        "s",
        30.0,
        format!(
            "applied within {span:.1} s; median {:.1} s",
            percentile_of(&times, 50)
        ),
    ));

    // Nothing changes: no pods run here, so every stack is on its way to Ready.
    settle(&api).await?;
    let (begun, wall) = (now(), Instant::now());
    tokio::time::sleep(Duration::from_mins(3)).await;
    let minutes = wall.elapsed().as_secs_f64() / 60.0;
    let quiet = asked(&api);
    let per_minute = |is_so: &dyn Fn(&Asked) -> bool| {
        quiet
            .iter()
            .filter(|one| one.at > begun && is_so(one))
            .count() as f64
            / minutes
    };
    let writes = ["create", "update", "patch", "delete"];
    rows.push(Figure::at_most(
        "operator, 1,000 stacks, nothing changes: writes but to the Lease",
        per_minute(&|one| writes.contains(&&*one.verb) && one.resource != "leases"),
        "1/min",
        0.0,
        "no exporter runs: stacks on their way to Ready",
    ));
    rows.push(Figure::at_most(
        "operator, 1,000 stacks, nothing changes: lists",
        per_minute(&|one| one.verb == "list"),
        "1/min",
        0.0,
        "",
    ));
    rows.push(Figure::at_most(
        "operator, 1,000 stacks, nothing changes: all requests",
        per_minute(&|_| true),
        "1/min",
        120.0,
        "the Lease, the optional kinds, watches that begin again",
    ));
    // Started again.
    operator.signal("TERM");
    operator.ended().await;
    let before = asked(&api).len();
    operator.restart();
    let begun = Instant::now();
    until("all stacks reconciled again", async || {
        let reconciled = operator
            .metric("nightjar_operator_reconciliations_total ")
            .await;
        reconciled
            .parse::<f64>()
            .is_ok_and(|count| count >= STACKS as f64)
    })
    .await?;
    rows.push(Figure::at_most(
        "operator, 1,000 stacks: started again, until all are reconciled",
        begun.elapsed().as_secs_f64(),
        "s",
        30.0,
        "from the start of the process; the Lease was given back",
    ));
    let objects = ["serviceaccounts", "configmaps", "services", "statefulsets"];
    let all = asked(&api);
    let of_objects = all[before..]
        .iter()
        .filter(|one| objects.contains(&&*one.resource) && !["watch", "list"].contains(&&*one.verb))
        .count();
    rows.push(Figure::at_most(
        "operator started again: requests per owned object",
        of_objects as f64 / ((STACKS + ONE_BY_ONE + 1) * OBJECTS) as f64,
        "",
        1.0,
        "",
    ));
    rows.extend(with_exporters(&api, &operator, &namespaces).await?);
    Ok(rows)
}

/// The same stacks with an exporter each, which tells something new every five minutes.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "small numbers"
)]
async fn with_exporters(
    api: &KubeApi,
    operator: &Operator,
    namespaces: &[Namespace],
) -> anyhow::Result<Vec<Figure>> {
    let read = Arc::new(AtomicU64::new(0));
    futures::stream::iter(0..STACKS)
        .for_each_concurrent(32, |number| {
            let (namespace, read) = (&namespaces[number % NAMESPACES], read.clone());
            async move {
                let name = format!("stack-{number}");
                operator_exporters::start(namespace, &name, number as i64, read).await;
            }
        })
        .await;
    until("all stacks Ready", async || {
        let mut ready = 0;
        for namespace in namespaces {
            let Ok(stacks) = namespace
                .of("ServerlessStack")
                .list(&ListParams::default())
                .await
            else {
                return false;
            };
            ready += stacks
                .iter()
                .filter(|stack| condition(stack, "Ready")["status"] == "True")
                .count();
        }
        ready == STACKS
    })
    .await?;
    let (begun, wall, before) = (now(), Instant::now(), read.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_mins(6)).await;
    let minutes = wall.elapsed().as_secs_f64() / 60.0;
    let read = (read.load(Ordering::Relaxed) - before) as f64;
    let asked = asked(api);
    let asked: Vec<&Asked> = asked.iter().filter(|one| one.at > begun).collect();
    let writes = asked.iter().filter(|one| {
        ["create", "update", "patch", "delete"].contains(&&*one.verb) && one.resource != "leases"
    });
    let mut by_stack: HashMap<(&str, u64), u32> = HashMap::new();
    let (mut statuses, mut others) = (0_u32, 0_u32);
    for write in writes {
        if write.resource == "serverlessstacks/status" {
            statuses += 1;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "minutes since then"
            )]
            let minute = ((write.at - begun) / 60.0) as u64;
            *by_stack.entry((&write.object, minute)).or_default() += 1;
        } else {
            others += 1;
        }
    }
    Ok(vec![
        Figure::at_most(
            "operator, 1,000 stacks with exporters: reads of an exporter's /status in half a minute",
            read / STACKS as f64 / minutes / 2.0,
            "",
            1.05,
            "each tells new numbers every five minutes",
        ),
        Figure::at_most(
            "operator, 1,000 stacks with exporters: most writes of one stack's status in a minute",
            f64::from(by_stack.values().copied().max().unwrap_or_default()),
            "",
            1.0,
            format!(
                "{:.0} of all stacks a minute, {minutes:.1} minutes long",
                f64::from(statuses) / minutes
            ),
        ),
        Figure::at_most(
            "operator, 1,000 stacks with exporters: other writes but to the Lease",
            f64::from(others),
            "",
            0.0,
            "",
        ),
        Figure::at_most(
            "operator, 1,000 stacks with exporters: lists",
            asked.iter().filter(|one| one.verb == "list").count() as f64,
            "",
            0.0,
            "",
        ),
        Figure::at_most(
            "operator: peak RSS with 1,000 stacks of 100 resources",
            peak(operator.pid())?,
            "MB",
            100.0,
            "since it was started again",
        ),
    ])
}

/// Waits until the operator has gone a few seconds without writing an object.
async fn settle(api: &KubeApi) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let recent = now() - 10.0;
        let writes = asked(api).into_iter().filter(|one| {
            one.at > recent && one.verb == "patch" && !one.resource.ends_with("leases")
        });
        if writes.count() == 0 {
            return Ok(());
        }
        // What never gets quiet is measured all the same.
        if begun.elapsed() > Duration::from_mins(3) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

fn percentile_of(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The most memory that a process ever had, in megabytes.
fn peak(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status.lines().find_map(|line| {
        let value = line.strip_prefix("VmHWM:")?.trim();
        value.strip_suffix(" kB")?.trim().parse::<f64>().ok()
    });
    Ok(kilobytes.context("the kernel does not tell the peak memory")? * 1024.0 / 1e6)
}

/// The leader ends, and the other one does what comes next.
async fn failover(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let api = KubeApi::start_for(nightjar.to_owned());
    api.install_chart();
    let namespace = api.namespace("shop").await;
    let mut leader = api.operator(&[]);
    namespace.stack("first").await;
    let whole =
        async |name: &str| has(&namespace, "StatefulSet", &format!("{name}-exporter"), "").await;
    until("the first stack", async || whole("first").await).await?;
    let mut rows = Vec::new();
    for (signal, limit) in [("KILL", 20.0), ("TERM", 3.0)] {
        let next: Operator = api.operator(&[]);
        until("the other replica", async || next.is_ready().await).await?;
        let name = format!("after-{}", signal.to_lowercase());
        let begun = Instant::now();
        leader.signal(signal);
        namespace.apply("ServerlessStack", &stack(&name, "a")).await;
        until("the next stack", async || whole(&name).await).await?;
        rows.push(Figure::at_most(
            &format!("operator: failover after SIG{signal}"),
            begun.elapsed().as_secs_f64(),
            "s",
            limit,
            "from the signal until all objects of a stack that is applied then are there",
        ));
        leader.ended().await;
        leader = next;
    }
    Ok(rows)
}
