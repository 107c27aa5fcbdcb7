//! The operator's client of the Kubernetes API: every request is counted, and a write goes out
//! only while this replica leads.
//!
//! The gate is the innermost layer that is ours, below the one that tries again: a request that
//! waited for its next try while the leadership ended is not sent any more.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::{Method, Request, Response};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::{BoxError, Layer, Service};

use super::leader::Leadership;
use super::metrics::Metrics;

/// A request that is answered with 429, 503 or 504 is tried again a few times with these pauses;
/// then whoever sent it decides. kube's own way obeys any `Retry-After`, even one of years.
const RETRIES: (Duration, Duration, u32) = (Duration::from_millis(100), Duration::from_secs(2), 3);

/// How long a connection may take to be made: a request that must not be sent any more when it is
/// has little time to become one.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the API server may take to begin an answer: a write waits for webhooks, which may take
/// 30 seconds each. Whoever asked may have less patience.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection may be silent in the middle of an answer. A watch is never silent for as
/// long ([`super::trouble`]), so that one that is has lost its other end.
const SILENCE: Duration = Duration::from_secs(70);

/// How many requests may wait for the one connection; more wait before it, nothing is refused.
const QUEUE: usize = 1024;

/// A client whose requests are counted, and whose writes need the leadership, if there is one to need.
pub fn client(
    config: &Config,
    metrics: &Arc<Metrics>,
    leadership: Option<Leadership>,
) -> Result<Client, kube::Error> {
    let mut config = config.clone();
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // Or the time that a connection waited for its next request would count.
    config.reset_reader_on_write = true;
    let (shortest, longest, most) = RETRIES;
    let retries = RetryPolicy::new(shortest, longest, most, false)
        .expect("the shortest pause is shorter than the longest");
    let gate = Gate {
        metrics: Arc::clone(metrics),
        leadership,
    };
    Ok(ClientBuilder::try_from(config)?
        // What lies below cannot be cloned, and whoever tries again needs a clone.
        .with_layer(&BufferLayer::new(QUEUE))
        .with_layer(&gate)
        .with_layer(&RetryLayer::new(retries))
        .build())
}

#[derive(Clone, Debug)]
struct Gate {
    metrics: Arc<Metrics>,
    leadership: Option<Leadership>,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: self.clone(),
            inner,
        }
    }
}

#[derive(Clone, Debug)]
struct Gated<S> {
    gate: Gate,
    inner: S,
}

/// A write of a replica that does not lead.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not lead (any more), so it writes nothing")]
struct NotLeading;

/// A request that nobody answered.
#[derive(Debug, thiserror::Error)]
#[error("the Kubernetes API did not begin an answer within {} seconds", ANSWER.as_secs())]
struct NoAnswer;

impl<S, B> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let leads = |leadership: &Leadership| leadership.is_leading();
        if !reads && !self.gate.leadership.as_ref().is_none_or(leads) {
            return async { Err(NotLeading.into()) }.boxed();
        }
        let verb = verb(&request);
        let metrics = Arc::clone(&self.gate.metrics);
        let started = Instant::now();
        let answer = tokio::time::timeout(ANSWER, self.inner.call(request));
        async move {
            let answer = answer.await.unwrap_or_else(|_| Err(NoAnswer.into()));
            let code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            metrics.requested(verb, code, started.elapsed());
            answer
        }
        .boxed()
    }
}

/// The verb as Kubernetes' permissions name it.
fn verb(request: &Request<Body>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    match *request.method() {
        Method::GET if query.split('&').any(|part| part == "watch=true") => "watch",
        Method::GET if query.contains("limit=") || query.contains("Selector=") => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}
