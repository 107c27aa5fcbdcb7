//! API Gateway's REST APIs.

use serde_json::{Value, json};

use super::{Outcome, page_size, tags, unplayed};
use crate::simulator::account::ApiStage;
use crate::simulator::api::{ApiError, Context, page, read_token, text, token};
use crate::simulator::model::{ApiModel, alive};
use crate::simulator::random;
use crate::simulator::wire::Reply;

/// Operations by path.
pub fn route<'p>(path: &[&'p str]) -> Option<(&'static str, Vec<(&'static str, &'p str)>)> {
    Some(match path {
        ["restapis"] => ("GetRestApis", vec![]),
        ["restapis", id] => ("GetRestApi", vec![("restapi_id", id)]),
        ["restapis", id, "stages"] => ("GetStages", vec![("restapi_id", id)]),
        ["restapis", id, "stages", stage] => {
            ("GetStage", vec![("restapi_id", id), ("stage_name", stage)])
        }
        ["restapis", id, "resources"] => ("GetResources", vec![("restapi_id", id)]),
        ["account"] => ("GetAccount", vec![]),
        _ => return None,
    })
}

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    let answer = match operation {
        "GetRestApis" => {
            let apis = living(context);
            list(input, &apis, |api| show(context, api))?
        }
        "GetRestApi" => show(context, find(context, input)?),
        "GetStages" => {
            let api = find(context, input)?;
            json!({"item": api.settings.stages.iter().map(|s| stage(context, s)).collect::<Vec<_>>()})
        }
        "GetStage" => {
            let wanted = text(input, "stage_name").unwrap_or_default();
            let found = find(context, input)?
                .settings
                .stages
                .iter()
                .find(|s| s.name == wanted);
            stage(context, found.ok_or_else(|| not_found("stage"))?)
        }
        "GetResources" => {
            let api = find(context, input)?;
            let resources = resources(context, api);
            list(input, &resources, Value::clone)?
        }
        "GetAccount" => json!({"throttleSettings": {"burstLimit": 5000, "rateLimit": 10000.0}}),
        _ => return Err(unplayed("apigateway", operation)),
    };
    Ok(Reply::Data(answer))
}

fn list<T>(input: &Value, items: &[T], show: impl Fn(&T) -> Value) -> Result<Value, ApiError> {
    let bad =
        |what: &str| ApiError::caller("BadRequestException", format!("Invalid {what} parameter"));
    let size = page_size(input, "limit", 25, 500).ok_or_else(|| bad("limit"))?;
    let start = match text(input, "position") {
        None => 0,
        Some(position) => read_token("apigateway", position).ok_or_else(|| bad("position"))?,
    };
    let (shown, next) = page(items, start, size);
    let mut answer = json!({"item": shown.iter().map(show).collect::<Vec<_>>()});
    if let Some(next) = next {
        answer["position"] = json!(token("apigateway", next));
    }
    Ok(answer)
}

fn living<'a>(context: &Context<'a>) -> Vec<&'a ApiModel> {
    let now = context.now_ms;
    context
        .region
        .rest_apis
        .iter()
        .filter(|a| alive(&a.settings.life, now))
        .collect()
}

fn not_found(what: &str) -> ApiError {
    ApiError::with_status(
        404,
        "NotFoundException",
        format!("Invalid {what} identifier specified"),
    )
}

fn find<'a>(context: &Context<'a>, input: &Value) -> Result<&'a ApiModel, ApiError> {
    let id = text(input, "restapi_id").unwrap_or_default();
    living(context)
        .into_iter()
        .find(|a| a.settings.id == id)
        .ok_or_else(|| not_found("API"))
}

fn show(context: &Context, api: &ApiModel) -> Value {
    let settings = &api.settings;
    json!({
        "id": settings.id,
        "name": settings.name.value,
        "createdDate": 1_767_225_600,
        "apiKeySource": "HEADER",
        "endpointConfiguration": {"types": ["REGIONAL"]},
        "disableExecuteApiEndpoint": false,
        "tags": tags(context, &settings.tags, settings.stack.as_ref(), &settings.name.value),
    })
}

fn stage(context: &Context, stage: &ApiStage) -> Value {
    let mut shown = json!({
        "stageName": stage.name,
        "deploymentId": format!("{:06x}", random::text(&stage.name) & 0xff_ffff),
        "cacheClusterEnabled": stage.cache,
        "cacheClusterStatus": if stage.cache { "AVAILABLE" } else { "NOT_AVAILABLE" },
        "methodSettings": {},
        "tracingEnabled": stage.tracing,
        "createdDate": 1_767_225_600,
        "lastUpdatedDate": 1_785_000_000,
        "tags": tags(context, &stage.tags, None, &stage.name),
    });
    if stage.cache {
        shown["cacheClusterSize"] = json!("0.5");
    }
    if stage.throttle_rate.is_some() || stage.detailed {
        // -1 is no limit of the stage's own.
        let rate = stage.throttle_rate.unwrap_or(-1.0);
        shown["methodSettings"] = json!({"*/*": {
            "throttlingRateLimit": rate,
            "throttlingBurstLimit": if rate < 0.0 { -1.0 } else { rate * 2.0 },
            "metricsEnabled": stage.detailed,
            "dataTraceEnabled": false,
            "cachingEnabled": stage.cache,
        }});
    }
    shown
}

/// A root and one proxy resource whose method names the function behind it.
fn resources(context: &Context, api: &ApiModel) -> Vec<Value> {
    let id = &api.settings.id;
    let mut resources = vec![json!({"id": format!("{id}r"), "path": "/"})];
    for (number, call) in api.settings.calls.iter().enumerate() {
        let Some(function) = &call.function else {
            continue;
        };
        let arn = context.arn("lambda", &format!("function:{}", function.value));
        let uri = format!(
            "arn:aws:apigateway:{}:lambda:path/2015-03-31/functions/{arn}/invocations",
            context.region_name
        );
        resources.push(json!({
            "id": format!("{id}{number}"),
            "parentId": format!("{id}r"),
            "pathPart": function.value,
            "path": format!("/{}", function.value),
            "resourceMethods": {"ANY": {
                "httpMethod": "ANY",
                "authorizationType": "NONE",
                "apiKeyRequired": false,
                "methodIntegration": {"type": "AWS_PROXY", "httpMethod": "POST", "uri": uri, "timeoutInMillis": 29_000},
            }},
        }));
    }
    resources
}
