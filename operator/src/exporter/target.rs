//! One account and region: its loops, its books, its view. It fails alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::book::Minute;
use super::budget::Economy;
use super::checkpoint::{self, Books, Header, Store};
use super::collect::Round;
use super::config::{Config, Current};
use super::discover::{self, Discovered};
use super::gates::Gates;
use super::histograms::Histograms;
use super::inventory::Inventory;
use super::plan::{self, Demand};
use super::problems::Problems;
use super::series::rate_window_seconds;
use super::snapshot::{Publisher, TargetKey};
use super::telemetry::{Scope, Telemetry};
use super::view;
use super::watched::Watched;
use crate::api::Reason;
use crate::api::exporter_status::ServiceStatus;
use crate::aws::{AssumedRole, AwsError, Clients, Clock, Connector, Identity};
use crate::services::ServiceId;
use crate::services::found::{Found, SubjectKey};
use crate::services::listing::LISTING_DELAY_MINUTES;

/// How soon the credentials are tried again, at first and at most.
const IDENTITY_RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));
/// How soon a poll that failed as a whole is tried again.
const POLL_RETRY: Duration = Duration::from_secs(30);
/// How soon the next round follows while a backlog is caught up.
const BACKLOG_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether a start was scraped.
const START_CHECK: Duration = Duration::from_secs(1);
/// Where in a minute polls begin, and over how long a time those of several targets are spread.
const PHASE_MILLIS: u64 = 48_500;
const PHASE_SPREAD_MILLIS: u64 = 6_000;
/// A poll is shifted by so much at most to begin there.
const LONGEST_SHIFT: Duration = Duration::from_secs(30);
/// More subjects are saved and encoded where nobody waits for it.
const MANY_SUBJECTS: usize = 2000;
/// A clock that is wrong by more is told.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);
/// How long the books of a resource that is gone are kept, in minutes.
const KEEP_BOOKS_MINUTES: i64 = 24 * 60;

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
        let mut tick = tokio::time::interval(START_CHECK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let poll_at = next_poll.unwrap_or_else(|| Instant::now() + Duration::from_hours(24));
            tokio::select! {
                discovered = found.recv() => {
                    let Some(discovered) = discovered else { return };
                    self.take(discovered);
                    if self.parts.economy.terms().budget.is_some() {
                        // What was found must be within it before it is asked for.
                        self.note_demand();
                    }
                    self.publish().await;
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
                _ = tick.tick() => {
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

    /// Takes over what discovery found. What it could not find out stays as it was.
    fn take(&mut self, round: Discovered) {
        let now = now_seconds();
        let mut all_found = round.problems.is_empty();
        let members_known = round.problems.is_empty();
        self.problems.replace("membership", round.problems, now);
        let wanted = round.wanted;
        self.inventory.keep(&wanted);
        for id in self
            .services
            .keys()
            .copied()
            .filter(|id| !wanted.contains(id))
            .collect::<Vec<_>>()
        {
            self.parts.telemetry.forget(&self.scope(id));
            self.services.remove(&id);
            // Should it come back, it is counted from then on: what was shown of it before is not counted again.
            self.last_found.remove(&id);
            self.problems.replace(id.name(), Vec::new(), now);
        }
        for (id, found) in round.services {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    all_found = false;
                    self.problems.replace(id.name(), vec![error], now);
                    continue;
                }
            };
            let complete = members_known && found.complete();
            all_found &= complete;
            self.merge(id, &found, round.began, complete);
            self.inventory
                .take(id, found.resources, complete, &round.membership);
            let problems = found.problems.into_iter().chain(found.lesser).collect();
            self.problems.replace(id.name(), problems, now);
            // What an incomplete round missed will be counted from the last complete one on.
            let since = self.last_found.entry(id).or_insert(round.began);
            if complete {
                *since = round.began;
            }
            let count = self.inventory.count(id);
            self.services.entry(id).or_default().resources = count;
            let scope = self.scope(id);
            self.parts.telemetry.found(&scope, count);
            if complete {
                self.parts.telemetry.discovered(&scope, now);
            }
        }
        if all_found {
            self.last_discovery = Some(now);
        }
        // A service that the stack does not watch any more is gone at once.
        let now = self.minute();
        self.watched.retain(|watched| {
            let of_wanted = wanted.iter().any(|id| {
                id.service()
                    .shapes
                    .iter()
                    .any(|s| s.name == watched.subject.shape.name)
            });
            of_wanted
                && watched
                    .missing
                    .is_none_or(|(_, since)| now.0 - since.0 < KEEP_BOOKS_MINUTES)
        });
        self.watched.sort_by_cached_key(Watched::key);
    }

    fn merge(&mut self, id: ServiceId, found: &Found, began: Minute, complete: bool) {
        let mut places: HashMap<SubjectKey, usize> = self
            .watched
            .iter()
            .enumerate()
            .map(|(place, watched)| (watched.key(), place))
            .collect();
        // What was not there when it was last looked for is counted from then on.
        let last = self.last_found.get(&id).copied();
        let listed = last.map_or(began, |last| last.back(LISTING_DELAY_MINUTES));
        let known = complete && found.lesser.is_empty();
        for subject in found
            .resources
            .iter()
            .flat_map(|resource| &resource.subjects)
        {
            if let Some(place) = places.remove(&subject.key()) {
                self.watched[place].update(subject.clone(), listed, began, known);
            } else {
                let from = if subject.shape.listed {
                    listed
                } else {
                    last.unwrap_or(began)
                };
                self.watched.push(Watched::new(subject.clone(), from));
            }
        }
        if complete {
            for (key, place) in places {
                let of_service = id.service().shapes.iter().any(|shape| shape.name == key.0);
                if of_service && !found.unknown.contains(&key.0) {
                    let missing = &mut self.watched[place].missing;
                    *missing =
                        Some(missing.map_or((1, began), |(rounds, since)| (rounds + 1, since)));
                }
            }
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

    fn start_was_seen(&mut self) -> bool {
        let (scraped, now, interval) = (
            self.parts.publisher.scraped(),
            now_unsigned(),
            self.scrape_interval(),
        );
        let mut seen = false;
        for watched in self.watched.iter_mut().filter(|watched| watched.held()) {
            watched.show(scraped, now, interval);
            seen |= !watched.held();
        }
        seen
    }

    fn scrape_interval(&self) -> u64 {
        self.config()
            .spec
            .monitoring
            .scrape_interval()
            .as_secs()
            .into()
    }

    /// Saves the books, and then hands in the view of now. What cannot be saved is not shown: a
    /// restart would not know of it.
    async fn publish(&mut self) {
        let (scraped, now, interval) = (
            self.parts.publisher.scraped(),
            now_unsigned(),
            self.scrape_interval(),
        );
        self.want_buckets();
        self.said_catching_up = self.catching_up();
        for watched in &mut self.watched {
            watched.show(scraped, now, interval);
        }
        let publisher = self.parts.publisher.clone();
        if !self.save().await {
            publisher.note_status(&self.parts.key, view::status(self));
            return;
        }
        self.note_counted();
        let most = u64::try_from(self.config().spec.collection.max_series).unwrap_or(0);
        let (snapshot, subjects) = self.heavy(|| {
            let view = view::view(self);
            publisher.publish(&self.parts.key, Some(view), most)
        });
        self.note_room(snapshot, subjects, now);
    }

    /// Notes what is in a snapshot: the first so many subjects. What there was no room for was not announced, and is
    /// not asked for.
    fn note_room(&mut self, snapshot: u64, subjects: usize, now: u64) {
        let minute = self.minute();
        let alive = self
            .watched
            .iter_mut()
            .filter(|watched| !watched.retired(minute));
        let mut comes_back = false;
        for (place, watched) in alive.enumerate() {
            let left_out = place >= subjects;
            comes_back |= watched.left_out && !left_out;
            watched.left_out = left_out;
            if !left_out {
                watched.announced(snapshot, now);
            }
        }
        if comes_back {
            // The next poll brings what has happened in the meantime at once.
            let interval = i64::try_from(self.interval().as_secs()).unwrap_or(0);
            let until = now_seconds() + interval + rate_window_seconds(interval);
            self.catching_up_until = self.catching_up_until.max(until);
        }
    }

    /// Does what takes long when there is much of it. Others of this thread go on elsewhere then.
    fn heavy<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.watched.len() > MANY_SUBJECTS {
            tokio::task::block_in_place(work)
        } else {
            work()
        }
    }

    /// Takes over the books of the process before this one. Fails while they cannot be read.
    fn restore(&mut self) -> std::io::Result<()> {
        let Some(store) = &self.parts.store else {
            return Ok(());
        };
        let Some((header, books)) = store.load(&self.parts.key)? else {
            return Ok(());
        };
        tracing::info!(
            account_id = header.account_id,
            region = self.parts.key.1,
            subjects = books.subjects.len(),
            "going on with the books that were kept"
        );
        self.identity = Some(Identity {
            account_id: header.account_id,
            partition: header.partition,
        });
        self.catching_up_until = books.catching_up_until;
        self.gates = Gates::restored(books.gates);
        self.histograms = Histograms::working(&books.histograms);
        if let Some(bucket) = books.bucket {
            self.parts.economy.restore(bucket);
        }
        for (name, at) in books.last_found {
            if let Some(id) = ServiceId::from_name(&name) {
                self.last_found.insert(id, at);
            }
        }
        for (name, at) in books.last_poll {
            if let Some(id) = ServiceId::from_name(&name) {
                self.services.entry(id).or_default().last_poll = Some(at);
            }
        }
        // Else nobody could tell how long CloudWatch has not answered if it does not now.
        for id in ServiceId::ALL {
            let polled = self.services.get(&id).and_then(|service| service.last_poll);
            let found = self.last_found.get(&id).map(|at| at.start());
            self.parts
                .telemetry
                .remembered(&self.scope(id), polled, found);
        }
        let restored = books.subjects.into_iter().filter_map(Watched::restore);
        self.watched = restored.collect();
        self.watched.sort_by_cached_key(Watched::key);
        Ok(())
    }

    /// Says that the books cannot be read. Without them nothing is published, so that no counter begins anew.
    fn note_unread(&mut self, error: &std::io::Error) {
        tracing::error!(region = self.parts.key.1, %error, "the books cannot be read");
        let problem = AwsError::new(
            Reason::StateNotSaved,
            "checkpoint",
            format!(
                "the books cannot be read ({error}), so nothing is published until they can be. Mend the disk of \
                 --state-dir (spec.exporter.storage), or remove the file: its counters then begin at 0."
            ),
        );
        self.problems.replace("books", vec![problem], now_seconds());
        self.parts
            .publisher
            .note_status(&self.parts.key, view::status(self));
    }

    /// Takes over whose credentials these are. Books of another account are of no use.
    fn settle_identity(&mut self, identity: &Identity) {
        let kept = self.identity.replace(identity.clone());
        if kept.is_none_or(|kept| kept == *identity) {
            return;
        }
        tracing::warn!(
            account_id = identity.account_id,
            region = self.parts.key.1,
            "the credentials are another account's now: its counters begin at 0"
        );
        self.watched.clear();
        self.services.clear();
        self.last_found.clear();
        self.gates = Gates::default();
        self.histograms = Histograms::default();
        if let Some(store) = &self.parts.store {
            store.forget(&self.parts.key);
            // There is nothing left to be loaded: what comes now may be saved.
            let _ = store.load(&self.parts.key);
        }
    }

    /// Writes the books to the disk. False if that failed.
    async fn save(&mut self) -> bool {
        let (Some(store), Some(identity)) = (&self.parts.store, &self.identity) else {
            return true;
        };
        let header = Header {
            stack: store.stack().to_owned(),
            key: self.parts.key.clone(),
            account_id: identity.account_id.clone(),
            partition: identity.partition.clone(),
        };
        let last_poll = |(id, status): (&ServiceId, &ServiceStatus)| {
            Some((id.name().to_owned(), status.last_poll?))
        };
        let books = Books {
            last_found: self
                .last_found
                .iter()
                .map(|(id, at)| (id.name().to_owned(), *at))
                .collect(),
            last_poll: self.services.iter().filter_map(last_poll).collect(),
            catching_up_until: self.catching_up_until,
            histograms: self.histograms.works(),
            gates: self.gates.saved().clone(),
            bucket: self.parts.economy.saved(),
            subjects: self.watched.iter().map(Watched::saved).collect(),
        };
        let bytes = self.heavy(|| checkpoint::encode(&header, &books));
        let store = store.clone();
        let saved = tokio::task::spawn_blocking(move || store.save(&header, &bytes)).await;
        let error = match saved {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        self.parts.telemetry.saved(now_seconds(), error.is_some());
        let problem = |error: String| {
            tracing::error!(
                region = self.parts.key.1,
                error,
                "the books cannot be written"
            );
            AwsError::new(
                Reason::StateNotSaved,
                "checkpoint",
                format!(
                    "the books cannot be written ({error}), so the last data that could be are served. \
                     Make room in the folder of --state-dir (spec.exporter.storage)."
                ),
            )
        };
        let problems: Vec<_> = error.map(problem).into_iter().collect();
        let failed = !problems.is_empty();
        self.problems.replace("books", problems, now_seconds());
        !failed
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

fn now_unsigned() -> u64 {
    now_seconds().unsigned_abs()
}
