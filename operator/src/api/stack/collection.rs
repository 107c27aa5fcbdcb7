//! How often AWS is asked, and what that may cost.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::Duration;

/// How AWS is polled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// How often CloudWatch is asked. Each time all minutes since the last time are fetched, so
    /// that a longer interval costs less and loses nothing but freshness. From 1m to 20m.
    /// Default: what the operator has for all stacks (the chart's `collection.interval`), else 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('20m')")
        .message("not an interval: write a duration from 1m to 20m, for example 5m"))]
    pub interval: Option<Duration>,

    /// How often the stack's resources are looked up. From 1m to 1h, default 5m.
    #[serde(default = "default_discovery_interval")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('1h')")
        .message("not an interval: write a duration from 1m to 1h, for example 5m"))]
    pub discovery_interval: Duration,

    /// The most that CloudWatch may charge for watching in any 30 days, in US dollars, for example
    /// `"25"`. When polling costs more, the interval is stretched, along 1m, 2m, 5m, 10m, 20m, 30m and
    /// 1h, to the fastest that the budget allows; nothing is lost by that but freshness. A budget that does
    /// not even allow polls once an hour stops all polling, and the stack says what the least one is. Requests
    /// other than for metrics, which are nearly free, are not counted. Default: what the operator has for all
    /// stacks (the chart's `collection.budgetUsdPerMonth`), else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,7}([.][0-9]{1,2})?$') && double(self) > 0.0")
        .message("not a budget: write US dollars above 0 as a string, with two decimals at most, for example \"25\""))]
    pub budget_usd_per_month: Option<String>,

    /// The most AWS series that one exporter publishes. What is more is left out, in a stable
    /// order, and counted by `nightjar_exporter_series_dropped`. Default 100000.
    #[serde(default = "default_max_series")]
    #[schemars(range(min = 100, max = 10_000_000))]
    pub max_series: i32,
}

impl Collection {
    /// How often CloudWatch is asked.
    pub fn interval(&self) -> Duration {
        self.interval.unwrap_or(Duration::from_secs(300))
    }

    /// What may be spent in 30 days, in dollars.
    pub fn budget(&self) -> Option<f64> {
        self.budget_usd_per_month.as_deref()?.parse().ok()
    }
}

/// Whether it is an amount of dollars as `budgetUsdPerMonth` has it.
pub fn is_budget(text: &str) -> bool {
    let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    digits(whole, 7) && digits(cents, 2) && text.parse().is_ok_and(|dollars: f64| dollars > 0.0)
}

fn default_discovery_interval() -> Duration {
    Duration::from_secs(300)
}

fn default_max_series() -> i32 {
    100_000
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            interval: None,
            budget_usd_per_month: None,
            discovery_interval: default_discovery_interval(),
            max_series: default_max_series(),
        }
    }
}
