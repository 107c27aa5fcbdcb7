//! What belongs to the stack is watched, and nothing else.

use std::collections::BTreeSet;

use crate::harness::{Exporter, label_values, simulator, stack, value};

const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        stacks: [{name: shop-prod}]
        functions:
          - {name: by-tag, tags: {app: shop, team: blue}, traffic: {steady: {per_minute: 60}}}
          - {name: by-tag-canary, tags: {app: shop}, traffic: {steady: {per_minute: 60}}}
          - {name: by-stack, stack: shop-prod, traffic: {steady: {per_minute: 60}}}
          - {name: name-one, traffic: {steady: {per_minute: 60}}}
          - {name: by-arn, traffic: {steady: {per_minute: 60}}}
          - {name: stranger, tags: {app: other}, traffic: {steady: {per_minute: 60}}}
      us-east-1:
        functions:
          - {name: by-tag-too, tags: {app: shop}, traffic: {steady: {per_minute: 60}}}
"#;

async fn functions(exporter: &Exporter) -> BTreeSet<String> {
    label_values(
        &exporter.scrape().await,
        "aws_lambda_invocations_total",
        "function_name",
    )
    .into_iter()
    .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_names_arns_and_cloudformation_stacks_are_united_and_exclusions_taken_away() {
    let simulator = simulator(ACCOUNT).await;
    let spec = "regions: [eu-west-1, us-east-1]\ntags: [team]\nexclude: [{names: [\"*-canary\"]}]\nselect:\n\
        - tags: {app: shop}\n- cloudFormation: {stackName: shop-prod}\n- names: [\"name-*\"]\n\
        - arns: [\"arn:aws:lambda:eu-west-1:111122223333:function:by-arn\"]";
    let exporter = Exporter::start(&simulator, &stack(spec)).await;
    let all = set(&["by-tag", "by-stack", "name-one", "by-arn", "by-tag-too"]);
    exporter
        .until("exactly the members are published", async |e| {
            functions(e).await == all
        })
        .await;
    let samples = exporter.scrape().await;
    let info = samples
        .keys()
        .find(|s| s.name == "aws_lambda_function_info" && s.label("function_name") == "by-tag");
    assert_eq!(info.unwrap().label("tag_team"), "blue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_taken_over_and_what_stays_selected_goes_on() {
    let simulator = simulator(ACCOUNT).await;
    let spec = "regions: [eu-west-1]\ncollection: {interval: 1m}\nselect:\n- names: [by-tag]";
    let exporter = Exporter::start(&simulator, &stack(spec)).await;
    exporter
        .until("invocations are counted", async |e| {
            value(
                &e.scrape().await,
                "aws_lambda_invocations_total",
                "function_name",
                "by-tag",
            )
            .is_some_and(|v| v > 0.0)
        })
        .await;
    let counted = value(
        &exporter.scrape().await,
        "aws_lambda_invocations_total",
        "function_name",
        "by-tag",
    )
    .unwrap();
    let hash = exporter.status().await["configHash"].clone();
    exporter.configure(&stack(&format!("{spec}\n- names: [name-one]")));
    exporter
        .until("both are published", async |e| {
            functions(e).await == set(&["by-tag", "name-one"])
        })
        .await;
    let after = value(
        &exporter.scrape().await,
        "aws_lambda_invocations_total",
        "function_name",
        "by-tag",
    )
    .unwrap();
    assert!(
        after >= counted,
        "the counter fell from {counted} to {after}"
    );
    assert_ne!(exporter.status().await["configHash"], hash);
    // A file that cannot be used is told, and the one before it runs on.
    exporter.configure(&stack("regions: []\nselect: []"));
    exporter
        .until("the bad file is told", async |e| {
            e.status().await["configError"].is_string()
        })
        .await;
    assert_eq!(functions(&exporter).await, set(&["by-tag", "name-one"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_stack_asks_aws_nothing() {
    let simulator = simulator(ACCOUNT).await;
    let spec = "regions: [eu-west-1]\ncollection: {interval: 1m}\nselect:\n- names: [by-tag]";
    let exporter = Exporter::start(&simulator, &stack(spec)).await;
    exporter.until_polled().await;
    exporter.configure(&stack(&format!("{spec}\nsuspend: true")));
    exporter
        .until("it says so", async |e| {
            e.status().await["suspended"] == true
        })
        .await;
    exporter
        .until("nothing is asked for ten minutes", async |_| {
            simulator.reset_meter();
            let later = simulator.now_ms() + 10 * 60_000;
            while simulator.now_ms() < later {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            simulator.meter().is_empty()
        })
        .await;
    exporter.configure(&stack(spec));
    exporter
        .until("it asks again", async |_| !simulator.meter().is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stacks_may_select_the_same_function() {
    let simulator = simulator(ACCOUNT).await;
    let spec = "regions: [eu-west-1]\nselect:\n- names: [by-tag]";
    let (one, two) = (
        Exporter::start(&simulator, &stack(spec)).await,
        Exporter::start(&simulator, &stack(spec)).await,
    );
    for exporter in [&one, &two] {
        exporter
            .until("it is published", async |e| {
                functions(e).await == set(&["by-tag"])
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_told_and_makes_it_look_for_nothing() {
    let simulator = simulator(ACCOUNT).await;
    let spec = "regions: [eu-west-1]\ncollection: {interval: 1m, discoveryInterval: 1h}\nselect:\n- names: [by-tag]";
    let exporter = Exporter::start(&simulator, &stack(spec)).await;
    exporter.until_polled().await;
    let looked = || -> u64 {
        let meter = simulator.meter();
        let looks = meter
            .iter()
            .filter(|reading| reading.api.starts_with("lambda:"));
        looks.map(|reading| reading.requests).sum()
    };
    let first = looked();
    assert!(first > 0);
    let failed = async |e: &Exporter| {
        let samples = e.scrape().await;
        let name = "nightjar_exporter_config_reload_failed";
        samples
            .iter()
            .find(|(series, _)| series.name == name)
            .map(|(_, value)| *value)
    };
    let last_poll = async |e: &Exporter| {
        e.status().await["targets"][0]["services"]["lambda"]["lastPoll"]
            .as_i64()
            .unwrap()
    };
    for (file, told) in [("nonsense: [".to_owned(), 1.0), (stack(spec), 0.0)] {
        exporter.configure(&file);
        exporter
            .until("the file is taken note of", async |e| {
                failed(e).await == Some(told)
            })
            .await;
        // A round would begin at once.
        let since = last_poll(&exporter).await;
        exporter
            .until("it polls on", async |e| last_poll(e).await > since + 120)
            .await;
        assert_eq!(looked(), first);
    }
    exporter.configure(&stack(&spec.replace("by-tag", "name-one")));
    exporter
        .until("another stack is looked for", async |e| {
            functions(e).await == set(&["name-one"])
        })
        .await;
    assert!(looked() > first);
}
