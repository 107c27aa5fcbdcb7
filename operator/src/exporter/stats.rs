//! The statistics that CloudWatch is asked for, as it spells them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::buckets::Buckets;
use crate::api::Bound;
use crate::api::stack::Latency;
use crate::services::table::{Metric, MetricKind};

/// A quantile in ten-thousandths. What is kept of one is kept under it, and never by its place among the stack's, which
/// may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quantile(u16);

impl Quantile {
    /// Reads a decimal fraction below 1, for example `0.99`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0.")?;
        let known = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        known.then(|| format!("{digits:0<4}").parse().map(Self).ok())?
    }

    /// `0.99` is CloudWatch's `p99`, `0.999` its `p99.9`.
    fn percentile(self) -> String {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        let text = format!("p{whole}.{hundredths:02}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// A statistic of CloudWatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// `Sum`
    Sum,
    /// `SampleCount`
    SampleCount,
    /// `Maximum`
    Maximum,
    /// `Average`
    Average,
    /// `p50`, `p99.9` ...
    Quantile(Quantile),
    /// `TC(:100)` ...: how many values are no greater.
    Below(Bound),
}

impl Stat {
    /// Whether the values of minutes add up to that of the hour.
    pub const fn adds_up(&self) -> bool {
        match self {
            Self::Sum | Self::SampleCount | Self::Below(_) => true,
            Self::Maximum | Self::Average | Self::Quantile(_) => false,
        }
    }

    /// CloudWatch's name.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Sum => "Sum".into(),
            Self::SampleCount => "SampleCount".into(),
            Self::Maximum => "Maximum".into(),
            Self::Average => "Average".into(),
            Self::Quantile(quantile) => quantile.percentile().into(),
            Self::Below(bound) => trimmed_count(*bound).into(),
        }
    }
}

/// CloudWatch's count of the values up to a bound, which it wants in milliseconds.
fn trimmed_count(bound: Bound) -> String {
    let micros = bound.micros();
    let text = format!("{}.{:03}", micros / 1000, micros % 1000);
    format!("TC(:{})", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The statistics that a stack wants of a row.
pub fn statistics(metric: &Metric, latency: &Latency) -> Vec<Stat> {
    let mut stats = without_buckets(metric, latency);
    if metric.histogram.is_some() {
        stats.extend(latency.bounds().into_iter().map(Stat::Below));
    }
    stats
}

/// The statistics that are asked for of a row with these buckets.
pub fn with_buckets(metric: &Metric, latency: &Latency, buckets: &Buckets) -> Vec<Stat> {
    let mut stats = without_buckets(metric, latency);
    stats.extend(buckets.bounds().map(Stat::Below));
    stats
}

fn without_buckets(metric: &Metric, latency: &Latency) -> Vec<Stat> {
    match metric.kind {
        MetricKind::Counter => vec![Stat::Sum],
        MetricKind::Maximum => vec![Stat::Maximum],
        MetricKind::Average => vec![Stat::Average],
        MetricKind::Distribution => {
            let quantiles = latency.quantiles.iter().filter_map(|q| Quantile::parse(q));
            let maximum = (latency.maxima && metric.maximum.is_some()).then_some(Stat::Maximum);
            [Stat::Sum, Stat::SampleCount]
                .into_iter()
                .chain(quantiles.map(Stat::Quantile))
                .chain(maximum)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::Histograms;
    use crate::services::{ServiceId, lambda};

    fn duration() -> &'static Metric {
        let shapes = ServiceId::Lambda.service().shapes;
        let mut rows = shapes.iter().flat_map(|shape| shape.metrics);
        rows.find(|metric| metric.cloudwatch == "Duration").unwrap()
    }

    #[test]
    fn quantiles_are_spelled_as_cloudwatch_spells_them() {
        let spelled = ["0.5", "0.9", "0.99", "0.999", "0.05", "0.9990", "0.0005"]
            .map(|q| Quantile::parse(q).unwrap().percentile());
        assert_eq!(
            spelled,
            ["p50", "p90", "p99", "p99.9", "p5", "p99.9", "p0.05"]
        );
        assert!(
            ["1", "0.", "0.99999", "0.x", ".5"]
                .iter()
                .all(|q| Quantile::parse(q).is_none())
        );
    }

    #[test]
    fn cloudwatch_gets_bounds_in_milliseconds() {
        let names = ["0.0005", "0.025", "1", "2.50", "900"].map(|bound| {
            Stat::Below(Bound::parse(bound).unwrap())
                .name()
                .into_owned()
        });
        assert_eq!(
            names,
            [
                "TC(:0.5)",
                "TC(:25)",
                "TC(:1000)",
                "TC(:2500)",
                "TC(:900000)"
            ]
        );
    }

    #[test]
    fn the_maximum_of_a_distribution_is_a_sixth_statistic_on_request() {
        let mut latency = Latency::default();
        assert_eq!(statistics(duration(), &latency).len(), 5);
        latency.maxima = true;
        assert_eq!(
            statistics(duration(), &latency).last(),
            Some(&Stat::Maximum)
        );
        assert_eq!(statistics(duration(), &latency).len(), 6);
    }

    #[test]
    fn buckets_are_asked_for_on_request_and_only_where_there_is_a_family_for_them() {
        let mut latency = Latency::default();
        assert!(latency.bounds().is_empty());
        latency.histograms = Some(Histograms::default());
        assert_eq!(statistics(duration(), &latency).len(), 15);
        let counter = lambda::SERVICE.shapes[0].metrics.iter();
        let mut counter = counter.filter(|metric| metric.kind == MetricKind::Counter);
        assert_eq!(statistics(counter.next().unwrap(), &latency), [Stat::Sum]);
    }
}
