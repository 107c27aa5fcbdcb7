//! STS: who the caller is, and how to become someone else.

use serde_json::{Value, json};

use super::{Outcome, unplayed};
use crate::simulator::account::Instant;
use crate::simulator::api::{ApiError, Context, text};
use crate::simulator::model::{AccountModel, World};
use crate::simulator::wire::{Reply, xml};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const HOUR_MS: i64 = 3_600_000;

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    match operation {
        "GetCallerIdentity" => Ok(Reply::Xml {
            operation: "GetCallerIdentity",
            namespace: NAMESPACE,
            result: format!(
                "<Arn>{}</Arn><UserId>AIDASIMULATOR</UserId><Account>{}</Account>",
                xml(context.caller),
                context.account.id
            ),
        }),
        "AssumeRole" => assume_role(context, "AssumeRole", input),
        "AssumeRoleWithWebIdentity" => assume_role(context, "AssumeRoleWithWebIdentity", input),
        _ => Err(unplayed("sts", operation)),
    }
}

fn assume_role(context: &Context, operation: &'static str, input: &Value) -> Outcome {
    let arn = text(input, "RoleArn").unwrap_or_default();
    let session = text(input, "RoleSessionName").unwrap_or_default();
    let good_session = (2..=64).contains(&session.len())
        && session
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    if !good_session {
        return Err(ApiError::caller(
            "ValidationError",
            format!("Value '{session}' at 'roleSessionName' failed to satisfy constraint"),
        ));
    }
    // AWS does not tell a role that does not exist from one that may not be assumed.
    let denied = || {
        ApiError::with_status(
            403,
            "AccessDenied",
            format!(
                "User: {} is not authorized to perform: sts:{operation} on resource: {arn}",
                context.caller
            ),
        )
    };
    let (account, number) = find_role(context.world, arn).ok_or_else(denied)?;
    let role = &account.roles[number];
    if role.external_id.is_some() && role.external_id.as_deref() != text(input, "ExternalId") {
        return Err(denied());
    }
    if operation == "AssumeRoleWithWebIdentity"
        && text(input, "WebIdentityToken").is_none_or(|token| {
            token.is_empty() || role.token.as_deref().is_some_and(|right| right != token)
        })
    {
        return Err(ApiError::caller(
            "InvalidIdentityToken",
            "The OpenIDConnect token is missing or not valid for the role",
        ));
    }
    let key = session_key(&account.id, number);
    let expires = Instant {
        ms: context.now_ms + HOUR_MS,
    };
    Ok(Reply::Xml {
        operation,
        namespace: NAMESPACE,
        result: format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>simulated</SecretAccessKey>\
             <SessionToken>simulated-{key}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
             <AssumedRoleUser><AssumedRoleId>AROASIMULATOR:{session}</AssumedRoleId>\
             <Arn>arn:aws:sts::{}:assumed-role/{}/{session}</Arn></AssumedRoleUser>",
            account.id,
            xml(&role.name)
        ),
    })
}

/// What the agent of EKS Pod Identity answers to a pod that shows its token.
pub fn pod_credentials(world: &World, token: &str, now_ms: i64) -> Option<Value> {
    world.accounts.iter().find_map(|account| {
        let of_token =
            |role: &crate::simulator::account::Role| role.token.as_deref() == Some(token);
        let number = account.roles.iter().position(of_token)?;
        let key = session_key(&account.id, number);
        let expires = Instant {
            ms: now_ms + HOUR_MS,
        };
        Some(json!({
            "AccessKeyId": key,
            "SecretAccessKey": "simulated",
            "Token": format!("simulated-{key}"),
            "AccountId": account.id,
            "Expiration": expires.to_string(),
        }))
    })
}

fn find_role<'a>(world: &'a World, arn: &str) -> Option<(&'a AccountModel, usize)> {
    let (account, role) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = role.rsplit('/').next()?;
    let account = world.account(account)?;
    let number = account.roles.iter().position(|r| r.name == name)?;
    Some((account, number))
}

/// An access key that says by itself which role of which account it is: no session is stored, so it
/// survives a restart of the simulator.
fn session_key(account: &str, role: usize) -> String {
    format!("ASIA{account}{role:04}")
}

/// The account and role number of a key that `session_key` made.
pub fn read_session_key(key: &str) -> Option<(&str, usize)> {
    let rest = key.strip_prefix("ASIA")?;
    if rest.len() != 16 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((&rest[..12], rest[12..].parse().ok()?))
}
