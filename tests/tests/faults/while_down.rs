//! What happens while no operator runs, and an operator that starts in the past.

use kube::ResourceExt;
use kube::api::DeleteParams;
use nightjar_tests::kube_api::eventually;
use nightjar_tests::kube_api::oracles::KINDS;
use serde_json::json;

use crate::World;

#[tokio::test]
async fn a_stack_that_was_deleted_and_made_anew_unseen_waits_for_the_old_objects_to_go() {
    let world = World::new("down-recreated").await;
    world.operator.dies();
    let stacks = world.stacks.of("ServerlessStack");
    let old = stacks.get("checkout").await.unwrap().uid();
    // No garbage collector runs here: the old stack's objects stay for now.
    stacks
        .delete("checkout", &DeleteParams::background())
        .await
        .unwrap();
    world.apply("checkout", &json!({})).await;
    assert_ne!(stacks.get("checkout").await.unwrap().uid(), old);
    world.operator.restart();
    world
        .says("checkout", "Ready", "False", "checkout-exporter")
        .await;
    for kind in KINDS {
        let objects = world.stacks.of(kind);
        let object = objects.get("checkout-exporter").await.unwrap();
        assert_eq!(
            Some(&object.owner_references()[0].uid),
            old.as_ref(),
            "{kind}"
        );
    }
    for kind in KINDS {
        world
            .stacks
            .of(kind)
            .delete("checkout-exporter", &DeleteParams::background())
            .await
            .unwrap();
    }
    let rules = world.stacks.of("ConfigMap");
    rules
        .delete("checkout-exporter-rules", &DeleteParams::background())
        .await
        .unwrap();
    world.is_well("checkout").await;
}

#[tokio::test]
async fn what_was_deleted_or_edited_there_and_back_unseen_is_put_right() {
    let world = World::new("down-edited").await;
    for kind in KINDS {
        world.operator.dies();
        world
            .stacks
            .of(kind)
            .delete("checkout-exporter", &DeleteParams::background())
            .await
            .unwrap();
        world.apply("checkout", &json!({"tags": ["b"]})).await;
        world.apply("checkout", &json!({})).await;
        world.operator.restart();
        world.stacks.converges("checkout", &[]).await;
    }
    world.is_well("checkout").await;
}

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
