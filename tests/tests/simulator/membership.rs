//! What belongs together: by tags, and by `CloudFormation` stacks.

use std::collections::BTreeSet;

use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::play::{config, play_region, play_shop};

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
