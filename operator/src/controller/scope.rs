//! What the reconciliations of one namespace, or of all, share, and what is remembered between them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::Guarded;
use super::apply::Applier;
use super::kind::Kind;
use super::leader::Leadership;
use super::look::SetStatus;
use super::metrics::Metrics;
use super::optional::Served;
use super::resolve::{ExporterArgs, Resolved, Shards};
use crate::api::ServerlessStack;
use crate::api::stack_status::ServerlessStackStatus;

/// What the reconciliations of one namespace, or of all, share.
pub struct Scope {
    pub(super) client: Client,
    pub(super) recorder: Recorder,
    pub(super) stacks: Store<Guarded>,
    /// The addresses of all stacks' exporters.
    pub(super) slices: Store<EndpointSlice>,
    pub(super) applier: Applier,
    pub(super) exporter: ExporterArgs,
    pub(super) served: watch::Receiver<Served>,
    pub(super) leadership: Leadership,
    pub(super) metrics: Arc<Metrics>,
    /// By UID of the stack. Losing it costs some requests, nothing else.
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a stack.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The status that we wrote last, which the watch may not have shown yet.
    pub written: Option<ServerlessStackStatus>,
    /// When the status last said something new.
    pub changed: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// The StatefulSet's own status, as of a version of it.
    pub set: Option<(String, SetStatus)>,
    /// The pods that are being ended, and since when we have seen that.
    pub ending: HashMap<String, Instant>,
    /// An exporter has carried out a newer assignment than we know: ours got lost.
    pub outrun: bool,
}

impl Scope {
    #[expect(
        clippy::too_many_arguments,
        reason = "all that reconciling needs comes together here"
    )]
    pub(super) fn new(
        client: Client,
        stacks: Store<Guarded>,
        slices: Store<EndpointSlice>,
        applier: Applier,
        exporter: ExporterArgs,
        served: watch::Receiver<Served>,
        leadership: Leadership,
        metrics: Arc<Metrics>,
    ) -> Self {
        let reporter = Reporter {
            controller: "nightjar-operator".to_owned(),
            instance: std::env::var("POD_NAME").ok(),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            stacks,
            slices,
            applier,
            exporter,
            served,
            leadership,
            metrics,
            memory: Mutex::default(),
        }
    }

    /// Whether the first list of stacks is complete.
    pub(super) fn is_ready(&self) -> bool {
        use futures::FutureExt;
        self.stacks
            .wait_until_ready()
            .now_or_never()
            .is_some_and(|ready| ready.is_ok())
    }

    /// The stacks of the scope.
    pub(super) fn stacks(&self) -> Vec<Arc<Guarded>> {
        self.stacks.state()
    }

    pub(super) fn resolve(&self, stack: &ServerlessStack, shards: Shards) -> Resolved {
        let served = self.served.borrow();
        let written = self.recall(&stack.uid().unwrap_or_default()).written;
        let status = written.as_ref().or(stack.status.as_ref());
        Resolved {
            shards,
            exporter: self.exporter.clone(),
            service_monitors: served.contains(&Kind::ServiceMonitor),
            prometheus_rules: served.contains(&Kind::PrometheusRule),
            alertmanager_configs: served.contains(&Kind::AlertmanagerConfig),
            made_storage: None,
            interval: status.and_then(|status| status.spend.interval.parse().ok()),
        }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memory.lock().expect("no panic while the map is held")
    }

    pub(super) fn recall(&self, uid: &str) -> Memory {
        self.memory().get(uid).cloned().unwrap_or_default()
    }

    pub(super) fn remember(&self, uid: &str, memory: Memory) {
        let mut all = self.memory();
        all.insert(uid.to_owned(), memory);
        // Stacks come and go for years; what is gone is forgotten now and then.
        if all.len() > 2 * self.stacks.len() + 16 {
            let live: HashSet<_> = self
                .stacks
                .state()
                .iter()
                .filter_map(|stack| stack.uid())
                .collect();
            all.retain(|uid, _| live.contains(uid));
            self.applier.forget_the_gone(&live.into_iter().collect());
        }
    }
}
