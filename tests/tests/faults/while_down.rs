//! What happens while no operator runs, and an operator that starts in the past.

use kube::ResourceExt;
use nightjar_tests::kube_api::eventually;
use serde_json::json;

use crate::World;

#[tokio::test]
async fn an_operator_that_is_served_the_past_deletes_nothing_that_the_present_needs() {
    let world = World::new("stale").await;
    let account = world
        .stacks
        .of("ServiceAccount")
        .get("checkout-exporter")
        .await
        .unwrap();
    world.operator.dies();
    // The past: a ServiceAccount of the user's own, so that ours is superfluous.
    let theirs = json!({"credentials": {"serviceAccountName": "somebody"}});
    world.apply("checkout", &theirs).await;
    world.proxy.serve_the_past().await;
    // The present: as before.
    world.apply("checkout", &json!({})).await;
    let (looks, before) = (world.looks("checkout"), world.proxy.writes().len());
    let failures = || world.operator.lines_with(&["could not be reconciled"]);
    let failed = failures();
    world.operator.restart();
    eventually(
        "a look at the past",
        async || {
            (
                world.looks("checkout"),
                failures(),
                world.proxy.writes().len(),
            )
        },
        |(now, failures, writes)| *now > looks || *failures > failed || *writes > before + 1,
    )
    .await;
    let writes = world.proxy.writes().split_off(before);
    assert!(
        !writes.iter().any(|write| write.starts_with("delete ")),
        "{writes:#?}"
    );
    world.proxy.serve_the_present();
    world.is_well("checkout").await;
    let after = world
        .stacks
        .of("ServiceAccount")
        .get("checkout-exporter")
        .await
        .unwrap();
    assert_eq!(after.uid(), account.uid());
}
