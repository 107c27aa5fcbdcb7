//! What exporters say, of their accounts and regions and of their budgets, and what it means that they say nothing.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::ErrorMetadata;

use super::*;
use crate::aws::AwsError;

/// An exporter with a budget, polling at an interval.
fn thrifty(interval_seconds: u32, least: Option<f64>) -> Exporter {
    let mut exporter = exporter(vec![target("eu-west-1")]);
    if let Ok(status) = &mut exporter.status {
        status.spend.interval_seconds = interval_seconds;
        status.spend.budget_usd_per_month = Some(20.0);
        status.spend.least_budget_usd_per_month = least;
    }
    exporter
}

#[test]
fn a_budget_that_makes_polling_slower_is_told_and_the_stack_is_ready() {
    let (status, reason, message) = verdict(&[thrifty(600, None)], WITHIN_BUDGET);
    assert_eq!((&*status, &*reason), ("True", "BudgetStretched"));
    assert!(
        message.contains("every 10m instead of every 5m"),
        "{message}"
    );
    assert_eq!(judged(&facts(&[thrifty(600, None)])).spend.interval, "10m");
    assert_eq!(verdict(&[thrifty(600, None)], READY).0, "True");
    assert_eq!(
        verdict(&[thrifty(300, None)], WITHIN_BUDGET).1,
        "AsExpected"
    );
}

#[test]
fn a_budget_that_allows_no_polling_names_the_least_one_of_all_exporters_together() {
    let exporters = [thrifty(3600, Some(21.111)), thrifty(3600, None)];
    let (status, reason, message) = verdict(&exporters, WITHIN_BUDGET);
    assert_eq!((&*status, &*reason), ("False", "BudgetTooSmall"));
    assert!(message.contains("\"41.12\""), "{message}");
    assert_eq!(verdict(&exporters, READY).1, "BudgetTooSmall");
    let (status, reason, _) = verdict(&exporters, AWS_REACHABLE);
    assert_eq!((&*status, &*reason), ("Unknown", "BudgetTooSmall"));
}

#[test]
fn a_denied_action_names_account_region_and_what_to_allow_to_whom() {
    let mut denied = target("us-east-1");
    denied.role_arn = Some("arn:aws:iam::111122223333:role/read".to_owned());
    denied.problems = vec![
        problem(
            Reason::Throttled,
            "cloudwatch:GetMetricData",
            "AWS asks to slow down",
        ),
        problem(Reason::AccessDenied, "lambda:ListFunctions", "AWS says no"),
    ];
    let exporters = [exporter(vec![target("eu-west-1"), denied])];
    let (ready, reason, message) = said(&judged(&facts(&exporters)), READY);
    assert_eq!((&*ready, &*reason), ("False", "AccessDenied"));
    for part in [
        "account 111122223333",
        "us-east-1",
        "allow lambda:ListFunctions to arn:aws:iam::111122223333:role/read",
        "cloudwatch:GetMetricData",
        "1 of 2 accounts and regions work",
    ] {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

/// A request for the functions that failed, as the SDK tells it.
type Failed = SdkError<ErrorMetadata, ()>;

fn answered(code: &str) -> Failed {
    let metadata = ErrorMetadata::builder();
    SdkError::service_error(metadata.code(code).message("AWS's own words").build(), ())
}

fn unsigned(why: &str) -> Failed {
    SdkError::dispatch_failure(ConnectorError::other(
        CredentialsError::provider_error(why).into(),
        None,
    ))
}

#[test]
fn whatever_fails_at_aws_the_condition_says_what_in_which_account_and_region() {
    const ROLE: &str = "arn:aws:iam::444455556666:role/read";
    let io = || ConnectorError::io("connection refused".into());
    let slow = || ConnectorError::timeout("nothing came".into());
    let list = "lambda:ListFunctions";
    for (failed, reason, what) in [
        (
            SdkError::dispatch_failure(io()),
            "Unreachable",
            &[list, "could not reach AWS", "connection refused"][..],
        ),
        (
            SdkError::dispatch_failure(slow()),
            "Timeout",
            &[list, "was not answered in time"],
        ),
        (
            SdkError::timeout_error("nothing came"),
            "Timeout",
            &[list, "was not answered in time"],
        ),
        (
            answered("ThrottlingException"),
            "Throttled",
            &[list, "was throttled"],
        ),
        (
            SdkError::response_error("a page of HTML", ()),
            "InvalidAnswer",
            &[list, "not AWS's", "a page of HTML"],
        ),
        (
            answered("ExpiredTokenException"),
            "CredentialsInvalid",
            &[list, "credentials (ExpiredTokenException)"],
        ),
        (
            answered("UnrecognizedClientException"),
            "CredentialsInvalid",
            &[list, "does not accept the credentials"],
        ),
        (
            unsigned("the token file is gone"),
            "CredentialsInvalid",
            &["no usable AWS credentials: ", "the token file is gone"],
        ),
        (
            answered("AccessDeniedException"),
            "AccessDenied",
            &[
                "lambda:ListFunctions was denied",
                "allow lambda:ListFunctions to WHOM",
            ],
        ),
        // It is not the role that may not assume itself.
        (
            unsigned("AccessDenied"),
            "AccessDenied",
            &[
                "sts:AssumeRole was denied",
                "allow sts:AssumeRole to the exporter's identity",
            ],
        ),
    ] {
        let error = AwsError::from_sdk(list, &failed);
        let of = |account_id: Option<&str>, role_arn: Option<&str>| TargetStatus {
            account_id: account_id.map(str::to_owned),
            role_arn: role_arn.map(str::to_owned),
            problems: vec![problem(error.reason, error.action, &error.message)],
            ..target("us-east-1")
        };
        for (failing, account, whom) in [
            (
                of(Some("444455556666"), None),
                "account 444455556666, us-east-1: ",
                "the exporter's identity",
            ),
            (
                of(Some("444455556666"), Some(ROLE)),
                "account 444455556666, us-east-1: ",
                ROLE,
            ),
            // Nobody has said yet which account it is.
            (
                of(None, Some(ROLE)),
                "the account of arn:aws:iam::444455556666:role/read, us-east-1: ",
                ROLE,
            ),
            (
                of(None, None),
                "the credentials' own account, us-east-1: ",
                "the exporter's identity",
            ),
        ] {
            let exporters = [exporter(vec![target("eu-west-1"), failing])];
            let status = judged(&facts(&exporters));
            for condition in [AWS_REACHABLE, READY] {
                let (is, why, message) = said(&status, condition);
                assert_eq!((&*is, &*why), ("False", reason), "{message}");
                assert!(
                    message.starts_with(account),
                    "no {account:?} at the beginning of {message:?}"
                );
                for part in what {
                    let part = part.replace("WHOM", whom);
                    assert!(message.contains(&part), "no {part:?} in {message:?}");
                }
            }
        }
    }
}

#[test]
fn an_exporter_that_cannot_be_read_is_told_with_its_address_and_costs_no_number() {
    let silent = [Exporter {
        pod: "checkout-exporter-0".to_owned(),
        status: Err("http://10.0.0.1:9988/status: connection refused".to_owned()),
    }];
    let before = judged(&facts(&[exporter(vec![target("eu-west-1")])]));
    let status = judge(&facts(&silent), &before, at(2000));
    let (ready, reason, message) = said(&status, READY);
    assert_eq!((&*ready, &*reason), ("False", "ExporterUnreachable"));
    assert!(message.contains("10.0.0.1:9988"), "{message}");
    assert_eq!(status.inventory, before.inventory);
}

#[test]
fn the_rest_of_many_failing_places_is_counted() {
    let denied = |region: &str| TargetStatus {
        problems: vec![problem(Reason::AccessDenied, "lambda:ListFunctions", "no")],
        ..target(region)
    };
    let exporters = [exporter(
        (0..9).map(|i| denied(&format!("r-{i}"))).collect(),
    )];
    let (_, _, message) = said(&judged(&facts(&exporters)), AWS_REACHABLE);
    assert!(message.contains("and 6 more"), "{message}");
    assert!(message.contains("0 of 9"), "{message}");
}

#[test]
fn an_account_and_region_in_two_exporters_is_told_before_anything_else() {
    let mut exporters = vec![exporter(vec![target("eu-west-1")]); 2];
    exporters[1].pod = "checkout-exporter-1".to_owned();
    let facts = Facts {
        looked: looked(2, 1, &exporters),
        ..facts(&[])
    };
    let (ready, reason, message) = said(&judged(&facts), READY);
    assert_eq!((&*ready, &*reason), ("False", "PublishedTwice"));
    for part in ["eu-west-1", "checkout-exporter-0", "checkout-exporter-1"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn numbers_do_not_halve_while_one_of_two_pods_has_no_address() {
    let mut exporters = vec![exporter(vec![target("eu-west-1")]); 2];
    exporters[1].pod = "checkout-exporter-1".to_owned();
    let both = Facts {
        looked: looked(2, 2, &exporters),
        ..facts(&[])
    };
    let both = judged(&both);
    let one = Facts {
        looked: looked(2, 1, &exporters[..1]),
        ..facts(&[])
    };
    let one = judge(&one, &both, at(2000));
    assert_eq!(one.inventory, both.inventory);
    assert_eq!(one.spend, both.spend);
}

#[test]
fn however_much_an_exporter_says_a_message_stays_short_enough_to_be_written_and_read() {
    let mut talkative = target("eu-west-1");
    talkative.problems = vec![problem(Reason::Unknown, "a:B", &"ü".repeat(1_000_000)); 50];
    let mut talkative = exporter(vec![talkative]);
    if let Ok(status) = &mut talkative.status {
        status.config_hash = "x".repeat(1_000_000);
    }
    let exporters = [talkative];
    let status = judged(&facts(&exporters));
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.len() < 20_000, "{}", text.len());
    assert_eq!(shortened("äöü", 6), "äöü");
    assert_eq!(shortened("äöüß", 7), "ä ...");
}
