//! Watches that end, lie, stutter or fall silent.

use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use nightjar_tests::kube_api::fault_proxy::rule::{Effect, Rule, Spoil};
use serde_json::json;

use crate::World;

/// People work while watches are spoiled, and all is put right, with a bounded number of requests.
async fn spoiled(name: &'static str, rule: Rule) {
    let world = World::new(name).await;
    world.proxy.set([Rule {
        verbs: &["watch"],
        ..rule
    }]);
    // Watches begin anew, now spoiled.
    world.proxy.cut();
    world.proxy.until_struck(1).await;
    let asked = world.proxy.requests().len();
    for _ in 0..2 {
        world.is_meddled_with().await;
        world.stacks.converges("checkout", &[]).await;
    }
    let asked = world.proxy.requests().split_off(asked);
    assert!(asked.len() <= 400, "{} requests: {asked:#?}", asked.len());
    world.proxy.clear();
    world.is_well("checkout").await;
    // Its own work, seen late or twice, is not taken for that of somebody who does not give up.
    let events = world.stacks.of("Event").list(&ListParams::default()).await;
    let contested = |event: &DynamicObject| event.data["reason"] == "Contested";
    assert!(!events.unwrap().iter().any(contested));
}

fn stream(spoil: Spoil) -> Rule {
    Rule::all(Effect::Stream(spoil))
}

#[tokio::test]
async fn watches_that_end_after_each_event_are_begun_again() {
    spoiled("watch-close", stream(Spoil::CloseAfter(1))).await;
}

#[tokio::test]
async fn watches_that_break_in_the_middle_of_a_line_are_begun_again() {
    spoiled("watch-half", stream(Spoil::HalfAfter(1))).await;
}

#[tokio::test]
async fn watches_whose_version_is_gone_after_each_event_list_anew() {
    spoiled("watch-gone", stream(Spoil::GoneAfter(1))).await;
}

/// Answered as an error of HTTP, and not as an event of a watch that has begun.
#[tokio::test]
async fn watches_that_are_refused_for_their_version_when_they_resume_list_anew() {
    let world = World::new("watch-resume").await;
    let stacks = world.stacks.of("ServerlessStack");
    let version = stacks.list(&ListParams::default()).await.unwrap().metadata;
    let gone = Effect::Answer {
        code: 410,
        reason: "Expired",
        message: "too old resource version",
        retry_after: None,
    };
    world.proxy.set([Rule {
        verbs: &["watch"],
        older: version.resource_version.unwrap().parse().ok(),
        ..Rule::all(gone)
    }]);
    let asked = world.proxy.requests().len();
    world.proxy.cut();
    world.proxy.until_struck(1).await;
    world.is_meddled_with().await;
    world.stacks.converges("checkout", &[]).await;
    // Each watch is refused once, and then none is.
    let asked = world.proxy.requests().split_off(asked);
    let of = |verb: &str| asked.iter().filter(|seen| seen.verb == verb).count();
    let refused = world.proxy.struck();
    assert!(
        refused <= of("list"),
        "{refused} watches refused: {asked:#?}"
    );
    world.is_well("checkout").await;
}

#[tokio::test]
async fn events_that_come_twice_change_nothing() {
    spoiled("watch-twice", stream(Spoil::Twice)).await;
}

#[tokio::test]
async fn events_of_one_kind_may_come_seconds_after_those_of_the_others() {
    let late = Rule {
        resources: &["statefulsets", "services"],
        ..stream(Spoil::Late(Duration::from_secs(2)))
    };
    spoiled("watch-late", late).await;
}

#[tokio::test]
async fn a_watch_that_falls_silent_without_being_closed_is_left() {
    let once = Rule {
        resources: &["serverlessstacks"],
        times: 1,
        ..stream(Spoil::HangAfter(1))
    };
    spoiled("watch-hang", once).await;
}

#[tokio::test]
async fn a_list_whose_second_page_is_gone_is_begun_anew_and_nothing_is_taken_for_deleted() {
    let world = World::new("list-pages").await;
    let names: Vec<_> = (0..5).map(|number| format!("page-{number}")).collect();
    for name in &names {
        world.apply(name, &json!({})).await;
    }
    for name in &names {
        world.stacks.converges(name, &[]).await;
    }
    let before = world.proxy.writes().len();
    let gone = Effect::Answer {
        code: 410,
        reason: "Expired",
        message: "The provided continue parameter is too old",
        retry_after: None,
    };
    world.proxy.set([
        Rule {
            verbs: &["continue"],
            times: 12,
            ..Rule::all(gone)
        },
        Rule {
            verbs: &["list"],
            ..Rule::all(Effect::Pages(2))
        },
    ]);
    // All is listed: by watches that begin anew, and by an operator that knows nothing.
    world.operator.restart();
    world.apply("page-5", &json!({})).await;
    world.stacks.converges("page-5", &[]).await;
    for name in &names {
        world.apply(name, &json!({"tags": ["edited"]})).await;
        world.stacks.converges(name, &[]).await;
    }
    let gone = world.proxy.requests();
    let pages = gone.iter().filter(|seen| seen.verb == "continue").count();
    assert!(pages > 12, "{pages}");
    let writes = world.proxy.writes().split_off(before);
    let deleted = writes.iter().any(|write| write.starts_with("delete"));
    assert!(!deleted, "{writes:#?}");
    world.proxy.clear();
    world.is_well("checkout").await;
}
