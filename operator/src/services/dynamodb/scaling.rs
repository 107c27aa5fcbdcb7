//! Between what capacity is scaled automatically.

use std::sync::Arc;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ScalableTarget, ServiceNamespace};
use futures::FutureExt as _;

use super::facts::{SCALED_MAX_READ, SCALED_MAX_WRITE, SCALED_MIN_READ, SCALED_MIN_WRITE};
use super::settings::{Labels, setting};
use crate::aws::{AwsError, Pages};
use crate::services::Look;
use crate::services::found::Fact;

const ACTION: &str = "application-autoscaling:DescribeScalableTargets";

/// The bounds of all tables and indexes of the region.
pub async fn bounds(look: &Look<'_>) -> (Vec<Fact>, Option<AwsError>) {
    let read = async {
        let mut facts = Vec::new();
        let mut next = None;
        let mut pages = Pages::of(ACTION);
        loop {
            let request = look
                .aws
                .autoscaling
                .describe_scalable_targets()
                .service_namespace(ServiceNamespace::Dynamodb)
                .set_next_token(next);
            let page = look.aws.call(ACTION, request.send()).await?;
            facts.extend(page.scalable_targets().iter().flat_map(of_target));
            next = pages.after(page.next_token())?;
            if next.is_none() {
                return Ok(facts);
            }
        }
    }
    .boxed();
    look.memory.facts(ACTION.to_owned(), read).await
}

fn of_target(target: &ScalableTarget) -> Vec<Fact> {
    let parts: Vec<&str> = target.resource_id().split('/').collect();
    let labels: Labels = match parts[..] {
        ["table", table] => vec![("table_name", Arc::from(table))],
        ["table", table, "index", index] => vec![
            ("table_name", Arc::from(table)),
            ("global_secondary_index_name", Arc::from(index)),
        ],
        _ => return Vec::new(),
    };
    let (least, most) = match target.scalable_dimension() {
        ScalableDimension::DynamoDbTableReadCapacityUnits
        | ScalableDimension::DynamoDbIndexReadCapacityUnits => (&SCALED_MIN_READ, &SCALED_MAX_READ),
        ScalableDimension::DynamoDbTableWriteCapacityUnits
        | ScalableDimension::DynamoDbIndexWriteCapacityUnits => {
            (&SCALED_MIN_WRITE, &SCALED_MAX_WRITE)
        }
        _ => return Vec::new(),
    };
    let bounds = [
        (least, target.min_capacity()),
        (most, target.max_capacity()),
    ];
    let facts = bounds.into_iter();
    facts
        .filter_map(|(family, units)| setting(family, &labels, Some(i64::from(units))))
        .collect()
}
