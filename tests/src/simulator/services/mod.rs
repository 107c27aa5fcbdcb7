//! The control planes that discovery reads, one file per AWS service.
//!
//! Each service is a function of (context, operation, input); `route` says which operation a REST
//! path is. Only what exists now is shown: resources with a `life` come and go.

pub mod apigateway;
pub mod apigatewayv2;
pub mod autoscaling;
pub mod cloudformation;
pub mod dynamodb;
pub mod inventory;
pub mod lambda;
pub mod sts;
pub mod tagging;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::api::{ApiError, Context};
use super::wire::Reply;

/// Result of an operation.
pub type Outcome = Result<Reply, ApiError>;

/// An operation that a REST request names: service, operation, and what its path and query say.
pub struct Routed {
    /// Service as the API names have it.
    pub service: &'static str,
    /// Operation.
    pub operation: &'static str,
    /// Path and query parameters.
    pub input: Value,
}

/// Finds the operation of a REST request.
pub fn route(method: &str, path: &[String], query: &[(String, String)]) -> Option<Routed> {
    if method != "GET" {
        return None;
    }
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let (service, (operation, fields)) = lambda::route(&parts)
        .map(|r| ("lambda", r))
        .or_else(|| apigatewayv2::route(&parts).map(|r| ("apigatewayv2", r)))
        .or_else(|| apigateway::route(&parts).map(|r| ("apigateway", r)))?;
    let mut input = Map::new();
    for (name, value) in query {
        input.insert(name.clone(), json!(value));
    }
    for (name, value) in fields {
        input.insert(name.to_owned(), json!(value));
    }
    Some(Routed {
        service,
        operation,
        input: Value::Object(input),
    })
}

/// Carries an operation out.
pub fn call(context: &Context, service: &str, operation: &str, input: &Value) -> Outcome {
    match service {
        "lambda" => lambda::call(context, operation, input),
        "dynamodb" => dynamodb::call(context, operation, input),
        "apigateway" => apigateway::call(context, operation, input),
        "apigatewayv2" => apigatewayv2::call(context, operation, input),
        "application-autoscaling" => autoscaling::call(context, operation, input),
        "tag" => tagging::call(context, operation, input),
        "cloudformation" => cloudformation::call(context, operation, input),
        "sts" => sts::call(context, operation, input),
        _ => Err(unplayed(service, operation)),
    }
}

/// The answer to an operation that the simulator does not know.
pub fn unplayed(service: &str, operation: &str) -> ApiError {
    ApiError::caller(
        "UnknownOperationException",
        format!("the simulator does not play {service}:{operation}"),
    )
}

/// Tags of a resource with those that `CloudFormation` adds.
pub fn tags(
    context: &Context,
    tags: &BTreeMap<String, String>,
    stack: Option<&String>,
    logical: &str,
) -> BTreeMap<String, String> {
    let mut all = tags.clone();
    if let Some(stack) = stack {
        all.insert("aws:cloudformation:stack-name".to_owned(), stack.clone());
        all.insert(
            "aws:cloudformation:stack-id".to_owned(),
            cloudformation::stack_id(context, stack),
        );
        all.insert(
            "aws:cloudformation:logical-id".to_owned(),
            cloudformation::logical_id(logical),
        );
    }
    all
}

/// A page size from a request's text or number, between 1 and `most`.
pub fn page_size(input: &Value, field: &str, default: usize, most: usize) -> Option<usize> {
    let size = match input.get(field) {
        None | Some(Value::Null) => return Some(default),
        Some(Value::String(text)) => text.parse().ok()?,
        Some(number) => usize::try_from(number.as_i64()?).ok()?,
    };
    (size >= 1).then_some(size.min(most))
}
