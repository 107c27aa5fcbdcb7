//! AWS's documented contract of `GetMetricData`, with its error codes.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataError, GetMetricDataOutput};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataQuery, ScanBy, StatusCode};

use crate::play::{cloudwatch, function_query, noon, play_region, points, query};

const BUSY: &str = "{functions: [{name: f, traffic: {steady: {per_minute: 100}}}, {name: g, traffic: {steady: {per_minute: 9}}}]}";
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

async fn ask(
    client: &Client,
    queries: Vec<MetricDataQuery>,
    start: i64,
    end: i64,
) -> Result<GetMetricDataOutput, GetMetricDataError> {
    client
        .get_metric_data()
        .start_time(DateTime::from_secs(start))
        .end_time(DateTime::from_secs(end))
        .set_metric_data_queries(Some(queries))
        .send()
        .await
        .map_err(aws_sdk_cloudwatch::error::SdkError::into_service_error)
}

/// The message of the validation error that these queries are refused with.
async fn refused(client: &Client, queries: Vec<MetricDataQuery>, start: i64, end: i64) -> String {
    let error = ask(client, queries, start, end).await.unwrap_err();
    assert_eq!(error.meta().code(), Some("ValidationError"), "{error:?}");
    error.meta().message().unwrap().to_owned()
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let (start, end) = (noon() - HOUR, noon());
    let one = |id: &str| function_query(id, "f", "Invocations", "Sum");
    let with = |period, stat| {
        query(
            "a",
            "AWS/Lambda",
            "Duration",
            ("FunctionName", "f"),
            period,
            stat,
        )
    };

    let many: Vec<_> = (0..501).map(|n| one(&format!("q{n}"))).collect();
    assert!(refused(&client, many, start, end).await.contains("500"));
    assert!(
        refused(&client, vec![one("a"), one("a")], start, end)
            .await
            .contains("not unique")
    );
    for id in ["A", "1a", "", "a-b", "é"] {
        assert!(
            !refused(&client, vec![one(id)], start, end).await.is_empty(),
            "{id}"
        );
    }
    assert!(
        refused(&client, vec![one("a")], end, start)
            .await
            .contains("StartTime")
    );
    assert!(
        refused(&client, vec![one("a")], start, start)
            .await
            .contains("StartTime")
    );
    for period in [0, 7, 45, 90, 61, -60] {
        assert!(
            refused(&client, vec![with(period, "Sum")], start, end)
                .await
                .contains("Period"),
            "{period}"
        );
    }
    for stat in [
        "bogus",
        "sum",
        "p101",
        "p",
        "TC(5:1)",
        "TC(:)",
        "PR(1%:2%)",
        "TM(1%:5)",
    ] {
        assert!(
            refused(&client, vec![with(60, stat)], start, end)
                .await
                .contains("Stat"),
            "{stat}"
        );
    }
    let neither = MetricDataQuery::builder().id("a").build();
    assert!(
        refused(&client, vec![neither], start, end)
            .await
            .contains("Expression")
    );
}

#[tokio::test]
async fn five_hundred_queries_are_answered_in_order() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let many: Vec<_> = (0..500)
        .map(|n| function_query(&format!("q{n}"), "f", "Invocations", "Sum"))
        .collect();
    let answer = ask(&client, many, noon() - 600, noon() - 300)
        .await
        .unwrap();
    let ids: Vec<_> = answer
        .metric_data_results()
        .iter()
        .map(|r| r.id().unwrap())
        .collect();
    assert_eq!(ids.len(), 500);
    assert_eq!((ids[0], ids[499]), ("q0", "q499"));
    assert!(
        answer
            .metric_data_results()
            .iter()
            .all(|r| r.values().len() == 5)
    );
}

#[tokio::test]
async fn a_metric_that_does_not_exist_is_complete_and_empty() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let answer = ask(
        &client,
        vec![function_query("a", "nobody", "Invocations", "Sum")],
        noon() - HOUR,
        noon(),
    )
    .await
    .unwrap();
    let result = &answer.metric_data_results()[0];
    assert_eq!(result.status_code(), Some(&StatusCode::Complete));
    assert!(result.values().is_empty() && result.timestamps().is_empty());
}

#[tokio::test]
async fn datapoints_are_newest_first_unless_asked_otherwise_and_the_end_is_exclusive() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let (start, end) = (noon() - HOUR, noon() - HOUR / 2);
    let newest_first = points(
        &client,
        function_query("a", "f", "Invocations", "Sum"),
        start,
        end,
    )
    .await;
    let times: Vec<i64> = newest_first.iter().map(|p| p.0).collect();
    assert_eq!(
        times,
        (0..30).rev().map(|m| start + m * 60).collect::<Vec<_>>()
    );
    let answer = client
        .get_metric_data()
        .start_time(DateTime::from_secs(start))
        .end_time(DateTime::from_secs(end))
        .scan_by(ScanBy::TimestampAscending)
        .metric_data_queries(function_query("a", "f", "Invocations", "Sum"))
        .send()
        .await
        .unwrap();
    let oldest_first: Vec<i64> = answer.metric_data_results()[0]
        .timestamps()
        .iter()
        .map(DateTime::secs)
        .collect();
    assert!(oldest_first.is_sorted());
    assert_eq!(oldest_first.len(), 30);
}

#[tokio::test]
async fn periods_lie_on_multiples_of_themselves_and_the_start_is_rounded_down() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let base = noon() - HOUR;
    // 37 seconds into a minute: the whole minute is in.
    let unaligned = points(
        &client,
        function_query("a", "f", "Invocations", "Sum"),
        base + 37,
        base + 120,
    )
    .await;
    assert_eq!(
        unaligned.iter().map(|p| p.0).collect::<Vec<_>>(),
        [base + 60, base]
    );
    // Two minutes into a period: the period is there, with only what lies in the range.
    let five = |start, end| {
        points(
            &client,
            query(
                "a",
                "AWS/Lambda",
                "Invocations",
                ("FunctionName", "f"),
                300,
                "Sum",
            ),
            start,
            end,
        )
    };
    let whole = five(base, base + 600).await;
    let partial = five(base + 120, base + 600).await;
    assert_eq!(
        whole.iter().map(|p| p.0).collect::<Vec<_>>(),
        [base + 300, base]
    );
    assert_eq!(
        partial.iter().map(|p| p.0).collect::<Vec<_>>(),
        [base + 300, base]
    );
    assert!(partial[1].1 < whole[1].1 && partial[1].1 > 0.0);
    assert_eq!(partial[0], whole[0]);
}

#[tokio::test]
async fn a_period_too_fine_for_the_age_of_the_data_gives_nothing_and_no_error() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let found = async |age: i64, period: i32| {
        let start = noon() - age;
        let query = query(
            "a",
            "AWS/Lambda",
            "Invocations",
            ("FunctionName", "f"),
            period,
            "Sum",
        );
        !points(&client, query, start, start + 2 * HOUR)
            .await
            .is_empty()
    };
    assert!(!found(2 * HOUR, 30).await);
    assert!(found(14 * DAY, 60).await);
    assert!(!found(16 * DAY, 60).await);
    assert!(found(16 * DAY, 300).await);
    assert!(!found(64 * DAY, 300).await);
    assert!(found(64 * DAY, HOUR.try_into().unwrap()).await);
    assert!(!found(460 * DAY, HOUR.try_into().unwrap()).await);
}

#[tokio::test]
async fn pages_join_to_what_one_page_would_have_been() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let queries = || {
        vec![
            function_query("a", "f", "Invocations", "Sum"),
            function_query("b", "g", "Duration", "p90"),
        ]
    };
    let (start, end) = (noon() - 1200, noon());
    let whole = ask(&client, queries(), start, end).await.unwrap();
    let mut joined: Vec<(String, Vec<(i64, u64)>)> =
        vec![("a".to_owned(), Vec::new()), ("b".to_owned(), Vec::new())];
    let mut token = None;
    let mut pages = 0;
    loop {
        let page = client
            .get_metric_data()
            .start_time(DateTime::from_secs(start))
            .end_time(DateTime::from_secs(end))
            .max_datapoints(7)
            .set_next_token(token)
            .set_metric_data_queries(Some(queries()))
            .send()
            .await
            .unwrap();
        pages += 1;
        // Time passes between pages: they still show one moment.
        simulator.advance_seconds(30);
        for result in page.metric_data_results() {
            let of = joined
                .iter_mut()
                .find(|j| Some(j.0.as_str()) == result.id())
                .unwrap();
            let values = result.values().iter().map(|v| v.to_bits());
            of.1.extend(result.timestamps().iter().map(DateTime::secs).zip(values));
        }
        let datapoints: usize = page
            .metric_data_results()
            .iter()
            .map(|r| r.values().len())
            .sum();
        assert!(datapoints <= 7);
        token = page.next_token().map(str::to_owned);
        let partial = page
            .metric_data_results()
            .iter()
            .any(|r| r.status_code() == Some(&StatusCode::PartialData));
        if token.is_none() {
            assert!(!partial);
            break;
        }
    }
    assert!(pages >= 5, "{pages}");
    for (result, (_, points)) in whole.metric_data_results().iter().zip(&joined) {
        let times: Vec<i64> = result.timestamps().iter().map(DateTime::secs).collect();
        let values: Vec<u64> = result.values().iter().map(|v| v.to_bits()).collect();
        assert_eq!(points.iter().map(|p| p.0).collect::<Vec<_>>(), times);
        assert_eq!(points.iter().map(|p| p.1).collect::<Vec<_>>(), values);
    }
    let error = client
        .get_metric_data()
        .start_time(DateTime::from_secs(start))
        .end_time(DateTime::from_secs(end))
        .next_token("made-up")
        .set_metric_data_queries(Some(queries()))
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_invalid_next_token());
}

#[tokio::test]
async fn five_statistics_of_one_metric_are_one_billed_metric_and_the_sixth_is_another() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let stats = ["Sum", "SampleCount", "p50", "p90", "p99", "Maximum"];
    let billed = async |count: usize| {
        simulator.reset_meter();
        let queries = stats[..count]
            .iter()
            .enumerate()
            .map(|(n, stat)| function_query(&format!("q{n}"), "f", "Duration", stat))
            .chain([
                function_query("x", "f", "Errors", "Sum"),
                function_query("y", "nobody", "Errors", "Sum"),
            ])
            .collect();
        ask(&client, queries, noon() - 600, noon()).await.unwrap();
        let readings = simulator.meter();
        let reading = readings
            .iter()
            .find(|r| r.api == "cloudwatch:GetMetricData")
            .unwrap();
        assert_eq!(reading.requests, 1);
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let dollars = reading.metrics_billed as f64 * 0.00001;
        assert!((reading.dollars - dollars).abs() < 1e-12);
        reading.metrics_billed
    };
    assert_eq!((billed(5).await, billed(6).await), (3, 4));
}

#[tokio::test]
async fn an_answer_holds_a_hundred_thousand_and_eight_hundred_datapoints_and_a_token_for_the_rest()
{
    let region = "{functions: [{name: f, traffic: {steady: {per_minute: 100}}}]}";
    let simulator = crate::play::play_region(region).await;
    let client = cloudwatch(&simulator).await;
    let time = aws_sdk_cloudwatch::primitives::DateTime::from_secs;
    let (mut sizes, mut token) = (Vec::new(), None);
    loop {
        let page = client
            .get_metric_data()
            .start_time(time(noon() - 5 * 3600))
            .end_time(time(noon()))
            .set_metric_data_queries(Some(
                (0..500)
                    .map(|i| function_query(&format!("q{i}"), "f", "Invocations", "Sum"))
                    .collect(),
            ))
            .set_next_token(token)
            .send()
            .await
            .unwrap();
        let results = page.metric_data_results().iter();
        sizes.push(results.map(|result| result.values().len()).sum::<usize>());
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [100_800, 500 * 300 - 100_800]);
}
