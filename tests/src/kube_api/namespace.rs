//! A namespace, what is applied in it and waited for.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::{KubeApi, PATIENCE};

/// A namespace and all rights in it.
pub struct Namespace {
    /// Its name.
    pub name: String,
    client: Client,
}

impl KubeApi {
    /// The namespace that the chart is installed in.
    pub async fn home(&self) -> Namespace {
        Namespace {
            name: "default".to_owned(),
            client: self.client().await,
        }
    }

    /// A new namespace.
    pub async fn namespace(&self, name: &str) -> Namespace {
        let client = self.client().await;
        let namespace = Namespace {
            name: name.to_owned(),
            client,
        };
        namespace
            .apply_in("Namespace", &json!({"metadata": {"name": name}}), None)
            .await;
        namespace
    }
}

impl Namespace {
    /// The objects of a kind.
    pub fn of(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &resource(kind))
    }

    /// Applies an object as some user would, taking fields over.
    pub async fn apply(&self, kind: &str, object: &Value) -> DynamicObject {
        self.apply_in(kind, object, Some(&self.name)).await
    }

    async fn apply_in(&self, kind: &str, object: &Value, namespace: Option<&str>) -> DynamicObject {
        let resource = resource(kind);
        let mut object = object.clone();
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(
            &name,
            &PatchParams::apply("a-user").force(),
            &Patch::Apply(&object),
        )
        .await
        .unwrap()
    }

    /// Writes the status of an object as its own controller would.
    pub async fn write_status(&self, kind: &str, name: &str, status: Value) {
        let patch = json!({"status": status});
        self.of(kind)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Applies a small stack.
    pub async fn stack(&self, name: &str) -> DynamicObject {
        let spec = json!({"regions": ["eu-west-1"], "select": [{"tags": {"app": name}}]});
        self.apply(
            "ServerlessStack",
            &json!({"metadata": {"name": name}, "spec": spec}),
        )
        .await
    }

    /// Waits until an object is there and is as it shall be.
    pub async fn wait_for(
        &self,
        kind: &str,
        name: &str,
        is_so: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        let api = self.of(kind);
        let what = format!("{kind} {}/{name}", self.name);
        // A kind that was installed a moment ago is not served yet.
        let asked = async || api.get_opt(name).await.map_err(|error| error.to_string());
        let found = eventually(
            &what,
            asked,
            |answer| matches!(answer, Ok(Some(object)) if is_so(object)),
        );
        found.await.unwrap().unwrap()
    }

    /// Waits until a condition of a stack has a status and a reason.
    pub async fn wait_for_condition(
        &self,
        stack: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Value {
        let stack = self
            .wait_for("ServerlessStack", stack, |stack| {
                let condition = condition(stack, type_);
                condition["status"] == status && condition["reason"] == reason
            })
            .await;
        condition(&stack, type_)
    }
}

/// One condition of a stack; null if it has none of that type.
pub fn condition(stack: &DynamicObject, type_: &str) -> Value {
    let conditions = stack.data["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == type_)
        .unwrap_or_default()
}

/// Asks again and again until the answer is as it shall be.
pub async fn eventually<T: Debug>(
    what: &str,
    ask: impl AsyncFn() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    eventually_every(Duration::from_millis(50), what, ask, is_so).await
}

/// The same at another pace.
pub async fn eventually_every<T: Debug>(
    pace: Duration,
    what: &str,
    ask: impl AsyncFn() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if is_so(&answer) {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "{what} is not as it shall be: {answer:#?}"
        );
        tokio::time::sleep(pace).await;
    }
}

/// What the operator does not change when there is nothing to do.
pub fn version(object: &DynamicObject) -> (String, String) {
    (object.uid().unwrap(), object.resource_version().unwrap())
}

fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        "StatefulSet" => ("apps", "v1"),
        "ServerlessStack" => ("nightjar.dev", "v1alpha1"),
        "ServiceMonitor" | "PrometheusRule" => ("monitoring.coreos.com", "v1"),
        "AlertmanagerConfig" => ("monitoring.coreos.com", "v1alpha1"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1"),
        "GrafanaDashboard" => ("grafana.integreatly.org", "v1beta1"),
        "ClusterRole" | "Role" => ("rbac.authorization.k8s.io", "v1"),
        "Event" => ("events.k8s.io", "v1"),
        "Lease" => ("coordination.k8s.io", "v1"),
        "EndpointSlice" => ("discovery.k8s.io", "v1"),
        _ => ("", "v1"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}
