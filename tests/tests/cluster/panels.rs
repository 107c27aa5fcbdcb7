//! Every query of every dashboard, against a Prometheus that has scraped the example stack for some minutes.

use std::time::{Duration, Instant};

use nightjar_tests::panels::{Asked, ask};
use nightjar_tests::simulator::account::AccountFile;
use nightjar_tests::simulator::faults::{Effect, Fault};
use nightjar_tests::simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::kubectl::{apply, kubectl, namespace, until_within};
use crate::{environment, is_ready};

/// Queries that have nothing to show for a stack that is minutes old: dashboard, panel, number of the query, and why.
const EMPTY: &[(&str, &str, usize, &str)] = &[
    (
        "nightjar-function",
        "Mean duration and a week ago",
        1,
        "this Prometheus is minutes old",
    ),
    (
        "nightjar-stack",
        "annotation Function deployed",
        0,
        "nobody deploys",
    ),
    (
        "nightjar-function",
        "annotation Function deployed",
        0,
        "nobody deploys",
    ),
    (
        "nightjar-api",
        "annotation Function deployed",
        0,
        "nobody deploys",
    ),
    (
        "nightjar-objectives",
        "annotation Function deployed",
        0,
        "nobody deploys",
    ),
    (
        "nightjar-function",
        "Concurrency",
        1,
        "no function of the shop has a reserve",
    ),
    (
        "nightjar-table",
        "annotation Capacity changed",
        0,
        "nobody changes a table",
    ),
    (
        "nightjar-api",
        "WebSocket messages",
        0,
        "the shop has no WebSocket API",
    ),
    (
        "nightjar-api",
        "WebSocket messages",
        1,
        "the shop has no WebSocket API",
    ),
    (
        "nightjar-api",
        "WebSocket messages",
        2,
        "the shop has no WebSocket API",
    ),
];

/// What goes wrong all the time, so that the panels about it have something to show.
const INCIDENTS: &str = "
- {what: errors, on: [checkout-pay, stock, storefront], share: 0.4, start: '2026-01-01T00:00:00Z', end: '2100-01-01T00:00:00Z'}
- {what: throttles, on: [carts, checkout-stock], share: 0.4, start: '2026-01-01T00:00:00Z', end: '2100-01-01T00:00:00Z'}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_query_of_every_panel_has_an_answer_or_a_reason_to_be_empty() {
    let listen = (
        environment("HOST_IP").parse::<std::net::IpAddr>().unwrap(),
        0,
    );
    let mut account =
        AccountFile::load(concat!(env!("CARGO_MANIFEST_DIR"), "/accounts/shop.yaml").as_ref())
            .unwrap();
    let region = account.accounts[0].regions.get_mut("eu-west-1").unwrap();
    region.incidents = serde_saphyr::from_str(INCIDENTS).unwrap();
    let simulator = Simulator::start(
        &account,
        Options {
            listen: listen.into(),
            ..Options::default()
        },
    )
    .await
    .unwrap();
    namespace("panels");
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/checkout.yaml"
    ))
    .unwrap();
    let mut stack: Value = serde_saphyr::from_str(&text).unwrap();
    stack["metadata"]["namespace"] = json!("panels");
    stack["spec"]["exporter"] =
        json!({"env": [{"name": "AWS_ENDPOINT_URL", "value": simulator.url()}]});
    stack["spec"]["monitoring"]["scrapeInterval"] = json!("5s");
    stack["spec"]["collection"]["budgetUsdPerMonth"] = json!("1000");
    apply(&stack);
    // One that can never be reconciled, for the panel about that: an object of its name is somebody else's.
    apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "panels", "name": "taken-exporter"},
    }));
    apply(&crate::stack("panels", "taken", &json!({})));
    let patience = Duration::from_mins(12);
    until_within(patience, "the stack is Ready", async || {
        is_ready("panels", "checkout")
    })
    .await;
    // Some of the questions fail again each time they are tried, for the panels about that.
    simulator.set_faults(vec![Fault {
        probability: Some(0.6),
        ..Fault::always("cloudwatch:*", Effect::Error { status: 500 })
    }]);
    let key = |asked: &Asked| (asked.dashboard, asked.panel.clone(), asked.query);
    let reason = |asked: &Asked| {
        let of = EMPTY
            .iter()
            .find(|entry| (entry.0, entry.1.to_owned(), entry.2) == key(asked));
        of.map(|entry| entry.3)
    };
    let shows_nothing = |asked: &&Asked| asked.series == 0 && reason(asked).is_none();
    // Some look back over minutes, and alerts wait.
    let begun = Instant::now();
    let asked = loop {
        let asked = ask(&environment("PROMETHEUS_URL"), "panels").await.unwrap();
        if begun.elapsed() > patience || !asked.iter().any(|asked| shows_nothing(&asked)) {
            break asked;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    assert!(asked.len() > 50, "{}", asked.len());
    let mut slowest = asked.clone();
    slowest.sort_by_key(|asked| std::cmp::Reverse(asked.took));
    println!("{} queries; the slowest:", asked.len());
    for asked in slowest.iter().take(5) {
        println!(
            "{:>7.1} ms  {}: {}",
            asked.took.as_secs_f64() * 1e3,
            asked.dashboard,
            asked.panel
        );
    }
    let empty: Vec<_> = asked
        .iter()
        .filter(shows_nothing)
        .map(|asked| (key(asked), &asked.expression))
        .collect();
    assert!(empty.is_empty(), "these show nothing: {empty:#?}");
    let stale: Vec<_> = asked
        .iter()
        .filter(|asked| asked.series > 0)
        .filter_map(|asked| Some((key(asked), reason(asked)?)))
        .collect();
    assert!(
        stale.is_empty(),
        "these have data, strike them off the list: {stale:#?}"
    );
    for entry in EMPTY {
        assert!(
            asked
                .iter()
                .any(|asked| key(asked) == (entry.0, entry.1.to_owned(), entry.2)),
            "no dashboard has this query: {entry:?}"
        );
    }
    kubectl(&["delete", "namespace", "panels", "--wait=false"]);
}
