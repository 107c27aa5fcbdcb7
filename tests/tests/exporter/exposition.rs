//! What is served, read by others: Prometheus's own parsers, and ours in the tests.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use nightjar_tests::http;
use nightjar_tests::samples::parse;
use nightjar_tests::simulator::faults::{Effect, Fault};

use crate::harness::{Exporter, simulator, stack};

/// Every character that means something to a parser, and some that are long.
fn hostile(length: usize) -> String {
    "\"} 1\n# EOF\nup{a=\"\\n\\\",le=\"0\u{0}\t\räß日本語🦀<script>alert(1)</script>&amp;'"
        .chars()
        .cycle()
        .take(length)
        .collect()
}

fn promtool(arguments: &[&str], input: &str) -> std::process::Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: run these tests with `make test-exporter`");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Beside its output: both pipes are short.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

/// Whether Prometheus' linter has nothing against the names, kinds and helps of what an exporter serves.
pub async fn lint(exporter: &Exporter) {
    let text = http::text(&exporter.at("/metrics")).await.unwrap();
    let linted = promtool(&["check", "metrics"], &text);
    assert!(
        linted.status.success(),
        "{}{}",
        String::from_utf8_lossy(&linted.stdout),
        String::from_utf8_lossy(&linted.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_tags_of_any_kind_are_served_escaped_and_prometheus_reads_them() {
    let tag = hostile(256);
    let mut tags = serde_json::Map::from_iter([("note".to_owned(), tag.clone().into())]);
    tags.extend((0..50_000).map(|n| (format!("t{n}"), "v".into())));
    let name = "shop-\"} 1\nup{a=\"<script>";
    let account = serde_json::json!({"seed": 7, "accounts": [{"id": "111122223333", "regions": {"eu-west-1": {
        "functions": [
            {"name": name, "tags": tags, "traffic": {"steady": {"per_minute": 60}}, "duration": {"p50_ms": 33}},
            {"name": "shop-b", "traffic": {"steady": {"per_minute": 60}}, "duration": {"p50_ms": 33}, "errors": 0.5},
        ],
        "tables": [{"name": "shop-table"}],
        "http_apis": [{"name": "shop-api", "id": "a1b2c3", "stages": [{"name": "prod"}]}],
    }}}]});
    let simulator = simulator(&account.to_string()).await;
    let spec = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ntags: [note]\nlatency: {maxima: true, histograms: {}}\ncollection: {interval: 1m}";
    let exporter = Exporter::start(&simulator, &stack(spec)).await;
    exporter
        .until("histograms are published", async |exporter| {
            let samples = exporter.scrape().await;
            samples
                .keys()
                .any(|series| series.name.ends_with("_bucket"))
        })
        .await;

    let samples = exporter.scrape().await;
    let of_it = |series: &&nightjar_tests::samples::Series| series.label("function_name") == name;
    assert!(samples.keys().filter(of_it).count() > 5);
    let info = samples
        .keys()
        .filter(of_it)
        .find(|series| series.name.ends_with("_info"))
        .unwrap();
    assert_eq!(info.label("tag_note"), tag);
    assert!(!info.labels.keys().any(|label| label.starts_with("tag_t")));
    assert!(!samples.keys().any(|series| series.name == "up"));

    lint(&exporter).await;

    // Prometheus's parser of OpenMetrics is behind its import, which wants a time for each sample.
    let accept = [("accept", "application/openmetrics-text")];
    let body = http::request("GET", &exporter.at("/metrics"), &accept, "")
        .await
        .unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    let mut timed = String::new();
    for line in text.lines() {
        let sample = !line.starts_with('#');
        let _ = writeln!(timed, "{line}{}", if sample { " 1790000000" } else { "" });
    }
    let file = exporter.dir.path().join("metrics");
    let blocks = exporter.dir.path().join("blocks");
    std::fs::write(&file, timed).unwrap();
    let arguments = ["tsdb", "create-blocks-from", "openmetrics"];
    let places = [file.to_str().unwrap(), blocks.to_str().unwrap()];
    let imported = promtool(&[&arguments[..], &places].concat(), "");
    let said = String::from_utf8_lossy(&imported.stdout).into_owned()
        + &String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "{said}");
    let list = promtool(&["tsdb", "analyze", blocks.to_str().unwrap()], "");
    let list = String::from_utf8(list.stdout).unwrap();
    let series = format!("Series: {}\n", parse(text).unwrap().len());
    assert!(list.contains(&series), "{series} in {list}");

    // The page for people says what AWS said.
    let refusal = Effect::Refuse {
        status: 400,
        code: "<script>alert(1)</script>".to_owned(),
    };
    simulator.set_faults(vec![Fault::always("cloudwatch:GetMetricData", refusal)]);
    exporter
        .until_told("InvalidRequest cloudwatch:GetMetricData")
        .await;
    let page = http::text(&exporter.at("/")).await.unwrap();
    assert!(
        page.contains("&lt;script&gt;") && !page.contains("<script>"),
        "{page}"
    );
}
