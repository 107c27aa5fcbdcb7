//! Application Auto Scaling: between what tables and their indexes are scaled.

use serde_json::{Value, json};

use super::{Outcome, page_size, unplayed};
use crate::simulator::api::{ApiError, Context, text};
use crate::simulator::model::alive;
use crate::simulator::wire::Reply;

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    if operation != "DescribeScalableTargets" {
        return Err(unplayed("application-autoscaling", operation));
    }
    let invalid = |message: &str| ApiError::caller("ValidationException", message);
    let namespace = text(input, "ServiceNamespace").ok_or_else(|| {
        invalid("1 validation error detected: 'serviceNamespace' must not be null")
    })?;
    let size = page_size(input, "MaxResults", 50, 50)
        .ok_or_else(|| invalid("'maxResults' must be between 1 and 50"))?;
    let targets = if namespace == "dynamodb" {
        targets(context)
    } else {
        Vec::new()
    };
    let from: usize = match text(input, "NextToken") {
        None => 0,
        Some(token) => token
            .parse()
            .map_err(|_| ApiError::caller("InvalidNextTokenException", "The token is invalid."))?,
    };
    let shown: Vec<&Value> = targets.iter().skip(from).take(size).collect();
    let mut answer = json!({"ScalableTargets": shown});
    if from + size < targets.len() {
        answer["NextToken"] = json!((from + size).to_string());
    }
    Ok(Reply::Data(answer))
}

fn targets(context: &Context) -> Vec<Value> {
    let tables = context.region.tables.iter();
    let alive = tables.filter(|table| alive(&table.settings.life, context.now_ms));
    let mut targets = Vec::new();
    for table in alive {
        let Some(scaling) = table.settings.auto_scaling else {
            continue;
        };
        let of_table = format!("table/{}", table.name);
        let of_indexes = table.settings.indexes.iter();
        let of_indexes = of_indexes.map(|i| ("index", format!("{of_table}/index/{}", i.value)));
        for (kind, id) in std::iter::once(("table", of_table.clone())).chain(of_indexes) {
            let (min, max) = (scaling.min, scaling.max);
            for (units, min, max) in [
                ("Read", min.read, max.read),
                ("Write", min.write, max.write),
            ] {
                targets.push(json!({
                    "ServiceNamespace": "dynamodb",
                    "ResourceId": id,
                    "ScalableDimension": format!("dynamodb:{kind}:{units}CapacityUnits"),
                    "MinCapacity": min,
                    "MaxCapacity": max,
                    "RoleARN": context.arn("iam", "role/scaling"),
                    "CreationTime": 1_767_225_600,
                    "SuspendedState": {
                        "DynamicScalingInSuspended": false,
                        "DynamicScalingOutSuspended": false,
                        "ScheduledScalingSuspended": false,
                    },
                }));
            }
        }
    }
    targets
}
