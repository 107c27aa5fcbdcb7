//! Single calls that are slow, refused or answered with an excuse.

use std::time::Duration;

use nightjar_tests::kube_api::fault_proxy::rule::{Effect, Rule, WRITES};
use serde_json::json;

use crate::World;

fn excuse(
    code: u16,
    reason: &'static str,
    message: &'static str,
    retry_after: Option<&'static str>,
) -> Effect {
    Effect::Answer {
        code,
        reason,
        message,
        retry_after,
    }
}

/// All is put right while requests meet a rule.
async fn is_put_right(world: &World, rule: Rule) {
    world.proxy.set([rule]);
    world.is_meddled_with().await;
    world.proxy.until_struck(1).await;
    world.stacks.converges("checkout", &[]).await;
}

#[tokio::test]
async fn a_server_that_is_overloaded_is_asked_again_soon_whatever_pause_it_names() {
    let world = World::new("calls-429").await;
    for pause in ["1", "30", "9999999999"] {
        let busy = excuse(429, "TooManyRequests", "too many requests", Some(pause));
        let rule = Rule {
            except: &["leases"],
            times: 8,
            ..Rule::all(busy)
        };
        is_put_right(&world, rule).await;
    }
    world.proxy.clear();
    world.is_well("checkout").await;
}

#[tokio::test]
async fn a_server_that_takes_five_seconds_for_each_answer_only_makes_all_slow() {
    let world = World::new("calls-slow").await;
    world.operator.dies();
    world.proxy.set([Rule {
        // Whoever leads has to say so in time.
        except: &["leases"],
        ..Rule::all(Effect::Delay(Duration::from_secs(5)))
    }]);
    // One that knows nothing yet.
    world.operator.restart();
    world.apply("slow", &json!({})).await;
    world.stacks.converges("slow", &[]).await;
    world.says("slow", "SpecValid", "True", "").await;
    world.apply("slow", &json!({"tags": ["slow"]})).await;
    world.stacks.converges("slow", &[]).await;
    world.proxy.clear();
    world.is_well("slow").await;
    world.is_well("checkout").await;
}

#[tokio::test]
async fn when_every_other_call_fails_all_is_done_in_the_end() {
    let world = World::new("calls-503").await;
    for effect in [
        excuse(
            503,
            "ServiceUnavailable",
            "apiserver is shutting down",
            None,
        ),
        excuse(
            504,
            "Timeout",
            "the server was unable to return a response in time",
            None,
        ),
        excuse(500, "InternalError", "etcdserver: leader changed", None),
        Effect::Refuse,
    ] {
        let rule = Rule {
            verbs: WRITES,
            except: &["leases"],
            every: 2,
            ..Rule::all(effect)
        };
        is_put_right(&world, rule).await;
    }
    world.proxy.clear();
    world.is_well("checkout").await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_server_did_its_part_does_no_harm() {
    let world = World::new("calls-lost").await;
    for write in 0..6 {
        world.proxy.set([Rule {
            verbs: WRITES,
            except: &["leases", "events"],
            skip: write,
            times: 1,
            ..Rule::all(Effect::CutAfter)
        }]);
        world.is_meddled_with().await;
        world.until_cut_or_done().await;
        world.proxy.clear();
        // The way is cut when the server has answered, maybe only now.
        let open_again = async {
            loop {
                world.proxy.open();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = world.stacks.converges("checkout", &[]) => {}
            () = open_again => {}
        }
    }
    world.is_well("checkout").await;
}

#[tokio::test]
async fn credentials_that_are_refused_for_a_while_are_tried_again() {
    let world = World::new("calls-401").await;
    world.operator.supervise();
    world
        .proxy
        .set([Rule::all(excuse(401, "Unauthorized", "Unauthorized", None))]);
    world.proxy.cut();
    world.is_meddled_with().await;
    // Longer than a leader leads without renewing its Lease.
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert!(world.proxy.struck() < 400, "{}", world.proxy.struck());
    world.proxy.clear();
    world.is_well("checkout").await;
}

impl World {
    /// Waits until a rule that cuts the way struck, or all was done without it.
    async fn until_cut_or_done(&self) {
        let done = async || self.stacks.differences("checkout", &[]).await.is_empty();
        while self.proxy.struck() == 0 && !done().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
