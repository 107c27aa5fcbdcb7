//! What the metric tables are written in: a service's shapes, their rows, and the families that these feed.

/// What is known about a service at compile time.
#[derive(Debug)]
pub struct Service {
    /// The name in `spec.services`, in labels and in `/status`.
    pub name: &'static str,
    /// The word that the tagging API filters by.
    pub tagging_types: &'static [&'static str],
    /// IAM actions that its discovery needs.
    pub iam_actions: &'static [&'static str],
    /// Its dimension sets, each with the metrics published under it.
    pub shapes: &'static [&'static Shape],
    /// Families of its `_info` series and settings.
    pub facts: &'static [&'static Family],
    /// What `spec.services.<name>.optional` can name.
    pub optional: &'static [OptionalSet],
}

/// Metrics that are watched only if the stack wants them.
#[derive(Debug)]
pub struct OptionalSet {
    /// Its name in `spec.services.<name>.optional`.
    pub name: &'static str,
    /// Whether it is watched when the stack says nothing.
    pub default: bool,
    /// What it brings and what it costs.
    pub what: &'static str,
}

/// A set of CloudWatch dimensions, and the metrics that exist under it.
#[derive(Debug)]
pub struct Shape {
    /// Unique among all shapes.
    pub name: &'static str,
    /// The CloudWatch namespace.
    pub namespace: &'static str,
    /// CloudWatch's names of the dimensions, in the order of a subject's values.
    pub dimensions: &'static [&'static str],
    /// The Prometheus labels of a subject.
    pub labels: &'static [&'static str],
    /// The optional set that the whole shape belongs to.
    pub optional: Option<&'static str>,
    /// Whether its subjects are found because CloudWatch lists them.
    pub listed: bool,
    /// What its features stand for, for the reference.
    pub features: &'static [(Features, &'static str)],
    /// The metric rows.
    pub metrics: &'static [Metric],
}

impl Shape {
    /// The metric without which most others of the shape have no datapoints.
    pub fn pulse(&self) -> Option<&'static str> {
        self.metrics.iter().find_map(|metric| metric.within)
    }
}

/// A row of a metric table. Made by [`Metric::counter`] and its siblings.
#[derive(Debug)]
pub struct Metric {
    /// CloudWatch's name.
    pub cloudwatch: &'static str,
    /// The Prometheus family that it feeds.
    pub family: &'static Family,
    /// Labels that tell this row from the family's others.
    pub labels: &'static [(&'static str, &'static str)],
    /// What is asked for and what becomes of it.
    pub kind: MetricKind,
    /// CloudWatch's unit.
    pub unit: Unit,
    /// What a minute without a datapoint means.
    pub missing: Missing,
    /// What a subject has to have for the metric to exist at all.
    pub needs: Features,
    /// CloudWatch has a datapoint of it every so many minutes.
    pub period_minutes: u8,
    /// Whether the same metric without dimensions, that of the whole region, tells when it is zero.
    pub gate: Gate,
    /// The subject's other metric without which this one has no datapoints: what did not run had no duration.
    pub within: Option<&'static str>,
    /// Of a distribution, the gauge of its greatest value, for stacks with `spec.latency.maxima`.
    pub maximum: Option<&'static Family>,
    /// Of a distribution, the histogram of its values, for stacks with `spec.latency.histograms`.
    pub histogram: Option<&'static Family>,
}

impl Metric {
    /// A row that counts: `Sum`; a missing datapoint is zero.
    pub const fn counter(cloudwatch: &'static str, family: &'static Family) -> Self {
        Self {
            cloudwatch,
            family,
            labels: &[],
            kind: MetricKind::Counter,
            unit: Unit::Count,
            missing: Missing::Zero,
            needs: Features::NONE,
            period_minutes: 1,
            gate: Gate::None,
            within: None,
            maximum: None,
            histogram: None,
        }
    }

    /// A row of durations: `Sum`, `SampleCount`, quantiles, and the maximum and the histogram where they are wanted.
    pub const fn distribution(
        cloudwatch: &'static str,
        family: &'static Family,
        maximum: &'static Family,
        histogram: &'static Family,
    ) -> Self {
        Self {
            kind: MetricKind::Distribution,
            unit: Unit::Milliseconds,
            maximum: Some(maximum),
            histogram: Some(histogram),
            ..Self::counter(cloudwatch, family)
        }
    }

    /// A row that goes up and down: `Maximum`; without a datapoint it is absent.
    pub const fn maximum(cloudwatch: &'static str, family: &'static Family) -> Self {
        Self {
            kind: MetricKind::Maximum,
            missing: Missing::Absent,
            ..Self::counter(cloudwatch, family)
        }
    }

    /// A row that goes up and down: `Average`; without a datapoint it is absent.
    pub const fn average(cloudwatch: &'static str, family: &'static Family) -> Self {
        Self {
            kind: MetricKind::Average,
            ..Self::maximum(cloudwatch, family)
        }
    }

    /// One of several rows of a family.
    #[must_use]
    pub const fn labelled(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.labels = labels;
        self
    }

    /// In another unit.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Exists only for subjects with these features.
    #[must_use]
    pub const fn needs(mut self, features: Features) -> Self {
        self.needs = features;
        self
    }

    /// Has a datapoint only every so many minutes.
    #[must_use]
    pub const fn every_minutes(mut self, minutes: u8) -> Self {
        self.period_minutes = minutes;
        self
    }

    /// Can be ruled out by the region's own series.
    #[must_use]
    pub const fn gated(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Has datapoints only where the subject's other metric has some.
    #[must_use]
    pub const fn within(mut self, metric: &'static str) -> Self {
        self.within = Some(metric);
        self
    }

    /// A minute without a datapoint is a minute of zero.
    #[must_use]
    pub const fn zero_if_missing(mut self) -> Self {
        self.missing = Missing::Zero;
        self
    }

    /// All families that it may feed.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        let more = self.maximum.into_iter().chain(self.histogram);
        std::iter::once(self.family).chain(more)
    }

    /// Minutes after a datapoint's own one at which it is complete at the earliest.
    pub const fn lag_minutes(&self) -> i64 {
        self.period_minutes as i64 - 1
    }
}

/// What is asked of CloudWatch, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// `Sum`, added up.
    Counter,
    /// `Sum` and `SampleCount`, added up, and quantiles.
    Distribution,
    /// `Maximum`: the greatest of all minutes that settled since the last snapshot.
    Maximum,
    /// `Average`: the greatest of the averages of all minutes that settled since the last snapshot.
    Average,
}

impl MetricKind {
    /// Whether it counts: whether every minute goes into it exactly once.
    pub const fn counts(self) -> bool {
        match self {
            Self::Counter | Self::Distribution => true,
            Self::Maximum | Self::Average => false,
        }
    }
}

/// What a region's own series of a metric is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    None,
    /// It has a datapoint, zero or more, for each minute in which anything ran: without any it says nothing.
    Dense,
    /// It has datapoints only where there is something to count: it is believed once it has had some.
    Sparse,
}

/// What a minute without a datapoint means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing happened: CloudWatch leaves out minutes of zero.
    Zero,
    /// Nobody knows: a gauge is not published.
    Absent,
}

/// What a subject has or does, as far as it decides which metrics exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// Nothing in particular.
    pub const NONE: Self = Self(0);

    /// The feature of a number below 32; each shape gives its own meaning to the numbers.
    pub const fn bit(number: u32) -> Self {
        Self(1 << number)
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// With another one, if it is there.
    #[must_use]
    pub const fn with(self, feature: Self, present: bool) -> Self {
        if present { self.and(feature) } else { self }
    }

    /// Whether all of the others are among these.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// CloudWatch's unit of a metric; what is published is in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Count,
    /// Published as seconds.
    Milliseconds,
    /// Published as bytes.
    Bytes,
    /// Published as a ratio.
    Percent,
    /// Published as seconds.
    Seconds,
}

impl Unit {
    /// Millionths of the base unit in one of this unit. The books are kept in these.
    pub const fn micros(self) -> f64 {
        match self {
            Self::Count | Self::Bytes | Self::Seconds => 1e6,
            Self::Milliseconds => 1e3,
            Self::Percent => 1e4,
        }
    }
}

/// A Prometheus metric family.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its full name; a counter's ends with `_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: FamilyKind,
    /// Its help text: what is counted, and the AWS source.
    pub help: &'static str,
}

/// A family's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// One number that only grows.
    Counter,
    /// Quantiles with `_sum` and `_count`.
    Summary,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
    /// A number that goes up and down.
    Gauge,
}

#[cfg(test)]
mod tests;
