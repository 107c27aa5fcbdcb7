//! The books: how datapoints become counters that never decrease.
//!
//! A tally holds what it settled once and for all, and the minutes after that one by one, as they
//! were last read. Each poll reads again all minutes that are not settled, so a late datapoint
//! replaces the early one. A minute is settled when nothing that AWS still has to say about it
//! can be expected; its value moves into the settled sum and is not read again.
//!
//! Of the settled sum a tally remembers how much came since the last beginning of five minutes, of
//! an hour and of a day. So after a long outage it can go back to such a beginning and take the
//! coarser datapoints that CloudWatch still has, none of them twice, and once a day it can compare
//! what it counted of a day with what AWS says of it as a whole.
//!
//! What is published is the greatest sum that there ever was. A revision downward is thereby kept
//! as a deficit against later growth, and the published value never decreases.
//!
//! Amounts are whole millionths of the base unit: adding them is exact. A tally of which nothing
//! was ever counted takes eight bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Minutes in the bins that CloudWatch can answer in, beyond single minutes: it keeps minutes for
/// 15 days, five minutes for 63 days, hours for 455 days.
pub const BINS: [i64; 3] = [5, 60, DAY];
/// Minutes in a day.
pub const DAY: i64 = 24 * 60;

/// A minute since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Minute(pub i64);

impl Minute {
    /// The minute in which a moment lies.
    pub fn of(time: SystemTime) -> Self {
        let seconds = time
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self(i64::try_from(seconds / 60).unwrap_or(i64::MAX))
    }

    /// The minute that begins at a number of seconds since the Unix epoch, if one does.
    pub fn beginning_at(seconds: i64) -> Option<Self> {
        (seconds % 60 == 0).then_some(Self(seconds / 60))
    }

    /// Its first second since the Unix epoch.
    pub const fn start(self) -> i64 {
        self.0 * 60
    }

    /// So many minutes before this one.
    #[must_use]
    pub const fn back(self, minutes: i64) -> Self {
        Self(self.0 - minutes)
    }

    /// The first minute of the bin of so many minutes in which it lies. Bins begin at the epoch,
    /// as CloudWatch's do: days are days of UTC.
    #[must_use]
    pub const fn floor(self, bin: i64) -> Self {
        Self(self.0 - self.0.rem_euclid(bin))
    }

    /// Itself, if a bin begins with it, or the first minute of the next bin.
    #[must_use]
    pub const fn ceil(self, bin: i64) -> Self {
        Self(self.0 + (-self.0).rem_euclid(bin))
    }
}

/// What an answer of CloudWatch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first minute that it covers: where the bin of the first unsettled minute begins.
    pub from: Minute,
    /// The first minute that it does not cover.
    pub to: Minute,
    /// Minutes in a datapoint.
    pub bin: i64,
}

/// One additive statistic of one series; empty until something was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally(Option<Box<Ledger>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ledger {
    /// Sum of all settled minutes, in millionths.
    settled: i128,
    /// The minutes after those, as they were last read; those without a datapoint are left out.
    recent: Vec<(Minute, i64)>,
    /// The greatest sum so far.
    shown: i128,
    /// Of `settled`: what came since the last beginning of each of [`BINS`] before the first
    /// unsettled minute.
    since: [i128; BINS.len()],
    /// Of `settled`: what was not compared with AWS's daily sums yet.
    unaudited: i128,
}

/// The position of a day in [`BINS`].
const DAYS: usize = BINS.len() - 1;

impl Tally {
    /// Takes over an answer whose datapoints lie within `span`, and settles the minutes before
    /// `settle`, which is the end of a bin. Returns how many minutes were corrected that had been
    /// counted otherwise.
    pub fn fold(&mut self, answer: &[(Minute, i128)], span: Span, settle: Minute) -> u64 {
        if self.0.is_none() && answer.iter().all(|(_, value)| *value == 0) {
            return 0;
        }
        let ledger = self.0.get_or_insert_default();
        let mut corrections = 0;
        if span.bin == 1 {
            for (minute, before) in &ledger.recent {
                let now = answer
                    .iter()
                    .find(|(m, _)| m == minute)
                    .map_or(0, |(_, value)| *value);
                corrections += u64::from(*minute < span.to && now != i128::from(*before));
            }
        }
        let again = BINS
            .iter()
            .position(|bin| *bin == span.bin)
            .map_or(0, |place| ledger.since[place]);
        let past = |from: Minute| -> i128 {
            answer
                .iter()
                .filter(|(minute, _)| (from..settle).contains(minute))
                .map(|(_, value)| value)
                .sum()
        };
        let added = past(span.from) - again;
        ledger.settled += added;
        ledger.unaudited += added;
        for (since, bin) in ledger.since.iter_mut().zip(BINS) {
            let begins = settle.floor(bin);
            *since = if begins < span.from {
                *since + added
            } else {
                past(begins)
            };
        }
        ledger.recent.retain(|(minute, _)| *minute >= span.to);
        let unsettled = answer
            .iter()
            .filter(|(minute, value)| *minute >= settle && *value != 0)
            .filter_map(|(minute, value)| Some((*minute, i64::try_from(*value).ok()?)));
        ledger.recent.extend(unsettled);
        corrections
    }

    /// Compares with what AWS says of the days before the one of the first unsettled minute, as far
    /// as they were not compared yet. Differences up to `tolerance` are the rounding of fractions.
    /// Answers the correction, if there is one.
    pub fn audit(&mut self, truth: i128, tolerance: i128) -> Option<i128> {
        if self.0.is_none() && truth == 0 {
            return None;
        }
        let ledger = self.0.get_or_insert_default();
        let counted = ledger.unaudited - ledger.since[DAYS];
        let difference = truth - counted;
        ledger.unaudited = ledger.since[DAYS];
        if difference.abs() <= tolerance {
            return None;
        }
        ledger.settled += difference;
        Some(difference)
    }

    /// Whether some minutes that are not settled were more than zero when they were last read.
    pub fn is_unsettled(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|ledger| !ledger.recent.is_empty())
    }

    /// Whether nothing was counted yet.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Gives up the comparison of what was not compared yet.
    pub fn skip_audit(&mut self) {
        if let Some(ledger) = &mut self.0 {
            ledger.unaudited = ledger.since[DAYS];
        }
    }

    /// Goes on at a later minute, the beginning of an hour at least, without what lies between.
    pub fn skip(&mut self, to: Minute) {
        if let Some(ledger) = &mut self.0 {
            ledger.recent.retain(|(minute, _)| *minute >= to);
            ledger.since = [0; BINS.len()];
            ledger.unaudited = 0;
        }
    }

    /// Lets the world see all that was counted.
    pub fn show(&mut self) {
        if let Some(ledger) = &mut self.0 {
            let sum = ledger
                .recent
                .iter()
                .fold(ledger.settled, |sum, (_, value)| sum + i128::from(*value));
            ledger.shown = ledger.shown.max(sum);
        }
    }

    /// What the world sees, in millionths.
    pub fn shown(&self) -> i128 {
        self.0.as_ref().map_or(0, |ledger| ledger.shown)
    }
}

/// The greatest value of the minutes that settled last, with the newest of these minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// In base units.
    pub value: f64,
    /// The newest minute with a datapoint: what the reading's age is measured from.
    pub minute: Minute,
}

impl Reading {
    /// Far above what any gauge or quantile can be, in any unit.
    const MOST: f64 = 1e15;

    /// Whether something can have this value: nothing that is read is negative.
    pub fn is_possible(value: f64) -> bool {
        (0.0..=Self::MOST).contains(&value)
    }

    /// The greatest of the datapoints in `[from, to)`; those that cannot be are left out.
    pub fn greatest(answer: &[(Minute, f64)], from: Minute, to: Minute) -> Option<Self> {
        answer
            .iter()
            .filter(|(minute, value)| *minute >= from && *minute < to && Self::is_possible(*value))
            .map(|(minute, value)| Self {
                value: *value,
                minute: *minute,
            })
            .reduce(|a, b| Self {
                value: a.value.max(b.value),
                minute: a.minute.max(b.minute),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn answer(points: &[(i64, i128)]) -> Vec<(Minute, i128)> {
        points
            .iter()
            .map(|(minute, value)| (Minute(*minute), *value))
            .collect()
    }

    /// A tally and where it goes on.
    #[derive(Default)]
    struct Book {
        tally: Tally,
        through: Minute,
    }

    impl Book {
        fn fold(&mut self, points: &[(i64, i128)], bin: i64, to: i64, settle: i64) -> u64 {
            let span = Span {
                from: self.through.floor(bin),
                to: Minute(to),
                bin,
            };
            let settle = Minute(settle).max(self.through);
            let corrections = self.tally.fold(&answer(points), span, settle);
            self.through = settle;
            self.tally.show();
            corrections
        }
    }

    #[test]
    fn bins_begin_where_cloudwatchs_do() {
        assert_eq!(Minute(1441).floor(DAY), Minute(1440));
        assert_eq!(Minute(1441).ceil(DAY), Minute(2880));
        assert_eq!(
            (Minute(60).floor(60), Minute(60).ceil(60)),
            (Minute(60), Minute(60))
        );
    }

    #[test]
    fn a_minute_that_is_read_many_times_is_counted_once() {
        let mut book = Book::default();
        book.fold(&[(10, 5)], 1, 11, 8);
        book.fold(&[(10, 5), (11, 7)], 1, 12, 9);
        book.fold(&[(10, 5), (11, 7)], 1, 12, 12);
        book.fold(&[(12, 1)], 1, 13, 13);
        book.fold(&[], 1, 15, 15);
        assert_eq!(book.tally.shown(), 13);
    }

    #[test]
    fn a_late_datapoint_replaces_the_early_one() {
        let mut book = Book::default();
        book.fold(&[(10, 5)], 1, 11, 8);
        assert_eq!(book.fold(&[(10, 9)], 1, 11, 8), 1);
        assert_eq!(book.tally.shown(), 9);
    }

    #[test]
    fn a_downward_revision_is_a_deficit_against_later_growth() {
        let mut book = Book::default();
        book.fold(&[(10, 9)], 1, 11, 8);
        book.fold(&[(10, 6)], 1, 11, 11);
        assert_eq!(book.tally.shown(), 9, "a counter never decreases");
        book.fold(&[(11, 2)], 1, 12, 12);
        assert_eq!(book.tally.shown(), 9, "8 is the truth, 9 was shown");
        book.fold(&[(12, 4)], 1, 13, 13);
        assert_eq!(book.tally.shown(), 12);
    }

    #[test]
    fn nothing_is_shown_before_it_is_let_out() {
        let mut tally = Tally::default();
        let span = Span {
            from: Minute(10),
            to: Minute(20),
            bin: 1,
        };
        tally.fold(&answer(&[(10, 9)]), span, Minute(20));
        assert_eq!(tally.shown(), 0);
        tally.show();
        assert_eq!(tally.shown(), 9);
    }

    #[test]
    fn what_was_never_counted_takes_no_room() {
        let mut book = Book::default();
        book.fold(&[(10, 0)], 1, 20, 15);
        assert!(book.tally.audit(0, 0).is_none());
        assert_eq!(book.tally, Tally::default());
        assert_eq!(size_of::<Tally>(), 8);
    }

    #[test]
    fn a_daily_sum_that_is_greater_adds_the_rest_and_a_smaller_one_is_a_deficit() {
        let mut book = Book::default();
        book.fold(&[(1430, 10), (1445, 1)], 1, 1500, 1450);
        assert!(book.tally.audit(12, 0).is_some());
        book.tally.show();
        assert_eq!(book.tally.shown(), 13);
        assert!(
            book.tally.audit(0, 0).is_none(),
            "each day is compared once"
        );
        book.fold(&[(1450, 5), (2890, 1)], 1, 3000, 2900);
        assert!(
            book.tally.audit(4, 0).is_some(),
            "1 and 5 were counted of the day"
        );
        book.tally.show();
        assert_eq!(
            book.tally.shown(),
            19,
            "17 is the truth, 19 was shown before"
        );
        assert!(
            book.tally.audit(1, 1).is_none(),
            "a fraction's rounding is none"
        );
    }

    #[test]
    fn the_greatest_reading_comes_from_the_window_only() {
        let points = [
            (Minute(1), 9.0),
            (Minute(2), 4.0),
            (Minute(3), 1.0),
            (Minute(3), f64::NAN),
            (Minute(3), 1e308),
            (Minute(2), -5.0),
            (Minute(4), 8.0),
        ];
        let reading = Reading::greatest(&points, Minute(2), Minute(4)).unwrap();
        assert_eq!((reading.minute, reading.value), (Minute(3), 4.0));
        assert_eq!(Reading::greatest(&points, Minute(5), Minute(9)), None);
    }

    /// What AWS says: a value for each minute, which may have been less before.
    fn truth() -> impl Strategy<Value = BTreeMap<i64, i128>> {
        proptest::collection::btree_map(0..3 * DAY, 1..1000_i128, 0..200)
    }

    fn bins(truth: &BTreeMap<i64, i128>, bin: i64, from: i64, to: i64) -> Vec<(i64, i128)> {
        let mut sums = BTreeMap::new();
        for (minute, value) in truth.range(from..to) {
            *sums.entry(minute - minute % bin).or_default() += value;
        }
        sums.into_iter().collect()
    }

    proptest! {
        /// Whatever bins the answers come in, and however the polls lie, each minute counts once.
        #[test]
        fn bins_of_any_size_count_each_minute_once(
            truth in truth(),
            steps in proptest::collection::vec((0..3_usize, 1..700_i64, 0..30_i64), 1..40),
        ) {
            let mut book = Book::default();
            let mut seen = 0;
            for (kind, step, unsettled) in steps {
                let bin = [1, 5, 60][kind];
                let to = Minute(book.through.0 + step).ceil(bin).0;
                let settle = if bin == 1 { to - unsettled } else { to };
                let from = book.through.floor(bin).0;
                book.fold(&bins(&truth, bin, from, to), bin, to, settle);
                seen = seen.max(to);
                let sum: i128 = truth.range(..seen).map(|(_, value)| value).sum();
                prop_assert_eq!(book.tally.shown(), sum);
                let day = book.through.floor(DAY).0;
                let counted: i128 = truth.range(..day).map(|(_, value)| value).sum();
                let mut copy = book.tally.clone();
                prop_assert!(copy.audit(counted, 0).is_none(), "the days before hold what AWS says of them");
            }
        }

        /// Data that come after a minute settled are added by the comparison, once.
        #[test]
        fn late_data_are_added_by_the_daily_comparison(
            truth in truth(),
            late in proptest::collection::vec((0..DAY, 1..50_i128), 0..20),
            through in DAY..2 * DAY,
        ) {
            let mut book = Book::default();
            book.fold(&bins(&truth, 1, 0, through), 1, through, through);
            let mut all = truth.clone();
            for (minute, value) in late {
                *all.entry(minute).or_default() += value;
            }
            let day: i128 = all.range(..DAY).map(|(_, value)| value).sum();
            book.tally.audit(day, 0);
            book.tally.show();
            let sum: i128 = all.range(..through).map(|(_, value)| value).sum();
            prop_assert_eq!(book.tally.shown(), sum);
        }
    }
}
