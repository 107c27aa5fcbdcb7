//! The sentences of the argument for exactness (`exactness.md`), each as a property over random worlds, polls and failures. They
//! run the product's own books through what the loops do with them; the worlds are this file's.

mod calls;
mod counting;
mod lives;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::book::{DAY, Minute, Span};
use super::series::{SETTLE_MINUTES, Series};
use super::watched::Watched;
use crate::services::found::Subject;
use crate::services::table::Features;
use crate::services::{ServiceId, Wanted};

/// A function as discovery finds it, whose invocations take so many minutes.
pub fn function(name: &str, longest_work_minutes: u32) -> Subject {
    let service = ServiceId::Lambda.service();
    let mut shapes = service.shapes.iter();
    let shape = shapes.find(|shape| shape.dimensions == ["FunctionName"]);
    let wanted = Wanted::new(service, None);
    let labels = vec![("function_name", name.into())];
    Subject::new(
        shape.expect("functions are in the table"),
        vec![name.into()],
        labels,
        Features::NONE,
        &wanted,
    )
    .working_for(longest_work_minutes)
}

/// The place of a row.
pub fn row(watched: &Watched, metric: &str) -> usize {
    let named = |series: &Series| series.metric.cloudwatch == metric;
    watched.series.iter().position(named).expect("it has it")
}

/// What AWS says of one counter: for each minute that has a datapoint, how many minutes after its end it begins to say
/// which number.
#[derive(Clone, Debug, Default)]
pub struct World(pub BTreeMap<i64, Vec<(i64, i64)>>);

impl World {
    /// A minute's number as it is read at the beginning of another one.
    pub fn minute(&self, minute: i64, now: i64) -> i64 {
        let numbers = self.0.get(&minute).into_iter().flatten();
        let said = numbers.take_while(|(age, _)| minute + 1 + age <= now);
        said.last().map_or(0, |(_, number)| *number)
    }

    /// What is said of some minutes then.
    fn sum(&self, from: i64, to: i64, now: i64) -> i64 {
        let minutes = self.0.range(from..to.max(from));
        minutes.map(|(minute, _)| self.minute(*minute, now)).sum()
    }

    /// What will be said of them in the end.
    pub fn truth(&self, from: i64, to: i64) -> i64 {
        self.sum(from, to, i64::MAX)
    }

    /// What was said of each of these minutes when nothing was to be expected any more.
    fn settled(&self, from: i64, to: i64) -> i64 {
        let minutes = self.0.range(from..to.max(from));
        minutes
            .map(|(minute, _)| self.minute(*minute, minute + 1 + SETTLE_MINUTES))
            .sum()
    }

    /// CloudWatch's answer, with all that it then has.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub fn answer(&self, span: Span, now: i64) -> Vec<(Minute, f64)> {
        let kept = span.bin > 1 || now - span.from.0 <= 15 * DAY;
        assert!(kept, "minutes of more than 15 days ago are asked for");
        let bins = (span.from.0..span.to.0).step_by(usize::try_from(span.bin).unwrap());
        bins.map(|bin| (Minute(bin), self.sum(bin, bin + span.bin, now)))
            .filter(|(_, sum)| *sum != 0)
            .map(|(bin, sum)| (bin, sum as f64))
            .collect()
    }
}

/// Numbers that only grow: nearly all of them are final when a minute settles, some grow for `late` minutes more.
fn growing(minutes: i64, late: i64) -> impl Strategy<Value = World> {
    let minute = (
        1..1000_i64,
        0..=SETTLE_MINUTES,
        0..1000_i64,
        prop_oneof![4 => Just(None), 1 => (1..=late.max(1), 1..500_i64).prop_map(Some)],
    );
    let numbers = minute.prop_map(move |(first, age, more, tail)| {
        let mut numbers = vec![(0, first), (age, first + more)];
        if late > 0
            && let Some((after, more_still)) = tail
        {
            numbers.push((SETTLE_MINUTES + after, first + more + more_still));
        }
        numbers
    });
    proptest::collection::btree_map(0..minutes, numbers, 0..150).prop_map(World)
}

const MICROS: i128 = 1_000_000;

fn micros(number: i64) -> i128 {
    i128::from(number) * MICROS
}
