//! The books of one row: which questions they still have, and how they take an answer over.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::book::{DAY, Minute, Reading, Span, Tally};
use super::buckets::Buckets;
use super::stats::Quantile;
pub use super::stats::{Stat, statistics};
use crate::services::table::{Metric, MetricKind, Missing};

/// Minutes after which CloudWatch has said all that it usually says about a minute.
pub const SETTLE_MINUTES: i64 = 3;

/// The time over which a rate of a counter says something when it is polled every `interval` seconds.
pub const fn rate_window_seconds(interval: i64) -> i64 {
    2 * interval + SETTLE_MINUTES * 60
}

/// Readings are taken from so many minutes before a subject was found: a gauge has no need to
/// wait for a start.
const READINGS_BEFORE_START: i64 = SETTLE_MINUTES + 2;

/// A series that lags by more minutes than this is caught up in bins: five minutes for a day, hours
/// beyond. Their sums are those of their minutes; what is lost is a resolution that the jump of a
/// counter does not have anyway.
const LONGEST_LAG_IN_MINUTES: i64 = 3 * 60;

/// `CloudWatch` keeps single minutes for 15 days; an hour less, for the time that a question takes.
const MINUTES_ARE_KEPT: i64 = 15 * DAY - 60;
/// It keeps hours for 455 days.
const HOURS_ARE_KEPT: i64 = 454 * DAY;
/// So long after midnight a day is compared: CloudWatch has what comes an hour late or two.
const AUDIT_DELAY_MINUTES: i64 = 3 * 60;

/// What a reading is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reads {
    /// A quantile of a distribution.
    Quantile(Quantile),
    /// Its maximum, or a gauge's only value.
    Greatest,
}

/// The books of one row of one subject.
#[derive(Clone, Debug)]
pub struct Series {
    /// The row.
    pub metric: &'static Metric,
    /// The first minute that is counted.
    pub begun: Minute,
    /// Absurd datapoints of minutes before the first, and of a future up to the second, were counted.
    absurd_through: (Minute, Minute),
    /// The first minute that is not settled: where the next question begins.
    pub through: Minute,
    /// The first minute that was not compared with the daily sums.
    pub audited: Minute,
    /// The first minute whose reading was not taken.
    pub read_through: Minute,
    /// Of the minutes that were not compared yet, the first and the last that were taken for zero because another
    /// series ruled them out.
    ruled_out: Option<(Minute, Minute)>,
    /// `Sum`
    pub sum: Tally,
    /// `SampleCount` of a distribution.
    pub count: Tally,
    /// The buckets of a distribution, where a histogram is wanted and CloudWatch has one.
    pub buckets: Buckets,
    /// The newest readings.
    pub readings: Vec<(Reads, Reading)>,
}

/// A row's books, as they are saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedSeries<'a> {
    /// CloudWatch's name of the row's metric.
    pub metric: Cow<'a, str>,
    begun: Minute,
    through: Minute,
    audited: Minute,
    read_through: Minute,
    ruled_out: Option<(Minute, Minute)>,
    sum: Cow<'a, Tally>,
    count: Cow<'a, Tally>,
    buckets: Cow<'a, Buckets>,
    readings: Cow<'a, [(Reads, Reading)]>,
}

/// What folding an answer found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Minutes whose value changed after they had been counted.
    pub corrections: u64,
    /// Datapoints that no metric can have.
    pub absurd: u64,
    /// Minutes that were taken for zero because another series ruled them out were not all of them zero.
    pub wrongly_ruled_out: bool,
}

impl Series {
    /// Its books when a subject is counted from a minute on.
    pub fn new(metric: &'static Metric, from: Minute) -> Self {
        Self {
            metric,
            begun: from,
            absurd_through: (Minute::default(), Minute::default()),
            through: from,
            audited: from,
            read_through: from.back(READINGS_BEFORE_START + 2 * metric.lag_minutes()),
            ruled_out: None,
            sum: Tally::default(),
            count: Tally::default(),
            buckets: Buckets::default(),
            readings: Vec::new(),
        }
    }

    /// The same for a subject whose work goes on for so many minutes: the first readings need not wait for that.
    #[must_use]
    pub fn working_for(mut self, minutes: u32) -> Self {
        if self.metric.kind.counts() {
            self.read_through = self.read_through.back(minutes.into());
        }
        self
    }

    /// Its reading of a kind.
    pub fn reading(&self, reads: Reads) -> Option<Reading> {
        let mut readings = self.readings.iter();
        readings
            .find(|(known, _)| *known == reads)
            .map(|(_, reading)| *reading)
    }

    /// What is to be saved of it.
    pub fn saved(&self) -> SavedSeries<'_> {
        SavedSeries {
            metric: self.metric.cloudwatch.into(),
            begun: self.begun,
            through: self.through,
            audited: self.audited,
            read_through: self.read_through,
            ruled_out: self.ruled_out,
            sum: Cow::Borrowed(&self.sum),
            count: Cow::Borrowed(&self.count),
            buckets: Cow::Borrowed(&self.buckets),
            readings: Cow::Borrowed(&self.readings),
        }
    }

    /// Takes over what was saved.
    pub fn restore(&mut self, saved: SavedSeries<'_>) {
        self.begun = saved.begun;
        self.through = saved.through;
        self.audited = saved.audited;
        self.read_through = saved.read_through;
        self.ruled_out = saved.ruled_out;
        self.sum = saved.sum.into_owned();
        self.count = saved.count.into_owned();
        self.buckets = saved.buckets.into_owned();
        self.readings = saved.readings.into_owned();
    }

    /// What is to be asked next. Minutes before `settle` do not change any more.
    pub fn question(&self, settle: Minute, now: Minute) -> Option<Span> {
        let readings = self.read_through.max(now.back(LONGEST_LAG_IN_MINUTES));
        let lag = now.0 - self.through.0;
        let bin = if lag <= LONGEST_LAG_IN_MINUTES {
            1
        } else if lag <= DAY {
            5
        } else {
            60
        };
        let to = settle.back(self.metric.lag_minutes()).floor(bin);
        let span = match self.metric.kind {
            MetricKind::Maximum | MetricKind::Average => (readings, now, 1),
            _ if bin > 1 && self.through.floor(bin) < self.begun => {
                // The bin holds minutes from before the beginning: one by one up to its end.
                (self.through, self.through.ceil(bin), 1)
            }
            _ if bin > 1 && to > self.through => (self.through.floor(bin), to, bin),
            MetricKind::Distribution => (self.through.min(readings), now, 1),
            MetricKind::Counter => (self.through, now, 1),
        };
        let (from, to, bin) = span;
        (from < to).then_some(Span { from, to, bin })
    }

    /// The days that are to be compared with AWS's daily sums.
    pub fn audit_question(&self, now: Minute) -> Option<Span> {
        let today = self.through.floor(DAY);
        // The first day of a series is not whole: its minutes are added up, while there are any.
        let whole = self.audited.floor(DAY) == self.audited;
        let due = self.metric.kind.counts()
            && self.audited < today
            && now.0 - today.0 >= AUDIT_DELAY_MINUTES
            && now.0 - self.through.0 <= LONGEST_LAG_IN_MINUTES
            && (whole || now.0 - self.audited.0 <= MINUTES_ARE_KEPT);
        due.then_some(Span {
            from: self.audited,
            to: today,
            bin: if whole { DAY } else { 1 },
        })
    }

    /// Gives up what CloudWatch does not have any more. Returns the minutes that are lost.
    pub fn give_up(&mut self, now: Minute) -> i64 {
        if !self.metric.kind.counts() {
            return 0;
        }
        let unaligned = self.audited.floor(DAY) != self.audited;
        if unaligned && now.0 - self.audited.0 > MINUTES_ARE_KEPT {
            self.sum.skip_audit();
            self.count.skip_audit();
            self.audited = self.through.floor(DAY).max(self.audited);
        }
        let within_its_first_hour = self.through.floor(60) < self.begun;
        let kept = if within_its_first_hour {
            MINUTES_ARE_KEPT
        } else {
            HOURS_ARE_KEPT
        };
        if now.0 - self.through.0 <= kept {
            return 0;
        }
        let to = self.through.ceil(60).max(now.back(HOURS_ARE_KEPT).ceil(60));
        let lost = to.0 - self.through.0;
        self.sum.skip(to);
        self.count.skip(to);
        self.buckets.skip(to);
        self.begun = to;
        self.through = to;
        self.audited = to;
        lost
    }

    /// Takes over an answer that covers `span`. `points` are the datapoints of each statistic, in
    /// CloudWatch's unit; minutes before `settle` do not change any more.
    pub fn fold(
        &mut self,
        stats: &[Stat],
        points: &[Vec<(Minute, f64)>],
        span: Span,
        settle: Minute,
        now: Minute,
    ) -> Folded {
        let mut folded = Folded {
            absurd: self.absurd_readings(stats, points, now),
            ..Folded::default()
        };
        let lag = self.metric.lag_minutes();
        // A quantile stands in the minute in which the work began, like the counts, and changes until that has ended. What
        // goes up and down does not wait for work.
        let unread = if self.metric.kind.counts() {
            settle
        } else {
            now.back(SETTLE_MINUTES)
        };
        let read_to = unread.back(lag).max(self.read_through);
        let settle = settle.back(lag).min(span.to).max(self.through);
        let span = Span {
            from: self.through.floor(span.bin),
            ..span
        };
        self.buckets
            .fit(|bound| stats.contains(&Stat::Below(bound)), span, now);
        let mut read = Vec::new();
        for (stat, points) in stats.iter().zip(points) {
            match stat {
                Stat::Sum | Stat::SampleCount => {
                    let (amounts, absurd) = self.amounts(*stat, points, span);
                    folded.absurd += absurd;
                    let tally = self.tally(*stat);
                    folded.corrections += tally.fold(&amounts, span, settle);
                    self.buckets.fold(*stat, &amounts, span, settle);
                }
                Stat::Below(_) => {
                    let (amounts, absurd) = self.amounts(*stat, points, span);
                    folded.absurd += absurd;
                    self.buckets.fold(*stat, &amounts, span, settle);
                }
                Stat::Maximum | Stat::Average => read.push((Reads::Greatest, points)),
                Stat::Quantile(quantile) => read.push((Reads::Quantile(*quantile), points)),
            }
        }
        let reads = !read.is_empty();
        if reads {
            // The stack may not want all of them any more.
            let wanted = |kept: &Reads| read.iter().any(|(reads, _)| reads == kept);
            self.readings.retain(|(kept, _)| wanted(kept));
        }
        for (reads, points) in read {
            self.read(reads, points, read_to);
        }
        if reads || span.to >= now {
            self.read_through = read_to;
        }
        self.through = settle;
        let (seen, future) = self.absurd_through;
        let minutes = points.iter().flatten().map(|(minute, _)| *minute);
        let newest = minutes.max().filter(|newest| *newest > now);
        self.absurd_through = (seen.max(span.to), newest.unwrap_or(future));
        folded
    }

    /// How many datapoints of gauges and quantiles cannot be, and how many of anything are of the future; those that were
    /// read before were counted then.
    fn absurd_readings(&self, stats: &[Stat], points: &[Vec<(Minute, f64)>], now: Minute) -> u64 {
        let (seen, future) = self.absurd_through;
        let absurd = |stat: &Stat, minute: Minute, value: f64| {
            if minute > now {
                minute > future
            } else {
                !stat.adds_up() && minute >= seen && !Reading::is_possible(value)
            }
        };
        let count = |(stat, points): (&Stat, &Vec<(Minute, f64)>)| {
            let wrong = points.iter().filter(|(m, value)| absurd(stat, *m, *value));
            wrong.count() as u64
        };
        stats.iter().zip(points).map(count).sum()
    }

    /// Whether some minutes that are not settled were more than zero when they were last read.
    pub fn is_unsettled(&self) -> bool {
        self.sum.is_unsettled() || self.count.is_unsettled()
    }

    /// Takes all minutes since the last answer for minutes without a datapoint, because another series rules them
    /// out. The daily comparison looks whether that was right.
    pub fn rule_out(&mut self, stats: &[Stat], settle: Minute, now: Minute) {
        let span = Span {
            from: self.through,
            to: now,
            bin: 1,
        };
        let read_through = self.read_through;
        self.fold(stats, &vec![Vec::new(); stats.len()], span, settle, now);
        // What began in these minutes and still goes on is in a gauge already, and will be seen when it is asked again.
        let read_to = settle.back(self.metric.lag_minutes());
        self.read_through = self.read_through.min(read_to).max(read_through);
        if self.metric.kind.counts() && self.through > span.from {
            let first = self.ruled_out.map_or(span.from, |(first, _)| first);
            self.ruled_out = Some((first, self.through.back(1)));
        }
    }

    /// Takes over an answer to [`Self::audit_question`]. Says how many statistics were corrected.
    pub fn audit(&mut self, stats: &[Stat], points: &[Vec<(Minute, f64)>], span: Span) -> Folded {
        let mut folded = Folded::default();
        for (stat, points) in stats.iter().zip(points) {
            let (amounts, absurd) = self.amounts(*stat, points, span);
            folded.absurd += absurd;
            let within = points
                .iter()
                .filter(|(m, _)| (span.from..span.to).contains(m));
            if within.count() > amounts.len() {
                // A day of which AWS says something absurd cannot be compared.
                self.tally(*stat).skip_audit();
                continue;
            }
            let truth = amounts.iter().map(|(_, amount)| amount).sum();
            // Each minute of fractions is rounded to millionths.
            let tolerance = i128::from(span.to.0 - span.from.0);
            let corrected = self.tally(*stat).audit(truth, tolerance);
            folded.corrections += u64::from(corrected.is_some());
            folded.wrongly_ruled_out |= corrected.is_some_and(|missed| missed > 0)
                && self.ruled_out.is_some_and(|(first, _)| first < span.to);
        }
        self.audited = span.to;
        let later = |(first, last): (Minute, Minute)| {
            (last >= span.to).then_some((first.max(span.to), last))
        };
        self.ruled_out = self.ruled_out.and_then(later);
        folded
    }

    const fn tally(&mut self, stat: Stat) -> &mut Tally {
        match stat {
            Stat::SampleCount => &mut self.count,
            _ => &mut self.sum,
        }
    }

    fn read(&mut self, reads: Reads, points: &[(Minute, f64)], to: Minute) {
        let reading = if let Some(mut reading) = Reading::greatest(points, self.read_through, to) {
            reading.value /= 1e6 / self.metric.unit.micros();
            reading
        } else if !self.metric.kind.counts()
            && self.metric.missing == Missing::Zero
            && to > self.read_through
        {
            Reading {
                value: 0.0,
                minute: to.back(1),
            }
        } else {
            return;
        };
        match self.readings.iter_mut().find(|(known, _)| *known == reads) {
            Some((_, kept)) => *kept = reading,
            None => self.readings.push((reads, reading)),
        }
    }

    /// Millionths of the base unit for each datapoint, and how many of them cannot be.
    fn amounts(
        &self,
        stat: Stat,
        points: &[(Minute, f64)],
        span: Span,
    ) -> (Vec<(Minute, i128)>, u64) {
        // Far below the bounds of the books, far above what a minute of any metric can hold.
        const MOST_A_MINUTE: f64 = 9e17;
        let micros = match stat {
            Stat::SampleCount | Stat::Below(_) => 1e6,
            _ => self.metric.unit.micros(),
        };
        #[expect(clippy::cast_precision_loss, reason = "a bound")]
        let most = MOST_A_MINUTE * span.bin as f64;
        let mut amounts = Vec::with_capacity(points.len());
        let mut absurd = 0;
        // Others that ride in the same call may need older minutes.
        for (minute, value) in points
            .iter()
            .filter(|(minute, _)| (span.from..span.to).contains(minute))
        {
            let amount = (value * micros).round();
            if (0.0..=most).contains(&amount) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the range was just checked"
                )]
                amounts.push((*minute, amount as i128));
            } else {
                // It is read again until it is settled.
                absurd += u64::from(*minute >= self.absurd_through.0);
            }
        }
        (amounts, absurd)
    }
}

#[cfg(test)]
mod tests;
