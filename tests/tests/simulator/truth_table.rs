//! The program `truth-table`, against a Prometheus that holds what it is told to.

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nightjar_tests::simulator::clock::Clock;
use nightjar_tests::simulator::truth::Question;
use nightjar_tests::simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::play::{ACCOUNT, REGION, account};

const FUNCTIONS: &str = "{functions: [
    {name: pay, tags: {app: checkout}, traffic: {steady: {per_minute: 60}}},
    {name: price, tags: {app: checkout}, traffic: {steady: {per_minute: 60}}}]}";

/// What Prometheus' counter of a function's runs has grown by, if it has one, where AWS counted so many.
type Held = fn(&str, f64) -> Option<f64>;

/// The answer to a query: how far all is counted, or the counters.
fn answer(simulator: &Simulator, query: &str, held: Held) -> Value {
    let through = simulator.now_ms() / 60_000 * 60 - 1800;
    let series = |name: &str, label: (&str, &str), last: f64| {
        json!({
            "metric": {"__name__": name, "account_id": ACCOUNT, "region": REGION, label.0: label.1},
            "values": [[1000, "0"], [2000, last.to_string()]],
        })
    };
    let result = if query.contains("counted_through") {
        let name = "nightjar_exporter_counted_through_timestamp_seconds";
        let through = f64::from(u32::try_from(through).unwrap());
        vec![series(name, ("aws_service", "lambda"), through)]
    } else {
        let counters = ["pay", "price"].into_iter().filter_map(|function| {
            let question = Question {
                account: ACCOUNT.to_owned(),
                region: REGION.to_owned(),
                namespace: "AWS/Lambda".to_owned(),
                metric: "Invocations".to_owned(),
                dimensions: vec![("FunctionName".to_owned(), function.to_owned())],
                stat: "Sum".to_owned(),
                start: through - 7200,
                end: through,
            };
            let counted = simulator.truth(&question).unwrap().value.unwrap_or(0.0);
            let label = ("function_name", function);
            held(function, counted).map(|held| series("aws_lambda_invocations_total", label, held))
        });
        counters.collect()
    };
    json!({"status": "success", "data": {"resultType": "matrix", "result": result}})
}

/// Where such a Prometheus listens, until the test ends.
async fn prometheus(simulator: Arc<Simulator>, held: Held) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let simulator = Arc::clone(&simulator);
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let query = request.uri().query().unwrap_or_default();
                let body = answer(&simulator, query, held).to_string();
                async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// The exit code, the table, and what else is said.
async fn table(held: Held) -> (Option<i32>, String, String) {
    // An hour ahead: however soon the shop closes, all of it is settled.
    let ahead = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    let options = Options {
        clock: Clock::new(ahead, 0.0),
        ..Options::default()
    };
    let simulator = Simulator::from_text(&account(FUNCTIONS), options).await;
    let simulator = Arc::new(simulator.unwrap());
    let prometheus = prometheus(Arc::clone(&simulator), held).await;
    let url = simulator.url();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_truth-table"))
            .args(["--prometheus", &prometheus, "--simulator", &url])
            .args(["--namespace", "shop", "--stack", "checkout"])
            .args(["--region", REGION, "--tag", "app=checkout"])
            .args(["--patience", "60"])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_truth_names_each_counter_that_differs_and_fails() {
    let (code, shown, said) = table(|_, counted| Some(counted)).await;
    assert_eq!(code, Some(0), "{shown}{said}");
    assert!(shown.contains("2 of 2 counters are equal"), "{shown}");
    assert!(shown.contains("2 of them moved"), "{shown}");

    let one_more = |function: &str, counted| {
        Some(if function == "pay" {
            counted + 1.0
        } else {
            counted
        })
    };
    let (code, shown, said) = table(one_more).await;
    assert_eq!(code, Some(1), "{shown}{said}");
    let different: Vec<&str> = shown
        .lines()
        .filter(|line| line.ends_with("DIFFERENT"))
        .collect();
    assert_eq!(different.len(), 1, "{shown}");
    assert!(
        different[0].starts_with("aws_lambda_invocations_total pay ("),
        "{shown}"
    );
    assert!(said.contains("1 of 2 counters differ"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_truth_misses_a_counter_that_prometheus_does_not_have() {
    let (code, shown, said) =
        table(|function, counted| (function != "price").then_some(counted)).await;
    assert_eq!(code, Some(1), "{shown}{said}");
    let missed =
        "no aws_lambda_invocations_total of arn:aws:lambda:eu-west-1:111122223333:function:price";
    assert!(said.contains(missed), "{said}");
}
