//! `spec.objectives[]`: how well something shall work, and over how many days.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service-level objective: a share of requests that shall succeed, or be quick, over some days.
/// It becomes series of the error ratio and of the budget that is left, and alerts that compare how
/// fast the budget burns over a long and a short time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.latencyBelow) && has(self.of.stack))")
    .message("latencyBelow: a whole stack has no latency, name a function, an API or a table"))]
pub struct Objective {
    /// Its name, unique in the stack: the label `objective` of its series and alerts.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("begin with a letter, use lower-case letters, digits and hyphens"))]
    pub name: String,

    /// The share that shall be good, in percent, for example `"99.9"`. Less than 100: an objective of
    /// 100 has no budget, and each failure would be an alert.
    ///
    /// Alerts judge whether the budget burns 14.4, 6, 3 or 1 times too fast. The budget of a low target cannot
    /// burn so fast, even if all requests are bad: 14.4 times are judged from 93.06 on, 6 times from 83.34 on and
    /// 3 times from 66.67 on. Below 83.34 there is no `ObjectiveBurnsFast`, which is the one that pages.
    #[schemars(length(min = 1, max = 9))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,2}([.][0-9]{1,6})?$') && double(self) >= 1.0")
        .message("not a share in percent: write a decimal string from \"1\" to \"99.999999\", for example \"99.9\""))]
    pub target: String,

    /// The days over which it shall hold, from `7d` to `90d`. Default: 30d.
    #[serde(default = "thirty_days")]
    #[schemars(length(min = 2, max = 3))]
    #[x_kube(validation = Rule::new("self.matches('^([7-9]|[1-8][0-9]|90)d$')")
        .message("not a window: write a number of days from 7d to 90d, for example 30d"))]
    pub window: String,

    /// What shall be good.
    pub of: Indicator,

    /// Makes it an objective of latency: the share of the requests that take no longer than this. Without it,
    /// it is one of availability: the share of the requests that do not fail. For example `500ms` or `2s`.
    ///
    /// With `spec.latency.histograms` each request counts by itself, by the greatest bound that is not above
    /// this: name it among the bounds. Without, or where CloudWatch has no such counts, all requests of a poll
    /// are good while the published quantile that goes with the target is below it; the condition `SpecValid`
    /// and the alerts say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 8))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(ms|s)$')")
        .message("not a latency: write for example 500ms or 2s"))]
    pub latency_below: Option<String>,
}

fn thirty_days() -> String {
    "30d".to_owned()
}

/// What an objective is about: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.function) ? 1 : 0) + (has(self.api) ? 1 : 0) + (has(self.table) ? 1 : 0) + (has(self.stack) ? 1 : 0) == 1")
    .message("write exactly one of function, api, table, stack"))]
// Who changes it means all of it: beside another manager's `function`, a `table` would be one too many.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Indicator {
    /// A Lambda function's name. A run that fails and a request that is throttled are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub function: Option<String>,

    /// An API, or one stage of it. An answer with 5xx is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiIndicator>,

    /// A DynamoDB table's name. A request that fails inside DynamoDB or is throttled is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub table: Option<String>,

    /// The whole stack: the runs of all its functions and the requests to all its APIs together.
    /// Write `{}`. Only for availability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<WholeStack>,
}

/// An API, or one stage of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiIndicator {
    /// The API's name.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The stage. Default: all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub stage: Option<String>,
}

/// The whole stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WholeStack {}
