//! The HTTP side: one port for all of AWS, routed by path and headers as AWS's clients send them.
//!
//! A request is read, named (service and operation), attributed (account and region from the
//! signature's scope; the signature itself is not checked), limited, spoiled if a fault script says
//! so, carried out, metered and answered in its own protocol.

use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use serde_json::{Map, Value};

use super::account::{AccountError, AccountFile, Incident};
use super::api::{ApiError, Context};
use super::clock::Clock;
use super::faults::{Effect, Fault, Script};
use super::meter::Meter;
use super::model::{AccountModel, World};
use super::quotas::{self, Buckets};
use super::services::{self, Routed, sts};
use super::spoil::{Payload, Spoiled};
use super::wire::{self, Protocol, Reply};
use super::{admin, cloudwatch};

/// Largest request body.
const MAX_BODY: usize = 16 << 20;

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    world: RwLock<Arc<World>>,
    /// What the world was made of.
    file: RwLock<AccountFile>,
    /// The simulated time.
    pub clock: Clock,
    meter: Mutex<Meter>,
    faults: Mutex<Script>,
    buckets: Mutex<Buckets>,
    limits: bool,
    requests: AtomicU64,
}

/// A panic while a lock was held leaves counters at worst one short: carry on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operation that a client asked for.
struct Call {
    service: String,
    operation: String,
    protocol: Protocol,
    input: Result<Value, ApiError>,
}

/// Who asks.
struct Caller<'a> {
    account: &'a AccountModel,
    region: String,
    arn: String,
    deny: &'a [String],
}

impl Shared {
    /// Makes the state of a server.
    pub fn new(world: World, file: AccountFile, clock: Clock, limits: bool) -> Self {
        Self {
            world: RwLock::new(Arc::new(world)),
            file: RwLock::new(file),
            clock,
            meter: Mutex::default(),
            faults: Mutex::default(),
            buckets: Mutex::default(),
            limits,
            requests: AtomicU64::new(0),
        }
    }

    /// The accounts as they are now.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the accounts.
    pub fn set_account(&self, file: &AccountFile) -> Result<(), AccountError> {
        self.play(file)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file.clone();
        Ok(())
    }

    fn play(&self, file: &AccountFile) -> Result<(), AccountError> {
        let world = World::compile("<account>", file)?;
        world.hours.set_as(&self.world().hours);
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(world);
        Ok(())
    }

    /// Adds incidents to those of the file in a region of the first account, until others are put in their place.
    pub fn set_incidents(&self, region: &str, incidents: Vec<Incident>) -> Result<(), String> {
        let mut file = self
            .file
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        file.accounts
            .first_mut()
            .and_then(|account| account.regions.get_mut(region))
            .ok_or_else(|| format!("the account file has nothing in the region \"{region}\""))?
            .incidents
            .extend(incidents);
        self.play(&file).map_err(|error| error.to_string())
    }

    /// The meter.
    pub fn meter(&self) -> MutexGuard<'_, Meter> {
        lock(&self.meter)
    }

    /// The fault script.
    pub fn faults(&self) -> MutexGuard<'_, Script> {
        lock(&self.faults)
    }

    /// Puts a new fault script in force.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        let seed = self
            .world()
            .accounts
            .first()
            .map_or(0, |a| super::random::text(&a.id));
        *self.faults() = Script::new(faults, seed);
    }
}

/// Answers one request; `Err` cuts the connection.
pub async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, Spoiled> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Err(Spoiled);
    };
    let body = body.to_bytes();
    let path = parts.uri.path();
    let query = wire::form(parts.uri.query().unwrap_or_default());
    if !parts.headers.contains_key(AUTHORIZATION)
        && let Some(response) = admin::answer(&shared, &parts.method, path, &query, &body)
    {
        return Ok(finish(&shared, response.map(Payload::Whole)));
    }
    if path == "/v1/credentials" {
        return Ok(finish(&shared, pod_credentials(&shared, &parts)));
    }
    let number = shared.requests.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("00000000-0000-4000-8000-{number:012x}");
    let call = identify(&parts, &query, &body);
    let (answer, effect) = carry_out(&shared, &parts, call.as_ref(), &request_id);
    if let Some(Effect::Stall { seconds }) = &effect {
        tokio::time::sleep(std::time::Duration::try_from_secs_f64(*seconds).unwrap_or_default())
            .await;
    }
    let response = super::spoil::spoil(answer, effect.as_ref())?;
    Ok(finish(&shared, response))
}

/// Plays the agent of EKS Pod Identity: not AWS, but where a pod's credentials come from. Scripts call it
/// `agent:Credentials`.
fn pod_credentials(shared: &Shared, parts: &Parts) -> Response<Payload> {
    let token = parts.headers.get(AUTHORIZATION);
    let answer = token
        .and_then(|token| token.to_str().ok())
        .and_then(|token| sts::pod_credentials(&shared.world(), token, shared.clock.now_ms()));
    let effect = shared.faults().strike("agent:Credentials", "", "");
    let (status, body) = match (effect, answer) {
        (Some(Effect::Error { status }), _) => {
            (status, serde_json::json!({"message": "the agent failed"}))
        }
        (_, Some(credentials)) => (200, credentials),
        (_, None) => (
            401,
            serde_json::json!({"message": "the token is not valid"}),
        ),
    };
    let mut response = Response::new(Payload::Whole(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// AWS dates its answers; clients correct their clocks by it.
fn finish(shared: &Shared, mut response: Response<Payload>) -> Response<Payload> {
    let now = u64::try_from(shared.clock.now_ms()).unwrap_or(0);
    let date =
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(now));
    if let Ok(value) = date.parse() {
        response.headers_mut().insert(hyper::header::DATE, value);
    }
    response
}

fn identify(parts: &Parts, query: &[(String, String)], body: &[u8]) -> Option<Call> {
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let body = match header(CONTENT_ENCODING.as_str()) {
        Some("gzip") => {
            let mut plain = Vec::new();
            let read = flate2::read::GzDecoder::new(body)
                .take(MAX_BODY as u64)
                .read_to_end(&mut plain);
            read.map_err(|_| {
                ApiError::caller("SerializationException", "the body is not valid gzip")
            })
            .map(|_| plain)
        }
        _ => Ok(body.to_vec()),
    };
    let path: Vec<String> = parts
        .uri
        .path()
        .trim_start_matches('/')
        .split('/')
        .map(|p| wire::percent_decode(p, false))
        .collect();
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    if let ["service", service, "operation", operation] = segments[..] {
        return Some(Call {
            service: by_target(service)?.0.to_owned(),
            operation: operation.to_owned(),
            protocol: Protocol::Cbor,
            input: body.and_then(|b| {
                wire::cbor::decode(&b).map_err(|e| ApiError::caller("SerializationException", e))
            }),
        });
    }
    if let Some(target) = header("x-amz-target") {
        let (prefix, operation) = target.split_once('.')?;
        let (service, protocol) = by_target(prefix)?;
        return Some(Call {
            service: service.to_owned(),
            operation: operation.to_owned(),
            protocol,
            input: body.and_then(|b| {
                if b.is_empty() {
                    return Ok(Value::Object(Map::new()));
                }
                serde_json::from_slice(&b).map_err(|e| {
                    ApiError::caller(
                        "SerializationException",
                        format!("the body is not JSON: {e}"),
                    )
                })
            }),
        });
    }
    let is_form = header(CONTENT_TYPE.as_str())
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    if is_form && parts.uri.path() == "/" {
        let fields = wire::form(&String::from_utf8_lossy(&body.ok()?));
        let field = |name: &str| fields.iter().find(|f| f.0 == name).map(|f| f.1.as_str());
        let service = match field("Version")? {
            "2011-06-15" => "sts",
            "2010-05-15" => "cloudformation",
            "2010-08-01" => "cloudwatch",
            _ => return None,
        };
        return Some(Call {
            service: service.to_owned(),
            operation: field("Action")?.to_owned(),
            protocol: Protocol::Query,
            input: Ok(Value::Object(
                fields
                    .iter()
                    .map(|(n, v)| (n.clone(), Value::from(v.as_str())))
                    .collect(),
            )),
        });
    }
    let Routed {
        service,
        operation,
        input,
    } = services::route(parts.method.as_str(), &path, query)?;
    Some(Call {
        service: service.to_owned(),
        operation: operation.to_owned(),
        protocol: Protocol::Rest,
        input: Ok(input),
    })
}

fn by_target(name: &str) -> Option<(&'static str, Protocol)> {
    Some(match name {
        "GraniteServiceVersion20100801" => ("cloudwatch", Protocol::Json10),
        "DynamoDB_20120810" => ("dynamodb", Protocol::Json10),
        "AnyScaleFrontendService" => ("application-autoscaling", Protocol::Json11),
        "ResourceGroupsTaggingAPI_20170126" => ("tag", Protocol::Json11),
        _ => return None,
    })
}

/// The account and region that a request is signed for.
fn attribute<'a>(world: &'a World, parts: &Parts, call: &Call) -> Result<Caller<'a>, ApiError> {
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

/// Carries a call out and meters it; also says what a fault script wants done to the answer.
fn carry_out(
    shared: &Shared,
    parts: &Parts,
    call: Option<&Call>,
    request_id: &str,
) -> (Response<Full<Bytes>>, Option<Effect>) {
    let Some(call) = call else {
        let error = ApiError::with_status(
            404,
            "UnknownOperationException",
            format!(
                "the simulator knows no operation for {} {}",
                parts.method,
                parts.uri.path()
            ),
        );
        return (
            wire::refuse(Protocol::Rest, &error, request_id, false),
            None,
        );
    };
    let query_mode = parts.headers.contains_key("x-amzn-query-mode");
    let refuse = |error: &ApiError| wire::refuse(call.protocol, error, request_id, query_mode);
    let world = shared.world();
    let caller = match attribute(&world, parts, call) {
        Ok(caller) => caller,
        Err(error) => return (refuse(&error), None),
    };
    let api = format!("{}:{}", call.service, call.operation);
    let effect = shared
        .faults()
        .strike(&api, &caller.account.id, &caller.region);
    let outcome = attempt(shared, &world, &caller, call, &api, effect.as_ref());
    let mut meter = shared.meter();
    let reading = meter.of(&caller.account.id, &caller.region, &api);
    reading.requests += 1;
    reading.faults += u64::from(effect.is_some());
    let response = match outcome {
        Ok((reply, billed)) => {
            reading.metrics_billed += billed;
            if let Reply::Metrics(answer) = &reply {
                reading.datapoints += answer.datapoints() as u64;
                reading.queries += answer.results.len() as u64;
            }
            drop(meter);
            wire::respond(call.protocol, reply, request_id)
        }
        Err(error) if is_throttle(&error) => {
            reading.throttles += 1;
            refuse(&error)
        }
        Err(error) => {
            reading.errors += 1;
            refuse(&error)
        }
    };
    (response, effect)
}

fn attempt(
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
        Some(Effect::AccessDenied) => return Err(denied(caller, call, api)),
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
    if caller.deny.iter().any(|pattern| {
        super::model::matches(pattern, &action) || super::model::matches(pattern, api)
    }) {
        return Err(denied(caller, call, api));
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
            super::spoil::spoil_metrics(&mut answer, &request, effect, context.now_ms);
            Ok((Reply::Metrics(answer), request.billed()))
        }
        ("cloudwatch", "ListMetrics") if call.protocol != Protocol::Query => {
            Ok((Reply::Data(cloudwatch::list_metrics(&context, input)?), 0))
        }
        (service, operation) => Ok((services::call(&context, service, operation, input)?, 0)),
    }
}

fn is_throttle(error: &ApiError) -> bool {
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

fn denied(caller: &Caller, call: &Call, _api: &str) -> ApiError {
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
