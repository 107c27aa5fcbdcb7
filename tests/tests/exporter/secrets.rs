//! What SECURITY.md claims of the exporter: whatever it knows that is secret stays with it.

use nightjar_tests::http;

use crate::harness::{Exporter, simulator, stack};

const ACCOUNT: &str = r#"
seed: 7
accounts:
  - {id: "111122223333", access_keys: [AKIATEST]}
  - id: "444455556666"
    roles: [{name: nightjar-read, external_id: planted-external-id}]
    regions:
      eu-west-1:
        functions:
          - name: shop-a
            traffic: {steady: {per_minute: 60}}
            duration: {p50_ms: 33}
            tags: {team: named-tag, owner: planted-tag}
            environment: {STRIPE_KEY: planted-variable}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_unnamed_tag_is_served_or_logged() {
    let simulator = simulator(ACCOUNT).await;
    let dir = tempfile::tempdir().unwrap();
    // What the operator mounts there.
    std::fs::write(dir.path().join("0"), "planted-external-id\n").unwrap();
    let stack = stack(
        "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ntags: [team]\ncollection: {interval: 1m}\n\
         accounts: [{roleArn: 'arn:aws:iam::444455556666:role/nightjar-read', externalIdSecretRef: {name: a, key: b}}]",
    );
    let exporter = Exporter::start_in(dir, &simulator, &stack).await;
    exporter.until_polled().await;
    // A failure is told with a cause: neither may that hold them.
    let refused = stack.replace("role/nightjar-read", "role/nobody");
    exporter.configure(&refused);
    exporter
        .until("the failure is told", async |exporter| {
            !exporter.problems().await.is_empty()
        })
        .await;
    exporter.configure(&stack);
    exporter
        .until("the tag that is named is a label", async |exporter| {
            let metrics = http::text(&exporter.at("/metrics")).await.unwrap();
            metrics.contains("named-tag")
        })
        .await;
    let mut said = vec![(
        "the log",
        std::fs::read_to_string(exporter.dir.path().join("log")).unwrap(),
    )];
    for page in ["/metrics", "/status", "/", "/nothing", "/healthz"] {
        said.push((
            page,
            http::text(&exporter.at(page)).await.unwrap_or_default(),
        ));
    }
    assert!(said[1].1.contains("aws_lambda_invocations_total"));
    for (place, text) in &said {
        for secret in ["planted", "AKIATEST", "STRIPE_KEY"] {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
}
