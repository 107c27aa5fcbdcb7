//! Many clients at once, slow ones, and one that is being answered when the exporter is told to stop. In real
//! time: what protects the exporter counts seconds.

use std::process::Command;

use nightjar_tests::http;
use nightjar_tests::simulator::{Options, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{Exporter, stack};

const STACK: &str =
    "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m}";

/// An exporter with that many functions, and the length of its answer.
async fn exporter(functions: u32) -> (Simulator, Exporter, usize) {
    let account = format!(
        "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {functions}, prefix: shop-}}]}}}}}}]"
    );
    let simulator = Simulator::from_text(&account, Options::default())
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Who has to make room is in the log.
    let told = [("RUST_LOG", "info,nightjar::exporter::connections=debug")];
    let exporter = Exporter::start_with(dir, &simulator, &stack(STACK), &told).await;
    exporter.until_polled().await;
    let length = http::text(&exporter.at("/metrics")).await.unwrap().len();
    (simulator, exporter, length)
}

/// A connection on which a page was asked for.
async fn ask(exporter: &Exporter, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(exporter.address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Takes all that comes, and tells how much it was and how it ended.
async fn drain(mut stream: TcpStream) -> (usize, String) {
    let mut buffer = vec![0; 64 * 1024];
    let (mut length, mut end) = (0, Vec::new());
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        length += read;
        end.extend_from_slice(&buffer[..read]);
        end.drain(..end.len().saturating_sub(6));
    }
    (length, String::from_utf8_lossy(&end).into_owned())
}

/// The most memory that a process ever had, in bytes.
fn peak(exporter: &Exporter) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

/// How many connections the kernel holds open for an exporter, those among them that it has not accepted yet.
fn connections(exporter: &Exporter) -> usize {
    let port = format!(":{:04X}", exporter.address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        local.ends_with(&port) && fields.nth(1) == Some("01")
    };
    table.lines().filter(is_open).count()
}

/// Every client gets all of an answer.
async fn all_served(mut clients: JoinSet<(usize, String)>, length: usize) {
    while let Some(client) = clients.join_next().await {
        let (taken, end) = client.unwrap();
        assert!(
            taken >= length * 9 / 10 && end == "# EOF\n",
            "{taken} of {length}, then {end:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_scrapes_at_once_get_their_answers_from_one_copy() {
    let (_simulator, exporter, length) = exporter(800).await;
    // More than the kernel holds for the two sides.
    assert!(length > 1_000_000, "{length}");
    let before = peak(&exporter);
    // So many that nobody has to make room: each answer has begun before the first one is taken.
    let mut begun = Vec::new();
    for _ in 0..400 {
        let mut stream = ask(&exporter, "/metrics").await;
        stream.read_u8().await.unwrap();
        begun.push(stream);
    }
    all_served(begun.into_iter().map(drain).collect(), length).await;
    let mut clients = JoinSet::new();
    for _ in 0..1000 {
        let stream = ask(&exporter, "/metrics").await;
        clients.spawn(drain(stream));
    }
    assert_eq!(http::text(&exporter.at("/healthz")).await.unwrap(), "ok\n");
    all_served(clients, length).await;
    let grown = peak(&exporter) - before;
    // A tenth of a copy for each, though each connection has buffers of its own.
    assert!(
        grown < 1000 * length / 10,
        "{grown} bytes for answers of {length}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_take_nothing_hold_up_nobody_and_are_cut_off() {
    let (_simulator, exporter, length) = exporter(3000).await;
    // More than the kernel holds for the two sides.
    assert!(length > 4_000_000, "{length}");
    let before = peak(&exporter);
    let mut still = Vec::new();
    for _ in 0..700 {
        still.push(ask(&exporter, "/metrics").await);
    }
    assert!(connections(&exporter) > 500);
    exporter
        .until("a probe and a scrape are answered", async |exporter| {
            http::text(&exporter.at("/healthz")).await.is_ok()
                && drain(ask(exporter, "/metrics").await).await.1 == "# EOF\n"
        })
        .await;
    // Before their own time is up: some had to make room.
    let log = std::fs::read_to_string(exporter.dir.path().join("log")).unwrap();
    assert!(log.contains("one that is still ends"), "{log}");
    let polled = exporter.status().await["targets"][0]["services"]["lambda"]["lastPoll"].clone();
    exporter
        .until("polling goes on", async |exporter| {
            exporter.status().await["targets"][0]["services"]["lambda"]["lastPoll"] != polled
        })
        .await;
    exporter
        .until("they are cut off", async |exporter| {
            connections(exporter) == 0
        })
        .await;
    for stream in still {
        let (taken, end) = drain(stream).await;
        assert!(taken < length && end != "# EOF\n", "{taken} of {length}");
    }
    let grown = peak(&exporter) - before;
    assert!(grown < 20 * length, "{grown} bytes for answers of {length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_that_is_under_way_when_it_is_told_to_stop_is_finished() {
    let (_simulator, mut exporter, length) = exporter(3000).await;
    let mut stream = ask(&exporter, "/metrics").await;
    let mut first = [0; 1024];
    stream.read_exact(&mut first).await.unwrap();
    let kill = Command::new("kill")
        .arg(exporter.pid().to_string())
        .status();
    assert!(kill.unwrap().success());
    exporter
        .until("nobody else is let in", async |exporter| {
            TcpStream::connect(exporter.address).await.is_err()
        })
        .await;
    let (taken, end) = drain(stream).await;
    assert!(
        taken > length / 2 && end == "# EOF\n",
        "{taken} of {length}, then {end:?}"
    );
    assert_eq!(exporter.stop().await, Some(0));
}
