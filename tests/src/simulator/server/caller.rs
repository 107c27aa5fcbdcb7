//! In whose account and in which region a request acts.

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use super::call::Call;
use crate::simulator::api::ApiError;
use crate::simulator::model::{AccountModel, World};
use crate::simulator::services::sts;

/// Who asks.
pub(super) struct Caller<'a> {
    pub(super) account: &'a AccountModel,
    pub(super) region: String,
    pub(super) arn: String,
    pub(super) deny: &'a [String],
}

/// The account and region that a request is signed for.
pub(super) fn attribute<'a>(
    world: &'a World,
    parts: &Parts,
    call: &Call,
) -> Result<Caller<'a>, ApiError> {
    let refuse = |code: &str, message: &str| ApiError::with_status(403, code, message);
    let missing = || {
        refuse(
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    };
    let header = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let Some(header) = header else {
        // The one call that carries no signature: a token speaks for the caller.
        if call.operation != "AssumeRoleWithWebIdentity" {
            return Err(missing());
        }
        return world
            .accounts
            .first()
            .map(|account| caller(account, None, String::new()))
            .ok_or_else(missing);
    };
    let scope = header
        .split_once("Credential=")
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default())
        .ok_or_else(|| {
            refuse(
                "IncompleteSignature",
                "Authorization header requires 'Credential' parameter.",
            )
        })?;
    let fields: Vec<&str> = scope.split('/').collect();
    let [key, _date, region, _service, "aws4_request"] = fields[..] else {
        return Err(refuse(
            "IncompleteSignature",
            "Credential must be KEY/DATE/REGION/SERVICE/aws4_request.",
        ));
    };
    let region = region.to_owned();
    if let Some((account, role)) = sts::read_session_key(key)
        && let Some(account) = world.account(account)
        && role < account.roles.len()
    {
        return Ok(caller(account, Some(role), region));
    }
    if let Some(account) = world
        .accounts
        .iter()
        .find(|a| a.access_keys.iter().any(|k| k == key))
    {
        return Ok(caller(account, None, region));
    }
    if world.accounts.iter().all(|a| a.access_keys.is_empty())
        && let Some(account) = world.accounts.first()
    {
        return Ok(caller(account, None, region));
    }
    Err(refuse(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ))
}

fn caller(account: &AccountModel, role: Option<usize>, region: String) -> Caller<'_> {
    match role.map(|r| &account.roles[r]) {
        Some(role) => Caller {
            account,
            region,
            arn: format!(
                "arn:aws:sts::{}:assumed-role/{}/session",
                account.id, role.name
            ),
            deny: &role.deny,
        },
        None => Caller {
            account,
            region,
            arn: format!("arn:aws:iam::{}:user/simulator", account.id),
            deny: &account.deny,
        },
    }
}
