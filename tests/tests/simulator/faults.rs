//! Fault scripts, as an SDK without retries sees them.

use aws_sdk_cloudwatch::error::SdkError;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::StatusCode;
use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::faults::Fault;

use crate::play::{cloudwatch, config, function_query, noon, play_region};

const BUSY: &str = "{functions: [{name: f, traffic: {steady: {per_minute: 100}}}]}";

fn script(simulator: &Simulator, json: &str) {
    let faults: Vec<Fault> = serde_json::from_str(json).unwrap();
    simulator.set_faults(faults);
}

async fn code(simulator: &Simulator) -> Option<String> {
    let client = cloudwatch(simulator).await;
    let answer = client.list_metrics().send().await;
    match answer {
        Ok(_) => None,
        // What cannot be decoded is a service error without a code.
        Err(SdkError::ServiceError(error)) => Some(
            error
                .err()
                .meta()
                .code()
                .unwrap_or("response error")
                .to_owned(),
        ),
        Err(error) => Some(format!("{error}")),
    }
}

#[tokio::test]
async fn calls_go_wrong_by_their_number_and_the_service_names_the_error() {
    let simulator = play_region(BUSY).await;
    script(
        &simulator,
        r#"[{"api": "cloudwatch:*", "calls": [2], "effect": "throttle"},
            {"api": "cloudwatch:ListMetrics", "calls": [3], "effect": "access_denied"},
            {"api": "cloudwatch:ListMetrics", "calls": [4], "effect": {"error": {"status": 503}}},
            {"api": "*", "calls": [5], "region": "eu-west-1", "effect": "expired_token"},
            {"api": "*", "region": "us-east-1", "effect": "throttle"}]"#,
    );
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(code(&simulator).await);
    }
    let expected = [
        None,
        Some("Throttling"),
        Some("AccessDenied"),
        Some("InternalFailure"),
        Some("ExpiredTokenException"),
        None,
    ];
    assert_eq!(seen, expected.map(|c| c.map(str::to_owned)));
    let reading = &simulator.meter()[0];
    assert_eq!(
        (
            reading.requests,
            reading.throttles,
            reading.errors,
            reading.faults
        ),
        (6, 1, 3, 4)
    );
    script(&simulator, r#"[{"api": "lambda:*", "effect": "throttle"}]"#);
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let error = lambda
        .list_functions()
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_too_many_requests_exception());
    assert_eq!(code(&simulator).await, None);
    simulator.set_faults(Vec::new());
    assert!(lambda.list_functions().send().await.is_ok());
}

#[tokio::test]
async fn a_probability_strikes_about_that_often_and_times_limits_it() {
    let simulator = play_region(BUSY).await;
    // An API without a rate limit of its own.
    let dynamodb = aws_sdk_dynamodb::Client::new(&config(&simulator).await);
    let struck = async || {
        let mut struck = 0;
        for _ in 0..20 {
            struck += usize::from(dynamodb.list_tables().send().await.is_err());
        }
        struck
    };
    script(
        &simulator,
        r#"[{"probability": 0.5, "effect": {"error": {"status": 500}}}]"#,
    );
    let half = struck().await;
    assert!((4..=16).contains(&half), "{half}");
    script(
        &simulator,
        r#"[{"times": 3, "effect": {"error": {"status": 500}}}]"#,
    );
    assert_eq!(struck().await, 3);
}

#[tokio::test]
async fn broken_answers_are_errors_to_the_client_and_the_next_call_works() {
    let simulator = play_region(BUSY).await;
    for effect in ["reset", "truncate", "corrupt"] {
        script(
            &simulator,
            &format!(r#"[{{"calls": [1], "effect": "{effect}"}}]"#),
        );
        let error = code(&simulator).await.unwrap_or_default();
        let expected = ["dispatch failure", "response error"];
        assert!(
            expected.iter().any(|e| error.contains(e)),
            "{effect}: {error}"
        );
        assert_eq!(code(&simulator).await, None, "{effect}");
    }
}

#[tokio::test]
async fn a_stalled_answer_comes_late() {
    let simulator = play_region(BUSY).await;
    script(
        &simulator,
        r#"[{"calls": [1], "effect": {"stall": {"seconds": 30}}}]"#,
    );
    let client = cloudwatch(&simulator).await;
    let stalled = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        client.list_metrics().send(),
    )
    .await;
    assert!(stalled.is_err(), "the first call was answered at once");
    assert!(client.list_metrics().send().await.is_ok());
}

#[tokio::test]
async fn partial_data_has_a_token_for_the_rest_and_internal_errors_lose_the_newest_half() {
    let simulator = play_region(BUSY).await;
    let client = cloudwatch(&simulator).await;
    let ask = async |token: Option<&str>| {
        client
            .get_metric_data()
            .start_time(DateTime::from_secs(noon() - 3600))
            .end_time(DateTime::from_secs(noon() - 3000))
            .metric_data_queries(function_query("a", "f", "Invocations", "Sum"))
            .metric_data_queries(function_query("b", "f", "Errors", "Sum"))
            .set_next_token(token.map(str::to_owned))
            .send()
            .await
            .unwrap()
    };
    let whole = ask(None).await;
    let count =
        |id: &str, answer: &aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput| {
            let of = answer
                .metric_data_results()
                .iter()
                .filter(|r| r.id() == Some(id));
            of.map(|r| r.values().len()).sum::<usize>()
        };
    script(&simulator, r#"[{"calls": [1], "effect": "partial_data"}]"#);
    let first = ask(None).await;
    let second = ask(first.next_token()).await;
    for id in ["a", "b"] {
        assert_eq!(count(id, &first) + count(id, &second), count(id, &whole));
    }
    assert!(count("a", &first) + count("b", &first) < 20);
    assert!(
        first
            .metric_data_results()
            .iter()
            .any(|r| r.status_code() == Some(&StatusCode::PartialData))
    );
    script(
        &simulator,
        r#"[{"calls": [1], "effect": "internal_error"}]"#,
    );
    let broken = ask(None).await;
    let result = &broken.metric_data_results()[0];
    assert_eq!(result.status_code(), Some(&StatusCode::InternalError));
    assert_eq!(result.values().len(), 5);
    assert_eq!(result.timestamps()[0].secs(), noon() - 3600 + 4 * 60);
}
