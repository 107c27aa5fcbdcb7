//! One account and region: its loops, its books, its view. It fails alone.

mod books;
mod found;
mod publish;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::book::Minute;
use super::budget::Economy;
use super::checkpoint::Store;
use super::collect::Round;
use super::config::{Config, Current};
use super::discover::{self, Discovered};
use super::gates::Gates;
use super::histograms::Histograms;
use super::inventory::Inventory;
use super::plan::{self, Demand};
use super::problems::Problems;
use super::snapshot::{Publisher, TargetKey};
use super::telemetry::{Scope, Telemetry};
use super::watched::Watched;
use crate::api::Reason;
use crate::api::exporter_status::ServiceStatus;
use crate::aws::{AssumedRole, AwsError, Clients, Clock, Connector, Identity};
use crate::services::ServiceId;

/// How soon the credentials are tried again, at first and at most.
const IDENTITY_RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));
/// How soon a poll that failed as a whole is tried again.
const POLL_RETRY: Duration = Duration::from_secs(30);
/// How soon the next round follows while a backlog is caught up.
const BACKLOG_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether a start was scraped, or a backlog has left the rate windows, while one of the two is
/// waited for; and how often whether the interval became shorter.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Where in a minute polls begin, and over how long a time those of several targets are spread.
const PHASE_MILLIS: u64 = 48_500;
const PHASE_SPREAD_MILLIS: u64 = 6_000;
/// A poll is shifted by so much at most to begin there.
const LONGEST_SHIFT: Duration = Duration::from_secs(30);
/// More subjects are saved and encoded where nobody waits for it.
const MANY_SUBJECTS: usize = 2000;
/// A clock that is wrong by more is told.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);
/// Seconds since the Unix epoch.
pub fn now_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What a target is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Which one it is.
    pub key: TargetKey,
    /// What its role's trust policy asks for.
    pub external_id: Option<String>,
    /// Makes its clients.
    pub connector: Connector,
    /// Where its view goes.
    pub publisher: Arc<Publisher>,
    /// The exporter's own metrics.
    pub telemetry: Telemetry,
    /// The configuration in effect.
    pub config: watch::Receiver<Current>,
    /// Which target watches which account and region: no series is published twice.
    pub claims: Arc<std::sync::Mutex<HashMap<(String, String), TargetKey>>>,
    /// Where the books are kept, if anywhere.
    pub store: Option<Arc<Store>>,
    /// What may be spent.
    pub economy: Arc<Economy>,
}

/// The state of a target; its loops run in [`run`].
#[derive(Debug)]
pub struct Target {
    pub(super) parts: Parts,
    pub(super) identity: Option<Identity>,
    /// Sorted by their keys.
    pub(super) watched: Vec<Watched>,
    /// The resources of each service as they were last found.
    pub(super) inventory: Inventory,
    /// By service: when it was last found, polled, counted.
    pub(super) services: BTreeMap<ServiceId, ServiceStatus>,
    pub(super) last_discovery: Option<i64>,
    /// When the last round that found all of a service began.
    last_found: BTreeMap<ServiceId, Minute>,
    pub(super) problems: Problems,
    pub(super) catching_up_until: i64,
    /// Whether the last view said so.
    said_catching_up: bool,
    /// Whether the last view could be handed in.
    published: bool,
    /// What rules rows out.
    pub(super) gates: Gates,
    /// Shapes and metrics of which it was said that CloudWatch says absurd things.
    pub(super) absurd_said: BTreeSet<(&'static str, &'static str)>,
    /// Which rows can have histograms.
    pub(super) histograms: Histograms,
    /// When it was last looked up what is active.
    pub(super) listed: Minute,
    /// What was listed as active then: hashes of dimensions' values, by shape.
    pub(super) active: BTreeMap<&'static str, HashSet<u64>>,
    /// What time it is at AWS.
    pub(super) clock: Clock,
    /// Why it is not sure that the credentials are still this account's.
    pub(super) doubt: Option<AwsError>,
}

/// Watches an account and region until it is dropped.
pub async fn run(parts: Parts) {
    let key = parts.key.clone();
    let mut target = Target {
        parts,
        identity: None,
        watched: Vec::new(),
        inventory: Inventory::default(),
        services: BTreeMap::new(),
        last_discovery: None,
        last_found: BTreeMap::new(),
        problems: Problems::default(),
        catching_up_until: 0,
        said_catching_up: false,
        published: false,
        gates: Gates::default(),
        absurd_said: BTreeSet::new(),
        histograms: Histograms::default(),
        listed: Minute::default(),
        active: BTreeMap::new(),
        clock: Clock::default(),
        doubt: None,
    };
    while let Err(error) = target.restore() {
        target.note_unread(&error);
        tokio::time::sleep(POLL_RETRY).await;
    }
    target.publish().await;
    let role = key.0.as_deref().map(|arn| AssumedRole {
        arn,
        external_id: target.parts.external_id.as_deref(),
    });
    let aws = target.parts.connector.connect(&key.1, role.as_ref()).await;
    target.clock = aws.clock().clone();
    let identity = target.identify(&aws).await;
    let (sender, found) = mpsc::channel(1);
    // Dropped with this future, and its loop with it.
    let mut discovery = JoinSet::new();
    discovery.spawn(discover::discover(
        aws.clone(),
        identity,
        target.parts.config.clone(),
        sender,
    ));
    target.watch(&aws, found).await;
}

impl Target {
    pub(super) fn config(&self) -> Arc<Config> {
        self.parts.config.borrow().config.clone()
    }

    /// The minute in which AWS is.
    pub(super) fn minute(&self) -> Minute {
        Minute::of(self.clock.now())
    }

    pub(super) fn scope(&self, service: ServiceId) -> Scope {
        Scope {
            aws_service: service.name(),
            account_id: self
                .identity
                .as_ref()
                .map(|i| i.account_id.clone())
                .unwrap_or_default(),
            region: self.parts.key.1.clone(),
        }
    }

    /// Learns the account's number, without which no series can be named.
    async fn identify(&mut self, aws: &Clients) -> Identity {
        let mut pause = IDENTITY_RETRY.0;
        let mut config = self.parts.config.clone();
        loop {
            let suspended = self.config().spec.suspend;
            if !suspended {
                let error = match aws.identity().await {
                    Ok(identity) => match self.claim(&identity) {
                        Ok(()) => {
                            self.problems.replace("identity", Vec::new(), now_seconds());
                            self.settle_identity(&identity);
                            self.publish().await;
                            return identity;
                        }
                        Err(error) => error,
                    },
                    Err(error) => error,
                };
                tracing::warn!(region = self.parts.key.1, role = self.parts.key.0, %error, "no account yet");
                self.problems
                    .replace("identity", vec![error], now_seconds());
                self.publish().await;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(IDENTITY_RETRY.1),
                // It may have been suspended until now.
                _ = config.changed() => pause = IDENTITY_RETRY.0,
            }
        }
    }

    fn claim(&self, identity: &Identity) -> Result<(), AwsError> {
        let mut claims = self
            .parts
            .claims
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let pair = (identity.account_id.clone(), self.parts.key.1.clone());
        let owner = claims.entry(pair).or_insert_with(|| self.parts.key.clone());
        if *owner == self.parts.key {
            return Ok(());
        }
        Err(AwsError::new(
            Reason::InvalidSpec,
            "sts:GetCallerIdentity",
            format!(
                "account {} is in spec.accounts twice, under two identities: it is watched once. Remove one of them.",
                identity.account_id
            ),
        ))
    }

    async fn watch(&mut self, aws: &Clients, mut found: mpsc::Receiver<Discovered>) {
        let mut config = self.parts.config.clone();
        let mut next_poll = None;
        let mut polled = Instant::now();
        loop {
            let poll_at = next_poll.unwrap_or_else(|| Instant::now() + Duration::from_hours(24));
            let waits = self.said_catching_up || self.watched.iter().any(Watched::held);
            let look = if waits { LOOK_EVERY.0 } else { LOOK_EVERY.1 };
            tokio::select! {
                discovered = found.recv() => {
                    let Some(discovered) = discovered else { return };
                    let news = self.take(discovered);
                    if self.parts.economy.terms().budget.is_some() {
                        // What was found must be within it before it is asked for.
                        self.note_demand();
                    }
                    // Most rounds find what the one before found.
                    if news || !self.published {
                        self.publish().await;
                    } else {
                        self.tell();
                    }
                    // The first poll tells at once whether CloudWatch can be read.
                    next_poll.get_or_insert_with(Instant::now);
                }
                () = tokio::time::sleep_until(poll_at), if next_poll.is_some() => {
                    let suspended = self.config().spec.suspend;
                    polled = Instant::now();
                    let round = if suspended { Round::Done } else { self.poll(aws).await };
                    self.note_demand();
                    self.note_clock();
                    self.publish().await;
                    let interval = self.interval();
                    let next = match round {
                        // The cadence does not drift by the time that a poll takes.
                        Round::Done => self.in_phase(poll_at + interval),
                        Round::Failed => poll_at + interval.min(POLL_RETRY),
                        Round::More => poll_at + BACKLOG_PAUSE,
                        Round::Unpaid(wait) => poll_at + wait.max(BACKLOG_PAUSE),
                    };
                    next_poll = Some(next.max(Instant::now() + Duration::from_secs(1)));
                }
                changed = config.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    config.mark_unchanged();
                    self.note_demand();
                    self.publish().await;
                }
                () = tokio::time::sleep(look) => {
                    // The interval may have become shorter.
                    let latest = polled + self.interval() + LONGEST_SHIFT;
                    next_poll = next_poll.map(|at| at.min(latest));
                    if self.start_was_seen() || self.said_catching_up != self.catching_up() {
                        self.publish().await;
                    }
                }
            }
        }
    }

    /// The moment next to `at` that has the right place in a minute of AWS's clock.
    ///
    /// CloudWatch has nearly all of a minute about 168 seconds after its end. A poll shortly after such a
    /// moment finds the newest minute that it can find; one a little before would find it a minute later. Not all
    /// targets poll in the same second.
    fn in_phase(&self, at: Instant) -> Instant {
        let mut hasher = DefaultHasher::new();
        self.parts.key.hash(&mut hasher);
        let phase = PHASE_MILLIS + hasher.finish() % PHASE_SPREAD_MILLIS;
        let aws = self.clock.now() + at.saturating_duration_since(Instant::now());
        let since = aws.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis() % 60_000).unwrap_or(0);
        let later = Duration::from_millis((phase + 60_000 - millis) % 60_000);
        if later > LONGEST_SHIFT {
            at + later - Duration::from_mins(1)
        } else {
            at + later
        }
    }

    /// How often is polled now.
    fn interval(&self) -> Duration {
        Duration::from_secs(self.parts.economy.terms().interval_seconds.into())
    }

    /// Says what polling costs, at each interval that the budget may come to.
    fn note_demand(&self) {
        let (config, now) = (self.config(), self.minute());
        let economy = &self.parts.economy;
        let demand = if config.spec.suspend {
            Demand::default()
        } else {
            let latency = &config.spec.latency;
            plan::demand(&self.watched, &self.gates, latency, &economy.rungs(), now)
        };
        economy.demand(&self.parts.key, demand);
    }

    /// Says so while this machine's clock is wrong.
    fn note_clock(&mut self) {
        let wrong = self.clock.wrong_by();
        let most = i64::try_from(CLOCK_TOLERANCE.as_secs()).unwrap_or(0);
        let (seconds, way) = (wrong.abs(), if wrong > 0 { "ahead" } else { "behind" });
        let problem = (seconds > most).then(|| {
            AwsError::new(
                Reason::ClockSkewed,
                "clock",
                format!(
                    "the node's clock is {seconds} s {way} of AWS's: minutes are counted by AWS's, but timestamps of \
                     the exporter's own are wrong. Let the node synchronise its clock."
                ),
            )
        });
        let problems = problem.into_iter().collect();
        self.problems.replace("clock", problems, now_seconds());
    }

    /// Whether a backlog was added so lately that rules must not judge.
    pub(super) fn catching_up(&self) -> bool {
        now_seconds() < self.catching_up_until
    }

    /// Does what takes long when there is much of it. Others of this thread go on elsewhere then.
    fn heavy<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.watched.len() > MANY_SUBJECTS {
            tokio::task::block_in_place(work)
        } else {
            work()
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let most = u64::try_from(self.config().spec.collection.max_series).unwrap_or(0);
        self.parts.publisher.publish(&self.parts.key, None, most);
        self.parts.economy.leave(&self.parts.key);
        for id in self.services.keys() {
            self.parts.telemetry.forget(&self.scope(*id));
        }
        let mut claims = self
            .parts
            .claims
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        claims.retain(|_, owner| *owner != self.parts.key);
    }
}
