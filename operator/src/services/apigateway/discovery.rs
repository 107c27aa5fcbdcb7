//! Which APIs and stages there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_apigateway::types::MethodSetting;
use aws_sdk_apigatewayv2::types::{ProtocolType, RouteSettings};
use futures::FutureExt as _;

use super::methods::{HTTP_ROUTE, REST_METHOD};
use super::metrics::{
    ACCOUNT_BURST, ACCOUNT_RATE, CACHE, HTTP_STAGE, REST_STAGE, STAGE_BURST, STAGE_INFO,
    STAGE_RATE, WEBSOCKET_STAGE,
};
use crate::api::Reason;
use crate::aws::{AwsError, Pages};
use crate::services::Look;
use crate::services::found::{Fact, Found, Resource, Subject};
use crate::services::listing::listed;
use crate::services::table::{Family, Features, Shape};

/// All of API Gateway's reads are this one IAM action.
const ACTION: &str = "apigateway:GET";
/// How long the stages of an API are taken to be as they were read: each API costs a request, of 10 a second for everybody.
const STAGES_LIVE: Duration = Duration::from_mins(15);

/// An API as both kinds have it.
struct Api {
    kind: &'static str,
    id: String,
    name: String,
    arn: String,
    whole: bool,
}

/// A stage as both kinds have it.
#[derive(Debug)]
pub struct Stage {
    name: String,
    tracing: bool,
    caching: bool,
    detailed: bool,
    /// Requests a second for a long time and at one moment.
    throttle: (Option<f64>, Option<f64>),
}

/// Finds the members' APIs and stages.
pub async fn discover(look: &Look<'_>) -> Result<Found, AwsError> {
    let mut found = Found::default();
    let mut apis = rest_apis(look, &mut found.problems).await?;
    apis.extend(http_apis(look).await?);
    if apis.is_empty() {
        return Ok(found);
    }
    if look.wanted.set("account") {
        let account = account(look, &mut found).await;
        found.resources.push(account);
    }
    let methods = methods(look, &mut found).await;
    for api in apis {
        let read = async {
            let stages = if api.kind == "rest" {
                rest_stages(look, &api).await
            } else {
                http_stages(look, &api).await
            };
            Ok((stages?, STAGES_LIVE))
        }
        .boxed();
        match look.memory.stages.get(&api.arn, read).await {
            Ok(stages) => {
                let resource = resource(look, &api, &stages, &methods);
                found.resources.extend(resource);
            }
            Err(error) if error.reason == Reason::NotFound => {}
            Err(error) => found.problems.push(error),
        }
    }
    Ok(found)
}

/// The throttle that all APIs of the region share.
async fn account(look: &Look<'_>, found: &mut Found) -> Resource {
    let read = async {
        let answer = look
            .aws
            .call(ACTION, look.aws.apigateway.get_account().send())
            .await?;
        let Some(throttle) = answer.throttle_settings() else {
            return Ok(Vec::new());
        };
        let facts = [
            (&ACCOUNT_RATE, throttle.rate_limit()),
            (&ACCOUNT_BURST, f64::from(throttle.burst_limit())),
        ];
        Ok(facts
            .map(|(family, value)| setting(family, &[], value))
            .to_vec())
    }
    .boxed();
    let (facts, error) = look
        .memory
        .facts("apigateway:GetAccount".to_owned(), read)
        .await;
    found.lesser.extend(error);
    Resource {
        arn: None,
        subjects: Vec::new(),
        facts,
        unread: false,
    }
}

/// Methods and routes with metrics of their own: shape, resource and method by the key of the API
/// and the stage.
type Methods = HashMap<(String, String), BTreeSet<(&'static str, String, String)>>;

async fn methods(look: &Look<'_>, found: &mut Found) -> Methods {
    let mut methods = Methods::new();
    if !look.wanted.set("methods") {
        return methods;
    }
    for shape in [&REST_METHOD, &HTTP_ROUTE] {
        match listed(look.aws, shape.namespace, "Count", shape.dimensions).await {
            Ok(all) => {
                for values in all {
                    if let Ok([api, stage, resource, method]) = <[String; 4]>::try_from(values) {
                        let of_stage = methods.entry((api, stage)).or_default();
                        of_stage.insert((shape.name, resource, method));
                    }
                }
            }
            Err(error) => found.miss(&[shape], error),
        }
    }
    methods
}

async fn rest_apis(look: &Look<'_>, problems: &mut Vec<AwsError>) -> Result<Vec<Api>, AwsError> {
    let mut apis = Vec::new();
    let mut same_name: BTreeMap<String, u32> = BTreeMap::new();
    let mut position = None;
    let mut pages = Pages::of(ACTION);
    loop {
        let request = look
            .aws
            .apigateway
            .get_rest_apis()
            .limit(500)
            .set_position(position)
            .send();
        let page = look.aws.call(ACTION, request).await?;
        for item in page.items() {
            let (Some(id), Some(name)) = (item.id(), item.name()) else {
                continue;
            };
            // CloudWatch drops what is not ASCII from the name of its dimension.
            let name: String = name.chars().filter(char::is_ascii).collect();
            *same_name.entry(name.clone()).or_default() += 1;
            let arn = format!(
                "arn:{}:apigateway:{}::/restapis/{id}",
                look.identity.partition, look.aws.region
            );
            let whole = look
                .members
                .contains("AWS::ApiGateway::RestApi", id, &name, &arn);
            if whole || look.members.names_part_of(&arn) {
                apis.push(Api {
                    kind: "rest",
                    id: id.to_owned(),
                    name,
                    arn,
                    whole,
                });
            }
        }
        position = pages.after(page.position())?;
        if position.is_none() {
            break;
        }
    }
    apis.retain(|api| {
        let alone = same_name.get(&api.name).is_none_or(|count| *count == 1);
        if !alone {
            problems.push(AwsError::new(
                Reason::AmbiguousName,
                ACTION,
                format!(
                    "the REST API {} ({}) shares its name with another one of the account, and CloudWatch keeps one \
                     series for both: it is not published. Rename one of them.",
                    api.name, api.id
                ),
            ));
        }
        alone
    });
    Ok(apis)
}

async fn rest_stages(look: &Look<'_>, api: &Api) -> Result<Vec<Stage>, AwsError> {
    let answer = look
        .aws
        .call(
            ACTION,
            look.aws.apigateway.get_stages().rest_api_id(&api.id).send(),
        )
        .await?;
    let stages = answer.item().iter().filter_map(|stage| {
        let all_methods = stage.method_settings().and_then(|all| all.get("*/*"));
        // -1 is no limit of the stage's own.
        let rate = all_methods.map(MethodSetting::throttling_rate_limit);
        let burst = all_methods.map(|all| f64::from(all.throttling_burst_limit()));
        let limit = |value: Option<f64>| value.filter(|value| *value >= 0.0);
        Some(Stage {
            name: stage.stage_name()?.to_owned(),
            tracing: stage.tracing_enabled(),
            caching: stage.cache_cluster_enabled(),
            detailed: all_methods.is_some_and(MethodSetting::metrics_enabled),
            throttle: (limit(rate), limit(burst)),
        })
    });
    Ok(stages.collect())
}

async fn http_apis(look: &Look<'_>) -> Result<Vec<Api>, AwsError> {
    let mut apis = Vec::new();
    let mut token = None;
    let mut pages = Pages::of(ACTION);
    loop {
        let request = look
            .aws
            .apigatewayv2
            .get_apis()
            .max_results("500")
            .set_next_token(token)
            .send();
        let page = look.aws.call(ACTION, request).await?;
        for item in page.items() {
            let kind = match item.protocol_type() {
                Some(ProtocolType::Http) => "http",
                Some(ProtocolType::Websocket) => "websocket",
                _ => continue,
            };
            let (Some(id), Some(name)) = (item.api_id(), item.name()) else {
                continue;
            };
            let arn = format!(
                "arn:{}:apigateway:{}::/apis/{id}",
                look.identity.partition, look.aws.region
            );
            let whole = look
                .members
                .contains("AWS::ApiGatewayV2::Api", id, name, &arn);
            if whole || look.members.names_part_of(&arn) {
                apis.push(Api {
                    kind,
                    id: id.to_owned(),
                    name: name.to_owned(),
                    arn,
                    whole,
                });
            }
        }
        token = pages.after(page.next_token())?;
        if token.is_none() {
            return Ok(apis);
        }
    }
}

async fn http_stages(look: &Look<'_>, api: &Api) -> Result<Vec<Stage>, AwsError> {
    let mut stages = Vec::new();
    let mut token = None;
    let mut pages = Pages::of(ACTION);
    loop {
        let request = look
            .aws
            .apigatewayv2
            .get_stages()
            .api_id(&api.id)
            .set_next_token(token)
            .send();
        let page = look.aws.call(ACTION, request).await?;
        stages.extend(page.items().iter().filter_map(|stage| {
            let routes = stage.default_route_settings();
            let rate = routes.and_then(RouteSettings::throttling_rate_limit);
            let burst = routes.and_then(RouteSettings::throttling_burst_limit);
            let detailed = routes.and_then(RouteSettings::detailed_metrics_enabled);
            Some(Stage {
                name: stage.stage_name()?.to_owned(),
                tracing: false,
                caching: false,
                detailed: detailed.unwrap_or(false),
                throttle: (rate, burst.map(f64::from)),
            })
        }));
        token = pages.after(page.next_token())?;
        if token.is_none() {
            return Ok(stages);
        }
    }
}

fn resource(look: &Look<'_>, api: &Api, stages: &[Stage], methods: &Methods) -> Option<Resource> {
    let (shape, key) = match api.kind {
        "rest" => (&REST_STAGE, &api.name),
        "websocket" => (&WEBSOCKET_STAGE, &api.id),
        _ => (&HTTP_STAGE, &api.id),
    };
    let mut resource = Resource {
        arn: Some(api.arn.clone()),
        subjects: Vec::new(),
        facts: Vec::new(),
        unread: false,
    };
    for stage in stages {
        let arn = format!("{}/stages/{}", api.arn, stage.name);
        if !(api.whole || look.members.contains_arn(&arn)) {
            continue;
        }
        let name: Arc<str> = stage.name.as_str().into();
        let labels = vec![
            ("api_type", api.kind.into()),
            ("api_id", api.id.as_str().into()),
            ("api_name", api.name.as_str().into()),
            ("stage", name.clone()),
        ];
        let mut info = labels.clone();
        info.extend([
            ("arn", Arc::from(arn)),
            ("tracing", stage.tracing.to_string().into()),
            ("caching", stage.caching.to_string().into()),
            ("detailed_metrics", stage.detailed.to_string().into()),
        ]);
        resource.facts.push(Fact {
            family: &STAGE_INFO,
            labels: info,
            info: true,
            value: 1.0,
        });
        let (rate, burst) = stage.throttle;
        let limits = [(&STAGE_RATE, rate), (&STAGE_BURST, burst)];
        let limits = limits
            .into_iter()
            .filter_map(|(family, value)| Some((family, value?)));
        resource
            .facts
            .extend(limits.map(|(family, value)| setting(family, &labels, value)));
        let of_stage = methods.get(&(key.clone(), stage.name.clone()));
        for (kind, path, method) in of_stage.into_iter().flatten() {
            let shape: &Shape = if *kind == REST_METHOD.name {
                &REST_METHOD
            } else {
                &HTTP_ROUTE
            };
            let (path, method): (Arc<str>, Arc<str>) =
                (path.as_str().into(), method.as_str().into());
            let values = vec![
                key.as_str().into(),
                name.clone(),
                path.clone(),
                method.clone(),
            ];
            let mut labels = labels.clone();
            labels.extend([("resource", path), ("method", method)]);
            let none = Features::NONE;
            resource
                .subjects
                .push(Subject::new(shape, values, labels, none, look.wanted));
        }
        let values = vec![key.as_str().into(), name];
        let features = Features::NONE.with(CACHE, stage.caching);
        let subject = Subject::new(shape, values, labels, features, look.wanted);
        resource.subjects.push(subject);
    }
    (!resource.subjects.is_empty()).then_some(resource)
}

fn setting(family: &'static Family, labels: &[(&'static str, Arc<str>)], value: f64) -> Fact {
    Fact {
        family,
        labels: labels.to_vec(),
        info: false,
        value,
    }
}
