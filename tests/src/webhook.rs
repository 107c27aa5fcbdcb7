//! A webhook receiver: keeps what Alertmanager sends, and shows it.
//!
//! The path of a request is the receiver's name. What came is listed at `/` as JSON, oldest first.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running receiver; stops when dropped.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// One alert, as a notification had it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// When it came, seconds since 1970.
    pub at: f64,
    /// The path that it came to, without the slash: the receiver.
    pub receiver: String,
    /// What it says.
    #[serde(flatten)]
    pub alert: Alert,
}

/// An alert in Alertmanager's JSON (version 4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// `firing` or `resolved`.
    pub status: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its texts.
    pub annotations: BTreeMap<String, String>,
    /// The same for the same labels.
    pub fingerprint: String,
}

impl Alert {
    /// A label's value; empty when there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// What a person reads first.
    pub fn summary(&self) -> &str {
        self.annotations.get("summary").map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct Notification {
    alerts: Vec<Alert>,
}

impl Webhook {
    /// Starts a receiver; port 0 takes a free one.
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let seen = Arc::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&seen)));
        Ok(Self {
            address,
            seen,
            task,
        })
    }

    /// Where a receiver's notifications go.
    pub fn url(&self, receiver: &str) -> String {
        format!("http://{}/{receiver}", self.address)
    }

    /// All that came, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let seen = Arc::clone(&seen);
                async move { Ok::<_, Infallible>(answer(request, &seen).await) }
            });
            // A sender that goes away is no error of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, seen: &Mutex<Vec<Seen>>) -> Response<Full<Bytes>> {
    let receiver = request.uri().path().trim_matches('/').to_owned();
    if request.method() == Method::GET {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        return reply(StatusCode::OK, &serde_json::json!(*seen).to_string());
    }
    let Ok(body) = request.into_body().collect().await else {
        return reply(StatusCode::BAD_REQUEST, "the body was cut off");
    };
    match serde_json::from_slice::<Notification>(&body.to_bytes()) {
        Ok(notification) => {
            let at = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64());
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.extend(notification.alerts.into_iter().map(|alert| Seen {
                at,
                receiver: receiver.clone(),
                alert,
            }));
            reply(StatusCode::OK, "{}")
        }
        // Alertmanager does not try a 400 again, and logs it.
        Err(error) => reply(
            StatusCode::BAD_REQUEST,
            &format!("not a notification of Alertmanager's: {error}"),
        ),
    }
}

fn reply(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response
}
