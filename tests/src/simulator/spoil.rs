//! Spoiled answers: what a fault script does to a response that was already right.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::{fmt, io};

use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::cloudwatch::{Answer, Request};
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

/// A response body that may break off.
#[derive(Debug)]
pub enum Payload {
    /// All of it.
    Whole(Full<Bytes>),
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
            Self::Broken { part, .. } => {
                Poll::Ready(Some(part.take().map(Frame::data).ok_or(Spoiled)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
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
        _ => Ok(response.map(Payload::Whole)),
    }
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
        _ => {}
    }
}
