//! What the operator does when the API server, the network, other people and itself fail.
//!
//! A real kube-apiserver and etcd, one for all tests that change nothing of the whole cluster. Each test has a
//! release, a namespace of stacks, and a proxy between its operator and the server, which does what a
//! server cannot be asked to do. Each ends in the same questions: [`World::is_well`].
//!
//! They wait more than they work: run them all at once.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod calls;
mod contests;
mod crashes;
mod endurance;
mod kinds;
mod leader;
mod outages;
mod refusals;
mod specifications;
mod walk;
mod watches;
mod while_down;

use std::sync::OnceLock;

use kube::api::{DeleteParams, Patch, PatchParams};
use nightjar_tests::kube_api::fault_proxy::FaultProxy;
use nightjar_tests::kube_api::{KubeApi, Namespace, Operator, condition};
use serde_json::{Value, json};

/// The API server that these tests share.
fn shared() -> &'static KubeApi {
    static SHARED: OnceLock<KubeApi> = OnceLock::new();
    SHARED.get_or_init(KubeApi::start)
}

/// An operator behind a proxy, and its stacks.
struct World {
    api: &'static KubeApi,
    name: &'static str,
    proxy: FaultProxy,
    operator: Operator,
    stacks: Namespace,
    /// What is in the namespace and none of the operator's business.
    strangers: Vec<String>,
}

impl World {
    /// A release of its own, with a stack `checkout` that has all its objects.
    async fn new(name: &'static str) -> Self {
        Self::of(shared(), name).await
    }

    async fn of(api: &'static KubeApi, name: &'static str) -> Self {
        let release = release(name);
        let installed = tokio::task::spawn_blocking(move || api.install_release(&release, &[]));
        installed.await.unwrap();
        let stacks = api.namespace(name).await;
        let theirs = json!({"metadata": {"name": "checkout"}, "data": {"theirs": "yes"}});
        stacks.apply("ConfigMap", &theirs).await;
        let theirs = json!({"metadata": {"name": "checkout-aws"}, "stringData": {"key": "secret"}});
        stacks.apply("Secret", &theirs).await;
        let looks_alike = json!({
            "metadata": {"name": "other-exporter", "labels": {"app.kubernetes.io/managed-by": "nightjar"}},
        });
        stacks.apply("ServiceAccount", &looks_alike).await;
        let strangers = stacks.strangers().await;
        let proxy = FaultProxy::start(api);
        let operator = operator(api, name, &proxy);
        let world = Self {
            api,
            name,
            proxy,
            operator,
            stacks,
            strangers,
        };
        world.apply("checkout", &json!({})).await;
        world.stacks.converges("checkout", &[]).await;
        world
    }

    /// Applies a stack with these fields besides the least.
    async fn apply(&self, name: &str, fields: &Value) {
        self.stacks
            .apply("ServerlessStack", &stack(name, fields))
            .await;
    }

    /// Does to `checkout` and its objects what users do: an edit of the stack, one of an object of it, and one
    /// of these deleted.
    async fn is_meddled_with(&self) {
        static ROUND: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let round = ROUND.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.apply("checkout", &json!({"tags": [format!("tag-{round}")]}))
            .await;
        let edit = Patch::Merge(json!({"spec": {"replicas": 7}}));
        self.stacks
            .of("StatefulSet")
            .patch("checkout-exporter", &PatchParams::default(), &edit)
            .await
            .unwrap();
        self.stacks
            .of("Service")
            .delete("checkout-exporter", &DeleteParams::background())
            .await
            .unwrap();
    }

    fn looks(&self, stack: &str) -> usize {
        let object = format!("{stack}.{}", self.name);
        self.operator.lines_with(&["reconciled", &object])
    }

    /// Of a stack: the cluster holds what it shall, the status is true, nothing more is written, nobody else's
    /// objects were touched, and the operator's own metrics are sound.
    async fn is_well(&self, stack: &str) {
        self.stacks.converges(stack, &[]).await;
        self.stacks.status_is_true(stack).await;
        self.proxy
            .stays_quiet(&self.stacks, stack, || self.looks(stack))
            .await;
        assert_eq!(self.stacks.strangers().await, self.strangers);
        self.operator.metrics_are_sound().await;
    }

    /// Waits until a condition of a stack says something, and answers its message.
    async fn says(&self, stack: &str, type_: &str, status: &str, part: &str) -> String {
        let said = |stack: &kube::core::DynamicObject| {
            let condition = condition(stack, type_);
            condition["status"] == status
                && condition["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(part))
        };
        let stack = self.stacks.wait_for("ServerlessStack", stack, said).await;
        condition(&stack, type_)["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The release of a namespace of stacks, and its Lease.
fn release(name: &str) -> String {
    format!("nightjar-{name}")
}

/// One more operator of a release, behind a proxy.
fn operator(api: &KubeApi, name: &str, proxy: &FaultProxy) -> Operator {
    let (lease, namespace) = (
        format!("--lease-name={}", release(name)),
        format!("--namespace={name}"),
    );
    api.operator_by(
        Some(&proxy.url),
        &[&lease, &namespace, "--lease-namespace=default"],
    )
}

fn stack(name: &str, fields: &Value) -> Value {
    let mut spec = json!({"regions": ["eu-west-1"], "select": [{"tags": {"app": name}}]});
    let fields = fields.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    json!({"metadata": {"name": name}, "spec": spec})
}
