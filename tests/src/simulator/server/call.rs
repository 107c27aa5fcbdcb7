//! Which operation of which service a request asks for.

use std::io::Read as _;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::http::request::Parts;
use serde_json::{Map, Value};

use super::MAX_BODY;
use crate::simulator::api::ApiError;
use crate::simulator::services::{self, Routed};
use crate::simulator::wire::{self, Protocol};

/// An operation that a client asked for.
pub(super) struct Call {
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) protocol: Protocol,
    pub(super) input: Result<Value, ApiError>,
}

pub(super) fn identify(parts: &Parts, query: &[(String, String)], body: &[u8]) -> Option<Call> {
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
