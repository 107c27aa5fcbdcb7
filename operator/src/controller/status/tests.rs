use super::*;
use crate::api::exporter_status::{ServiceStatus, Spend};
use crate::controller::kind::Kind;
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

/// An exporter with a budget, polling at an interval.
fn thrifty(interval_seconds: u32, least: Option<f64>) -> Exporter {
    let mut exporter = exporter(vec![target("eu-west-1")]);
    if let Ok(status) = &mut exporter.status {
        status.spend.interval_seconds = interval_seconds;
        status.spend.budget_usd_per_month = Some(20.0);
        status.spend.least_budget_usd_per_month = least;
    }
    exporter
}

fn verdict(exporters: &[Exporter], type_: &str) -> (String, String, String) {
    let status = judged(&facts(exporters));
    let found = status.conditions.into_iter().find(|c| c.type_ == type_);
    let found = found.unwrap();
    (found.status, found.reason, found.message)
}

#[test]
fn a_budget_that_makes_polling_slower_is_told_and_the_stack_is_ready() {
    let (status, reason, message) = verdict(&[thrifty(600, None)], WITHIN_BUDGET);
    assert_eq!((&*status, &*reason), ("True", "BudgetStretched"));
    assert!(
        message.contains("every 10m instead of every 5m"),
        "{message}"
    );
    assert_eq!(judged(&facts(&[thrifty(600, None)])).spend.interval, "10m");
    assert_eq!(verdict(&[thrifty(600, None)], READY).0, "True");
    assert_eq!(
        verdict(&[thrifty(300, None)], WITHIN_BUDGET).1,
        "AsExpected"
    );
}

#[test]
fn a_budget_that_allows_no_polling_names_the_least_one_of_all_exporters_together() {
    let exporters = [thrifty(3600, Some(21.111)), thrifty(3600, None)];
    let (status, reason, message) = verdict(&exporters, WITHIN_BUDGET);
    assert_eq!((&*status, &*reason), ("False", "BudgetTooSmall"));
    assert!(message.contains("\"41.12\""), "{message}");
    assert_eq!(verdict(&exporters, READY).1, "BudgetTooSmall");
    let (status, reason, _) = verdict(&exporters, AWS_REACHABLE);
    assert_eq!((&*status, &*reason), ("Unknown", "BudgetTooSmall"));
}

#[test]
fn a_denied_action_names_account_region_and_what_to_allow_to_whom() {
    let mut denied = target("us-east-1");
    denied.role_arn = Some("arn:aws:iam::111122223333:role/read".to_owned());
    denied.problems = vec![
        problem(
            Reason::Throttled,
            "cloudwatch:GetMetricData",
            "AWS asks to slow down",
        ),
        problem(Reason::AccessDenied, "lambda:ListFunctions", "AWS says no"),
    ];
    let exporters = [exporter(vec![target("eu-west-1"), denied])];
    let (ready, reason, message) = said(&judged(&facts(&exporters)), READY);
    assert_eq!((&*ready, &*reason), ("False", "AccessDenied"));
    for part in [
        "account 111122223333",
        "us-east-1",
        "allow lambda:ListFunctions to arn:aws:iam::111122223333:role/read",
        "cloudwatch:GetMetricData",
        "1 of 2 accounts and regions work",
    ] {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
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
fn an_exporter_that_cannot_be_read_is_told_with_its_address_and_costs_no_number() {
    let silent = [Exporter {
        pod: "checkout-exporter-0".to_owned(),
        status: Err("http://10.0.0.1:9988/status: connection refused".to_owned()),
    }];
    let before = judged(&facts(&[exporter(vec![target("eu-west-1")])]));
    let status = judge(&facts(&silent), &before, at(2000));
    let (ready, reason, message) = said(&status, READY);
    assert_eq!((&*ready, &*reason), ("False", "ExporterUnreachable"));
    assert!(message.contains("10.0.0.1:9988"), "{message}");
    assert_eq!(status.inventory, before.inventory);
}

#[test]
fn pods_that_are_not_ready_come_with_the_command_that_says_why() {
    let facts = Facts {
        looked: looked(1, 0, &[]),
        ..facts(&[])
    };
    let (ready, reason, message) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "ExporterNotReady"));
    assert!(
        message.contains("kubectl -n shop describe pod"),
        "{message}"
    );
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
fn a_refused_monitor_is_told_as_that_and_not_as_a_missing_exporter() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let error = Error::NameConflict {
        kind: Kind::ServiceMonitor,
        namespace: "shop".to_owned(),
        name: "checkout-exporter".to_owned(),
    };
    let facts = Facts {
        failed: &[error],
        ..facts(&exporters)
    };
    let status = judged(&facts);
    assert_eq!(said(&status, EXPORTER_AVAILABLE).0, "True");
    assert_eq!(said(&status, MONITORING_CONFIGURED).1, "NameConflict");
    assert_eq!(said(&status, READY).0, "False");
}

#[test]
fn the_labels_by_which_a_prometheus_selects_are_told_or_their_absence_is() {
    for (labels, part) in [
        (
            BTreeMap::from([("release".to_owned(), "prom".to_owned())]),
            "release=prom",
        ),
        (BTreeMap::new(), "spec.monitoring.labels"),
    ] {
        let facts = Facts {
            monitoring: Monitoring {
                service_monitor: Some(labels),
                ..Monitoring::default()
            },
            ..facts(&[])
        };
        let (status, _, message) = said(&judged(&facts), MONITORING_CONFIGURED);
        assert_eq!(status, "True");
        assert!(message.contains(part), "{message}");
    }
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
fn the_rest_of_many_failing_places_is_counted() {
    let denied = |region: &str| TargetStatus {
        problems: vec![problem(Reason::AccessDenied, "lambda:ListFunctions", "no")],
        ..target(region)
    };
    let exporters = [exporter(
        (0..9).map(|i| denied(&format!("r-{i}"))).collect(),
    )];
    let (_, _, message) = said(&judged(&facts(&exporters)), AWS_REACHABLE);
    assert!(message.contains("and 6 more"), "{message}");
    assert!(message.contains("0 of 9"), "{message}");
}

#[test]
fn an_account_and_region_in_two_exporters_is_told_before_anything_else() {
    let mut exporters = vec![exporter(vec![target("eu-west-1")]); 2];
    exporters[1].pod = "checkout-exporter-1".to_owned();
    let facts = Facts {
        looked: looked(2, 1, &exporters),
        ..facts(&[])
    };
    let (ready, reason, message) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "PublishedTwice"));
    for part in ["eu-west-1", "checkout-exporter-0", "checkout-exporter-1"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_pod_that_does_not_end_comes_with_its_node_and_both_ways_out() {
    let stuck = Looked {
        stuck: vec![("checkout-exporter-0".to_owned(), Some("node-7".to_owned()))],
        set: looked(1, 0, &[]).set,
        ..Looked::default()
    };
    let facts = Facts {
        looked: &stuck,
        ..facts(&[])
    };
    let (ready, reason, message) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "PodStuck"));
    for part in [
        "node-7",
        "kubectl -n shop delete pod checkout-exporter-0 --force",
        "out-of-service",
    ] {
        assert!(message.contains(part), "{message}");
    }
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

fn conflict(kind: Kind) -> Error {
    Error::NameConflict {
        kind,
        namespace: "shop".to_owned(),
        name: "checkout-exporter".to_owned(),
    }
}

#[test]
fn a_failure_of_the_exporters_objects_and_one_of_the_monitorings_are_both_told() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let failed = [conflict(Kind::PrometheusRule), conflict(Kind::StatefulSet)];
    let facts = Facts {
        failed: &failed,
        ..facts(&exporters)
    };
    let status = judged(&facts);
    for (type_, kind) in [
        (EXPORTER_AVAILABLE, "StatefulSet"),
        (MONITORING_CONFIGURED, "PrometheusRule"),
    ] {
        let (status, _, message) = said(&status, type_);
        assert_eq!(status, "False", "{type_}");
        assert!(message.contains(kind), "{type_}: {message}");
    }
}

#[test]
fn what_could_not_be_looked_at_is_not_said_to_be_there() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let facts = Facts {
        failed: &[Error::Timeout(20)],
        applied: false,
        ..facts(&exporters)
    };
    let status = judged(&facts);
    assert_eq!(said(&status, MONITORING_CONFIGURED).0, "Unknown");
    assert_eq!(said(&status, EXPORTER_AVAILABLE).0, "False");
}

#[test]
fn kinds_that_are_not_there_are_told_with_what_is_used_instead() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let said_of = |monitoring| {
        let facts = Facts {
            monitoring,
            ..facts(&exporters)
        };
        said(&judged(&facts), MONITORING_CONFIGURED)
    };
    let (status, reason, message) = said_of(Monitoring::default());
    assert_eq!((&*status, &*reason), ("True", "PrometheusOperatorAbsent"));
    for part in [
        "no kind ServiceMonitor",
        "no kind PrometheusRule",
        "ConfigMap shop/checkout-exporter-rules",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let (status, reason, message) = said_of(Monitoring {
        service_monitor: Some(BTreeMap::new()),
        prometheus_rules: true,
        route_is_lost: true,
        misses_grafana: false,
    });
    assert_eq!((&*status, &*reason), ("False", "AlertmanagerConfigAbsent"));
    assert!(message.contains("nightjar render --route"), "{message}");
    assert!(!message.contains("GrafanaDashboard"), "{message}");
    let (status, reason, message) = said_of(Monitoring {
        service_monitor: Some(BTreeMap::new()),
        prometheus_rules: true,
        misses_grafana: true,
        ..Monitoring::default()
    });
    assert_eq!((&*status, &*reason), ("True", "AsExpected"));
    assert!(message.contains("no kind GrafanaDashboard"), "{message}");
}

#[test]
fn numbers_do_not_halve_while_one_of_two_pods_has_no_address() {
    let mut exporters = vec![exporter(vec![target("eu-west-1")]); 2];
    exporters[1].pod = "checkout-exporter-1".to_owned();
    let both = Facts {
        looked: looked(2, 2, &exporters),
        ..facts(&[])
    };
    let both = judged(&both);
    let one = Facts {
        looked: looked(2, 1, &exporters[..1]),
        ..facts(&[])
    };
    let one = judge(&one, &both, at(2000));
    assert_eq!(one.inventory, both.inventory);
    assert_eq!(one.spend, both.spend);
}

#[test]
fn a_changed_volume_is_refused_without_calling_the_specification_invalid() {
    let exporters = [exporter(vec![target("eu-west-1")])];
    let failed = [Error::Storage {
        namespace: "shop".to_owned(),
        name: "checkout-exporter".to_owned(),
        made: None,
        wanted: None,
    }];
    let facts = Facts {
        failed: &failed,
        ..facts(&exporters)
    };
    let status = judged(&facts);
    assert_eq!(said(&status, SPEC_VALID).0, "True");
    assert_eq!(said(&status, MONITORING_CONFIGURED).0, "True");
    let (ready, reason, _) = said(&status, READY);
    assert_eq!((&*ready, &*reason), ("False", "StorageUnchangeable"));
}

#[test]
fn however_much_an_exporter_says_a_message_stays_short_enough_to_be_written_and_read() {
    let mut talkative = target("eu-west-1");
    talkative.problems = vec![problem(Reason::Unknown, "a:B", &"ü".repeat(1_000_000)); 50];
    let mut talkative = exporter(vec![talkative]);
    if let Ok(status) = &mut talkative.status {
        status.config_hash = "x".repeat(1_000_000);
    }
    let exporters = [talkative];
    let status = judged(&facts(&exporters));
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.len() < 20_000, "{}", text.len());
    assert_eq!(shortened("äöü", 6), "äöü");
    assert_eq!(shortened("äöüß", 7), "ä ...");
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
