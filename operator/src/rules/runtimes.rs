//! When AWS ends the support of each Lambda runtime: dates as data.

use serde::Deserialize;
use std::sync::LazyLock;

/// What is known of runtimes' ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deprecations {
    /// Runtimes that ended long ago.
    ended: Vec<String>,
    /// The others, by day.
    ending: Vec<Deprecation>,
}

/// Runtimes and the day on which AWS deprecates them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deprecation {
    /// The day, seconds since the epoch at midnight UTC.
    #[serde(deserialize_with = "midnight")]
    day: i64,
    /// The runtimes' identifiers.
    runtimes: Vec<String>,
}

fn midnight<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    format!("{text}T00:00:00Z")
        .parse::<k8s_openapi::jiff::Timestamp>()
        .map(k8s_openapi::jiff::Timestamp::as_second)
        .map_err(serde::de::Error::custom)
}

static DEPRECATIONS: LazyLock<Deprecations> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("../services/lambda/runtimes.yaml"))
        .expect("the tests have read the file")
});

/// The functions that run on one of these.
fn functions(selector: &str, runtimes: &[String]) -> String {
    let runtimes = runtimes.join("|").replace('.', "\\\\.");
    format!("aws_lambda_function_info{{{selector},runtime=~\"{runtimes}\"}}")
}

/// The functions whose runtime's support has ended.
pub fn ended(selector: &str) -> String {
    let mut parts = vec![functions(selector, &DEPRECATIONS.ended)];
    parts.extend(DEPRECATIONS.ending.iter().map(|deprecation| {
        let functions = functions(selector, &deprecation.runtimes);
        format!(
            "{functions} and on () vector(time()) >= {}",
            deprecation.day
        )
    }));
    parts.join(" or ")
}

/// The functions whose runtime's support ends within so many seconds.
pub fn ending(selector: &str, within_seconds: i64) -> String {
    let parts = DEPRECATIONS.ending.iter().map(|deprecation| {
        let functions = functions(selector, &deprecation.runtimes);
        let day = deprecation.day;
        format!(
            "{functions} and on () vector(time()) >= {} < {day}",
            day - within_seconds
        )
    });
    parts.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_in_order_and_each_runtime_has_one() {
        assert!(DEPRECATIONS.ending.is_sorted_by_key(|one| one.day));
        let ending = DEPRECATIONS.ending.iter().flat_map(|one| &one.runtimes);
        let mut all: Vec<&String> = DEPRECATIONS.ended.iter().chain(ending).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
