//! AWS behind a proxy.

use crate::harness::{Exporter, ITS_STACK, ONE_FUNCTION, simulator, stack};

#[tokio::test(flavor = "multi_thread")]
async fn aws_is_reached_through_the_proxy_that_the_environment_names() {
    let simulator = simulator(ONE_FUNCTION).await;
    // The simulator answers for any host. This one has no address: only a proxy can know it.
    let url = simulator.url();
    let environment = [
        ("AWS_ENDPOINT_URL", "http://aws.invalid"),
        ("HTTP_PROXY", &url),
    ];
    let dir = tempfile::tempdir().unwrap();
    let exporter = Exporter::start_with(dir, &simulator, &stack(ITS_STACK), &environment).await;
    exporter.until_polled().await;

    // Nor is a host asked through it that the environment excepts.
    let environment = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("HTTP_PROXY", "http://proxy.invalid:3128"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let exporter = Exporter::start_with(dir, &simulator, &stack(ITS_STACK), &environment).await;
    exporter.until_polled().await;
}
