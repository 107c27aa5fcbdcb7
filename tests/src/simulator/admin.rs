//! The simulator's own endpoints: truth, meter, faults, clock. They need no credentials.

use std::fmt::Write as _;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Incident, Instant};
use super::faults::{Fault, Script};
use super::lateness::View;
use super::series::Series;
use super::server::Shared;
use super::truth::{Question, find_region, tell};

/// Answers a request to one of the simulator's own endpoints; `None` when it is not one.
pub fn answer(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: &[(String, String)],
    body: &[u8],
) -> Option<Response<Full<Bytes>>> {
    let outcome = match (method, path) {
        (&Method::GET, "/") => {
            return Some(page(
                StatusCode::OK,
                "text/html; charset=utf-8",
                index(shared),
            ));
        }
        (&Method::GET, "/healthz") => {
            return Some(page(StatusCode::OK, "text/plain", "ok\n".to_owned()));
        }
        (&Method::GET, "/truth") => truth(shared, query),
        (&Method::GET, "/truth/series") => series(shared, query),
        (&Method::GET, "/meter") => Ok(json!({"readings": shared.meter().readings()})),
        (&Method::DELETE, "/meter") => {
            shared.meter().reset();
            Ok(json!({}))
        }
        (&Method::GET, "/faults") => Ok(json!({"faults": shared.faults().status()})),
        (&Method::PUT, "/faults") => put_faults(shared, body),
        (&Method::DELETE, "/faults") => {
            *shared.faults() = Script::default();
            Ok(json!({}))
        }
        (&Method::GET, "/clock") => Ok(clock(shared)),
        (&Method::PUT, "/clock") => put_clock(shared, body),
        (&Method::PUT, "/hours") => put_hours(shared, body),
        (&Method::PUT, "/incidents") => put_incidents(shared, body),
        _ => return None,
    };
    Some(match outcome {
        Ok(value) => page(StatusCode::OK, "application/json", format!("{value}\n")),
        Err(reason) => page(
            StatusCode::BAD_REQUEST,
            "application/json",
            format!("{}\n", json!({"error": reason})),
        ),
    })
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    super::wire::set(&mut response, "content-type", content_type);
    response
}

fn field(query: &[(String, String)], name: &str) -> Result<String, String> {
    query
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, v)| v.clone())
        .ok_or_else(|| format!("the parameter `{name}` is missing"))
}

fn seconds(query: &[(String, String)], name: &str) -> Result<i64, String> {
    let value = field(query, name)?;
    value
        .parse()
        .map_err(|_| format!("`{name}` is \"{value}\", but must be whole seconds since 1970"))
}

fn truth(shared: &Shared, query: &[(String, String)]) -> Result<Value, String> {
    let question = Question {
        account: field(query, "account")?,
        region: field(query, "region")?,
        namespace: field(query, "namespace")?,
        metric: field(query, "metric")?,
        stat: field(query, "stat").unwrap_or_else(|_| "Sum".to_owned()),
        dimensions: query
            .iter()
            .filter_map(|(n, v)| Some((n.strip_prefix("dim.")?.to_owned(), v.clone())))
            .collect(),
        start: seconds(query, "start")?,
        end: seconds(query, "end")?,
    };
    let now = shared.clock.now_ms();
    let visible = field(query, "visible").is_ok_and(|v| v != "0");
    let view = if visible { View::At(now) } else { View::Final };
    let told = tell(&shared.world(), &question, view, now)?;
    Ok(json!(told))
}

fn series(shared: &Shared, query: &[(String, String)]) -> Result<Value, String> {
    let world = shared.world();
    let region = find_region(&world, &field(query, "account")?, &field(query, "region")?)?;
    let resource = field(query, "resource").ok();
    let found: Vec<Value> = Series::all(region)
        .filter_map(|series| {
            let dimensions = series.dimensions(region);
            let wanted = resource
                .as_ref()
                .is_none_or(|r| dimensions.iter().any(|d| &d.1 == r));
            wanted.then(|| {
                let dimensions: serde_json::Map<String, Value> = dimensions
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), json!(v)))
                    .collect();
                json!({
                    "namespace": series.metric().namespace,
                    "metric": series.metric().name,
                    "dimensions": dimensions,
                })
            })
        })
        .collect();
    Ok(json!({"series": found}))
}

fn put_faults(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let faults: Vec<Fault> = serde_json::from_slice(body).map_err(|e| {
        format!("the body must be a list like [{{\"api\": \"cloudwatch:GetMetricData\", \"calls\": [1], \"effect\": \"throttle\"}}]: {e}")
    })?;
    let count = faults.len();
    shared.set_faults(faults);
    Ok(json!({"faults": count}))
}

fn clock(shared: &Shared) -> Value {
    let ms = shared.clock.now_ms();
    json!({"now": Instant { ms }.to_string(), "epoch_ms": ms, "speed": shared.clock.speed()})
}

fn put_clock(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    let by = value
        .get("advance_seconds")
        .and_then(Value::as_i64)
        .filter(|s| *s >= 0)
        .ok_or("the body must be {\"advance_seconds\": N} with N from 0 up")?;
    shared.clock.advance(by.saturating_mul(1000));
    Ok(clock(shared))
}

fn put_hours(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    let minute = |name| match value.get(name).and_then(Value::as_i64) {
        Some(seconds) if seconds % 60 == 0 => Ok(seconds / 60),
        _ => Err(
            "the body must be {\"from\": N, \"until\": N} with whole minutes, in seconds since 1970",
        ),
    };
    shared.world().hours.set(minute("from")?, minute("until")?);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incidents {
    region: String,
    incidents: Vec<Incident>,
}

fn put_incidents(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let Incidents { region, incidents } = std::str::from_utf8(body)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_saphyr::from_str(text).map_err(|error| error.to_string()))
        .map_err(|error| {
            format!("the body must be {{\"region\": \"eu-west-1\", \"incidents\": [...]}} with incidents as in an account file: {error}")
        })?;
    let count = incidents.len();
    shared.set_incidents(&region, incidents)?;
    Ok(json!({"incidents": count}))
}

fn index(shared: &Shared) -> String {
    let world = shared.world();
    let mut rows = String::new();
    for account in &world.accounts {
        for (name, region) in &account.regions {
            let _ = writeln!(
                rows,
                "<tr><td>{}</td><td>{name}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                account.id,
                region.functions.len(),
                region.tables.len(),
                region.rest_apis.len() + region.http_apis.len()
            );
        }
    }
    let now = Instant {
        ms: shared.clock.now_ms(),
    };
    format!(
        "<!doctype html><title>AWS simulator</title><h1>AWS simulator</h1>\
         <p>Simulated time: {now}, running at {} times real time.</p>\
         <table border=1><tr><th>account<th>region<th>functions<th>tables<th>APIs</tr>\n{rows}</table>\
         <p>Point an AWS client here with AWS_ENDPOINT_URL. About the simulation:</p><ul>\
         <li><a href=/meter>/meter</a>: requests, metrics billed, dollars (DELETE begins again)\
         <li><a href=/faults>/faults</a>: fault script (PUT, DELETE)\
         <li><a href=/clock>/clock</a>: simulated time (PUT {{\"advance_seconds\": 60}})\
         <li>/hours: when requests come in (PUT {{\"from\": SECONDS, \"until\": SECONDS}})\
         <li>/incidents: what goes wrong besides, in a region (PUT {{\"region\": \"eu-west-1\", \"incidents\": [...]}})\
         <li>/truth?account=&amp;region=&amp;namespace=&amp;metric=&amp;stat=&amp;dim.NAME=&amp;start=&amp;end=: \
         final total of a window; visible=1: what can be read now\
         <li>/truth/series?account=&amp;region=&amp;resource=: series of a resource</ul>",
        shared.clock.speed()
    )
}
