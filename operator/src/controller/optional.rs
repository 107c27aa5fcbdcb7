//! Kinds that a cluster may or may not have, and may get or lose while we run.
//!
//! Watched as any other kind ([`super::trouble`]), but only while they are there. Discovery needs no permission that
//! not every ServiceAccount has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::apply::{Kind, Meta, compact};
use super::trouble::{self, ShortBackoff, Trouble, innermost};
use super::watches::{Owner, owner_of};

/// The optional kinds that the cluster has.
pub type Served = BTreeSet<Kind>;

/// How often the cluster is asked which kinds it has. One small request for each API group.
const CHECK: Duration = Duration::from_secs(10);

/// How long the answer may take, at first and at most: what hangs is asked anew, and what is slow gets twice the time.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(40));

/// Keeps `known` at those of the kinds that are there; none are known until a first answer. Never
/// ends.
pub async fn presence(kinds: Vec<Kind>, client: Client, known: watch::Sender<Option<Served>>) {
    let mut pauses = ShortBackoff::default();
    let mut told = None;
    let mut patience = PATIENCE.0;
    loop {
        let answer = if let Ok(answer) = timeout(patience, served(&kinds, &client)).await {
            answer.map_err(|error| innermost(&error))
        } else {
            let waited = patience.as_secs();
            patience = (patience * 2).min(PATIENCE.1);
            Err(format!("no answer within {waited} seconds"))
        };
        match answer {
            Ok(served) => {
                told = None;
                pauses.reset();
                known.send_if_modified(|known| {
                    let before = known.replace(served);
                    changes(before.as_ref(), known.as_ref())
                });
            }
            // What was true a moment ago is the better guess.
            Err(error) => {
                if told.as_ref() != Some(&error) {
                    tracing::warn!(
                        error,
                        "cannot ask which kinds the Kubernetes API serves, trying again"
                    );
                    told = Some(error);
                }
            }
        }
        sleep(if known.borrow().is_some() {
            CHECK
        } else {
            pauses.pause()
        })
        .await;
    }
}

/// Whether anything is different, and tells of it.
fn changes(before: Option<&Served>, now: Option<&Served>) -> bool {
    let empty = Served::new();
    let (known, served) = (before.unwrap_or(&empty), now.unwrap_or(&empty));
    for kind in known.symmetric_difference(served) {
        let served = served.contains(kind);
        tracing::info!(%kind, served, "an optional kind came or went");
    }
    before != now
}

async fn served(asked: &[Kind], client: &Client) -> Result<Served, kube::Error> {
    let mut groups: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for &kind in asked {
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
/// of what changes. Ends when nobody listens any more.
pub async fn follow(
    kind: Kind,
    api: Api<Meta>,
    config: watcher::Config,
    mut writer: Writer<Meta>,
    mut presence: watch::Receiver<Option<Served>>,
    owners: mpsc::UnboundedSender<Owner>,
    mut trouble: Trouble,
) {
    let has_it = |served: &Option<Served>| served.as_ref().map(|served| served.contains(&kind));
    let mut pauses = ShortBackoff::default();
    loop {
        let there = match presence.wait_for(Option::is_some).await {
            Ok(served) => has_it(&served) == Some(true),
            Err(_) => return,
        };
        if !there {
            // A new list replaces what is remembered; until then nothing of the kind exists.
            writer.apply_watcher_event(&Event::Init);
            writer.apply_watcher_event(&Event::InitDone);
        }
        let come = presence.wait_for(|served| has_it(served) == Some(true));
        if come.await.is_err() {
            return;
        }
        let events = trouble::events(api.clone(), config.clone());
        let mut events: BoxStream<'_, _> =
            events.modify(|meta| compact(&mut meta.metadata)).boxed();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                gone = presence.wait_for(|served| has_it(served) == Some(false)) => match gone {
                    Ok(_) => break,
                    Err(_) => return,
                },
            };
            match event {
                Some(Ok(event)) => {
                    writer.apply_watcher_event(&event);
                    // A failing list begins with Init: it is no sign of success.
                    if !matches!(event, Event::Init) {
                        pauses.reset();
                        trouble.is_over();
                    }
                    let (Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) =
                        event
                    else {
                        continue;
                    };
                    if let Some(owner) = owner_of(&object.metadata)
                        && owners.send(owner).is_err()
                    {
                        return;
                    }
                }
                Some(Err(error)) => {
                    trouble.tell(&error);
                    sleep(pauses.pause()).await;
                }
                None => break,
            }
        }
    }
}
