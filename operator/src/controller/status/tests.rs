//! What a status says of the facts: here when a stack is ready, in the modules what exporters and the cluster have to say.

mod cluster;
mod exporters;

use super::aws::{Severity, severity};
use super::*;
use crate::api::exporter_status::{Problem, ServiceStatus, Spend, TargetStatus};
use crate::controller::exporters::Exporter;
use crate::controller::look::SetStatus;

const HASH: &str = "abc";

fn target(region: &str) -> TargetStatus {
    let found = ServiceStatus {
        resources: 3,
        last_poll: Some(1),
        counted_through: Some(1),
    };
    TargetStatus {
        account_id: Some("111122223333".to_owned()),
        region: region.to_owned(),
        last_discovery: Some(1),
        services: [("lambda".to_owned(), found)].into(),
        ..TargetStatus::default()
    }
}

fn exporter(targets: Vec<TargetStatus>) -> Exporter {
    Exporter {
        pod: "checkout-exporter-0".to_owned(),
        status: Ok(ExporterStatus {
            stack: "shop/checkout".to_owned(),
            config_hash: HASH.to_owned(),
            series: 40,
            spend: Spend {
                metrics_requested: 1,
                forecast_usd_per_month: 12.345,
                interval_seconds: 300,
                ..Spend::default()
            },
            targets,
            ..ExporterStatus::default()
        }),
    }
}

/// Tests are short: what they look at may stay.
fn looked(wanted: i32, ready: i32, exporters: &[Exporter]) -> &'static Looked {
    Box::leak(Box::new(Looked {
        set: Some(SetStatus {
            is_current: true,
            wanted,
            present: wanted,
            ready,
            updated: wanted,
        }),
        exporters: exporters.to_vec(),
        is_complete: true,
        ..Looked::default()
    }))
}

fn facts(exporters: &[Exporter]) -> Facts<'static> {
    Facts {
        namespace: "shop",
        object_name: "checkout-exporter",
        generation: Some(2),
        suspend: false,
        interval: Duration::from_secs(300),
        invalid: &[],
        notes: &[],
        failed: &[],
        applied: true,
        monitoring: Monitoring::default(),
        config_hash: HASH,
        assignment: None,
        looked: looked(1, 1, exporters),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn judged(facts: &Facts<'_>) -> ServerlessStackStatus {
    judge(facts, &ServerlessStackStatus::default(), at(1000))
}

/// The status, reason and message of a condition.
fn said(status: &ServerlessStackStatus, type_: &str) -> (String, String, String) {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .unwrap();
    (
        condition.status.clone(),
        condition.reason.clone(),
        condition.message.clone(),
    )
}

#[test]
fn what_is_done_only_roughly_is_said_of_a_specification_that_can_be_used() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let facts = Facts {
        notes: &["the objective quick is judged by quantile 0.99 of each poll".to_owned()],
        ..facts(&exporters)
    };
    let (status, reason, message) = said(&judged(&facts), SPEC_VALID);
    assert_eq!((&*status, &*reason), ("True", "AsExpected"));
    assert!(
        message.ends_with("; the objective quick is judged by quantile 0.99 of each poll"),
        "{message}"
    );
}

fn problem(reason: Reason, action: &str, message: &str) -> Problem {
    Problem {
        reason,
        action: action.to_owned(),
        message: message.to_owned(),
        since: 1,
    }
}

#[test]
fn a_stack_whose_exporter_reads_all_its_places_is_ready_and_counted() {
    let exporters = [exporter(vec![target("eu-west-1"), target("us-east-1")])];
    let status = judged(&facts(&exporters));
    let (ready, reason, message) = said(&status, READY);
    assert_eq!((&*ready, &*reason), ("True", "AsExpected"), "{message}");
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.status == "True"),
        "{:?}",
        status.conditions
    );
    assert_eq!(
        status.inventory,
        Inventory {
            resources: 6,
            functions: 6,
            tables: 0,
            apis: 0,
            series: 40,
            targets: 2
        }
    );
    assert_eq!(status.spend.forecast_usd_per_month, "12.35");
    assert_eq!(status.exporter.config_hash, HASH);
}

fn verdict(exporters: &[Exporter], type_: &str) -> (String, String, String) {
    let status = judged(&facts(exporters));
    let found = status.conditions.into_iter().find(|c| c.type_ == type_);
    let found = found.unwrap();
    (found.status, found.reason, found.message)
}

#[test]
fn ready_waits_for_the_first_discovery_and_the_first_poll() {
    let mut undiscovered = target("eu-west-1");
    undiscovered.last_discovery = None;
    let mut unpolled = target("eu-west-1");
    unpolled.services.get_mut("lambda").unwrap().last_poll = None;
    for waiting in [undiscovered, unpolled] {
        let exporters = [exporter(vec![waiting])];
        let status = judged(&facts(&exporters));
        assert_eq!(said(&status, AWS_REACHABLE).0, "Unknown");
        let (ready, reason, _) = said(&status, READY);
        assert_eq!((&*ready, &*reason), ("False", "Progressing"));
    }
}

#[test]
fn ready_waits_for_the_present_configuration() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let facts = Facts {
        config_hash: "newer",
        ..facts(&exporters)
    };
    let (ready, reason, _) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "ConfigurationPending"));
}

#[test]
fn a_specification_that_cannot_be_used_is_all_that_is_told() {
    let invalid = [InvalidField {
        field: "spec.regions[0]".to_owned(),
        message: "unknown region".to_owned(),
    }];
    let facts = Facts {
        invalid: &invalid,
        looked: Box::leak(Box::default()),
        ..facts(&[])
    };
    let status = judged(&facts);
    assert_eq!(said(&status, SPEC_VALID).0, "False");
    let (ready, reason, message) = said(&status, READY);
    assert_eq!((&*ready, &*reason), ("False", "InvalidSpec"));
    assert!(
        message.contains("spec.regions[0]: unknown region"),
        "{message}"
    );
}

#[test]
fn a_stack_that_selects_nothing_is_ready_and_says_what_to_look_at() {
    let mut empty = target("eu-west-1");
    empty.services.clear();
    let exporters = [exporter(vec![empty])];
    let (ready, reason, message) = said(&judged(&facts(&exporters)), READY);
    assert_eq!((&*ready, &*reason), ("True", "NothingSelected"));
    assert!(message.contains("spec.select"), "{message}");
}

#[test]
fn what_is_only_worth_knowing_does_not_take_ready_away() {
    let mut noted = target("eu-west-1");
    noted.problems = vec![problem(
        Reason::AmbiguousName,
        "",
        "two REST APIs are named shop",
    )];
    let exporters = [exporter(vec![noted])];
    let (ready, reason, message) = said(&judged(&facts(&exporters)), READY);
    assert_eq!((&*ready, &*reason), ("True", "AmbiguousName"));
    assert!(message.contains("two REST APIs"), "{message}");
}

#[test]
fn a_suspended_stack_says_that_it_is() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let facts = Facts {
        suspend: true,
        ..facts(&exporters)
    };
    let (ready, reason, _) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "Suspended"));
}

#[test]
fn a_transition_time_moves_only_with_the_status() {
    let waiting = Facts {
        looked: looked(1, 0, &[]),
        ..facts(&[])
    };
    let first = judge(&waiting, &ServerlessStackStatus::default(), at(1000));
    let same = judge(&waiting, &first, at(2000));
    assert_eq!(same, first);

    let exporters = [exporter(vec![target("eu-west-1")])];
    let ready = judge(&facts(&exporters), &same, at(3000));
    let time_of = |status: &ServerlessStackStatus, type_: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .unwrap()
            .last_transition_time
            .0
    };
    assert_eq!(time_of(&ready, READY), at(3000));
    assert_eq!(time_of(&ready, SPEC_VALID), at(1000));
}

#[test]
fn a_stack_is_not_ready_until_every_shard_has_released_what_is_anothers() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let moving = Assignment::first(1).next(2, &BTreeMap::new());
    let facts = Facts {
        assignment: Some(&moving),
        ..facts(&exporters)
    };
    let (ready, reason, message) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "Resharding"));
    assert!(message.contains("checkout-exporter-0"), "{message}");
}

#[test]
fn the_health_checks_of_the_docs_fail_for_the_reasons_for_which_somebody_has_to_act_and_no_other() {
    let words = regex::Regex::new(r#"Self::([A-Za-z]+) => "([A-Za-z]+)""#).unwrap();
    let source = include_str!("../../api/reason.rs");
    let docs = include_str!("../../../../docs/gitops.md");
    let mut seen = 0;
    for word in words.captures_iter(source) {
        let reason: Reason = serde_json::from_value(word[2].into()).unwrap();
        assert_eq!(reason.as_str(), &word[1]);
        let acts = severity(reason) == Severity::Act;
        // Argo CD's list is Lua, Flux's is CEL.
        for entry in [format!(" {reason} = true"), format!("'{reason}'")] {
            assert_eq!(docs.contains(&entry), acts, "{entry}");
        }
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
}
