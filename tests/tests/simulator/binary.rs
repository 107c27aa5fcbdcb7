//! The program `aws-simulator`, as a person runs it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accounts/shop.yaml");

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_aws-simulator"))
}

/// A running program that is stopped at the end of its test.
struct Running(Child, String);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(arguments: &[&str]) -> Running {
    let mut child = program()
        .args(["--account", SHOP, "--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().to_owned();
    Running(child, address)
}

async fn http(running: &Running, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(&running.1).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        running.1,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

async fn get(running: &Running, path: &str) -> Value {
    let (status, body) = http(running, "GET", path, "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn help_names_every_option_and_a_bad_file_ends_with_two_and_its_line() {
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for option in [
        "--account",
        "--listen",
        "--clock-origin",
        "--clock-speed",
        "--seed",
        "--no-limits",
        "--functions",
    ] {
        assert!(help.contains(option), "{option}");
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad-account.yaml");
    std::fs::write(&path, "accounts:\n  - id: '111122223333'\n    wrong: 1\n").unwrap();
    let output = program().arg("--account").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("bad-account.yaml:3: ") && error.contains("wrong"),
        "{error}"
    );
    let output = program()
        .args(["--account", "/nowhere.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nowhere.yaml")
    );
}

#[tokio::test]
async fn the_simulators_own_endpoints_tell_truth_meter_faults_and_time() {
    let running = run(&[
        "--clock-origin",
        "2026-11-20T12:00:00Z",
        "--clock-speed",
        "0",
    ]);
    assert_eq!(
        http(&running, "GET", "/healthz", "").await,
        (200, "ok\n".to_owned())
    );
    assert!(http(&running, "GET", "/", "").await.1.contains("/truth"));
    assert_eq!(get(&running, "/clock").await["now"], "2026-11-20T12:00:00Z");

    let start = 1_795_176_000 - 3600;
    let window = format!(
        "account=111122223333&region=eu-west-1&start={start}&end={}",
        start + 7200
    );
    let path = format!(
        "/truth?{window}&namespace=AWS/Lambda&metric=Invocations&stat=Sum&dim.FunctionName=checkout-pay"
    );
    let last = get(&running, &path).await;
    let visible = get(&running, &format!("{path}&visible=1")).await;
    assert!(
        visible["value"].as_f64() < last["value"].as_f64(),
        "{visible} {last}"
    );
    assert_eq!(last["settled"], false);
    let (status, body) = http(&running, "PUT", "/clock", r#"{"advance_seconds": 7200}"#).await;
    assert_eq!(status, 200, "{body}");
    let later = get(&running, &format!("{path}&visible=1")).await;
    assert_eq!(later["value"], last["value"]);
    assert_eq!(later["settled"], true);

    let path = "/truth/series?account=111122223333&region=eu-west-1&resource=orders";
    let series = get(&running, path).await;
    assert!(series["series"].as_array().unwrap().len() > 10, "{series}");
    let (status, body) = http(
        &running,
        "GET",
        &format!("/truth?{window}&namespace=AWS/Lambda&metric=Nothing"),
        "",
    )
    .await;
    assert!(status == 400 && body.contains("/truth/series"), "{body}");

    let faults = r#"[{"api": "sts:*", "effect": "throttle"}]"#;
    assert_eq!(http(&running, "PUT", "/faults", faults).await.0, 200);
    assert_eq!(get(&running, "/faults").await["faults"][0]["seen"], 0);
    let (status, body) = http(&running, "PUT", "/faults", r#"[{"effect": "fire"}]"#).await;
    assert!(status == 400 && body.contains("fire"), "{body}");
    assert_eq!(http(&running, "DELETE", "/faults", "").await.0, 200);
    assert_eq!(
        get(&running, "/meter").await["readings"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn the_clock_runs_as_fast_as_it_is_told() {
    let running = run(&[
        "--clock-origin",
        "2026-11-20T12:00:00Z",
        "--clock-speed",
        "6000",
    ]);
    let begin = get(&running, "/clock").await["epoch_ms"].as_i64().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while get(&running, "/clock").await["epoch_ms"].as_i64().unwrap() < begin + 600_000 {
        assert!(
            std::time::Instant::now() < deadline,
            "ten simulated minutes take more than twenty seconds"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
