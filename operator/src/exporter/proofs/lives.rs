//! What a process that dies leaves to the next one, and what those see who scrape it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{World, function, growing, micros, row};
use crate::exporter::book::{DAY, Minute};
use crate::exporter::checkpoint::{self, Books, Header};
use crate::exporter::series::{SETTLE_MINUTES, Stat};
use crate::exporter::watched::Watched;

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
