//! Each way of getting credentials, and what happens when they change while the exporter runs.

use nightjar_tests::simulator::account::AccountFile;
use nightjar_tests::simulator::faults::{Effect, Fault};

use crate::harness::{Exporter, KEYS, label_values, simulator, stack};

const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    access_keys: [AKIAFIRST]
    regions:
      us-east-1: {}
      eu-west-1:
        functions: [{name: shop-a, traffic: {steady: {per_minute: 60}}}]
  - id: "444455556666"
    access_keys: [AKIAOTHER]
    roles: [{name: nightjar-read, token: a-pods-own-token}]
    regions:
      eu-west-1:
        functions: [{name: shop-b, traffic: {steady: {per_minute: 60}}}]
"#;

const STACK: &str = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m, discoveryInterval: 1m}";

/// The functions that are published.
async fn functions(exporter: &Exporter) -> Vec<String> {
    let samples = exporter.scrape().await;
    label_values(&samples, "aws_lambda_invocations_total", "function_name")
}

async fn until_published(exporter: &Exporter, function: &str) {
    exporter
        .until("the account of the credentials is published", async |e| {
            functions(e).await == [function]
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_is_exchanged_for_its_role() {
    let simulator = simulator(ACCOUNT).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "a-pods-own-token").unwrap();
    let role = "arn:aws:iam::444455556666:role/nightjar-read";
    let identity = [
        ("AWS_ROLE_ARN", role),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let exporter = Exporter::start_as(dir, &simulator, &stack(STACK), &identity).await;
    until_published(&exporter, "shop-b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_identity_comes_from_the_nodes_agent_and_its_token_may_be_renewed() {
    let simulator = simulator(ACCOUNT).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "not-valid-yet").unwrap();
    let agent = format!("{}/v1/credentials", simulator.url());
    let identity = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            token.to_str().unwrap(),
        ),
    ];
    let exporter = Exporter::start_as(dir, &simulator, &stack(STACK), &identity).await;
    exporter
        .until("the refusal is told", async |e| {
            e.problems()
                .await
                .iter()
                .any(|p| p.starts_with("CredentialsInvalid"))
        })
        .await;
    std::fs::write(&token, "a-pods-own-token").unwrap();
    until_published(&exporter, "shop-b").await;
}

/// Runs with keys in files that `write` writes, and rotates them.
async fn rotated(variable: &str, write: impl Fn(&std::path::Path, &str)) {
    let simulator = simulator(ACCOUNT).await;
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    write(&keys, "AKIAFIRST");
    let at = if variable == "NIGHTJAR_CREDENTIALS" {
        keys.clone()
    } else {
        keys.join("credentials")
    };
    let identity = [(variable, at.to_str().unwrap())];
    let exporter = Exporter::start_as(dir, &simulator, &stack(STACK), &identity).await;
    until_published(&exporter, "shop-a").await;
    let rotated = AccountFile::parse("rotated", &ACCOUNT.replace("AKIAFIRST", "AKIASECOND"));
    simulator.replace_account(&rotated.unwrap()).unwrap();
    exporter
        .until("the old key is refused", async |e| {
            e.problems()
                .await
                .iter()
                .any(|p| p.starts_with("CredentialsInvalid"))
        })
        .await;
    assert_eq!(
        functions(&exporter).await,
        ["shop-a"],
        "last good data stay"
    );
    write(&keys, "AKIASECOND");
    exporter
        .until("the new key is taken over", async |e| {
            e.problems().await.is_empty()
        })
        .await;
    assert_eq!(functions(&exporter).await, ["shop-a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_mounted_secret_are_rotated_without_a_restart() {
    rotated("NIGHTJAR_CREDENTIALS", |keys, id| {
        std::fs::write(keys.join("AWS_ACCESS_KEY_ID"), id).unwrap();
        std::fs::write(keys.join("AWS_SECRET_ACCESS_KEY"), "secret\n").unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_shared_file_are_rotated_without_a_restart() {
    rotated("AWS_SHARED_CREDENTIALS_FILE", |keys, id| {
        let profile =
            format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret\n");
        std::fs::write(keys.join("credentials"), profile).unwrap();
    })
    .await;
}

fn fault(api: &str, region: Option<&str>, effect: Effect) -> Fault {
    Fault {
        api: api.to_owned(),
        account: None,
        region: region.map(str::to_owned),
        calls: None,
        probability: None,
        times: None,
        effect,
    }
}

/// An address at which somebody listens and never says anything.
fn silence() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_or_an_endpoint_that_speaks_it_serves_and_says_why() {
    let simulator = simulator(ACCOUNT).await;
    let (_deaf, address) = silence();
    let (plain, secure) = (format!("http://{address}"), format!("https://{address}"));
    let nothing = [
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("NIGHTJAR_AWS_TIMEOUT", "1m"),
    ];
    let none = [&nothing[..], &[("AWS_EC2_METADATA_DISABLED", "true")]].concat();
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", plain.as_str());
    let hanging = [&nothing[..], &[metadata]].concat();
    let endpoint = ("AWS_ENDPOINT_URL", secure.as_str());
    let silent = [&KEYS[..], &nothing[..], &[endpoint]].concat();
    let tells = async |identity: &[(&str, &str)], problem: &str| {
        let dir = tempfile::tempdir().unwrap();
        let stack = stack(STACK);
        // It is served at once: starting waits for no more than that.
        let exporter = Exporter::start_as(dir, &simulator, &stack, identity).await;
        exporter.until_told(problem).await;
        exporter.scrape().await;
    };
    tokio::join!(
        tells(&none, "CredentialsInvalid"),
        tells(&hanging, "CredentialsInvalid"),
        tells(&silent, "Timeout sts:GetCallerIdentity"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_still_valid_outlive_an_outage_of_sts_and_a_wrong_token_is_replaced() {
    let simulator = simulator(ACCOUNT).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "somebody else's token").unwrap();
    let role = "arn:aws:iam::444455556666:role/nightjar-read";
    let identity = [
        ("AWS_ROLE_ARN", role),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let exporter = Exporter::start_as(dir, &simulator, &stack(STACK), &identity).await;
    exporter.until_told("CredentialsInvalid").await;
    std::fs::write(&token, "a-pods-own-token").unwrap();
    until_published(&exporter, "shop-b").await;
    exporter.until_polled().await;
    simulator.set_faults(vec![fault("sts:*", None, Effect::Error { status: 503 })]);
    let since = simulator.now_ms() / 1000;
    exporter
        .until("it polls without STS", async |e| {
            let lambda = e.status().await["targets"][0]["services"]["lambda"].clone();
            lambda["lastPoll"].as_i64().unwrap() > since + 180
        })
        .await;
    assert_eq!(exporter.problems().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fails_is_told_and_asked_again() {
    let simulator = simulator(ACCOUNT).await;
    simulator.set_faults(vec![fault("agent:*", None, Effect::Error { status: 500 })]);
    let dir = tempfile::tempdir().unwrap();
    let agent = format!("{}/v1/credentials", simulator.url());
    let identity = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a-pods-own-token"),
    ];
    let exporter = Exporter::start_as(dir, &simulator, &stack(STACK), &identity).await;
    exporter.until_told("CredentialsInvalid").await;
    simulator.set_faults(Vec::new());
    until_published(&exporter, "shop-b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_the_account_did_not_enable_is_told_and_the_other_one_goes_on() {
    let simulator = simulator(ACCOUNT).await;
    let opt_in = Effect::Refuse {
        status: 403,
        code: "OptInRequired".to_owned(),
    };
    simulator.set_faults(vec![fault("*", Some("us-east-1"), opt_in)]);
    let both = stack(&STACK.replace("[eu-west-1]", "[eu-west-1, us-east-1]"));
    let dir = tempfile::tempdir().unwrap();
    let first = [("AWS_ACCESS_KEY_ID", "AKIAFIRST"), KEYS[1]];
    let exporter = Exporter::start_as(dir, &simulator, &both, &first).await;
    exporter.until_told("CredentialsInvalid").await;
    until_published(&exporter, "shop-a").await;
    simulator.set_faults(Vec::new());
    exporter.until_well().await;
}
