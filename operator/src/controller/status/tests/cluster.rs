//! What the cluster refuses, does not have or cannot end.

use super::*;
use crate::controller::kind::Kind;

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
