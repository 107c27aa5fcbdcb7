//! What is done with answers, whatever is in them.

use super::*;
use crate::exporter::book::Span;
use crate::exporter::series::Stat;

const FIRST: i64 = 100;
const LAST: i64 = 109;

/// A call for two metrics with two statistics each.
fn batch() -> Batch {
    let span = Span {
        from: Minute(FIRST),
        to: Minute(LAST + 1),
        bin: 1,
    };
    let group = |row| Group {
        of: Of::Row { subject: 0, row },
        stats: vec![Stat::Sum, Stat::SampleCount],
        span,
    };
    Batch {
        span,
        groups: vec![group(0), group(1)],
    }
}

const IDS: [&str; 4] = ["g0s0", "g0s1", "g1s0", "g1s1"];

fn result(id: &str, status: &str, points: &[(i64, f64)]) -> MetricDataResult {
    let times = points
        .iter()
        .map(|(minute, _)| DateTime::from_secs(minute * 60));
    MetricDataResult::builder()
        .id(id)
        .status_code(StatusCode::from(status))
        .set_timestamps(Some(times.collect()))
        .set_values(Some(points.iter().map(|(_, value)| *value).collect()))
        .build()
}

/// All four results, each with one datapoint.
fn whole() -> Vec<MetricDataResult> {
    IDS.map(|id| result(id, "Complete", &[(104, 7.0)])).to_vec()
}

/// What the pages of an answer come to, for each of the two metrics.
fn answered(pages: &[Vec<MetricDataResult>]) -> [Result<Points, AwsError>; 2] {
    let batch = batch();
    let mut answers = HashMap::new();
    for page in pages {
        merge(&mut answers, page, &batch);
    }
    let mut points = assign(batch.groups, Ok(answers))
        .into_iter()
        .map(|(_, points)| points);
    [points.next().unwrap(), points.next().unwrap()]
}

fn points(minutes: &[(i64, f64)]) -> Vec<(Minute, f64)> {
    minutes.iter().map(|(m, v)| (Minute(*m), *v)).collect()
}

#[track_caller]
fn assert_refused(answer: &Result<Points, AwsError>, reason: Reason) {
    let error = answer.as_ref().unwrap_err();
    assert_eq!(error.reason, reason, "{error}");
}

#[test]
fn results_may_come_in_any_order_and_their_datapoints_too() {
    let mut results = whole();
    results[0] = result("g0s0", "Complete", &[(107, 3.0), (101, 1.0), (104, 2.0)]);
    results.reverse();
    let [first, second] = answered(&[results]);
    let sums = points(&[(101, 1.0), (104, 2.0), (107, 3.0)]);
    assert_eq!(first.unwrap(), [sums, points(&[(104, 7.0)])]);
    assert!(second.is_ok());
}

#[test]
fn the_datapoints_of_all_pages_are_put_together() {
    let pages = [
        vec![result("g0s0", "PartialData", &[(105, 5.0), (104, 4.0)])],
        Vec::new(),
        [
            vec![result("g0s0", "Complete", &[(103, 3.0)])],
            whole()[1..].to_vec(),
        ]
        .concat(),
    ];
    let [first, _] = answered(&pages);
    let sums = points(&[(103, 3.0), (104, 4.0), (105, 5.0)]);
    assert_eq!(first.unwrap()[0], sums);
}

#[test]
fn pages_that_repeat_a_datapoint_or_end_with_a_part_are_no_answer() {
    let again = result("g0s0", "Complete", &[(104, 7.0)]);
    let [first, second] = answered(&[whole(), vec![again]]);
    assert_refused(&first, Reason::InvalidAnswer);
    assert!(second.is_ok(), "what is right stays right");
    let mut results = whole();
    results[3] = result("g1s1", "PartialData", &[(104, 7.0)]);
    let [first, second] = answered(&[results]);
    assert_refused(&second, Reason::ServerError);
    assert!(first.is_ok());
}

#[test]
fn half_of_a_metrics_statistics_are_no_answer() {
    let mut results = whole();
    results.remove(1);
    let [first, second] = answered(&[results]);
    assert_refused(&first, Reason::InvalidAnswer);
    assert!(second.is_ok());
    let [first, second] = answered(&[Vec::new()]);
    assert_refused(&first, Reason::InvalidAnswer);
    assert_refused(&second, Reason::InvalidAnswer);
}

#[test]
fn results_that_nobody_asked_for_are_not_looked_at() {
    let mut results = whole();
    results.push(result("g7s0", "Complete", &[(104, 9.0)]));
    results.push(result("nobody", "InternalError", &[]));
    results.push(MetricDataResult::builder().build());
    let [first, second] = answered(&[results]);
    assert_eq!(first.unwrap()[0], points(&[(104, 7.0)]));
    assert!(second.is_ok());
}

#[test]
fn each_status_but_complete_has_its_reason() {
    for (status, reason) in [
        ("Forbidden", Reason::AccessDenied),
        ("PartialData", Reason::ServerError),
        ("InternalError", Reason::ServerError),
        ("SomethingNew", Reason::InvalidAnswer),
    ] {
        let mut results = whole();
        results[2] = result("g1s0", status, &[]);
        let [first, second] = answered(&[results]);
        assert!(first.is_ok());
        assert_refused(&second, reason);
    }
    let mut results = whole();
    results[2] = MetricDataResult::builder().id("g1s0").build();
    assert_refused(&answered(&[results])[1], Reason::InvalidAnswer);
}

#[test]
fn timestamps_and_values_of_different_number_contradict_each_other() {
    for (times, values) in [(2, 1), (1, 2), (0, 1), (1, 0)] {
        let time = |place: i64| DateTime::from_secs((FIRST + place) * 60);
        let broken = MetricDataResult::builder()
            .id("g0s0")
            .status_code(StatusCode::Complete)
            .set_timestamps(Some((0..times).map(time).collect()))
            .set_values(Some(vec![1.0; values]))
            .build();
        let mut results = whole();
        results[0] = broken;
        assert_refused(&answered(&[results])[0], Reason::InvalidAnswer);
    }
}

#[test]
fn a_minute_that_comes_twice_or_does_not_begin_as_minutes_do_is_no_answer() {
    let mut results = whole();
    results[0] = result("g0s0", "Complete", &[(104, 7.0), (105, 1.0), (104, 7.0)]);
    assert_refused(&answered(&[results])[0], Reason::InvalidAnswer);
    let mut results = whole();
    results[0] = MetricDataResult::builder()
        .id("g0s0")
        .status_code(StatusCode::Complete)
        .timestamps(DateTime::from_secs(104 * 60 + 1))
        .values(1.0)
        .build();
    assert_refused(&answered(&[results])[0], Reason::InvalidAnswer);
}

#[test]
fn minutes_before_the_window_are_left_out_silently() {
    let mut results = whole();
    results[0] = result(
        "g0s0",
        "Complete",
        &[(FIRST - 1, 1.0), (FIRST, 2.0), (LAST, 4.0)],
    );
    let [first, _] = answered(&[results]);
    assert_eq!(first.unwrap()[0], points(&[(FIRST, 2.0), (LAST, 4.0)]));
}

#[test]
fn what_is_of_the_future_is_kept_to_be_counted() {
    let mut results = whole();
    results[0] = result("g0s0", "Complete", &[(LAST, 4.0), (LAST + 60, 9.0)]);
    let [first, _] = answered(&[results]);
    assert_eq!(first.unwrap()[0], points(&[(LAST, 4.0), (LAST + 60, 9.0)]));
}

#[test]
fn a_failed_call_is_the_failure_of_all_its_questions() {
    let error = AwsError::new(Reason::Throttled, ACTION, "slow down");
    for (_, points) in assign(batch().groups, Err(error.clone())) {
        assert_eq!(points, Err(error.clone()));
    }
}
