use kube::core::Status;
use serde_json::json;

use super::*;

fn answered(kind: Kind, status: serde_json::Value) -> Error {
    let status: Status = serde_json::from_value(status).unwrap();
    Error::Object {
        verb: "apply",
        kind,
        namespace: "shop".to_owned(),
        name: "checkout-exporter".to_owned(),
        source: Box::new(kube::Error::Api(Box::new(status))),
    }
}

#[test]
fn what_the_api_server_refuses_is_told_by_the_field_of_the_stack_that_it_came_from() {
    let error = |code| {
        let causes = json!([
            {"field": "spec.template.spec.containers[0].resources.requests", "message": "must be less", "reason": "x"},
            {"field": "spec.template.spec.nodeName", "message": "not a field of the stack", "reason": "x"},
        ]);
        let status = json!({"status": "Failure", "reason": "Invalid", "code": code, "message": "no", "details": {"causes": causes}});
        answered(Kind::StatefulSet, status)
    };
    assert_eq!(error(409).refused_fields(), []);
    let refused = error(422).refused_fields();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].field, "spec.exporter.resources");
    assert!(refused[0].message.contains("must be less"));
    // A policy of the cluster's refuses with the same code, and names no field.
    let policy = answered(
        Kind::StatefulSet,
        json!({"status": "Failure", "reason": "Invalid", "code": 422, "message": "denied", "details": {"causes": [{"message": "denied"}]}}),
    );
    assert_eq!(policy.refused_fields(), []);
}

#[test]
fn permissions_are_blamed_only_where_they_are_the_reason() {
    let says = |message: &str| {
        let status =
            json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": message});
        answered(Kind::ConfigMap, status).to_string()
    };
    let blames = |message: &str| says(message).contains("ClusterRole");
    assert!(blames(
        "configmaps is forbidden: User \"nightjar\" cannot patch resource"
    ));
    for other in [
        "exceeded quota: small, requested: count/configmaps=1",
        "admission webhook \"a.example.com\" denied the request: no",
        "unable to create new content in namespace shop because it is being terminated",
    ] {
        assert!(!blames(other), "{other}");
    }
}

#[test]
fn an_object_of_the_monitoring_is_no_matter_of_the_exporters() {
    let of = |kind, name: &str| {
        let conflict = Error::NameConflict {
            kind,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        };
        conflict.is_about_monitoring()
    };
    assert!(of(Kind::PrometheusRule, "checkout-exporter"));
    assert!(of(Kind::AlertmanagerConfig, "checkout-exporter"));
    assert!(of(Kind::ConfigMap, "checkout-exporter-rules"));
    assert!(!of(Kind::ConfigMap, "checkout-exporter"));
    assert!(!of(Kind::StatefulSet, "checkout-exporter"));
}

#[test]
fn a_changed_volume_is_refused_with_the_commands_that_carry_it_out() {
    let storage = |size: &str| {
        Some(Box::new(Storage {
            size: size.to_owned(),
            storage_class_name: None,
        }))
    };
    let error = Error::Storage {
        namespace: "shop".to_owned(),
        name: "checkout-exporter".to_owned(),
        made: storage("1Gi"),
        wanted: storage("10Gi"),
    };
    let text = error.to_string();
    for part in [
        "is 10Gi now",
        "made with 1Gi",
        "kubectl -n shop delete statefulset checkout-exporter --cascade=orphan",
        "patch pvc state-checkout-exporter-0",
        r#"{"storage":"10Gi"}"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(error.is_refusal());
}

#[tokio::test]
async fn an_api_server_that_is_not_reached_is_told_with_the_reason_that_the_system_gives() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    let error = client.apiserver_version().await.unwrap_err();
    let why = Error::Status(error).to_string();
    assert!(why.contains("Connection refused"), "{why}");
}
