//! What a query names, and all that a region has of it.

use super::super::account::Protocol;
use super::super::metrics::{DYNAMODB, Dims, Row};
use super::super::model::{OPERATIONS, RegionModel};
use super::{ALL_METHODS, INSTANCE_TYPE, STREAM_LABEL, Subject, alias, apis, numbers};

impl Subject {
    pub(super) fn find(region: &RegionModel, row: &Row, values: &[&str]) -> Option<Self> {
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

    pub(super) fn all(region: &RegionModel, row: &Row) -> Vec<Self> {
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
