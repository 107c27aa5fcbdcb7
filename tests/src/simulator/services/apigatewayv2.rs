//! API Gateway's HTTP APIs.

use serde_json::{Value, json};

use super::{Outcome, page_size, tags, unplayed};
use crate::simulator::account::{ApiStage, Protocol};
use crate::simulator::api::{ApiError, Context, page, read_token, text, token};
use crate::simulator::model::{ApiModel, alive};
use crate::simulator::wire::Reply;

const DATE: &str = "2026-01-01T00:00:00Z";

/// Operations by path.
pub fn route<'p>(path: &[&'p str]) -> Option<(&'static str, Vec<(&'static str, &'p str)>)> {
    Some(match path {
        ["v2", "apis"] => ("GetApis", vec![]),
        ["v2", "apis", id] => ("GetApi", vec![("api_id", id)]),
        ["v2", "apis", id, "stages"] => ("GetStages", vec![("api_id", id)]),
        ["v2", "apis", id, "routes"] => ("GetRoutes", vec![("api_id", id)]),
        ["v2", "apis", id, "integrations"] => ("GetIntegrations", vec![("api_id", id)]),
        _ => return None,
    })
}

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    let answer = match operation {
        "GetApis" => {
            let apis: Vec<Value> = living(context)
                .into_iter()
                .map(|a| show(context, a))
                .collect();
            list(input, &apis)?
        }
        "GetApi" => show(context, find(context, input)?),
        "GetStages" => {
            let stages: Vec<Value> = find(context, input)?
                .settings
                .stages
                .iter()
                .map(|s| stage(context, s))
                .collect();
            list(input, &stages)?
        }
        "GetRoutes" => list(input, &routes(find(context, input)?))?,
        "GetIntegrations" => list(input, &integrations(context, find(context, input)?))?,
        _ => return Err(unplayed("apigatewayv2", operation)),
    };
    Ok(Reply::Data(answer))
}

fn list(input: &Value, items: &[Value]) -> Result<Value, ApiError> {
    let bad = |what: &str| ApiError::caller("BadRequestException", format!("Invalid {what}"));
    let size = page_size(input, "maxResults", 100, 500).ok_or_else(|| bad("maxResults"))?;
    let start = match text(input, "nextToken") {
        None => 0,
        Some(next) => read_token("apigatewayv2", next).ok_or_else(|| bad("nextToken"))?,
    };
    let (shown, next) = page(items, start, size);
    let mut answer = json!({"items": shown});
    if let Some(next) = next {
        answer["nextToken"] = json!(token("apigatewayv2", next));
    }
    Ok(answer)
}

fn living<'a>(context: &Context<'a>) -> Vec<&'a ApiModel> {
    let now = context.now_ms;
    context
        .region
        .http_apis
        .iter()
        .filter(|a| alive(&a.settings.life, now))
        .collect()
}

fn find<'a>(context: &Context<'a>, input: &Value) -> Result<&'a ApiModel, ApiError> {
    let id = text(input, "api_id").unwrap_or_default();
    living(context)
        .into_iter()
        .find(|a| a.settings.id == id)
        .ok_or_else(|| {
            ApiError::with_status(
                404,
                "NotFoundException",
                format!(
                    "Invalid API identifier specified {}:{id}",
                    context.account.id
                ),
            )
        })
}

fn show(context: &Context, api: &ApiModel) -> Value {
    let settings = &api.settings;
    json!({
        "apiId": settings.id,
        "name": settings.name.value,
        "apiEndpoint": format!("https://{}.execute-api.{}.amazonaws.com", settings.id, context.region_name),
        "protocolType": match settings.protocol {
            Protocol::Http => "HTTP",
            Protocol::Websocket => "WEBSOCKET",
        },
        "routeSelectionExpression": "$request.method $request.path",
        "apiKeySelectionExpression": "$request.header.x-api-key",
        "createdDate": DATE,
        "disableExecuteApiEndpoint": false,
        "tags": tags(context, &settings.tags, settings.stack.as_ref(), &settings.name.value),
    })
}

fn stage(context: &Context, stage: &ApiStage) -> Value {
    let mut settings = json!({"detailedMetricsEnabled": stage.detailed});
    if let Some(rate) = stage.throttle_rate {
        settings["throttlingRateLimit"] = json!(rate);
        settings["throttlingBurstLimit"] = json!(rate);
    }
    json!({
        "stageName": stage.name,
        "autoDeploy": true,
        "createdDate": DATE,
        "lastUpdatedDate": DATE,
        "defaultRouteSettings": settings,
        "routeSettings": {},
        "stageVariables": {},
        "tags": tags(context, &stage.tags, None, &stage.name),
    })
}

fn routes(api: &ApiModel) -> Vec<Value> {
    let functions = api
        .settings
        .calls
        .iter()
        .filter_map(|c| c.function.as_ref());
    functions
        .enumerate()
        .map(|(number, function)| {
            json!({
                "routeId": format!("r{number}"),
                "routeKey": format!("ANY /{}", function.value),
                "target": format!("integrations/i{number}"),
                "authorizationType": "NONE",
                "apiKeyRequired": false,
            })
        })
        .collect()
}

fn integrations(context: &Context, api: &ApiModel) -> Vec<Value> {
    let functions = api
        .settings
        .calls
        .iter()
        .filter_map(|c| c.function.as_ref());
    functions
        .enumerate()
        .map(|(number, function)| {
            json!({
                "integrationId": format!("i{number}"),
                "integrationType": "AWS_PROXY",
                "integrationMethod": "POST",
                "integrationUri": context.arn("lambda", &format!("function:{}", function.value)),
                "connectionType": "INTERNET",
                "payloadFormatVersion": "2.0",
                "timeoutInMillis": 30_000,
            })
        })
        .collect()
}
