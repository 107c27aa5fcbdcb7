//! One stack, from what the user wrote to what the cluster holds and the status says.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::Guarded;
use super::apply::Applied;
use super::desired::{desired, object_name};
use super::error::Error;
use super::look::{Looked, look};
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
/// So many lost races in a row are no accident: the status says so.
const RACES: u32 = 3;
/// A stack that is Ready is looked at as often, to carry its numbers into its status.
const CALM: Duration = Duration::from_secs(45);
/// A stack on its way to Ready is looked at after as long again as nothing has changed, within these.
const EAGER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// After errors the pause doubles, from the first to the second.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Brings one stack nearer to what it says.
pub async fn reconcile(guarded: Arc<Guarded>, scope: Arc<Scope>) -> Result<Action, Error> {
    if !scope.leadership.is_leading() {
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let result = tokio::time::timeout(TIMEOUT, async {
        match &guarded.0 {
            Ok(stack) if stack.metadata.deletion_timestamp.is_some() => Ok(Action::await_change()),
            Ok(stack) => reconcile_stack(stack, &scope, started).await,
            Err(invalid) => {
                report_undecodable(invalid, &scope).await;
                Ok(Action::await_change())
            }
        }
    })
    .await
    .unwrap_or_else(|_| Err(Error::Timeout(TIMEOUT.as_secs())));
    scope.metrics.reconciled(started.elapsed());
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
    let race = error.is_race() && memory.failures < RACES;
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

async fn reconcile_stack(
    stack: &ServerlessStack,
    scope: &Scope,
    started: Instant,
) -> Result<Action, Error> {
    let uid = stack.uid().unwrap_or_default();
    // A race is over at the next try: nobody needs to read about it.
    let passes = |error: &Error| error.is_race() && scope.recall(&uid).failures < RACES;
    let mut applied = Applied::default();
    let until = started + APPLYING;
    let known = async { tokio::try_join!(assign(stack, scope), scope.applier.storage(stack)) };
    let known = tokio::time::timeout_at(until.into(), known).await;
    let known = known.unwrap_or(Err(Error::Timeout(APPLYING.as_secs())));
    let is_known = known.is_ok();
    let ((shards, looked), made_storage) = match known {
        Ok(known) => known,
        Err(error) if passes(&error) => return Err(error),
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
        let made_from = resolved.shards.made_from.as_deref();
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
    for contested in &applied.contested {
        tell_contested(scope, stack, contested).await;
    }
    // What was not there before is there now.
    let looked = match looked.filter(|looked| looked.set.is_some()) {
        Some(looked) => looked,
        None => {
            let looking = tokio::time::timeout_at((started + LOOKING).into(), look(stack, scope));
            let looked = looking.await;
            let looked = looked.unwrap_or(Err(Error::Timeout(LOOKING.as_secs())));
            looked.unwrap_or_else(|error| {
                applied.failed.push(error);
                Looked::default()
            })
        }
    };
    if let Some(race) = applied.failed.iter().position(passes) {
        return Err(applied.failed.swap_remove(race));
    }
    let settled = write_status(
        stack,
        scope,
        &invalid,
        &applied.failed,
        is_known,
        &resolved,
        &desired,
        &looked,
    )
    .await?;
    let mut failed = applied.failed.into_iter();
    match failed.find(|error| !error.is_refusal()) {
        Some(error) => Err(error),
        None => Ok(next_look(stack, scope, settled, applied.postponed)),
    }
}

/// Volumes are made once: says so if the stack wants others.
fn storage_refused(stack: &ServerlessStack, resolved: &Resolved) -> Option<Error> {
    let wanted = stack.spec.exporter.storage.as_ref();
    let made = resolved.storage(stack);
    (made != wanted).then(|| Error::Storage {
        namespace: stack.namespace().unwrap_or_default(),
        name: object_name(stack),
        made: made.cloned(),
        wanted: wanted.cloned(),
    })
}

/// Who watches what from now on. Exporters are looked at first only where that decides it: else
/// what somebody changed would wait for an exporter that does not answer.
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
    let looked = look(stack, scope).await?;
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

fn next_look(
    stack: &ServerlessStack,
    scope: &Scope,
    settled: bool,
    postponed: Option<Duration>,
) -> Action {
    let changed = scope.recall(&stack.uid().unwrap_or_default()).changed;
    let unchanged_for = changed.map_or(Duration::ZERO, |at| at.elapsed());
    let pause = jittered(if settled {
        CALM
    } else {
        unchanged_for.clamp(EAGER.0, EAGER.1)
    });
    Action::requeue(postponed.map_or(pause, |postponed| postponed.min(pause)))
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
