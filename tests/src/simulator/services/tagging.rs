//! The Resource Groups Tagging API.

use serde_json::{Value, json};

use super::inventory::{Resource, resources};
use super::{Outcome, page_size, unplayed};
use crate::simulator::api::{ApiError, Context, list, page, read_token, text, token};
use crate::simulator::wire::Reply;

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    match operation {
        "GetResources" => Ok(Reply::Data(get_resources(context, input)?)),
        _ => Err(unplayed("tag", operation)),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::caller("InvalidParameterException", message)
}

fn get_resources(context: &Context, input: &Value) -> Result<Value, ApiError> {
    let filters = list(input, "TagFilters");
    let types = list(input, "ResourceTypeFilters");
    let arns: Vec<&str> = list(input, "ResourceARNList")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let start = match text(input, "PaginationToken") {
        None | Some("") => 0,
        Some(next) => read_token("tag", next).ok_or_else(|| {
            ApiError::caller(
                "PaginationTokenExpiredException",
                "The pagination token is invalid or expired.",
            )
        })?,
    };
    if filters.len() > 50 {
        return Err(invalid("TagFilters must have at most 50 items."));
    }
    if !arns.is_empty() && (!filters.is_empty() || !types.is_empty() || start > 0) {
        return Err(invalid(
            "ResourceARNList cannot be combined with filters or pagination.",
        ));
    }
    if arns.len() > 100 {
        return Err(invalid("ResourceARNList must have at most 100 items."));
    }
    let size = page_size(input, "ResourcesPerPage", 50, 100)
        .ok_or_else(|| invalid("ResourcesPerPage must be between 1 and 100."))?;
    for filter in filters {
        if text(filter, "Key").is_none_or(str::is_empty) {
            return Err(invalid("A tag filter needs a key."));
        }
        if list(filter, "Values").len() > 20 {
            return Err(invalid("A tag filter must have at most 20 values."));
        }
    }
    // Resources that never had a tag are unknown to this API.
    let mut found: Vec<Resource> = resources(context)
        .into_iter()
        .filter(|r| !r.tags.is_empty())
        .collect();
    found.retain(|r| arns.is_empty() || arns.contains(&r.arn.as_str()));
    found.retain(|r| {
        types.is_empty()
            || types
                .iter()
                .filter_map(Value::as_str)
                .any(|t| of_type(r, t))
    });
    found.retain(|r| filters.iter().all(|f| tagged(r, f)));
    found.sort_by(|a, b| a.arn.cmp(&b.arn));
    let (shown, next) = page(&found, start, size);
    let shown: Vec<Value> = shown
        .iter()
        .map(|r| {
            let tags: Vec<Value> = r
                .tags
                .iter()
                .map(|(k, v)| json!({"Key": k, "Value": v}))
                .collect();
            json!({"ResourceARN": r.arn, "Tags": tags})
        })
        .collect();
    Ok(json!({
        "ResourceTagMappingList": shown,
        "PaginationToken": next.map_or_else(String::new, |n| token("tag", n)),
    }))
}

/// A filter names a service or a service and a type.
fn of_type(resource: &Resource, filter: &str) -> bool {
    resource.kind == filter || resource.kind.split(':').next() == Some(filter)
}

fn tagged(resource: &Resource, filter: &Value) -> bool {
    let values = list(filter, "Values");
    let key = text(filter, "Key").unwrap_or_default();
    resource
        .tags
        .get(key)
        .is_some_and(|value| values.is_empty() || values.iter().any(|v| v.as_str() == Some(value)))
}
