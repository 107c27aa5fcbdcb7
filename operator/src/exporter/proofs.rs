//! The sentences of the argument for exactness (`exactness.md`), each as a property over random worlds, polls and failures. They
//! run the product's own books through what the loops do with them; the worlds are this file's.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::book::{DAY, Minute, Span};
use super::checkpoint::{self, Books, Header};
use super::plan::{self, Batch, Group, Of, QUERIES_PER_CALL};
use super::series::{SETTLE_MINUTES, Series, Stat};
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

/// What happens between two polls, and to the second one.
#[derive(Clone, Copy, Debug)]
struct Turn {
    wait: i64,
    fails: bool,
    restarts: bool,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let wait = prop_oneof![12 => 1..8_i64, 3 => 8..200_i64, 1 => 200..2 * DAY];
    let turn = (wait, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let turn = turn.prop_map(|(wait, fails, restarts)| Turn {
        wait,
        fails,
        restarts,
    });
    proptest::collection::vec(turn, 1..50).prop_filter("minutes are kept for 15 days", |turns| {
        turns.iter().map(|turn| turn.wait).sum::<i64>() < 10 * DAY
    })
}

const MICROS: i128 = 1_000_000;

fn invocations() -> Series {
    let watched = Watched::new(function("f", 0), Minute(0));
    let place = row(&watched, "Invocations");
    Series::new(watched.series[place].metric, Minute(0))
}

fn restarted(series: &Series) -> Series {
    let bytes = postcard::to_stdvec(&series.saved()).unwrap();
    let mut restored = Series::new(series.metric, Minute(0));
    restored.restore(postcard::from_bytes(&bytes).unwrap());
    restored
}

/// Asks until there is nothing left to ask for.
fn poll(series: &mut Series, world: &World, now: i64) {
    let settle = Minute(now).back(SETTLE_MINUTES);
    while let Some(span) = series.question(settle, Minute(now)) {
        let answer = world.answer(span, now);
        series.fold(&[Stat::Sum], &[answer], span, settle, Minute(now));
        if span.to.0 >= now {
            break;
        }
    }
}

fn compare(series: &mut Series, world: &World, now: i64) {
    if let Some(span) = series.audit_question(Minute(now)) {
        let answer = world.answer(span, now);
        series.audit(&[Stat::Sum], &[answer], span);
    }
}

fn shown(series: &mut Series) -> i128 {
    series.sum.show();
    series.sum.shown()
}

fn micros(number: i64) -> i128 {
    i128::from(number) * MICROS
}

proptest! {
    /// Between any two scrapes a counter holds what was final of each minute exactly once, and of the others no more than
    /// AWS said: whenever is polled, whatever fails, in whatever bins a backlog comes, and wherever the process restarts.
    /// What comes late is added by the daily comparison.
    #[test]
    fn each_minute_counts_once_and_in_the_end_a_counter_is_the_truth(
        world in growing(10 * DAY, 150),
        turns in turns(),
    ) {
        let mut series = invocations();
        let (mut now, mut before) = (0, 0);
        for turn in turns {
            now += turn.wait;
            if turn.restarts {
                series = restarted(&series);
            }
            if !turn.fails {
                poll(&mut series, &world, now);
                compare(&mut series, &world, now);
            }
            let shown = shown(&mut series);
            prop_assert!(shown >= before, "a counter decreased");
            prop_assert!(shown >= micros(world.settled(0, series.through.0)), "something final is missing");
            prop_assert!(shown <= micros(world.sum(0, now, now)), "something was counted twice");
            before = shown;
        }
        let end = (now / DAY + 2) * DAY + 200;
        poll(&mut series, &world, end);
        compare(&mut series, &world, end);
        // What is still to come of the last hours is added a day later.
        let today = end / DAY * DAY;
        let expected = world.truth(0, today) + world.sum(today, end, end);
        prop_assert_eq!(shown(&mut series), micros(expected));
    }

    /// A revision downward is held against later growth: a counter never decreases, and catches up with the truth.
    #[test]
    fn what_aws_takes_back_is_a_deficit_against_later_growth(
        mut world in growing(2 * DAY, 0),
        taken_back in proptest::collection::vec((any::<prop::sample::Index>(), 1..200_i64, 1..600_i64), 0..20),
        turns in turns(),
    ) {
        let minutes: Vec<i64> = world.0.keys().copied().collect();
        for (place, after, most) in taken_back {
            let Some(minute) = (!minutes.is_empty()).then(|| minutes[place.index(minutes.len())]) else {
                continue;
            };
            let numbers = world.0.get_mut(&minute).unwrap();
            let (age, number) = *numbers.last().unwrap();
            // What is taken back after the comparison of its day stays counted.
            if age + after <= 170 {
                numbers.push((age + after, (number - most).max(0)));
            }
        }
        let mut series = invocations();
        let (mut now, mut before, mut most) = (0, 0, 0);
        for turn in turns {
            now += turn.wait;
            if turn.restarts {
                series = restarted(&series);
            }
            if !turn.fails {
                poll(&mut series, &world, now);
                compare(&mut series, &world, now);
            }
            let shown = shown(&mut series);
            prop_assert!(shown >= before, "a counter decreased");
            before = shown;
            // AWS's greatest word of each minute so far.
            let greatest = |(minute, numbers): (&i64, &Vec<(i64, i64)>)| {
                let said = numbers.iter().filter(|(age, _)| minute + 1 + age <= now);
                said.map(|(_, number)| *number).max().unwrap_or(0)
            };
            most = most.max(micros(world.0.iter().map(greatest).sum()));
            prop_assert!(shown <= most, "more than AWS ever said");
        }
        // Enough growth pays the deficit.
        let end = (now / DAY + 2) * DAY;
        world.0.insert(end, vec![(0, 1_000_000)]);
        for now in [end + 4, end + 300, end + DAY + 200] {
            poll(&mut series, &world, now);
            compare(&mut series, &world, now);
        }
        prop_assert_eq!(shown(&mut series), micros(world.truth(0, series.through.0)));
    }
}

/// A process with the books of one function, and what it has published.
struct Process {
    watched: Watched,
    published: Option<i128>,
    /// The number of the newest snapshot, and of the newest that was scraped.
    snapshot: u64,
    scraped: u64,
}

/// What a death leaves.
#[derive(Default)]
struct Disk {
    books: Option<Vec<u8>>,
    beside: Option<Vec<u8>>,
}

/// The process died.
#[derive(Debug)]
struct Killed;

/// Dies at a step.
struct Life {
    steps_left: usize,
}

impl Life {
    fn step(&mut self) -> Result<(), Killed> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Killed)?;
        Ok(())
    }
}

impl Process {
    fn start(disk: &Disk) -> Self {
        let kept = disk.books.as_deref().map(|bytes| {
            let (_, mut books) = checkpoint::decode(bytes).expect("what was renamed is whole");
            Watched::restore(books.subjects.remove(0)).expect("the table knows it")
        });
        Self {
            watched: kept.unwrap_or_else(|| Watched::new(function("f", 0), Minute(0))),
            published: None,
            snapshot: 0,
            scraped: 0,
        }
    }

    /// The steps from a question to the answer taken over.
    fn poll(&mut self, world: &World, now: i64, life: &mut Life) -> Result<(), Killed> {
        let place = row(&self.watched, "Invocations");
        let settle = self.watched.settle_at(Minute(now));
        loop {
            life.step()?;
            let series = &mut self.watched.series[place];
            let Some(span) = series.question(settle, Minute(now)) else {
                return Ok(());
            };
            let answer = world.answer(span, now);
            life.step()?;
            series.fold(&[Stat::Sum], &[answer], span, settle, Minute(now));
            if span.to.0 >= now {
                return Ok(());
            }
        }
    }

    /// The steps from the books to the snapshot.
    fn publish(&mut self, disk: &mut Disk, now: i64, life: &mut Life) -> Result<(), Killed> {
        let seconds = u64::try_from(now * 60).unwrap();
        self.watched.show(self.scraped, seconds, 60);
        life.step()?;
        let header = Header {
            stack: "web/shop".to_owned(),
            key: (None, "eu-west-1".to_owned()),
            account_id: "111122223333".to_owned(),
            partition: "aws".to_owned(),
        };
        let books = Books {
            subjects: vec![self.watched.saved()],
            ..Books::default()
        };
        let bytes = checkpoint::encode(&header, &books);
        life.step()?;
        disk.beside = Some(bytes[..bytes.len() / 2].to_vec());
        life.step()?;
        disk.beside = Some(bytes);
        life.step()?;
        disk.books = disk.beside.take();
        life.step()?;
        let place = row(&self.watched, "Invocations");
        self.snapshot += 1;
        self.published = Some(self.watched.series[place].sum.shown());
        life.step()?;
        self.watched.announced(self.snapshot, seconds);
        Ok(())
    }

    fn scrape(&mut self) -> Option<i128> {
        if self.published.is_some() {
            self.scraped = self.snapshot;
        }
        self.published
    }
}

proptest! {
    /// A process that dies between any two steps from the question to the snapshot goes on above all that anybody saw,
    /// and counts nothing twice.
    #[test]
    fn a_death_between_any_two_steps_loses_nothing_and_counts_nothing_twice(
        world in growing(DAY, 0),
        lives in proptest::collection::vec((0..60_usize, 1..10_i64), 1..25),
    ) {
        let mut disk = Disk::default();
        let (mut now, mut seen) = (0, 0);
        for (steps, wait) in lives {
            let mut life = Life { steps_left: steps };
            let mut process = Process::start(&disk);
            let mut lived = || -> Result<(), Killed> {
                process.publish(&mut disk, now, &mut life)?;
                loop {
                    // Prometheus, before and after each poll.
                    if let Some(sample) = process.scrape() {
                        assert!(sample >= seen, "a counter decreased from {seen} to {sample}");
                        seen = sample;
                    }
                    now += wait;
                    let polled = process.poll(&world, now, &mut life);
                    polled.and_then(|()| process.publish(&mut disk, now, &mut life))?;
                }
            };
            let Err(Killed) = lived() else { unreachable!("it lives until it is killed") };
            // What was swapped in before the death may have been scraped.
            if let Some(sample) = process.published {
                prop_assert!(sample >= seen);
                seen = sample;
            }
            prop_assert!(seen <= micros(world.truth(0, now)));
        }
        let mut process = Process::start(&disk);
        let mut immortal = Life { steps_left: usize::MAX };
        for now in [now, now + 10, now + 20] {
            process.poll(&world, now, &mut immortal).unwrap();
            process.publish(&mut disk, now, &mut immortal).unwrap();
            process.scrape();
        }
        let place = row(&process.watched, "Invocations");
        let through = process.watched.series[place].through.0;
        let sample = process.published.unwrap();
        prop_assert!(sample >= seen);
        prop_assert!(sample >= micros(world.truth(0, through)));
        prop_assert!(sample <= micros(world.truth(0, now + 20)));
    }

    /// Of two Prometheus servers that scrape in turn, each sees a new counter at 0 before it sees what was counted,
    /// whenever that is found, counted and published.
    #[test]
    fn every_scraper_sees_a_counter_start(
        phases in (1..60_u64, 1..60_u64),
        publishes in proptest::collection::vec((1..40_u64, any::<bool>()), 5..40),
    ) {
        const SCRAPE_INTERVAL: u64 = 60;
        let mut watched = Watched::new(function("f", 0), Minute(0));
        let place = row(&watched, "Invocations");
        // The newest snapshot and what it shows.
        let (mut snapshot, mut shows) = (0, None);
        let mut scraped = 0;
        let mut first: [Option<i128>; 2] = [None, None];
        let mut next = publishes.iter();
        let mut publish_at = next.next().map(|(after, polls)| (*after, *polls));
        for second in 1..1_500_u64 {
            for (number, phase) in [phases.0, phases.1].into_iter().enumerate() {
                if second % SCRAPE_INTERVAL == phase && let Some(value) = shows {
                    scraped = snapshot;
                    first[number].get_or_insert(value);
                }
            }
            let Some((at, polls)) = publish_at else { break };
            if second < at {
                continue;
            }
            publish_at = next.next().map(|(after, polls)| (second + after, *polls));
            if polls {
                let now = Minute(i64::try_from(second).unwrap() / 60 + 10);
                let settle = now.back(SETTLE_MINUTES);
                let series = &mut watched.series[place];
                if let Some(span) = series.question(settle, now) {
                    let world = World(BTreeMap::from([(1, vec![(0, 7)])]));
                    let answer = world.answer(span, now.0);
                    series.fold(&[Stat::Sum], &[answer], span, settle, now);
                }
            }
            watched.show(scraped, second, SCRAPE_INTERVAL);
            snapshot += 1;
            shows = Some(watched.series[place].sum.shown());
            watched.announced(snapshot, second);
        }
        for value in first.into_iter().flatten() {
            prop_assert_eq!(value, 0, "the increase from 0 was never seen");
        }
    }
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let bin = prop_oneof![Just(1_i64), Just(5), Just(60), Just(DAY)];
    let group = (
        0..3000_usize,
        0..9_usize,
        1..9_usize,
        bin,
        0..200_i64,
        0..3_i64,
    );
    let group = group.prop_map(|(subject, row, statistics, bin, back, end)| {
        let to = Minute((20_000 - end) * DAY);
        Group {
            of: Of::Row { subject, row },
            stats: vec![Stat::Sum; statistics],
            span: Span {
                from: to.back((back + 1) * bin),
                to,
                bin,
            },
        }
    });
    proptest::collection::vec(group, 0..1500)
}

fn queries(batch: &Batch) -> usize {
    batch.groups.iter().map(|group| group.stats.len()).sum()
}

proptest! {
    /// Whatever is asked for, it is asked for once, all statistics of a metric in one call, no call is longer than
    /// CloudWatch takes, and each covers what its questions need.
    #[test]
    fn every_question_is_in_exactly_one_call_that_covers_it(groups in groups()) {
        let batches = plan::batches(groups.clone());
        let key = |group: &Group| {
            let Of::Row { subject, row } = group.of else { unreachable!("only rows are asked for") };
            (subject, row, group.stats.len(), group.span.from, group.span.to, group.span.bin)
        };
        let mut asked: Vec<_> = batches.iter().flat_map(|batch| &batch.groups).map(key).collect();
        let mut wanted: Vec<_> = groups.iter().map(key).collect();
        asked.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(asked, wanted);
        for batch in &batches {
            prop_assert!(queries(batch) <= QUERIES_PER_CALL);
            for group in &batch.groups {
                prop_assert!(batch.span.from <= group.span.from);
                prop_assert_eq!((batch.span.to, batch.span.bin), (group.span.to, group.span.bin));
            }
        }
    }

    /// Questions that ask for the same time fill their calls.
    #[test]
    fn a_steady_cycle_takes_hardly_more_calls_than_there_must_be(
        rows in proptest::collection::vec((1..6_usize, 0..30_i64), 1..4000),
    ) {
        let now = Minute(1_000_000);
        let groups: Vec<Group> = rows.iter().enumerate().map(|(subject, (statistics, lag))| Group {
            of: Of::Row { subject, row: 0 },
            stats: vec![Stat::Sum; *statistics],
            span: Span { from: now.back(1 + lag), to: now, bin: 1 },
        }).collect();
        let all: usize = groups.iter().map(|group| group.stats.len()).sum();
        let least = all.div_ceil(QUERIES_PER_CALL);
        let calls = plan::batches(groups).len();
        prop_assert!(calls * 100 <= least * 105 + 100, "{} calls, not {}", calls, least);
    }
}
