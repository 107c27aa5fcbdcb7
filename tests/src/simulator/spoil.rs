//! Spoiled answers: what a fault script does to a response that was already right.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::cloudwatch::{Answer, MetricResult, Request};
use super::faults::Effect;

/// A connection that can be reset: what the peer sees is RST, not an orderly end.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl Connection {
    /// Wraps a stream; when `cut` is set before the connection is dropped, it is reset.
    pub fn new(stream: TcpStream, cut: Arc<AtomicBool>) -> Self {
        Self { stream, cut }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.cut.load(Ordering::SeqCst) {
            // Closing with nothing to linger for sends RST.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The connection is to be cut without an answer.
#[derive(Debug)]
pub struct Spoiled;

impl fmt::Display for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault script cut the connection")
    }
}

impl std::error::Error for Spoiled {}

/// Into so many pieces a dripping body is cut.
const DROPS: usize = 20;
/// What a body that goes on for long goes on with.
const CHUNK: Bytes = Bytes::from_static(&[b' '; 1 << 16]);

/// A response body that may break off, or be late, or not end.
#[derive(Debug)]
pub enum Payload {
    /// All of it.
    Whole(Full<Bytes>),
    /// All of it, piece by piece.
    Dripping {
        /// What still comes.
        left: Bytes,
        /// How much of it at once.
        piece: usize,
        /// How long apart.
        pause: Duration,
        /// Until the next piece.
        sleep: Pin<Box<Sleep>>,
    },
    /// So many bytes of nothing.
    Long {
        /// How many still come.
        left: u64,
    },
    /// A part of it; after that the connection is cut.
    Broken {
        /// What still comes.
        part: Option<Bytes>,
        /// How much was promised.
        promised: u64,
    },
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Spoiled;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Spoiled>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|f| f.map_err(|never: Infallible| match never {}))),
            Self::Dripping {
                left,
                piece,
                pause,
                sleep,
            } => {
                if left.is_empty() {
                    return Poll::Ready(None);
                }
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                sleep.as_mut().reset(Instant::now() + *pause);
                let now = left.split_to((*piece).min(left.len()));
                Poll::Ready(Some(Ok(Frame::data(now))))
            }
            Self::Long { left } => {
                if *left == 0 {
                    return Poll::Ready(None);
                }
                let length = (CHUNK.len() as u64).min(*left);
                *left -= length;
                let now = CHUNK.slice(..usize::try_from(length).unwrap_or(0));
                Poll::Ready(Some(Ok(Frame::data(now))))
            }
            Self::Broken { part, .. } => {
                Poll::Ready(Some(part.take().map(Frame::data).ok_or(Spoiled)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Dripping { left, .. } => SizeHint::with_exact(left.len() as u64),
            Self::Long { left } => SizeHint::with_exact(*left),
            Self::Broken { promised, .. } => SizeHint::with_exact(*promised),
        }
    }
}

/// Does to a finished response what the script says.
pub fn spoil(
    response: Response<Full<Bytes>>,
    effect: Option<&Effect>,
) -> Result<Response<Payload>, Spoiled> {
    match effect {
        Some(Effect::Reset) => Err(Spoiled),
        Some(Effect::Truncate) => Ok(response.map(|body| {
            let bytes = whole(body);
            Payload::Broken {
                promised: bytes.len() as u64,
                part: Some(bytes.slice(..bytes.len() / 2)),
            }
        })),
        Some(Effect::Corrupt) => Ok(response.map(|body| {
            let mut bytes = whole(body).to_vec();
            let middle = bytes.len() / 2;
            for at in [0, 1].into_iter().chain(middle..middle + 16) {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0xff;
                }
            }
            Payload::Whole(Full::new(Bytes::from(bytes)))
        })),
        Some(Effect::Drip { seconds }) => Ok(response.map(|body| {
            let left = whole(body);
            let pause = Duration::try_from_secs_f64(*seconds).unwrap_or_default()
                / u32::try_from(DROPS).unwrap_or(1);
            Payload::Dripping {
                piece: left.len().div_ceil(DROPS).max(1),
                left,
                pause,
                sleep: Box::pin(tokio::time::sleep(pause)),
            }
        })),
        Some(Effect::Html { status }) => {
            let page = "<!doctype html><title>Error</title><h1>The proxy is not amused</h1>\n";
            Ok(instead(response, *status, "text/html", page))
        }
        Some(Effect::ErrorIn200) => {
            let error = r#"{"__type":"InternalFailure","message":"The request failed."}"#;
            Ok(instead(response, 200, "application/json", error))
        }
        Some(Effect::GzipLie) => {
            let mut response = response.map(Payload::Whole);
            super::wire::set(&mut response, "content-encoding", "gzip");
            Ok(response)
        }
        Some(Effect::Huge { megabytes }) => Ok(response.map(|_| Payload::Long {
            left: megabytes << 20,
        })),
        _ => Ok(response.map(Payload::Whole)),
    }
}

fn instead(
    mut response: Response<Full<Bytes>>,
    status: u16,
    content_type: &'static str,
    body: &'static str,
) -> Response<Payload> {
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    super::wire::set(&mut response, "content-type", content_type);
    response.map(|_| Payload::Whole(Full::new(Bytes::from_static(body.as_bytes()))))
}

/// The bytes of a body that is in memory already.
fn whole(body: Full<Bytes>) -> Bytes {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match Pin::new(&mut body.boxed()).poll_frame(&mut cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

/// Does to datapoints what the script says.
pub fn spoil_metrics(answer: &mut Answer, request: &Request, effect: Option<&Effect>, now_ms: i64) {
    match effect {
        Some(Effect::PartialData) => request.halve(answer, now_ms),
        Some(Effect::NoTrimmedCounts) => request.without_trimmed_counts(answer),
        Some(Effect::InternalError) => {
            for result in answer.results.iter_mut().step_by(2) {
                result.status = "InternalError";
                let half = result.values.len().div_ceil(2);
                result.values.drain(..half);
                result.timestamps.drain(..half);
            }
        }
        Some(Effect::Forbidden { every }) => {
            for result in answer.results.iter_mut().step_by((*every).max(1)) {
                result.status = "Forbidden";
                result.values.clear();
                result.timestamps.clear();
            }
        }
        Some(Effect::Messages) => answer.message = Some("Something may be missing."),
        Some(Effect::TokenLoop) => answer.next_token = Some(request.first_page(now_ms)),
        Some(Effect::EmptyPage) if request.begins() => {
            answer.results.clear();
            answer.next_token = Some(request.first_page(now_ms));
        }
        Some(Effect::Shuffle) => {
            answer.results.reverse();
            for result in &mut answer.results {
                result.values.reverse();
                result.timestamps.reverse();
                let middle = result.values.len() / 2;
                result.values.rotate_left(middle);
                result.timestamps.rotate_left(middle);
            }
        }
        Some(Effect::DropResults { every }) => {
            let mut number = 0;
            answer.results.retain(|_| {
                number += 1;
                number % (*every).max(1) != 0
            });
        }
        Some(Effect::DoubleResults) => {
            let again: Vec<MetricResult> = answer.results.clone();
            answer.results.extend(again);
        }
        Some(Effect::UnknownResults) => {
            let stranger = answer.results.first().map(|result| MetricResult {
                id: "nobody".to_owned(),
                ..result.clone()
            });
            answer.results.extend(stranger);
        }
        Some(Effect::Ragged) => {
            for result in &mut answer.results {
                result.values.pop();
            }
        }
        Some(Effect::Absurd) => {
            let future = now_ms / 60_000 * 60 + 3600;
            for result in &mut answer.results {
                let free = request
                    .minutes()
                    .filter(|minute| !result.timestamps.contains(minute));
                let free: Vec<i64> = free.take(ABSURD.len()).collect();
                result.timestamps.extend(&free);
                result.values.extend(&ABSURD[..free.len()]);
                result.timestamps.push(future);
                result.values.push(1.0);
            }
        }
        _ => {}
    }
}

/// What no metric can have.
const ABSURD: [f64; 4] = [f64::NAN, -1.0, 1e308, f64::INFINITY];
