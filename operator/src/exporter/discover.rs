//! The slow loop of one account and region: which resources belong to the stack now.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::book::Minute;
use super::config::Current;
use super::membership::{Membership, Resolver};
use crate::api::ServerlessStackSpec;
use crate::aws::{AwsError, Clients, Identity};
use crate::services::found::Found;
use crate::services::memory::Memory;
use crate::services::{Look, ServiceId, Wanted};

/// How soon a look-up that failed is tried again, at first; it doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(10);

/// What one round found.
#[derive(Debug)]
pub struct Discovered {
    /// When the round began: what is new in it is counted from here on at the latest.
    pub began: Minute,
    /// The services that the stack watches.
    pub wanted: Vec<ServiceId>,
    /// What each service answered; nothing of those that were not asked.
    pub services: Vec<(ServiceId, Result<Found, AwsError>)>,
    /// Why it is not known for certain what belongs to the stack.
    pub problems: Vec<AwsError>,
    /// With the tags of what was found.
    pub membership: Membership,
}

impl Discovered {
    fn failed(&self) -> bool {
        !self.problems.is_empty() || self.services.iter().any(|(_, found)| found.is_err())
    }
}

/// The services that a stack watches.
pub fn services(spec: &ServerlessStackSpec) -> Vec<ServiceId> {
    let wanted = |id: &ServiceId| spec.services.is_empty() || spec.services.contains_key(id.name());
    ServiceId::ALL.into_iter().filter(wanted).collect()
}

/// How long it pauses after so many rounds that failed one after the other.
fn pause_after(failures: u32, interval: Duration) -> Duration {
    let Some(again) = failures.checked_sub(1) else {
        return interval;
    };
    FIRST_RETRY
        .saturating_mul(2_u32.saturating_pow(again))
        .min(interval)
}

/// Looks for ever; ends when nobody listens any more.
pub async fn discover(
    aws: Clients,
    identity: Identity,
    mut config: watch::Receiver<Current>,
    found: mpsc::Sender<Discovered>,
) {
    let mut resolver = Resolver::default();
    let mut memory = Memory::default();
    // Whether the credentials were still this account's when they were last used.
    let mut sure = true;
    let mut failures = 0;
    loop {
        let current = config.borrow_and_update().config.clone();
        let mut pause = Duration::from(current.spec.collection.discovery_interval);
        if !current.spec.suspend {
            let now = if sure {
                Ok(())
            } else {
                aws.are_of(&identity).await
            };
            let round = match now {
                Ok(()) => {
                    let aws = aws.afresh();
                    let spec = &current.spec;
                    let round = round(&aws, &identity, &mut resolver, &memory, spec).await;
                    aws.were_of(&identity).await.map(|()| round)
                }
                Err(error) => Err(error),
            };
            sure = round.is_ok();
            let round = round.unwrap_or_else(|error| {
                // Another account's resources of the same names are not these; nor is what is remembered of them.
                resolver = Resolver::default();
                memory = Memory::default();
                Discovered {
                    began: Minute::of(aws.clock().now()),
                    wanted: services(&current.spec),
                    services: Vec::new(),
                    problems: vec![error],
                    membership: Membership::default(),
                }
            });
            failures = if round.failed() { failures + 1 } else { 0 };
            pause = pause_after(failures, pause);
            if found.send(round).await.is_err() {
                return;
            }
        }
        // Many exporters that were started together shall not ask together for ever.
        let jitter = pause.mul_f64(fastrand::f64() * 0.1);
        // A file that cannot be used changes nothing of what runs.
        let other = |now: &Current| !Arc::ptr_eq(&now.config, &current);
        tokio::select! {
            () = tokio::time::sleep(pause + jitter) => {}
            changed = config.wait_for(other) => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Looks once.
pub async fn round(
    aws: &Clients,
    identity: &Identity,
    resolver: &mut Resolver,
    memory: &Memory,
    spec: &ServerlessStackSpec,
) -> Discovered {
    let began = Minute::of(aws.clock().now());
    let wanted = services(spec);
    memory.begin();
    let (membership, problems) = resolver.resolve(aws, spec, &wanted).await;
    let looked_at: &[ServiceId] = if membership.is_some() { &wanted } else { &[] };
    let membership = membership.unwrap_or_default();
    let looks = looked_at.iter().map(|id| async {
        let wanted = Wanted::new(id.service(), spec.services.get(id.name()));
        let look = Look {
            aws,
            identity,
            members: &membership,
            wanted: &wanted,
            memory,
        };
        (*id, id.discover(&look).await)
    });
    let services = futures::future::join_all(looks).await;
    Discovered {
        began,
        wanted,
        services,
        problems,
        membership,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_look_up_is_tried_again_ever_later_for_days_on_end() {
        let interval = Duration::from_mins(5);
        let pauses: Vec<u64> = (0..=6)
            .map(|failures| pause_after(failures, interval).as_secs())
            .collect();
        assert_eq!(pauses, [300, 10, 20, 40, 80, 160, 300]);
        for failures in 7..2000 {
            assert_eq!(pause_after(failures, interval), interval);
        }
    }
}
