//! Grafana's dashboards, in a cluster whose Grafana may get an operator, or lose it, while we run.
//!
//! The chart holds each dashboard in a ConfigMap. Where its user says which Grafanas of the Grafana operator's shall
//! have them, it leaves to us how they get there: by an object of the kind `GrafanaDashboard` for each ConfigMap while
//! that kind is there, and by the label that Grafana's sidecar looks for while it is not. Never by both: a Grafana would
//! be given everything twice.
//!
//! The objects are owned by the ConfigMaps, so that they go when the chart, or its value, does. Nothing of this
//! concerns any stack.

use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::apply::{FIELD_MANAGER, Kind, Meta, failure};
use super::error::Error;
use super::leader::Leadership;
use super::optional::Served;
use super::resolve::{key_value, name_slash_key};

/// How often it is looked whether all is as it shall be, and how soon again if something failed.
const CHECK: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_secs(10);

/// How Grafana gets the chart's dashboards.
#[derive(Clone, Debug, clap::Args)]
pub struct DashboardArgs {
    /// The label selector of the Grafana operator's Grafanas that get the dashboards, as JSON. Default: nothing
    /// is done about dashboards.
    #[arg(long, value_name = "SELECTOR", value_parser = object)]
    grafana_instance_selector: Option<Value>,

    /// A ConfigMap in the operator's namespace that holds a dashboard, and its key. Repeatable.
    #[arg(long = "dashboard", value_name = "NAME/KEY", value_parser = name_slash_key)]
    dashboards: Vec<(String, String)>,

    /// A label by which Grafana's sidecar finds the ConfigMaps while the kind `GrafanaDashboard` is not there. Repeatable.
    #[arg(long = "grafana-sidecar-label", value_name = "KEY=VALUE", value_parser = key_value)]
    sidecar_labels: Vec<(String, String)>,
}

impl DashboardArgs {
    /// Whether it matters if the kind is there.
    pub const fn want_the_kind(&self) -> bool {
        self.grafana_instance_selector.is_some()
    }
}

fn object(text: &str) -> Result<Value, String> {
    let object: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("write a label selector as a JSON object: {error}"))?;
    Ok(Value::Object(object))
}

/// Keeps the dashboards where Grafana finds them, as long as this replica leads. Never ends.
pub async fn run(
    args: DashboardArgs,
    client: Client,
    namespace: String,
    mut served: watch::Receiver<Option<Served>>,
    mut leadership: Leadership,
) {
    leadership.acquired().await;
    let mut told = Vec::new();
    loop {
        let known = served.wait_for(Option::is_some).await;
        // An error means that the process ends.
        let there = known.is_ok_and(|served| {
            (served.iter()).any(|served| served.contains(&Kind::GrafanaDashboard))
        });
        let delivery = Delivery {
            args: &args,
            client: &client,
            namespace: &namespace,
        };
        let failed = delivery.carry_out(there).await;
        for problem in failed.iter().filter(|problem| !told.contains(*problem)) {
            tracing::warn!(problem, "a dashboard does not get to Grafana");
        }
        let pause = if failed.is_empty() { CHECK } else { AGAIN };
        told = failed;
        tokio::select! {
            () = sleep(pause) => {}
            _ = served.changed() => {}
        }
    }
}

struct Delivery<'a> {
    args: &'a DashboardArgs,
    client: &'a Client,
    namespace: &'a str,
}

impl Delivery<'_> {
    /// Tries all, and tells what is not as it shall be.
    async fn carry_out(&self, there: bool) -> Vec<String> {
        let mut failed = Vec::new();
        for (name, key) in &self.args.dashboards {
            if let Err(error) = self.one(name, key, there).await {
                failed.push(error);
            }
        }
        failed
    }

    /// The label goes when the object is there, and comes when it cannot be.
    async fn one(&self, name: &str, key: &str, there: bool) -> Result<(), String> {
        let kind = Kind::ConfigMap;
        let maps = self.api(kind);
        let map = maps.get_metadata_opt(name).await;
        let map = map.map_err(|error| self.failed("read", kind, name, error))?;
        let map = map.ok_or_else(|| {
            let namespace = self.namespace;
            format!("ConfigMap {namespace}/{name} is not there: upgrade the chart's release to get it back")
        })?;
        if there {
            self.is_an_object(&map, name, key).await?;
        }
        let labels = &self.args.sidecar_labels;
        let (mut all, mut any) = (true, false);
        for (key, value) in labels {
            let carried = map.labels().get(key) == Some(value);
            all &= carried;
            any |= carried;
        }
        if (there && !any) || (!there && all) {
            return Ok(());
        }
        let labels: Map<String, Value> = (labels.iter().filter(|_| !there))
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        let patch = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            // Of this one: it may just have been removed.
            "metadata": {"name": name, "uid": map.uid(), "labels": labels},
        });
        self.apply(kind, name, &patch).await
    }

    /// Makes the object of a ConfigMap what it shall be.
    async fn is_an_object(&self, map: &Meta, name: &str, key: &str) -> Result<(), String> {
        let kind = Kind::GrafanaDashboard;
        let spec = json!({
            "instanceSelector": self.args.grafana_instance_selector,
            "allowCrossNamespaceImport": true,
            "configMapRef": {"name": name, "key": key},
        });
        let mut object = json!({
            "apiVersion": kind.resource().api_version,
            "kind": kind.as_str(),
            "metadata": {
                "name": name,
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": map.uid()}],
            },
            "spec": spec,
        });
        let live = self.api(kind).get_opt(name).await;
        let live = live.map_err(|error| self.failed("read", kind, name, error))?;
        if let Some(live) = live {
            let mut owners = live.owner_references().iter();
            if !owners.any(|owner| Some(&owner.uid) == map.uid().as_ref()) {
                let namespace = self.namespace;
                return Err(format!(
                    "{kind} {namespace}/{name} is there already and does not belong to the ConfigMap of that name: remove it"
                ));
            }
            let is = |field: &str| live.data["spec"][field] == spec[field];
            if [
                "instanceSelector",
                "allowCrossNamespaceImport",
                "configMapRef",
            ]
            .into_iter()
            .all(is)
            {
                return Ok(());
            }
            if is("instanceSelector") {
                object["metadata"]["uid"] = json!(live.metadata.uid);
            } else {
                // The one field that cannot be changed.
                self.delete(&live, name).await?;
            }
        }
        self.apply(kind, name, &object).await
    }

    async fn apply(&self, kind: Kind, name: &str, object: &Value) -> Result<(), String> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = (self.api(kind))
            .patch(name, &params, &Patch::Apply(object))
            .await;
        applied.map_err(|error| self.failed("apply", kind, name, error))?;
        tracing::info!(%kind, namespace = self.namespace, name, "a dashboard was put where Grafana finds it");
        Ok(())
    }

    async fn delete(&self, live: &DynamicObject, name: &str) -> Result<(), String> {
        let kind = Kind::GrafanaDashboard;
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: live.uid(),
                resource_version: live.resource_version(),
            }),
            ..DeleteParams::background()
        };
        let deleted = self.api(kind).delete(name, &params).await;
        deleted
            .map(drop)
            .map_err(|error| self.failed("delete", kind, name, error))
    }

    fn failed(&self, verb: &'static str, kind: Kind, name: &str, error: kube::Error) -> String {
        let error: Error = failure(verb, kind, self.namespace, name, error);
        error.to_string()
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource())
    }
}
