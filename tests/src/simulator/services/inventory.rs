//! Everything in a region that has an ARN, for tagging and `CloudFormation`.

use std::collections::BTreeMap;

use super::tags;
use crate::simulator::account::Life;
use crate::simulator::api::Context;
use crate::simulator::model::alive;

/// A resource.
#[derive(Debug)]
pub struct Resource {
    /// Its ARN.
    pub arn: String,
    /// Type as the tagging API filters it, `lambda:function`.
    pub kind: &'static str,
    /// `CloudFormation` type.
    pub cloudformation: &'static str,
    /// What `CloudFormation` shows as physical id.
    pub physical: String,
    /// Its name.
    pub name: String,
    /// All tags.
    pub tags: BTreeMap<String, String>,
    /// The stack that made it.
    pub stack: Option<String>,
}

/// All resources of the context's region that exist now.
pub fn resources(context: &Context) -> Vec<Resource> {
    let region = context.region;
    let mut all = Vec::new();
    let mut add = |service: &str,
                   resource: String,
                   kind: &'static str,
                   cloudformation: &'static str,
                   physical: String,
                   name: &str,
                   own: &BTreeMap<String, String>,
                   stack: &Option<String>| {
        all.push(Resource {
            arn: context.arn(service, &resource),
            kind,
            cloudformation,
            physical,
            name: name.to_owned(),
            tags: tags(context, own, stack.as_ref(), name),
            stack: stack.clone(),
        });
    };
    let lives = |life: &Life| alive(life, context.now_ms);
    for f in region.functions.iter().filter(|f| lives(&f.settings.life)) {
        let s = &f.settings;
        let (name, id) = (&f.name, f.name.clone());
        add(
            "lambda",
            format!("function:{name}"),
            "lambda:function",
            "AWS::Lambda::Function",
            id,
            name,
            &s.tags,
            &s.stack,
        );
    }
    for t in region.tables.iter().filter(|t| lives(&t.settings.life)) {
        let s = &t.settings;
        let (name, id) = (&t.name, t.name.clone());
        add(
            "dynamodb",
            format!("table/{name}"),
            "dynamodb:table",
            "AWS::DynamoDB::Table",
            id,
            name,
            &s.tags,
            &s.stack,
        );
    }
    for q in &region.queues {
        let name = &q.name.value;
        let url = format!(
            "https://sqs.{}.amazonaws.com/{}/{name}",
            context.region_name, context.account.id
        );
        add(
            "sqs",
            name.clone(),
            "sqs",
            "AWS::SQS::Queue",
            url,
            name,
            &q.tags,
            &q.stack,
        );
    }
    for t in &region.topics {
        let name = &t.name.value;
        add(
            "sns",
            name.clone(),
            "sns",
            "AWS::SNS::Topic",
            context.arn("sns", name),
            name,
            &t.tags,
            &t.stack,
        );
    }
    for m in &region.state_machines {
        let name = &m.name.value;
        let (resource, kind) = (format!("stateMachine:{name}"), "states:stateMachine");
        let id = context.arn("states", &resource);
        add(
            "states",
            resource,
            kind,
            "AWS::StepFunctions::StateMachine",
            id,
            name,
            &m.tags,
            &m.stack,
        );
    }
    for s in &region.schedules {
        let name = &s.name.value;
        let none = BTreeMap::new();
        add(
            "events",
            format!("rule/{name}"),
            "events:rule",
            "AWS::Events::Rule",
            name.clone(),
            name,
            &none,
            &s.stack,
        );
    }
    // API Gateway's ARNs carry no account.
    let apis = region
        .rest_apis
        .iter()
        .map(|a| {
            (
                a,
                "restapis",
                "apigateway:restapis",
                "AWS::ApiGateway::RestApi",
                "AWS::ApiGateway::Stage",
            )
        })
        .chain(region.http_apis.iter().map(|a| {
            (
                a,
                "apis",
                "apigateway:apis",
                "AWS::ApiGatewayV2::Api",
                "AWS::ApiGatewayV2::Stage",
            )
        }));
    for (api, path, kind, api_type, stage_type) in apis {
        let s = &api.settings;
        if !lives(&s.life) {
            continue;
        }
        let arn = format!(
            "arn:aws:apigateway:{}::/{path}/{}",
            context.region_name, s.id
        );
        for stage in &s.stages {
            let name = format!("{}-{}", s.name.value, stage.name.trim_start_matches('$'));
            all.push(Resource {
                arn: format!("{arn}/stages/{}", stage.name),
                kind,
                cloudformation: stage_type,
                physical: stage.name.clone(),
                tags: tags(context, &stage.tags, s.stack.as_ref(), &name),
                name,
                stack: s.stack.clone(),
            });
        }
        all.push(Resource {
            arn,
            kind,
            cloudformation: api_type,
            physical: s.id.clone(),
            name: s.name.value.clone(),
            tags: tags(context, &s.tags, s.stack.as_ref(), &s.name.value),
            stack: s.stack.clone(),
        });
    }
    all
}
