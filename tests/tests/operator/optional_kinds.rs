//! Kinds that a cluster may get and lose while the operator runs.

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::kube_api::{KubeApi, eventually};

/// The least that the API server takes for the Prometheus operator's kind.
pub const SERVICE_MONITORS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[tokio::test]
async fn a_service_monitor_appears_when_its_kind_is_installed_and_stacks_work_without_it() {
    // Of its own: a kind is there for the whole cluster.
    let api = KubeApi::start();
    api.install_chart();
    let _operator = api.operator(&[
        "--monitor-label=release=prometheus",
        "--monitor-label=team=ops",
    ]);
    let namespace = api.namespace("monitored").await;
    let spec = json!({
        "regions": ["eu-west-1"],
        "select": [{"tags": {"app": "checkout"}}],
        "monitoring": {"labels": {"team": "shop"}, "scrapeInterval": "15s"},
    });
    namespace
        .apply(
            "ServerlessStack",
            &json!({"metadata": {"name": "checkout"}, "spec": spec}),
        )
        .await;
    namespace
        .wait_for_condition(
            "checkout",
            "MonitoringConfigured",
            "True",
            "PrometheusOperatorAbsent",
        )
        .await;
    let annotated = |service: &kube::core::DynamicObject| {
        service.annotations().contains_key("prometheus.io/scrape")
    };
    namespace
        .wait_for("Service", "checkout-exporter", annotated)
        .await;

    api.apply_text(SERVICE_MONITORS);
    let condition = namespace
        .wait_for_condition("checkout", "MonitoringConfigured", "True", "AsExpected")
        .await;
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("release=prometheus, team=shop"),
        "{message}"
    );
    let monitor = namespace
        .wait_for("ServiceMonitor", "checkout-exporter", |_| true)
        .await;
    assert_eq!(monitor.labels()["release"], "prometheus");
    assert_eq!(monitor.labels()["team"], "shop");
    let endpoint = &monitor.data["spec"]["endpoints"][0];
    assert_eq!(endpoint["interval"], "15s");
    let blanked: Vec<_> = endpoint["metricRelabelings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["targetLabel"].as_str().unwrap())
        .collect();
    assert_eq!(blanked, ["pod", "instance", "container", "endpoint"]);
    namespace
        .wait_for("Service", "checkout-exporter", |service| {
            !annotated(service)
        })
        .await;

    // It is looked after like any other object.
    let edit = json!({"metadata": {"labels": {"release": "another"}}});
    let monitors = namespace.of("ServiceMonitor");
    monitors
        .patch(
            "checkout-exporter",
            &PatchParams::default(),
            &Patch::Merge(&edit),
        )
        .await
        .unwrap();
    namespace
        .wait_for("ServiceMonitor", "checkout-exporter", |monitor| {
            monitor.labels()["release"] == "prometheus"
        })
        .await;
    monitors
        .delete("checkout-exporter", &DeleteParams::background())
        .await
        .unwrap();
    namespace
        .wait_for("ServiceMonitor", "checkout-exporter", |new| {
            new.uid() != monitor.uid()
        })
        .await;

    // And without its kind all else goes on.
    api.delete("crd/servicemonitors.monitoring.coreos.com");
    namespace
        .wait_for("Service", "checkout-exporter", annotated)
        .await;
    namespace
        .of("StatefulSet")
        .delete("checkout-exporter", &DeleteParams::background())
        .await
        .unwrap();
    let sets = namespace.of("StatefulSet");
    eventually(
        "the StatefulSet",
        async || sets.get_opt("checkout-exporter").await.unwrap(),
        Option::is_some,
    )
    .await;
}

/// The least that the API server takes for the Prometheus operator's other kind.
pub const PROMETHEUS_RULES: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PrometheusRule, plural: prometheusrules, singular: prometheusrule}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[tokio::test]
async fn rules_are_a_config_map_until_the_kind_for_them_is_installed() {
    // Of its own: a kind is there for the whole cluster.
    let api = KubeApi::start();
    api.install_chart();
    let _operator = api.operator(&["--monitor-label=release=prometheus"]);
    let namespace = api.namespace("alerted").await;
    let mut stack = json!({"metadata": {"name": "checkout"}, "spec": {
        "regions": ["eu-west-1"],
        "select": [{"tags": {"app": "checkout"}}],
        "alerts": {"overrides": {"LambdaErrorRateHigh": {"threshold": "0.02"}}},
    }});
    namespace.apply("ServerlessStack", &stack).await;
    let says =
        |rules: &kube::core::DynamicObject, what: &str| rules.data.to_string().contains(what);
    namespace
        .wait_for("ConfigMap", "checkout-exporter-rules", |map| {
            map.data["data"]["alerted-checkout.rules.yaml"]
                .as_str()
                .is_some_and(|file| file.contains("> 0.02"))
        })
        .await;

    api.apply_text(PROMETHEUS_RULES);
    let rules = namespace
        .wait_for("PrometheusRule", "checkout-exporter", |_| true)
        .await;
    assert!(says(&rules, "> 0.02"));
    assert_eq!(rules.labels()["release"], "prometheus");
    let maps = namespace.of("ConfigMap");
    eventually(
        "the end of the ConfigMap",
        async || maps.get_opt("checkout-exporter-rules").await.unwrap(),
        Option::is_none,
    )
    .await;

    // A threshold that cannot be leaves the rules as they are, and says so.
    stack["spec"]["alerts"]["overrides"]["LambdaErrorRateHigh"]["threshold"] = json!("7");
    namespace.apply("ServerlessStack", &stack).await;
    let condition = namespace
        .wait_for_condition("checkout", "Ready", "False", "InvalidSpec")
        .await;
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("spec.alerts.overrides.LambdaErrorRateHigh.threshold"),
        "{message}"
    );
    let rules = namespace
        .wait_for("PrometheusRule", "checkout-exporter", |_| true)
        .await;
    assert!(says(&rules, "> 0.02"));
    stack["spec"]["alerts"]["overrides"]["LambdaErrorRateHigh"]["threshold"] = json!("0.5");
    namespace.apply("ServerlessStack", &stack).await;
    namespace
        .wait_for("PrometheusRule", "checkout-exporter", |rules| {
            says(rules, "> 0.5")
        })
        .await;
}
