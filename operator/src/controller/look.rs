//! How the pods and exporters of a stack are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::apply::Kind;
use super::desired::object_name;
use super::error::Error;
use super::exporters::{self, Address, Exporter};
use super::scope::Scope;
use crate::api::ServerlessStack;
use crate::api::shards::Evidence;

/// How long a pod may take to end before something is wrong with its node: three times its grace period.
const STUCK: Duration = Duration::from_mins(1);

/// What the pods and the exporters say.
#[derive(Debug, Default)]
pub struct Looked {
    /// The StatefulSet's own words; none where there is no StatefulSet of the stack's.
    pub set: Option<SetStatus>,
    /// One for each pod that has an address, once they were asked.
    pub exporters: Vec<Exporter>,
    /// Whether they were.
    pub is_complete: bool,
    /// The pods that have an address.
    pub pods: Vec<String>,
    /// The pods that do not end although they shall, with their nodes.
    pub stuck: Vec<(String, Option<String>)>,
}

/// What the StatefulSet says about its pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetStatus {
    /// Whether the numbers are about its present specification.
    pub is_current: bool,
    /// How many pods there shall be.
    pub wanted: i32,
    /// How many there are, those that are being ended included.
    pub present: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many have the present pod template.
    pub updated: i32,
}

impl SetStatus {
    fn of(set: &StatefulSet) -> Self {
        let wanted = set
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1);
        // Numbers of an older specification say nothing about this one.
        let status = set
            .status
            .clone()
            .filter(|status| status.observed_generation >= set.metadata.generation);
        let is_current = status.is_some();
        let status = status.unwrap_or_default();
        Self {
            is_current,
            wanted,
            present: status.replicas,
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
        }
    }
}

/// Leaves of a StatefulSet what [`SetStatus`] is made of, and whose it is.
pub fn compact(set: &mut StatefulSet) {
    set.metadata.managed_fields = None;
    set.metadata.annotations = None;
    set.metadata.labels = None;
    if let Some(spec) = &mut set.spec {
        spec.template = PodTemplateSpec::default();
        spec.volume_claim_templates = None;
    }
}

/// How new what is looked at has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As the watches show it. They may be late, or hang.
    Watched,
    /// The StatefulSet as it is at this moment: that a pod is gone is not believed otherwise.
    Asked,
}

/// Looks at them all, without waiting for an exporter: what those said last is what counts, and none
/// if they were not asked yet. Those that have not been asked for that long are asked now, and if
/// they have news, the stack has another turn.
pub async fn look(
    stack: &ServerlessStack,
    scope: &Scope,
    freshness: Freshness,
    ask_after: Duration,
) -> Result<Looked, Error> {
    let Some(set) = set(stack, scope, freshness).await? else {
        return Ok(Looked {
            is_complete: true,
            ..Looked::default()
        });
    };
    let addresses = addresses(stack, scope);
    let not_ending = stuck(stack, scope, &addresses);
    let pods = addresses.iter().map(|address| address.pod.clone());
    let pods = pods.collect();
    let heard = scope.readings.heard(stack, addresses, ask_after);
    Ok(Looked {
        set: Some(set),
        is_complete: heard.is_some(),
        pods,
        exporters: heard.unwrap_or_default(),
        stuck: not_ending,
    })
}

/// The StatefulSet's status: as the watch shows it, if that is about what we wrote last.
async fn set(
    stack: &ServerlessStack,
    scope: &Scope,
    freshness: Freshness,
) -> Result<Option<SetStatus>, Error> {
    let (namespace, name) = (stack.namespace().unwrap_or_default(), object_name(stack));
    let uid = stack.uid().unwrap_or_default();
    let is_ours = |set: &StatefulSet| set.owner_references().iter().any(|owner| owner.uid == uid);
    let kind = Kind::StatefulSet;
    if freshness == Freshness::Watched
        && let Some(set) = scope.sets.get(&ObjectRef::new(&name).within(&namespace))
        && is_ours(&set)
        && let Some(newest) = scope.applier.newest(kind, &namespace, &name)
        && set.metadata.generation >= newest.generation
    {
        return Ok(Some(SetStatus::of(&set)));
    }
    let sets: Api<StatefulSet> = Api::namespaced(scope.client.clone(), &namespace);
    let set = sets.get_opt(&name).await;
    if matches!(set, Ok(None)) {
        scope.applier.is_missing(kind, &namespace, &name);
    }
    let set = set.map_err(|source| Error::Object {
        verb: "read",
        kind,
        namespace,
        name,
        source: Box::new(source),
    })?;
    Ok(set.filter(is_ours).as_ref().map(SetStatus::of))
}

/// Where the stack's exporters are, from what the watch has seen. Whatever else is behind its Service is none.
fn addresses(stack: &ServerlessStack, scope: &Scope) -> Vec<Address> {
    let (namespace, name) = (stack.namespace(), object_name(stack));
    let slices = scope.slices.state_filter(|slice: &EndpointSlice| {
        slice.metadata.namespace == namespace
            && slice.labels().get("kubernetes.io/service-name") == Some(&name)
    });
    let mut found = exporters::addresses(slices.iter().map(|slice| &**slice));
    found.retain(|address| {
        let shard = Looked::ordinal(stack, &address.pod);
        shard.is_some_and(|shard| shard < MOST_SHARDS)
    });
    found
}

fn stuck(
    stack: &ServerlessStack,
    scope: &Scope,
    addresses: &[Address],
) -> Vec<(String, Option<String>)> {
    let uid = stack.uid().unwrap_or_default();
    let mut memory = scope.recall(&uid);
    let before = std::mem::take(&mut memory.ending);
    let mut too_long = Vec::new();
    for address in addresses.iter().filter(|address| address.is_ending) {
        let since = before
            .get(&address.pod)
            .copied()
            .unwrap_or_else(Instant::now);
        memory.ending.insert(address.pod.clone(), since);
        if since.elapsed() > STUCK {
            too_long.push((address.pod.clone(), address.node.clone()));
        }
    }
    scope.remember(&uid, memory);
    too_long
}

impl Looked {
    /// The number of a shard, from the name of its pod.
    fn ordinal(stack: &ServerlessStack, pod: &str) -> Option<u32> {
        let number = pod.strip_prefix(&object_name(stack))?.strip_prefix('-')?;
        number.parse().ok()
    }

    /// Whether a shard's pod is there.
    pub fn runs(&self, stack: &ServerlessStack, shard: u32) -> bool {
        let mut pods = self.pods.iter();
        pods.any(|pod| Self::ordinal(stack, pod) == Some(shard))
    }

    /// What is known of the shards' exporters.
    pub fn evidence(&self, stack: &ServerlessStack) -> BTreeMap<u32, Evidence> {
        let mut evidence = BTreeMap::new();
        for exporter in &self.exporters {
            if let Ok(status) = &exporter.status
                && Self::ordinal(stack, &exporter.pod) == Some(status.shard)
            {
                evidence.insert(status.shard, Evidence::CarriedOut(status.revision));
            }
        }
        // Pods beyond those that there shall be are gone when no pod is left that shall not be. This
        // needs a StatefulSet that was asked, not watched: a watch that hangs shows what was.
        if let Some(set) = self.set
            && set.is_current
            && set.present <= set.wanted
        {
            for shard in set.wanted.unsigned_abs()..MOST_SHARDS {
                if !self.runs(stack, shard) {
                    evidence.insert(shard, Evidence::Gone);
                }
            }
        }
        evidence
    }
}

/// The most that `spec.exporter.shards` may say.
const MOST_SHARDS: u32 = 32;
