//! Between what capacity is scaled automatically, as Application Auto Scaling says.

use std::collections::BTreeMap;

use nightjar_tests::simulator::faults::{Effect, Fault};

use crate::harness::{Exporter, simulator, stack};

const STACK: &str = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\nservices: {dynamodb: {}}\ncollection: {interval: 1m, discoveryInterval: 1m}";
const ACTION: &str = "application-autoscaling:DescribeScalableTargets";

/// An account with these tables.
fn account(tables: &str) -> String {
    format!(
        "seed: 7\naccounts:\n  - id: \"111122223333\"\n    regions:\n      eu-west-1:\n        tables:\n{tables}"
    )
}

/// Sixty tables that scale, of which one is the stack's, and what the stack has besides.
fn mixed() -> String {
    let others = (0..60).fold(String::new(), |text, n| {
        format!(
            "{text}          - {{name: a-{n}, provisioned: {{read: 5, write: 5}}, auto_scaling: {{min: {{read: 1, write: 1}}, max: {{read: 9, write: 9}}}}}}\n"
        )
    });
    account(&format!(
        "{others}          - {{name: shop-fixed, provisioned: {{read: 7, write: 7}}}}\n          \
         - {{name: shop-free}}\n          \
         - {{name: shop-scaled, provisioned: {{read: 50, write: 60}}, indexes: [by-day], auto_scaling: {{min: {{read: 5, write: 10}}, max: {{read: 1000, write: 2000}}}}}}\n"
    ))
}

/// The bounds that are published, by metric, table and index.
async fn bounds(exporter: &Exporter) -> BTreeMap<(String, String, String), f64> {
    let samples = exporter.scrape().await;
    let bounds = samples.into_iter().filter_map(|(series, value)| {
        let name = series
            .name
            .strip_prefix("aws_dynamodb_autoscaling_")?
            .to_owned();
        let index = series.label("global_secondary_index_name").to_owned();
        Some(((name, series.label("table_name").to_owned(), index), value))
    });
    bounds.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_of_automatic_scaling_are_those_of_the_tables_and_indexes_that_have_them() {
    let simulator = simulator(&mixed()).await;
    let denied = Fault::always(ACTION, Effect::AccessDenied);
    simulator.set_faults(vec![denied]);
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_told(&format!("AccessDenied {ACTION}")).await;
    exporter
        .until("tables are published without them", async |e| {
            let samples = e.scrape().await;
            let tables = samples
                .keys()
                .filter(|series| series.name == "aws_dynamodb_table_info");
            tables.count() == 3
        })
        .await;
    assert_eq!(bounds(&exporter).await, BTreeMap::new());
    simulator.set_faults(Vec::new());
    exporter.until_well().await;
    let expected = ["", "by-day"].into_iter().flat_map(|index| {
        [
            ("min_read", 5.0),
            ("max_read", 1000.0),
            ("min_write", 10.0),
            ("max_write", 2000.0),
        ]
        .map(|(bound, value)| {
            (
                (
                    format!("{bound}_capacity_units"),
                    "shop-scaled".to_owned(),
                    index.to_owned(),
                ),
                value,
            )
        })
    });
    assert_eq!(bounds(&exporter).await, expected.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_table_is_provisioned_nobody_is_asked_what_scales() {
    let tables = account("          - {name: shop-free}\n");
    let simulator = simulator(&tables).await;
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    exporter.until_well().await;
    let meter = simulator.meter();
    assert!(
        meter
            .iter()
            .any(|reading| reading.api == "dynamodb:DescribeTable")
    );
    assert!(
        meter.iter().all(|reading| reading.api != ACTION),
        "{meter:#?}"
    );
}
