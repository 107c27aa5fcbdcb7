//! The operator dies between any two of its writes.

use std::time::Duration;

use kube::core::DynamicObject;
use nightjar_tests::kube_api::fault_proxy::rule::{Effect, Rule, WRITES};
use serde_json::json;

use crate::World;

/// An operator dies at its `k`-th write for a stack, before or after the server has done it. Whether there was one.
async fn dies_at(
    world: &World,
    k: usize,
    effect: &Effect,
    stack: &str,
    is_done: impl Fn(&DynamicObject) -> bool,
) -> bool {
    world.proxy.set([Rule {
        verbs: WRITES,
        except: &["leases", "events"],
        name: stack.to_owned(),
        skip: k - 1,
        times: 1,
        ..Rule::all(effect.clone())
    }]);
    let fields =
        json!({"credentials": {"serviceAccountName": "somebody"}, "tags": [format!("tag-{k}")]});
    let fields = if stack.starts_with("new") {
        json!({})
    } else {
        fields
    };
    world.apply(stack, &fields).await;
    let stacks = world.stacks.of("ServerlessStack");
    let struck = loop {
        // In this order: what is written last is the status.
        let done = is_done(&stacks.get(stack).await.unwrap());
        if world.proxy.struck() > 0 || done {
            break world.proxy.struck() > 0;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    world.proxy.clear();
    if struck {
        world.operator.dies();
        world.proxy.open();
        world.operator.restart();
    }
    struck
}

fn speaks_of_now(stack: &DynamicObject) -> bool {
    stack.data["status"]["observedGeneration"] == json!(stack.metadata.generation)
}

#[tokio::test]
async fn a_new_stack_is_whole_wherever_the_operator_dies_while_it_makes_it() {
    let world = World::new("crash-new").await;
    for (effect, how) in [(Effect::CutBefore, "before"), (Effect::CutAfter, "after")] {
        let mut k = 1;
        while dies_at(&world, k, &effect, &format!("new-{how}-{k}"), speaks_of_now).await {
            world.stacks.converges(&format!("new-{how}-{k}"), &[]).await;
            k += 1;
        }
        assert!(k > 5, "only {} writes", k - 1);
        for k in [1, k / 2, k - 1] {
            world.is_well(&format!("new-{how}-{k}")).await;
        }
    }
}

#[tokio::test]
async fn an_edit_is_carried_out_and_what_it_makes_superfluous_is_gone_wherever_the_operator_dies() {
    let world = World::new("crash-edit").await;
    for (effect, how) in [(Effect::CutBefore, "before"), (Effect::CutAfter, "after")] {
        let mut k = 1;
        loop {
            let stack = format!("old-{how}-{k}");
            world.apply(&stack, &json!({})).await;
            world.stacks.converges(&stack, &[]).await;
            world
                .stacks
                .wait_for("ServerlessStack", &stack, speaks_of_now)
                .await;
            if !dies_at(&world, k, &effect, &stack, speaks_of_now).await {
                break;
            }
            world.stacks.converges(&stack, &[]).await;
            let accounts = world.stacks.of("ServiceAccount");
            let left = accounts
                .get_opt(&format!("{stack}-exporter"))
                .await
                .unwrap();
            assert!(left.is_none(), "{left:?}");
            k += 1;
        }
        // The configuration, the StatefulSet, the ServiceAccount, the status.
        assert!(k > 4, "only {} writes", k - 1);
    }
    assert_eq!(world.stacks.strangers().await, world.strangers);
}
