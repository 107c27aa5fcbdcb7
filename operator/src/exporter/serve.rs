//! The pages: `/metrics`, `/status`, `/healthz`, `/readyz` and the landing page.
//!
//! An answer is made of bytes that the snapshot shares, so that a thousand scrapes at once hold one copy.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderValue, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use super::budget::Economy;
use super::config::{Config, Current};
use super::connections::PATIENCE;
use super::encode::{Format, openmetrics_to_prometheus};
use super::landing;
use super::snapshot::Publisher;
use super::telemetry::Telemetry;
use super::web::Web;
use crate::api::exporter_status::{ExporterStatus, Spend, VERSION};

/// What requests are answered from.
#[derive(Clone, Debug)]
pub struct Pages {
    /// AWS series.
    pub publisher: Arc<Publisher>,
    /// Our own series.
    pub telemetry: Telemetry,
    /// What may be spent.
    pub economy: Arc<Economy>,
    /// What is configured.
    pub config: watch::Receiver<Current>,
    /// The configuration that everything that runs is by; none until something does.
    pub carried_out: watch::Receiver<Option<Arc<Config>>>,
    /// Which of the stack's shards this is.
    pub shard: u32,
    /// When the process started.
    pub started: i64,
}

/// A frame of an answer; the connection takes the next one when there is room.
const FRAME: usize = 64 * 1024;

/// The body of an answer: shared bytes, in frames, for a client that takes them in time.
#[derive(Debug)]
pub struct Body {
    frames: VecDeque<Bytes>,
    left: u64,
    since: Instant,
    /// The snapshot that a scrape has when it has taken the last frame.
    scrape: Option<(Arc<Publisher>, u64)>,
}

impl Body {
    fn new(frames: impl IntoIterator<Item = Bytes>) -> Self {
        let frames: VecDeque<_> = frames.into_iter().filter(|f| !f.is_empty()).collect();
        Self {
            left: frames.iter().map(|frame| frame.len() as u64).sum(),
            frames,
            since: Instant::now(),
            scrape: None,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.since.elapsed() > PATIENCE {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(late)));
        }
        let Some(mut frame) = self.frames.pop_front() else {
            return Poll::Ready(None);
        };
        if frame.len() > FRAME {
            let rest = frame.split_off(FRAME);
            self.frames.push_front(rest);
        }
        self.left -= frame.len() as u64;
        if self.left == 0
            && let Some((publisher, number)) = self.scrape.take()
        {
            publisher.note_scrape(number);
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new([body.into()]));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Pages {
    /// Answers a request, if it may be made.
    pub async fn answer(self, request: Request<Incoming>, web: Option<Arc<Web>>) -> Response<Body> {
        let Some(web) = web else {
            return self.page(&request);
        };
        let protection = web.current();
        // They tell nothing, and a probe of Kubernetes has no password.
        let open = matches!(request.uri().path(), "/healthz" | "/readyz");
        let header = request.headers().get(AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok());
        let mut response = if open || web.admits(&protection, header).await {
            self.page(&request)
        } else {
            let mut refusal = page(
                StatusCode::UNAUTHORIZED,
                TEXT,
                "a user and a password are wanted\n",
            );
            let challenge = HeaderValue::from_static("Basic realm=\"nightjar\", charset=\"UTF-8\"");
            refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            refusal
        };
        for (name, value) in &protection.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }

    fn page(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = page(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "only GET is served here\n",
            );
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(ALLOW, allowed);
            return refusal;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request),
            "/status" => match serde_json::to_vec_pretty(&self.status()) {
                Ok(json) => page(StatusCode::OK, "application/json", json),
                Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
            },
            // Serving is all that is promised: a stack without credentials must not block a roll-out.
            "/healthz" | "/readyz" => page(StatusCode::OK, TEXT, "ok\n"),
            "/" => {
                let html = landing::page(&self.status(), super::target::now_seconds());
                let mut response = page(StatusCode::OK, "text/html; charset=utf-8", html);
                response.headers_mut().insert(
                    CONTENT_SECURITY_POLICY,
                    landing::CONTENT_SECURITY_POLICY.clone(),
                );
                response
            }
            _ => page(
                StatusCode::NOT_FOUND,
                TEXT,
                "not found: try /metrics, /status or /\n",
            ),
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Body> {
        let header = |name| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let format = Format::negotiate(header(ACCEPT));
        let gzip = accepts_gzip(header(ACCEPT_ENCODING));
        let own = self.telemetry.encode();
        let own = match format {
            Format::OpenMetrics => own,
            Format::Prometheus => openmetrics_to_prometheus(&own),
        };
        let snapshot = self.publisher.snapshot();
        let frames = if gzip {
            snapshot.gzip(format, &own)
        } else {
            self.publisher.note_plain();
            snapshot.plain(format, own)
        };
        let mut body = Body::new(frames);
        if request.method() == Method::GET {
            body.scrape = Some((self.publisher.clone(), snapshot.number));
        }
        let mut response = page(StatusCode::OK, format.content_type(), Bytes::new());
        *response.body_mut() = body;
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn spend(&self) -> Spend {
        let terms = self.economy.terms();
        Spend {
            metrics_requested: self.telemetry.metrics_requested(),
            forecast_usd_per_month: terms.forecast,
            interval_seconds: terms.interval_seconds,
            rung: terms.rung,
            budget_usd_per_month: terms.budget,
            least_budget_usd_per_month: terms.least_budget,
        }
    }

    fn status(&self) -> ExporterStatus {
        let Current { config, error } = self.config.borrow().clone();
        // Before the views: what is released by then must not be seen among them.
        let carried_out = self.carried_out.borrow().clone();
        let runs =
            |part: fn(&Config) -> String| carried_out.as_deref().map(part).unwrap_or_default();
        ExporterStatus {
            version: VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            stack: format!("{}/{}", config.namespace, config.name),
            shard: self.shard,
            revision: carried_out
                .as_ref()
                .map_or(0, |config| config.assignment.revision),
            config_hash: runs(|config| config.hash.clone()),
            generation: carried_out.as_ref().and_then(|config| config.generation),
            config_error: error,
            suspended: carried_out
                .as_ref()
                .is_some_and(|config| config.spec.suspend),
            started: self.started,
            spend: self.spend(),
            ..self.publisher.status()
        }
    }
}

/// Whether an `Accept-Encoding` header allows gzip: named, and not with a weight of zero.
fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named
            && !parts.any(|weight| {
                weight
                    .strip_prefix("q=")
                    .is_some_and(|q| q.parse() == Ok(0.0_f32))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        assert!(accepts_gzip("gzip") && accepts_gzip("deflate, GZIP;q=0.5"));
        assert!(!accepts_gzip("") && !accepts_gzip("identity") && !accepts_gzip("gzip;q=0"));
    }
}
