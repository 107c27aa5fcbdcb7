//! What wakes the operator: stacks, the objects that it made, and kinds that come and go.

use std::collections::HashSet;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt;
use futures::stream::{self, BoxStream, select, select_all};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::controller::{self, Action, Config, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Guarded;
use super::apply::{Kind, Meta, Seen, compact};
use super::desired::{INSTANCE, MANAGED_BY};
use super::error::Error;
use super::leader::Leadership;
use super::look;
use super::metrics::Metrics;
use super::optional::{self, Served};
use super::resolve::ExporterArgs;
use super::scope::Scope;
use super::trouble::{self, Refused, Trouble, untroubled};
use crate::api::ServerlessStack;

/// Names the stack that owns an object.
pub type Owner = ObjectRef<Guarded>;

/// How many stacks are reconciled at once.
const CONCURRENCY: u16 = 8;

/// What all scopes have in common.
pub struct Around {
    /// The client whose writes need the leadership.
    pub client: Client,
    /// What all exporters are told.
    pub exporter: ExporterArgs,
    /// Whether the kind `GrafanaDashboard` is to be used where it is.
    pub wants_grafana: bool,
    /// Which optional kinds the cluster has.
    pub served: watch::Receiver<Option<Served>>,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
}

/// Everything that watches one namespace, or all. What goes on beside the controller is added to
/// `tasks`: none of it ends by itself.
pub fn scope(
    around: &Around,
    namespace: Option<&str>,
    tasks: &mut JoinSet<()>,
) -> (Arc<Scope>, Controller<Guarded>) {
    let Around {
        client,
        served,
        metrics,
        ..
    } = around;
    let waiting = Waiting::default();
    let refused = Refused::default();
    let (stacks, writer) = reflector::store();
    let api: Api<Guarded> = typed(client, namespace);
    let changes = trouble::events(api, trouble::config())
        .modify(|stack| stack.meta_mut().managed_fields = None)
        .reflect(writer)
        .applied_objects()
        // Our own writes of the status are no news.
        .predicate_filter(predicates::generation, PredicateConfig::default());
    let changes = untroubled(
        "ServerlessStack",
        changes,
        Arc::clone(metrics),
        refused.clone(),
    );
    let changes = changes.inspect({
        let waiting = waiting.clone();
        move |stack| waiting.add(ObjectRef::from_obj(stack))
    });
    let mut controller = Controller::for_stream(changes.map(Ok), stacks.clone())
        .with_config(Config::default().concurrency(CONCURRENCY));

    // A user's removal of the label ends our sight of an object, which looks like its deletion:
    // it is looked at and put right.
    let ours = trouble::config().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
    let (owners, told) = mpsc::unbounded_channel();
    let mut causes: Vec<BoxStream<'static, Owner>> = vec![receiving(told)];
    let mut seen = Seen::new();
    for kind in Kind::BUILT_IN {
        let writer = Writer::new(kind.resource());
        seen.insert(kind, writer.as_reader());
        let changes = trouble::events(of_kind(client, namespace, kind), ours.clone())
            .modify(|object| compact(&mut object.metadata))
            .reflect(writer)
            .touched_objects();
        causes.push(
            untroubled(kind.as_str(), changes, Arc::clone(metrics), refused.clone())
                .filter_map(|object| ready(owner_of(&object.metadata)))
                .boxed(),
        );
    }
    for kind in Kind::OPTIONAL {
        let writer = Writer::new(kind.resource());
        seen.insert(kind, writer.as_reader());
        tasks.spawn(optional::follow(
            kind,
            of_kind(client, namespace, kind),
            ours.clone(),
            writer,
            served.clone(),
            owners.clone(),
            Trouble::new(kind.as_str(), Arc::clone(metrics), refused.clone()),
        ));
    }

    // Kubernetes gives a slice the labels of its Service.
    let (slices, writer) = reflector::store::<EndpointSlice>();
    let api: Api<EndpointSlice> = typed(client, namespace);
    let changes = trouble::events(api, ours.clone())
        .modify(|slice| slice.metadata.managed_fields = None)
        .reflect(writer)
        .touched_objects();
    causes.push(
        untroubled(
            "EndpointSlice",
            changes,
            Arc::clone(metrics),
            refused.clone(),
        )
        .filter_map(|slice| ready(stack_of(&slice.metadata)))
        .boxed(),
    );

    // How many pods are ready is not in the metadata.
    let (sets, writer) = reflector::store::<StatefulSet>();
    let api: Api<StatefulSet> = typed(client, namespace);
    let changes = trouble::events(api, ours)
        .modify(look::compact)
        .reflect(writer)
        .touched_objects();
    causes.push(
        untroubled("StatefulSet", changes, Arc::clone(metrics), refused.clone())
            .filter_map(|set| ready(owner_of(&set.metadata)))
            .boxed(),
    );

    controller = controller.reconcile_on(select_all(causes).inspect({
        let waiting = waiting.clone();
        move |stack| waiting.add(stack.clone())
    }));

    let all = {
        let (waiting, stacks) = (waiting.clone(), stacks.clone());
        move || {
            for stack in stacks.state() {
                waiting.add(ObjectRef::from_obj(&*stack));
            }
        }
    };
    // Followers look at nothing: all of it is looked at when they begin to lead.
    let mut acquired = around.leadership.clone();
    let led = stream::once(async move { acquired.acquired().await });
    let other_kinds = stream::unfold(served.clone(), |mut served| async {
        served.changed().await.ok()?;
        Some(((), served))
    });
    controller = controller.reconcile_all_on(select(led, other_kinds).inspect(move |()| all()));

    let seen = (seen, refused);
    let scope = Scope::new(around, stacks, slices, sets, seen, waiting, owners);
    (Arc::new(scope), controller)
}

/// The objects of a type in a namespace, or in all.
fn typed<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The objects of a kind in a namespace, or in all.
fn of_kind(client: &Client, namespace: Option<&str>, kind: Kind) -> Api<Meta> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource()),
        None => Api::all_with(client.clone(), &kind.resource()),
    }
}

fn receiving<T: Send + 'static>(receiver: mpsc::UnboundedReceiver<T>) -> BoxStream<'static, T> {
    stream::unfold(receiver, |mut receiver| async {
        let next = receiver.recv().await?;
        Some((next, receiver))
    })
    .boxed()
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

/// What happens at the edges of the controller. Watches' errors do not get here.
pub fn log(result: Result<(Owner, Action), controller::Error<Error, watcher::Error>>) {
    match result {
        Ok((stack, action)) => tracing::debug!(%stack, ?action, "reconciled"),
        // Told where it happened; and a stack that was deleted before its turn.
        Err(controller::Error::ReconcilerFailed(_, _) | controller::Error::ObjectNotFound(_)) => {}
        Err(error @ (controller::Error::QueueError(_) | controller::Error::RunnerError(_))) => {
            tracing::error!(%error, "the controller failed");
        }
    }
}

/// The stacks that something happened to and whose turn has not come yet. Only counted: the
/// controller has a queue of its own, and cannot say how long it is.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<HashSet<Owner>>>);

impl Waiting {
    fn stacks(&self) -> MutexGuard<'_, HashSet<Owner>> {
        self.0.lock().expect("no panic while the set is held")
    }

    /// Something happened to it.
    fn add(&self, stack: Owner) {
        self.stacks().insert(stack);
    }

    /// Its turn has come, or it is gone.
    pub fn remove(&self, stack: &Owner) {
        self.stacks().remove(stack);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.stacks().len()
    }
}
