//! Lambda's control plane.

use serde_json::{Value, json};

use super::{Outcome, page_size, tags, unplayed};
use crate::simulator::account::SourceKind;
use crate::simulator::api::{ApiError, Context, page, read_token, text, token};
use crate::simulator::model::{FunctionModel, Mapping, alive};
use crate::simulator::random;
use crate::simulator::wire::Reply;

const PAGE: usize = 50;

/// Lambda's operations by path.
pub fn route<'p>(path: &[&'p str]) -> Option<(&'static str, Vec<(&'static str, &'p str)>)> {
    Some(match path {
        ["2015-03-31", "functions"] | ["2015-03-31", "functions", ""] => ("ListFunctions", vec![]),
        ["2015-03-31", "functions", name] => ("GetFunction", vec![("FunctionName", name)]),
        ["2015-03-31", "functions", name, "configuration"] => {
            ("GetFunctionConfiguration", vec![("FunctionName", name)])
        }
        ["2015-03-31", "functions", name, "aliases"] => {
            ("ListAliases", vec![("FunctionName", name)])
        }
        ["2015-03-31", "functions", name, "versions"] => {
            ("ListVersionsByFunction", vec![("FunctionName", name)])
        }
        ["2019-09-30", "functions", name, "concurrency"] => {
            ("GetFunctionConcurrency", vec![("FunctionName", name)])
        }
        ["2019-09-30", "functions", name, "provisioned-concurrency"] => (
            "ListProvisionedConcurrencyConfigs",
            vec![("FunctionName", name)],
        ),
        ["2015-03-31", "event-source-mappings"] | ["2015-03-31", "event-source-mappings", ""] => {
            ("ListEventSourceMappings", vec![])
        }
        ["2016-08-19", "account-settings"] | ["2016-08-19", "account-settings", ""] => {
            ("GetAccountSettings", vec![])
        }
        ["2017-03-31", "tags", arn] => ("ListTags", vec![("Resource", arn)]),
        _ => return None,
    })
}

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    let answer = match operation {
        "ListFunctions" => list_functions(context, input)?,
        "GetFunction" => {
            let function = find(context, input)?;
            let mut answer = json!({
                "Configuration": configuration_and_state(context, function),
                "Code": {"RepositoryType": "S3"},
                "Tags": tags(context, &function.settings.tags, function.settings.stack.as_ref(), &function.name),
            });
            if let Some(reserved) = function.settings.reserved_concurrency {
                answer["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
            }
            answer
        }
        "GetFunctionConfiguration" => configuration_and_state(context, find(context, input)?),
        "GetFunctionConcurrency" => match find(context, input)?.settings.reserved_concurrency {
            Some(reserved) => json!({"ReservedConcurrentExecutions": reserved}),
            None => json!({}),
        },
        "ListAliases" => {
            let function = find(context, input)?;
            let alias = function.settings.alias.iter().map(|alias| {
                let arn = format!("function:{}:{}", function.name, alias.name);
                json!({"Name": alias.name, "FunctionVersion": "1", "AliasArn": context.arn("lambda", &arn)})
            });
            json!({"Aliases": alias.collect::<Vec<_>>()})
        }
        "ListVersionsByFunction" => {
            let function = find(context, input)?;
            let latest = configuration(context, function);
            let mut versions = vec![latest.clone()];
            // What the alias points to.
            if function.settings.alias.is_some() {
                let mut first = latest;
                first["Version"] = json!("1");
                first["FunctionArn"] =
                    json!(context.arn("lambda", &format!("function:{}:1", function.name)));
                versions.push(first);
            }
            json!({"Versions": versions})
        }
        "ListProvisionedConcurrencyConfigs" => {
            let function = find(context, input)?;
            let configs = function.settings.alias.iter().filter_map(|alias| {
                let provisioned = alias.provisioned?;
                let arn = format!("function:{}:{}", function.name, alias.name);
                Some(json!({
                    "FunctionArn": context.arn("lambda", &arn),
                    "RequestedProvisionedConcurrentExecutions": provisioned,
                    "AvailableProvisionedConcurrentExecutions": provisioned,
                    "AllocatedProvisionedConcurrentExecutions": provisioned,
                    "Status": "READY",
                    "LastModified": "2025-06-01T09:00:00+0000",
                }))
            });
            json!({"ProvisionedConcurrencyConfigs": configs.collect::<Vec<_>>()})
        }
        "ListEventSourceMappings" => list_mappings(context, input)?,
        "GetAccountSettings" => account_settings(context),
        "ListTags" => {
            let function = find_named(context, text(input, "Resource").unwrap_or_default())?;
            json!({"Tags": tags(context, &function.settings.tags, function.settings.stack.as_ref(), &function.name)})
        }
        _ => return Err(unplayed("lambda", operation)),
    };
    Ok(Reply::Data(answer))
}

fn invalid_parameter(message: &str) -> ApiError {
    ApiError::caller("InvalidParameterValueException", message)
}

fn start(input: &Value) -> Result<usize, ApiError> {
    match text(input, "Marker") {
        None | Some("") => Ok(0),
        Some(marker) => read_token("lambda", marker)
            .ok_or_else(|| invalid_parameter("The provided marker is invalid.")),
    }
}

fn living<'a>(context: &Context<'a>) -> Vec<&'a FunctionModel> {
    let now = context.now_ms;
    context
        .region
        .functions
        .iter()
        .filter(|f| alive(&f.settings.life, now))
        .collect()
}

fn list_functions(context: &Context, input: &Value) -> Result<Value, ApiError> {
    let size = page_size(input, "MaxItems", PAGE, PAGE)
        .ok_or_else(|| invalid_parameter("MaxItems must be at least 1."))?;
    let functions = living(context);
    let (shown, next) = page(&functions, start(input)?, size);
    let shown: Vec<Value> = shown.iter().map(|f| configuration(context, f)).collect();
    let mut answer = json!({"Functions": shown});
    if let Some(next) = next {
        answer["NextMarker"] = json!(token("lambda", next));
    }
    Ok(answer)
}

fn find<'a>(context: &Context<'a>, input: &Value) -> Result<&'a FunctionModel, ApiError> {
    find_named(context, text(input, "FunctionName").unwrap_or_default())
}

/// Finds a function by name or ARN.
fn find_named<'a>(context: &Context<'a>, reference: &str) -> Result<&'a FunctionModel, ApiError> {
    let name = match reference.split_once(":function:") {
        Some((_, rest)) => rest.split(':').next().unwrap_or(rest),
        None => reference,
    };
    context
        .region
        .function(name)
        .filter(|f| alive(&f.settings.life, context.now_ms))
        .ok_or_else(|| {
            ApiError::with_status(
                404,
                "ResourceNotFoundException",
                format!(
                    "Function not found: {}",
                    context.arn("lambda", &format!("function:{name}"))
                ),
            )
        })
}

/// A function's configuration as `ListFunctions` shows it.
fn configuration(context: &Context, function: &FunctionModel) -> Value {
    let settings = &function.settings;
    let hash = random::text(&function.name);
    let mut shown = json!({
        "FunctionName": function.name,
        "FunctionArn": context.arn("lambda", &format!("function:{}", function.name)),
        "Role": format!("arn:aws:iam::{}:role/service-role/{}", context.account.id, function.name),
        "Runtime": settings.runtime,
        "Handler": "main.handler",
        "CodeSize": 20_000 + hash % 5_000_000,
        "Description": settings.description,
        "Timeout": settings.timeout.ms / 1000,
        "MemorySize": settings.memory_mb,
        "LastModified": "2026-08-03T10:12:14.000+0000",
        "CodeSha256": format!("{hash:016x}"),
        "Version": "$LATEST",
        "TracingConfig": {"Mode": if settings.tracing { "Active" } else { "PassThrough" }},
        "RevisionId": format!("{hash:016x}"),
        "PackageType": "Zip",
        "Architectures": [settings.architecture],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": format!("/aws/lambda/{}", function.name)},
    });
    if settings.signed {
        let profile = context.arn("signer", "/signing-profiles/deploy/0123456789");
        shown["SigningProfileVersionArn"] = json!(profile);
    }
    if settings.durable {
        shown["DurableConfig"] = json!({"ExecutionTimeout": 86_400, "RetentionPeriodInDays": 14});
    }
    if let Some(provider) = &settings.capacity_provider {
        let arn = context.arn("lambda", &format!("capacity-provider:{provider}"));
        shown["CapacityProviderConfig"] =
            json!({"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": arn}});
    }
    if !settings.environment.is_empty() {
        shown["Environment"] = json!({"Variables": settings.environment});
    }
    if let Some(queue) = &settings.dead_letter {
        shown["DeadLetterConfig"] = json!({"TargetArn": context.arn("sqs", &queue.value)});
    }
    shown
}

/// The same as it is shown of one function: lists leave the state out.
fn configuration_and_state(context: &Context, function: &FunctionModel) -> Value {
    let mut shown = configuration(context, function);
    shown["State"] = json!("Active");
    shown["LastUpdateStatus"] = json!("Successful");
    shown
}

fn list_mappings(context: &Context, input: &Value) -> Result<Value, ApiError> {
    let size = page_size(input, "MaxItems", 100, 100)
        .ok_or_else(|| invalid_parameter("MaxItems must be at least 1."))?;
    let function = match text(input, "FunctionName") {
        None => None,
        Some(reference) => Some(find_named(context, reference)?.name.as_str()),
    };
    let source = text(input, "EventSourceArn");
    let mappings: Vec<&Mapping> = context
        .region
        .mappings
        .iter()
        .filter(|m| {
            function.is_none_or(|f| f == m.function) && source.is_none_or(|s| s == m.source_arn)
        })
        .collect();
    let (shown, next) = page(&mappings, start(input)?, size);
    let shown: Vec<Value> = shown.iter().map(|m| mapping(context, m)).collect();
    let mut answer = json!({"EventSourceMappings": shown});
    if let Some(next) = next {
        answer["NextMarker"] = json!(token("lambda", next));
    }
    Ok(answer)
}

fn mapping(context: &Context, mapping: &Mapping) -> Value {
    let consumer = &mapping.consumer;
    let mut shown = json!({
        "UUID": mapping.uuid,
        "EventSourceArn": mapping.source_arn,
        "FunctionArn": context.arn("lambda", &format!("function:{}", mapping.function)),
        "State": if consumer.enabled { "Enabled" } else { "Disabled" },
        "StateTransitionReason": "USER_INITIATED",
        "BatchSize": consumer.batch_size,
        "MaximumBatchingWindowInSeconds": 0,
        "LastModified": 1_785_000_000,
        "FunctionResponseTypes": [],
    });
    if !consumer.metrics.is_empty() {
        shown["MetricsConfig"] = json!({"Metrics": consumer.metrics});
    }
    if let Some(pollers) = consumer.pollers {
        shown["ProvisionedPollerConfig"] = json!({"MinimumPollers": 1, "MaximumPollers": pollers});
    }
    if mapping.stream == Some(SourceKind::DocumentDb) {
        shown["DocumentDBEventSourceConfig"] = json!({"DatabaseName": "shop"});
    }
    if mapping.stream.is_some() {
        shown["StartingPosition"] = json!("LATEST");
        shown["ParallelizationFactor"] = json!(1);
        shown["MaximumRetryAttempts"] = json!(-1);
        shown["BisectBatchOnFunctionError"] = json!(false);
    }
    if let Some(most) = consumer.maximum_concurrency {
        shown["ScalingConfig"] = json!({"MaximumConcurrency": most});
    }
    shown
}

fn account_settings(context: &Context) -> Value {
    let functions = living(context);
    let reserved: u32 = functions
        .iter()
        .filter_map(|f| f.settings.reserved_concurrency)
        .sum();
    let limit = context.region.concurrency_limit;
    json!({
        "AccountLimit": {
            "TotalCodeSize": 80_530_636_800_i64,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": limit,
            "UnreservedConcurrentExecutions": i64::from(limit) - i64::from(reserved),
        },
        "AccountUsage": {"TotalCodeSize": 40_000_000, "FunctionCount": functions.len()},
    })
}
