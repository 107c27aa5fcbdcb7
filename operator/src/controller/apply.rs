//! Makes the cluster hold what is desired, and writes only where it does not.
//!
//! - Server-side apply with one field manager. An object is left alone when it carries the hash
//!   of what we would apply and every field that we set is still ours.
//! - What somebody changes is put back at once; if that goes on, at a slower pace ([`super::contest`]).
//! - An object that is there but not this stack's is never touched: [`Error::NameConflict`].
//! - What is ours and no longer desired is deleted, if it is still the object that we saw, and the stack
//!   still is the one that does not want it.
//! - One object that fails costs no other: all are tried, and each failure is told.

mod missing;
mod owned;
mod prune;
mod target;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::contest::{Contest, Turn};
use super::desired::{ASSIGNMENT_ANNOTATION, Desired, STORAGE_ANNOTATION, object_name, storage_of};
use super::error::Error;
pub use super::kind::Kind;
use crate::api::ServerlessStack;
use crate::api::hash::sha256_hex;
use crate::api::shards::Assignment;
use crate::api::stack::Storage;
use missing::Missing;
pub use owned::compact;
use owned::{HASH_ANNOTATION, Ours, is_owned_by, is_unmodified, last_other_manager, our_fields};
pub use target::documents;
use target::{Step, Target, targets};

/// The name under which the operator owns fields.
pub const FIELD_MANAGER: &str = "nightjar";

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
    /// Of what was applied, by UID of the stack, kind and name: an object that somebody deletes comes
    /// back with another UID.
    contests: Mutex<HashMap<(String, Kind, String), Contest>>,
    missing: Missing,
}

/// What was done to make the stack's objects what they shall be, and what could not be done.
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
    /// Why objects are not what they shall be: first those that the exporters need.
    pub failed: Vec<Error>,
}

impl Applied {
    fn and(mut self, other: Self) -> Self {
        let Self {
            writes,
            put_back,
            contested,
            postponed,
            failed,
        } = other;
        self.writes += writes;
        self.put_back += put_back;
        self.contested.extend(contested);
        self.postponed = [self.postponed, postponed].into_iter().flatten().min();
        self.failed.extend(failed);
        self
    }

    /// Whether it was decided by what is not so any more.
    fn is_outdated(&self) -> bool {
        let mut failed = self.failed.iter();
        failed.any(|error| matches!(error, Error::Outdated { .. }))
    }
}

/// What is decided by what was there.
#[derive(Clone, Copy, Debug)]
pub struct MadeFrom<'a> {
    /// The version of the configuration that the assignment of shards was made from; none if there was none.
    pub configuration: Option<&'a str>,
    /// Whether there were exporters, whose volumes cannot be changed.
    pub exporters: bool,
}

/// An object that somebody keeps changing.
#[derive(Debug)]
pub struct Contested {
    /// The object's kind.
    pub kind: Kind,
    /// The object's name.
    pub name: String,
    /// Who changed it last, as `managedFields` has it; nobody is known to have deleted an object.
    pub by: Option<String>,
    /// Whether it was deleted, not changed.
    pub deleted: bool,
}

impl Applier {
    /// An applier that looks at `seen` before it asks the API server.
    pub fn new(client: Client, seen: Seen) -> Self {
        Self {
            client,
            seen,
            ours: Mutex::default(),
            contests: Mutex::default(),
            missing: Missing::default(),
        }
    }

    /// Who asked the API server for an object that is not there tells it here.
    pub fn is_missing(&self, kind: Kind, namespace: &str, name: &str) {
        self.missing.note(kind, namespace, name, Instant::now());
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

    /// What the volumes of the stack's exporters were made of; none if there are no exporters.
    pub async fn storage(&self, stack: &ServerlessStack) -> Result<Option<Option<Storage>>, Error> {
        let ((namespace, uid), name) = (identity(stack), object_name(stack));
        let kind = Kind::StatefulSet;
        let live = self.live(kind, &namespace, &name).await?;
        // One that is being deleted binds nobody: the next one gets what the stack says now.
        let stays =
            |live: &ObjectMeta| is_owned_by(live, &uid) && live.deletion_timestamp.is_none();
        let Some(live) = live.filter(stays) else {
            return Ok(None);
        };
        let annotations = live.annotations.unwrap_or_default();
        let written = annotations.get(STORAGE_ANNOTATION);
        let written = written.and_then(|text| serde_json::from_str(text).ok());
        if written.as_ref() == Some(&stack.spec.exporter.storage) {
            return Ok(written);
        }
        // They differ, or an earlier version wrote nothing, or somebody something else: the object knows.
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &namespace);
        let set = sets.get_opt(&name).await;
        let set = set.map_err(|source| failure("read", kind, &namespace, &name, source))?;
        Ok(set.map(|set| storage_of(&set)))
    }

    /// Makes the stack's objects what they shall be, as far as that is done at `until`. If what they were made
    /// from is not so any more, the exporters are left as they are.
    pub async fn apply(
        &self,
        stack: &ServerlessStack,
        desired: &Desired,
        made_from: MadeFrom<'_>,
        until: Instant,
    ) -> Applied {
        let targets = targets(desired);
        let configuration = object_name(stack);
        let all = async |step: Step| {
            let of_step = targets
                .iter()
                .filter(|target| target.step(&configuration) == step)
                .map(|target| self.apply_in_time(stack, target, made_from, until));
            let done = join_all(of_step).await;
            done.into_iter().fold(Applied::default(), Applied::and)
        };
        let exporters = async {
            let done = all(Step::Needed).await;
            // By old knowledge nothing is done.
            if done.is_outdated() {
                return done;
            }
            done.and(all(Step::Pods).await)
        };
        let (exporters, others) = join(exporters, all(Step::Other)).await;
        let mut applied = exporters.and(others);
        if !applied.is_outdated() {
            let pruning = self.prune(stack, &targets, &mut applied);
            if tokio::time::timeout_at(until.into(), pruning)
                .await
                .is_err()
            {
                tracing::debug!(name = stack.name_any(), "pruned later");
            }
        }
        applied
    }

    async fn apply_in_time(
        &self,
        stack: &ServerlessStack,
        target: &Target,
        made_from: MadeFrom<'_>,
        until: Instant,
    ) -> Applied {
        let applying = self.apply_one(stack, target, made_from);
        let applied = tokio::time::timeout_at(until.into(), applying).await;
        let applied = applied.unwrap_or_else(|_| {
            Err(Error::NoAnswer {
                kind: target.kind,
                namespace: identity(stack).0,
                name: target.name.clone(),
            })
        });
        applied.unwrap_or_else(|error| Applied {
            failed: vec![error],
            ..Applied::default()
        })
    }

    async fn apply_one(
        &self,
        stack: &ServerlessStack,
        target: &Target,
        made_from: MadeFrom<'_>,
    ) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        let (namespace, uid) = identity(stack);
        let contest = (uid.clone(), target.kind, target.name.clone());
        let live = self.live(target.kind, &namespace, &target.name).await?;
        let hash = sha256_hex(target.object.to_string().as_bytes());
        let mut object = target.object.clone();
        object["metadata"]["annotations"][HASH_ANNOTATION] = json!(hash);
        let seen = self.seen(target.kind, &namespace, &target.name);
        // What somebody else made since we asked is theirs: nothing of it is taken by force.
        let params = if live.is_some() {
            PatchParams::apply(FIELD_MANAGER).force()
        } else {
            PatchParams::apply(FIELD_MANAGER)
        };
        // Who undid what we had applied, as far as that is known, and whether by deleting it.
        let mut undone = None;
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
                if live.resource_version.as_deref() != made_from.configuration {
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
                    return Ok(applied);
                }
                undone = Some((last_other_manager(&live), false));
            }
        } else if target.kind == Kind::StatefulSet && made_from.exporters {
            return Err(Error::Outdated {
                kind: target.kind,
                namespace,
                name: target.name.clone(),
            });
        } else if self.contests().contains_key(&contest) {
            undone = Some((None, true));
        }
        if let Some((by, deleted)) = undone {
            match self.turn(&contest) {
                Turn::Later(pause) => {
                    applied.postponed = Some(pause);
                    return Ok(applied);
                }
                Turn::Now { tell } => {
                    applied.put_back += 1;
                    applied.contested.extend(tell.then(|| Contested {
                        kind: target.kind,
                        name: target.name.clone(),
                        by,
                        deleted,
                    }));
                }
            }
        }
        let written = self
            .api(target.kind, &namespace)
            .patch(&target.name, &params, &Patch::Apply(&object))
            .await
            .map_err(|source| failure("apply", target.kind, &namespace, &target.name, source))?;
        applied.writes += 1;
        self.missing.forget(target.kind, &namespace, &target.name);
        self.contests().entry(contest).or_default();
        if let (Some(uid), Some(fields)) = (written.uid(), our_fields(&written.metadata)) {
            let before = seen.filter(|seen| seen.uid.as_ref() == Some(&uid));
            let mut answer = written.metadata;
            compact(&mut answer);
            let newer = before.map(|before| (before.resource_version, answer));
            let ours = Ours {
                applied: hash,
                fields,
                newer,
            };
            self.ours().insert(uid, ours);
        }
        Ok(applied)
    }

    /// Somebody changed or deleted what was applied: is it put back now?
    fn turn(&self, contest: &(String, Kind, String)) -> Turn {
        let mut contests = self.contests();
        let contest = contests.entry(contest.clone()).or_default();
        contest.turn(Instant::now())
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
        if self
            .missing
            .was_noted_just_now(kind, namespace, name, Instant::now())
        {
            return Ok(None);
        }
        let live = self.api(kind, namespace).get_metadata_opt(name).await;
        let live = live.map_err(|source| failure("read", kind, namespace, name, source))?;
        if live.is_none() {
            self.missing.note(kind, namespace, name, Instant::now());
        }
        Ok(live.map(|live| live.metadata))
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

    fn contests(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Kind, String), Contest>> {
        let contests = self.contests.lock();
        contests.expect("no panic while the map is held")
    }

    /// Forgets objects that no watch shows any more, and whatever is of other stacks than these.
    pub fn forget_the_gone(&self, stacks: &std::collections::HashSet<String>) {
        self.contests()
            .retain(|(uid, _, _), _| stacks.contains(uid));
        let live: std::collections::HashSet<String> = self
            .seen
            .values()
            .flat_map(Store::state)
            .filter_map(|meta| meta.uid())
            .collect();
        self.ours().retain(|uid, _| live.contains(uid));
    }
}

fn identity(stack: &ServerlessStack) -> (String, String) {
    (
        stack.namespace().unwrap_or_default(),
        stack.uid().unwrap_or_default(),
    )
}

/// What the API server said to a request about an object.
pub(super) fn failure(
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
