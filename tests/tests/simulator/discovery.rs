//! What each service lists and describes, as discovery reads it.

use std::collections::BTreeSet;

use crate::play::{config, play_region, play_shop};

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
