//! What is shown of a subject before its start was seen, and what becomes of its rows.

use super::*;
use crate::api::stack::ServiceSettings;
use crate::exporter::series::Stat;
use crate::services::Wanted;
use crate::services::table::{Features, Shape};

fn subject(features: Features, exclude: &[&str]) -> Subject {
    let service = ServiceId::Lambda.service();
    let of_functions = |shape: &&&'static Shape| shape.dimensions == ["FunctionName"];
    let shape = service.shapes.iter().find(of_functions).unwrap();
    let settings = ServiceSettings {
        exclude_metrics: exclude.iter().map(ToString::to_string).collect(),
        ..ServiceSettings::default()
    };
    let wanted = Wanted::new(service, Some(&settings));
    let labels = vec![("function_name", "f".into())];
    Subject::new(shape, vec!["f".into()], labels, features, &wanted).working_for(1)
}

fn function() -> Watched {
    Watched::new(subject(Features::NONE, &[]), Minute(100))
}

fn position(watched: &Watched, name: &str) -> usize {
    let named = |series: &Series| series.metric.cloudwatch == name;
    watched.series.iter().position(named).unwrap()
}

/// Counts seven invocations in the first minute, and answers where.
fn invoke(watched: &mut Watched) -> usize {
    let place = position(watched, "Invocations");
    let span = watched.series[place].question(Minute(100), Minute(104));
    let points = vec![(Minute(100), 7.0)];
    watched.series[place].fold(
        &[Stat::Sum],
        &[points],
        span.unwrap(),
        Minute(100),
        Minute(104),
    );
    place
}

#[test]
fn a_new_counter_is_shown_at_zero_until_a_scrape_took_it() {
    let mut watched = function();
    let place = invoke(&mut watched);
    watched.show(8, 1000, 30);
    watched.announced(9, 1000);
    watched.show(8, 1040, 30);
    assert_eq!(
        watched.series[place].sum.shown(),
        0,
        "only an older snapshot was scraped"
    );
    watched.show(9, 1029, 30);
    assert_eq!(
        watched.series[place].sum.shown(),
        0,
        "another Prometheus may not have scraped yet"
    );
    watched.show(9, 1030, 30);
    assert_eq!(watched.series[place].sum.shown(), 7_000_000);
}

#[test]
fn buckets_that_begin_are_shown_at_zero_until_a_scrape_took_them() {
    let mut watched = function();
    let place = position(&watched, "Duration");
    watched.announced(1, 1000);
    watched.show(1, 1030, 30);
    let bounds = [Bound::parse("0.1").unwrap()];
    let buckets = |watched: &Watched| watched.series[place].buckets.shown();
    watched.want_buckets(&bounds, |metric| metric.cloudwatch == "Errors", Minute(104));
    assert!(
        !watched.held() && buckets(&watched).is_empty(),
        "no counts of it"
    );
    watched.want_buckets(&bounds, |_| true, Minute(104));
    assert!(watched.held());
    watched.announced(2, 1040);
    // The same again changes nothing.
    watched.want_buckets(&bounds, |_| true, Minute(105));
    let stats = [Stat::Sum, Stat::SampleCount, Stat::Below(bounds[0])];
    let points = || vec![(Minute(104), 3.0)];
    let series = &mut watched.series[place];
    let span = series.question(Minute(102), Minute(106)).unwrap();
    let answer = [points(), points(), points()];
    series.fold(&stats, &answer, span, Minute(102), Minute(106));
    watched.show(1, 1070, 30);
    assert_eq!(buckets(&watched), [(bounds[0], 0)]);
    watched.show(2, 1070, 30);
    assert_eq!(buckets(&watched), [(bounds[0], 3_000_000)]);
    let bytes = postcard::to_stdvec(&watched.saved()).unwrap();
    let restored = Watched::restore(postcard::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(buckets(&restored), buckets(&watched));
    watched.want_buckets(&[], |_| true, Minute(110));
    assert!(!watched.held() && buckets(&watched).is_empty());
}

#[test]
fn what_is_not_shown_yet_is_not_called_final() {
    let mut watched = function();
    for series in &mut watched.series {
        series.through = Minute(120);
    }
    watched.announced(1, 1000);
    assert_eq!(watched.through(), Some(Minute(100)));
    watched.show(1, 1030, 30);
    assert_eq!(watched.through(), Some(Minute(120)));
}

#[test]
fn without_any_scrape_a_new_counter_opens_after_its_patience() {
    let mut watched = function();
    watched.announced(1, 1000);
    watched.show(0, 1059, 30);
    assert!(watched.held());
    watched.show(0, 1060, 30);
    assert!(!watched.held());
}

#[test]
fn books_that_were_saved_go_on_where_they_were() {
    let mut watched = function();
    let place = invoke(&mut watched);
    watched.announced(1, 1000);
    watched.show(1, 1030, 30);
    let bytes = postcard::to_stdvec(&watched.saved()).unwrap();
    let restored = Watched::restore(postcard::from_bytes(&bytes).unwrap()).unwrap();
    assert!(!restored.held() && restored.subject == watched.subject);
    let (before, after) = (&watched.series[place], &restored.series[place]);
    assert_eq!((&before.sum, before.through), (&after.sum, after.through));
    assert_eq!(after.sum.shown(), 7_000_000);
}

fn all_features() -> Features {
    (0..32).fold(Features::NONE, |all, bit| all.and(Features::bit(bit)))
}

fn has(watched: &Watched, name: &str) -> bool {
    watched
        .series
        .iter()
        .any(|series| series.metric.cloudwatch == name)
}

#[test]
fn a_metric_that_cannot_exist_or_is_excluded_has_no_books() {
    let plain = Watched::new(subject(Features::NONE, &[]), Minute(100));
    assert!(!has(&plain, "DeadLetterErrors") && has(&plain, "Duration"));
    let all = Watched::new(subject(all_features(), &[]), Minute(100));
    assert!(has(&all, "DeadLetterErrors"));
    let excluded = subject(all_features(), &["aws_lambda_d*"]);
    let excluded = Watched::new(excluded, Minute(100));
    assert!(!has(&excluded, "DeadLetterErrors") && !has(&excluded, "Duration"));
    assert!(has(&excluded, "Invocations"));
}

#[test]
fn a_metric_that_begins_to_exist_is_counted_from_then_on_and_seen_at_zero_first() {
    let mut watched = function();
    invoke(&mut watched);
    watched.announced(1, 1000);
    watched.show(1, 1030, 30);
    for series in &mut watched.series {
        series.through = Minute(110);
    }
    watched.update(subject(all_features(), &[]), Minute(112), Minute(113), true);
    let new = position(&watched, "DeadLetterErrors");
    assert_eq!(watched.series[new].through, Minute(112));
    assert!(watched.held());
    assert_eq!(
        watched.through(),
        Some(Minute(110)),
        "what was said stays true"
    );
    let place = position(&watched, "Invocations");
    assert_eq!(
        watched.series[place].through,
        Minute(110),
        "its books are kept"
    );
}

#[test]
fn a_metric_that_cannot_exist_any_more_leaves_only_when_all_was_found_out() {
    let mut watched = Watched::new(subject(all_features(), &[]), Minute(100));
    watched.update(
        subject(Features::NONE, &[]),
        Minute(105),
        Minute(106),
        false,
    );
    assert!(has(&watched, "DeadLetterErrors"));
    watched.update(subject(Features::NONE, &[]), Minute(105), Minute(106), true);
    assert!(!has(&watched, "DeadLetterErrors"));
}

#[test]
fn a_row_that_left_and_comes_back_after_a_restart_goes_on_where_it_had_counted() {
    let mut watched = Watched::new(subject(all_features(), &[]), Minute(100));
    for series in &mut watched.series {
        series.through = Minute(130);
    }
    watched.update(subject(Features::NONE, &[]), Minute(105), Minute(131), true);
    let bytes = postcard::to_stdvec(&watched.saved()).unwrap();
    let mut watched = Watched::restore(postcard::from_bytes(&bytes).unwrap()).unwrap();
    watched.update(subject(all_features(), &[]), Minute(120), Minute(135), true);
    let back = position(&watched, "DeadLetterErrors");
    assert_eq!(watched.series[back].through, Minute(130));
}

#[test]
fn after_a_timeout_became_shorter_minutes_still_wait_for_what_was_begun_before() {
    let of = |minutes| subject(Features::NONE, &[]).working_for(minutes);
    let mut watched = Watched::new(of(15), Minute(100));
    let waits = |watched: &Watched, now| now - watched.settle_at(Minute(now)).0;
    watched.update(of(1), Minute(190), Minute(200), true);
    assert_eq!(waits(&watched, 214), SETTLE_MINUTES + 15);
    watched.update(of(2), Minute(190), Minute(205), true);
    assert_eq!(waits(&watched, 219), SETTLE_MINUTES + 15);
    let bytes = postcard::to_stdvec(&watched.saved()).unwrap();
    let restored = Watched::restore(postcard::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(waits(&restored, 219), SETTLE_MINUTES + 15);
    assert_eq!(waits(&restored, 220), SETTLE_MINUTES + 2);
    watched.update(of(10), Minute(290), Minute(300), true);
    assert_eq!(waits(&watched, 300), SETTLE_MINUTES + 10);
}
