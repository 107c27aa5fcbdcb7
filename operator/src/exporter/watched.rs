//! What is kept of each watched subject: its books, and whether the world has seen it start.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::Minute;
use super::buckets::Buckets;
use super::series::{SETTLE_MINUTES, SavedSeries, Series, Stat};
use crate::api::Bound;
use crate::services::ServiceId;
use crate::services::found::{Subject, SubjectKey};
use crate::services::table::Metric;

/// An idle subject is at most so many minutes without a question: what happens in it is seen that late at worst.
pub const STALEST_MINUTES: i64 = 20;
/// A subject is idle when nothing was counted for so long.
const IDLE_AFTER_MINUTES: i64 = 30;
/// An idle subject waits a part of the time for which it has been idle.
const PATIENCE_PER_IDLE_TIME: i64 = 2;
/// CloudWatch lists a metric as recently active for three hours after a datapoint, or up to fifty minutes longer.
const LISTED_AS_ACTIVE_MINUTES: i64 = 4 * 60;

/// How the world gets to see a counter start.
///
/// Prometheus sees no increase in the first sample of a series. So a series is shown as it was
/// when it was announced until a scrape has taken it, and only then with what was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Not in any snapshot yet.
    Unannounced,
    /// In all snapshots from this one on.
    Announced { snapshot: u64, at: u64 },
    /// Seen.
    Open,
}

/// A subject with its books.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What is asked for.
    pub subject: Subject,
    /// The service that it belongs to.
    pub service: ServiceId,
    /// Discoveries in a row that did not find it, and when the first of them was.
    pub missing: Option<(u32, Minute)>,
    /// One for each row of the shape's table that can exist and is wanted.
    pub series: Vec<Series>,
    /// What is shown until the start was seen ends here.
    from: Minute,
    start: Start,
    /// Up to when rows that left had counted: should they come back, they go on from there.
    row_left: Minute,
    /// The longest work before it became shorter, in minutes, and until when some of that may still go on.
    longer: Option<(u32, Minute)>,
    /// There is no room for it under `spec.collection.maxSeries`: it is neither asked for nor published.
    pub left_out: bool,
    life: Life,
}

/// When something happened in a subject, and when it was asked for: an idle one is asked ever less often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    /// The newest minute in which any counter counted something. A subject is taken to be active when it is found.
    active: Minute,
    /// The same of the shape's pulse.
    pulse: Minute,
    /// When it was last asked for with success.
    asked: Minute,
}

/// A subject with its books, as it is saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedSubject<'a> {
    /// The name of its shape.
    pub shape: Cow<'a, str>,
    /// The values of its dimensions.
    pub values: Vec<Cow<'a, str>>,
    /// Its labels.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// As in [`Subject`].
    pub longest_work_minutes: u32,
    from: Minute,
    open: bool,
    missing: Option<(u32, Minute)>,
    row_left: Minute,
    longer: Option<(u32, Minute)>,
    life: Life,
    series: Vec<SavedSeries<'a>>,
}

impl Watched {
    /// A new subject, counted from a minute on.
    pub fn new(subject: Subject, from: Minute) -> Self {
        let rows = subject.metrics();
        let work = subject.longest_work_minutes;
        let series = rows.map(|metric| Series::new(metric, from).working_for(work));
        let series = series.collect();
        let has = |id: &ServiceId| {
            let mut shapes = id.service().shapes.iter();
            shapes.any(|shape| shape.name == subject.shape.name)
        };
        let service = ServiceId::ALL.into_iter().find(has);
        Self {
            service: service.expect("every shape is in a service's table"),
            subject,
            missing: None,
            series,
            from,
            start: Start::Unannounced,
            row_left: Minute::default(),
            longer: None,
            left_out: false,
            life: Life {
                active: from,
                pulse: from,
                asked: Minute::default(),
            },
        }
    }

    /// Takes over what discovery says of the subject now. A row that is new is counted from a
    /// minute on, and waits like a new subject until the world has seen it start. One that cannot
    /// exist any more leaves, but only when discovery found out all that there is to find. Answers whether anything is
    /// other than before.
    pub fn update(&mut self, subject: Subject, from: Minute, now: Minute, complete: bool) -> bool {
        let rows = self.series.len();
        let work = self.longest_work(now);
        if subject.longest_work_minutes < work {
            // What was begun before may go on for as long as it was allowed then.
            self.longer = Some((work, Minute(now.0 + i64::from(work))));
        }
        let before = self.through();
        let from = from.max(self.row_left);
        let mut old = std::mem::take(&mut self.series);
        let mut added = false;
        for metric in subject.metrics() {
            let kept = old
                .iter()
                .position(|series| std::ptr::eq(series.metric, metric));
            added |= kept.is_none() && metric.kind.counts();
            self.series.push(kept.map_or_else(
                || Series::new(metric, from).working_for(subject.longest_work_minutes),
                |place| old.swap_remove(place),
            ));
        }
        if complete {
            let left = old.iter().map(|series| series.through).max();
            self.row_left = self.row_left.max(left.unwrap_or_default());
        } else {
            self.series.append(&mut old);
        }
        if added {
            self.from = before.unwrap_or(from);
            self.start = Start::Unannounced;
        }
        let before = std::mem::replace(&mut self.subject, subject);
        let missed = self.missing.take().is_some();
        missed || self.subject != before || self.series.len() != rows
    }

    /// Lets the rows have buckets up to these bounds, those that can. What is new counts from a minute on, and waits like
    /// a new subject until the world has seen it start.
    pub fn want_buckets(&mut self, bounds: &[Bound], can: impl Fn(&Metric) -> bool, from: Minute) {
        let before = self.through();
        let mut begun = false;
        for series in &mut self.series {
            let can = series.metric.histogram.is_some() && can(series.metric);
            let wanted = if can { bounds } else { &[] };
            if series.buckets.bounds().eq(wanted.iter().copied()) {
                continue;
            }
            // Of a row that has counted nothing yet, nothing is in the count that cannot be in the buckets.
            let untouched = series.through == series.begun && series.count.is_empty();
            let from = if untouched { series.begun } else { from };
            series.buckets = Buckets::new(wanted, from);
            begun |= !wanted.is_empty();
        }
        if begun {
            self.from = before.unwrap_or(from);
            self.start = Start::Unannounced;
        }
    }

    /// The identity of the subject.
    pub fn key(&self) -> SubjectKey {
        self.subject.key()
    }

    /// How long work may go on that began at a time or before, in minutes.
    fn longest_work(&self, now: Minute) -> u32 {
        let before = self.longer.filter(|(_, until)| now < *until);
        let work = self.subject.longest_work_minutes;
        before.map_or(work, |(before, _)| work.max(before))
    }

    /// The minute before which everything is settled at a time.
    pub fn settle_at(&self, now: Minute) -> Minute {
        now.back(SETTLE_MINUTES + i64::from(self.longest_work(now)))
    }

    /// Whether it is gone: two rounds of discovery did not find it, and all of it has settled. Its
    /// books are kept for a while, but it is neither asked for nor published.
    pub fn retired(&self, now: Minute) -> bool {
        self.missing
            .is_some_and(|(rounds, since)| rounds >= 2 && self.settle_at(now) >= since)
    }

    /// How many minutes may pass between two questions, when those in which something happens are asked for
    /// every `interval`: of an idle one half of the time for which nothing was counted, [`STALEST_MINUTES`] at most.
    pub fn patience(&self, now: Minute, interval: i64) -> i64 {
        let counts = |series: &Series| series.metric.kind.counts();
        if !self.series.iter().any(counts) {
            return interval;
        }
        let idle = now.0 - self.life.active.0;
        if idle < IDLE_AFTER_MINUTES {
            return interval;
        }
        (idle / PATIENCE_PER_IDLE_TIME)
            .min(STALEST_MINUTES)
            .max(interval)
    }

    /// Whether it is to be asked for now: the next poll, an `interval` away, would be too late.
    pub fn due(&self, now: Minute, interval: i64) -> bool {
        let patience = self.patience(now, interval);
        patience <= interval || now.0 - self.life.asked.0 + interval > patience
    }

    /// Whether the last answers had nothing of the shape's pulse that could have left anything in the minutes of a
    /// series that were not read yet. What began before a minute may still go on in it.
    pub fn has_no_pulse(&self, series: &Series) -> bool {
        let unread = if series.metric.kind.counts() {
            series.through
        } else {
            // No later than it is read: what was longer may have been so then.
            let work = self.longest_work(series.read_through);
            series.read_through.back(work.into())
        };
        let pulse = self.subject.shape.pulse();
        pulse.is_some_and(|pulse| self.series.iter().any(|s| s.metric.cloudwatch == pulse))
            && self.life.pulse < unread
    }

    /// Notes what an answer to a row has in it.
    pub fn note(&mut self, row: usize, stats: &[Stat], points: &[Vec<(Minute, f64)>], now: Minute) {
        self.life.asked = now;
        let metric = self.series[row].metric;
        let counts = stats.iter().zip(points).filter(|(stat, _)| stat.adds_up());
        let newest = counts
            .flat_map(|(_, points)| points)
            .filter(|(minute, value)| *minute <= now && *value > 0.0)
            .map(|(minute, _)| *minute)
            .max();
        if let Some(newest) = newest {
            self.life.active = self.life.active.max(newest);
            if self.subject.shape.pulse() == Some(metric.cloudwatch) {
                self.life.pulse = self.life.pulse.max(newest);
            }
        }
    }

    /// Notes that CloudWatch lists it among what was active of late. If that is news, it is due.
    pub fn wake(&mut self, now: Minute) {
        if self.is_asleep(now) {
            self.life.asked = Minute::default();
        }
    }

    /// Whether nothing was counted for so long that CloudWatch would not list it as active.
    pub fn is_asleep(&self, now: Minute) -> bool {
        now.0 - self.life.active.0 > LISTED_AS_ACTIVE_MINUTES
    }

    /// Every minute before this one is final in all counters of the subject, as the world sees them.
    pub fn through(&self) -> Option<Minute> {
        let held_at = self.held().then_some(self.from);
        self.series
            .iter()
            .filter(|series| series.metric.kind.counts())
            .map(|s| held_at.unwrap_or(s.through))
            .min()
    }

    /// Whether what was counted is still kept from the world.
    pub fn held(&self) -> bool {
        self.start != Start::Open
    }

    /// Books as they were saved; none if the tables do not know the subject any more.
    pub fn restore(saved: SavedSubject<'_>) -> Option<Self> {
        let shape = ServiceId::ALL
            .iter()
            .flat_map(|id| id.service().shapes)
            .find(|shape| shape.name == saved.shape)?;
        let label = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
            let name = shape.labels.iter().find(|known| *known == name)?;
            Some((*name, Arc::from(&**value)))
        };
        let values = saved.values.iter().map(|value| Arc::from(&**value));
        let labels = saved.labels.iter().map(label).collect::<Option<_>>()?;
        let known = |metric: &Metric| {
            saved
                .series
                .iter()
                .any(|one| one.metric == metric.cloudwatch)
        };
        let subject = Subject::with_rows(shape, values.collect(), labels, known)
            .working_for(saved.longest_work_minutes);
        let mut watched = Self::new(subject, saved.from);
        watched.missing = saved.missing;
        watched.row_left = saved.row_left;
        watched.longer = saved.longer;
        watched.life = saved.life;
        if saved.open {
            watched.start = Start::Open;
        }
        for one in saved.series {
            let mut rows = watched.series.iter_mut();
            if let Some(series) = rows.find(|row| row.metric.cloudwatch == one.metric) {
                series.restore(one);
            }
        }
        Some(watched)
    }

    /// What is to be saved of it.
    pub fn saved(&self) -> SavedSubject<'_> {
        SavedSubject {
            shape: self.subject.shape.name.into(),
            values: self
                .subject
                .values
                .iter()
                .map(|v| Cow::Borrowed(&**v))
                .collect(),
            labels: self
                .subject
                .labels
                .iter()
                .map(|(name, value)| ((*name).into(), Cow::Borrowed(&**value)))
                .collect(),
            longest_work_minutes: self.subject.longest_work_minutes,
            from: self.from,
            open: self.start == Start::Open,
            missing: self.missing,
            row_left: self.row_left,
            longer: self.longer,
            life: self.life,
            series: self.series.iter().map(Series::saved).collect(),
        }
    }

    /// A snapshot with the subject in it was published.
    pub fn announced(&mut self, snapshot: u64, now_seconds: u64) {
        if self.start == Start::Unannounced {
            self.start = Start::Announced {
                snapshot,
                at: now_seconds,
            };
        }
    }

    /// Lets the next snapshot show what was counted, once the world has seen the start: when a
    /// snapshot since the announcement was scraped (`scraped` is the newest one that was) and a scrape
    /// interval has passed, in which a second Prometheus, or the one after a curious person, has scraped
    /// too; or in any case after two scrape intervals.
    pub fn show(&mut self, scraped: u64, now_seconds: u64, scrape_interval: u64) {
        let waited = |at: u64, intervals: u64| {
            now_seconds >= at.saturating_add(intervals.saturating_mul(scrape_interval))
        };
        if let Start::Announced { snapshot, at } = self.start
            && (scraped >= snapshot && waited(at, 1) || waited(at, 2))
        {
            self.start = Start::Open;
        }
        if self.start == Start::Open {
            for series in &mut self.series {
                series.sum.show();
                series.count.show();
                series.buckets.show();
            }
        }
    }
}

#[cfg(test)]
mod tests;
