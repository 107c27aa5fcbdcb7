//! `CloudFormation`: what stacks exist and what is in them.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::inventory::resources;
use super::{Outcome, unplayed};
use crate::simulator::api::{ApiError, Context, page, read_token, text, token};
use crate::simulator::random;
use crate::simulator::wire::{Reply, xml};

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
const DATE: &str = "2026-08-03T10:12:14.000Z";

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    match operation {
        "ListStackResources" => list_resources(context, input),
        "DescribeStackResources" => describe_resources(context, input),
        "DescribeStacks" => describe_stacks(context, input),
        _ => Err(unplayed("cloudformation", operation)),
    }
}

/// The ARN of a stack.
pub fn stack_id(context: &Context, stack: &str) -> String {
    let hash = random::text(stack);
    context.arn(
        "cloudformation",
        &format!(
            "stack/{stack}/{:08x}-{:04x}-4000-8000-{:012x}",
            hash >> 32,
            hash & 0xffff,
            random::mix(hash, 1) & 0xffff_ffff_ffff
        ),
    )
}

/// A name without what `CloudFormation` does not allow in logical ids.
pub fn logical_id(name: &str) -> String {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        })
        .collect()
}

/// Names of all stacks.
fn stacks(context: &Context) -> BTreeSet<String> {
    let made = resources(context).into_iter().filter_map(|r| r.stack);
    let nested = context
        .region
        .stacks
        .iter()
        .flat_map(|s| [Some(s.name.clone()), s.parent.clone()]);
    made.chain(nested.flatten()).collect()
}

/// The stack that a request names, by name or id.
fn named(context: &Context, input: &Value) -> Result<String, ApiError> {
    let wanted = text(input, "StackName").unwrap_or_default();
    let name = match wanted.split_once(":stack/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => wanted,
    };
    if stacks(context).contains(name) {
        Ok(name.to_owned())
    } else {
        Err(ApiError::caller(
            "ValidationError",
            format!("Stack with id {wanted} does not exist"),
        ))
    }
}

/// (logical id, physical id, type) of what is in a stack.
fn members(context: &Context, stack: &str) -> Vec<(String, String, &'static str)> {
    let mut members: Vec<_> = resources(context)
        .into_iter()
        .filter(|r| r.stack.as_deref() == Some(stack))
        .map(|r| (logical_id(&r.name), r.physical, r.cloudformation))
        .collect();
    for nested in context
        .region
        .stacks
        .iter()
        .filter(|s| s.parent.as_deref() == Some(stack))
    {
        members.push((
            logical_id(&nested.name),
            stack_id(context, &nested.name),
            "AWS::CloudFormation::Stack",
        ));
    }
    members.sort();
    members
}

fn list_resources(context: &Context, input: &Value) -> Outcome {
    // AWS ends a page at 1 MB; so many summaries are about that.
    const PAGE: usize = 100;
    let stack = named(context, input)?;
    let start = match text(input, "NextToken") {
        None => 0,
        Some(next) => read_token("stack", next)
            .ok_or_else(|| ApiError::caller("ValidationError", "The next token is invalid."))?,
    };
    let members = members(context, &stack);
    let (shown, next) = page(&members, start, PAGE);
    let mut result = String::from("<StackResourceSummaries>");
    for (logical, physical, kind) in shown {
        let _ = write!(
            result,
            "<member><LogicalResourceId>{}</LogicalResourceId><PhysicalResourceId>{}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><LastUpdatedTimestamp>{DATE}</LastUpdatedTimestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus>\
             <DriftInformation><StackResourceDriftStatus>NOT_CHECKED</StackResourceDriftStatus></DriftInformation></member>",
            xml(logical),
            xml(physical)
        );
    }
    result.push_str("</StackResourceSummaries>");
    if let Some(next) = next {
        let _ = write!(result, "<NextToken>{}</NextToken>", token("stack", next));
    }
    Ok(reply("ListStackResources", result))
}

fn describe_resources(context: &Context, input: &Value) -> Outcome {
    let stack = named(context, input)?;
    let id = stack_id(context, &stack);
    let mut result = String::from("<StackResources>");
    for (logical, physical, kind) in members(context, &stack).into_iter().take(100) {
        let _ = write!(
            result,
            "<member><StackName>{}</StackName><StackId>{id}</StackId><LogicalResourceId>{}</LogicalResourceId>\
             <PhysicalResourceId>{}</PhysicalResourceId><ResourceType>{kind}</ResourceType>\
             <Timestamp>{DATE}</Timestamp><ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>",
            xml(&stack),
            xml(&logical),
            xml(&physical)
        );
    }
    result.push_str("</StackResources>");
    Ok(reply("DescribeStackResources", result))
}

fn describe_stacks(context: &Context, input: &Value) -> Outcome {
    let shown = match text(input, "StackName") {
        None | Some("") => stacks(context),
        Some(_) => BTreeSet::from([named(context, input)?]),
    };
    let mut result = String::from("<Stacks>");
    for stack in shown {
        let id = stack_id(context, &stack);
        let parent = context
            .region
            .stacks
            .iter()
            .find(|s| s.name == stack)
            .and_then(|s| s.parent.as_ref());
        let parent = parent.map_or_else(String::new, |p| {
            let id = stack_id(context, p);
            format!("<ParentId>{id}</ParentId><RootId>{id}</RootId>")
        });
        let _ = write!(
            result,
            "<member><StackId>{id}</StackId><StackName>{}</StackName>{parent}<CreationTime>{DATE}</CreationTime>\
             <LastUpdatedTime>{DATE}</LastUpdatedTime><StackStatus>UPDATE_COMPLETE</StackStatus>\
             <DisableRollback>false</DisableRollback><Tags/><Outputs/><Parameters/></member>",
            xml(&stack)
        );
    }
    result.push_str("</Stacks>");
    Ok(reply("DescribeStacks", result))
}

fn reply(operation: &'static str, result: String) -> Reply {
    Reply::Xml {
        operation,
        namespace: NAMESPACE,
        result,
    }
}
