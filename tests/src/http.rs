//! A small HTTP client for tests: one request, one whole answer, an error that says which.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// Sends a request and answers the body of a 200.
pub async fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> anyhow::Result<Bytes> {
    let uri: Uri = url.parse().with_context(|| format!("not a URL: {url}"))?;
    let authority = uri
        .authority()
        .with_context(|| format!("no host in {url}"))?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80)))
        .await
        .with_context(|| format!("{url} cannot be reached"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", authority.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender
        .send_request(request.body(Full::new(body.into()))?)
        .await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!(
            "{method} {url} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(body)
}

/// The text at an address.
pub async fn text(url: &str) -> anyhow::Result<String> {
    Ok(String::from_utf8(
        request("GET", url, &[], "").await?.to_vec(),
    )?)
}

/// The JSON at an address.
pub async fn json<T: DeserializeOwned>(url: &str) -> anyhow::Result<T> {
    let body = request("GET", url, &[], "").await?;
    serde_json::from_slice(&body).with_context(|| format!("{url} did not answer the expected JSON"))
}

/// `key=value&...`, escaped.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut escaped, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                escaped.push(byte.into());
            } else {
                let _ = write!(escaped, "%{byte:02X}");
            }
            escaped
        })
    };
    pairs
        .into_iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}
