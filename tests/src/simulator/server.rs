//! The HTTP side: one port for all of AWS, routed by path and headers as AWS's clients send them.
//!
//! A request is read, named (service and operation), attributed (account and region from the
//! signature's scope; the signature itself is not checked), limited, spoiled if a fault script says
//! so, carried out, metered and answered in its own protocol.

mod attempt;
mod call;
mod caller;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use super::account::{AccountError, AccountFile, Incident};
use super::admin;
use super::api::ApiError;
use super::clock::Clock;
use super::faults::{Effect, Fault, Script};
use super::meter::Meter;
use super::model::World;
use super::quotas::Buckets;
use super::services::sts;
use super::spoil::{Payload, Spoiled};
use super::wire::{self, Protocol, Reply};
use attempt::{attempt, is_throttle};
use call::{Call, identify};
use caller::attribute;

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
