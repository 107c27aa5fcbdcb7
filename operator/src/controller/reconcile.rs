//! One stack, from what the user wrote to what the cluster holds and the status says.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::Guarded;
use super::apply::{Applied, MadeFrom};
use super::desired::{desired, object_name};
use super::error::Error;
use super::look::{Freshness, Looked, look};
use super::report::{report_undecodable, tell_contested, write_status};
use super::resolve::{Resolved, Shards};
use super::scope::Scope;
use crate::api::ServerlessStack;
use crate::api::shards::Assignment;
use crate::api::validate::validate;

/// kube's client tries again by itself for minutes; a reconciliation does not wait for that.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Of that, what the stack's objects may take, and with them the look at its pods: the rest is for saying
/// in the status what did not answer.
const APPLYING: Duration = Duration::from_secs(20);
const LOOKING: Duration = Duration::from_secs(30);
/// A stack that failed gets twice the time, then twice that, so often: else an API server that is slow would see the
/// same beginning of it for ever.
const DOUBLINGS: u32 = 3;
/// So many lost races in a row are no accident: the status says so.
const RACES: u32 = 3;
/// A stack on its way to Ready is looked at after as long again as nothing has changed, within these.
const EAGER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// When nothing has changed for so long, something is wrong that takes somebody's time.
const PATIENCE: Duration = Duration::from_mins(10);
/// How soon a stack is looked at again that this replica must not touch now. It may lead a moment
/// later without anything else having happened.
const FOLLOWING: Duration = Duration::from_mins(1);
/// After errors the pause doubles, from the first to the second.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Brings one stack nearer to what it says.
pub async fn reconcile(guarded: Arc<Guarded>, scope: Arc<Scope>) -> Result<Action, Error> {
    scope.waiting.remove(&ObjectRef::from_obj(&*guarded));
    if !scope.leadership.is_leading() {
        return Ok(Action::requeue(jittered(FOLLOWING)));
    }
    scope.metrics.in_flight.inc();
    let started = Instant::now();
    let failures = scope.recall(&guarded.uid().unwrap_or_default()).failures;
    let timeout = patient(TIMEOUT, failures);
    let result = tokio::time::timeout(timeout, async {
        scope.warmed_up().await;
        match &guarded.0 {
            Ok(stack) if stack.metadata.deletion_timestamp.is_some() => Ok(Action::await_change()),
            Ok(stack) => reconcile_stack(stack, &scope, started, failures).await,
            Err(invalid) => {
                report_undecodable(invalid, &scope).await;
                Ok(Action::await_change())
            }
        }
    })
    .await
    .unwrap_or_else(|_| Err(Error::Timeout(timeout.as_secs())));
    scope.metrics.reconciled(started.elapsed());
    scope.metrics.in_flight.dec();
    result
}

/// Decides when a failed stack has its next turn.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the controller's"
)]
pub fn on_error(guarded: Arc<Guarded>, error: &Error, scope: Arc<Scope>) -> Action {
    scope.metrics.failed(error.reason());
    let uid = guarded.uid().unwrap_or_default();
    let mut memory = scope.recall(&uid);
    let race = passes(error, memory.failures);
    let pause = if race {
        FAILED.0
    } else {
        growing(FAILED, memory.failures)
    };
    memory.failures = memory.failures.saturating_add(1);
    scope.remember(&uid, memory);
    let name = guarded.name_any();
    let namespace = guarded.namespace().unwrap_or_default();
    if race {
        tracing::debug!(namespace, name, %error, "an object changed under our hands, trying again");
    } else {
        tracing::warn!(namespace, name, reason = %error.reason(), %error, retry_in = ?pause, "the stack could not be reconciled");
    }
    Action::requeue(jittered(pause))
}

/// Whether it is a race that is over at the next try, after so many failures: nobody needs to read about it.
fn passes(error: &Error, failures: u32) -> bool {
    matches!(error, Error::Unheard) || error.is_race() && failures < RACES
}

async fn reconcile_stack(
    stack: &ServerlessStack,
    scope: &Scope,
    started: Instant,
    failures: u32,
) -> Result<Action, Error> {
    let mut applied = Applied::default();
    let (applying, looking) = (patient(APPLYING, failures), patient(LOOKING, failures));
    let until = started + applying;
    let known = async {
        let (shards, looked) = assign(stack, scope).await?;
        let storage = match &looked {
            // There are no exporters, so no volumes: that look has just asked.
            Some(Looked { set: None, .. }) => None,
            Some(_) | None => scope.applier.storage(stack).await?,
        };
        Ok(((shards, looked), storage))
    };
    let known = tokio::time::timeout_at(until.into(), known).await;
    let known = known.unwrap_or(Err(Error::Timeout(applying.as_secs())));
    let is_known = known.is_ok();
    let ((shards, looked), made_storage) = match known {
        Ok(known) => known,
        Err(error) if passes(&error, failures) => return Err(error),
        // Nothing is applied; what is the matter is said all the same.
        Err(error) => {
            applied.failed.push(error);
            ((Shards::first(stack), None), None)
        }
    };
    let mut resolved = scope.resolve(stack, shards);
    resolved.made_storage = made_storage;
    let stack = &resolved.exporter.complete(stack);
    let desired = desired(stack, &resolved);
    let mut invalid = validate(stack);
    invalid.extend(desired.too_large());
    // A specification that cannot be used changes nothing: what runs, runs on.
    if is_known && invalid.is_empty() {
        let made_from = MadeFrom {
            configuration: resolved.shards.made_from.as_deref(),
            exporters: resolved.made_storage.is_some(),
        };
        applied = scope.applier.apply(stack, &desired, made_from, until).await;
        applied.failed.extend(storage_refused(stack, &resolved));
    }
    if applied.writes > 0 {
        scope.metrics.wrote(applied.writes, applied.put_back);
        tracing::info!(
            namespace = stack.namespace(),
            name = stack.name_any(),
            writes = applied.writes,
            "objects written"
        );
    }
    applied.failed.extend(scope.refused.told(Instant::now()));
    for contested in &applied.contested {
        tell_contested(scope, stack, contested).await;
    }
    // What was not there before is there now.
    let looked = if let Some(looked) = looked.filter(|looked| looked.set.is_some()) {
        looked
    } else {
        let ask_after = pace(stack, scope) / 2;
        let looked = look(stack, scope, Freshness::Watched, ask_after);
        let looked = tokio::time::timeout_at((started + looking).into(), looked).await;
        let looked = looked.unwrap_or(Err(Error::Timeout(looking.as_secs())));
        looked.unwrap_or_else(|error| {
            applied.failed.push(error);
            Looked {
                is_complete: true,
                ..Looked::default()
            }
        })
    };
    if let Some(race) = (applied.failed.iter()).position(|error| passes(error, failures)) {
        return Err(applied.failed.swap_remove(race));
    }
    // The exporters are being asked for the first time, and then it is this stack's turn again: to say
    // meanwhile that nobody has heard of them would be a lie.
    if !looked.is_complete {
        let mut failed = applied.failed.into_iter();
        return match failed.find(|error| !error.is_refusal()) {
            Some(error) => Err(error),
            None => Ok(next_look(stack, scope, applied.postponed)),
        };
    }
    let later = write_status(
        stack,
        scope,
        &invalid,
        (&applied.failed, is_known),
        &resolved,
        &desired,
        &looked,
    )
    .await?;
    let mut failed = applied.failed.into_iter();
    if let Some(error) = failed.find(|error| !error.is_refusal()) {
        return Err(error);
    }
    let sooner = [applied.postponed, later].into_iter().flatten().min();
    Ok(next_look(stack, scope, sooner))
}

/// Volumes are made once: says so if the stack wants others.
fn storage_refused(stack: &ServerlessStack, resolved: &Resolved) -> Option<Error> {
    let wanted = stack.spec.exporter.storage.as_ref();
    let made = resolved.storage(stack);
    (made != wanted).then(|| Error::Storage {
        namespace: stack.namespace().unwrap_or_default(),
        name: object_name(stack),
        made: made.cloned().map(Box::new),
        wanted: wanted.cloned().map(Box::new),
    })
}

/// Who watches what from now on. Where that depends on the pods, it is decided by the StatefulSet as
/// it is now: a pod that a late watch does not show is not gone. What an exporter said it has
/// carried out stays true, so that nobody waits for it to say it again.
async fn assign(stack: &ServerlessStack, scope: &Scope) -> Result<(Shards, Option<Looked>), Error> {
    let wanted = stack.spec.exporter.shards.max(1).unsigned_abs();
    let (written, made_from) = scope.applier.assignment(stack).await?;
    let outrun = scope.recall(&stack.uid().unwrap_or_default()).outrun;
    if let Some(written) = &written
        && !outrun
        && !written.is_moving()
        && written.shards == wanted
    {
        let shards = Shards {
            assignment: written.clone(),
            replicas: wanted,
            made_from,
        };
        return Ok((shards, None));
    }
    let looked = look(stack, scope, Freshness::Asked, pace(stack, scope) / 2).await?;
    if written.is_none() && !looked.is_complete {
        // What they run by is all that is left to go on from. They are being asked.
        return Err(Error::Unheard);
    }
    let assignment = match (written, looked.set) {
        (Some(written), _) => written.next(wanted, &looked.evidence(stack)),
        // Somebody removed what we wrote, or an operator made it that knew of no shards.
        (None, Some(set)) => Assignment {
            revision: 0,
            ..Assignment::first(set.wanted.max(1).unsigned_abs())
        }
        .next(wanted, &looked.evidence(stack)),
        (None, None) => Assignment::first(wanted),
    };
    let shards = Shards {
        replicas: assignment.replicas(|shard| looked.runs(stack, shard)),
        assignment,
        made_from,
    };
    Ok((shards, Some(looked)))
}

fn next_look(stack: &ServerlessStack, scope: &Scope, sooner: Option<Duration>) -> Action {
    let pause = jittered(pace(stack, scope));
    Action::requeue(sooner.map_or(pause, |sooner| sooner.min(pause)))
}

/// How often the stack and its exporters are looked at: as often as they look at AWS, to carry their
/// numbers into the status; and sooner while something is on its way.
fn pace(stack: &ServerlessStack, scope: &Scope) -> Duration {
    let memory = scope.recall(&stack.uid().unwrap_or_default());
    let unchanged_for = memory.changed.map_or(Duration::ZERO, |at| at.elapsed());
    if memory.settled || unchanged_for > PATIENCE {
        let stack = scope.exporter.complete(stack);
        Duration::from_secs(stack.spec.collection.interval().as_secs().into())
    } else {
        unchanged_for.clamp(EAGER.0, EAGER.1)
    }
}

/// What a stack gets of that time after so many failures, see [`DOUBLINGS`].
fn patient(time: Duration, failures: u32) -> Duration {
    time * 2_u32.pow(failures.min(DOUBLINGS))
}

fn growing((first, last): (Duration, Duration), times: u32) -> Duration {
    first
        .saturating_mul(2_u32.saturating_pow(times.min(16)))
        .min(last)
}

/// Between three and five quarters of it, so that not all stacks have their turn at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    // The standard library's only source of randomness; good enough to spread things.
    let random = RandomState::new().build_hasher().finish();
    let quarter = pause / 4;
    let quarter_micros = u64::try_from(quarter.as_micros()).unwrap_or(u64::MAX);
    pause.saturating_sub(quarter)
        + Duration::from_micros(random % quarter_micros.saturating_mul(2).max(1))
}
