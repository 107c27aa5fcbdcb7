//! A target's rounds of questions to CloudWatch: each takes over what was answered whole, and
//! leaves everything else for the next one.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::book::Minute;
use super::plan::{self, Batch};
use super::poll;
use super::series::SETTLE_MINUTES;
use super::target::{Target, now_seconds, service_of};
use super::watched::Watched;
use crate::aws::{AwsError, Clients};
use crate::services::ServiceId;

/// What a round of questions came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing was answered.
    Failed,
    /// There is nothing left to ask for now.
    Done,
    /// Some series still lag behind.
    More,
}

impl Target {
    /// Asks CloudWatch for everything since the last answers, and compares the days that are due.
    pub(super) async fn poll(&mut self, aws: &Clients) -> Round {
        let now = Minute::of(SystemTime::now());
        self.give_up(now);
        let config = self.config();
        let groups = plan::groups(&self.watched, &config.spec.latency, now);
        let (asked, more) = (groups.len(), groups.iter().any(|group| group.span.to < now));
        let failed = self.ask(aws, plan::batches(groups), "poll", now).await;
        self.note_poll(&failed);
        let audits = plan::audits(&self.watched, now);
        if !audits.is_empty() && failed.is_empty() {
            self.ask(aws, plan::batches(audits), "audit", now).await;
        }
        if asked > 0 && failed.values().sum::<usize>() == asked {
            Round::Failed
        } else if more && failed.is_empty() {
            Round::More
        } else {
            Round::Done
        }
    }

    /// Puts questions and takes over the answers. Says how many failed, by service.
    async fn ask(
        &mut self,
        aws: &Clients,
        batches: Vec<Batch>,
        part: &'static str,
        now: Minute,
    ) -> BTreeMap<ServiceId, usize> {
        let answers = poll::poll(aws, &self.watched, batches).await;
        let mut errors: Vec<AwsError> = Vec::new();
        let mut failed = BTreeMap::new();
        for (group, points) in answers {
            let watched = &mut self.watched[group.subject];
            let id = service_of(watched);
            match points {
                Ok(points) => {
                    let settle = watched.settle_at(now);
                    let series = &mut watched.series[group.row];
                    let folded = if part == "audit" {
                        series.audit(&group.stats, &points, group.span)
                    } else {
                        series.fold(&group.stats, &points, group.span, settle, now)
                    };
                    let scope = self.scope(id);
                    self.parts
                        .telemetry
                        .folded(&scope, folded.corrections, folded.absurd);
                }
                Err(error) => {
                    *failed.entry(id).or_default() += 1;
                    if !errors.contains(&error) {
                        errors.push(error);
                    }
                }
            }
        }
        for error in &errors {
            tracing::warn!(region = self.parts.key.1, %error, "a {part} failed in part");
        }
        self.problems.replace(part, errors, now_seconds());
        failed
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
        let interval = i64::from(self.config().spec.collection.interval().as_secs());
        let rate_window = 2 * interval + SETTLE_MINUTES * 60;
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
