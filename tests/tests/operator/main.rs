//! The operator's own binary against a real kube-apiserver and etcd.
//!
//! No controller manager runs here: nothing makes pods, and nothing collects garbage. Exporters
//! therefore do not become ready by themselves; where a test needs them, it plays kubelet.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod chart;
mod dashboards;
mod examples;
mod gitops;
mod leaders;
mod names;
mod objects;
mod optional_kinds;
mod refusals;
mod refused_changes;
mod routes;
mod rules;
mod security;
mod shards;
mod trouble;
mod undecodable;

use nightjar_tests::kube_api;

use kube_api::{KubeApi, Operator};

/// One API server with one operator for all tests that change nothing of the whole cluster. Each
/// test has a namespace of its own.
fn shared() -> &'static Shared {
    static SHARED: std::sync::OnceLock<Shared> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| {
        let api = KubeApi::start();
        api.install_chart();
        let operator = api.operator(&OPERATOR_ARGUMENTS);
        Shared { api, operator }
    })
}

/// What the shared operator is told for all stacks.
const OPERATOR_ARGUMENTS: [&str; 2] = [
    "--monitor-label=release=prometheus",
    "--default-interval=10m",
];

struct Shared {
    api: KubeApi,
    operator: Operator,
}
