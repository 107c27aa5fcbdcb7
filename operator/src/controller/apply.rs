//! Makes the cluster hold what is desired, and writes only where it does not.
//!
//! - Server-side apply with one field manager. An object is left alone when it carries the hash
//!   of what we would apply and every field that we set is still ours.
//! - What somebody changes is put back at once; if that goes on, at a slower pace ([`super::contest`]).
//! - An object that is there but not this stack's is never touched: [`Error::NameConflict`].
//! - What is ours and no longer desired is deleted, if it is still the object that we saw.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use kube::api::{
    DeleteParams, DynamicObject, PartialObjectMeta, Patch, PatchParams, Preconditions,
};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::contest::{Contest, Turn};
use super::desired::{ASSIGNMENT_ANNOTATION, Desired, object_name, sha256_hex};
use super::error::Error;
pub use super::kind::Kind;
use crate::api::ServerlessStack;
use crate::api::shards::Assignment;

/// The name under which the operator owns fields.
pub const FIELD_MANAGER: &str = "nightjar";

/// The SHA-256 of what was applied.
const HASH_ANNOTATION: &str = "nightjar.dev/applied-hash";

/// Metadata of an owned object.
pub type Meta = PartialObjectMeta<DynamicObject>;

/// What the watches saw of the owned objects, by kind.
pub type Seen = HashMap<Kind, Store<Meta>>;

/// Applies and prunes, and remembers which fields were ours afterwards.
pub struct Applier {
    client: Client,
    seen: Seen,
    /// By UID of the object.
    ours: Mutex<HashMap<String, Ours>>,
}

/// What we remember of an object that we applied.
#[derive(Clone, Debug, Default)]
struct Ours {
    /// The hash of what was applied.
    applied: String,
    /// The hash of our fields in `managedFields` as the API server left them. Whoever changes or
    /// removes a field of ours takes it away from there.
    fields: String,
    contest: Contest,
    /// The version that we wrote upon, and what the API server answered: newer than what the watch
    /// shows, as long as it shows that version.
    newer: Option<(Option<String>, ObjectMeta)>,
}

/// What was done to make the stack's objects what they shall be.
#[derive(Debug, Default)]
pub struct Applied {
    /// Objects applied or deleted.
    pub writes: usize,
    /// Of them, those that somebody else had changed.
    pub put_back: usize,
    /// Those that somebody keeps changing, when that becomes clear.
    pub contested: Vec<Contested>,
    /// How long to wait until such an object is put back the next time.
    pub postponed: Option<Duration>,
}

/// An object that somebody keeps changing.
#[derive(Debug)]
pub struct Contested {
    /// The object's kind.
    pub kind: Kind,
    /// The object's name.
    pub name: String,
    /// Who changed it last, as `managedFields` has it.
    pub by: Option<String>,
}

/// One object to apply, with what identifies it.
struct Target {
    kind: Kind,
    name: String,
    object: Value,
}

impl Applier {
    /// An applier that looks at `seen` before it asks the API server.
    pub fn new(client: Client, seen: Seen) -> Self {
        Self {
            client,
            seen,
            ours: Mutex::default(),
        }
    }

    /// The assignment of shards that the stack's configuration holds, if any, and the version of the
    /// object in which it stands.
    pub async fn assignment(
        &self,
        stack: &ServerlessStack,
    ) -> Result<(Option<Assignment>, Option<String>), Error> {
        let (namespace, uid) = identity(stack);
        let live = self
            .live(Kind::ConfigMap, &namespace, &object_name(stack))
            .await?
            .filter(|live| is_owned_by(live, &uid));
        let Some(live) = live else {
            return Ok((None, None));
        };
        let text = live
            .annotations
            .as_ref()
            .and_then(|all| all.get(ASSIGNMENT_ANNOTATION));
        // What cannot be read is as good as removed.
        let assignment = text.and_then(|text| serde_json::from_str(text).ok());
        Ok((assignment, live.resource_version))
    }

    /// Makes the stack's objects what they shall be. `made_from` is the version of the configuration
    /// that its assignment of shards was made from: if it is another one by now, nothing is written.
    pub async fn apply(
        &self,
        stack: &ServerlessStack,
        desired: &Desired,
        made_from: Option<&str>,
    ) -> Result<Applied, Error> {
        let targets = targets(desired);
        let mut applied = Applied::default();
        let mut failed = None;
        for target in &targets {
            match self.apply_one(stack, target, made_from, &mut applied).await {
                Ok(()) => {}
                // By old knowledge nothing is done.
                Err(error @ Error::Outdated { .. }) => return Err(error),
                // The others are applied all the same: a refused ServiceMonitor must not cost the exporter.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        applied.writes += self.prune(stack, &targets).await?;
        Ok(applied)
    }

    async fn apply_one(
        &self,
        stack: &ServerlessStack,
        target: &Target,
        made_from: Option<&str>,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let (namespace, uid) = identity(stack);
        let live = self.live(target.kind, &namespace, &target.name).await?;
        let hash = sha256_hex(target.object.to_string().as_bytes());
        let mut object = target.object.clone();
        object["metadata"]["annotations"][HASH_ANNOTATION] = json!(hash);
        let mut contest = Contest::default();
        let seen = self.seen(target.kind, &namespace, &target.name);
        if let Some(live) = live {
            if !is_owned_by(&live, &uid) {
                return Err(Error::NameConflict {
                    kind: target.kind,
                    namespace,
                    name: target.name.clone(),
                });
            }
            // Ours a moment ago does not mean ours now: the UID makes the API server compare.
            object["metadata"]["uid"] = json!(live.uid);
            if (target.kind, &*target.name) == (Kind::ConfigMap, &*object_name(stack)) {
                if live.resource_version.as_deref() != made_from {
                    return Err(Error::Outdated {
                        kind: target.kind,
                        namespace,
                        name: target.name.clone(),
                    });
                }
                object["metadata"]["resourceVersion"] = json!(live.resource_version);
            }
            let known = live
                .uid
                .as_ref()
                .and_then(|uid| self.ours().get(uid).cloned());
            if let Some(known) = known.filter(|known| known.applied == hash) {
                if is_unmodified(&live, &known) {
                    return Ok(());
                }
                contest = known.contest;
                let turn = contest.turn(Instant::now());
                match turn {
                    Turn::Later(pause) => {
                        let sooner = applied.postponed.map_or(pause, |other| other.min(pause));
                        applied.postponed = Some(sooner);
                        return Ok(());
                    }
                    Turn::Now { tell } => {
                        applied.put_back += 1;
                        applied.contested.extend(tell.then(|| Contested {
                            kind: target.kind,
                            name: target.name.clone(),
                            by: last_other_manager(&live),
                        }));
                    }
                }
            }
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = self
            .api(target.kind, &namespace)
            .patch(&target.name, &params, &Patch::Apply(&object))
            .await
            .map_err(|source| failure("apply", target.kind, &namespace, &target.name, source))?;
        applied.writes += 1;
        if let (Some(uid), Some(fields)) = (written.uid(), our_fields(&written.metadata)) {
            let before = seen.filter(|seen| seen.uid.as_ref() == Some(&uid));
            let mut answer = written.metadata;
            compact(&mut answer);
            let newer = before.map(|before| (before.resource_version, answer));
            let ours = Ours {
                applied: hash,
                fields,
                contest,
                newer,
            };
            self.ours().insert(uid, ours);
        }
        Ok(())
    }

    /// An object as the watches saw it, or as it was after our own write if they have not seen that.
    pub fn newest(&self, kind: Kind, namespace: &str, name: &str) -> Option<ObjectMeta> {
        let seen = self.seen(kind, namespace, name)?;
        let mut ours = self.ours();
        let ours = seen.uid.as_ref().and_then(|uid| ours.get_mut(uid));
        let newer = ours.and_then(|ours| {
            ours.newer
                .take_if(|(before, _)| *before != seen.resource_version);
            Some(ours.newer.as_ref()?.1.clone())
        });
        Some(newer.unwrap_or(seen))
    }

    /// An object as the watches saw it, or as it is if they saw none.
    async fn live(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ObjectMeta>, Error> {
        if let Some(newest) = self.newest(kind, namespace, name) {
            return Ok(Some(newest));
        }
        let live = self.api(kind, namespace).get_metadata_opt(name).await;
        let live = live.map_err(|source| failure("read", kind, namespace, name, source))?;
        Ok(live.map(|live| live.metadata))
    }

    /// Deletes what is ours and no longer desired. What the watches have not shown yet is
    /// found at the next reconcile.
    async fn prune(&self, stack: &ServerlessStack, targets: &[Target]) -> Result<usize, Error> {
        let (namespace, uid) = identity(stack);
        let mut deleted = 0;
        for (kind, store) in &self.seen {
            let superfluous = store.state_filter(|meta| {
                meta.namespace().as_deref() == Some(&namespace)
                    && is_owned_by(&meta.metadata, &uid)
                    && meta.metadata.deletion_timestamp.is_none()
                    && !targets
                        .iter()
                        .any(|t| t.kind == *kind && t.name == meta.name_any())
            });
            for meta in superfluous {
                let params = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: meta.uid(),
                        resource_version: meta.resource_version(),
                    }),
                    ..DeleteParams::background()
                };
                match self
                    .api(*kind, &namespace)
                    .delete(&meta.name_any(), &params)
                    .await
                {
                    Ok(_) => deleted += 1,
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(source) => {
                        return Err(failure(
                            "delete",
                            *kind,
                            &namespace,
                            &meta.name_any(),
                            source,
                        ));
                    }
                }
            }
        }
        Ok(deleted)
    }

    /// An object as the watches saw it.
    fn seen(&self, kind: Kind, namespace: &str, name: &str) -> Option<ObjectMeta> {
        let store = self.seen.get(&kind)?;
        let key = ObjectRef::new_with(name, kind.resource()).within(namespace);
        store.get(&key).map(|meta| meta.metadata.clone())
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    fn ours(&self) -> std::sync::MutexGuard<'_, HashMap<String, Ours>> {
        self.ours.lock().expect("no panic while the map is held")
    }

    /// Forgets objects that no watch shows any more.
    pub fn forget_the_gone(&self) {
        let live: std::collections::HashSet<String> = self
            .seen
            .values()
            .flat_map(Store::state)
            .filter_map(|meta| meta.uid())
            .collect();
        self.ours().retain(|uid, _| live.contains(uid));
    }
}

/// The object as it is sent: with its type, which k8s-openapi's and our own types add alike.
fn target<T: Serialize>(kind: Kind, object: Option<&T>) -> Option<Target> {
    let mut object = serde_json::to_value(object?).expect("Kubernetes objects have string keys");
    let resource = kind.resource();
    object["apiVersion"] = json!(resource.api_version);
    object["kind"] = json!(resource.kind);
    let name = object["metadata"]["name"]
        .as_str()
        .expect("desired() names all objects")
        .to_owned();
    Some(Target { kind, name, object })
}

/// All objects, in the order in which a pod needs them: without its identity or configuration it
/// would only wait, with an Event for each try.
fn targets(desired: &Desired) -> Vec<Target> {
    // All fields by name: a kind that is forgotten here does not compile.
    let Desired {
        config_map,
        service_account,
        service,
        stateful_set,
        service_monitor,
        prometheus_rule,
        alertmanager_config,
        rules,
    } = desired;
    [
        target(Kind::ServiceAccount, service_account.as_ref()),
        target(Kind::ConfigMap, Some(config_map)),
        target(Kind::Service, Some(service)),
        target(Kind::StatefulSet, Some(stateful_set)),
        target(Kind::ServiceMonitor, service_monitor.as_ref()),
        target(Kind::PrometheusRule, prometheus_rule.as_ref()),
        target(Kind::AlertmanagerConfig, alertmanager_config.as_ref()),
        target(Kind::ConfigMap, rules.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All objects as they are sent, but for the hash and the UID that only a live object has.
pub fn documents(desired: &Desired) -> Vec<Value> {
    targets(desired)
        .into_iter()
        .map(|target| target.object)
        .collect()
}

fn identity(stack: &ServerlessStack) -> (String, String) {
    (
        stack.namespace().unwrap_or_default(),
        stack.uid().unwrap_or_default(),
    )
}

fn is_owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn failure(
    verb: &'static str,
    kind: Kind,
    namespace: &str,
    name: &str,
    source: kube::Error,
) -> Error {
    Error::Object {
        verb,
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    }
}

/// Whether an object carries what we would apply, in fields that are all still ours.
fn is_unmodified(live: &ObjectMeta, known: &Ours) -> bool {
    let annotation = live
        .annotations
        .as_ref()
        .and_then(|all| all.get(HASH_ANNOTATION));
    annotation == Some(&known.applied) && our_fields(live).as_ref() == Some(&known.fields)
}

/// Who wrote to the object last, other than us.
fn last_other_manager(meta: &ObjectMeta) -> Option<String> {
    let entries = meta.managed_fields.as_deref()?.iter();
    entries
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?
        .manager
        .clone()
}

/// A hash of the fields that we own by server-side apply; none if we own none.
fn our_fields(meta: &ObjectMeta) -> Option<String> {
    let mut entries = meta.managed_fields.iter().flatten();
    let fields = &entries.find(|entry| is_ours(entry))?.fields_v1.as_ref()?.0;
    Some(hash_of(fields))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

fn hash_of(fields: &Value) -> String {
    match fields {
        // As `compact` left it: a list of fields is never a string.
        Value::String(hash) => hash.clone(),
        fields => sha256_hex(fields.to_string().as_bytes()),
    }
}

/// Leaves of `managedFields`, by far the largest part of what is kept of an object, no more than
/// who wrote when, and a hash of what is ours.
pub fn compact(meta: &mut ObjectMeta) {
    for entry in meta.managed_fields.iter_mut().flatten() {
        let ours = is_ours(entry);
        let fields = entry.fields_v1.take().filter(|_| ours);
        entry.fields_v1 = fields.map(|fields| FieldsV1(json!(hash_of(&fields.0))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed() -> ObjectMeta {
        serde_json::from_value(json!({"managedFields": [
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": FIELD_MANAGER, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {}}},
        ]}))
        .unwrap()
    }

    #[test]
    fn what_is_kept_of_an_object_tells_the_same_of_our_fields_and_of_others_as_the_whole() {
        let whole = managed();
        let mut kept = managed();
        compact(&mut kept);
        assert_eq!(our_fields(&kept), our_fields(&whole));
        assert!(our_fields(&kept).is_some());
        assert_eq!(last_other_manager(&kept), last_other_manager(&whole));
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("f:"), "{text}");
        // Once more, as with an object that is kept and looked at again.
        compact(&mut kept);
        assert_eq!(our_fields(&kept), our_fields(&whole));
    }
}
