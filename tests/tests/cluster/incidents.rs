//! What goes wrong in AWS, all the way to somebody's webhook: simulated AWS, exporter pods, Prometheus,
//! the stack's PrometheusRule, Alertmanager, the stack's own route.
//!
//! All incidents happen at once, in an account of their own and in stacks of their own. The account is
//! played by this process, so that its incidents are nobody else's.
//!
//! While an incident lasts, its one alert is all that is sent. Afterwards one may follow that this one has kept back and
//! that looks back over hours: see `is_aftermath`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nightjar::rules::catalogue;
use nightjar_tests::http;
use nightjar_tests::samples::instant;
use nightjar_tests::simulator::account::{AccountFile, Instant};
use nightjar_tests::simulator::faults::{Effect, Fault};
use nightjar_tests::simulator::{Options, Simulator};
use nightjar_tests::webhook::{Seen, Webhook};
use serde_json::{Value, json};

use crate::kubectl::{apply, kubectl, namespace, until_within};
use crate::{environment, is_ready};

/// Something that goes wrong, and the one alert that must come of it.
struct Row {
    what: &'static str,
    stack: &'static str,
    alert: &'static str,
    /// `pager` gets what is critical, `chat` the rest.
    receiver: &'static str,
    /// The label that names what it is about, and its value.
    about: (&'static str, &'static str),
    /// What a person must read in the summary.
    says: &'static str,
}

const fn row(
    what: &'static str,
    stack: &'static str,
    alert: &'static str,
    receiver: &'static str,
    about: (&'static str, &'static str),
    says: &'static str,
) -> Row {
    Row {
        what,
        stack,
        alert,
        receiver,
        about,
        says,
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("a deploy breaks a function", "shop", "LambdaErrorRateCritical", "pager", ("function_name", "shop-pay"), "shop-pay: "),
    row("some runs of a function fail", "shop", "LambdaErrorRateHigh", "chat", ("function_name", "shop-mail"), "% of its runs fail"),
    row("a dependency hangs: runs are cut off", "shop", "LambdaTimingOut", "chat", ("function_name", "shop-render"), "cut off at the timeout"),
    row("the concurrency is used up", "shop", "LambdaThrottledHeavily", "pager", ("function_name", "shop-search"), "throttled"),
    row("a few requests are throttled", "shop", "LambdaThrottled", "chat", ("function_name", "shop-thumbs"), "throttled"),
    row("a function gets slow", "shop", "LambdaNearTimeout", "chat", ("function_name", "shop-export"), "of its timeout"),
    row("events are given up", "shop", "LambdaAsyncEventsDropped", "pager", ("function_name", "shop-analytics"), "events were given up"),
    row("events go round in a circle", "shop", "LambdaRecursionStopped", "pager", ("function_name", "shop-loop"), "stopped a loop"),
    row("a stream is read too slowly", "shop", "LambdaIteratorAgeHigh", "chat", ("function_name", "shop-projection"), "behind its stream"),
    row("an objective is missed", "shop", "ObjectiveBurnsFast", "pager", ("objective", "quotes"), "error budget burns"),
    row("a table's capacity is used up", "shop", "DynamoDbRequestsThrottledHeavily", "pager", ("table_name", "shop-orders"), "PutItem requests are throttled"),
    row("a hot partition", "shop", "DynamoDbHotPartition", "chat", ("table_name", "shop-carts"), "shop-carts: "),
    row("DynamoDB itself fails", "shop", "DynamoDbSystemErrors", "chat", ("table_name", "shop-stock"), "fail inside DynamoDB"),
    row("an API fails", "shop", "ApiServerErrorRateCritical", "pager", ("api_name", "shop-api"), "shop-api/prod: "),
    row("a few answers of an API fail", "shop", "ApiServerErrorRateHigh", "chat", ("api_name", "shop-basket"), "shop-basket/prod: "),
    row("an integration gets slow", "shop", "ApiNearIntegrationTimeout", "chat", ("api_name", "shop-front"), "of the gateway's timeout"),
    row("a permission is lost", "denied", "NightjarPermissionMissing", "chat", ("action", "lambda:ListFunctions"), "refuses lambda:ListFunctions"),
    row("CloudWatch fails in a region", "outage", "NightjarPollFailing", "chat", ("region", "eu-west-2"), "CloudWatch has not answered"),
    row("more series than the stack allows", "capped", "NightjarSeriesCapped", "chat", ("stack", "capped"), "leaves out"),
    row("the budget is used up", "thrifty", "NightjarBudgetExhausted", "pager", ("stack", "thrifty"), "Polling has stopped: the budget of thrifty is too small"),
    row("the exporter's pod is gone", "dark", "NightjarExporterDown", "pager", ("stack", "dark"), "The exporter of the stack dark is not scraped"),
];

/// Resources to which nothing happens are there too; what comes of them is a false alarm.
const FUNCTIONS: f64 = 11.0;

const INTERVAL: i64 = 60;
/// How long it all lasts.
const LASTS: i64 = 3 * INTERVAL;
/// Until the first minute is final, which gauges wait for: it ends, and settles.
const FINAL: i64 = 60 + 180;
/// What the stack itself asks for before somebody is told: a warning's `for`, and `groupWait`.
const TOLD_AFTER: i64 = 60 + 30;
/// A scrape and an evaluation.
const SLACK: i64 = 5 + 30;

fn stack(name: &str, endpoint: &str, spec: &Value) -> Value {
    // The catalogue's own waiting times are for an interval of five minutes. Critical ones come at once here, and so before
    // what they inhibit.
    let overrides: BTreeMap<&str, Value> = ROWS
        .iter()
        .map(|row| {
            let wait = if row.receiver == "pager" { "0s" } else { "1m" };
            (row.alert, json!({"for": wait}))
        })
        .collect();
    let webhook =
        |key: &str| json!({"name": key, "webhook": {"urlSecretRef": {"name": "hook", "key": key}}});
    let mut whole = json!({
        "collection": {"interval": "1m", "discoveryInterval": "1m"},
        "monitoring": {"labels": {"release": "kube-prometheus-stack"}, "scrapeInterval": "5s"},
        "exporter": {"env": [{"name": "AWS_ENDPOINT_URL", "value": endpoint}]},
        "alerts": {
            "labels": {"team": "shop"},
            "overrides": overrides,
            "route": {
                "receivers": [webhook("pager"), webhook("chat")],
                "critical": "pager", "warning": "chat", "info": "chat",
                "groupInterval": "15s", "repeatInterval": "4h",
            },
        },
    });
    // The least that it can be, and what the failing polls themselves would raise some minutes later.
    whole["alerts"]["overrides"]["NightjarPollFailing"]["threshold"] = json!("2");
    whole["alerts"]["overrides"]["NightjarRequestsFailing"] = json!({"for": "15m"});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({
        "apiVersion": "nightjar.dev/v1alpha1",
        "kind": "ServerlessStack",
        "metadata": {"namespace": "incidents", "name": name},
        "spec": whole,
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn patch(stack: &str, spec: &Value) {
    let patch = json!({"spec": spec}).to_string();
    kubectl(&[
        "-n",
        "incidents",
        "patch",
        "serverlessstack",
        stack,
        "--type=merge",
        "-p",
        &patch,
    ]);
}

/// How many samples an expression has in Prometheus.
async fn count(expression: &str) -> f64 {
    let samples = instant(
        &environment("PROMETHEUS_URL"),
        &format!("count({expression})"),
    )
    .await
    .unwrap();
    samples.first().map_or(0.0, |sample| sample.1)
}

/// What an alert is about: its own name, its stack, and the first of these labels that it has.
fn subject(seen: &Seen) -> (String, String, String) {
    let about = [
        "objective",
        "function_name",
        "table_name",
        "api_name",
        "action",
        "region",
        "stack",
    ];
    let about = about
        .iter()
        .map(|label| seen.alert.label(label))
        .find(|value| !value.is_empty());
    (
        seen.alert.label("alertname").to_owned(),
        seen.alert.label("stack").to_owned(),
        about.unwrap_or_default().to_owned(),
    )
}

fn expected(row: &Row) -> (String, String, String) {
    (
        row.alert.to_owned(),
        row.stack.to_owned(),
        row.about.1.to_owned(),
    )
}

/// Whether it is what an expected alert on the same resource kept back while it fired: the hours that another one looks
/// back over are not over with it, and Alertmanager tells that a warning is over, too, which it never sent.
fn is_aftermath(seen: &Seen) -> bool {
    ROWS.iter().any(|row| {
        let expected = catalogue::alert(row.alert).unwrap();
        seen.alert.label("stack") == row.stack
            && seen.alert.label(row.about.0) == row.about.1
            && (expected.cause == seen.alert.label("cause")
                || expected
                    .inhibits
                    .iter()
                    .any(|id| id == seen.alert.label("alertname")))
    })
}

fn with(seen: &[Seen], status: &str) -> BTreeSet<(String, String, String)> {
    let of = seen.iter().filter(|seen| seen.alert.status == status);
    of.map(subject).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_reaches_the_webhook_as_one_alert_and_resolves_and_nothing_else_does() {
    let host = environment("HOST_IP").parse().unwrap();
    let listen = SocketAddr::new(host, 0);
    let mut account =
        AccountFile::load(concat!(env!("CARGO_MANIFEST_DIR"), "/accounts/incidents.yaml").as_ref())
            .unwrap();
    let simulator = Simulator::start(
        &account,
        Options {
            listen,
            ..Options::default()
        },
    )
    .await
    .unwrap();
    let webhook = Webhook::start(listen).await.unwrap();

    namespace("incidents");
    apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "incidents", "name": "hook"},
        "stringData": {"pager": webhook.url("pager"), "chat": webhook.url("chat")},
    }));
    // The small ones watch one service only: from half a megabyte of rules on, the Prometheus operator mounts them in two
    // ConfigMaps, and replaces Prometheus' pod, with all that it holds, for that.
    let stacks = [
        (
            "shop",
            json!({"regions": ["eu-west-1"], "select": [{"names": ["shop-*"]}],
                "objectives": [{"name": "quotes", "target": "99.9", "window": "7d", "of": {"function": "shop-quote"}}]}),
        ),
        (
            "denied",
            json!({"regions": ["us-east-1"], "select": [{"names": ["denied-*"]}], "services": {"lambda": {}}}),
        ),
        (
            "outage",
            json!({"regions": ["eu-west-2"], "select": [{"names": ["outage-*"]}], "services": {"lambda": {}}}),
        ),
        (
            "capped",
            json!({"regions": ["us-west-2"], "select": [{"names": ["capped-*"]}], "services": {"lambda": {}}}),
        ),
        (
            "thrifty",
            json!({"regions": ["us-west-2"], "select": [{"names": ["thrifty-*"]}], "services": {"lambda": {}}}),
        ),
        (
            "dark",
            json!({"regions": ["us-west-2"], "select": [{"names": ["dark-*"]}], "services": {"lambda": {}}}),
        ),
    ];
    for (name, spec) in &stacks {
        apply(&stack(name, &simulator.url(), spec));
    }
    let patience = Duration::from_mins(6);
    until_within(patience, "the stacks are Ready", async || {
        stacks.iter().all(|(name, _)| is_ready("incidents", name))
    })
    .await;
    until_within(
        patience,
        "Prometheus has every stack's numbers",
        async || {
            count("function:aws_lambda_errors:ratio{namespace=\"incidents\",stack=\"shop\"}").await
                == FUNCTIONS
                && count("objective:nightjar_requests:rate{namespace=\"incidents\"}").await > 0.0
                && count("nightjar_exporter_build_info{namespace=\"incidents\"}").await
                    == stacks.len() as f64
                && count(
                    "group by (stack) (function:aws_lambda_errors:ratio{namespace=\"incidents\"})",
                )
                .await
                    == stacks.len() as f64
        },
    )
    .await;
    until_within(
        patience,
        "Alertmanager has every stack's route",
        async || {
            let status: Value = http::json(&format!(
                "{}/api/v2/status",
                environment("ALERTMANAGER_URL")
            ))
            .await
            .unwrap();
            let config = status["config"]["original"].as_str().unwrap();
            stacks
                .iter()
                .all(|(name, _)| config.contains(&format!("incidents/{name}-exporter/pager")))
        },
    )
    .await;
    assert!(
        webhook.seen().is_empty(),
        "nothing has happened yet: {:#?}",
        webhook.seen()
    );

    let begins = (now() + 20).div_euclid(60) * 60;
    let ends = begins + LASTS;
    for region in account.accounts[0].regions.values_mut() {
        for incident in &mut region.incidents {
            incident.start = Some(Instant { ms: begins * 1000 });
            incident.end = Some(Instant { ms: ends * 1000 });
        }
    }
    simulator.replace_account(&account).unwrap();
    let fault = |api: &str, region: &str, effect| Fault {
        region: Some(region.to_owned()),
        ..Fault::always(api, effect)
    };
    simulator.set_faults(vec![
        fault("lambda:ListFunctions", "us-east-1", Effect::AccessDenied),
        fault(
            "cloudwatch:GetMetricData",
            "eu-west-2",
            Effect::Error { status: 500 },
        ),
    ]);
    patch("capped", &json!({"collection": {"maxSeries": 100}}));
    patch(
        "thrifty",
        &json!({"collection": {"budgetUsdPerMonth": "0.01"}}),
    );
    patch(
        "dark",
        &json!({"exporter": {"resources": {"requests": {"cpu": "1000"}}}}),
    );

    let wanted: BTreeSet<_> = ROWS.iter().map(expected).collect();
    let in_time = begins + FINAL + 3 * INTERVAL + TOLD_AFTER + SLACK;
    while with(&webhook.seen(), "firing") != wanted && now() < in_time {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let firing = with(&webhook.seen(), "firing");
    let texts: Vec<String> = webhook
        .seen()
        .iter()
        .map(|seen| {
            format!(
                "{:>4.0} s {} {:8} {}",
                seen.at - begins as f64,
                seen.receiver,
                seen.alert.status,
                seen.alert.summary()
            )
        })
        .collect();
    assert_eq!(
        wanted.difference(&firing).collect::<Vec<_>>(),
        Vec::<&(String, String, String)>::new(),
        "these incidents were missed; what came:\n{}",
        texts.join("\n")
    );

    simulator.set_faults(Vec::new());
    patch("capped", &json!({"collection": {"maxSeries": null}}));
    patch(
        "thrifty",
        &json!({"collection": {"budgetUsdPerMonth": null}}),
    );
    patch("dark", &json!({"exporter": {"resources": null}}));
    until_within(
        Duration::from_mins(25),
        "every alert is resolved",
        async || with(&webhook.seen(), "resolved").is_superset(&wanted),
    )
    .await;

    let seen = webhook.seen();
    println!("seconds from the incident to the webhook:");
    for row in ROWS {
        let firing: Vec<&Seen> = seen
            .iter()
            .filter(|seen| seen.alert.status == "firing" && subject(seen) == expected(row))
            .collect();
        println!(
            "{:>4.0}  {}: {}",
            firing[0].at - begins as f64,
            row.what,
            firing[0].alert.summary()
        );
        // A group that a second alert joins is sent again as a whole: what counts is how many alerts there are.
        let alerts: BTreeSet<&str> = firing
            .iter()
            .map(|seen| seen.alert.fingerprint.as_str())
            .collect();
        assert_eq!(alerts.len(), 1, "{}: more than one alert", row.what);
        for seen in firing {
            let alert = &seen.alert;
            assert_eq!(seen.receiver, row.receiver, "{}: {alert:?}", row.what);
            assert_eq!(
                alert.label(row.about.0),
                row.about.1,
                "{}: {alert:?}",
                row.what
            );
            assert_eq!(
                (
                    alert.label("namespace"),
                    alert.label("stack"),
                    alert.label("team")
                ),
                ("incidents", row.stack, "shop")
            );
            for label in ["severity", "service", "pillar", "cause"] {
                assert_ne!(alert.label(label), "", "{}: no {label}", row.what);
            }
            let summary = alert.summary();
            assert!(
                summary.contains(row.says),
                "{}: nobody understands: {summary}",
                row.what
            );
            for unreadable in ["<no value>", "%!", "{{", "${", "NaN", "Inf"] {
                assert!(!summary.contains(unreadable), "{}: {summary}", row.what);
            }
        }
    }
    let extra: Vec<String> = seen
        .iter()
        .filter(|seen| !wanted.contains(&subject(seen)))
        .filter(|seen| seen.at < ends as f64 || !is_aftermath(seen))
        .map(|seen| {
            format!(
                "{} at {:.0} s: {} {}",
                seen.alert.label("alertname"),
                seen.at - begins as f64,
                seen.alert.status,
                seen.alert.summary()
            )
        })
        .collect();
    assert!(extra.is_empty(), "also sent: {extra:#?}");
    kubectl(&["delete", "namespace", "incidents", "--wait=false"]);
}
