//! An account in which every metric of the tables has values.

use std::collections::BTreeSet;

use nightjar::services::ServiceId;
use nightjar::services::table::{FamilyKind, Metric};
use nightjar_tests::truth::source;

use crate::follow::{Follower, next_minute, open};
use crate::harness::{Exporter, simulator, stack};

const ACCOUNT: &str = r#"
seed: 11
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        lateness:
          lambda: {settle: 3m, aggregate_lag: 30s}
          dynamodb: {settle: 3m}
          apigateway: {settle: 2m}
        functions:
          - {name: shop-busy, traffic: {steady: {per_minute: 400}}, timeout: 10s, errors: 0.3, throttles: 0.1, duration: {p50_ms: 33.3}, reserved_concurrency: 90, alias: {name: live, provisioned: 20}, url: true, streaming: true, extensions: true, durable: true, signed: true, capacity_provider: pool, calls: [{topic: shop-news}]}
          - {name: shop-async, errors: 0.4, dead_letter: shop-dead, duration: {p50_ms: 20}}
          - {name: shop-queue, duration: {p50_ms: 20}}
          - {name: shop-change, duration: {p50_ms: 20}}
          - {name: shop-kafka, duration: {p50_ms: 20}}
          - {name: shop-docs, duration: {p50_ms: 20}}
        topics: [{name: shop-news, subscribers: [{function: shop-async}, {queue: shop-jobs}]}]
        queues:
          - {name: shop-dead}
          - {name: shop-jobs, consumers: [{function: shop-queue, metrics: [EventCount]}]}
        sources:
          - {name: shop-records, kind: kafka, traffic: {steady: {per_minute: 3000}}, consumers: [{function: shop-kafka, batch: 10, metrics: [EventCount, ErrorCount, KafkaMetrics], pollers: 4}]}
          - {name: shop-documents, kind: document_db, traffic: {steady: {per_minute: 600}}, consumers: [{function: shop-docs, metrics: [EventCount], maximum_concurrency: 5}]}
        tables:
          - {name: shop-orders, traffic: {PutItem: {steady: {per_minute: 1000}}, Query: {steady: {per_minute: 600}}}, latency: {p50_ms: 3.1}, throttles: 0.05, errors: 0.01, user_errors: 0.05, provisioned: {read: 500, write: 500}, auto_scaling: {min: {read: 5, write: 10}, max: {read: 1000, write: 2000}}, indexes: [by-user, by-day], building: true, time_to_live: true, replicas: [us-east-1], legacy: true, kinesis: true, faults: true, stream: {function: shop-change, batch: 10}}
          - {name: shop-carts, traffic: {PutItem: {steady: {per_minute: 1000}}, GetItem: {steady: {per_minute: 600}}}, throttles: 0.05, on_demand_maximum: {read: 100, write: 100}}
        incidents: [{what: recursion, on: [shop-async], share: 0.01, start: 2026-01-01T00:00:00Z, end: 2100-01-01T00:00:00Z}]
        rest_apis:
          - {name: shop-api, id: aaaaaaaaaa, stages: [{name: prod, traffic: {steady: {per_minute: 200}}, latency: {p50_ms: 40}, errors_4xx: 0.1, errors_5xx: 0.02, cache: true, detailed: true, throttle_rate: 50}]}
        http_apis:
          - {name: shop-front, id: bbbbbbbbbb, stages: [{name: $default, traffic: {steady: {per_minute: 300}}, latency: {p50_ms: 20}, errors_4xx: 0.1, errors_5xx: 0.02, detailed: true}]}
          - {name: shop-chat, id: cccccccccc, protocol: websocket, stages: [{name: live, traffic: {steady: {per_minute: 400}}, latency: {p50_ms: 20}, errors_5xx: 0.1}]}
"#;

/// All optional sets of all services, as a stack names them.
fn everything() -> String {
    let services = ServiceId::ALL.map(|id| {
        let sets: Vec<_> = id.service().optional.iter().map(|set| set.name).collect();
        format!("  {}: {{optional: [{}]}}", id.name(), sets.join(", "))
    });
    stack(&format!(
        "regions: [eu-west-1]\nselect: [{{names: [\"shop-*\"]}}]\nlatency: {{maxima: true, histograms: {{}}}}\n\
         collection: {{interval: 1m, discoveryInterval: 15m}}\nservices:\n{}",
        services.join("\n")
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_tables_is_published_and_every_counter_ends_at_the_truth() {
    let simulator = simulator(ACCOUNT).await;
    // So that CloudWatch lists what is used, and then a silence longer than late datapoints. The next discovery comes when
    // there is something to list again: the account has only these hours.
    let now = next_minute(&simulator);
    open(&simulator, now - 7200, now - 3600).await;
    let exporter = Exporter::start(&simulator, &everything()).await;
    exporter.until_polled().await;
    exporter.scrape().await;
    let opened = next_minute(&simulator);
    open(&simulator, opened, opened + 600).await;
    let mut follower = Follower::new(&simulator, opened, opened + 600);
    let mut seen = BTreeSet::new();
    let mut moved = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    let counts: BTreeSet<&str> = ServiceId::ALL
        .iter()
        .flat_map(|id| id.service().shapes)
        .flat_map(|shape| shape.metrics)
        .map(|metric| metric.family)
        .filter(|family| family.kind != FamilyKind::Gauge)
        .map(|family| family.name)
        .collect();
    let begun = std::time::Instant::now();
    loop {
        let compared = follower.compare(&exporter).await;
        for (series, value) in exporter.scrape().await {
            let family = series.name.strip_suffix("_count").unwrap_or(&series.name);
            if counts.contains(family)
                && source(&series).is_none()
                && series.label("quantile").is_empty()
            {
                unknown.insert(series.name.clone());
            }
            if value > 0.0 {
                moved.insert(family.to_owned());
            }
            seen.insert(family.to_owned());
        }
        if compared.finished {
            break;
        }
        assert!(
            begun.elapsed() < crate::harness::DEADLINE,
            "nothing is final\n{}",
            exporter.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(unknown, BTreeSet::new(), "the truth is not known of these");
    crate::exposition::lint(&exporter).await;
    let mut missing = Vec::new();
    let mut still = Vec::new();
    for id in ServiceId::ALL {
        let service = id.service();
        let rows = service.shapes.iter().flat_map(|shape| shape.metrics);
        let families = rows.flat_map(Metric::families);
        for family in families.chain(service.facts.iter().copied()) {
            if !seen.contains(family.name) {
                missing.push(family.name);
            } else if counts.contains(family.name) && !moved.contains(family.name) {
                still.push(family.name);
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not published: {missing:#?}\n{}",
        exporter.log()
    );
    assert!(
        still.is_empty(),
        "counted nothing: {still:#?}\n{}",
        exporter.log()
    );
    let problems = exporter.problems().await;
    assert!(problems.is_empty(), "{problems:?}");
}
