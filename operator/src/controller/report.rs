//! Tells people about a stack: its status, and one Event for each change of it.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::apply::{Contested, FIELD_MANAGER};
use super::contest::{MANY, WITHIN};
use super::desired::{Desired, object_name};
use super::error::Error;
use super::look::Looked;
use super::resolve::Resolved;
use super::scope::Scope;
use super::status::{self, Facts, Monitoring, says_ready};
use crate::api::stack::Collection;
use crate::api::stack_status::ServerlessStackStatus;
use crate::api::validate::InvalidField;
use crate::api::{Reason, ServerlessStack};
use crate::rules::latency;

/// In whole seconds, as a status holds it: else what we read back would never be what we wrote.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A status that only counts anew, or words it differently, is written as often at most. What a
/// condition says is written at once.
const NUMBERS: Duration = Duration::from_mins(1);

/// Writes the status if it says something new: of what failed, and whether objects were looked at at all, among other
/// things. Returns how long what it says now has to wait, if it does.
pub async fn write_status(
    stack: &ServerlessStack,
    scope: &Scope,
    invalid: &[InvalidField],
    (failed, applied): (&[Error], bool),
    resolved: &Resolved,
    desired: &Desired,
    looked: &Looked,
) -> Result<Option<Duration>, Error> {
    let uid = stack.uid().unwrap_or_default();
    let mut memory = scope.recall(&uid);
    let previous = memory
        .written
        .clone()
        .or_else(|| stack.status.clone())
        .unwrap_or_default();
    let facts = Facts {
        namespace: &stack.namespace().unwrap_or_default(),
        object_name: &object_name(stack),
        generation: stack.metadata.generation,
        suspend: stack.spec.suspend,
        interval: stack.spec.collection.interval(),
        invalid,
        notes: &latency::notes(stack),
        failed,
        applied,
        monitoring: Monitoring {
            service_monitor: resolved
                .service_monitors
                .then(|| resolved.monitor_labels(stack)),
            prometheus_rules: resolved.prometheus_rules,
            route_is_lost: stack.spec.alerts.route.is_some() && !resolved.alertmanager_configs,
            misses_grafana: scope.misses_grafana(),
        },
        config_hash: &desired.config_hash(),
        assignment: Some(&resolved.shards.assignment),
        looked,
    };
    let status = status::judge(&facts, &previous, now());
    // Our own last write, as long as the watch shows the stack as it was before that.
    let shown = match &memory.written_at {
        Some((_, upon)) if *upon == stack.resource_version() => Some(&previous),
        _ => stack.status.as_ref(),
    };
    let turned = !says_the_same(&status, &previous);
    let urgent = turned || shown.is_none_or(|shown| !says_the_same(&status, shown));
    let wait = memory
        .written_at
        .as_ref()
        .map_or(Duration::ZERO, |(at, _)| {
            NUMBERS.saturating_sub(at.elapsed())
        });
    let mut later = None;
    if urgent || (shown != Some(&status) && wait.is_zero()) {
        put_status(scope, &stack.metadata, &status)
            .await
            .map_err(Error::Status)?;
        tell(scope, stack, &previous, &status).await;
        memory.written_at = Some((Instant::now(), stack.resource_version()));
    } else if shown != Some(&status) {
        later = Some(wait);
    }
    if turned || memory.changed.is_none() {
        memory.changed = Some(Instant::now());
    }
    if failed.iter().all(Error::is_refusal) {
        memory.failures = 0;
    }
    memory.settled = says_ready(&status) || stack.spec.suspend || !invalid.is_empty();
    if later.is_none() {
        memory.written = Some(status);
    }
    let newest = looked
        .exporters
        .iter()
        .filter_map(|exporter| exporter.status.as_ref().ok());
    memory.outrun = newest
        .map(|status| status.revision)
        .max()
        .is_some_and(|newest| newest > resolved.shards.assignment.revision);
    scope.remember(&uid, memory);
    Ok(later)
}

/// Whether two statuses differ in numbers and wording at most.
fn says_the_same(some: &ServerlessStackStatus, other: &ServerlessStackStatus) -> bool {
    let said = |status: &ServerlessStackStatus| -> Vec<_> {
        let conditions = status.conditions.iter();
        conditions
            .map(|condition| {
                let (type_, status) = (condition.type_.clone(), condition.status.clone());
                (type_, status, condition.reason.clone())
            })
            .collect()
    };
    some.observed_generation == other.observed_generation && said(some) == said(other)
}

async fn put_status(
    scope: &Scope,
    of: &kube::api::ObjectMeta,
    status: &ServerlessStackStatus,
) -> Result<(), kube::Error> {
    let resource = ApiResource::erase::<ServerlessStack>(&());
    let namespace = of.namespace.clone().unwrap_or_default();
    // Untyped: the answer need not be understood.
    let api: Api<DynamicObject> = Api::namespaced_with(scope.client.clone(), &namespace, &resource);
    let name = of.name.clone().unwrap_or_default();
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        // A stack of the same name that came after this one shall not inherit its status.
        "metadata": {"name": name, "uid": of.uid},
        "status": status,
    });
    match api
        .patch_status(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&patch),
        )
        .await
    {
        Ok(_) => Ok(()),
        // Deleted meanwhile.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// One Event for each change of what Ready says.
async fn tell(
    scope: &Scope,
    stack: &ServerlessStack,
    before: &ServerlessStackStatus,
    after: &ServerlessStackStatus,
) {
    let ready = |status: &ServerlessStackStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == status::READY)
            .cloned()
    };
    let (before, Some(after)) = (ready(before), ready(after)) else {
        return;
    };
    if before.is_some_and(|before| before.status == after.status && before.reason == after.reason) {
        return;
    }
    // On the way to Ready these are no trouble; if they stay, Ready says so.
    let on_the_way = [
        Reason::Progressing,
        Reason::ExporterNotReady,
        Reason::ConfigurationPending,
        Reason::Resharding,
        Reason::Suspended,
    ];
    let normal = after.status == "True"
        || on_the_way
            .iter()
            .any(|reason| reason.as_str() == after.reason);
    publish(
        scope,
        stack,
        if normal {
            EventType::Normal
        } else {
            EventType::Warning
        },
        after.reason,
        &after.message,
    )
    .await;
}

/// Somebody keeps changing an object of the stack's.
pub async fn tell_contested(scope: &Scope, stack: &ServerlessStack, contested: &Contested) {
    let Contested {
        kind,
        name,
        by,
        deleted,
    } = contested;
    let minutes = WITHIN.as_secs() / 60;
    let message = if *deleted {
        format!(
            "{kind} {name} was deleted {MANY} times within {minutes} minutes, and was made anew each time: the API server's audit log says \
             by whom; delete or change the ServerlessStack instead, or take the object out of that tool's hands"
        )
    } else {
        let by = by.as_deref().unwrap_or("somebody");
        format!(
            "{kind} {name} was changed {MANY} times within {minutes} minutes, last by {by}, and was put back each time: \
             change the ServerlessStack instead, or take the object out of that tool's hands"
        )
    };
    publish(
        scope,
        stack,
        EventType::Warning,
        Reason::Contested.as_str().to_owned(),
        &message,
    )
    .await;
}

async fn publish(
    scope: &Scope,
    about: &impl Resource<DynamicType = ()>,
    type_: EventType,
    reason: String,
    message: &str,
) {
    let event = Event {
        type_,
        reason,
        // The API server takes 1 kB, in bytes.
        note: Some(status::shortened(message, 1000)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    // Events are a courtesy: without the right to write them all else works.
    if let Err(error) = scope.recorder.publish(&event, &about.object_ref(&())).await {
        tracing::debug!(%error, "cannot write an Event");
    }
}

/// A stack that this version cannot read, because it was written under another version's schema.
pub async fn report_undecodable(invalid: &InvalidObject, scope: &Scope) {
    let meta = &invalid.metadata;
    let (namespace, name) = (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    );
    let message = format!(
        "this version of the operator cannot read the stack: {}",
        invalid.error
    );
    tracing::warn!(namespace, name, "{message}");
    scope.metrics.failed(Reason::InvalidSpec);
    let field = InvalidField {
        field: "spec".to_owned(),
        message: message.clone(),
    };
    let uid = meta.uid.clone().unwrap_or_default();
    let mut memory = scope.recall(&uid);
    let previous = memory.written.clone().unwrap_or_default();
    let facts = Facts {
        namespace: &namespace,
        object_name: &format!("{name}-exporter"),
        generation: meta.generation,
        suspend: false,
        interval: Collection::default().interval(),
        invalid: &[field],
        notes: &[],
        failed: &[],
        applied: false,
        monitoring: Monitoring::default(),
        config_hash: "",
        assignment: None,
        looked: &Looked::default(),
    };
    let status = status::judge(&facts, &previous, now());
    if status == previous {
        return;
    }
    // The API server may refuse: it compares the whole object with the schema.
    if let Err(error) = put_status(scope, meta, &status).await {
        tracing::debug!(namespace, name, %error, "cannot write the status of a stack that cannot be read");
    }
    let about = ServerlessStack {
        metadata: meta.clone(),
        ..ServerlessStack::new(&name, crate::api::ServerlessStackSpec::default())
    };
    publish(
        scope,
        &about,
        EventType::Warning,
        Reason::InvalidSpec.as_str().to_owned(),
        &message,
    )
    .await;
    memory.written = Some(status);
    scope.remember(&uid, memory);
}
