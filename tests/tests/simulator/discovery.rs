//! The control planes, read with the Rust SDK.

use std::collections::BTreeSet;

use aws_credential_types::Credentials;
use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::play::{ACCOUNT, REGION, config, config_with, play, play_region, play_shop};

#[tokio::test]
async fn list_functions_pages_by_fifty_and_shows_every_function_once() {
    let simulator = play_region("{generated: [{functions: 120}]}").await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let mut names = Vec::new();
    let mut sizes = Vec::new();
    let mut marker = None;
    loop {
        let page = lambda
            .list_functions()
            .set_marker(marker)
            .max_items(1000)
            .send()
            .await
            .unwrap();
        sizes.push(page.functions().len());
        names.extend(
            page.functions()
                .iter()
                .map(|f| f.function_name().unwrap().to_owned()),
        );
        marker = page.next_marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 120);
}

#[tokio::test]
async fn a_function_has_the_settings_that_the_account_file_gives_it() {
    let simulator = play_shop().await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let functions = lambda.list_functions().send().await.unwrap();
    let pay = functions
        .functions()
        .iter()
        .find(|f| f.function_name() == Some("checkout-pay"))
        .unwrap();
    assert_eq!(pay.memory_size(), Some(1024));
    assert_eq!(pay.timeout(), Some(15));
    assert_eq!(pay.runtime().unwrap().as_str(), "java21");
    assert_eq!(pay.architectures()[0].as_str(), "arm64");
    assert_eq!(
        pay.function_arn(),
        Some("arn:aws:lambda:eu-west-1:111122223333:function:checkout-pay")
    );
    let analytics = functions
        .functions()
        .iter()
        .find(|f| f.function_name() == Some("order-analytics"))
        .unwrap();
    assert_eq!(
        analytics.dead_letter_config().unwrap().target_arn(),
        Some("arn:aws:sqs:eu-west-1:111122223333:orders-analytics-dlq")
    );
    let concurrency = lambda
        .get_function_concurrency()
        .function_name("checkout-pay")
        .send()
        .await
        .unwrap();
    assert_eq!(concurrency.reserved_concurrent_executions(), Some(50));
    let settings = lambda.get_account_settings().send().await.unwrap();
    assert_eq!(
        settings.account_limit().unwrap().concurrent_executions(),
        1000
    );
    assert_eq!(
        settings
            .account_limit()
            .unwrap()
            .unreserved_concurrent_executions(),
        Some(950)
    );
    let full = lambda
        .get_function()
        .function_name("checkout-pay")
        .send()
        .await
        .unwrap();
    assert_eq!(full.tags().unwrap()["team"], "payments");
    let tags = lambda
        .list_tags()
        .resource(pay.function_arn().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tags().unwrap()["app"], "checkout");
}

#[tokio::test]
async fn event_source_mappings_name_queue_stream_and_function() {
    let simulator = play_shop().await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let all = lambda.list_event_source_mappings().send().await.unwrap();
    let mut found: Vec<(String, String)> = all
        .event_source_mappings()
        .iter()
        .map(|m| {
            let last = |arn: &str| arn.rsplit(':').next().unwrap().to_owned();
            (
                m.event_source_arn().unwrap().to_owned(),
                last(m.function_arn().unwrap()),
            )
        })
        .collect();
    found.sort();
    let stream =
        "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026-01-01T00:00:00.000";
    assert_eq!(
        found[0],
        (stream.to_owned(), "orders-projection".to_owned())
    );
    assert_eq!(found[1].1, "order-email");
    assert_eq!(found[2].1, "order-fulfil");
    let one = lambda
        .list_event_source_mappings()
        .function_name("order-fulfil")
        .send()
        .await
        .unwrap();
    let fulfil = &one.event_source_mappings()[0];
    assert_eq!(one.event_source_mappings().len(), 1);
    assert_eq!(fulfil.batch_size(), Some(5));
    assert_eq!(
        fulfil.scaling_config().unwrap().maximum_concurrency(),
        Some(20)
    );
}

#[tokio::test]
async fn an_unknown_function_and_a_bad_marker_are_refused_as_lambda_does() {
    let simulator = play_shop().await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let error = lambda
        .get_function_configuration()
        .function_name("nobody")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    let error = lambda
        .list_functions()
        .marker("made-up")
        .send()
        .await
        .unwrap_err();
    assert!(
        error
            .into_service_error()
            .is_invalid_parameter_value_exception()
    );
}

#[tokio::test]
async fn tables_are_listed_a_hundred_at_a_time_and_described() {
    let tables: Vec<String> = (0..130).map(|n| format!("{{name: t{n:03}}}")).collect();
    let simulator = play_region(&format!("{{tables: [{}]}}", tables.join(", "))).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config(&simulator).await);
    let first = dynamodb.list_tables().send().await.unwrap();
    assert_eq!(first.table_names().len(), 100);
    let rest = dynamodb
        .list_tables()
        .exclusive_start_table_name(first.last_evaluated_table_name().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.table_names().len(), 30);
    assert_eq!(rest.last_evaluated_table_name(), None);

    let shop = play_shop().await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config(&shop).await);
    let orders = dynamodb
        .describe_table()
        .table_name("orders")
        .send()
        .await
        .unwrap();
    let orders = orders.table().unwrap();
    assert_eq!(
        orders
            .provisioned_throughput()
            .unwrap()
            .read_capacity_units(),
        Some(40)
    );
    assert_eq!(orders.billing_mode_summary(), None);
    assert_eq!(orders.global_secondary_indexes().len(), 2);
    let carts = dynamodb
        .describe_table()
        .table_name("carts")
        .send()
        .await
        .unwrap();
    let mode = carts
        .table()
        .unwrap()
        .billing_mode_summary()
        .unwrap()
        .billing_mode()
        .unwrap()
        .clone();
    assert_eq!(mode.as_str(), "PAY_PER_REQUEST");
    let error = dynamodb
        .describe_table()
        .table_name("nothing")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    let limits = dynamodb.describe_limits().send().await.unwrap();
    assert_eq!(limits.table_max_read_capacity_units(), Some(40_000));
}

#[tokio::test]
async fn rest_apis_page_by_position_and_show_stages_and_resources() {
    let apis: Vec<String> = (0..30)
        .map(|n| format!("{{name: api{n}, id: id{n:08}, stages: [{{name: prod}}]}}"))
        .collect();
    let simulator = play_region(&format!("{{rest_apis: [{}]}}", apis.join(", "))).await;
    let gateway = aws_sdk_apigateway::Client::new(&config(&simulator).await);
    let first = gateway.get_rest_apis().send().await.unwrap();
    assert_eq!(first.items().len(), 25);
    let rest = gateway
        .get_rest_apis()
        .position(first.position().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.items().len(), 5);
    assert_eq!(rest.position(), None);

    let shop = play_shop().await;
    let gateway = aws_sdk_apigateway::Client::new(&config(&shop).await);
    let api = gateway.get_rest_apis().send().await.unwrap().items()[0].clone();
    assert_eq!(api.name(), Some("shop-api"));
    assert_eq!(api.tags().unwrap()["app"], "checkout");
    let stages = gateway
        .get_stages()
        .rest_api_id(api.id().unwrap())
        .send()
        .await
        .unwrap();
    let prod = &stages.item()[0];
    assert_eq!(
        (prod.stage_name(), prod.tracing_enabled()),
        (Some("prod"), true)
    );
    let every = &prod.method_settings().unwrap()["*/*"];
    assert!((every.throttling_rate_limit() - 500.0).abs() < f64::EPSILON);
    let resources = gateway
        .get_resources()
        .rest_api_id(api.id().unwrap())
        .embed("methods")
        .limit(500)
        .send()
        .await
        .unwrap();
    let proxy = resources
        .items()
        .iter()
        .find(|r| r.path() == Some("/checkout-create"))
        .unwrap();
    let method = &proxy.resource_methods().unwrap()["ANY"];
    assert!(
        method
            .method_integration()
            .unwrap()
            .uri()
            .unwrap()
            .contains("function:checkout-create")
    );
    let error = gateway
        .get_stages()
        .rest_api_id("nothing")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn http_apis_show_stages_routes_and_integrations() {
    let shop = play_shop().await;
    let gateway = aws_sdk_apigatewayv2::Client::new(&config(&shop).await);
    let apis = gateway.get_apis().send().await.unwrap();
    let api = &apis.items()[0];
    assert_eq!(api.name(), Some("storefront"));
    assert_eq!(api.protocol_type().unwrap().as_str(), "HTTP");
    let id = api.api_id().unwrap();
    let stages = gateway.get_stages().api_id(id).send().await.unwrap();
    assert_eq!(stages.items()[0].stage_name(), Some("$default"));
    let routes = gateway.get_routes().api_id(id).send().await.unwrap();
    let integrations = gateway.get_integrations().api_id(id).send().await.unwrap();
    assert_eq!((routes.items().len(), integrations.items().len()), (2, 2));
    assert_eq!(integrations.items()[0].timeout_in_millis(), Some(30_000));
    let page = gateway
        .get_routes()
        .api_id(id)
        .max_results("1")
        .send()
        .await
        .unwrap();
    assert_eq!(page.items().len(), 1);
    let rest = gateway
        .get_routes()
        .api_id(id)
        .max_results("1")
        .next_token(page.next_token().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.items()[0].route_id(), Some("r1"));
    let error = gateway
        .get_stages()
        .api_id("nothing")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn tags_select_resources_of_all_services_and_pages_are_joined_by_tokens() {
    let shop = play_shop().await;
    let tagging = aws_sdk_resourcegroupstagging::Client::new(&config(&shop).await);
    let mut arns = Vec::new();
    let mut token = None;
    loop {
        let page = tagging
            .get_resources()
            .tag_filters(TagFilter::builder().key("app").values("checkout").build())
            .resources_per_page(20)
            .set_pagination_token(token)
            .send()
            .await
            .unwrap();
        assert!(page.resource_tag_mapping_list().len() <= 20);
        arns.extend(
            page.resource_tag_mapping_list()
                .iter()
                .map(|r| r.resource_arn().unwrap().to_owned()),
        );
        token = page
            .pagination_token()
            .filter(|t| !t.is_empty())
            .map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    let has = |arn: &str| arns.iter().any(|a| a == arn);
    assert!(has(
        "arn:aws:lambda:eu-west-1:111122223333:function:checkout-pay"
    ));
    assert!(has("arn:aws:dynamodb:eu-west-1:111122223333:table/orders"));
    assert!(has("arn:aws:apigateway:eu-west-1::/restapis/a1b2c3d4e5"));
    assert!(has("arn:aws:apigateway:eu-west-1::/apis/h9g8f7e6d5"));
    assert!(
        !arns
            .iter()
            .any(|a| a.contains("hr-") || a.contains("infra-log-shipper"))
    );
    let functions = tagging
        .get_resources()
        .resource_type_filters("lambda:function")
        .tag_filters(
            TagFilter::builder()
                .key("team")
                .values("payments")
                .values("billing")
                .build(),
        )
        .send()
        .await
        .unwrap();
    let mut names: Vec<&str> = functions
        .resource_tag_mapping_list()
        .iter()
        .map(|r| r.resource_arn().unwrap().rsplit(':').next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "checkout-pay",
            "invoice-render",
            "invoice-sign",
            "invoice-start",
            "invoice-store",
            "refund-check",
            "refund-pay"
        ]
    );
}

#[tokio::test]
async fn a_stack_lists_its_resources_with_nested_stacks_and_physical_ids() {
    let simulator = play_region(
        "{stacks: [{name: data, parent: shop}], functions: [{name: pay, stack: shop}], \
         tables: [{name: orders, stack: data}], queues: [{name: jobs, stack: shop}]}",
    )
    .await;
    let cloudformation = aws_sdk_cloudformation::Client::new(&config(&simulator).await);
    let shop = cloudformation
        .list_stack_resources()
        .stack_name("shop")
        .send()
        .await
        .unwrap();
    let mut found: Vec<(&str, &str)> = shop
        .stack_resource_summaries()
        .iter()
        .map(|r| {
            (
                r.resource_type().unwrap(),
                r.physical_resource_id().unwrap(),
            )
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found[0].0, "AWS::CloudFormation::Stack");
    assert_eq!(found[1], ("AWS::Lambda::Function", "pay"));
    assert_eq!(
        found[2],
        (
            "AWS::SQS::Queue",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/jobs"
        )
    );
    let nested = cloudformation
        .list_stack_resources()
        .stack_name(found[0].1)
        .send()
        .await
        .unwrap();
    assert_eq!(
        nested.stack_resource_summaries()[0].physical_resource_id(),
        Some("orders")
    );
    let described = cloudformation
        .describe_stacks()
        .stack_name("shop")
        .send()
        .await
        .unwrap();
    assert_eq!(
        described.stacks()[0].stack_status().unwrap().as_str(),
        "UPDATE_COMPLETE"
    );
    let error = cloudformation
        .list_stack_resources()
        .stack_name("nothing")
        .send()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("service error"));
    let error = error.into_service_error();
    assert_eq!(error.meta().code(), Some("ValidationError"));
    assert_eq!(
        error.meta().message(),
        Some("Stack with id nothing does not exist")
    );
}

#[tokio::test]
async fn a_long_stack_is_listed_in_pages() {
    let simulator = play_region("{generated: [{functions: 250, stack: big}]}").await;
    let cloudformation = aws_sdk_cloudformation::Client::new(&config(&simulator).await);
    let mut seen = BTreeSet::new();
    let mut pages = 0;
    let mut token = None;
    loop {
        let page = cloudformation
            .list_stack_resources()
            .stack_name("big")
            .set_next_token(token)
            .send()
            .await
            .unwrap();
        pages += 1;
        seen.extend(
            page.stack_resource_summaries()
                .iter()
                .map(|r| r.physical_resource_id().unwrap().to_owned()),
        );
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!((pages, seen.len()), (3, 250));
}

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

#[tokio::test]
async fn lambdas_control_plane_refuses_the_sixteenth_request_of_a_second() {
    let simulator = play_region("{functions: [{name: f}]}").await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let mut refused = 0;
    for _ in 0..60 {
        if let Err(error) = lambda.list_functions().send().await {
            assert!(error.into_service_error().is_too_many_requests_exception());
            refused += 1;
        }
    }
    assert!(refused > 0, "sixty requests in a row were all served");
    let reading = simulator
        .meter()
        .into_iter()
        .find(|r| r.api == "lambda:ListFunctions")
        .unwrap();
    assert_eq!((reading.requests, reading.throttles), (60, refused));
}
