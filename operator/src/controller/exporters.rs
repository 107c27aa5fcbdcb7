//! Reads what the exporters of a stack say about themselves.
//!
//! Their addresses come from the EndpointSlices of the stack's own Service, so that neither DNS
//! nor a right to read pods is needed. An exporter that cannot be read is a fact to report, never
//! a failure of the operator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::net::TcpStream;

use super::desired::PORT_NAME;
use super::trouble::innermost;
use crate::api::exporter_status::ExporterStatus;

/// How long one exporter may take to answer. `/status` is a copy of memory.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most that is read of a stack's exporters together: 64 accounts in 32 regions fit, however they are shared out.
const LIMIT: usize = 4 << 20;

/// Where an exporter is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The pod's name, or its address.
    pub pod: String,
    /// Where it serves.
    pub socket: SocketAddr,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Whether the pod is being ended.
    pub is_ending: bool,
}

/// One exporter pod and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Exporter {
    /// The pod's name, or its address.
    pub pod: String,
    /// What it said, or why it could not be heard.
    pub status: Result<ExporterStatus, String>,
}

/// The exporters that the slices of a stack's Service name, each once.
pub fn addresses<'a>(slices: impl Iterator<Item = &'a EndpointSlice>) -> Vec<Address> {
    let mut found = Vec::new();
    for slice in slices {
        let mut ports = slice.ports.iter().flatten();
        let Some(port) = ports
            .find(|port| port.name.as_deref() == Some(PORT_NAME))
            .and_then(|port| u16::try_from(port.port?).ok())
        else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let Some(ip) = endpoint
                .addresses
                .first()
                .and_then(|ip| ip.parse::<IpAddr>().ok())
            else {
                continue;
            };
            let conditions = endpoint.conditions.as_ref();
            let pod = endpoint
                .target_ref
                .as_ref()
                .and_then(|target| target.name.clone());
            found.push(Address {
                pod: pod.unwrap_or_else(|| ip.to_string()),
                socket: SocketAddr::new(ip, port),
                node: endpoint.node_name.clone(),
                is_ending: conditions.and_then(|all| all.terminating).unwrap_or(false),
            });
        }
    }
    found.sort();
    // A dual-stack Service has a slice for each family: one answer of a pod is enough.
    found.dedup_by(|a, b| a.pod == b.pod);
    found
}

/// Asks all exporters of the stack, given as `namespace/name`, at once.
pub async fn read(of_stack: &str, addresses: Vec<Address>) -> Vec<Exporter> {
    let limit = LIMIT / addresses.len().max(1);
    let answers = addresses.into_iter().map(|Address { pod, socket, .. }| {
        async move {
            let status = match tokio::time::timeout(TIMEOUT, ask(socket, limit)).await {
                Ok(Ok(status)) if status.stack == of_stack => Ok(status),
                // The address went to another pod between our two looks.
                Ok(Ok(status)) => Err(format!("it answers for the stack {}", status.stack)),
                Ok(Err(why)) => Err(why),
                Err(_) => Err(format!("no answer within {} seconds", TIMEOUT.as_secs())),
            };
            Exporter {
                pod,
                status: status.map_err(|why| format!("http://{socket}/status: {why}")),
            }
        }
    });
    join_all(answers).await
}

/// A connection of its own for each question: they are half a minute apart, and a pod's address
/// may have a new owner by then.
async fn ask(address: SocketAddr, limit: usize) -> Result<ExporterStatus, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|e| innermost(&e))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| innermost(&e))?;
    let request = Request::get("/status")
        .header(hyper::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|e| innermost(&e))?;
    let answer = async move {
        let response = sender
            .send_request(request)
            .await
            .map_err(|e| innermost(&e))?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), limit)
            .collect()
            .await
            .map_err(|e| innermost(&*e))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|e| format!("not a status document: {e}"))
    };
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        closed = &mut connection => match closed {
            // The last bytes may be with us already.
            Ok(()) => answer.await,
            Err(error) => Err(innermost(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Asks somebody who gives this answer and closes.
    async fn answered_by(answer: &str) -> Result<ExporterStatus, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = answer.to_owned();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let status = ask(address, 1000).await;
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /status HTTP/1.1\r\n"), "{request}");
        status
    }

    #[tokio::test]
    async fn a_status_document_is_read_even_when_a_newer_exporter_wrote_it() {
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"stack\": \"shop/checkout\", \"news\": [1]}";
        assert_eq!(answered_by(answer).await.unwrap().stack, "shop/checkout");
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_a_reason_and_not_a_failure() {
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "[".repeat(1001));
        for (answer, part) in [
            (
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
                "503",
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>",
                "not a status document",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
                "end of file before message length reached",
            ),
            (&endless, "length limit exceeded"),
            ("SSH-2.0\r\n", "invalid HTTP version"),
            ("", "closed before message completed"),
        ] {
            let why = answered_by(answer).await.unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_fails_is_told_with_the_reason_that_the_system_gives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (why, ()) = tokio::join!(ask(address, 1000), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            // Closed with a reset, as a proxy in between does it.
            stream.set_zero_linger().unwrap();
        });
        let why = why.unwrap_err();
        assert!(why.contains("Connection reset"), "{why}");
        drop(listener);
        let why = ask(address, 1000).await.unwrap_err();
        assert!(why.contains("Connection refused"), "{why}");
    }
}
