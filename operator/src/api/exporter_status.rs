//! The exporter's `/status` document: what an exporter tells the operator and curious people.
//!
//! It holds counts, times and reasons, never a secret, a tag value or a list of resources, so
//! that it is harmless to whoever can reach it. All times are seconds since the Unix epoch.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Reason;

/// The `version` of the document that this build writes.
pub const VERSION: u32 = 1;

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExporterStatus {
    /// The shape of this document, see [`VERSION`].
    pub version: u32,
    /// The version of the exporter.
    pub build: String,
    /// Namespace and name of the stack, as `namespace/name`.
    pub stack: String,
    /// Which of the stack's shards this is, counted from 0.
    pub shard: u32,
    /// The revision of the assignment of shards that is carried out: everything that it does not
    /// grant to this shard has ended and left `/metrics`.
    pub revision: i64,
    /// SHA-256 of the configuration file that is running, in hexadecimal; empty until one is.
    pub config_hash: String,
    /// `metadata.generation` of the stack in that file.
    pub generation: Option<i64>,
    /// Why a newer configuration file is there but not running.
    pub config_error: Option<String>,
    /// Whether `spec.suspend` holds the polling.
    pub suspended: bool,
    /// When this process started.
    pub started: i64,
    /// AWS series on `/metrics` now.
    pub series: u64,
    /// AWS series left out because of `spec.collection.maxSeries`.
    pub series_dropped: u64,
    /// The bill.
    pub spend: Spend,
    /// One entry for each account and region.
    #[serde(deserialize_with = "at_most::<TargetStatus, 2048, _>")]
    pub targets: Vec<TargetStatus>,
}

/// What the watching itself costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spend {
    /// Metrics requested from `GetMetricData` since the process started, as AWS bills them.
    pub metrics_requested: u64,
    /// Dollars that a month of 30 days costs at the present plan.
    pub forecast_usd_per_month: f64,
    /// How often CloudWatch is asked now, in seconds.
    pub interval_seconds: u32,
    /// By how many rungs of the ladder that is slower than the stack asks for, to stay within its budget.
    pub rung: usize,
    /// This exporter's part of `spec.collection.budgetUsdPerMonth`.
    pub budget_usd_per_month: Option<f64>,
    /// If that does not allow any polling, the least part that would.
    pub least_budget_usd_per_month: Option<f64>,
}

/// One account and region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetStatus {
    /// The account's number, once it is known.
    pub account_id: Option<String>,
    /// The role that is assumed there; none for the account of the pod's own credentials.
    pub role_arn: Option<String>,
    /// The region.
    pub region: String,
    /// When discovery last succeeded as a whole.
    pub last_discovery: Option<i64>,
    /// What was found and counted, by service (`lambda`, `dynamodb`, `apigateway`).
    pub services: BTreeMap<String, ServiceStatus>,
    /// What fails now. Empty when all is well.
    #[serde(deserialize_with = "at_most::<Problem, 32, _>")]
    pub problems: Vec<Problem>,
}

/// One service in one account and region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Resources that belong to the stack.
    pub resources: u64,
    /// When the last poll succeeded.
    pub last_poll: Option<i64>,
    /// Every minute before this one is final in the counters.
    pub counted_through: Option<i64>,
}

/// Something that fails now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The word that conditions, Events and metrics share.
    pub reason: Reason,
    /// The API operation, for example `lambda:ListFunctions`: for an `AccessDenied` this is the
    /// IAM action to grant.
    #[serde(default)]
    pub action: String,
    /// What failed, why, and what to do.
    #[serde(default)]
    pub message: String,
    /// When it began.
    #[serde(default)]
    pub since: i64,
}

/// The first so many of a list: 64 accounts in 32 regions, and what can fail in one of them. Who says more may be
/// anybody, and what it takes to remember it is the operator's.
fn at_most<'de, T: Deserialize<'de>, const MOST: usize, D: Deserializer<'de>>(
    list: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() < MOST {
                match items.next_element()? {
                    Some(item) => kept.push(item),
                    None => return Ok(kept),
                }
            }
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }

    list.deserialize_seq(List::<T, MOST>(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_list_without_end_only_the_beginning_is_kept() {
        let problems = vec![r#"{"reason": "Throttled"}"#; 100].join(",");
        let target = format!(r#"{{"region": "eu-west-1", "problems": [{problems}]}}"#);
        let targets = vec![&*target; 5000].join(",");
        let text = format!(r#"{{"targets": [{targets}], "series": 7}}"#);
        let status: ExporterStatus = serde_json::from_str(&text).unwrap();
        assert_eq!(status.targets.len(), 2048);
        assert_eq!(status.targets[0].problems.len(), 32);
        assert_eq!(status.series, 7);
    }

    #[test]
    fn a_problem_that_only_a_newer_exporter_knows_is_still_a_problem() {
        let text = r#"{"version": 9, "stack": "shop/checkout", "mood": "fine", "targets": [
            {"region": "eu-west-1", "problems": [{"reason": "QuotaOfTomorrow", "message": "too much"}]}]}"#;
        let status: ExporterStatus = serde_json::from_str(text).unwrap();
        let problem = &status.targets[0].problems[0];
        assert_eq!(problem.reason, Reason::Unknown);
        assert_eq!(problem.message, "too much");
    }
}
