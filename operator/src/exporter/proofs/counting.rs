//! Whenever is polled and whatever fails, a counter counts each minute once, never decreases and comes to the truth.

use proptest::prelude::*;

use super::{World, function, growing, micros, row};
use crate::exporter::book::{DAY, Minute};
use crate::exporter::series::{SETTLE_MINUTES, Series, Stat};
use crate::exporter::watched::Watched;

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
