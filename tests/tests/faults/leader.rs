//! Which replica writes when the network parts them, when clocks differ, and when they are told to stop at a bad moment.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use nightjar_tests::kube_api::eventually;
use nightjar_tests::kube_api::fault_proxy::FaultProxy;
use nightjar_tests::kube_api::fault_proxy::rule::{Effect, Rule, WRITES};
use serde_json::{Value, json};

use crate::{World, operator, release};

async fn led_by(world: &World, holder: &str) {
    let home = world.api.home().await;
    home.wait_for("Lease", &release(world.name), |lease| {
        lease.data["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            == holder
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_alone_is_cut_off_ends_and_writes_nothing_when_the_network_heals() {
    let mut world = World::new("leader-parted").await;
    let proxy = FaultProxy::start(world.api);
    let next = operator(world.api, world.name, &proxy);
    eventually(
        "the follower",
        async || next.is_ready().await,
        |ready| *ready,
    )
    .await;
    assert_eq!(proxy.writes(), Vec::<String>::new());
    world.proxy.silence();
    world.is_meddled_with().await;
    led_by(&world, &next.name).await;
    assert_eq!(world.operator.ended().await, Some(1));
    let before = world.proxy.writes();
    world.proxy.open();
    world.stacks.converges("checkout", &[]).await;
    assert_eq!(world.proxy.writes(), before);
    let old = std::mem::replace(&mut world.proxy, proxy);
    world.operator = next;
    world.is_well("checkout").await;
    assert_eq!(old.writes(), before);
}

#[tokio::test]
async fn the_clock_of_another_holder_does_not_matter() {
    let world = World::new("leader-clock").await;
    world.operator.signal("TERM");
    led_by(&world, "").await;
    let leases = world.api.home().await.of("Lease");
    // By its clock the Lease expired ten minutes ago, or is of ten minutes from now; what counts is whether it is renewed.
    for (round, minutes) in [-10, 10].into_iter().enumerate() {
        let renew = async |number: usize| {
            let time = k8s_openapi::jiff::Timestamp::now()
                + k8s_openapi::jiff::SignedDuration::from_mins(minutes)
                + k8s_openapi::jiff::SignedDuration::from_millis(i64::try_from(number).unwrap());
            let time = format!("{time:.6}");
            let spec = json!({"spec": {
                "holderIdentity": format!("other-{round}"), "leaseDurationSeconds": 15, "renewTime": time,
            }});
            leases
                .patch(
                    &release(world.name),
                    &PatchParams::default(),
                    &Patch::Merge(&spec),
                )
                .await
                .unwrap()
        };
        renew(0).await;
        world.operator.restart();
        // For longer than a Lease lasts.
        for number in 1..=18 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let lease = renew(number).await;
            assert_eq!(
                lease.data["spec"]["holderIdentity"],
                format!("other-{round}")
            );
            assert_eq!(
                world.operator.metric("nightjar_operator_leader ").await,
                "0"
            );
        }
        // It is not renewed any more.
        led_by(&world, &world.operator.name).await;
        world.is_meddled_with().await;
        world.is_well("checkout").await;
        world.operator.signal("TERM");
        led_by(&world, "").await;
    }
}

/// Told to stop while something is going on, an operator ends well, and nobody holds the Lease.
async fn told_to_stop(name: &'static str, rule: Rule, begins_anew: bool, fields: Value) -> World {
    let mut world = World::new(name).await;
    if begins_anew {
        world.operator.signal("TERM");
        assert_eq!(world.operator.ended().await, Some(0));
    }
    world.proxy.set([rule]);
    world.apply("checkout", &fields).await;
    if begins_anew {
        world.operator.restart();
    }
    world.proxy.until_struck(1).await;
    world.operator.signal("TERM");
    // Whoever is in a hurry says it twice.
    world.operator.signal("TERM");
    assert_eq!(world.operator.ended().await, Some(0));
    led_by(&world, "").await;
    world.proxy.clear();
    world.operator.restart();
    world.is_well("checkout").await;
    world
}

#[tokio::test]
async fn an_operator_that_is_told_to_stop_while_it_writes_an_object_stops() {
    let slow = Rule {
        verbs: WRITES,
        resources: &["configmaps"],
        ..Rule::all(Effect::Delay(Duration::from_secs(1)))
    };
    told_to_stop("stop-write", slow, false, json!({"tags": ["a"]})).await;
}

#[tokio::test]
async fn an_operator_that_is_told_to_stop_while_the_status_hangs_stops() {
    let hangs = Rule {
        verbs: WRITES,
        resources: &["serverlessstacks/status"],
        ..Rule::all(Effect::Hang)
    };
    let world = told_to_stop("stop-status", hangs, false, json!({"tags": ["a"]})).await;
    // It did not wait for the end of that.
    assert_eq!(world.operator.lines_with(&["did not end in time"]), 1);
}

#[tokio::test]
async fn an_operator_that_is_told_to_stop_before_it_knows_what_the_cluster_offers_stops() {
    let hangs = Rule {
        verbs: &["discover"],
        ..Rule::all(Effect::Hang)
    };
    told_to_stop("stop-discovery", hangs, true, json!({"tags": ["a"]})).await;
}

#[tokio::test]
async fn an_operator_that_is_told_to_stop_before_it_has_listed_anything_stops() {
    let hangs = Rule {
        verbs: &["list"],
        ..Rule::all(Effect::Hang)
    };
    told_to_stop("stop-list", hangs, true, json!({"tags": ["a"]})).await;
}
