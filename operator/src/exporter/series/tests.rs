//! What a row asks for, what it takes over from answers and how it is compared and given up.

use super::*;
use crate::services::ServiceId;

const STATS: [Stat; 2] = [Stat::Sum, Stat::SampleCount];

fn series(name: &str) -> Series {
    let shapes = ServiceId::Lambda.service().shapes;
    let of_functions = shapes
        .iter()
        .find(|shape| shape.dimensions == ["FunctionName"]);
    let metrics = of_functions.unwrap().metrics;
    let metric = metrics.iter().find(|metric| metric.cloudwatch == name);
    Series::new(metric.unwrap(), Minute(100))
}

fn minutes(from: i64, to: i64) -> Span {
    Span {
        from: Minute(from),
        to: Minute(to),
        bin: 1,
    }
}

#[test]
fn a_reading_of_five_minutes_is_taken_when_they_are_over() {
    static FAMILY: crate::services::table::Family = crate::services::table::Family {
        name: "aws_test",
        kind: crate::services::table::FamilyKind::Gauge,
        help: "",
    };
    static METRIC: Metric = Metric::maximum("Test", &FAMILY).every_minutes(5);
    let mut series = Series::new(&METRIC, Minute(100));
    let at = |minute| vec![(Minute(minute), f64::from(i32::try_from(minute).unwrap()))];
    series.fold(
        &[Stat::Maximum],
        &[at(95)],
        minutes(90, 101),
        Minute(97),
        Minute(101),
    );
    assert_eq!(
        series.reading(Reads::Greatest),
        None,
        "CloudWatch may still change it"
    );
    let question = series.question(Minute(97), Minute(101)).unwrap();
    assert!(question.from <= Minute(95));
    series.fold(
        &[Stat::Maximum],
        &[at(95)],
        minutes(90, 103),
        Minute(99),
        Minute(103),
    );
    assert_eq!(series.reading(Reads::Greatest).unwrap().minute, Minute(95));
}

#[test]
fn minutes_before_the_settled_ones_are_never_counted_again() {
    let mut series = series("Duration");
    let points = [vec![(Minute(100), 1500.5)], vec![(Minute(100), 3.0)]];
    // A batch that other series share may begin earlier.
    for _ in 0..2 {
        series.fold(&STATS, &points, minutes(100, 105), Minute(101), Minute(105));
        assert_eq!(series.through, Minute(101));
    }
    series.sum.show();
    series.count.show();
    assert_eq!(
        (series.sum.shown(), series.count.shown()),
        (1_500_500, 3_000_000)
    );
}

#[test]
fn what_no_metric_can_hold_is_dropped_and_counted() {
    let mut series = series("Errors");
    let points = vec![
        (Minute(101), f64::NAN),
        (Minute(102), -1.0),
        (Minute(103), f64::INFINITY),
        (Minute(104), 1e308),
        (Minute(105), 2.0),
    ];
    let span = minutes(100, 110);
    let folded = series.fold(&[Stat::Sum], &[points], span, Minute(100), Minute(110));
    assert_eq!(folded.absurd, 4);
    series.sum.show();
    assert_eq!(series.sum.shown(), 2_000_000);
}

#[test]
fn what_cannot_be_is_counted_once_though_it_is_read_again() {
    let mut series = series("Errors");
    let absurd = |now: i64| vec![(Minute(101), -1.0), (Minute(now + 60), 1.0)];
    let mut fold = |points, to: i64| {
        let (stats, span) = ([Stat::Sum], minutes(100, to));
        let folded = series.fold(&stats, &[points], span, Minute(100), Minute(to));
        folded.absurd
    };
    assert_eq!(fold(absurd(105), 105), 2);
    assert_eq!(fold(vec![(Minute(101), -1.0), (Minute(165), 1.0)], 106), 0);
    assert_eq!(fold(absurd(107), 107), 1, "a later one of the future");
}

#[test]
fn gauges_are_never_what_they_cannot_be() {
    let mut series = series("ConcurrentExecutions");
    let points = [f64::NAN, -1.0, 1e308, f64::INFINITY, 7.0];
    let points = (100..).map(Minute).zip(points).collect();
    let (stats, span) = ([Stat::Maximum], minutes(95, 110));
    let folded = series.fold(&stats, &[points], span, Minute(100), Minute(110));
    assert_eq!(folded.absurd, 4);
    let reading = series.reading(Reads::Greatest).unwrap();
    assert_eq!(reading.value.to_bits(), 7.0_f64.to_bits());
}

#[test]
fn a_day_of_which_something_absurd_is_said_is_not_corrected() {
    let mut series = series("Errors");
    let span = minutes(100, DAY);
    let points = vec![(Minute(101), 5.0)];
    series.fold(&[Stat::Sum], &[points], span, Minute(DAY), Minute(DAY));
    let absurd = vec![(Minute(101), f64::NAN)];
    let folded = series.audit(&[Stat::Sum], &[absurd], span);
    assert_eq!(folded.corrections, 0);
    series.sum.show();
    assert_eq!(series.sum.shown(), 5_000_000);
    let later = vec![(Minute(DAY + 1), 3.0)];
    let next = minutes(DAY, DAY + 9);
    series.fold(
        &[Stat::Sum],
        &[later],
        next,
        Minute(DAY + 9),
        Minute(DAY + 9),
    );
    series.sum.show();
    assert_eq!(series.sum.shown(), 8_000_000, "there is no deficit");
}

#[test]
fn a_maximum_misses_no_minute_between_two_polls() {
    let mut series = series("ConcurrentExecutions");
    let bits = |series: &Series| series.reading(Reads::Greatest).unwrap().value.to_bits();
    let points = vec![(Minute(100), 4.0), (Minute(103), 9.0), (Minute(106), 50.0)];
    let span = minutes(95, 108);
    series.fold(&[Stat::Maximum], &[points], span, Minute(100), Minute(108));
    // 106 has not settled at 108.
    assert_eq!(bits(&series), 9.0_f64.to_bits());
    let points = vec![(Minute(106), 40.0), (Minute(107), 2.0)];
    let span = minutes(105, 113);
    series.fold(&[Stat::Maximum], &[points], span, Minute(100), Minute(113));
    assert_eq!(bits(&series), 40.0_f64.to_bits());
}

fn quantile(text: &str) -> Quantile {
    Quantile::parse(text).unwrap()
}

#[test]
fn a_quantile_of_a_minute_waits_for_its_longest_run() {
    // Runs of 15 minutes: what began in a minute is known 18 minutes later.
    let mut series = series("Duration").working_for(15);
    let stats = [
        Stat::Sum,
        Stat::SampleCount,
        Stat::Quantile(quantile("0.99")),
    ];
    let mut poll = |now: i64, p99: f64| {
        let settle = Minute(now - 18);
        let span = series.question(settle, Minute(now)).unwrap();
        assert!(span.from <= Minute(100), "{now}: {span:?}");
        let points = vec![(Minute(100), p99)];
        series.fold(&stats, &[vec![], vec![], points], span, settle, Minute(now));
        let reading = series.reading(Reads::Quantile(quantile("0.99")));
        reading.map(|reading| reading.value.to_bits())
    };
    assert_eq!(poll(105, 50.0), None, "the quick runs only");
    assert_eq!(poll(118, 800_000.0), None);
    assert_eq!(poll(119, 900_000.0), Some(900_f64.to_bits()));
}

#[test]
fn readings_are_kept_by_what_they_are_of_and_only_as_long_as_they_are_wanted() {
    let mut series = series("Duration");
    let mut fold = |at: i64, stats: &[Stat]| {
        let points: Vec<_> = (1..)
            .zip(stats)
            .map(|(place, _)| vec![(Minute(at), 1000.0 * f64::from(place))])
            .collect();
        series.fold(
            stats,
            &points,
            minutes(at, at + 5),
            Minute(at + 1),
            Minute(at + 5),
        );
        let known = ["0.5", "0.99"].map(|q| Reads::Quantile(quantile(q)));
        let [p50, p99] = known.map(|reads| series.reading(reads).map(|r| r.value.to_bits()));
        (
            p50,
            p99,
            series.reading(Reads::Greatest).map(|r| r.value.to_bits()),
        )
    };
    let [one, two, three] = [1.0, 2.0, 3.0_f64].map(|value| Some(value.to_bits()));
    let of = |q| Stat::Quantile(quantile(q));
    assert_eq!(
        fold(100, &[of("0.5"), of("0.99"), Stat::Maximum]),
        (one, two, three)
    );
    assert_eq!(fold(101, &[of("0.99")]), (None, one, None));
    assert_eq!(fold(102, &[Stat::Maximum, of("0.5")]), (two, None, one));
}

#[test]
fn a_gauge_that_is_ruled_out_is_read_again_when_what_was_under_way_has_ended() {
    let mut series = series("ConcurrentExecutions");
    series.read_through = Minute(100);
    series.rule_out(&[Stat::Maximum], Minute(102), Minute(120));
    assert_eq!(series.read_through, Minute(102));
}

#[test]
fn a_backlog_is_asked_for_in_bins_that_cloudwatch_still_has() {
    let mut series = series("Invocations");
    series.begun = Minute(0);
    let mut question = |through: i64, now: i64| {
        series.through = Minute(through);
        series.question(Minute(now - 4), Minute(now)).unwrap()
    };
    let span = |from, to, bin| Span {
        from: Minute(from),
        to: Minute(to),
        bin,
    };
    assert_eq!(question(1003, 1183), span(1003, 1183, 1));
    assert_eq!(question(1003, 1184), span(1000, 1180, 5));
    assert_eq!(question(1003, 1003 + DAY), span(1000, 2435, 5));
    assert_eq!(question(1003, 1004 + DAY), span(960, 2400, 60));
    assert_eq!(question(1003, 1003 + 64 * DAY), span(960, 93120, 60));
}

#[test]
fn a_bin_that_begins_before_the_books_is_asked_for_by_the_minute() {
    let mut series = series("Invocations");
    series.begun = Minute(1003);
    series.through = Minute(1010);
    let now = Minute(1010 + 2 * DAY);
    let span = series.question(now.back(4), now).unwrap();
    assert_eq!(span, minutes(1010, 1020));
}

#[test]
fn what_cloudwatch_does_not_keep_is_given_up_and_told() {
    let mut series = series("Invocations");
    assert_eq!(series.give_up(Minute(100 + 14 * DAY)), 0);
    // Within its first hour single minutes are needed, and these are gone after 15 days.
    assert_eq!(series.give_up(Minute(100 + 16 * DAY)), 20);
    assert_eq!((series.through, series.audited), (Minute(120), Minute(120)));
    assert_eq!(series.give_up(Minute(120 + 64 * DAY)), 0);
    let lost = series.give_up(Minute(120 + 500 * DAY));
    assert_eq!(lost, 46 * DAY);
}

#[test]
fn a_day_is_compared_when_cloudwatch_has_what_comes_late() {
    let mut series = series("Invocations");
    series.through = Minute(DAY + 170);
    assert_eq!(series.audit_question(Minute(DAY + 179)), None);
    // The day in which the series began is not whole.
    assert_eq!(
        series.audit_question(Minute(DAY + 180)),
        Some(minutes(100, DAY))
    );
    series.through = Minute(16 * DAY + 170);
    assert_eq!(series.audit_question(Minute(16 * DAY + 180)), None);
    series.audited = Minute(DAY);
    series.through = Minute(2 * DAY + 170);
    let span = Span {
        from: Minute(DAY),
        to: Minute(2 * DAY),
        bin: DAY,
    };
    assert_eq!(series.audit_question(Minute(2 * DAY + 180)), Some(span));
}

#[test]
fn a_comparison_corrects_what_was_missed_and_not_the_rounding_of_fractions_nor_the_histogram() {
    let mut series = series("Duration");
    series.buckets = Buckets::new(&[crate::api::Bound::parse("1").unwrap()], Minute(100));
    series.through = Minute(DAY);
    let span = minutes(100, DAY);
    let points = |milliseconds: f64, count: f64| {
        [
            vec![(Minute(100), milliseconds)],
            vec![(Minute(100), count)],
        ]
    };
    assert_eq!(series.audit(&STATS, &points(0.5, 1.0), span).corrections, 1);
    series.sum.show();
    series.count.show();
    assert_eq!((series.sum.shown(), series.count.shown()), (0, 1_000_000));
    series.buckets.show();
    assert_eq!(series.buckets.count(), 0);
}
