//! Kinds that a cluster may or may not have, and may get or lose while we run.
//!
//! They never join the controller's own watches: those share one backoff, so that the errors of
//! a kind that is not there would hold up everything else. Discovery needs no permission that
//! not every ServiceAccount has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::apply::{Kind, Meta};
use super::watches::{Owner, backoff, owner_of};

/// The optional kinds that the cluster has.
pub type Served = BTreeSet<Kind>;

/// How often the cluster is asked which kinds it has. One small request for each API group.
const CHECK: Duration = Duration::from_secs(10);

/// Which optional kinds are there, now and from now on. Waits for a first answer.
pub async fn presence(
    client: Client,
    mut stop: watch::Receiver<bool>,
) -> (watch::Receiver<Served>, JoinHandle<()>) {
    let mut pauses = backoff();
    let first = loop {
        match served(&client).await {
            Ok(served) => break served,
            Err(error) => {
                tracing::warn!(%error, "cannot ask which kinds the Kubernetes API serves, trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.next().unwrap_or(CHECK)) => {}
            _ = stop.wait_for(|stop| *stop) => break Served::new(),
        }
    };
    let (sender, receiver) = watch::channel(first);
    let task = tokio::spawn(async move {
        let mut tick = tokio::time::interval(CHECK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match served(&client).await {
                Ok(served) => {
                    sender.send_if_modified(|known| {
                        let changed = *known != served;
                        for kind in known.symmetric_difference(&served) {
                            let served = served.contains(kind);
                            tracing::info!(%kind, served, "an optional kind came or went");
                        }
                        *known = served;
                        changed
                    });
                }
                // What was true a moment ago is the better guess.
                Err(error) => {
                    tracing::debug!(%error, "cannot ask which kinds the Kubernetes API serves");
                }
            }
        }
    });
    (receiver, task)
}

async fn served(client: &Client) -> Result<Served, kube::Error> {
    let mut groups: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for kind in Kind::OPTIONAL {
        let version = kind.resource().api_version;
        groups.entry(version).or_default().push(kind);
    }
    let mut served = Served::new();
    for (version, kinds) in groups {
        match client.list_api_group_resources(&version).await {
            Ok(list) => served.extend(kinds.into_iter().filter(|kind| {
                let name = kind.resource().kind;
                list.resources.iter().any(|resource| resource.kind == name)
            })),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(served)
}

/// Keeps `writer` at what the cluster holds of the kind while it is there, and tells the owners
/// of what changes.
pub async fn follow(
    kind: Kind,
    api: Api<Meta>,
    config: watcher::Config,
    mut writer: Writer<Meta>,
    mut presence: watch::Receiver<Served>,
    owners: mpsc::UnboundedSender<Owner>,
) {
    let mut pauses = backoff();
    loop {
        if presence
            .wait_for(|served| served.contains(&kind))
            .await
            .is_err()
        {
            return;
        }
        let mut events: BoxStream<'_, _> = watcher::watcher(api.clone(), config.clone()).boxed();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                gone = presence.wait_for(|served| !served.contains(&kind)) => match gone {
                    Ok(_) => break,
                    Err(_) => return,
                },
            };
            match event {
                Some(Ok(event)) => {
                    writer.apply_watcher_event(&event);
                    // A failing list begins with Init: it is no sign of success.
                    if !matches!(event, Event::Init) {
                        kube::runtime::utils::Backoff::reset(&mut pauses);
                    }
                    let (Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) =
                        event
                    else {
                        continue;
                    };
                    if let Some(owner) = owner_of(&object.metadata) {
                        // An error means that the controller ended.
                        let _ = owners.send(owner);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%kind, %error, "cannot watch an optional kind, trying again");
                    tokio::time::sleep(pauses.next().unwrap_or(CHECK)).await;
                }
                None => break,
            }
        }
        // A new list replaces what is remembered; until then nothing of the kind exists.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
    }
}
