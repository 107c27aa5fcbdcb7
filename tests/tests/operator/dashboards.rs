//! Grafana's dashboards, where Grafana's operator comes and goes while ours runs.

use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use nightjar::rules::dashboards::dashboards;
use serde_json::{Value, json};

use crate::kube_api::{CHART, KubeApi, Namespace, condition, eventually, template};

/// Of the Grafana operator's kind what matters here: a field that must be there and cannot be changed, and one that
/// has a default.
const GRAFANA_DASHBOARDS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: grafanadashboards.grafana.integreatly.org}
spec:
  group: grafana.integreatly.org
  names: {kind: GrafanaDashboard, plural: grafanadashboards, singular: grafanadashboard}
  scope: Namespaced
  versions:
    - name: v1beta1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [instanceSelector]
              properties:
                instanceSelector:
                  type: object
                  x-kubernetes-preserve-unknown-fields: true
                  x-kubernetes-validations: [{rule: self == oldSelf, message: spec.instanceSelector is immutable}]
                resyncPeriod: {type: string, default: 10m0s}
                allowCrossNamespaceImport: {type: boolean}
                configMapRef: {type: object, properties: {name: {type: string}, key: {type: string}}}
";

fn selector(grafana: &str) -> String {
    format!("--set=dashboards.grafanaInstanceSelector.matchLabels.dashboards={grafana}")
}

/// What the chart tells the operator about dashboards.
fn arguments(grafana: &str) -> Vec<String> {
    let objects = template(CHART, &[&selector(grafana)]);
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
    let container = &deployment.unwrap()["spec"]["template"]["spec"]["containers"][0];
    let all = container["args"].as_array().unwrap().iter();
    all.map(|argument| argument.as_str().unwrap().to_owned())
        .filter(|argument| argument.starts_with("--dashboard") || argument.starts_with("--grafana"))
        .collect()
}

/// The ConfigMap of a dashboard, and its object.
fn name(uid: &str) -> String {
    format!("nightjar-grafana-{}", uid.trim_start_matches("nightjar-"))
}

/// Waits until all dashboards are in ConfigMaps for the sidecar.
async fn are_config_maps(home: &Namespace) {
    for dashboard in dashboards() {
        home.wait_for("ConfigMap", &name(&dashboard.uid), |map| {
            map.labels().get("grafana_dashboard").map(String::as_str) == Some("1")
        })
        .await;
    }
}

/// Waits until all dashboards are objects, for the Grafanas of a label, and the sidecar finds none.
async fn are_objects(home: &Namespace, grafana: &str) {
    for dashboard in dashboards() {
        let name = name(&dashboard.uid);
        let map = home
            .wait_for("ConfigMap", &name, |map| {
                !map.labels().contains_key("grafana_dashboard")
            })
            .await;
        let object = home
            .wait_for("GrafanaDashboard", &name, |object| {
                object.data["spec"]["instanceSelector"]
                    == json!({"matchLabels": {"dashboards": grafana}})
            })
            .await;
        let spec = &object.data["spec"];
        assert_eq!(spec["configMapRef"]["name"], *name);
        let key = spec["configMapRef"]["key"].as_str().unwrap();
        let json: Value = serde_json::from_str(map.data["data"][key].as_str().unwrap()).unwrap();
        assert_eq!(json["uid"], *dashboard.uid);
        // It goes with the ConfigMap.
        assert_eq!(object.owner_references()[0].uid, map.uid().unwrap());
    }
}

fn speaks_of_grafana(stack: &DynamicObject) -> bool {
    condition(stack, "MonitoringConfigured")["message"]
        .as_str()
        .is_some_and(|message| message.contains("no kind GrafanaDashboard"))
}

#[tokio::test]
async fn dashboards_are_objects_while_their_kind_is_there_and_else_config_maps_and_stacks_do_not_care()
 {
    // Of its own: a kind is there for the whole cluster.
    let api = KubeApi::start();
    api.install_chart_with(&[&selector("old")]);
    let of = |grafana: &str| {
        let all = arguments(grafana);
        assert!(all.len() > 2, "{all:?}");
        api.operator(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let operator = of("old");
    let home = api.home().await;
    let stacks = api.namespace("shop").await;
    stacks.stack("checkout").await;
    are_config_maps(&home).await;
    let seen = stacks
        .wait_for("ServerlessStack", "checkout", speaks_of_grafana)
        .await;
    assert_eq!(condition(&seen, "MonitoringConfigured")["status"], "True");

    api.apply_text(GRAFANA_DASHBOARDS);
    are_objects(&home, "old").await;
    stacks
        .wait_for("ServerlessStack", "checkout", |stack| {
            !speaks_of_grafana(stack)
        })
        .await;

    // Other Grafanas, of which such an object cannot be told.
    operator.dies();
    let operator = of("new");
    are_objects(&home, "new").await;

    // Without the permission.
    let roles = home.of("Role");
    let role = roles.get("nightjar-leader").await.unwrap();
    let mut less = role.clone();
    let allowed = less.data["rules"].as_array_mut().unwrap();
    allowed.retain(|rule| rule["apiGroups"] != json!(["grafana.integreatly.org"]));
    assert_ne!(json!(less.data["rules"]), role.data["rules"]);
    let allow = async |allowed: &Value| {
        let patch = Patch::Merge(json!({"rules": allowed}));
        let params = PatchParams::default();
        let role = roles.patch("nightjar-leader", &params, &patch).await;
        role.unwrap();
    };
    allow(&less.data["rules"]).await;
    let overview = name("nightjar-overview");
    home.of("GrafanaDashboard")
        .delete(&overview, &DeleteParams::background())
        .await
        .unwrap();
    operator.restart();
    eventually(
        "what the log says of it",
        async || operator.lines_with(&["does not get to Grafana", &overview, "ClusterRole"]),
        |lines| *lines > 0,
    )
    .await;
    let edit = json!({"spec": {"tags": ["edited"]}});
    stacks
        .of("ServerlessStack")
        .patch("checkout", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .unwrap();
    stacks.converges("checkout", &[]).await;
    allow(&role.data["rules"]).await;
    are_objects(&home, "new").await;

    api.delete("crd/grafanadashboards.grafana.integreatly.org");
    are_config_maps(&home).await;
    stacks
        .wait_for("ServerlessStack", "checkout", speaks_of_grafana)
        .await;
    stacks.converges("checkout", &[]).await;
}
