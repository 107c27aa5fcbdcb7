//! An AWS that knows the truth.
//!
//! An account file describes resources, traffic, incidents and composition. From it every value of
//! every minute follows as a pure function, so the simulator stores nothing and can say what AWS
//! will finally have counted in any window, while its `CloudWatch` shows the newest minutes as late
//! and as incomplete as the real one does.
//!
//! ```text
//! account ──> model ──> traffic ──> series ──> cloudwatch ──┐
//!  (file)    (nodes)   (minutes)  (metrics,    (contract)   ├──> wire ──> server ──> clients
//!                       lateness ──┘ views)    services/ ───┘              faults, quotas, meter
//! ```
//!
//! Everything up to `cloudwatch` and `services` is synchronous and pure; only `server` is not.

pub mod account;
mod admin;
pub mod api;
pub mod clock;
pub mod cloudwatch;
pub mod faults;
mod hours;
pub mod lateness;
pub mod meter;
pub mod metrics;
pub mod model;
mod needs;
mod quotas;
pub mod random;
pub mod series;
mod server;
mod services;
pub mod speed;
mod spoil;
pub mod stats;
pub mod traffic;
pub mod truth;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use account::{AccountError, AccountFile};
use clock::Clock;
use faults::Fault;
use lateness::View;
use meter::Reading;
use model::World;
use server::Shared;
use spoil::Connection;
use truth::{Question, Truth};

/// How a simulator runs.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The simulated time.
    pub clock: Clock,
    /// Whether AWS's rate limits hold.
    pub limits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Clock::real(),
            limits: true,
        }
    }
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The account file cannot be played.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A running simulator; stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulator in this process.
    pub async fn start(account: &AccountFile, options: Options) -> Result<Self, StartError> {
        Self::start_named("<account>", account, options).await
    }

    /// Starts a simulator from an account file's text.
    pub async fn from_text(text: &str, options: Options) -> Result<Self, StartError> {
        Self::start_named("<text>", &AccountFile::parse("<text>", text)?, options).await
    }

    /// Starts a simulator; `origin` names the account file in errors.
    pub async fn start_named(
        origin: &str,
        account: &AccountFile,
        options: Options,
    ) -> Result<Self, StartError> {
        let world = World::compile(origin, account)?;
        let listen = options.listen;
        let refused = |source| StartError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared::new(
            world,
            account.clone(),
            options.clock,
            options.limits,
        ));
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            task,
        })
    }

    /// Where it listens, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What AWS finally counts.
    pub fn truth(&self, question: &Question) -> Result<Truth, String> {
        truth::tell(&self.shared.world(), question, View::Final, self.now_ms())
    }

    /// What can be read now.
    pub fn visible(&self, question: &Question) -> Result<Truth, String> {
        let now = self.now_ms();
        truth::tell(&self.shared.world(), question, View::At(now), now)
    }

    /// Puts a fault script in force; an empty one ends all faults.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.set_faults(faults);
    }

    /// What was asked and what it costs.
    pub fn meter(&self) -> Vec<Reading> {
        self.shared.meter().readings()
    }

    /// Begins the meter at zero.
    pub fn reset_meter(&self) {
        self.shared.meter().reset();
    }

    /// How fast its time runs; 1 is real time.
    pub fn speed(&self) -> f64 {
        self.shared.clock.speed()
    }

    /// The simulated time, milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// Jumps the simulated time forward.
    pub fn advance_seconds(&self, seconds: i64) {
        self.shared.clock.advance(seconds * 1000);
    }

    /// Replaces all accounts, as if someone had deployed.
    pub fn replace_account(&self, account: &AccountFile) -> Result<(), AccountError> {
        self.shared.set_account(account)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // Finished connections leave the set, which aborts the others when it is dropped.
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, for example: the next connection may work.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let cut = Arc::new(AtomicBool::new(false));
            let connection = Connection::new(stream, Arc::clone(&cut));
            let service = hyper::service::service_fn(move |request| {
                let answer = server::handle(Arc::clone(&shared), request);
                let cut = Arc::clone(&cut);
                async move {
                    answer
                        .await
                        .inspect_err(|_| cut.store(true, Ordering::SeqCst))
                }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).half_close(true);
            // A client that goes away or a fault script that cuts is no error of ours.
            let _ = http
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}
