//! A call is refused as AWS refuses it, or carried out.

use super::call::Call;
use super::caller::Caller;
use super::{Shared, lock};
use crate::simulator::api::{ApiError, Context};
use crate::simulator::faults::Effect;
use crate::simulator::model::{World, matches};
use crate::simulator::wire::{Protocol, Reply};
use crate::simulator::{cloudwatch, quotas, services, spoil};

pub(super) fn attempt(
    shared: &Shared,
    world: &World,
    caller: &Caller,
    call: &Call,
    api: &str,
    effect: Option<&Effect>,
) -> Result<(Reply, u64), ApiError> {
    let (account, region) = (&caller.account.id, caller.region.as_str());
    let take = |limit, cost| {
        !shared.limits
            || lock(&shared.buckets).take(account, region, limit, cost, shared.clock.speed())
    };
    if quotas::of(&call.service, &call.operation).is_some_and(|limit| !take(limit, 1.0)) {
        return Err(throttled(&call.service));
    }
    match effect {
        Some(Effect::Throttle) => return Err(throttled(&call.service)),
        Some(Effect::Error { status }) => {
            return Err(ApiError::with_status(
                *status,
                "InternalFailure",
                "The request failed due to an internal error.",
            ));
        }
        Some(Effect::Refuse { status, code }) => {
            return Err(ApiError::with_status(
                *status,
                code,
                "The script refuses the request.",
            ));
        }
        Some(Effect::AccessDenied) => return Err(denied(caller, call)),
        Some(Effect::ExpiredToken) => {
            let code = if call.protocol == Protocol::Query {
                "ExpiredToken"
            } else {
                "ExpiredTokenException"
            };
            return Err(ApiError::with_status(
                403,
                code,
                "The security token included in the request is expired",
            ));
        }
        _ => {}
    }
    let action = action(call);
    if caller
        .deny
        .iter()
        .any(|pattern| matches(pattern, &action) || matches(pattern, api))
    {
        return Err(denied(caller, call));
    }
    let context = Context {
        world,
        account: caller.account,
        region: caller.account.region(region),
        region_name: region,
        caller: &caller.arn,
        now_ms: shared.clock.now_ms(),
    };
    let input = call.input.as_ref().map_err(Clone::clone)?;
    match (call.service.as_str(), call.operation.as_str()) {
        ("cloudwatch", "GetMetricData") if call.protocol != Protocol::Query => {
            let request = cloudwatch::Request::parse(input)?;
            if matches!(effect, Some(Effect::TrimmedCountsRefused)) && request.counts_some() {
                return Err(ApiError::caller(
                    "ValidationError",
                    "The value TC for parameter Stat is not supported.",
                ));
            }
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let cost = request.estimated_datapoints() as f64;
            let recent = request.starts_after(context.now_ms / 1000 - 3 * 3600);
            if !take(quotas::datapoints(recent), cost) {
                return Err(throttled(&call.service));
            }
            let mut meter = shared.meter();
            meter
                .of(account, region, api)
                .periods
                .extend(request.periods());
            drop(meter);
            let mut answer = request.answer(context.region, context.now_ms);
            spoil::spoil_metrics(&mut answer, &request, effect, context.now_ms);
            Ok((Reply::Metrics(answer), request.billed()))
        }
        ("cloudwatch", "ListMetrics") if call.protocol != Protocol::Query => {
            Ok((Reply::Data(cloudwatch::list_metrics(&context, input)?), 0))
        }
        (service, operation) => Ok((services::call(&context, service, operation, input)?, 0)),
    }
}

pub(super) fn is_throttle(error: &ApiError) -> bool {
    matches!(
        error.code.as_str(),
        "Throttling" | "ThrottlingException" | "ThrottledException" | "TooManyRequestsException"
    )
}

/// Each service says "too fast" in its own words.
fn throttled(service: &str) -> ApiError {
    let (status, code) = match service {
        "lambda" | "apigateway" | "apigatewayv2" => (429, "TooManyRequestsException"),
        "dynamodb" | "application-autoscaling" => (400, "ThrottlingException"),
        "tag" => (400, "ThrottledException"),
        _ => (400, "Throttling"),
    };
    ApiError::with_status(status, code, "Rate exceeded")
}

/// The IAM action of a call.
fn action(call: &Call) -> String {
    match call.service.as_str() {
        "apigateway" | "apigatewayv2" => "apigateway:GET".to_owned(),
        service => format!("{service}:{}", call.operation),
    }
}

fn denied(caller: &Caller, call: &Call) -> ApiError {
    let (status, code) = match call.service.as_str() {
        "lambda" | "apigateway" | "apigatewayv2" => (403, "AccessDeniedException"),
        "dynamodb" | "tag" | "application-autoscaling" => (400, "AccessDeniedException"),
        _ => (403, "AccessDenied"),
    };
    let action = action(call);
    ApiError::with_status(
        status,
        code,
        format!(
            "User: {} is not authorized to perform: {action} because no identity-based policy allows the {action} action",
            caller.arn
        ),
    )
}
