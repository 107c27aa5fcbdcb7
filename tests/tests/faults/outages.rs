//! The API server, its store or the network are gone for a while.

use std::time::Duration;

use nightjar_tests::kube_api::KubeApi;
use nightjar_tests::kube_api::wire::Wire;
use serde_json::json;

use crate::World;

/// The way to the server is gone for so long, in which people go on working.
async fn outage(world: &World, lasts: Duration, begin: impl Fn(), most: usize) {
    world.operator.supervise();
    let asked = world.proxy.requests().len();
    begin();
    world.is_meddled_with().await;
    tokio::time::sleep(lasts).await;
    let asked = world.proxy.requests().len() - asked;
    world.proxy.open();
    assert!(asked <= most, "{asked} attempts in {lasts:?}");
    world.is_well("checkout").await;
}

#[tokio::test]
async fn after_a_second_without_the_api_server_all_goes_on() {
    let world = World::new("outage-1").await;
    outage(&world, Duration::from_secs(1), || world.proxy.close(), 40).await;
}

#[tokio::test]
async fn after_an_outage_that_ends_the_leader_all_goes_on_and_nobody_is_flooded_meanwhile() {
    let world = World::new("outage-25").await;
    outage(&world, Duration::from_secs(25), || world.proxy.close(), 300).await;
}

#[tokio::test]
async fn after_an_outage_of_minutes_all_goes_on() {
    let world = World::new("outage-120").await;
    outage(&world, Duration::from_mins(2), || world.proxy.close(), 1000).await;
}

#[tokio::test]
#[ignore = "eleven minutes: by hand"]
async fn after_an_outage_of_ten_minutes_all_goes_on() {
    let world = World::new("outage-600").await;
    outage(
        &world,
        Duration::from_mins(10),
        || world.proxy.close(),
        4000,
    )
    .await;
}

#[tokio::test]
async fn after_the_network_dropped_all_packets_for_a_while_all_goes_on() {
    let world = World::new("partition").await;
    outage(
        &world,
        Duration::from_secs(25),
        || world.proxy.silence(),
        300,
    )
    .await;
}

#[tokio::test]
async fn an_api_server_that_dies_that_loses_its_store_or_that_gets_another_certificate_is_found_again()
 {
    let api = KubeApi::start();
    api.install_chart();
    let operator = api.operator(&[]);
    operator.supervise();
    let namespace = api.namespace("shop").await;
    namespace.stack("checkout").await;
    namespace.converges("checkout", &[]).await;
    let edit = |tag: &str| crate::stack("checkout", &json!({"tags": [tag]}));

    api.server_dies();
    tokio::time::sleep(Duration::from_secs(12)).await;
    api.server_comes_back();
    namespace.apply("ServerlessStack", &edit("died")).await;
    namespace.converges("checkout", &[]).await;

    api.etcd_hangs();
    tokio::time::sleep(Duration::from_secs(15)).await;
    api.etcd_goes_on();
    let namespace = api.namespace("shop").await;
    namespace.apply("ServerlessStack", &edit("hung")).await;
    namespace.converges("checkout", &[]).await;

    api.server_dies();
    api.server_comes_back_as_another();
    let namespace = api.namespace("shop").await;
    namespace.apply("ServerlessStack", &edit("another")).await;
    namespace.converges("checkout", &[]).await;
    namespace.status_is_true("checkout").await;
}

#[tokio::test]
async fn a_tls_handshake_or_an_answer_that_stops_in_the_middle_is_given_up_and_tried_again() {
    let api = KubeApi::start();
    api.install_chart();
    let wire = Wire::start(&api);
    let operator = api.operator_by(Some(&wire.url), &["--lease-namespace=default"]);
    operator.supervise();
    let namespace = api.namespace("shop").await;
    namespace.stack("checkout").await;
    namespace.converges("checkout", &[]).await;
    // Nothing at all, the beginning of a handshake, and after it the beginning of an answer.
    for (bytes, connections) in [(0, 12), (100, 12), (6000, 4)] {
        wire.pass(bytes);
        let edit = crate::stack("checkout", &json!({"tags": [format!("after-{bytes}")]}));
        namespace.apply("ServerlessStack", &edit).await;
        // Those of the first try, and some of later ones.
        wire.until_stalled(connections).await;
        wire.open();
        namespace.converges("checkout", &[]).await;
    }
    namespace.status_is_true("checkout").await;
    operator.metrics_are_sound().await;
}
