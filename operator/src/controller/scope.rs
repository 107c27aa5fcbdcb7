//! What the reconciliations of one namespace, or of all, share, and what is remembered between them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt};
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::timeout;

use super::Guarded;
use super::apply::{Applier, Meta, Seen};
use super::kind::Kind;
use super::leader::Leadership;
use super::metrics::Metrics;
use super::optional::Served;
use super::readings::Readings;
use super::resolve::{ExporterArgs, Resolved, Shards};
use super::trouble::Refused;
use super::watches::{Around, Owner, Waiting};
use crate::api::ServerlessStack;
use crate::api::stack_status::ServerlessStackStatus;

/// What the reconciliations of one namespace, or of all, share.
pub struct Scope {
    pub(super) client: Client,
    pub(super) recorder: Recorder,
    pub(super) stacks: Store<Guarded>,
    /// The addresses of all stacks' exporters.
    pub(super) slices: Store<EndpointSlice>,
    /// What their StatefulSets say.
    pub(super) sets: Store<StatefulSet>,
    owned: Vec<Store<Meta>>,
    pub(super) applier: Applier,
    pub(super) readings: Readings,
    pub(super) exporter: ExporterArgs,
    wants_grafana: bool,
    served: watch::Receiver<Option<Served>>,
    pub(super) leadership: Leadership,
    pub(super) metrics: Arc<Metrics>,
    pub(super) waiting: Waiting,
    /// What it may not watch.
    pub(super) refused: Refused,
    warm: OnceCell<()>,
    /// By UID of the stack. Losing it costs some requests, nothing else.
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a stack.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The status that we wrote last, which the watch may not have shown yet.
    pub written: Option<ServerlessStackStatus>,
    /// When a condition last changed, or the specification.
    pub changed: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// When that status was written, and upon which version of the stack.
    pub written_at: Option<(Instant, Option<String>)>,
    /// Whether nothing was left to wait for when the stack was last looked at.
    pub settled: bool,
    /// The pods that are being ended, and since when we have seen that.
    pub ending: HashMap<String, Instant>,
    /// An exporter has carried out a newer assignment than we know: ours got lost.
    pub outrun: bool,
}

/// How long the first turn of a stack waits for what the watches will show: what they have not
/// shown has to be asked for, object by object.
const WARM_UP: Duration = Duration::from_secs(10);

impl Scope {
    pub(super) fn new(
        around: &Around,
        stacks: Store<Guarded>,
        slices: Store<EndpointSlice>,
        sets: Store<StatefulSet>,
        (seen, refused): (Seen, Refused),
        waiting: Waiting,
        news: mpsc::UnboundedSender<Owner>,
    ) -> Self {
        let Around {
            client,
            exporter,
            wants_grafana,
            served,
            leadership,
            metrics,
        } = around;
        let reporter = Reporter {
            controller: "nightjar-operator".to_owned(),
            instance: std::env::var("POD_NAME").ok(),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client: client.clone(),
            stacks,
            slices,
            sets,
            owned: seen.values().cloned().collect(),
            applier: Applier::new(client.clone(), seen),
            readings: Readings::new(news),
            exporter: exporter.clone(),
            wants_grafana: *wants_grafana,
            served: served.clone(),
            leadership: leadership.clone(),
            metrics: Arc::clone(metrics),
            waiting,
            refused,
            warm: OnceCell::new(),
            memory: Mutex::default(),
        }
    }

    /// Waits until it is known which optional kinds there are, since without them a stack would get
    /// other objects; and some time until the watches have shown what there is. One that cannot,
    /// because its permission is missing, holds up nothing but this.
    pub(super) async fn warmed_up(&self) {
        self.warm
            .get_or_init(async || {
                // An error means that the process ends.
                let _ = self.served.clone().wait_for(Option::is_some).await;
                let _ = timeout(WARM_UP, self.watches_are_ready()).await;
            })
            .await;
    }

    /// Whether it is warmed up, or would be at once.
    pub(super) fn is_warm(&self) -> bool {
        self.warm.initialized()
            || (self.served.borrow().is_some() && self.watches_are_ready().now_or_never().is_some())
    }

    async fn watches_are_ready(&self) {
        // An error means that the watch ended, and with it the process.
        for store in &self.owned {
            let _ = store.wait_until_ready().await;
        }
        let _ = self.slices.wait_until_ready().await;
        let _ = self.sets.wait_until_ready().await;
    }

    /// Whether the first list of stacks is complete.
    pub(super) fn is_ready(&self) -> bool {
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
        let has = |kind| served.as_ref().is_some_and(|served| served.contains(&kind));
        let written = self.recall(&stack.uid().unwrap_or_default()).written;
        let status = written.as_ref().or(stack.status.as_ref());
        Resolved {
            shards,
            exporter: self.exporter.clone(),
            service_monitors: has(Kind::ServiceMonitor),
            prometheus_rules: has(Kind::PrometheusRule),
            alertmanager_configs: has(Kind::AlertmanagerConfig),
            made_storage: None,
            interval: status.and_then(|status| status.spend.interval.parse().ok()),
        }
    }

    /// Whether the kind `GrafanaDashboard` is to be used, and is not there.
    pub(super) fn misses_grafana(&self) -> bool {
        let served = self.served.borrow();
        let has = |served: &Served| served.contains(&Kind::GrafanaDashboard);
        self.wants_grafana && !served.as_ref().is_some_and(has)
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
            self.readings.retain(&live);
            self.applier.forget_the_gone(&live);
        }
    }
}
