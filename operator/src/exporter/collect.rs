//! A target's rounds of questions to CloudWatch: each takes over what was answered whole, and
//! leaves everything else for the next one.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::book::Minute;
use super::gates::{self, Look, Sorted};
use super::plan::{self, Batch, Group, Of};
use super::poll;
use super::series::{Stat, rate_window_seconds};
use super::target::{Target, now_seconds, service_of};
use super::watched::Watched;
use crate::api::Reason;
use crate::aws::{AwsError, Clients};
use crate::services::{Metric, ServiceId, Shape, listing};

/// What is active is listed again after so many minutes.
const LISTING_MINUTES: i64 = 5;

/// An interval in whole minutes.
pub(super) fn minutes(interval_seconds: u32) -> i64 {
    i64::from(interval_seconds.div_ceil(60))
}

fn now_precisely() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// What a round of questions came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing was answered.
    Failed,
    /// There is nothing left to ask for now.
    Done,
    /// Some series still lag behind.
    More,
    /// The budget cannot pay for it before so much time has passed.
    Unpaid(Duration),
}

/// What putting questions came to.
#[derive(Debug, Default)]
struct Outcome {
    /// How many were not answered, by service.
    failed: BTreeMap<ServiceId, usize>,
    errors: Vec<AwsError>,
    look: Look,
}

impl Target {
    /// Asks CloudWatch for everything since the last answers, and compares the days that are due.
    pub(super) async fn poll(&mut self, aws: &Clients) -> Round {
        let now = Minute::of(SystemTime::now());
        let terms = self.parts.economy.terms();
        if terms.least_budget.is_some() {
            return Round::Done;
        }
        self.give_up(now);
        self.wake(aws, now).await;
        let latency = &self.config().spec.latency;
        let interval = minutes(terms.interval_seconds);
        let groups = plan::groups(&self.watched, latency, interval, now);
        let (asked, more) = (groups.len(), groups.iter().any(|group| group.span.to < now));
        if let Err(wait) = self.pay(plan::billed_metrics(&groups)) {
            return Round::Unpaid(wait);
        }
        let Sorted { first, waiting } = self.gates.sort(&self.watched, groups, now);
        let mut outcome = Outcome::default();
        self.ask(aws, plan::batches(first), "poll", now, &mut outcome)
            .await;
        self.gates.learn(&outcome.look);
        let opened = self.rule_out(waiting, &outcome.look, now);
        self.ask(aws, plan::batches(opened), "poll", now, &mut outcome)
            .await;
        self.note_poll(&outcome.failed);
        self.try_histograms(aws, now).await;
        let failed = outcome.failed.values().sum::<usize>();
        self.note_errors("poll", outcome.errors);
        if failed == 0 {
            self.compare(aws, now).await;
        }
        if asked > 0 && failed == asked {
            Round::Failed
        } else if more && failed == 0 {
            Round::More
        } else {
            Round::Done
        }
    }

    /// Compares the days that are due with what was counted of them.
    async fn compare(&mut self, aws: &Clients, now: Minute) {
        let audits = plan::audits(&self.watched, now);
        if audits.is_empty() || self.pay(plan::billed_metrics(&audits)).is_err() {
            return;
        }
        let mut outcome = Outcome::default();
        self.ask(aws, plan::batches(audits), "audit", now, &mut outcome)
            .await;
        self.note_errors("audit", outcome.errors);
    }

    /// Tries the rows that are to have histograms and of which it is not known whether they can.
    async fn try_histograms(&mut self, aws: &Clients, now: Minute) {
        let wanted = self.config().spec.latency.histograms.is_some();
        let questions = if wanted {
            self.histograms.questions(&self.watched, now)
        } else {
            Vec::new()
        };
        for question in questions {
            if self.pay(question.billed_metrics()).is_err() {
                break;
            }
            // One that is refused must not take others with it.
            let call = plan::batches(vec![question]);
            for (question, answer) in poll::poll(aws, &self.watched, call).await {
                if let Some((watched, series)) = question.row(&self.watched) {
                    let answer = answer.as_deref();
                    self.histograms.learn(watched, series, answer, now);
                }
            }
        }
        let problems = self.histograms.problems(wanted);
        self.problems.replace("histograms", problems, now_seconds());
    }

    /// Lets those rows have buckets that the stack wants and CloudWatch has.
    pub(super) fn want_buckets(&mut self) {
        let bounds = self.config().spec.latency.bounds();
        let now = Minute::of(SystemTime::now());
        for watched in &mut self.watched {
            let shape = watched.subject.shape.name;
            let can = |metric: &Metric| self.histograms.has(shape, metric.cloudwatch);
            watched.want_buckets(&bounds, can, now);
        }
    }

    fn pay(&self, metrics: u64) -> Result<(), Duration> {
        self.parts.economy.take(metrics, now_precisely())
    }

    /// Looks which of the subjects that have been idle for long CloudWatch lists as active again.
    async fn wake(&mut self, aws: &Clients, now: Minute) {
        let asleep = |watched: &&Watched| {
            watched.subject.shape.pulse().is_some()
                && watched.is_asleep(now)
                && !watched.retired(now)
        };
        if now.0 - self.listed.0 < LISTING_MINUTES || !self.watched.iter().any(|w| asleep(&w)) {
            return;
        }
        self.listed = now;
        let mut shapes: BTreeMap<&str, &'static Shape> = BTreeMap::new();
        for watched in self.watched.iter().filter(asleep) {
            shapes.insert(watched.subject.shape.name, watched.subject.shape);
        }
        for (name, shape) in shapes {
            let Some(pulse) = shape.pulse() else { continue };
            // Without the permission to list, an idle subject is merely seen a little later.
            let Ok(active) =
                listing::recently_active(aws, shape.namespace, pulse, shape.dimensions).await
            else {
                continue;
            };
            let active: HashSet<Vec<String>> = active.into_iter().collect();
            let of_shape = self
                .watched
                .iter_mut()
                .filter(|w| w.subject.shape.name == name);
            for watched in of_shape {
                let values: Vec<String> = watched
                    .subject
                    .values
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                if active.contains(&values) {
                    watched.wake(now);
                }
            }
        }
    }

    /// Takes what waited for nothing where that is sure, and answers what has to be asked after all.
    fn rule_out(&mut self, waiting: Vec<Group>, look: &Look, now: Minute) -> Vec<Group> {
        let mut saved = 0;
        let mut opened = Vec::new();
        for group in waiting {
            let longer = gates::ruled_out_after(look, &self.watched, &group);
            match (longer, group.of) {
                (Some(longer), Of::Row { subject, row }) => {
                    saved += group.billed_metrics();
                    let watched = &mut self.watched[subject];
                    let settle = watched.settle_at(now).back(longer);
                    watched.series[row].rule_out(&group.stats, settle, now);
                }
                _ => opened.push(group),
            }
        }
        self.parts.economy.refund(saved);
        opened
    }

    /// Puts questions and takes over the answers.
    async fn ask(
        &mut self,
        aws: &Clients,
        batches: Vec<Batch>,
        part: &'static str,
        now: Minute,
        outcome: &mut Outcome,
    ) {
        let answers = poll::poll(aws, &self.watched, batches).await;
        // Rows in whose minutes something was found that had been ruled out; and subjects all of whose data were late.
        let (mut suspects, mut late) = (Vec::new(), HashSet::new());
        for (group, points) in answers {
            let points = match points {
                Ok(points) => points,
                Err(error) => {
                    if let Some((watched, series)) = group.row(&self.watched) {
                        let counts = |stat: &Stat| matches!(stat, Stat::Below(_));
                        if error.reason == Reason::InvalidRequest && group.stats.iter().any(counts)
                        {
                            self.histograms.doubt(watched, series);
                        }
                        *outcome.failed.entry(service_of(watched)).or_default() += 1;
                    }
                    if !outcome.errors.contains(&error) {
                        outcome.errors.push(error);
                    }
                    continue;
                }
            };
            outcome.look.take(&self.watched, &group, &points);
            let Of::Row { subject, row } = group.of else {
                continue;
            };
            let watched = &mut self.watched[subject];
            let (id, settle) = (service_of(watched), watched.settle_at(now));
            let series = &mut watched.series[row];
            let folded = if part == "audit" {
                let folded = series.audit(&group.stats, &points, group.span);
                if folded.wrongly_ruled_out {
                    suspects.push((subject, row));
                }
                if folded.corrections > 0
                    && watched.subject.shape.pulse() == Some(series.metric.cloudwatch)
                {
                    late.insert(subject);
                }
                folded
            } else {
                let folded = series.fold(&group.stats, &points, group.span, settle, now);
                watched.note(row, &group.stats, &points, now);
                folded
            };
            let scope = self.scope(id);
            self.parts
                .telemetry
                .folded(&scope, folded.corrections, folded.absurd);
        }
        suspects.retain(|(subject, _)| !late.contains(subject));
        self.distrust(&suspects);
    }

    /// Does not rule these rows out any more: it was wrong.
    fn distrust(&mut self, rows: &[(usize, usize)]) {
        for (subject, row) in rows {
            let watched = &self.watched[*subject];
            let id = service_of(watched);
            if self.gates.distrust(watched, *row) {
                tracing::warn!(
                    region = self.parts.key.1,
                    shape = watched.subject.shape.name,
                    metric = watched.series[*row].metric.cloudwatch,
                    "the daily comparison found something where another series had ruled it out: it is always asked from now on"
                );
            }
            self.parts.telemetry.wrongly_ruled_out(&self.scope(id));
        }
    }

    fn note_errors(&mut self, part: &'static str, errors: Vec<AwsError>) {
        for error in &errors {
            tracing::warn!(region = self.parts.key.1, %error, "a {part} failed in part");
        }
        self.problems.replace(part, errors, now_seconds());
    }

    /// Says what CloudWatch does not have any more, and goes on without it.
    fn give_up(&mut self, now: Minute) {
        let mut most = BTreeMap::new();
        for watched in &mut self.watched {
            let id = service_of(watched);
            for series in &mut watched.series {
                let lost = series.give_up(now);
                let worst: &mut i64 = most.entry(id).or_default();
                *worst = lost.max(*worst);
            }
        }
        for (id, minutes) in most.into_iter().filter(|(_, minutes)| *minutes > 0) {
            tracing::error!(
                region = self.parts.key.1,
                service = id.name(),
                minutes,
                "CloudWatch does not keep data for so long: these minutes are missing in the counters"
            );
            self.parts.telemetry.lost(&self.scope(id), minutes * 60);
        }
    }

    fn note_poll(&mut self, failed: &BTreeMap<ServiceId, usize>) {
        let now = now_seconds();
        let interval = i64::from(self.parts.economy.terms().interval_seconds);
        let rate_window = rate_window_seconds(interval);
        for id in self.services.keys().copied().collect::<Vec<_>>() {
            if failed.contains_key(&id) {
                continue;
            }
            let scope = self.scope(id);
            let service = self.services.entry(id).or_default();
            if service
                .last_poll
                .is_some_and(|last| now - last > 2 * interval + 60)
            {
                self.catching_up_until = now + rate_window;
            }
            service.last_poll = Some(now);
            self.parts.telemetry.polled(&scope, now);
        }
    }

    /// Notes up to which minute all counters of a service are final as they are shown: those too
    /// that were found just now, and those whose start was not seen yet.
    pub(super) fn note_counted(&mut self) {
        let now = Minute::of(SystemTime::now());
        for id in self.services.keys().copied().collect::<Vec<_>>() {
            let of_service = self
                .watched
                .iter()
                .filter(|watched| service_of(watched) == id && !watched.retired(now));
            let through = of_service
                .filter_map(Watched::through)
                .min()
                .map(Minute::start);
            self.services.entry(id).or_default().counted_through = through;
        }
    }
}
