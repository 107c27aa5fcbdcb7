//! The buckets of one row: how CloudWatch's trimmed counts become a histogram of Prometheus.
//!
//! `TC(:100)` of a minute is how many of its values are no greater than 100, which is what a bucket `le="0.1"` counts, and
//! the counts of minutes add up. CloudWatch computes them from a sketch of the values, so they may be fractions, and one
//! bound's may be a little greater than the next one's. Therefore a bucket is shown as no less than the one before it, and
//! no more than all values: of numbers that never decrease, the greatest and the least never decrease either.
//!
//! All buckets of a row begin in the same minute, and so do the histogram's own sum and count of all values: else a rate
//! over them would not grow with the bound, or values from before would seem to be above all bounds. When the bounds
//! change, all begin again at 0, and Prometheus takes it for the reset that it is. The daily comparison has no part in any
//! of it, because nothing says how long what it finds took: the sketch of a day is not the sum of those of its minutes. The
//! row's sum and count, of which the daily comparison takes care, are published beside the histogram.

use serde::{Deserialize, Serialize};

use super::book::{Minute, Span, Tally};
use super::series::Stat;
use crate::api::Bound;

/// The histogram of a row: its buckets, none where no histogram is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// The first minute that they count.
    from: Minute,
    sum: Tally,
    count: Tally,
    tallies: Vec<(Bound, Tally)>,
}

impl Buckets {
    /// Buckets up to these bounds, which count from a minute on.
    pub fn new(bounds: &[Bound], from: Minute) -> Self {
        let tallies = bounds.iter().map(|bound| (*bound, Tally::default()));
        Self {
            from,
            tallies: tallies.collect(),
            ..Self::default()
        }
    }

    /// Their bounds, growing.
    pub fn bounds(&self) -> impl Iterator<Item = Bound> {
        self.tallies.iter().map(|(bound, _)| *bound)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }

    /// Whether an answer that covers `span` and has the counts of these bounds keeps them whole. If not, they begin again
    /// from a later minute: a bin that is longer than their time cannot be divided.
    pub fn fit(&mut self, asked: impl Fn(Bound) -> bool, span: Span, now: Minute) {
        let divided = span.bin > 1 && span.from < self.from;
        if divided || !self.bounds().all(asked) {
            let bounds: Vec<_> = self.bounds().collect();
            *self = Self::new(&bounds, now);
        }
    }

    /// Takes over sums, counts or counts up to a bound, as [`Tally::fold`] does.
    pub fn fold(&mut self, stat: Stat, answer: &[(Minute, i128)], span: Span, settle: Minute) {
        if self.is_empty() {
            return;
        }
        let tally = match stat {
            Stat::Sum => Some(&mut self.sum),
            Stat::SampleCount => Some(&mut self.count),
            Stat::Below(bound) => {
                let mut tallies = self.tallies.iter_mut();
                tallies.find(|(known, _)| *known == bound).map(|(_, t)| t)
            }
            _ => None,
        };
        let counted = answer.iter().filter(|(minute, _)| *minute >= self.from);
        let counted: Vec<_> = counted.copied().collect();
        if let Some(tally) = tally {
            tally.fold(&counted, span, settle);
        }
    }

    fn tallies(&mut self) -> impl Iterator<Item = &mut Tally> {
        let buckets = self.tallies.iter_mut().map(|(_, tally)| tally);
        [&mut self.sum, &mut self.count].into_iter().chain(buckets)
    }

    /// Goes on at a later minute without what lies between.
    pub fn skip(&mut self, to: Minute) {
        self.tallies().for_each(|tally| tally.skip(to));
    }

    /// Lets the world see all that was counted.
    pub fn show(&mut self) {
        self.tallies().for_each(Tally::show);
    }

    /// What is shown of the sum of all values, in millionths of the base unit.
    pub fn sum(&self) -> i128 {
        self.sum.shown()
    }

    /// What is shown of the count of all values, in millionths.
    pub fn count(&self) -> i128 {
        self.count.shown()
    }

    /// What is shown of each bucket, in millionths.
    pub fn shown(&self) -> Vec<(Bound, i128)> {
        let mut least = 0;
        let count = self.count();
        let shown = self.tallies.iter().map(|(bound, tally)| {
            least = tally.shown().max(least).min(count);
            (*bound, least)
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds() -> [Bound; 3] {
        ["0.1", "0.5", "1"].map(|text| Bound::parse(text).unwrap())
    }

    fn minutes(from: i64, to: i64) -> Span {
        Span {
            from: Minute(from),
            to: Minute(to),
            bin: 1,
        }
    }

    #[test]
    fn minutes_from_before_the_buckets_are_not_in_them() {
        let mut buckets = Buckets::new(&bounds(), Minute(100));
        let answer = [(Minute(99), 5_000_000), (Minute(100), 7_000_000)];
        let stats = [Stat::Sum, Stat::SampleCount, Stat::Below(bounds()[0])];
        for stat in stats {
            buckets.fold(stat, &answer, minutes(95, 105), Minute(101));
        }
        buckets.show();
        let seven = bounds().map(|bound| (bound, 7_000_000));
        assert_eq!(buckets.shown(), seven);
        assert_eq!((buckets.sum(), buckets.count()), (7_000_000, 7_000_000));
    }

    #[test]
    fn an_answer_without_their_counts_or_in_bins_that_are_longer_than_their_time_lets_them_begin_again()
     {
        let full = || {
            let mut buckets = Buckets::new(&bounds(), Minute(100));
            let answer = [(Minute(100), 7_000_000)];
            let below = Stat::Below(bounds()[0]);
            buckets.fold(below, &answer, minutes(95, 105), Minute(101));
            buckets
        };
        let begun_again = Buckets::new(&bounds(), Minute(200));
        let hours = |from| Span {
            bin: 60,
            ..minutes(from, 180)
        };
        for (all_asked, span, again) in [
            (true, minutes(95, 105), false),
            (true, hours(120), false),
            (true, hours(60), true),
            (false, minutes(95, 105), true),
        ] {
            let mut buckets = full();
            buckets.fit(|bound| all_asked || bound != bounds()[2], span, Minute(200));
            let expected = if again { &begun_again } else { &full() };
            assert_eq!(&buckets, expected, "{all_asked} {span:?}");
        }
    }

    proptest! {
        /// Whatever CloudWatch answers, a bucket is no less than the one before it, no more than all, and never decreases.
        #[test]
        fn buckets_grow_with_their_bounds_and_with_time(
            polls in proptest::collection::vec((1..8_i64, 0..4_i64, proptest::collection::vec(0..3_000_000_i128, 40)), 1..20),
        ) {
            let mut buckets = Buckets::new(&bounds(), Minute(2));
            let (mut through, mut now) = (Minute(0), Minute(0));
            let mut before = buckets.shown();
            for (step, unsettled, values) in polls {
                now = Minute(now.0 + step);
                let (span, settle) = (minutes(through.0, now.0), now.back(unsettled).max(through));
                let mut values = values.into_iter().cycle();
                let mut answer = || -> Vec<_> {
                    (span.from.0..span.to.0).map(|m| (Minute(m), values.next().unwrap_or_default())).collect()
                };
                buckets.fold(Stat::SampleCount, &answer(), span, settle);
                for bound in bounds() {
                    buckets.fold(Stat::Below(bound), &answer(), span, settle);
                }
                buckets.show();
                let shown = buckets.shown();
                prop_assert!(shown.windows(2).all(|pair| pair[0].1 <= pair[1].1));
                prop_assert!(shown.iter().all(|(_, value)| *value <= buckets.count()));
                prop_assert!(shown.iter().zip(&before).all(|(now, before)| now.1 >= before.1));
                (before, through) = (shown, settle);
            }
        }
    }
}
