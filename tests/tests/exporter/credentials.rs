//! Each way of getting credentials, and what happens when they change while the exporter runs.

use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::account::AccountFile;
use nightjar_tests::simulator::faults::{Effect, Fault};

use crate::follow::{Follower, closed_as, next_minute, open, through};
use crate::harness::{Exporter, KEYS, label_values, simulator, stack, value};

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
        region: region.map(str::to_owned),
        ..Fault::always(api, effect)
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

/// Two accounts with functions of the same name; the other one's is much busier.
const TWINS: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    access_keys: [AKIAFIRST, AKIASECOND]
    regions:
      eu-west-1:
        functions: [{name: shop-a, timeout: 10s, traffic: {steady: {per_minute: 60}}, errors: 0.1}]
  - id: "444455556666"
    access_keys: [AKIAOTHER]
    regions:
      eu-west-1:
        functions: [{name: shop-a, timeout: 1m, traffic: {steady: {per_minute: 6000}}, errors: 0.5}]
"#;

/// An exporter of the first of the twins, whose counters were scraped before the first request; and what changes its keys.
async fn of_the_first(simulator: &Simulator, dir: tempfile::TempDir) -> (Exporter, impl Fn(&str)) {
    let keys = dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let folder = keys.to_str().unwrap().to_owned();
    let change = move |id: &str| {
        std::fs::write(keys.join("AWS_SECRET_ACCESS_KEY"), "secret\n").unwrap();
        std::fs::write(keys.join("AWS_ACCESS_KEY_ID"), id).unwrap();
    };
    change("AKIAFIRST");
    let identity = [("NIGHTJAR_CREDENTIALS", folder.as_str())];
    let exporter = closed_as(dir, simulator, &stack(STACK), &identity).await;
    (exporter, change)
}

/// Follows the counters until the simulator's time is that, in seconds since 1970.
async fn follow_until(
    follower: &mut Follower<'_>,
    exporter: &Exporter,
    simulator: &Simulator,
    until: i64,
) {
    while simulator.now_ms() / 1000 < until {
        follower.compare(exporter).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_account_are_told_and_nothing_of_it_is_counted_though_sts_is_away() {
    let simulator = simulator(TWINS).await;
    let (exporter, change) = of_the_first(&simulator, tempfile::tempdir().unwrap()).await;
    let opened = next_minute(&simulator);
    let end = opened + 1500;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    follow_until(&mut follower, &exporter, &simulator, opened + 300).await;
    // Discovery and polls tell it. First nobody says whose the new keys are, then nobody answers, then STS says it.
    for (effect, told) in [
        (
            Some(Effect::Error { status: 503 }),
            "ServerError sts:GetCallerIdentity",
        ),
        (
            Some(Effect::Stall { seconds: 60.0 }),
            "Timeout sts:GetCallerIdentity",
        ),
        (None, "CredentialsInvalid sts:GetCallerIdentity"),
    ] {
        let faults = effect.map(|effect| fault("sts:*", None, effect));
        simulator.set_faults(faults.into_iter().collect());
        change("AKIAOTHER");
        exporter
            .until(told, async |e| {
                follower.compare(e).await;
                let problems = e.problems().await;
                problems == [told, told]
            })
            .await;
        let counted = through(&exporter.scrape().await);
        let now = simulator.now_ms() / 1000;
        follow_until(&mut follower, &exporter, &simulator, now + 180).await;
        assert_eq!(
            through(&exporter.scrape().await),
            counted,
            "nothing is counted meanwhile"
        );
    }
    let problems = exporter.status().await["targets"][0]["problems"].to_string();
    assert!(
        problems.contains("those of account 444455556666 now")
            && problems.contains("of account 111122223333"),
        "{problems}"
    );
    let samples = exporter.scrape().await;
    let failures = "nightjar_exporter_aws_request_failures_total";
    let refused = value(&samples, failures, "reason", "CredentialsInvalid");
    assert!(refused.is_some_and(|count| count > 0.0));
    // What may not be counted is not paid for.
    simulator.reset_meter();
    let now = simulator.now_ms() / 1000;
    follow_until(&mut follower, &exporter, &simulator, now + 120).await;
    let billed: u64 = simulator
        .meter()
        .iter()
        .map(|reading| reading.metrics_billed)
        .sum();
    assert_eq!(billed, 0);
    change("AKIAFIRST");
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 3, "only {moved} counters moved");
    exporter.until_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_same_account_go_on_and_count_each_minute_once() {
    let simulator = simulator(TWINS).await;
    let (exporter, change) = of_the_first(&simulator, tempfile::tempdir().unwrap()).await;
    let opened = next_minute(&simulator);
    let end = opened + 900;
    open(&simulator, opened, end).await;
    let mut follower = Follower::new(&simulator, opened, end);
    follow_until(&mut follower, &exporter, &simulator, opened + 240).await;
    change("AKIASECOND");
    follow_until(&mut follower, &exporter, &simulator, opened + 480).await;
    assert_eq!(exporter.problems().await, Vec::<String>::new());
    // Keys whose account is known need nobody who says it again.
    simulator.set_faults(vec![fault("sts:*", None, Effect::Error { status: 503 })]);
    change("AKIAFIRST");
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 3, "only {moved} counters moved");
    assert_eq!(exporter.problems().await, Vec::<String>::new());
}
