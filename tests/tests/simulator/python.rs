//! boto3, which speaks AWS JSON where the Rust SDK speaks CBOR, and brings AWS's published examples.

use std::process::Command;

use nightjar_tests::simulator::Simulator;

use crate::play::{play, play_shop};

/// What a script says that reads the simulator.
async fn run(simulator: &Simulator, script: &'static str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let venv = Command::new(format!("{root}/parts/python/venv"))
        .output()
        .unwrap();
    assert!(
        venv.status.success(),
        "{}",
        String::from_utf8_lossy(&venv.stderr)
    );
    let python = String::from_utf8(venv.stdout).unwrap();
    let url = simulator.url();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python.trim())
            .arg(format!("{root}/tests/simulator/{script}"))
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", "KEY")
            .env("AWS_SECRET_ACCESS_KEY", "SECRET")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_MAX_ATTEMPTS", "1")
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_metrics_and_discovers_the_shop() {
    let simulator = play_shop().await;
    let said = run(&simulator, "boto3_client.py").await;
    // What boto3 read in JSON is what the simulator says is true.
    let read: f64 = said.lines().last().unwrap().parse().unwrap();
    let noon = crate::play::noon();
    let question = crate::play::question(
        "checkout-create",
        "Duration",
        "Sum",
        noon - 7200,
        noon - 3600,
    );
    let truth = simulator.truth(&question).unwrap().value.unwrap();
    assert!((read - truth).abs() < 0.001, "{read} is not {truth}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shape_of_the_examples_that_aws_publishes() {
    // No table of the shop's is scaled automatically.
    let scaled = include_str!("../../accounts/shop.yaml").replace(
        "provisioned: {read: 40, write: 30}",
        "provisioned: {read: 40, write: 30}\n            auto_scaling: {min: {read: 5, write: 5}, max: {read: 400, write: 300}}",
    );
    let simulator = play(&scaled).await;
    let said = run(&simulator, "published_examples.py").await;
    let compared = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(compared >= 17, "{said}");
}
