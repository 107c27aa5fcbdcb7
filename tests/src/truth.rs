//! What a counter must hold: the translation from Prometheus back to CloudWatch, written anew and
//! not taken from the product's tables, so that a mistake there shows.

mod tables;

use serde::Deserialize;

use crate::http;
use crate::samples::Series;
use tables::{NEVER_ABSENT, by_label, counters};

/// A question to the simulator that corresponds to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The service's label on the exporter's own metrics.
    pub service: &'static str,
    namespace: &'static str,
    metric: &'static str,
    stat: String,
    /// CloudWatch's units in one of Prometheus'.
    per_unit: u32,
    dimensions: Vec<(&'static str, String)>,
    /// Seconds between two datapoints.
    period: i64,
}

/// What the simulator says.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    value: Option<f64>,
    /// Whether all of the window is final by now.
    pub settled: bool,
}

/// The source of a counter; none for series that are not counters.
pub fn source(series: &Series) -> Option<Source> {
    let name = series.name.as_str();
    let has = |label: &&str| {
        let (name, value) = label.split_once('=').unwrap_or_default();
        series.label(name) == value
    };
    let plain = counters().find_map(|(family, metric, per_unit, subject)| {
        let stat = match name.strip_prefix(family)? {
            "" if name.ends_with("_total") => ("Sum", *per_unit),
            "_sum" => ("Sum", *per_unit),
            "_count" => ("SampleCount", 1),
            _ => return None,
        };
        Some((*metric, stat, *subject))
    });
    let (metric, (stat, per_unit), subject) = plain.or_else(|| {
        let mut families = by_label();
        let (_, _, metric, subject) =
            families.find(|(family, labels, ..)| *family == name && labels.iter().all(has))?;
        Some((*metric, ("Sum", 1), *subject))
    })?;
    let rest = series.label("api_type") == "rest";
    let dimensions = subject
        .dimensions
        .iter()
        .filter(|(dimension, _)| match *dimension {
            "ApiName" => rest,
            "ApiId" => !rest,
            _ => true,
        });
    let dimensions =
        dimensions.map(|(dimension, label)| (*dimension, series.label(label).to_owned()));
    Some(Source {
        service: subject.service,
        namespace: subject.namespace,
        metric,
        stat: stat.to_owned(),
        per_unit,
        dimensions: dimensions.filter(|(_, value)| !value.is_empty()).collect(),
        period: subject.period,
    })
}

/// The source of a histogram's bucket: CloudWatch's trimmed count.
pub fn source_of_bucket(series: &Series) -> Option<Source> {
    let family = series.name.strip_suffix("_distribution_seconds_bucket")?;
    let summary = Series {
        name: format!("{family}_seconds_count"),
        labels: series.labels.clone(),
    };
    let count = source(&summary)?;
    let le = series.label("le");
    if le == "+Inf" {
        return Some(count);
    }
    let milliseconds = le.parse::<f64>().ok()? * 1000.0;
    Some(Source {
        stat: format!("TC(:{milliseconds})"),
        ..count
    })
}

impl Source {
    fn is_never_absent(&self) -> bool {
        let index = |(name, _): &(&str, String)| *name == "GlobalSecondaryIndexName";
        NEVER_ABSENT.contains(&self.metric) && !self.dimensions.iter().any(index)
    }

    /// The same in another statistic.
    #[must_use]
    pub fn in_statistic(self, stat: &str) -> Self {
        Self {
            stat: stat.to_owned(),
            ..self
        }
    }

    /// What AWS finally counts in `[start, end)`, whole minutes in seconds since the Unix epoch, in
    /// Prometheus' unit.
    pub async fn total(
        &self,
        simulator: &str,
        series: &Series,
        start: i64,
        end: i64,
    ) -> anyhow::Result<Total> {
        if start >= end {
            return Ok(Total {
                value: 0.0,
                settled: true,
            });
        }
        // A datapoint holds all of its minutes, those before the start too.
        let start = start.div_euclid(self.period) * self.period;
        let (start, end) = (start.to_string(), end.to_string());
        let mut pairs = vec![
            ("account".to_owned(), series.label("account_id").to_owned()),
            ("region".to_owned(), series.label("region").to_owned()),
            ("namespace".to_owned(), self.namespace.to_owned()),
            ("metric".to_owned(), self.metric.to_owned()),
            ("stat".to_owned(), self.stat.clone()),
            ("start".to_owned(), start),
            ("end".to_owned(), end),
        ];
        pairs.extend(
            self.dimensions
                .iter()
                .map(|(name, value)| (format!("dim.{name}"), value.clone())),
        );
        let query = http::query(
            pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let truth: Truth = match http::json(&format!("{simulator}/truth?{query}")).await {
            Ok(truth) => truth,
            // A table that is never throttled has no such metric at AWS, and nothing to count.
            Err(error)
                if error.to_string().contains("there is no series") && !self.is_never_absent() =>
            {
                Truth {
                    value: None,
                    settled: true,
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Total {
            value: truth.value.unwrap_or(0.0) / f64::from(self.per_unit),
            settled: truth.settled,
        })
    }
}

/// What AWS finally counts.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    /// In Prometheus' unit.
    pub value: f64,
    /// Whether all of it is final by now.
    pub settled: bool,
}

/// Whether two totals are the same: exactly for counts, within a microsecond for each of the
/// minutes for durations. The rest is what a 64-bit float cannot hold.
pub fn same(series: &Series, a: f64, b: f64, minutes: i64) -> bool {
    let floats = (a.abs() + b.abs()) * f64::EPSILON * 4.0;
    let bound = if series.name.ends_with("_seconds_sum") {
        #[expect(clippy::cast_precision_loss, reason = "a number of minutes is small")]
        let minutes = minutes as f64;
        1e-6 * minutes.max(1.0)
    } else {
        1e-9
    };
    (a - b).abs() <= bound + floats
}
