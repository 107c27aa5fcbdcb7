//! Every series that the simulator publishes, and its value in any minute.
//!
//! A query resolves to a `Series` by the table of `metrics`, and `Series::minute` computes a minute
//! of it, final or as far as it is visible.

use super::account::{Cause, IncidentKind, Protocol};
use super::lateness::{Arrival, View};
use super::metrics::{DYNAMODB, Dims, Direction, Measure, Need, ROWS, Row};
use super::model::{
    ApiModel, FunctionModel, Node, NodeId, OPERATIONS, READS, RegionModel, TableModel, alive,
};
use super::needs::{function_has, mapping_has, table_has};
use super::random::{mix, text, unit};
use super::traffic::{
    Happened, MINUTE_MS, Points, cause, durations, happened, lag_us, longest_us, stopped,
};

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

impl Subject {
    fn find(region: &RegionModel, row: &Row, values: &[&str]) -> Option<Self> {
        let dims = row.dims;
        let table = |name: &str| {
            region
                .tables
                .binary_search_by(|t| t.name.as_str().cmp(name))
                .ok()
        };
        let function = |name: &str| {
            region
                .functions
                .binary_search_by(|f| f.name.as_str().cmp(name))
                .ok()
        };
        Some(match dims {
            Dims::Region if row.namespace == DYNAMODB => Self::Tables,
            Dims::Region => Self::Region,
            Dims::Function => Self::Function(function(values[0])?),
            Dims::Version => {
                let f = function(values[0])?;
                let model = &region.functions[f];
                (model.settings.alias.is_some() && alias(model) == values[1])
                    .then_some(Self::Version(f))?
            }
            Dims::Mapping => {
                let of = region.mappings.iter();
                Self::Mapping(of.clone().position(|m| m.uuid == values[0])?)
            }
            Dims::CapacityProvider => {
                let name = values[0].to_owned();
                let mut functions = region.functions.iter();
                let used = functions.any(|f| f.settings.capacity_provider.as_ref() == Some(&name));
                (used && values[1] == INSTANCE_TYPE).then_some(Self::CapacityProvider(name))?
            }
            Dims::Environment => {
                let f = function(values[1])?;
                let provider = region.functions[f].settings.capacity_provider.as_deref();
                (provider == Some(values[0])).then_some(Self::Environment(f))?
            }
            Dims::Stream => {
                let t = table(values[0])?;
                let named = values[1] == "GetRecords" && values[2] == STREAM_LABEL;
                (named && region.tables[t].settings.stream.is_some()).then_some(Self::Stream(t))?
            }
            Dims::Replica => {
                let t = table(values[0])?;
                let mut replicas = region.tables[t].settings.replicas.iter();
                Self::Replica(t, replicas.position(|r| r == values[1])?)
            }
            Dims::Kinesis => {
                let t = table(values[0])?;
                let named = values[1] == "PutRecord";
                (named && region.tables[t].settings.kinesis).then_some(Self::Kinesis(t))?
            }
            Dims::RestMethod | Dims::HttpRoute => {
                Self::all(region, row)
                    .into_iter()
                    .find(|subject| match subject {
                        Self::Method(rest, api, stage) => {
                            let settings = &apis(region, *rest)[*api].settings;
                            let key = if *rest {
                                &settings.name.value
                            } else {
                                &settings.id
                            };
                            [
                                key,
                                settings.stages[*stage].name.as_str(),
                                ALL_METHODS.0,
                                ALL_METHODS.1,
                            ] == *values
                        }
                        _ => false,
                    })?
            }
            Dims::Table => Self::Table(table(values[0])?),
            Dims::Index => {
                let t = table(values[0])?;
                let index = region.tables[t]
                    .settings
                    .indexes
                    .iter()
                    .position(|i| i.value == values[1])?;
                Self::Index(t, index)
            }
            Dims::Operation => Self::Operation(
                table(values[0])?,
                OPERATIONS.iter().position(|o| *o == values[1])?,
            ),
            Dims::RestApi | Dims::RestStage | Dims::HttpApi | Dims::HttpStage => {
                let rest = matches!(dims, Dims::RestApi | Dims::RestStage);
                Self::stages(region, rest, values[0], values.get(1).copied())?
            }
        })
    }

    /// Stages of the APIs that have this name (REST) or id (HTTP); same names share a series.
    fn stages(region: &RegionModel, rest: bool, api: &str, stage: Option<&str>) -> Option<Self> {
        let mut found = Vec::new();
        for (number, model) in apis(region, rest).iter().enumerate() {
            let called = if rest {
                &model.settings.name.value
            } else {
                &model.settings.id
            };
            if called != api {
                continue;
            }
            for (index, candidate) in model.settings.stages.iter().enumerate() {
                if stage.is_none_or(|s| s == candidate.name) {
                    found.push((rest, number, index));
                }
            }
        }
        (!found.is_empty()).then_some(Self::Stages(found))
    }

    fn all(region: &RegionModel, row: &Row) -> Vec<Self> {
        let dims = row.dims;
        match dims {
            Dims::Region if row.namespace == DYNAMODB => vec![Self::Tables],
            Dims::Region if region.functions.is_empty() => Vec::new(),
            Dims::Region => vec![Self::Region],
            Dims::Function => (0..region.functions.len()).map(Self::Function).collect(),
            Dims::Version => numbers(&region.functions, |f| f.settings.alias.is_some())
                .map(Self::Version)
                .collect(),
            Dims::Mapping => (0..region.mappings.len()).map(Self::Mapping).collect(),
            Dims::CapacityProvider => {
                let of = region.functions.iter();
                let names: std::collections::BTreeSet<_> = of
                    .filter_map(|f| f.settings.capacity_provider.clone())
                    .collect();
                names.into_iter().map(Self::CapacityProvider).collect()
            }
            Dims::Environment => numbers(&region.functions, |f| {
                f.settings.capacity_provider.is_some()
            })
            .map(Self::Environment)
            .collect(),
            Dims::Stream => numbers(&region.tables, |t| t.settings.stream.is_some())
                .map(Self::Stream)
                .collect(),
            Dims::Replica => (0..region.tables.len())
                .flat_map(|t| {
                    let replicas = region.tables[t].settings.replicas.len();
                    (0..replicas).map(move |r| Self::Replica(t, r))
                })
                .collect(),
            Dims::Kinesis => numbers(&region.tables, |t| t.settings.kinesis)
                .map(Self::Kinesis)
                .collect(),
            Dims::RestMethod | Dims::HttpRoute => {
                let rest = dims == Dims::RestMethod;
                let all = apis(region, rest).iter().enumerate();
                all.filter(|(_, api)| rest || api.settings.protocol == Protocol::Http)
                    .flat_map(|(number, api)| {
                        numbers(&api.settings.stages, |stage| stage.detailed)
                            .map(move |stage| Self::Method(rest, number, stage))
                    })
                    .collect()
            }
            Dims::Table => (0..region.tables.len()).map(Self::Table).collect(),
            Dims::Index => (0..region.tables.len())
                .flat_map(|t| {
                    (0..region.tables[t].settings.indexes.len()).map(move |i| Self::Index(t, i))
                })
                .collect(),
            Dims::Operation => (0..region.tables.len())
                .flat_map(|t| (0..OPERATIONS.len()).map(move |o| Self::Operation(t, o)))
                .collect(),
            Dims::RestApi | Dims::RestStage | Dims::HttpApi | Dims::HttpStage => {
                let rest = matches!(dims, Dims::RestApi | Dims::RestStage);
                let by_stage = matches!(dims, Dims::RestStage | Dims::HttpStage);
                let mut seen: Vec<Self> = Vec::new();
                for model in apis(region, rest) {
                    let name = if rest {
                        &model.settings.name.value
                    } else {
                        &model.settings.id
                    };
                    for stage in &model.settings.stages {
                        let stage = by_stage.then_some(stage.name.as_str());
                        if let Some(subject) = Self::stages(region, rest, name, stage)
                            && !seen.contains(&subject)
                        {
                            seen.push(subject);
                        }
                    }
                }
                seen
            }
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

/// Something that goes up and down, one value for each datapoint.
fn level(key: u64, minute: i64, minutes: i64, most: u64, view: View) -> Points {
    let visible = match view {
        View::Final => true,
        View::At(now) => now >= (minute + minutes) * MINUTE_MS,
    };
    if !visible || minute % minutes != 0 {
        return Points::new();
    }
    let value = mix(key, minute.cast_unsigned()) % most.max(1);
    vec![(i64::try_from(value).unwrap_or(i64::MAX), 1)]
}

fn apis(region: &RegionModel, rest: bool) -> &[ApiModel] {
    if rest {
        &region.rest_apis
    } else {
        &region.http_apis
    }
}

fn region_minute(region: &RegionModel, row: &Row, minute: i64, view: View) -> Points {
    let measure = row.measure;
    let view = view.behind(region.lateness.lambda.aggregate_lag.ms);
    let mut all = Points::new();
    for function in &region.functions {
        if !function_has(function, row.need) {
            continue;
        }
        all.extend(function_minute(region, function, measure, minute, view));
    }
    if measure == Measure::Concurrency {
        let running: i64 = all.iter().map(|p| p.0).sum();
        return if all.is_empty() {
            all
        } else {
            vec![(running, 1)]
        };
    }
    if measure != Measure::Duration {
        // Counts are zeros and ones: merging keeps big regions small.
        all.sort_unstable();
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }
    all
}

fn function_minute(
    region: &RegionModel,
    function: &FunctionModel,
    measure: Measure,
    minute: i64,
    view: View,
) -> Points {
    let arrival = Arrival::new(
        &region.lateness.lambda,
        region.nodes[function.node].key,
        minute,
    );
    node_minute(region, function.node, measure, minute, view, &arrival, 0)
}

fn stage_minute(
    region: &RegionModel,
    api: &ApiModel,
    stage: usize,
    measure: Measure,
    minute: i64,
    view: View,
) -> Points {
    let node = api.stages[stage];
    let arrival = Arrival::new(&region.lateness.apigateway, region.nodes[node].key, minute);
    let settings = &api.settings.stages[stage];
    let extra = match measure {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds of overhead are few"
        )]
        Measure::LatencyWithOverhead => (settings.overhead_ms * 1000.0) as i64,
        Measure::Bytes => i64::try_from(settings.bytes).unwrap_or(i64::MAX),
        _ => 0,
    };
    node_minute(region, node, measure, minute, view, &arrival, extra)
}

/// A minute of one node: what happened, as far as it is visible, as the measure sees it.
fn node_minute(
    region: &RegionModel,
    id: NodeId,
    measure: Measure,
    minute: i64,
    view: View,
    arrival: &Arrival,
    extra: i64,
) -> Points {
    let node = &region.nodes[id];
    let mut all = happened(region, id, minute);
    if measure == Measure::SuccessDuration {
        all.handled -= all.errors + all.client_errors;
        (all.errors, all.client_errors) = (0, 0);
    }
    if all == Happened::default() {
        return Points::new();
    }
    // Durations are needed for themselves, and to know which requests have ended by now. What can
    // never be cut short (no cap) reports at once.
    let settled = match view {
        View::Final => true,
        View::At(now) => now >= arrival.final_at(longest_us(node) / 1000),
    };
    let waits = node.cap_us != i64::MAX;
    let wants_values = matches!(
        measure,
        Measure::Duration
            | Measure::SuccessDuration
            | Measure::LatencyWithOverhead
            | Measure::PartOfDuration(_)
            | Measure::Concurrency
    );
    let mut took = if wants_values || !settled {
        durations(node, minute, &all)
    } else {
        vec![(0, all.handled)]
    };
    let mut seen = all;
    if let (View::At(now), false) = (view, settled) {
        arrival.show(&mut took, now, waits);
        let handled: u64 = took.iter().map(|p| p.1).sum();
        let of = |count: u64| fraction(count, handled, all.handled);
        let mut refused = vec![(0, all.throttles)];
        arrival.show(&mut refused, now, false);
        seen = Happened {
            handled,
            errors: of(all.errors),
            client_errors: of(all.client_errors),
            timeouts: of(all.timeouts),
            throttles: if all.throttles == 0 {
                0
            } else {
                refused.iter().map(|p| p.1).sum()
            },
        };
    }
    let flags = |ones: u64, zeros: u64| -> Points { vec![(0, zeros), (1, ones)] };
    let mut points = match measure {
        Measure::Handled | Measure::AsyncReceived => vec![(1, seen.handled)],
        Measure::Errors => flags(seen.errors, seen.handled.saturating_sub(seen.errors)),
        Measure::ClientErrors => flags(
            seen.client_errors,
            seen.handled.saturating_sub(seen.client_errors),
        ),
        Measure::Throttles => flags(seen.throttles, seen.handled),
        Measure::SparseThrottles => vec![(1, seen.throttles)],
        Measure::SparseErrors => vec![(1, seen.errors)],
        Measure::Duration | Measure::SuccessDuration | Measure::LatencyWithOverhead => {
            for point in &mut took {
                point.0 += extra;
            }
            took
        }
        Measure::Concurrency => concurrency(&took),
        Measure::Part(part) => vec![(1, fraction(seen.handled, part, 1000))],
        Measure::PartOfErrors(part) => vec![(1, fraction(seen.errors, part, 1000))],
        Measure::PartOfThrottles(part) => vec![(1, fraction(seen.throttles, part, 1000))],
        Measure::PartOfDuration(part) => {
            for point in &mut took {
                point.0 = point.0 * part / 1000;
            }
            took
        }
        Measure::Each(amount) => {
            let all = seen.handled.saturating_mul(amount);
            let all = i64::try_from(all).unwrap_or(i64::MAX);
            vec![(all, u64::from(seen.handled > 0))]
        }
        // Two retries, then the event is given up: most errors recover.
        Measure::AsyncDropped => flags(
            seen.errors / 3,
            seen.handled.saturating_sub(seen.errors / 3),
        ),
        // The queue refuses one in twenty of those, where there are enough.
        Measure::DeadLetterErrors => vec![(1, seen.errors / 60)],
        Measure::UserErrors => vec![(1, seen.client_errors)],
        Measure::AsyncAge => ages(node, minute, seen.handled, 15_000),
        Measure::IteratorAge => ages(node, minute, seen.handled, 900_000),
        Measure::Recursion => vec![(1, stopped(node, minute, seen.handled))],
        Measure::Bytes => {
            let bytes = i64::try_from(seen.handled)
                .unwrap_or(i64::MAX)
                .saturating_mul(extra);
            vec![(bytes, u64::from(seen.handled > 0))]
        }
        Measure::ConsumedRead
        | Measure::ConsumedWrite
        | Measure::Utilization
        | Measure::Level(_)
        | Measure::AccountCapacity(_)
        | Measure::GreatestTable(_)
        | Measure::PartOfReadThrottles(_)
        | Measure::PartOfWriteThrottles(_)
        | Measure::PartOfWrites(_)
        | Measure::ProvisionedRead
        | Measure::ProvisionedWrite
        | Measure::ReadThrottles
        | Measure::WriteThrottles => Points::new(),
    };
    points.retain(|p| p.1 > 0);
    points
}

/// Occurrences at operations of tables.
fn sum_operations(
    region: &RegionModel,
    nodes: &[NodeId],
    measure: Measure,
    minute: i64,
    view: View,
) -> u64 {
    nodes
        .iter()
        .flat_map(|&id| {
            let arrival = Arrival::new(&region.lateness.dynamodb, region.nodes[id].key, minute);
            node_minute(region, id, measure, minute, view, &arrival, 0)
        })
        .map(|p| p.1)
        .sum()
}

/// How many requests to these operations were throttled for one reason.
fn throttled_because(
    region: &RegionModel,
    nodes: &[NodeId],
    why: Cause,
    minute: i64,
    view: View,
) -> u64 {
    let thousandths: u64 = nodes
        .iter()
        .map(|id| {
            let all = sum_operations(region, &[*id], Measure::SparseThrottles, minute, view);
            let share = match cause(&region.nodes[*id], minute) {
                Some(cause) => u64::from(cause == why) * 1000,
                // Where nobody says why there is some of each, so that every metric has values.
                None => match why {
                    Cause::KeyRange => 600,
                    Cause::Provisioned => 300,
                    Cause::Maximum => 200,
                    Cause::Account => 100,
                },
            };
            all * share
        })
        .sum();
    thousandths / 1000
}

/// What the tables have provisioned as a part of what the account may, in thousandths of a percent.
fn account_capacity(region: &RegionModel, row: &Row, minute: i64, view: View) -> Points {
    // AWS's default quotas, in capacity units of a region.
    const ACCOUNT: u64 = 80_000;
    const TABLE: u64 = 40_000;
    let visible = match view {
        View::Final => true,
        View::At(now) => now >= (minute + row.minutes) * MINUTE_MS,
    };
    if !visible || minute % row.minutes != 0 {
        return Points::new();
    }
    let (Measure::AccountCapacity(direction) | Measure::GreatestTable(direction)) = row.measure
    else {
        return Points::new();
    };
    let units = region
        .tables
        .iter()
        .filter(|table| alive(&table.settings.life, minute * MINUTE_MS))
        .filter_map(TableModel::provisioned)
        .map(|provisioned| match direction {
            Direction::Read => provisioned.read,
            Direction::Write => provisioned.write,
        });
    let part = if row.measure == Measure::AccountCapacity(direction) {
        fraction(units.sum(), 100_000, ACCOUNT)
    } else {
        fraction(units.max().unwrap_or(0), 100_000, TABLE)
    };
    vec![(i64::try_from(part).unwrap_or(i64::MAX), 1)]
}

/// Metrics of a whole table are made of those of its operations.
fn table_minute(
    region: &RegionModel,
    table: &TableModel,
    measure: Measure,
    minute: i64,
    view: View,
) -> Points {
    let settings = &table.settings;
    let (reads, writes) = table.operations.split_at(READS);
    let handled =
        |nodes: &[NodeId], measure: Measure| sum_operations(region, nodes, measure, minute, view);
    let one = |value: i64| {
        if value > 0 {
            vec![(value, 1)]
        } else {
            Points::new()
        }
    };
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let provisioned = |units: u64| {
        let visible = match view {
            View::Final => true,
            View::At(now) => now >= (minute + 1) * MINUTE_MS,
        };
        if minute % 5 == 0 && visible && alive(&settings.life, minute * MINUTE_MS) {
            vec![(whole(units), 1)]
        } else {
            Points::new()
        }
    };
    match measure {
        Measure::ConsumedRead => one(tenths(
            handled(reads, Measure::Handled),
            settings.read_units,
        )),
        Measure::ConsumedWrite => one(tenths(
            handled(writes, Measure::Handled),
            settings.write_units,
        )),
        Measure::ReadThrottles => counted(handled(reads, Measure::SparseThrottles)),
        Measure::WriteThrottles => counted(handled(writes, Measure::SparseThrottles)),
        Measure::PartOfReadThrottles(why) => {
            counted(throttled_because(region, reads, why, minute, view))
        }
        Measure::PartOfWriteThrottles(why) => {
            counted(throttled_because(region, writes, why, minute, view))
        }
        Measure::PartOfWrites(part) => {
            counted(fraction(handled(writes, Measure::Handled), part, 1000))
        }
        Measure::ProvisionedRead => table
            .provisioned()
            .map_or_else(Points::new, |p| provisioned(p.read)),
        Measure::ProvisionedWrite => table
            .provisioned()
            .map_or_else(Points::new, |p| provisioned(p.write)),
        _ => Points::new(),
    }
}

fn counted(count: u64) -> Points {
    if count > 0 {
        vec![(1, count)]
    } else {
        Points::new()
    }
}

/// Capacity units, in tenths.
#[expect(
    clippy::cast_possible_truncation,
    reason = "units of a minute are far below 2^53"
)]
fn tenths(requests: u64, units: f64) -> i64 {
    requests.cast_signed() * (units * 10.0).round() as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "units of a minute are far below 2^53"
)]
fn portion_of(value: i64, share: f64) -> i64 {
    (value as f64 * share) as i64
}

/// `count` times `part / whole`, in whole numbers.
fn fraction(count: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    u64::try_from(u128::from(count) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX)
}

/// The most that ran at once: the mean and a half, at least one.
fn concurrency(took: &Points) -> Points {
    let busy: i128 = took
        .iter()
        .map(|&(v, w)| i128::from(v) * i128::from(w))
        .sum();
    if busy == 0 {
        return Points::new();
    }
    let peak = busy * 3 / 2 / 60_000_000 + 1;
    vec![(i64::try_from(peak).unwrap_or(i64::MAX), 1)]
}

fn ages(node: &Node, minute: i64, count: u64, most_us: u64) -> Points {
    if count == 0 {
        return Points::new();
    }
    if let Some(behind) = lag_us(node, minute) {
        return vec![(behind, count)];
    }
    let age = 1000 + mix(mix(node.key, minute.cast_unsigned()), 0xa9e) % most_us;
    let age = i64::try_from(age).unwrap_or(i64::MAX);
    vec![(age, count - count / 10), (age * 3, count / 10)]
}
