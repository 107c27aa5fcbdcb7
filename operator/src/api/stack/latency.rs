//! Which quantiles, maxima and histograms of durations are published.

use std::collections::BTreeSet;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::Bound;

/// How durations are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The quantiles that are published as gauges, as decimal fractions. CloudWatch bills five
    /// statistics of one metric as one, and two of them are the sum and the count: a fourth
    /// quantile doubles the price of each duration metric. Default: 0.5, 0.9 and 0.99.
    #[serde(default = "default_quantiles")]
    // Not a set: of that, server-side apply would keep the defaults beside what is written later.
    #[schemars(length(max = 8), inner(length(max = 8)), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, other == one))").message("one is there twice: remove it"))]
    #[x_kube(validation = Rule::new("self.all(q, q.matches('^0\\\\.[0-9]{1,4}$') && double(q) > 0.0)")
        .message("not a quantile: write decimal fractions between 0 and 1 as strings, for example \"0.99\""))]
    pub quantiles: Vec<String>,

    /// Whether the longest of all durations is published too, as `..._max_seconds`. It is one more
    /// statistic: with three quantiles or more it doubles the price of each duration metric, with
    /// two it costs nothing. Default: false.
    #[serde(default)]
    pub maxima: bool,

    /// Publishes all durations as histograms too, as `..._distribution_seconds` with `_bucket`, `_sum` and
    /// `_count`: of them any quantile over any time and any number of functions can be computed, and
    /// how many requests were fast enough. `{}` takes the default bounds. Each bound is one more
    /// statistic, and CloudWatch bills each five statistics of a metric as one: with three quantiles
    /// and the default ten bounds each duration metric costs three times as much. CloudWatch
    /// interpolates, so a bucket may hold fractions. Where CloudWatch has no such counts, a condition
    /// says so and the histogram is absent. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Histograms>,
}

/// Which histograms of durations are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[serde(rename_all = "camelCase")]
pub struct Histograms {
    /// The upper bounds of the buckets in seconds, 900 at most. When they change, all buckets begin
    /// again at 0. Default: 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 and 30.
    #[serde(default = "default_bounds")]
    // Not a set: of that, server-side apply would keep the defaults beside what is written later.
    #[schemars(length(min = 1, max = 20), inner(length(max = 10)), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(one, self.exists_one(other, other == one))").message("one is there twice: remove it"))]
    #[x_kube(validation = Rule::new("self.all(b, b.matches('^[0-9]{1,3}([.][0-9]{1,6})?$') && double(b) > 0.0 && double(b) <= 900.0)")
        .message("not a bound: write seconds above 0 and up to 900 as strings, for example \"0.25\""))]
    pub bounds: Vec<String>,
}

fn default_quantiles() -> Vec<String> {
    ["0.5", "0.9", "0.99"].map(str::to_owned).to_vec()
}

fn default_bounds() -> Vec<String> {
    let bounds = [
        "0.005", "0.025", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30",
    ];
    bounds.map(str::to_owned).to_vec()
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            quantiles: default_quantiles(),
            maxima: false,
            histograms: None,
        }
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self {
            bounds: default_bounds(),
        }
    }
}

impl Latency {
    /// The bounds of the histograms that are wanted, growing; none if none are.
    pub fn bounds(&self) -> Vec<Bound> {
        let bounds = self.histograms.iter().flat_map(|wanted| &wanted.bounds);
        let bounds: BTreeSet<Bound> = bounds.filter_map(|bound| Bound::parse(bound)).collect();
        bounds.into_iter().collect()
    }
}
