//! `ListMetrics`: which series there are, of late or at all.

use serde_json::{Value, json};

use super::parse::required;
use crate::simulator::api::{ApiError, Context, list, read_token, text, token};
use crate::simulator::lateness::View;
use crate::simulator::metrics::{DYNAMODB, LAMBDA, Measure, ROWS};
use crate::simulator::model::RegionModel;
use crate::simulator::series::Series;
use crate::simulator::traffic::MINUTE_MS;

/// `ListMetrics`.
pub fn list_metrics(context: &Context, input: &Value) -> Result<Value, ApiError> {
    const PAGE: usize = 500;
    let namespace = text(input, "Namespace");
    let name = text(input, "MetricName");
    let filters = list(input, "Dimensions")
        .iter()
        .map(|f| {
            Ok((
                text(f, "Name").ok_or_else(|| required("Dimensions.member.Name"))?,
                text(f, "Value"),
            ))
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    if filters.len() > 10 {
        return Err(ApiError::caller(
            "InvalidParameterValue",
            "The collection Dimensions must not have a size greater than 10.",
        ));
    }
    let recent = match text(input, "RecentlyActive") {
        None => None,
        Some("PT3H") => Some(180),
        Some(other) => {
            return Err(ApiError::caller(
                "InvalidParameterValue",
                format!("The value {other} for parameter RecentlyActive is not supported."),
            ));
        }
    };
    let start = match text(input, "NextToken") {
        None => 0,
        Some(text) => read_token("metrics", text).ok_or_else(|| {
            ApiError::caller("InvalidParameterValue", "The next token is invalid.")
        })?,
    };
    let region = context.region;
    let now = context.now_ms / MINUTE_MS;
    let rows: Vec<bool> = ROWS
        .iter()
        .map(|row| {
            namespace.is_none_or(|n| n == row.namespace) && name.is_none_or(|n| n == row.name)
        })
        .collect();
    let mut metrics = Vec::new();
    let mut next = None;
    for (position, series) in Series::all(region).enumerate().skip(start) {
        if !rows[series.row] {
            continue;
        }
        let dimensions = series.dimensions(region);
        let fits = filters.iter().all(|(name, value)| {
            dimensions
                .iter()
                .any(|d| d.0 == *name && value.is_none_or(|v| v == d.1))
        });
        if !fits || !listed(region, &series, now, recent) {
            continue;
        }
        if metrics.len() == PAGE {
            next = Some(token("metrics", position));
            break;
        }
        let dimensions: Vec<Value> = dimensions
            .into_iter()
            .map(|(name, value)| json!({"Name": name, "Value": value}))
            .collect();
        metrics.push(json!({
            "Namespace": series.metric().namespace,
            "MetricName": series.metric().name,
            "Dimensions": dimensions,
        }));
    }
    let mut answer = json!({"Metrics": metrics});
    if let Some(token) = next {
        answer["NextToken"] = json!(token);
    }
    Ok(answer)
}

/// `CloudWatch` forgets to list what had no data for two weeks, or for three hours on request.
fn listed(region: &RegionModel, series: &Series, now: i64, recent: Option<i64>) -> bool {
    if matches!(
        series.metric().measure,
        Measure::ProvisionedRead
            | Measure::ProvisionedWrite
            | Measure::Level(_)
            | Measure::AccountCapacity(_)
            | Measure::GreatestTable(_)
    ) {
        return true;
    }
    let minutes = recent.unwrap_or(14 * 1440);
    let lateness = match series.metric().namespace {
        DYNAMODB => &region.lateness.dynamodb,
        LAMBDA => &region.lateness.lambda,
        _ => &region.lateness.apigateway,
    };
    let newest = lateness.listing.ms / MINUTE_MS;
    (newest..minutes).any(|back| {
        !series
            .minute(region, now - 1 - back, View::Final)
            .is_empty()
    })
}
