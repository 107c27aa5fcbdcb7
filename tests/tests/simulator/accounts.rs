//! Who sees what: accounts, roles, regions, and the time in which a resource exists.

use aws_credential_types::Credentials;

use crate::play::{ACCOUNT, REGION, config, config_with, play, play_region, play_shop};

const TWO_ACCOUNTS: &str = "{accounts: [
    {id: '111122223333', access_keys: [AKIAHOME], regions: {eu-west-1: {functions: [{name: at-home}]}}},
    {id: '444455556666', roles: [{name: reader, external_id: secret-7, deny: ['lambda:List*']}, {name: plain}],
     regions: {eu-west-1: {functions: [{name: abroad}]}}}]}";

async fn assume(
    sts: &aws_sdk_sts::Client,
    role: &str,
    external_id: Option<&str>,
) -> Result<Credentials, aws_sdk_sts::operation::assume_role::AssumeRoleError> {
    let answer = sts
        .assume_role()
        .role_arn(role)
        .role_session_name("nightjar")
        .set_external_id(external_id.map(str::to_owned))
        .send()
        .await
        .map_err(aws_sdk_sts::error::SdkError::into_service_error)?;
    let credentials = answer.credentials().unwrap();
    Ok(Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        Some(credentials.session_token().to_owned()),
        None,
        "assumed",
    ))
}

#[tokio::test]
async fn an_assumed_role_acts_in_its_own_account_and_the_external_id_is_checked() {
    let simulator = play(TWO_ACCOUNTS).await;
    let home = config_with(
        &simulator,
        REGION,
        Credentials::new("AKIAHOME", "x", None, None, "test"),
    )
    .await;
    let sts = aws_sdk_sts::Client::new(&home);
    let me = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(me.account(), Some(ACCOUNT));

    let reader = "arn:aws:iam::444455556666:role/reader";
    for wrong in [None, Some("secret-8")] {
        let error = assume(&sts, reader, wrong).await.unwrap_err();
        assert_eq!(error.meta().code(), Some("AccessDenied"));
    }
    let error = assume(&sts, "arn:aws:iam::444455556666:role/nobody", None)
        .await
        .unwrap_err();
    assert_eq!(error.meta().code(), Some("AccessDenied"));

    let plain = assume(&sts, "arn:aws:iam::444455556666:role/plain", None)
        .await
        .unwrap();
    let abroad = config_with(&simulator, REGION, plain).await;
    let me = aws_sdk_sts::Client::new(&abroad)
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(me.account(), Some("444455556666"));
    let functions = aws_sdk_lambda::Client::new(&abroad)
        .list_functions()
        .send()
        .await
        .unwrap();
    assert_eq!(functions.functions()[0].function_name(), Some("abroad"));

    let denied = assume(&sts, reader, Some("secret-7")).await.unwrap();
    let denied = config_with(&simulator, REGION, denied).await;
    let error = aws_sdk_lambda::Client::new(&denied)
        .list_functions()
        .send()
        .await
        .unwrap_err();
    let error = error.into_service_error();
    assert_eq!(error.meta().code(), Some("AccessDeniedException"));
    assert!(
        error
            .meta()
            .message()
            .unwrap()
            .contains("lambda:ListFunctions")
    );
}

#[tokio::test]
async fn a_key_that_belongs_to_nobody_is_refused_where_keys_are_listed() {
    let simulator = play(TWO_ACCOUNTS).await;
    let stranger = config_with(
        &simulator,
        REGION,
        Credentials::new("AKIAWHO", "x", None, None, "test"),
    )
    .await;
    let error = aws_sdk_sts::Client::new(&stranger)
        .get_caller_identity()
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.into_service_error().meta().code(),
        Some("UnrecognizedClientException")
    );
}

#[tokio::test]
async fn regions_do_not_see_each_other_and_an_unknown_region_is_empty() {
    let shop = play_shop().await;
    let count = async |region| {
        let config = config_with(
            &shop,
            region,
            Credentials::new("KEY", "SECRET", None, None, "test"),
        )
        .await;
        let answer = aws_sdk_lambda::Client::new(&config)
            .list_functions()
            .send()
            .await
            .unwrap();
        answer.functions().len()
    };
    assert_eq!(count("us-east-1").await, 4);
    assert_eq!(count("ap-southeast-2").await, 0);
}

#[tokio::test]
async fn a_resource_appears_and_disappears_with_its_life() {
    let simulator = play_region(
        "{functions: [{name: old, life: {until: '2026-11-20T12:10:00Z'}}, {name: new, life: {from: '2026-11-20T12:20:00Z'}}]}",
    )
    .await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let names = async || -> Vec<String> {
        let answer = lambda.list_functions().send().await.unwrap();
        answer
            .functions()
            .iter()
            .map(|f| f.function_name().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names().await, ["old"]);
    simulator.advance_seconds(600);
    assert!(names().await.is_empty());
    simulator.advance_seconds(600);
    assert_eq!(names().await, ["new"]);
}
