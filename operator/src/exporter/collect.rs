//! A target's rounds of questions to CloudWatch: each takes over what was answered whole, and
//! leaves everything else for the next one.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, UNIX_EPOCH};

use super::book::Minute;
use super::gates::{Look, Sorted};
use super::plan::{self, Batch, Group, Of};
use super::poll::{self, ACTION, Answered};
use super::series::{Folded, Stat, rate_window_seconds};
use super::target::{Target, now_seconds};
use super::watched::Watched;
use crate::api::Reason;
use crate::aws::{AwsError, Clients};
use crate::services::table::{Metric, Shape};
use crate::services::{ServiceId, listing};

/// Calls that are under way at once: more of them when there are many, so that a poll is over within its interval.
const LEAST_AT_ONCE: usize = 4;
const MOST_AT_ONCE: usize = 24;
const CALLS_EACH: usize = 50;
/// What is active is listed again after so many minutes.
const LISTING_MINUTES: i64 = 5;

/// An interval in whole minutes.
pub(super) fn minutes(interval_seconds: u32) -> i64 {
    i64::from(interval_seconds.div_ceil(60))
}

fn hash(values: &[impl AsRef<str>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in values {
        value.as_ref().hash(&mut hasher);
    }
    hasher.finish()
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
    /// What was not answered: subjects and rows.
    failed: HashSet<(usize, usize)>,
    errors: Vec<AwsError>,
    look: Look,
}

impl Target {
    /// Asks CloudWatch for everything since the last answers, and compares the days that are due.
    pub(super) async fn poll(&mut self, aws: &Clients) -> Round {
        let now = self.minute();
        let terms = self.parts.economy.terms();
        if terms.least_budget.is_some() {
            return Round::Done;
        }
        // What nobody may count need not be paid for.
        if let Some(identity) = &self.identity
            && self.doubt.is_some()
        {
            self.doubt = aws.are_of(identity).await.err();
            if let Some(error) = self.doubt.clone() {
                self.note_errors("poll", vec![error]);
                return Round::Failed;
            }
        }
        self.give_up(now);
        let latency = &self.config().spec.latency;
        let interval = minutes(terms.interval_seconds);
        let groups = plan::groups(&self.watched, latency, interval, now);
        let asked = groups.len();
        if let Some(step) = groups.iter().map(|group| group.span.bin).max()
            && step > 1
        {
            tracing::info!(
                region = self.parts.key.1,
                minutes = step,
                "a long backlog is fetched in steps of so many minutes: no count is lost, but when in a step it was"
            );
        }
        let lags = |group: &&Group| group.span.to < now;
        let lagging: Vec<Of> = groups.iter().filter(lags).map(|group| group.of).collect();
        let Sorted { first, waiting } = self.gates.sort(&self.watched, groups, now);
        let price = plan::billed_metrics(&first) + plan::billed_metrics(&waiting);
        let unpaid = self.pay(price).err();
        self.note_unpaid(unpaid);
        if let Some(wait) = unpaid {
            return Round::Unpaid(wait);
        }
        let mut outcome = Outcome::default();
        self.ask(aws, plan::batches(first), "poll", now, &mut outcome)
            .await;
        self.gates.learn(&outcome.look, now);
        let opened = self.rule_out(waiting, &outcome.look, now);
        self.ask(aws, plan::batches(opened), "poll", now, &mut outcome)
            .await;
        self.note_poll(&outcome.failed);
        self.try_histograms(aws, now).await;
        self.note_errors("poll", outcome.errors);
        let failed = outcome.failed;
        self.compare(aws, now, &failed).await;
        self.wake(aws, now).await;
        let goes_on = |of: &Of| match of {
            Of::Row { subject, row } => !failed.contains(&(*subject, *row)),
            Of::Region(_) => false,
        };
        if asked > 0 && failed.len() == asked {
            Round::Failed
        } else if lagging.iter().any(goes_on) {
            Round::More
        } else {
            Round::Done
        }
    }

    /// Compares the days that are due with what was counted of them, but for the rows that could not be read just now.
    async fn compare(&mut self, aws: &Clients, now: Minute, failed: &HashSet<(usize, usize)>) {
        let mut audits = plan::audits(&self.watched, now);
        audits.retain(|group| match group.of {
            Of::Row { subject, row } => !failed.contains(&(subject, row)),
            Of::Region(_) => false,
        });
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
            for (question, answer) in poll::poll(aws, &self.watched, call, 1, "probe").await {
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
        let now = self.minute();
        for watched in &mut self.watched {
            let shape = watched.subject.shape.name;
            let can = |metric: &Metric| self.histograms.has(shape, metric.cloudwatch);
            watched.want_buckets(&bounds, can, now);
        }
    }

    fn pay(&self, metrics: u64) -> Result<(), Duration> {
        // By AWS's clock: one that somebody sets would bring what was not saved.
        let now = self.clock.now().duration_since(UNIX_EPOCH);
        self.parts
            .economy
            .take(metrics, now.unwrap_or_default().as_secs_f64())
    }

    /// Says so while a poll waits for what the budget brings.
    fn note_unpaid(&mut self, unpaid: Option<Duration>) {
        let problem = unpaid.map(|_| {
            AwsError::new(
                Reason::BudgetStretched,
                ACTION,
                "the next poll waits until spec.collection.budgetUsdPerMonth can pay for it: a backlog, polls that \
                 failed, or a change of what is watched have used up what was saved"
                    .to_owned(),
            )
        });
        let problems = problem.into_iter().collect();
        self.problems.replace("budget", problems, now_seconds());
    }

    /// Looks which of the subjects that have been idle for long CloudWatch lists as active again. It comes after the
    /// questions, which wait for nothing.
    async fn wake(&mut self, aws: &Clients, now: Minute) {
        let mut shapes: BTreeMap<&str, &'static Shape> = BTreeMap::new();
        if now.0 - self.listed.0 >= LISTING_MINUTES {
            let asleep = |one: &&Watched| one.is_asleep(now) && !one.retired(now);
            let asleep = self.watched.iter().filter(asleep);
            shapes.extend(asleep.map(|one| (one.subject.shape.name, one.subject.shape)));
        }
        for (name, shape) in shapes {
            let Some(pulse) = shape.pulse() else { continue };
            self.listed = now;
            // Without the permission to list, an idle subject is merely seen a little later.
            let listed = listing::recently_active(aws, shape.namespace, pulse, shape.dimensions);
            let Ok(active) = listed.await else { continue };
            let active: HashSet<u64> = active.iter().map(|values| hash(values)).collect();
            let before = self.active.insert(name, active).unwrap_or_default();
            let active = &self.active[name];
            for one in &mut self.watched {
                let place = hash(&one.subject.values);
                let is_news = active.contains(&place) && !before.contains(&place);
                if is_news && one.subject.shape.name == name {
                    one.wake(now);
                }
            }
        }
    }

    /// Takes what waited for nothing where that is sure, and answers what has to be asked after all.
    fn rule_out(&mut self, waiting: Vec<Group>, look: &Look, now: Minute) -> Vec<Group> {
        let mut saved = 0;
        let mut opened = Vec::new();
        for group in waiting {
            let longer = self.gates.ruled_out_after(look, &self.watched, &group);
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
        mut batches: Vec<Batch>,
        part: &'static str,
        now: Minute,
        outcome: &mut Outcome,
    ) {
        let at_once = (batches.len() / CALLS_EACH).clamp(LEAST_AT_ONCE, MOST_AT_ONCE);
        // So many at a time that their answers take little room, and the last of them is not waited for too often.
        while !batches.is_empty() {
            let rest = batches.split_off(batches.len().min(at_once * 16));
            let some = std::mem::replace(&mut batches, rest);
            if let Some(error) = &self.doubt {
                let groups = some.into_iter().flat_map(|batch| batch.groups).collect();
                let unasked = poll::assign(groups, Err(error.clone()));
                self.take_answers(unasked, part, now, outcome);
                continue;
            }
            let aws = aws.afresh();
            let mut answers = poll::poll(&aws, &self.watched, some, at_once, part).await;
            // Keys that were exchanged for another account's meanwhile have read that one's numbers.
            if let Some(identity) = &self.identity
                && let Err(error) = aws.were_of(identity).await
            {
                for (_, points) in &mut answers {
                    *points = Err(error.clone());
                }
                self.doubt = Some(error);
            }
            self.take_answers(answers, part, now, outcome);
        }
    }

    fn take_answers(
        &mut self,
        answers: Vec<Answered>,
        part: &'static str,
        now: Minute,
        outcome: &mut Outcome,
    ) {
        // Rows in whose minutes something was found that had been ruled out; and subjects all of whose data were late.
        let (mut suspects, mut late) = (Vec::new(), HashSet::new());
        let mut folded_of: BTreeMap<ServiceId, Folded> = BTreeMap::new();
        for (group, points) in answers {
            let points = match points {
                Ok(points) => points,
                Err(error) => {
                    if let (Of::Row { subject, row }, Some((watched, series))) =
                        (group.of, group.row(&self.watched))
                    {
                        let counts = |stat: &Stat| matches!(stat, Stat::Below(_));
                        if error.reason == Reason::InvalidRequest && group.stats.iter().any(counts)
                        {
                            self.histograms.doubt(watched, series);
                        }
                        outcome.failed.insert((subject, row));
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
            let settle = watched.settle_at(now);
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
            let metric = (
                watched.subject.shape.name,
                watched.series[row].metric.cloudwatch,
            );
            if folded.absurd > 0 && self.absurd_said.insert(metric) {
                tracing::warn!(
                    region = self.parts.key.1,
                    shape = metric.0,
                    metric = metric.1,
                    resource = ?watched.subject.values,
                    "CloudWatch says what cannot be (not a number, negative, enormous or of the future): it is left out and counted, and not said again"
                );
            }
            let sum = folded_of.entry(watched.service).or_default();
            sum.corrections += folded.corrections;
            sum.absurd += folded.absurd;
        }
        for (id, folded) in folded_of {
            let scope = self.scope(id);
            self.parts
                .telemetry
                .folded(&scope, folded.corrections, folded.absurd);
        }
        suspects.retain(|(subject, _)| !late.contains(subject));
        self.distrust(&suspects, now);
    }

    /// Does not rule these rows out for a while: it was wrong.
    fn distrust(&mut self, rows: &[(usize, usize)], now: Minute) {
        for (subject, row) in rows {
            let watched = &self.watched[*subject];
            let (shape, metric) = (
                watched.subject.shape,
                watched.series[*row].metric.cloudwatch,
            );
            if self.gates.distrust(shape, metric, now) {
                tracing::warn!(
                    region = self.parts.key.1,
                    shape = shape.name,
                    metric,
                    "the daily comparison found something where another series had ruled it out: it is asked for in any case for a week"
                );
            }
            self.parts
                .telemetry
                .wrongly_ruled_out(&self.scope(watched.service));
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
            let id = watched.service;
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

    fn note_poll(&mut self, failed: &HashSet<(usize, usize)>) {
        let failed: HashSet<ServiceId> = failed
            .iter()
            .map(|(subject, _)| self.watched[*subject].service)
            .collect();
        let now = now_seconds();
        let interval = i64::from(self.parts.economy.terms().interval_seconds);
        let rate_window = rate_window_seconds(interval);
        for id in self.services.keys().copied().collect::<Vec<_>>() {
            if failed.contains(&id) {
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
        let now = self.minute();
        for id in self.services.keys().copied().collect::<Vec<_>>() {
            let of_service = self.watched.iter().filter(|watched| {
                watched.service == id && !watched.retired(now) && !watched.left_out
            });
            let through = of_service
                .filter_map(Watched::through)
                .min()
                .map(Minute::start);
            self.services.entry(id).or_default().counted_through = through;
        }
    }
}
