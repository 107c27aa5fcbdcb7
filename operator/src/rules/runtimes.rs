//! When AWS ends the support of each Lambda runtime: dates as data.

use serde::Deserialize;
use std::sync::LazyLock;

/// A runtime and the day on which AWS deprecates it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    /// The day, seconds since the epoch at midnight UTC.
    #[serde(deserialize_with = "midnight")]
    pub day: i64,
    /// The runtimes' identifiers.
    pub runtimes: Vec<String>,
}

fn midnight<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    format!("{text}T00:00:00Z")
        .parse::<k8s_openapi::jiff::Timestamp>()
        .map(k8s_openapi::jiff::Timestamp::as_second)
        .map_err(serde::de::Error::custom)
}

static DEPRECATIONS: LazyLock<Vec<Deprecation>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("../services/lambda/runtimes.yaml"))
        .expect("the tests have read the file")
});

/// All that are known, by day.
pub fn deprecations() -> &'static [Deprecation] {
    &DEPRECATIONS
}

/// The functions whose runtime's support has ended, or ends within so many seconds.
pub fn expression(selector: &str, within_seconds: i64) -> String {
    let parts: Vec<String> = deprecations()
        .iter()
        .map(|deprecation| {
            let runtimes: Vec<String> = deprecation
                .runtimes
                .iter()
                .map(|runtime| runtime.replace('.', "\\\\."))
                .collect();
            format!(
                "(aws_lambda_function_info{{{selector},runtime=~\"{}\"}} and on () (vector(time()) >= {}))",
                runtimes.join("|"),
                deprecation.day - within_seconds
            )
        })
        .collect();
    parts.join(" or ")
}
