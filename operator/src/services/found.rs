//! What discovery finds: resources, their settings, and what CloudWatch knows them by.

use std::sync::Arc;

use super::Wanted;
use super::table::{Family, Features, Metric, Shape};
use crate::api::Reason;
use crate::aws::AwsError;

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
