//! What wakes the operator: stacks, the objects that it made, and kinds that come and go.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::{mpsc, watch};

use super::Guarded;
use super::apply::{Applier, Kind, Meta, Seen};
use super::desired::{INSTANCE, MANAGED_BY};
use super::error::Error;
use super::leader::Leadership;
use super::metrics::Metrics;
use super::optional::{self, Served};
use super::resolve::ExporterArgs;
use super::scope::Scope;
use crate::api::ServerlessStack;

/// Names the stack that owns an object.
pub type Owner = ObjectRef<Guarded>;

/// How many stacks are reconciled at once.
const CONCURRENCY: u16 = 8;

/// Everything that watches one namespace, or all.
pub fn scope(
    client: &Client,
    namespace: Option<&str>,
    exporter: ExporterArgs,
    served: watch::Receiver<Served>,
    leadership: &Leadership,
    metrics: Arc<Metrics>,
) -> (Arc<Scope>, Controller<Guarded>) {
    let (stacks, writer) = reflector::store();
    let api: Api<Guarded> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let changes = watcher(api, watcher::Config::default())
        .reflect(writer)
        .applied_objects()
        // Our own writes of the status are no news.
        .predicate_filter(predicates::generation, predicates_config());
    let mut controller = Controller::for_stream(changes, stacks.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(backoff());

    // A user's removal of the label ends our sight of an object, which looks like its deletion:
    // it is looked at and put right.
    let ours = watcher::Config::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
    let ours_too = ours.clone();
    let owned_api = |kind: Kind| -> Api<Meta> {
        match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource()),
            None => Api::all_with(client.clone(), &kind.resource()),
        }
    };
    let mut seen = Seen::new();
    for kind in Kind::BUILT_IN {
        let writer = Writer::new(kind.resource());
        seen.insert(kind, writer.as_reader());
        let changes = watcher(owned_api(kind), ours.clone())
            .reflect(writer)
            .touched_objects();
        controller = controller.owns_stream_with(changes, kind.resource());
    }

    let (owners, told) = mpsc::unbounded_channel();
    for kind in Kind::OPTIONAL {
        let writer = Writer::new(kind.resource());
        seen.insert(kind, writer.as_reader());
        tokio::spawn(optional::follow(
            kind,
            owned_api(kind),
            ours.clone(),
            writer,
            served.clone(),
            owners.clone(),
        ));
    }
    controller = controller.reconcile_on(stream::unfold(told, |mut told| async {
        let owner = told.recv().await?;
        Some((owner, told))
    }));
    controller =
        controller.reconcile_all_on(stream::unfold(served.clone(), |mut presence| async {
            presence.changed().await.ok()?;
            Some(((), presence))
        }));

    // Kubernetes gives a slice the labels of its Service.
    let (slices, writer) = reflector::store::<EndpointSlice>();
    let slices_api: Api<EndpointSlice> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let changes = watcher(slices_api, ours_too)
        .reflect(writer)
        .touched_objects();
    controller =
        controller.watches_stream(changes, |slice: EndpointSlice| stack_of(&slice.metadata));

    // Followers look at nothing: all of it is looked at when they begin to lead.
    let mut acquired = leadership.clone();
    controller = controller.reconcile_all_on(stream::once(async move {
        acquired.acquired().await;
    }));

    let scope = Scope::new(
        client.clone(),
        stacks,
        slices,
        Applier::new(client.clone(), seen),
        exporter,
        served,
        leadership.clone(),
        metrics,
    );
    (Arc::new(scope), controller)
}

fn predicates_config() -> kube::runtime::PredicateConfig {
    kube::runtime::PredicateConfig::default()
}

/// The stack that controls an object.
pub fn owner_of(meta: &ObjectMeta) -> Option<Owner> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| {
        owner.controller == Some(true)
            && owner.api_version == ServerlessStack::api_version(&())
            && owner.kind == ServerlessStack::kind(&())
    })?;
    Some(ObjectRef::new(&owner.name).within(meta.namespace.as_deref()?))
}

/// The stack whose exporters a slice names.
fn stack_of(slice: &ObjectMeta) -> Option<Owner> {
    let stack = slice.labels.as_ref()?.get(INSTANCE)?;
    Some(ObjectRef::new(stack).within(slice.namespace.as_deref()?))
}

/// What happens at the edges of the controller: its watches' errors and reconciliations.
pub fn log(
    result: Result<(Owner, Action), controller::Error<Error, watcher::Error>>,
    metrics: &Metrics,
) {
    match result {
        Ok((stack, action)) => tracing::debug!(%stack, ?action, "reconciled"),
        // Told where it happened; and a stack that was deleted before its turn.
        Err(controller::Error::ReconcilerFailed(_, _) | controller::Error::ObjectNotFound(_)) => {}
        Err(controller::Error::QueueError(error)) => {
            metrics.watch_errors.inc();
            let error = innermost(&error);
            tracing::warn!(
                error,
                "a watch failed, trying again (404: install the CRD; 403: compare the operator's ClusterRole with the chart's)"
            );
        }
        Err(error @ controller::Error::RunnerError(_)) => {
            tracing::error!(%error, "the controller failed");
        }
    }
}

/// The last cause: the layers around it only repeat it.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Pauses from 0.25 s, doubling, to at most 4 s: an outage of the API server is over for us
/// within seconds of its end. kube's own go up to 30 s, over all watches together.
#[derive(Debug)]
pub struct ShortBackoff {
    next: Duration,
}

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);

/// See [`ShortBackoff`].
pub const fn backoff() -> ShortBackoff {
    ShortBackoff { next: SHORTEST }
}

impl Iterator for ShortBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        Some(super::reconcile::jittered(pause))
    }
}

impl Backoff for ShortBackoff {
    fn reset(&mut self) {
        self.next = SHORTEST;
    }
}
