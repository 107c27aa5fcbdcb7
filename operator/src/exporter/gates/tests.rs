//! Each sentence of the module's argument, and all of them together over random regions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::api::stack::Latency;
use crate::exporter::plan;
use crate::exporter::proofs::{World, function, row};
use crate::services::found::Subject;

const NOW: Minute = Minute(1000);
const THROTTLES: Region = ("AWS/Lambda", "Throttles");
const DROPPED: Region = ("AWS/Lambda", "RecursiveInvocationsDropped");

/// Functions that are up to date and have nothing unsettled.
fn functions(count: usize) -> Vec<Watched> {
    let one = |number: usize| {
        let mut one = Watched::new(function(&format!("f{number}"), 0), NOW.back(5));
        for series in &mut one.series {
            series.through = NOW.back(4);
        }
        one
    };
    (0..count).map(one).collect()
}

fn questions(watched: &[Watched]) -> Vec<Group> {
    plan::groups(watched, &Latency::default(), 1, NOW)
}

fn question(watched: &[Watched], subject: usize, metric: &str) -> Group {
    let row = row(&watched[subject], metric);
    let is_it = |group: &Group| group.of == Of::Row { subject, row };
    questions(watched)
        .into_iter()
        .find(is_it)
        .expect("it is asked for")
}

/// What a region's series has from a minute on.
fn told(region: Region, from: Minute, points: &[(Minute, f64)]) -> Look {
    let mut look = Look::default();
    hear(&mut look, region, from, points);
    look
}

fn hear(look: &mut Look, region: Region, from: Minute, points: &[(Minute, f64)]) {
    let group = Group {
        of: Of::Region(region),
        stats: vec![Stat::Sum],
        span: Span {
            from,
            to: NOW,
            bin: 1,
        },
    };
    look.take(&[], &group, &[points.to_vec()]);
}

/// Whether a group waits, after what a look said.
fn waits(gates: &Gates, watched: &[Watched], metric: &str) -> bool {
    let sorted = gates.sort(watched, questions(watched), NOW);
    let group = question(watched, 0, metric);
    sorted.waiting.contains(&group)
}

fn asked_of(sorted: &Sorted, region: Region) -> Option<Span> {
    let mut first = sorted.first.iter();
    let found = first.find(|group| group.of == Of::Region(region));
    found.map(|group| group.span)
}

#[test]
fn the_region_is_read_first_and_from_the_rows_first_unsettled_minute_on() {
    let mut watched = functions(3);
    let place = row(&watched[1], "Throttles");
    watched[1].series[place].through = NOW.back(9);
    let sorted = Gates::default().sort(&watched, questions(&watched), NOW);
    assert_eq!(asked_of(&sorted, THROTTLES).unwrap().from, NOW.back(9));
    let throttles = question(&watched, 0, "Throttles");
    assert!(sorted.first.contains(&throttles), "nothing was ever read");
}

#[test]
fn a_row_waits_only_while_its_region_had_nothing_and_is_ruled_out_only_by_what_was_read_just_now() {
    let watched = functions(2);
    let mut gates = Gates::default();
    let throttles = question(&watched, 0, "Throttles");
    let zeros = [(NOW.back(4), 0.0)];
    let look = told(THROTTLES, NOW.back(4), &zeros);
    gates.learn(&look, NOW);
    assert!(waits(&gates, &watched, "Throttles"));
    let after = gates.ruled_out_after(&look, &watched, &throttles);
    assert_eq!(after, Some(REGION_LAG_MINUTES));
    // It could not be read.
    assert_eq!(
        gates.ruled_out_after(&Look::default(), &watched, &throttles),
        None
    );
    // It begins later.
    let later = told(THROTTLES, NOW.back(3), &zeros);
    assert_eq!(gates.ruled_out_after(&later, &watched, &throttles), None);
    // It has something.
    let busy = told(THROTTLES, NOW.back(4), &[(NOW.back(2), 1.0)]);
    assert_eq!(gates.ruled_out_after(&busy, &watched, &throttles), None);
    gates.learn(&busy, NOW);
    assert!(!waits(&gates, &watched, "Throttles"));
}

#[test]
fn what_a_region_had_before_a_rows_first_unsettled_minute_does_not_concern_it() {
    let watched = functions(2);
    let mut gates = Gates::default();
    let look = told(THROTTLES, NOW.back(9), &[(NOW.back(5), 3.0)]);
    gates.learn(&look, NOW);
    assert!(waits(&gates, &watched, "Throttles"));
    let throttles = question(&watched, 0, "Throttles");
    assert!(gates.ruled_out_after(&look, &watched, &throttles).is_some());
}

#[test]
fn a_row_that_lags_is_asked_and_does_not_draw_the_others_question_into_the_past() {
    let mut watched = functions(3);
    let place = row(&watched[2], "Throttles");
    watched[2].series[place].through = NOW.back(400);
    watched[2].series[place].begun = NOW.back(600);
    let gates = Gates::closed(&watched);
    let sorted = gates.sort(&watched, questions(&watched), NOW);
    assert_eq!(asked_of(&sorted, THROTTLES).unwrap().from, NOW.back(4));
    let lagging = question(&watched, 2, "Throttles");
    assert!(lagging.span.bin > 1 && sorted.first.contains(&lagging));
}

#[test]
fn a_row_that_had_something_in_an_unsettled_minute_is_asked_whatever_the_region_says() {
    let mut watched = functions(2);
    let gates = Gates::closed(&watched);
    assert!(waits(&gates, &watched, "Throttles"));
    let place = row(&watched[0], "Throttles");
    let span = Span {
        from: NOW.back(4),
        to: NOW,
        bin: 1,
    };
    let points = vec![(NOW.back(2), 1.0)];
    watched[0].series[place].fold(&[Stat::Sum], &[points], span, NOW.back(3), NOW);
    assert!(!waits(&gates, &watched, "Throttles"));
}

#[test]
fn a_dense_series_that_is_silent_while_anything_runs_is_not_believed() {
    let watched = functions(2);
    let gates = Gates::closed(&watched);
    let throttles = question(&watched, 0, "Throttles");
    let mut look = told(THROTTLES, NOW.back(4), &[]);
    assert!(
        gates.ruled_out_after(&look, &watched, &throttles).is_some(),
        "nothing ran"
    );
    let pulse = question(&watched, 1, "Invocations");
    look.take(&watched, &pulse, &[vec![(NOW.back(4), 1.0)]]);
    assert_eq!(gates.ruled_out_after(&look, &watched, &throttles), None);
    hear(&mut look, THROTTLES, NOW.back(4), &[(NOW.back(4), 0.0)]);
    assert!(gates.ruled_out_after(&look, &watched, &throttles).is_some());
}

#[test]
fn a_sparse_series_is_believed_only_after_it_has_had_something_and_a_restart_remembers_it() {
    let mut watched = functions(2);
    for one in &mut watched {
        let everything = Subject::with_rows(
            one.subject.shape,
            one.subject.values.clone(),
            Vec::new(),
            |_| true,
        );
        *one = Watched::new(everything, NOW.back(4));
    }
    let mut gates = Gates::default();
    let dropped = question(&watched, 0, "RecursiveInvocationsDropped");
    let silent = told(DROPPED, NOW.back(4), &[]);
    gates.learn(&silent, NOW);
    assert!(!waits(&gates, &watched, "RecursiveInvocationsDropped"));
    assert_eq!(gates.ruled_out_after(&silent, &watched, &dropped), None);
    let busy = told(DROPPED, NOW.back(9), &[(NOW.back(9), 2.0)]);
    gates.learn(&busy, NOW);
    assert!(gates.ruled_out_after(&silent, &watched, &dropped).is_some());
    let mut restored = Gates::restored(gates.saved().clone());
    restored.learn(&silent, NOW);
    assert!(waits(&restored, &watched, "RecursiveInvocationsDropped"));
}

#[test]
fn a_row_that_was_wrongly_ruled_out_is_asked_for_a_week() {
    let watched = functions(2);
    let mut gates = Gates::closed(&watched);
    let shape = watched[0].subject.shape;
    assert!(gates.distrust(shape, "Throttles", NOW));
    assert!(!gates.distrust(shape, "Throttles", NOW), "that is no news");
    let mut gates = Gates::restored(gates.saved().clone());
    let nothing = told(THROTTLES, NOW.back(4), &[(NOW.back(4), 0.0)]);
    gates.learn(&nothing, Minute(NOW.0 + 6 * DAY));
    assert!(!waits(&gates, &watched, "Throttles"));
    let sorted = gates.sort(&watched, questions(&watched), NOW);
    assert_eq!(asked_of(&sorted, THROTTLES), None, "nobody would listen");
    gates.learn(&nothing, Minute(NOW.0 + 7 * DAY));
    assert!(waits(&gates, &watched, "Throttles"));
}

#[test]
fn what_was_not_invoked_ran_for_no_time() {
    let mut watched = functions(1);
    let gates = Gates::default();
    let duration = question(&watched, 0, "Duration");
    assert!(waits(&gates, &watched, "Duration"));
    assert_eq!(
        gates.ruled_out_after(&Look::default(), &watched, &duration),
        None
    );
    let pulse = question(&watched, 0, "Invocations");
    let mut look = Look::default();
    look.take(&watched, &pulse, &[Vec::new()]);
    assert_eq!(gates.ruled_out_after(&look, &watched, &duration), Some(0));
    let Of::Row { row, .. } = pulse.of else {
        unreachable!("it is a row's")
    };
    let points = [vec![(NOW.back(3), 1.0)]];
    watched[0].note(row, &pulse.stats, &points, NOW);
    assert_eq!(gates.ruled_out_after(&look, &watched, &duration), None);
}

#[test]
fn one_row_alone_is_no_reason_to_ask_the_region() {
    let watched = functions(1);
    let sorted = Gates::closed(&watched).sort(&watched, questions(&watched), NOW);
    assert_eq!(asked_of(&sorted, THROTTLES), None);
    assert!(sorted.first.contains(&question(&watched, 0, "Throttles")));
}

/// A function's truth, by metric.
#[derive(Clone, Debug)]
struct Life {
    work: u32,
    metrics: BTreeMap<&'static str, World>,
}

const GATED: [&str; 2] = ["Errors", "Throttles"];

/// Functions whose numbers come in two parts, the second as late as it may be. Errors and throttles are rare.
fn life(minutes: i64) -> impl Strategy<Value = Life> {
    let minute = (1..50_i64, 0..50_i64, 0..4_i64, 0..8_i64, 0..8_i64);
    let busy = proptest::collection::btree_map(0..minutes, minute, 0..40);
    (busy, 0..4_u32).prop_map(|(busy, work)| {
        let mut metrics: BTreeMap<&'static str, World> = BTreeMap::new();
        for (minute, (first, more, age, errors, throttles)) in busy {
            let age = age.min(3) + i64::from(work);
            let mut say = |metric, first, last| {
                let world = metrics.entry(metric).or_default();
                world.0.insert(minute, vec![(0, first), (age, last)]);
            };
            say("Invocations", first, first + more);
            say("Duration", 2 * first, 2 * (first + more));
            // In one minute of eight, and then it may be late as a whole.
            if errors == 0 {
                say("Errors", 0, 1);
            } else if errors == 1 {
                say("Errors", 1, 2);
            }
            if throttles == 0 {
                say("Throttles", 0, 3);
            }
        }
        Life { work, metrics }
    })
}

/// A region of functions, and an exporter that watches it.
struct Play {
    lives: Vec<Life>,
    watched: Vec<Watched>,
    gates: Gates,
    /// How many minutes the region's series are behind those of the functions.
    lag: i64,
    dice: u64,
    /// How many questions were put to rows, by metric.
    asked: BTreeMap<&'static str, usize>,
}

impl Play {
    fn new(lives: Vec<Life>, lag: i64, dice: u64) -> Self {
        let watched = lives.iter().enumerate().map(|(number, life)| {
            Watched::new(function(&format!("f{number:02}"), life.work), Minute(0))
        });
        Self {
            watched: watched.collect(),
            lives,
            gates: Gates::default(),
            lag,
            dice,
            asked: BTreeMap::new(),
        }
    }

    /// One question of eight fails.
    fn fails(&mut self, ever: bool) -> bool {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ever && self.dice >> 61 == 0
    }

    fn says(&self, subject: usize, metric: &str, span: Span, now: i64) -> Vec<(Minute, f64)> {
        let world = self.lives[subject].metrics.get(metric);
        world.map_or_else(Vec::new, |world| world.answer(span, now))
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn answer(&self, group: &Group, now: Minute) -> Vec<Vec<(Minute, f64)>> {
        match group.of {
            Of::Row { subject, row } => {
                let metric = self.watched[subject].series[row].metric.cloudwatch;
                let points = |stat: &Stat| match stat {
                    Stat::Sum => self.says(subject, metric, group.span, now.0),
                    Stat::SampleCount => self.says(subject, "Invocations", group.span, now.0),
                    _ => Vec::new(),
                };
                group.stats.iter().map(points).collect()
            }
            Of::Region((_, metric)) => {
                let now = now.0 - self.lag;
                let minutes = group.span.from.0..group.span.to.0;
                let point = |minute: i64| {
                    let said = |metric: &str| -> i64 {
                        let worlds = self
                            .lives
                            .iter()
                            .filter_map(|life| life.metrics.get(metric));
                        worlds.map(|world| world.minute(minute, now)).sum()
                    };
                    let dense = GATED.contains(&metric) && said("Invocations") > 0;
                    let sum = said(metric);
                    (dense || sum > 0).then_some((Minute(minute), sum as f64))
                };
                vec![minutes.filter_map(point).collect()]
            }
        }
    }

    fn ask(&mut self, groups: Vec<Group>, look: &mut Look, now: Minute, may_fail: bool) {
        for group in groups {
            if self.fails(may_fail) {
                continue;
            }
            let points = self.answer(&group, now);
            look.take(&self.watched, &group, &points);
            if let Of::Row { subject, row } = group.of {
                let watched = &mut self.watched[subject];
                let metric = watched.series[row].metric.cloudwatch;
                *self.asked.entry(metric).or_default() += 1;
                let settle = watched.settle_at(now);
                watched.series[row].fold(&group.stats, &points, group.span, settle, now);
                watched.note(row, &group.stats, &points, now);
            }
        }
    }

    /// As a target does it.
    fn poll(&mut self, now: Minute, may_fail: bool) {
        let groups = plan::groups(&self.watched, &Latency::default(), 1, now);
        let Sorted { first, waiting } = self.gates.sort(&self.watched, groups, now);
        let mut look = Look::default();
        self.ask(first, &mut look, now, may_fail);
        self.gates.learn(&look, now);
        let mut opened = Vec::new();
        for group in waiting {
            match (
                self.gates.ruled_out_after(&look, &self.watched, &group),
                group.of,
            ) {
                (Some(longer), Of::Row { subject, row }) => {
                    let watched = &mut self.watched[subject];
                    let settle = watched.settle_at(now).back(longer);
                    watched.series[row].rule_out(&group.stats, settle, now);
                }
                _ => opened.push(group),
            }
        }
        self.ask(opened, &mut look, now, may_fail);
    }

    /// What each counter shows beside what was final of it and what there is.
    fn counters(&mut self, now: Minute) -> Vec<(String, i128, i128, i128)> {
        let mut counters = Vec::new();
        for (watched, life) in self.watched.iter_mut().zip(&self.lives) {
            for series in &mut watched.series {
                let Some(world) = life.metrics.get(series.metric.cloudwatch) else {
                    continue;
                };
                series.sum.show();
                let micros = |sum: i64| {
                    i128::from(sum)
                        * if series.metric.cloudwatch == "Duration" {
                            1_000
                        } else {
                            1_000_000
                        }
                };
                counters.push((
                    format!("{} {}", watched.subject.values[0], series.metric.cloudwatch),
                    micros(world.truth(0, series.through.0)),
                    series.sum.shown(),
                    micros(world.truth(0, now.0)),
                ));
            }
        }
        counters
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the region's series and the functions' own questions come to, when they are read, which of them fail, and
    /// how far the region is behind or ahead: each counter holds at each moment what is final of it, and no more than
    /// there is, without any daily comparison.
    #[test]
    fn what_is_ruled_out_is_as_exact_as_what_is_asked(
        lives in proptest::collection::vec(life(300), 2..6),
        lag in -1..=REGION_LAG_MINUTES,
        dice in any::<u64>(),
        waits in proptest::collection::vec(prop_oneof![6 => 1..6_i64, 1 => 6..40_i64], 20..100),
    ) {
        let mut play = Play::new(lives, lag, dice);
        let mut now = Minute(0);
        for wait in waits {
            now = Minute(now.0 + wait);
            play.poll(now, true);
            for (counter, least, shown, most) in play.counters(now) {
                prop_assert!(least <= shown && shown <= most, "{counter} at {now:?}: {least} <= {shown} <= {most}");
            }
        }
        now = Minute(now.0.max(300));
        for _ in 0..4 {
            now = Minute(now.0 + 30);
            play.poll(now, false);
        }
        for (counter, _, shown, truth) in play.counters(now) {
            prop_assert_eq!(shown, truth, "{}", counter);
        }
    }
}

#[test]
fn a_region_in_which_nothing_fails_saves_the_questions_for_errors() {
    let quiet = |_| {
        let minutes = (0..300).map(|minute| (minute, vec![(0, 5)])).collect();
        let invocations = World(minutes);
        Life {
            work: 0,
            metrics: BTreeMap::from([("Invocations", invocations)]),
        }
    };
    let mut play = Play::new((0..20).map(quiet).collect(), 0, 1);
    let errors = row(&play.watched[0], "Errors");
    for now in 1..200 {
        play.poll(Minute(now), false);
    }
    let mut rows = play.watched.iter().map(|watched| &watched.series[errors]);
    assert!(rows.all(|series| series.through >= Minute(190)));
    assert_eq!(play.asked["Invocations"], 20 * 199);
    for metric in GATED {
        // Until the region was read for the first time.
        assert!(
            play.asked[metric] <= 20 * 2,
            "{metric}: {}",
            play.asked[metric]
        );
    }
}
