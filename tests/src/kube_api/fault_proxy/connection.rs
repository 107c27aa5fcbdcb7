//! The way of a request through the proxy, and of the server's answer back.

use std::sync::Arc;

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::request::{Seen, in_pages, of_no_version, parse};
use super::rule::{Effect, Spoil};
use super::{State, Way, lock};

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

pub(super) async fn accept(socket: TcpListener, state: Arc<State>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        assert_eq!(lines.split(b"one\ntw"), ["one\n"]);
        assert_eq!(lines.split(b"o"), [""; 0]);
        assert_eq!(lines.split(b"\n\nthree\n"), ["two\n", "\n", "three\n"]);
    }
}
