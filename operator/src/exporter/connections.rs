//! Connections: how many, for how long, and with which protection.
//!
//! A scraper comes once in a while and takes its answer at once. Whoever does not (slow readers, connections that say
//! nothing, a thousand clients at once) gets a limited time and a limited number of connections, and neither
//! the polling nor `/healthz` waits for them: when there are too many connections, the one that has been still for the
//! longest ends for the newest.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::serve::Pages;
use super::web::Web;

/// How long a client may take for a handshake, for its answer, and for the rest of it when we stop.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// How long a connection may wait for a request. Longer than most scrape intervals: a connection that ends just when the
/// next scrape begins is a scrape that fails.
const IDLE: Duration = Duration::from_secs(130);

/// How many connections there may be. With what else a process opens, it is within the 1024 files
/// that systems allow without being asked.
const MOST: usize = 512;

/// How often is looked for a connection to end, when there are too many.
const LOOK: Duration = Duration::from_millis(50);

/// How long a connection has to be still before it ends for another one. A client that is served among hundreds
/// may have to wait for its turn.
const STILL: Duration = Duration::from_secs(2);

/// What the kernel may hold of one answer. It would grow to megabytes for each slow reader.
const SEND_BUFFER: u32 = 256 * 1024;

/// Listens on an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    // Connections have it from the socket that they are accepted on.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// A connection that is open.
struct Open {
    task: AbortHandle,
    moved: Moved,
}

/// When something last went over a connection.
#[derive(Clone)]
struct Moved {
    begun: Instant,
    /// Milliseconds from `begun`.
    at: Arc<AtomicU64>,
}

impl Moved {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            at: Arc::default(),
        }
    }

    fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at.store(now, Ordering::Relaxed);
    }

    fn still_for(&self) -> Duration {
        let at = Duration::from_millis(self.at.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(at)
    }
}

/// Serves until `shutdown` is done, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    web: Option<Arc<Web>>,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut open: HashMap<u64, Open> = HashMap::new();
    let mut number = 0;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let full = open.len() >= MOST;
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = tasks.join_next() => {
                if let Ok(number) = ended {
                    open.remove(&number);
                }
            }
            () = sleep(LOOK), if full => {
                let stillest = open
                    .iter()
                    .map(|(number, one)| (one.moved.still_for(), *number))
                    .max()
                    .filter(|(still, _)| *still >= STILL);
                if let Some(one) = stillest.and_then(|(_, number)| open.remove(&number)) {
                    tracing::debug!("too many connections: one that is still ends");
                    one.task.abort();
                }
            }
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => {
                    number += 1;
                    let this = number;
                    let moved = Moved::new();
                    let connection = connection(
                        Patient::new(stream, moved.clone()),
                        pages.clone(),
                        web.clone(),
                        graceful.watcher(),
                    );
                    let task = tasks.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(error = %error, "a connection ended early");
                        }
                        this
                    });
                    open.insert(number, Open { task, moved });
                }
                Err(error) => {
                    // Out of file descriptors, say: others may be closed by the time of the next try.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(LOOK).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(PATIENCE, graceful.shutdown()).await;
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: Patient<TcpStream>,
    pages: Pages,
    web: Option<Arc<Web>>,
    watcher: Watcher,
) -> Result<(), Failure> {
    stream.stream.set_nodelay(true)?;
    let Some(tls) = web.as_ref().and_then(|web| web.current().tls.clone()) else {
        return http(stream, pages, web, watcher).await;
    };
    match timeout(PATIENCE, handshake(stream, tls.into())).await?? {
        Some(stream) => http(stream, pages, web, watcher).await,
        None => Ok(()),
    }
}

/// Speaks TLS, or tells a client who does not that he has to.
async fn handshake(
    mut stream: Patient<TcpStream>,
    tls: TlsAcceptor,
) -> io::Result<Option<tokio_rustls::server::TlsStream<Patient<TcpStream>>>> {
    const REFUSAL: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
        TLS is spoken here: write https\n";
    let mut first = [0];
    // As every method of HTTP begins, and no handshake.
    if stream.stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    tls.accept(stream).await.map(Some)
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    pages: Pages,
    web: Option<Arc<Web>>,
    watcher: Watcher,
) -> Result<(), Failure> {
    let service = service_fn(move |request| {
        let (pages, web) = (pages.clone(), web.clone());
        async move { Ok::<_, Infallible>(pages.answer(request, web).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    Ok(watcher.watch(connection).await?)
}

/// A stream that fails when the other side does not take within [`PATIENCE`] what was written.
struct Patient<S> {
    stream: S,
    moved: Moved,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    const fn new(stream: S, moved: Moved) -> Self {
        Self {
            stream,
            moved,
            waiting: None,
        }
    }

    /// What comes of something that had to wait.
    fn or_late<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            let waiting = self
                .waiting
                .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            if waiting.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else {
            self.moved.note();
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if poll.is_ready() {
            self.moved.note();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.or_late(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.or_late(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        if poll.is_ready() {
            self.waiting = None;
        }
        self.or_late(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_late(cx, poll)
    }
}
