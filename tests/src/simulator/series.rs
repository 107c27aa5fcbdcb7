//! Every series that the simulator publishes, and its value in any minute.
//!
//! A query resolves to a `Series` by the table of `metrics`, and `Series::minute` computes a minute
//! of it, final or as far as it is visible.

mod subject;
mod values;

use values::{
    account_capacity, counted, function_minute, level, node_minute, portion_of, region_minute,
    stage_minute, sum_operations, table_minute,
};

use super::account::{IncidentKind, Protocol};
use super::lateness::{Arrival, View};
use super::metrics::{Measure, Need, ROWS, Row};
use super::model::{ApiModel, FunctionModel, Node, NodeId, OPERATIONS, READS, RegionModel};
use super::needs::{function_has, mapping_has, table_has};
use super::random::{mix, text, unit};
use super::traffic::{MINUTE_MS, Points, longest_us};

/// A series of a region: a metric with values for its dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Index in `ROWS`.
    pub row: usize,
    /// What it is about.
    pub subject: Subject,
}

/// What a series is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All functions.
    Region,
    /// All tables.
    Tables,
    /// Function number.
    Function(usize),
    /// Table number.
    Table(usize),
    /// Index of a table.
    Index(usize, usize),
    /// Operation of a table.
    Operation(usize, usize),
    /// The alias of a function.
    Version(usize),
    /// Mapping number.
    Mapping(usize),
    /// The instances of a capacity provider.
    CapacityProvider(String),
    /// A function on a capacity provider.
    Environment(usize),
    /// The stream of a table.
    Stream(usize),
    /// A replica of a table.
    Replica(usize, usize),
    /// What a table sends to Kinesis.
    Kinesis(usize),
    /// All methods of a stage: (REST?, API number, stage number).
    Method(bool, usize, usize),
    /// Stages that share a series: (REST?, API number, stage number).
    Stages(Vec<(bool, usize, usize)>),
}

impl Series {
    /// Finds the series that a query names, if the region has it.
    #[must_use]
    pub fn find(
        region: &RegionModel,
        namespace: &str,
        name: &str,
        dimensions: &[(&str, &str)],
    ) -> Option<Self> {
        for (row, candidate) in ROWS.iter().enumerate() {
            if candidate.name != name || candidate.namespace != namespace {
                continue;
            }
            let names = candidate.dims.names();
            if names.len() != dimensions.len() {
                continue;
            }
            let value = |name: &str| dimensions.iter().find(|d| d.0 == name).map(|d| d.1);
            let Some(values) = names
                .iter()
                .map(|n| value(n))
                .collect::<Option<Vec<&str>>>()
            else {
                continue;
            };
            let found = Subject::find(region, candidate, &values)
                .and_then(|subject| Self { row, subject }.exists(region));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// All series of a region, in a stable order.
    pub fn all(region: &RegionModel) -> impl Iterator<Item = Self> + '_ {
        (0..ROWS.len()).flat_map(move |row| {
            Subject::all(region, &ROWS[row])
                .into_iter()
                .filter_map(move |subject| Self { row, subject }.exists(region))
        })
    }

    /// Its metric.
    #[must_use]
    pub fn metric(&self) -> &'static Row {
        &ROWS[self.row]
    }

    /// Its dimensions with their values.
    #[must_use]
    pub fn dimensions(&self, region: &RegionModel) -> Vec<(&'static str, String)> {
        let names = self.metric().dims.names();
        let api = |&(rest, api, _): &(bool, usize, usize)| {
            let settings = &apis(region, rest)[api].settings;
            if rest {
                settings.name.value.clone()
            } else {
                settings.id.clone()
            }
        };
        let values = match &self.subject {
            Subject::Region | Subject::Tables => vec![],
            Subject::Function(f) => vec![region.functions[*f].name.clone()],
            Subject::Table(t) => vec![region.tables[*t].name.clone()],
            Subject::Index(t, i) => {
                let table = &region.tables[*t];
                vec![table.name.clone(), table.settings.indexes[*i].value.clone()]
            }
            Subject::Operation(t, o) => {
                vec![region.tables[*t].name.clone(), OPERATIONS[*o].to_owned()]
            }
            Subject::Version(f) => {
                let function = &region.functions[*f];
                vec![function.name.clone(), alias(function)]
            }
            Subject::Mapping(m) => vec![region.mappings[*m].uuid.clone()],
            Subject::CapacityProvider(name) => vec![name.clone(), INSTANCE_TYPE.to_owned()],
            Subject::Environment(f) => {
                let function = &region.functions[*f];
                let provider = function.settings.capacity_provider.clone();
                vec![provider.unwrap_or_default(), function.name.clone()]
            }
            Subject::Stream(t) => vec![
                region.tables[*t].name.clone(),
                "GetRecords".to_owned(),
                STREAM_LABEL.to_owned(),
            ],
            Subject::Replica(t, r) => {
                let table = &region.tables[*t];
                vec![table.name.clone(), table.settings.replicas[*r].clone()]
            }
            Subject::Kinesis(t) => {
                vec![region.tables[*t].name.clone(), "PutRecord".to_owned()]
            }
            Subject::Method(rest, number, stage) => {
                let stage_name = &apis(region, *rest)[*number].settings.stages[*stage].name;
                let key = api(&(*rest, *number, *stage));
                let (path, method) = (ALL_METHODS.0.to_owned(), ALL_METHODS.1.to_owned());
                vec![key, stage_name.clone(), path, method]
            }
            Subject::Stages(stages) => stages.first().map_or_else(Vec::new, |first| {
                let stage = &apis(region, first.0)[first.1].settings.stages[first.2].name;
                vec![api(first), stage.clone()]
            }),
        };
        names.iter().copied().zip(values).collect()
    }

    /// Published unit is `1 / scale` of what `minute` returns.
    #[must_use]
    pub fn scale(&self) -> i64 {
        match self.metric().measure {
            Measure::Duration
            | Measure::SuccessDuration
            | Measure::LatencyWithOverhead
            | Measure::PartOfDuration(_)
            | Measure::Utilization
            | Measure::AsyncAge
            | Measure::IteratorAge
            | Measure::AccountCapacity(_)
            | Measure::GreatestTable(_) => 1000,
            Measure::ConsumedRead | Measure::ConsumedWrite => 10,
            _ => 1,
        }
    }

    /// `CloudWatch` publishes some metrics only every five minutes.
    #[must_use]
    pub fn native_minutes(&self) -> i64 {
        match self.metric().measure {
            Measure::ProvisionedRead | Measure::ProvisionedWrite => 5,
            _ => self.metric().minutes,
        }
    }

    /// Some series cannot exist: a function that nobody calls asynchronously has no async metrics.
    fn exists(self, region: &RegionModel) -> Option<Self> {
        let measure = self.metric().measure;
        let can = |nodes: &[NodeId], what: &dyn Fn(&Node) -> bool| {
            nodes.iter().any(|&n| what(&region.nodes[n]))
        };
        let incident = |node: &Node, kind| node.incidents.iter().any(|i| i.what == kind);
        let throttled =
            |node: &Node| node.throttles > 0.0 || incident(node, IncidentKind::Throttles);
        let failing = |node: &Node| node.errors > 0.0 || incident(node, IncidentKind::Errors);
        let refused =
            |node: &Node| node.client_errors > 0.0 || incident(node, IncidentKind::ClientErrors);
        let need = self.metric().need;
        let possible = match (&self.subject, measure) {
            (Subject::Function(f) | Subject::Version(f), _) => {
                function_has(&region.functions[*f], need)
            }
            (Subject::Region, _) => region.functions.iter().any(|f| function_has(f, need)),
            (Subject::Mapping(m), _) => mapping_has(&region.mappings[*m], need),
            (Subject::Stages(stages), _) => stages.iter().any(|&(rest, api, stage)| {
                let settings = &apis(region, rest)[api].settings;
                let websocket = !rest && settings.protocol == Protocol::Websocket;
                match need {
                    Need::Cache => settings.stages[stage].cache,
                    Need::Websocket => websocket,
                    _ => !websocket,
                }
            }),
            (Subject::Table(t) | Subject::Replica(t, _), _)
                if !table_has(&region.tables[*t], need) =>
            {
                false
            }
            (Subject::Index(t, i), _) if need != Need::Nothing => {
                let table = &region.tables[*t];
                let last = *i + 1 == table.settings.indexes.len();
                table_has(table, need) && (need != Need::Building || last)
            }
            (Subject::Operation(t, o), _) if need != Need::Nothing => match need {
                Need::Items => matches!(OPERATIONS[*o], "Query" | "Scan"),
                _ => table_has(&region.tables[*t], need),
            },
            (
                Subject::Table(t) | Subject::Index(t, _),
                Measure::WriteThrottles | Measure::PartOfWriteThrottles(_),
            ) => can(&region.tables[*t].operations[READS..], &throttled),
            (Subject::Table(t), Measure::ReadThrottles | Measure::PartOfReadThrottles(_)) => {
                can(&region.tables[*t].operations[..READS], &throttled)
            }
            (Subject::Table(t), Measure::ProvisionedRead | Measure::ProvisionedWrite) => {
                region.tables[*t].provisioned().is_some()
            }
            (Subject::Operation(t, o), Measure::SparseThrottles) => {
                can(&region.tables[*t].operations[*o..=*o], &throttled)
            }
            (Subject::Operation(t, o), Measure::SparseErrors) => {
                can(&region.tables[*t].operations[*o..=*o], &failing)
            }
            (Subject::Tables, Measure::AccountCapacity(_) | Measure::GreatestTable(_)) => {
                !region.tables.is_empty()
            }
            (Subject::Tables, _) => region.tables.iter().any(|t| can(&t.operations, &refused)),
            _ => true,
        };
        possible.then_some(self)
    }

    /// The values of a minute; empty when there is no datapoint.
    #[must_use]
    pub fn minute(&self, region: &RegionModel, minute: i64, view: View) -> Points {
        let row = self.metric();
        if let Measure::Level(most) = row.measure {
            return level(self.key(region), minute, row.minutes, most, view);
        }
        if let Measure::AccountCapacity(_) | Measure::GreatestTable(_) = row.measure {
            return account_capacity(region, row, minute, view);
        }
        // A datapoint of several minutes is made of all that happens in them.
        (minute..minute + row.minutes)
            .flat_map(|minute| self.one_minute(region, minute, view))
            .collect()
    }

    /// Distinguishes its random numbers from every other series'.
    fn key(&self, region: &RegionModel) -> u64 {
        let dimensions = self.dimensions(region);
        let names = dimensions.iter().map(|(_, value)| text(value));
        names.fold(mix(region.seed, text(self.metric().name)), mix)
    }

    fn one_minute(&self, region: &RegionModel, minute: i64, view: View) -> Points {
        if let View::At(now) = view
            && now < minute * MINUTE_MS
        {
            return Points::new();
        }
        let measure = self.metric().measure;
        let of_function = |f: &FunctionModel| function_minute(region, f, measure, minute, view);
        match &self.subject {
            Subject::Region => region_minute(region, self.metric(), minute, view),
            Subject::Version(f) if measure == Measure::Utilization => {
                let function = &region.functions[*f];
                let mut points =
                    function_minute(region, function, Measure::Concurrency, minute, view);
                let alias = function.settings.alias.as_ref();
                let most = alias.and_then(|a| a.provisioned).map_or(1, i64::from);
                for point in &mut points {
                    point.0 = point.0.min(most) * 1000 / most.max(1);
                }
                points
            }
            Subject::Version(f) | Subject::Environment(f) => of_function(&region.functions[*f]),
            Subject::CapacityProvider(name) => region
                .functions
                .iter()
                .filter(|f| f.settings.capacity_provider.as_ref() == Some(name))
                .flat_map(of_function)
                .collect(),
            Subject::Mapping(m) => {
                let node = region.mappings[*m].from;
                let key = region.nodes[node].key;
                let arrival = Arrival::new(&region.lateness.lambda, key, minute);
                node_minute(region, node, measure, minute, view, &arrival, 0)
            }
            Subject::Stream(t) | Subject::Kinesis(t) | Subject::Replica(t, _) => {
                table_minute(region, &region.tables[*t], measure, minute, view)
            }
            Subject::Method(rest, api, stage) => stage_minute(
                region,
                &apis(region, *rest)[*api],
                *stage,
                measure,
                minute,
                view,
            ),
            Subject::Tables => counted(
                region
                    .tables
                    .iter()
                    .map(|t| sum_operations(region, &t.operations, measure, minute, view))
                    .sum(),
            ),
            Subject::Function(f) => {
                function_minute(region, &region.functions[*f], measure, minute, view)
            }
            Subject::Table(t) => table_minute(region, &region.tables[*t], measure, minute, view),
            Subject::Index(t, i) => {
                let table = &region.tables[*t];
                let mut points = table_minute(region, table, measure, minute, view);
                // Not every write touches every index.
                let share = 0.3 + 0.7 * unit(text(&table.settings.indexes[*i].value));
                for point in &mut points {
                    match measure {
                        Measure::WriteThrottles | Measure::PartOfWriteThrottles(_) => {
                            let count = i64::try_from(point.1).unwrap_or(i64::MAX);
                            point.1 = portion_of(count, share).unsigned_abs();
                        }
                        _ => point.0 = portion_of(point.0, share),
                    }
                }
                points.retain(|point| point.1 > 0);
                points
            }
            Subject::Operation(t, o) => {
                let table = &region.tables[*t];
                let lateness = &region.lateness.dynamodb;
                let node = table.operations[*o];
                let arrival = Arrival::new(lateness, region.nodes[node].key, minute);
                node_minute(region, node, measure, minute, view, &arrival, 0)
            }
            Subject::Stages(stages) => {
                let mut points = Points::new();
                for &(rest, api, stage) in stages {
                    points.extend(stage_minute(
                        region,
                        &apis(region, rest)[api],
                        stage,
                        measure,
                        minute,
                        view,
                    ));
                }
                points
            }
        }
    }

    /// The moment from which on a minute's value never changes.
    #[must_use]
    pub fn final_at(&self, region: &RegionModel, minute: i64) -> i64 {
        let of = |node: NodeId, lateness, waits: bool| {
            let longest = if waits {
                longest_us(&region.nodes[node]) / 1000
            } else {
                0
            };
            Arrival::new(lateness, region.nodes[node].key, minute).final_at(longest)
        };
        let lambda = &region.lateness.lambda;
        // The last of the minutes that are in its datapoint.
        let minutes = self.metric().minutes;
        let minute = minute.div_euclid(minutes) * minutes + minutes - 1;
        let start = (minute + 1) * MINUTE_MS;
        match &self.subject {
            Subject::Region => region
                .functions
                .iter()
                .map(|f| of(f.node, lambda, true) + lambda.aggregate_lag.ms)
                .fold(start, i64::max),
            Subject::Tables => region
                .tables
                .iter()
                .flat_map(|t| t.operations)
                .map(|o| of(o, &region.lateness.dynamodb, false))
                .fold(start, i64::max),
            Subject::Function(f) | Subject::Version(f) | Subject::Environment(f) => {
                of(region.functions[*f].node, lambda, true)
            }
            Subject::CapacityProvider(name) => region
                .functions
                .iter()
                .filter(|f| f.settings.capacity_provider.as_ref() == Some(name))
                .map(|f| of(f.node, lambda, true))
                .fold(start, i64::max),
            Subject::Mapping(m) => of(region.mappings[*m].from, lambda, true),
            Subject::Method(rest, api, stage) => of(
                apis(region, *rest)[*api].stages[*stage],
                &region.lateness.apigateway,
                false,
            ),
            Subject::Table(t)
            | Subject::Index(t, _)
            | Subject::Stream(t)
            | Subject::Kinesis(t)
            | Subject::Replica(t, _)
            | Subject::Operation(t, _) => region.tables[*t]
                .operations
                .iter()
                .map(|&o| of(o, &region.lateness.dynamodb, false))
                .fold(start, i64::max),
            Subject::Stages(stages) => stages
                .iter()
                .map(|&(rest, api, stage)| {
                    of(
                        apis(region, rest)[api].stages[stage],
                        &region.lateness.apigateway,
                        false,
                    )
                })
                .fold(start, i64::max),
        }
    }
}

/// The type of all managed instances.
const INSTANCE_TYPE: &str = "m8g.xlarge";
/// The label of every table's stream.
const STREAM_LABEL: &str = "2026-01-01T00:00:00.000";
/// Resource and method of a stage with metrics of its methods: it has only this one.
const ALL_METHODS: (&str, &str) = ("/{proxy+}", "ANY");

fn numbers<T>(all: &[T], wanted: impl Fn(&T) -> bool) -> impl Iterator<Item = usize> {
    (0..all.len()).filter(move |number| wanted(&all[*number]))
}

/// CloudWatch's name of a function's alias.
fn alias(function: &FunctionModel) -> String {
    let alias = function
        .settings
        .alias
        .as_ref()
        .map_or("", |alias| &alias.name);
    format!("{}:{alias}", function.name)
}

fn apis(region: &RegionModel, rest: bool) -> &[ApiModel] {
    if rest {
        &region.rest_apis
    } else {
        &region.http_apis
    }
}
