//! A proxy between an operator and the real API server, for all that a server cannot be asked to
//! do: not to answer, to answer half, to say that a version is gone, to be of yesterday.
//!
//! It speaks plain HTTP to the operator and TLS to the server. The operator's own credentials go
//! through, so that the server's audit log still knows it. What the proxy is not told to spoil, it
//! passes on as it comes, frame by frame.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::KubeApi;

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

/// One request as the proxy saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it came.
    pub at: Instant,
    /// As permissions name it; `discover` for what is no object, `continue` for a list's further pages.
    pub verb: &'static str,
    /// Plural, with its subresource: `serverlessstacks/status`.
    pub resource: String,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for all objects.
    pub name: String,
}

impl Seen {
    /// A connection that was closed before anything was asked for.
    fn connection() -> Self {
        Self {
            at: Instant::now(),
            verb: "connect",
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
        }
    }
}

/// The verbs that change something.
pub const WRITES: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// What is done to which requests. The first rule that fits a request and is not used up has it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Any of these; none means all.
    pub verbs: &'static [&'static str],
    /// Any of these; none means all.
    pub resources: &'static [&'static str],
    /// None of these.
    pub except: &'static [&'static str],
    /// The beginning of the object's name.
    pub name: String,
    /// So many pass before.
    pub skip: usize,
    /// Only each so many-th of the others.
    pub every: usize,
    /// And of those only so many.
    pub times: usize,
    /// This is done.
    pub effect: Effect,
}

/// What can be done to a request.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The connection is closed, and no answer given.
    Refuse,
    /// No answer is given, and the connection stays.
    Hang,
    /// It is answered without the server.
    Answer {
        /// The HTTP status.
        code: u16,
        /// The reason of the Status.
        reason: &'static str,
        /// Its message.
        message: &'static str,
        /// The header of that name.
        retry_after: Option<&'static str>,
    },
    /// It is passed on later.
    Delay(Duration),
    /// Nothing passes any more, in either direction, from just before this request.
    CutBefore,
    /// The same from just after the server has done it.
    CutAfter,
    /// The answer of a watch is spoiled.
    Stream(Spoil),
    /// A list comes in pages of so many.
    Pages(usize),
}

/// What can be done to the events of a watch.
#[derive(Clone, Copy, Debug)]
pub enum Spoil {
    /// After so many, the answer ends.
    CloseAfter(usize),
    /// After so many, nothing comes any more, and the connection stays.
    HangAfter(usize),
    /// After so many, half of one comes and the connection breaks.
    HalfAfter(usize),
    /// After so many, the server says that the version is gone.
    GoneAfter(usize),
    /// Each comes twice.
    Twice,
    /// Each comes so much later.
    Late(Duration),
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

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

impl Rule {
    /// This is done to every request.
    pub fn all(effect: Effect) -> Self {
        Self {
            verbs: &[],
            resources: &[],
            except: &[],
            name: String::new(),
            skip: 0,
            every: 1,
            times: usize::MAX,
            effect,
        }
    }

    fn fits(&self, seen: &Seen) -> bool {
        let fits = |list: &[&str], what: &str| list.is_empty() || list.contains(&what);
        fits(self.verbs, seen.verb)
            && fits(self.resources, &seen.resource)
            && !self.except.contains(&&*seen.resource)
            && seen.name.starts_with(&self.name)
    }
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
            let listener = tokio::spawn(accept(socket, Arc::clone(&state)));
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

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            verb,
            resource,
            namespace,
            name,
            ..
        } = self;
        write!(f, "{verb} {resource} {namespace}/{name}")
    }
}

async fn accept(socket: TcpListener, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            return;
        };
        if *state.way.borrow() == Way::Closed {
            lock(&state.seen).push(Seen::connection());
            continue;
        }
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let (mut way, mut cuts) = (state.way.subscribe(), state.cuts.subscribe());
            let service = service_fn(move |request| handle(request, Arc::clone(&state)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // It ends as its peer likes.
                _ = connection => {}
                _ = way.wait_for(|way| *way == Way::Closed) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// An error closes the connection without an answer.
async fn handle(request: Request<Incoming>, state: Arc<State>) -> Result<Answer, std::io::Error> {
    let seen = parse(request.method(), request.uri());
    lock(&state.seen).push(seen.clone());
    let effect = strike(&state, &seen);
    match &effect {
        None | Some(Effect::CutAfter | Effect::Stream(_) | Effect::Pages(_)) => {}
        Some(Effect::Refuse) => return Err(std::io::ErrorKind::ConnectionReset.into()),
        Some(Effect::Hang) => std::future::pending().await,
        Some(Effect::Delay(pause)) => tokio::time::sleep(*pause).await,
        Some(Effect::CutBefore) => {
            state.way.send_replace(Way::Closed);
        }
        Some(Effect::Answer {
            code,
            reason,
            message,
            retry_after,
        }) => return Ok(answer(*code, reason, message, *retry_after)),
    }
    through(&state).await?;

    let (mut head, body) = request.into_parts();
    head.headers.remove(header::HOST);
    if let Some(Effect::Pages(of)) = effect {
        head.uri = in_pages(&head.uri, of);
    }
    if seen.verb == "watch" {
        let mut past = state.past.subscribe();
        let _ = past.wait_for(Option::is_none).await;
    } else if seen.verb == "list" {
        let key = of_no_version(&head.uri);
        let past = state.past.borrow().clone();
        if let Some(body) = past.as_ref().and_then(|past| past.get(&key)) {
            let whole = Full::new(body.clone()).map_err(|never| match never {});
            return Ok(Response::builder()
                .header(header::CONTENT_TYPE, "application/json")
                .body(whole.boxed_unsync())
                .unwrap());
        }
        let mut again = Request::builder().uri(&key).body(()).unwrap();
        again.headers_mut().clone_from(&head.headers);
        lock(&state.lists).insert(key, again);
    }
    let body = body
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    let forwarded = Request::from_parts(head, Body::from(body.to_vec()));
    let answered = state.client.send(forwarded).await;
    if matches!(effect, Some(Effect::CutAfter)) {
        state.way.send_replace(Way::Closed);
    }
    through(&state).await?;
    let (head, body) = answered.map_err(std::io::Error::other)?.into_parts();
    let spoil = match effect {
        Some(Effect::Stream(spoil)) => Some(spoil),
        _ => None,
    };
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(pump(body, spoil, state, sender));
    let frames = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        Some((receiver.recv().await?, receiver))
    });
    let body = StreamBody::new(Box::pin(frames)).boxed_unsync();
    let mut answer = Response::from_parts(head, body);
    // What is spoiled has another length.
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    answer.headers_mut().remove(header::TRANSFER_ENCODING);
    Ok(answer)
}

/// The rule that has this request.
fn strike(state: &State, seen: &Seen) -> Option<Effect> {
    let mut rules = lock(&state.rules);
    for rule in rules.iter_mut().filter(|rule| rule.fits(seen)) {
        if rule.skip > 0 {
            rule.skip -= 1;
        } else if rule.times > 0 {
            rule.times -= 1;
            rule.skip = rule.every - 1;
            let effect = rule.effect.clone();
            state.struck.send_modify(|struck| *struck += 1);
            return Some(effect);
        }
    }
    None
}

/// Waits while nothing comes through; an error when the way is closed.
async fn through(state: &State) -> Result<(), std::io::Error> {
    let mut way = state.way.subscribe();
    match way
        .wait_for(|way| *way != Way::Silent)
        .await
        .map(|way| *way)
    {
        Ok(Way::Open) => Ok(()),
        Ok(Way::Closed | Way::Silent) | Err(_) => Err(std::io::ErrorKind::ConnectionReset.into()),
    }
}

/// Carries an answer to the operator, line by line if it is to be spoiled.
async fn pump(
    mut body: Body,
    spoil: Option<Spoil>,
    state: Arc<State>,
    sender: mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>,
) {
    let mut lines = Lines::default();
    let mut events = 0;
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            // Whoever asked is gone: so is the reason to ask the server.
            () = sender.closed() => return,
        };
        let Some(Ok(frame)) = frame else { return };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if through(&state).await.is_err() {
            return;
        }
        let Some(spoil) = spoil else {
            if sender.send(Ok(Frame::data(data))).await.is_err() {
                return;
            }
            continue;
        };
        for line in lines.split(&data) {
            for piece in spoiled(spoil, events, line).await {
                let ends = piece.is_none();
                let sent = match piece {
                    Some(piece) => sender.send(Ok(Frame::data(piece))).await,
                    None if matches!(spoil, Spoil::HalfAfter(_)) => {
                        let broken = std::io::ErrorKind::ConnectionReset.into();
                        sender.send(Err(broken)).await
                    }
                    None => Ok(()),
                };
                if sent.is_err() || ends {
                    return;
                }
            }
            if matches!(spoil, Spoil::HangAfter(after) if events + 1 >= after) {
                sender.closed().await;
                return;
            }
            events += 1;
        }
    }
}

/// What an event becomes; `None` ends the answer.
async fn spoiled(spoil: Spoil, before: usize, line: Bytes) -> Vec<Option<Bytes>> {
    match spoil {
        Spoil::CloseAfter(after) | Spoil::HalfAfter(after) | Spoil::GoneAfter(after)
            if before < after =>
        {
            vec![Some(line)]
        }
        Spoil::CloseAfter(_) => vec![None],
        Spoil::HalfAfter(_) => vec![Some(line.slice(..line.len() / 2)), None],
        Spoil::GoneAfter(_) => {
            let status = json!({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version", "reason": "Expired", "code": 410,
            }});
            vec![Some(format!("{status}\n").into()), None]
        }
        Spoil::HangAfter(_) => vec![Some(line)],
        Spoil::Twice => vec![Some(line.clone()), Some(line)],
        Spoil::Late(pause) => {
            tokio::time::sleep(pause).await;
            vec![Some(line)]
        }
    }
}

/// Whole lines out of pieces.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn split(&mut self, data: &[u8]) -> Vec<Bytes> {
        self.0.extend_from_slice(data);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let rest = self.0.split_off(end + 1);
            lines.push(std::mem::replace(&mut self.0, rest).into());
        }
        lines
    }
}

fn answer(code: u16, reason: &str, message: &str, retry_after: Option<&str>) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never| match never {});
    let mut answer = Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(pause) = retry_after {
        answer = answer.header(header::RETRY_AFTER, pause);
    }
    answer.body(body.boxed_unsync()).unwrap()
}

/// Path and query, but for the version that a list may be of.
fn of_no_version(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let kept: Vec<_> = query
        .split('&')
        .filter(|part| !part.starts_with("resourceVersion") && !part.is_empty())
        .collect();
    format!("{}?{}", uri.path(), kept.join("&"))
}

/// Path and query, with another limit of a page.
fn in_pages(uri: &Uri, of: usize) -> Uri {
    let query = uri.query().unwrap_or_default();
    let kept = query
        .split('&')
        .filter(|part| !part.starts_with("limit=") && !part.is_empty())
        .fold(String::new(), |kept, part| format!("{kept}{part}&"));
    format!("{}?{kept}limit={of}", uri.path()).parse().unwrap()
}

fn parse(method: &Method, uri: &Uri) -> Seen {
    let query = uri.query().unwrap_or_default();
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    let known = match parts.next() {
        Some("api") => parts.next().is_some(),
        Some("apis") => parts.next().is_some() && parts.next().is_some(),
        _ => false,
    };
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match &rest[..] {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (resource, name) = match rest {
        _ if !known => (String::new(), ""),
        [] => (String::new(), ""),
        [resource] => ((*resource).to_owned(), ""),
        [resource, name] => ((*resource).to_owned(), *name),
        [resource, name, sub @ ..] => (format!("{resource}/{}", sub.join("/")), *name),
    };
    let watches = query.split('&').any(|part| part == "watch=true");
    let continues = query.split('&').any(|part| part.starts_with("continue="));
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if resource.is_empty() => "discover",
        Method::GET if continues => "continue",
        Method::GET if name.is_empty() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "other",
    };
    Seen {
        at: Instant::now(),
        verb,
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_path() {
        for (method, uri, what) in [
            (
                Method::GET,
                "/apis/apps/v1/statefulsets?labelSelector=a&limit=500",
                "list statefulsets /",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/configmaps?watch=true&b",
                "watch configmaps a/",
            ),
            (
                Method::GET,
                "/api/v1/services?limit=500&continue=abc",
                "continue services /",
            ),
            (
                Method::PATCH,
                "/apis/nightjar.dev/v1alpha1/namespaces/a/serverlessstacks/b/status",
                "patch serverlessstacks/status a/b",
            ),
            (
                Method::GET,
                "/apis/apps/v1/namespaces/a/statefulsets/b",
                "get statefulsets a/b",
            ),
            (Method::GET, "/api/v1/namespaces/a", "get namespaces /a"),
            (Method::GET, "/apis/monitoring.coreos.com/v1", "discover  /"),
            (Method::GET, "/readyz", "discover  /"),
        ] {
            assert_eq!(parse(&method, &uri.parse().unwrap()).to_string(), what);
        }
    }

    #[test]
    fn a_page_is_as_large_as_it_is_told_to_be() {
        let asked: Uri = "/api/v1/services?labelSelector=a&limit=500"
            .parse()
            .unwrap();
        let two = in_pages(&asked, 2).to_string();
        assert_eq!(two, "/api/v1/services?labelSelector=a&limit=2");
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        assert_eq!(lines.split(b"one\ntw"), ["one\n"]);
        assert_eq!(lines.split(b"o"), [""; 0]);
        assert_eq!(lines.split(b"\n\nthree\n"), ["two\n", "\n", "three\n"]);
    }
}
