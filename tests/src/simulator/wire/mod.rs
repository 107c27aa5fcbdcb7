//! The protocols that AWS's clients speak, between bytes and plain data.

pub mod cbor;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::api::ApiError;
use super::cloudwatch::Answer;

/// A protocol of an operation's request and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Smithy RPC v2 with CBOR.
    Cbor,
    /// AWS JSON 1.0.
    Json10,
    /// AWS JSON 1.1.
    Json11,
    /// REST with JSON; `true`: error bodies have `Type` and `Message`, as Lambda's.
    Rest,
    /// Form in, XML out.
    Query,
}

/// An answer before it is bytes.
#[derive(Debug)]
pub enum Reply {
    /// Plain data.
    Data(Value),
    /// Datapoints.
    Metrics(Answer),
    /// XML: the result element's content; operation and namespace are added around it.
    Xml {
        /// Operation name.
        operation: &'static str,
        /// XML namespace of the service.
        namespace: &'static str,
        /// What is in the result.
        result: String,
    },
}

/// Makes an HTTP answer of a reply.
pub fn respond(protocol: Protocol, reply: Reply, request_id: &str) -> Response<Full<Bytes>> {
    let body = match (protocol, reply) {
        (Protocol::Cbor, Reply::Data(value)) => cbor::encode(&value),
        (Protocol::Cbor, Reply::Metrics(answer)) => cbor::encode_metric_data(&answer),
        (_, Reply::Data(value)) => value.to_string().into_bytes(),
        (_, Reply::Metrics(answer)) => json_metric_data(&answer).to_string().into_bytes(),
        (
            _,
            Reply::Xml {
                operation,
                namespace,
                result,
            },
        ) => format!(
            "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{result}</{operation}Result>\
             <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
        )
        .into_bytes(),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    mark(&mut response, protocol, request_id);
    response
}

fn json_metric_data(answer: &Answer) -> Value {
    let results: Vec<Value> = answer
        .results
        .iter()
        .map(|r| {
            json!({
                "Id": r.id,
                "Label": r.label,
                "StatusCode": r.status,
                "Timestamps": r.timestamps,
                "Values": r.values,
            })
        })
        .collect();
    let message = |text| json!({"Code": "ArgumentTruncation", "Value": text});
    let messages: Vec<Value> = answer.message.map(message).into_iter().collect();
    let mut value = json!({"MetricDataResults": results, "Messages": messages});
    if let Some(token) = &answer.next_token {
        value["NextToken"] = json!(token);
    }
    value
}

/// Makes an HTTP answer of an error; `query_mode`: the client wants to see the query protocol's code too.
pub fn refuse(
    protocol: Protocol,
    error: &ApiError,
    request_id: &str,
    query_mode: bool,
) -> Response<Full<Bytes>> {
    let ApiError {
        code,
        message,
        status,
    } = error;
    let fault = if *status >= 500 { "Receiver" } else { "Sender" };
    let body = match protocol {
        Protocol::Cbor => cbor::encode(&json!({"__type": code, "message": message})),
        Protocol::Json10 | Protocol::Json11 => json!({"__type": code, "message": message})
            .to_string()
            .into_bytes(),
        Protocol::Rest => {
            let kind = if *status >= 500 { "Service" } else { "User" };
            json!({"Type": kind, "Message": message, "message": message})
                .to_string()
                .into_bytes()
        }
        Protocol::Query => format!(
            "<ErrorResponse><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
             <RequestId>{request_id}</RequestId></ErrorResponse>",
            xml(code),
            xml(message)
        )
        .into_bytes(),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        hyper::StatusCode::from_u16(*status).unwrap_or(hyper::StatusCode::BAD_REQUEST);
    mark(&mut response, protocol, request_id);
    match protocol {
        Protocol::Rest => set(&mut response, "x-amzn-errortype", code),
        Protocol::Cbor | Protocol::Json10 if query_mode => {
            set(
                &mut response,
                "x-amzn-query-error",
                &format!("{code};{fault}"),
            );
        }
        Protocol::Cbor | Protocol::Json10 | Protocol::Json11 | Protocol::Query => {}
    }
    response
}

fn mark(response: &mut Response<Full<Bytes>>, protocol: Protocol, request_id: &str) {
    let content_type = match protocol {
        Protocol::Cbor => {
            set(response, "smithy-protocol", "rpc-v2-cbor");
            "application/cbor"
        }
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::Rest => "application/json",
        Protocol::Query => "text/xml",
    };
    set(response, "content-type", content_type);
    set(response, "x-amzn-requestid", request_id);
}

/// Sets a header; a value that HTTP cannot carry is left out.
pub fn set<B>(response: &mut Response<B>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
}

/// Text that is safe inside XML.
pub fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Decodes `%41`; in a form, `+` is a space. What is not text is replaced.
pub fn percent_decode(text: &str, form: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (hex, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'+') if form => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads `a=1&b=2`.
pub fn form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name, true), percent_decode(value, true))
        })
        .collect()
}
