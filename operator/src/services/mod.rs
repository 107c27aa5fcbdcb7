//! The services that Nightjar watches, one room each: its metric table, its discovery.
//!
//! A room offers a `SERVICE` (names, IAM actions, shapes with their metric rows) and a `discover`.
//! One more metric is one more row in a room's table. One more service is one more room, and one
//! more variant of [`ServiceId`] below.

pub mod apigateway;
pub mod dynamodb;
pub mod lambda;
pub mod listing;
pub mod memory;
pub mod reference;

use std::sync::Arc;

use wildmatch::WildMatch;

use crate::api::Reason;
use crate::api::stack::ServiceSettings;
use crate::aws::{AwsError, Clients, Identity};
use crate::exporter::membership::Membership;
use memory::Memory;

/// A watched service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// AWS Lambda.
    Lambda,
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon API Gateway.
    ApiGateway,
}

impl ServiceId {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lambda, Self::DynamoDb, Self::ApiGateway];

    /// What is known about the service at compile time.
    pub const fn service(self) -> &'static Service {
        match self {
            Self::Lambda => &lambda::SERVICE,
            Self::DynamoDb => &dynamodb::SERVICE,
            Self::ApiGateway => &apigateway::SERVICE,
        }
    }

    /// The name in `spec.services`, in labels and in `/status`.
    pub const fn name(self) -> &'static str {
        self.service().name
    }

    /// The files of the service's alerts and recording rules.
    pub const fn rules(self) -> &'static [&'static str] {
        match self {
            Self::Lambda => lambda::RULES,
            Self::DynamoDb => dynamodb::RULES,
            Self::ApiGateway => apigateway::RULES,
        }
    }

    /// The service of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// Finds the members' resources of this service.
    pub async fn discover(self, look: &Look<'_>) -> Result<Found, AwsError> {
        match self {
            Self::Lambda => lambda::discover(look).await,
            Self::DynamoDb => dynamodb::discover(look).await,
            Self::ApiGateway => apigateway::discover(look).await,
        }
    }
}

/// A look at one service in one account and region.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The account and region's clients.
    pub aws: &'a Clients,
    /// Whose account it is.
    pub identity: &'a Identity,
    /// What belongs to the stack.
    pub members: &'a Membership,
    /// What the stack wants of the service.
    pub wanted: &'a Wanted,
    /// What was read before and is still good.
    pub memory: &'a Memory,
}

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

/// What a stack wants of a service.
#[derive(Debug)]
pub struct Wanted {
    sets: Vec<&'static str>,
    excluded: Vec<WildMatch>,
}

impl Wanted {
    /// Of a service with these settings, or with none.
    pub fn new(service: &Service, settings: Option<&ServiceSettings>) -> Self {
        let listed = settings.and_then(|settings| settings.optional.as_ref());
        let wanted = |set: &&OptionalSet| match listed {
            Some(names) => names.iter().any(|name| name == set.name),
            None => set.default,
        };
        let sets = service.optional.iter().filter(wanted);
        let excluded = settings.into_iter().flat_map(|s| &s.exclude_metrics);
        Self {
            sets: sets.map(|set| set.name).collect(),
            excluded: excluded.map(|pattern| WildMatch::new(pattern)).collect(),
        }
    }

    /// Whether an optional set is wanted.
    pub fn set(&self, name: &str) -> bool {
        self.sets.contains(&name)
    }

    /// Whether a row can exist under these features, and is wanted.
    fn row(&self, metric: &Metric, features: Features) -> bool {
        features.contains(metric.needs)
            && !self
                .excluded
                .iter()
                .any(|pattern| pattern.matches(metric.family.name))
    }
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

/// What discovery found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The resources that belong to the stack.
    pub resources: Vec<Resource>,
    /// What could not be read, or cannot be watched, and why. The rest is complete.
    pub problems: Vec<AwsError>,
    /// What else could not be read, although all resources were found: settings, optional sets.
    pub lesser: Vec<AwsError>,
    /// Shapes whose subjects could not be found for that.
    pub unknown: Vec<&'static str>,
}

impl Found {
    /// Whether all resources were found: a resource that is missing now is gone.
    pub fn complete(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| problem.reason == Reason::AmbiguousName)
    }

    /// Notes that something lesser could not be read, and what could not be found for that.
    pub fn miss(&mut self, shapes: &[&'static Shape], error: AwsError) {
        self.unknown.extend(shapes.iter().map(|shape| shape.name));
        if !self.lesser.contains(&error) {
            self.lesser.push(error);
        }
    }
}

/// A resource that belongs to the stack, or the account's part in the region: limits and metrics
/// that all resources share.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its ARN; none for what is the account's and not the stack's.
    pub arn: Option<String>,
    /// What CloudWatch knows it by.
    pub subjects: Vec<Subject>,
    /// Its settings.
    pub facts: Vec<Fact>,
    /// Whether some of the settings could not be read: of those the last ones hold.
    pub unread: bool,
}

/// What makes a subject the same one in two discoveries.
pub type SubjectKey = (&'static str, Vec<Arc<str>>);

/// A set of dimension values: what a row of the shape's table is asked for.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which dimensions.
    pub shape: &'static Shape,
    /// Their values, in the shape's order.
    pub values: Vec<Arc<str>>,
    /// The Prometheus labels.
    pub labels: Vec<(&'static str, Arc<str>)>,
    /// How long after a minute its datapoints may still grow because work that began in it is
    /// still going on, in minutes.
    pub longest_work_minutes: u32,
    /// Which rows of the shape's table can exist and are wanted, a bit for each.
    rows: u64,
}

impl Subject {
    /// A subject with the rows that these features let exist and that the stack wants.
    pub fn new(
        shape: &'static Shape,
        values: Vec<Arc<str>>,
        labels: Vec<(&'static str, Arc<str>)>,
        features: Features,
        wanted: &Wanted,
    ) -> Self {
        Self::with_rows(shape, values, labels, |metric| wanted.row(metric, features))
    }

    /// A subject with these rows of the shape's table.
    pub fn with_rows(
        shape: &'static Shape,
        values: Vec<Arc<str>>,
        labels: Vec<(&'static str, Arc<str>)>,
        has: impl Fn(&Metric) -> bool,
    ) -> Self {
        let rows = shape.metrics.iter().enumerate();
        let rows = rows.fold(0, |rows, (place, metric)| {
            rows | u64::from(has(metric)) << place
        });
        Self {
            shape,
            values,
            labels,
            longest_work_minutes: 0,
            rows,
        }
    }

    /// The same, with work that may go on for so many minutes.
    #[must_use]
    pub fn working_for(mut self, minutes: u32) -> Self {
        self.longest_work_minutes = minutes;
        self
    }

    /// What makes it the same one in two discoveries.
    pub fn key(&self) -> SubjectKey {
        (self.shape.name, self.values.clone())
    }

    /// The rows to ask for.
    pub fn metrics(&self) -> impl Iterator<Item = &'static Metric> + use<> {
        let rows = self.rows;
        let watched = move |(place, _): &(usize, _)| rows >> place & 1 == 1;
        let all = self.shape.metrics.iter().enumerate();
        all.filter(watched).map(|(_, metric)| metric)
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        self.shape.name == other.shape.name
            && self.values == other.values
            && self.labels == other.labels
            && self.longest_work_minutes == other.longest_work_minutes
            && self.rows == other.rows
    }
}

/// One setting of a resource, as a gauge.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The family.
    pub family: &'static Family,
    /// Labels beyond stack, account and region.
    pub labels: Vec<(&'static str, Arc<str>)>,
    /// Tags become labels only here, on `_info` families.
    pub info: bool,
    /// The value in base units.
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn families() -> Vec<&'static Family> {
        let mut families: Vec<_> = ServiceId::ALL
            .iter()
            .flat_map(|id| {
                let service = id.service();
                let rows = service
                    .shapes
                    .iter()
                    .flat_map(|shape| shape.metrics.iter())
                    .flat_map(Metric::families);
                rows.chain(service.facts.iter().copied())
            })
            .collect();
        families.sort_by_key(|family| family.name);
        families.dedup_by(|a, b| std::ptr::eq(*a, *b));
        families
    }

    #[test]
    fn every_family_keeps_the_naming_rules_of_prometheus() {
        let mut seen = HashMap::new();
        for family in families() {
            assert!(
                seen.insert(family.name, family).is_none(),
                "two families are named {}",
                family.name
            );
            assert!(family.name.starts_with("aws_"), "{}", family.name);
            assert_eq!(
                family.name.ends_with("_total"),
                family.kind == FamilyKind::Counter,
                "{}",
                family.name
            );
            assert!(
                !family.name.contains("milli") && !family.name.ends_with("_ms"),
                "{}",
                family.name
            );
            assert!(
                family.help.len() > 20 && !family.help.contains('\n'),
                "{}",
                family.name
            );
        }
    }

    #[test]
    fn every_row_fits_its_family_and_no_two_rows_are_the_same_series() {
        let mut seen = std::collections::HashSet::new();
        let sets = ServiceId::ALL.iter().flat_map(|id| id.service().optional);
        let known: Vec<&str> = sets.map(|set| set.name).collect();
        for shape in ServiceId::ALL
            .iter()
            .flat_map(|id| id.service().shapes.iter().copied())
        {
            assert!(
                shape.optional.is_none_or(|set| known.contains(&set)),
                "{}",
                shape.name
            );
            assert!(shape.metrics.len() <= 64, "{}: a bit for each", shape.name);
            let named = shape
                .features
                .iter()
                .fold(Features::NONE, |all, (one, _)| all.and(*one));
            for metric in shape.metrics {
                assert!(
                    named.contains(metric.needs),
                    "{}: undocumented",
                    metric.cloudwatch
                );
                let fits = match metric.kind {
                    MetricKind::Counter => FamilyKind::Counter,
                    MetricKind::Distribution => FamilyKind::Summary,
                    MetricKind::Maximum | MetricKind::Average => FamilyKind::Gauge,
                };
                assert_eq!(metric.family.kind, fits, "{}", metric.cloudwatch);
                assert!(
                    metric.histogram.is_none_or(|family| {
                        family.kind == FamilyKind::Histogram
                            && metric.kind == MetricKind::Distribution
                            && metric.unit == Unit::Milliseconds
                    }),
                    "{}: bounds are written in milliseconds",
                    metric.cloudwatch
                );
                assert!(
                    metric
                        .maximum
                        .is_none_or(|family| family.kind == FamilyKind::Gauge),
                    "{}",
                    metric.cloudwatch
                );
                let within = |pulse| {
                    let pulse = shape.metrics.iter().find(|row| row.cloudwatch == pulse);
                    pulse.is_some_and(|row| {
                        row.kind == MetricKind::Counter
                            && row.within.is_none()
                            && row.needs == Features::NONE
                            && row.period_minutes == metric.period_minutes
                    })
                };
                assert!(metric.within.is_none_or(within), "{}", metric.cloudwatch);
                assert!(
                    metric
                        .within
                        .is_none_or(|pulse| Some(pulse) == shape.pulse()),
                    "{}: one pulse a shape",
                    metric.cloudwatch
                );
                assert!(
                    !metric.kind.counts() || metric.missing == Missing::Zero,
                    "{} counts, so a minute without a datapoint adds nothing",
                    metric.cloudwatch
                );
                assert!(
                    seen.insert((shape.name, metric.family.name, metric.labels)),
                    "{}",
                    metric.cloudwatch
                );
            }
        }
    }
}
