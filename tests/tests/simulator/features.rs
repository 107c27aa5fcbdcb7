//! What an account file says of a resource shows in the control plane, and decides which metrics
//! there are.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::types::DimensionFilter;

use crate::play::{cloudwatch, config, noon, play_region, points, query, question};

const FUNCTION: &str = "{functions: [{name: f, errors: 0.1, traffic: {steady: {per_minute: 100}}, alias: {name: live, provisioned: 3}, url: true, durable: true, signed: true, capacity_provider: pool}, {name: g}], \
    sources: [{name: records, kind: kafka, traffic: {steady: {per_minute: 500}}, consumers: [{function: g, metrics: [EventCount], pollers: 4}]}]}";

#[tokio::test]
async fn a_function_shows_what_decides_its_metrics() {
    let simulator = play_region(FUNCTION).await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    let functions = lambda.list_functions().send().await.unwrap();
    let [f, g] = functions.functions() else {
        panic!("two functions");
    };
    assert!(f.durable_config().is_some() && g.durable_config().is_none());
    assert!(f.signing_profile_version_arn().is_some());
    let provider = f
        .capacity_provider_config()
        .and_then(|c| c.lambda_managed_instances_capacity_provider_config())
        .unwrap();
    assert!(
        provider
            .capacity_provider_arn()
            .ends_with("capacity-provider:pool")
    );
    let mappings = lambda.list_event_source_mappings().send().await.unwrap();
    let [mapping] = mappings.event_source_mappings() else {
        panic!("one mapping");
    };
    assert_eq!(mapping.metrics_config().unwrap().metrics().len(), 1);
    assert!(mapping.event_source_arn().unwrap().contains(":kafka:"));
    assert!(mapping.provisioned_poller_config().is_some());
}

#[tokio::test]
async fn metrics_exist_only_for_resources_that_can_have_them() {
    let simulator = play_region(FUNCTION).await;
    let client = cloudwatch(&simulator).await;
    let mut listed = BTreeSet::new();
    let mut token = None;
    loop {
        let page = client
            .list_metrics()
            .namespace("AWS/Lambda")
            .set_next_token(token);
        let page = page.send().await.unwrap();
        for metric in page.metrics() {
            let dimensions = metric.dimensions().iter().map(|d| d.value().unwrap());
            let dimensions = dimensions.collect::<Vec<_>>().join(" ");
            listed.insert(format!("{dimensions} {}", metric.metric_name().unwrap()));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    for there in [
        "f UrlRequestCount",
        "f f:live ProvisionedConcurrencyUtilization",
        "f DurableExecutionStarted",
        "pool m8g.xlarge CPUUtilization",
        "pool f ExecutionEnvironmentConcurrency",
        "g OffsetLag",
    ] {
        assert!(listed.contains(there), "{there} in {listed:#?}");
    }
    for absent in ["g UrlRequestCount", "g g:live Invocations", "f OffsetLag"] {
        assert!(!listed.contains(absent), "{absent}");
    }
}

#[tokio::test]
async fn a_datapoint_of_five_minutes_holds_all_that_happened_in_them() {
    let simulator = play_region(FUNCTION).await;
    let client = cloudwatch(&simulator).await;
    let (start, end) = (noon() - 7200, noon() - 3600);
    let mut question = question("f", "NetworkIn", "Sum", start, end);
    question.dimensions = vec![
        ("CapacityProviderName".to_owned(), "pool".to_owned()),
        ("InstanceType".to_owned(), "m8g.xlarge".to_owned()),
    ];
    let bytes = simulator.truth(&question).unwrap();
    assert_eq!(bytes.minutes, 12, "one datapoint in five minutes");
    let invocations = simulator
        .truth(&crate::play::question(
            "f",
            "Invocations",
            "Sum",
            start,
            end,
        ))
        .unwrap();
    assert_eq!(bytes.value, invocations.value.map(|all| all * 3000.0));
    // A function without a provider has no such series.
    let nobody = query(
        "a",
        "AWS/Lambda",
        "NetworkIn",
        ("FunctionName", "g"),
        60,
        "Sum",
    );
    assert!(points(&client, nobody, start, end).await.is_empty());
}

#[tokio::test]
async fn a_table_and_an_api_show_what_decides_their_metrics() {
    let simulator = play_region(
        "{tables: [{name: t, indexes: [i], building: true, time_to_live: true, replicas: [us-east-1], legacy: true, on_demand_maximum: {read: 5, write: 6}}], \
          rest_apis: [{name: a, id: aaaaaaaaaa, stages: [{name: s, detailed: true, throttle_rate: 7}, {name: u, detailed: true}]}], \
          http_apis: [{name: c, id: cccccccccc, protocol: websocket, stages: [{name: s}]}]}",
    )
    .await;
    let config = config(&simulator).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let answer = dynamodb
        .describe_table()
        .table_name("t")
        .send()
        .await
        .unwrap();
    let table = answer.table().unwrap();
    let index = &table.global_secondary_indexes()[0];
    assert_eq!(index.index_status().unwrap().as_str(), "CREATING");
    assert_eq!(table.global_table_version(), Some("2017.11.29"));
    assert_eq!(table.replicas()[0].region_name(), Some("us-east-1"));
    let most = table.on_demand_throughput().unwrap();
    assert_eq!(
        (
            most.max_read_request_units(),
            most.max_write_request_units()
        ),
        (Some(5), Some(6))
    );
    let expiry = dynamodb
        .describe_time_to_live()
        .table_name("t")
        .send()
        .await
        .unwrap();
    let status = expiry
        .time_to_live_description()
        .unwrap()
        .time_to_live_status();
    assert_eq!(status.unwrap().as_str(), "ENABLED");

    let rest = aws_sdk_apigateway::Client::new(&config);
    let stages = rest
        .get_stages()
        .rest_api_id("aaaaaaaaaa")
        .send()
        .await
        .unwrap();
    let limits: Vec<_> = stages
        .item()
        .iter()
        .map(|stage| {
            let all = &stage.method_settings().unwrap()["*/*"];
            (all.metrics_enabled(), all.throttling_burst_limit())
        })
        .collect();
    assert_eq!(limits, [(true, 14), (true, -1)]);
    let http = aws_sdk_apigatewayv2::Client::new(&config);
    let apis = http.get_apis().send().await.unwrap();
    assert_eq!(
        apis.items()[0].protocol_type().unwrap().as_str(),
        "WEBSOCKET"
    );
}

#[tokio::test]
async fn a_new_series_is_listed_as_late_as_the_account_file_says() {
    let region = "{lateness: {lambda: {listing: 15m}}, functions: [{name: f, traffic: {steady: {per_minute: 100}}}]}";
    let simulator = play_region(region).await;
    let hours = serde_json::json!({"from": noon(), "until": noon() + 3600}).to_string();
    let url = format!("{}/hours", simulator.url());
    nightjar_tests::http::request("PUT", &url, &[], hours)
        .await
        .unwrap();
    let client = cloudwatch(&simulator).await;
    let listed = async || {
        let invocations = client.list_metrics().metric_name("Invocations");
        let page = invocations.dimensions(filter("FunctionName", "f")).send();
        page.await.unwrap().metrics().len()
    };
    simulator.advance_seconds(15 * 60);
    assert_eq!(listed().await, 0);
    simulator.advance_seconds(60);
    assert_eq!(listed().await, 1);
}

fn filter(name: &str, value: &str) -> DimensionFilter {
    DimensionFilter::builder().name(name).value(value).build()
}

#[tokio::test]
async fn an_alias_shows_its_version_and_its_provisioned_concurrency() {
    let simulator = play_region(FUNCTION).await;
    let lambda = aws_sdk_lambda::Client::new(&config(&simulator).await);
    for (function, versions, provisioned) in [("f", 2, Some(3)), ("g", 1, None)] {
        let answer = lambda
            .list_versions_by_function()
            .function_name(function)
            .send();
        assert_eq!(answer.await.unwrap().versions().len(), versions);
        let answer = lambda
            .list_provisioned_concurrency_configs()
            .function_name(function)
            .send()
            .await
            .unwrap();
        let config = answer.provisioned_concurrency_configs().first();
        let requested = config.and_then(aws_sdk_lambda::types::ProvisionedConcurrencyConfigListItem::requested_provisioned_concurrent_executions);
        assert_eq!(requested, provisioned);
    }
}
