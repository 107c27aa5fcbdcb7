//! What a scraper, a probe and a person get.

use std::io::Read as _;

use nightjar_tests::http;
use nightjar_tests::samples::parse;

use crate::follow::{Follower, closed_as, next_minute, open};
use crate::harness::{Exporter, KEYS, label_values, simulator, stack};

const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        functions:
          - {name: shop-a, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}, tags: {note: "a \"quoted\" \\ tag"}}
          - {name: shop-b, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}}
"#;

const STACK: &str = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ntags: [note]\ncollection: {interval: 1m}";

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_say_the_same_plain_and_compressed() {
    let simulator = simulator(ACCOUNT).await;
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    let mut texts = Vec::new();
    for accept in ["application/openmetrics-text;version=1.0.0", "text/plain"] {
        for encoding in ["gzip", "identity"] {
            let headers = [("accept", accept), ("accept-encoding", encoding)];
            let body = http::request("GET", &exporter.at("/metrics"), &headers, "")
                .await
                .unwrap();
            let text = if encoding == "gzip" {
                let mut text = String::new();
                flate2::read::MultiGzDecoder::new(&*body)
                    .read_to_string(&mut text)
                    .unwrap();
                text
            } else {
                String::from_utf8(body.to_vec()).unwrap()
            };
            assert_eq!(
                text.ends_with("# EOF\n"),
                accept.starts_with("application"),
                "{accept} {encoding}"
            );
            texts.push(text);
        }
    }
    let names = |text: &String| {
        parse(text)
            .unwrap()
            .into_keys()
            .filter(|s| s.name.starts_with("aws_"))
            .collect::<Vec<_>>()
    };
    assert!(names(&texts[0]).len() > 10);
    for text in &texts[1..] {
        assert_eq!(names(text), names(&texts[0]));
    }
    let info = names(&texts[0])
        .into_iter()
        .find(|s| s.label("function_name") == "shop-a" && s.name.ends_with("_info"));
    assert_eq!(info.unwrap().label("tag_note"), "a \"quoted\" \\ tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_beyond_the_cap_are_left_out_and_counted() {
    let simulator = simulator(&(0..40).fold(ACCOUNT.to_owned(), |account, n| {
        format!(
            "{account}          - {{name: shop-n{n}, traffic: {{steady: {{per_minute: 6}}}}}}\n"
        )
    }))
    .await;
    let spec = format!(
        "{}\n",
        STACK.replace("interval: 1m", "interval: 1m, maxSeries: 100")
    );
    let exporter = Exporter::start(&simulator, &stack(&spec)).await;
    exporter
        .until("some are left out", async |e| {
            let samples = e.scrape().await;
            let of = |name: &str| {
                samples
                    .iter()
                    .find(|(s, _)| s.name == name)
                    .map_or(0.0, |(_, v)| *v)
            };
            let aws = samples
                .keys()
                .filter(|s| s.name.starts_with("aws_"))
                .count();
            of("nightjar_exporter_series_dropped") > 100.0
                && of("nightjar_exporter_series") == aws as f64
                // Whole resources, as many as there is room for.
                && (80..=100).contains(&aws)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cap_leaves_out_costs_nothing_and_goes_on_where_it_was_when_there_is_room() {
    let functions = (0..60).fold(String::new(), |text, n| {
        format!("{text}          - {{name: shop-n{n}, timeout: 10s, traffic: {{steady: {{per_minute: 6}}}}}}\n")
    });
    let account = format!(
        "seed: 7\naccounts:\n  - id: \"111122223333\"\n    regions:\n      eu-west-1:\n        functions:\n{functions}"
    );
    let simulator = simulator(&account).await;
    let spec = |most: u32| {
        stack(&format!(
            "regions: [eu-west-1]\nselect: [{{names: [\"shop-*\"]}}]\nlatency: {{quantiles: []}}\n\
             services: {{lambda: {{optional: [], excludeMetrics: [aws_lambda_concurrent_executions]}}}}\n\
             collection: {{interval: 1m, maxSeries: {most}}}"
        ))
    };
    let dir = tempfile::tempdir().unwrap();
    let exporter = closed_as(dir, &simulator, &spec(100), &KEYS).await;
    let published = async |e: &Exporter| {
        let samples = e.scrape().await;
        label_values(&samples, "aws_lambda_invocations_total", "function_name").len() as u64
    };
    let few = published(&exporter).await;
    assert!((1..30).contains(&few), "{few} are published");
    let opened = next_minute(&simulator);
    let end = opened + 1200;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    let until = async |follower: &mut Follower<'_>, at: i64| {
        while simulator.now_ms() / 1000 < at {
            follower.compare(&exporter).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    until(&mut follower, opened + 300).await;
    simulator.reset_meter();
    until(&mut follower, opened + 600).await;
    let billed: u64 = simulator
        .meter()
        .iter()
        .map(|reading| reading.metrics_billed)
        .sum();
    // At most three metrics of each that is published, and those of the region that rule others out, in six polls.
    assert!(
        (few..=6 * (few * 3 + 8)).contains(&billed),
        "{billed} for {few}"
    );
    exporter.configure(&spec(10_000));
    exporter
        .until("all are published", async |e| {
            follower.compare(e).await;
            published(e).await == 60
        })
        .await;
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 180, "only {moved} counters moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_told_and_the_page_for_people_tells_what_is_watched() {
    let simulator = simulator(ACCOUNT).await;
    let mut exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    let page = http::text(&exporter.at("/")).await.unwrap();
    assert!(
        page.contains("web/shop") && page.contains("111122223333") && page.contains("all is well"),
        "{page}"
    );
    assert_eq!(exporter.stop().await, Some(0));
}

/// The status and the headers of an answer to curl, names in lower case.
fn curl(exporter: &Exporter, method: &str, path: &str) -> String {
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--dump-header", "-"])
        .args(["--output", "/dev/null", "--max-time", "60"]);
    match method {
        "HEAD" => curl.arg("--head"),
        other => curl.args(["--request", other]),
    };
    let output = curl.arg(exporter.at(path)).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{method} {path}: {error}");
    String::from_utf8(output.stdout).unwrap().to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_paths_are_answered_as_http_wants_it() {
    let simulator = simulator(ACCOUNT).await;
    let exporter = Exporter::start(&simulator, &stack(STACK)).await;
    exporter.until_polled().await;
    for path in ["/metrics", "/status", "/", "/healthz", "/readyz"] {
        let (get, head) = (curl(&exporter, "GET", path), curl(&exporter, "HEAD", path));
        for answer in [&get, &head] {
            assert!(answer.starts_with("http/1.1 200"), "{path}: {answer}");
            let length = answer
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            assert!(length.is_some_and(|n| n.trim() != "0"), "{path}: {answer}");
            assert!(
                answer.contains("x-content-type-options: nosniff"),
                "{answer}"
            );
        }
    }
    let page = curl(&exporter, "GET", "/");
    assert!(
        page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    let missing = curl(&exporter, "GET", "/nothing");
    assert!(missing.starts_with("http/1.1 404"), "{missing}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = curl(&exporter, method, "/metrics");
        assert!(
            refused.starts_with("http/1.1 405") && refused.contains("allow: get, head"),
            "{method}: {refused}"
        );
    }
}
