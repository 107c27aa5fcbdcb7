//! A proxy between an operator and the real API server, for all that a server cannot be asked to
//! do: not to answer, to answer half, to say that a version is gone, to be of yesterday.
//!
//! It speaks plain HTTP to the operator and TLS to the server. The operator's own credentials go
//! through, so that the server's audit log still knows it. What the proxy is not told to spoil, it
//! passes on as it comes, frame by frame.

mod connection;
pub mod request;
pub mod rule;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Bytes;
use kube::Client;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::KubeApi;
use request::Seen;
use rule::Rule;

/// Proxies, and whoever plays kubelet, go on while a test's own thread waits for kubectl.
pub fn background() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// A running proxy.
pub struct FaultProxy {
    /// Where the operator finds it.
    pub url: String,
    state: Arc<State>,
    listener: tokio::task::JoinHandle<()>,
}

/// Whether the way is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections are closed, and new ones too.
    Closed,
    /// Connections are taken, and nothing comes through.
    Silent,
}

struct State {
    client: Client,
    way: watch::Sender<Way>,
    /// Whoever hears of it closes its connection.
    cuts: watch::Sender<()>,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    struck: watch::Sender<usize>,
    /// The lists that were asked for, by path and query, and how to ask again.
    lists: Mutex<HashMap<String, Request<()>>>,
    /// What they are answered with, while the past is served.
    past: watch::Sender<Option<Arc<HashMap<String, Bytes>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultProxy {
    /// Starts one that spoils nothing.
    pub fn start(api: &KubeApi) -> Self {
        let kubeconfig = api.kubeconfig("admin");
        background().block_on_elsewhere(async move {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let file = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
            let mut config = kube::Config::from_custom_kubeconfig(
                file,
                &kube::config::KubeConfigOptions::default(),
            )
            .await
            .unwrap();
            config.auth_info = kube::config::AuthInfo::default();
            config.default_retry = false;
            let state = Arc::new(State {
                client: Client::try_from(config).unwrap(),
                way: watch::Sender::new(Way::Open),
                cuts: watch::Sender::new(()),
                rules: Mutex::default(),
                seen: Mutex::default(),
                struck: watch::Sender::new(0),
                lists: Mutex::default(),
                past: watch::Sender::new(None),
            });
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", socket.local_addr().unwrap());
            let listener = tokio::spawn(connection::accept(socket, Arc::clone(&state)));
            Self {
                url,
                state,
                listener,
            }
        })
    }

    /// From now on these rules hold, and no others.
    pub fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        self.state.struck.send_replace(0);
        *lock(&self.state.rules) = rules.into_iter().collect();
    }

    /// Nothing is spoiled any more; what hangs, hangs on.
    pub fn clear(&self) {
        self.set([]);
    }

    /// Waits until rules have been applied to so many requests.
    pub async fn until_struck(&self, times: usize) {
        let mut struck = self.state.struck.subscribe();
        tokio::time::timeout(super::PATIENCE, struck.wait_for(|struck| *struck >= times))
            .await
            .unwrap_or_else(|_| panic!("not {times} requests met a fault: {:#?}", self.last()))
            .unwrap();
    }

    /// To how many requests rules have been applied since they were set.
    pub fn struck(&self) -> usize {
        *self.state.struck.borrow()
    }

    /// The server is gone: connections break, and new ones are closed.
    pub fn close(&self) {
        self.state.way.send_replace(Way::Closed);
    }

    /// All connections are closed; new ones are taken.
    pub fn cut(&self) {
        self.state.cuts.send_replace(());
    }

    /// The network drops all packets.
    pub fn silence(&self) {
        self.state.way.send_replace(Way::Silent);
    }

    /// What was lost on the way comes through again.
    pub fn open(&self) {
        self.state.way.send_replace(Way::Open);
    }

    /// All requests until now.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// The last requests, for whoever has to say what went wrong.
    fn last(&self) -> Vec<String> {
        let all = self.requests();
        let last = all.iter().rev().take(20).rev();
        last.map(Seen::to_string).collect()
    }

    /// From now on every list that was asked for before is answered as it is now, and no watch
    /// says anything: a server that lags behind. Reads of one object are of the present, as they are of a
    /// quorum.
    pub async fn serve_the_past(&self) {
        let asked: Vec<_> = lock(&self.state.lists)
            .iter()
            .map(|(key, request)| (key.clone(), request.clone()))
            .collect();
        let client = self.state.client.clone();
        let lists = background().spawn(async move {
            let mut lists = HashMap::new();
            for (key, request) in asked {
                let answer = client.send(request.map(|()| Body::empty())).await.unwrap();
                // A kind that is not there has no past.
                if answer.status().is_success() {
                    let body = answer.into_body().collect().await.unwrap().to_bytes();
                    lists.insert(key, body);
                }
            }
            lists
        });
        let lists = lists.await.unwrap();
        assert!(!lists.is_empty(), "nothing was ever listed");
        self.state.past.send_replace(Some(Arc::new(lists)));
    }

    /// The server has caught up.
    pub fn serve_the_present(&self) {
        self.state.past.send_replace(None);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.close();
    }
}

/// Runs something on a runtime that may not be the caller's, and waits for it.
trait Elsewhere {
    fn block_on_elsewhere<T: Send + 'static>(
        &'static self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> T;
}

impl Elsewhere for Runtime {
    fn block_on_elsewhere<T: Send + 'static>(
        &'static self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> T {
        // A thread that runs one runtime may not wait for another.
        std::thread::spawn(move || self.block_on(what))
            .join()
            .unwrap()
    }
}
