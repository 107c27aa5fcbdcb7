//! What AWS takes for a call of `GetMetricData`, and what it refuses.

use std::collections::HashSet;

use serde_json::Value;

use super::{Position, Query, Request};
use crate::simulator::api::{ApiError, integer, list, text};
use crate::simulator::stats::Stat;

/// Most queries of one call.
const MAX_QUERIES: usize = 500;
/// Most datapoints of one answer.
const MAX_DATAPOINTS: usize = 100_800;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::caller("ValidationError", message)
}

pub(super) fn required(field: &str) -> ApiError {
    invalid(format!("The parameter {field} is required."))
}

impl<'v> Request<'v> {
    /// Checks a call as AWS does.
    pub fn parse(input: &'v Value) -> Result<Self, ApiError> {
        let start = integer(input, "StartTime").ok_or_else(|| required("StartTime"))?;
        let end = integer(input, "EndTime").ok_or_else(|| required("EndTime"))?;
        let queries = list(input, "MetricDataQueries");
        if queries.is_empty() {
            return Err(required("MetricDataQueries"));
        }
        if queries.len() > MAX_QUERIES {
            return Err(invalid(format!(
                "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
            )));
        }
        if start >= end {
            return Err(invalid(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        let mut ids = HashSet::new();
        let queries = queries
            .iter()
            .map(|q| {
                let query = Query::parse(q)?;
                if ids.insert(query.id) {
                    Ok(query)
                } else {
                    Err(invalid(
                        "The values for parameter id in MetricDataQueries are not unique.",
                    ))
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !queries.iter().any(|q| q.returned) {
            return Err(invalid("At least one query must return data (ReturnData)."));
        }
        let max_datapoints = match integer(input, "MaxDatapoints") {
            None => MAX_DATAPOINTS,
            Some(most) => usize::try_from(most)
                .ok()
                .filter(|m| (1..=MAX_DATAPOINTS).contains(m))
                .ok_or_else(|| {
                    invalid(format!(
                        "The parameter MaxDatapoints must be between 1 and {MAX_DATAPOINTS}."
                    ))
                })?,
        };
        let ascending = match text(input, "ScanBy") {
            None | Some("TimestampDescending") => false,
            Some("TimestampAscending") => true,
            Some(other) => {
                return Err(invalid(format!(
                    "The value {other} for parameter ScanBy is not supported."
                )));
            }
        };
        let from = match text(input, "NextToken") {
            None => Position::default(),
            Some(token) => Position::read(token).ok_or_else(|| {
                ApiError::caller("InvalidNextToken", "The next token is invalid.")
            })?,
        };
        Ok(Self {
            start,
            end,
            queries,
            ascending,
            max_datapoints,
            from,
        })
    }
}

impl<'v> Query<'v> {
    fn parse(input: &'v Value) -> Result<Self, ApiError> {
        let id = text(input, "Id").ok_or_else(|| required("MetricDataQueries.member.Id"))?;
        let good = id.len() <= 255
            && id.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            return Err(invalid(format!(
                "The value {id} for parameter MetricDataQueries.member.Id is not valid: it must begin with a \
                 lowercase letter and contain only letters, digits and underscores."
            )));
        }
        let metric_stat = match (
            input.get("MetricStat").filter(|m| !m.is_null()),
            text(input, "Expression"),
        ) {
            (Some(metric), None) => metric,
            (None, None) => return Err(invalid("Either MetricStat or Expression is required.")),
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "MetricStat and Expression must not be used together.",
                ));
            }
            (None, Some(expression)) => {
                return Err(invalid(format!(
                    "Error in expression '{id}': the simulator does not play expressions: {expression}"
                )));
            }
        };
        let metric = metric_stat
            .get("Metric")
            .ok_or_else(|| required("MetricStat.Metric"))?;
        let period = integer(metric_stat, "Period").ok_or_else(|| required("MetricStat.Period"))?;
        let whole = period >= 60 && period % 60 == 0;
        if !whole && ![1, 5, 10, 20, 30].contains(&period) {
            return Err(invalid(format!(
                "The value {period} for parameter Period is not valid: it must be 1, 5, 10, 20, 30 or a multiple of 60."
            )));
        }
        let stat_text = text(metric_stat, "Stat").ok_or_else(|| required("MetricStat.Stat"))?;
        let stat = Stat::parse(stat_text).ok_or_else(|| {
            invalid(format!(
                "The value {stat_text} for parameter Stat is not supported."
            ))
        })?;
        let dimensions = list(metric, "Dimensions")
            .iter()
            .map(|d| Some((text(d, "Name")?, text(d, "Value")?)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| required("Dimensions.member.Value"))?;
        Ok(Self {
            id,
            namespace: text(metric, "Namespace").ok_or_else(|| required("Metric.Namespace"))?,
            metric: text(metric, "MetricName").ok_or_else(|| required("Metric.MetricName"))?,
            dimensions,
            period,
            stat,
            stat_text,
            label: text(input, "Label"),
            returned: input
                .get("ReturnData")
                .and_then(Value::as_bool)
                .unwrap_or(true),
        })
    }
}
