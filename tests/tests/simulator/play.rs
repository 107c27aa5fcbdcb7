//! A simulator with a clock that stands still, and SDK clients for it.

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use nightjar_tests::simulator::account::{AccountFile, Instant};
use nightjar_tests::simulator::clock::Clock;
use nightjar_tests::simulator::truth::Question;
use nightjar_tests::simulator::{Options, Simulator};

/// The account that all of these tests play in.
pub const ACCOUNT: &str = "111122223333";
/// Its region.
pub const REGION: &str = "eu-west-1";
/// Where the clock stands at the start: a Friday noon, on a whole five minutes.
pub const NOON: &str = "2026-11-20T12:00:00Z";

/// Noon in seconds since 1970.
pub fn noon() -> i64 {
    Instant::parse(NOON).unwrap().ms / 1000
}

/// Starts a simulator at noon; time moves only when it is told to.
pub async fn play(text: &str) -> Simulator {
    let options = Options {
        clock: Clock::new(noon() * 1000, 0.0),
        ..Options::default()
    };
    Simulator::from_text(text, options).await.unwrap()
}

/// Plays resources of one region, written as YAML in flow style.
pub async fn play_region(region: &str) -> Simulator {
    play(&account(region)).await
}

/// An account file with one region.
pub fn account(region: &str) -> String {
    format!("{{seed: 7, accounts: [{{id: '{ACCOUNT}', regions: {{{REGION}: {region}}}}}]}}")
}

/// The demo account.
pub async fn play_shop() -> Simulator {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/accounts/shop.yaml");
    let options = Options {
        clock: Clock::new(noon() * 1000, 0.0),
        ..Options::default()
    };
    let account = AccountFile::load(path.as_ref()).unwrap();
    Simulator::start(&account, options).await.unwrap()
}

/// SDK configuration for the simulator, without retries: a test wants to see the first answer.
pub async fn config(simulator: &Simulator) -> SdkConfig {
    config_with(
        simulator,
        REGION,
        Credentials::new("KEY", "SECRET", None, None, "test"),
    )
    .await
}

/// The same with other credentials or another region.
pub async fn config_with(
    simulator: &Simulator,
    region: &'static str,
    credentials: Credentials,
) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(simulator.url())
        .region(Region::new(region))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await
}

/// A client of `CloudWatch`.
pub async fn cloudwatch(simulator: &Simulator) -> aws_sdk_cloudwatch::Client {
    aws_sdk_cloudwatch::Client::new(&config(simulator).await)
}

/// A query for a metric with one dimension.
pub fn query(
    id: &str,
    namespace: &str,
    metric: &str,
    dimension: (&str, &str),
    period: i32,
    stat: &str,
) -> MetricDataQuery {
    let dimension = Dimension::builder()
        .name(dimension.0)
        .value(dimension.1)
        .build();
    let metric = Metric::builder()
        .namespace(namespace)
        .metric_name(metric)
        .dimensions(dimension)
        .build();
    MetricDataQuery::builder()
        .id(id)
        .metric_stat(
            MetricStat::builder()
                .metric(metric)
                .period(period)
                .stat(stat)
                .build(),
        )
        .build()
}

/// A query for a function's metric at one minute's resolution.
pub fn function_query(id: &str, function: &str, metric: &str, stat: &str) -> MetricDataQuery {
    query(
        id,
        "AWS/Lambda",
        metric,
        ("FunctionName", function),
        60,
        stat,
    )
}

/// Timestamps (seconds) and values of a result.
pub type Points = Vec<(i64, f64)>;

/// Asks for one query's datapoints, newest first as they come.
pub async fn points(
    client: &aws_sdk_cloudwatch::Client,
    query: MetricDataQuery,
    start: i64,
    end: i64,
) -> Points {
    let answer = client
        .get_metric_data()
        .start_time(DateTime::from_secs(start))
        .end_time(DateTime::from_secs(end))
        .metric_data_queries(query)
        .send()
        .await
        .unwrap();
    let result = &answer.metric_data_results()[0];
    result
        .timestamps()
        .iter()
        .map(DateTime::secs)
        .zip(result.values().iter().copied())
        .collect()
}

/// A question about a function's metric.
pub fn question(function: &str, metric: &str, stat: &str, start: i64, end: i64) -> Question {
    Question {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        namespace: "AWS/Lambda".to_owned(),
        metric: metric.to_owned(),
        dimensions: vec![("FunctionName".to_owned(), function.to_owned())],
        stat: stat.to_owned(),
        start,
        end,
    }
}
