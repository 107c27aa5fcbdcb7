//! What the exporters said last, asked for beside the reconciliations.
//!
//! An exporter that does not answer, be it because a NetworkPolicy is in the way, must not hold up
//! anybody's edit: so a reconciliation never waits for one. It takes what was heard, and a task
//! asks anew when that is old. News give the stack another turn.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, mpsc};

use super::exporters::{self, Address, Exporter};
use super::watches::Owner;
use crate::api::ServerlessStack;

/// Of how many stacks the exporters are asked at once. Each takes two seconds at most, and some memory.
const AT_ONCE: usize = 32;

/// What the exporters of all stacks said last.
#[derive(Clone, Debug)]
pub struct Readings {
    /// By UID of the stack.
    known: Arc<Mutex<HashMap<String, Reading>>>,
    at_once: Arc<Semaphore>,
    /// Who has news.
    news: mpsc::UnboundedSender<Owner>,
}

/// What the exporters of one stack said last.
#[derive(Clone, Debug, Default)]
struct Reading {
    /// Where they were.
    at: Vec<Address>,
    /// What they said, and when.
    heard: Option<(Instant, Vec<Exporter>)>,
    /// Whether they are being asked now.
    asking: bool,
}

impl Readings {
    /// None yet. Who has news is told to `news`.
    pub fn new(news: mpsc::UnboundedSender<Owner>) -> Self {
        Self {
            known: Arc::default(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            news,
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.known.lock().expect("no panic while the map is held")
    }

    /// What the exporters at these addresses said last; none if they were never asked. They are asked
    /// now if that is longer ago than `ask_after`.
    pub fn heard(
        &self,
        stack: &ServerlessStack,
        addresses: Vec<Address>,
        ask_after: Duration,
    ) -> Option<Vec<Exporter>> {
        if addresses.is_empty() {
            return Some(Vec::new());
        }
        let uid = stack.uid().unwrap_or_default();
        let mut known = self.known();
        let reading = known.entry(uid.clone()).or_default();
        if !same_pods(&reading.at, &addresses) {
            *reading = Reading {
                at: addresses.clone(),
                ..Reading::default()
            };
        }
        let is_old = |(at, _): &(Instant, _)| at.elapsed() >= ask_after;
        if reading.heard.as_ref().is_none_or(is_old) && !reading.asking {
            reading.asking = true;
            tokio::spawn(self.clone().ask(uid, stack_ref(stack), addresses));
        }
        reading.heard.as_ref().map(|(_, heard)| heard.clone())
    }

    async fn ask(self, uid: String, stack: Owner, addresses: Vec<Address>) {
        let of_stack = format!(
            "{}/{}",
            stack.namespace.as_deref().unwrap_or_default(),
            stack.name
        );
        let permit = self.at_once.acquire().await;
        let heard = exporters::read(&of_stack, addresses.clone()).await;
        drop(permit);
        let mut known = self.known();
        let Some(reading) = known.get_mut(&uid) else {
            return;
        };
        // Other pods by now: those are being asked already.
        if !same_pods(&reading.at, &addresses) {
            return;
        }
        reading.asking = false;
        let before = reading.heard.replace((Instant::now(), heard));
        let now = reading.heard.as_ref().map(|(_, heard)| heard);
        if before.as_ref().map(|(_, heard)| heard) != now {
            // An error means that the operator ends.
            let _ = self.news.send(stack);
        }
    }

    /// Forgets the stacks that are not there any more.
    pub fn retain(&self, live: &HashSet<String>) {
        self.known().retain(|uid, _| live.contains(uid));
    }
}

/// Whether the same pods are at the same addresses; that one of them is being ended is no news of
/// what it says.
fn same_pods(some: &[Address], others: &[Address]) -> bool {
    let key = |address: &Address| (address.pod.clone(), address.socket);
    some.iter().map(key).eq(others.iter().map(key))
}

fn stack_ref(stack: &ServerlessStack) -> Owner {
    ObjectRef::new(&stack.name_any()).within(&stack.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::api::ServerlessStackSpec;

    fn stack() -> ServerlessStack {
        let mut stack = ServerlessStack::new("checkout", ServerlessStackSpec::default());
        stack.metadata.namespace = Some("shop".to_owned());
        stack.metadata.uid = Some("1".to_owned());
        stack
    }

    fn at(listener: &TcpListener) -> Vec<Address> {
        vec![Address {
            pod: "checkout-exporter-0".to_owned(),
            socket: listener.local_addr().unwrap(),
            node: None,
            is_ending: false,
        }]
    }

    /// Answers each connection with the document that has this number of series.
    async fn answer(listener: &TcpListener, series: u64) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        let document = format!("{{\"stack\": \"shop/checkout\", \"series\": {series}}}");
        let text = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{document}");
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_waits_for_an_exporter_and_news_of_it_are_told_once() {
        let (news, mut told) = mpsc::unbounded_channel();
        let readings = Readings::new(news);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let always = Duration::ZERO;
        // Nobody has answered yet, and still this returns.
        assert_eq!(readings.heard(&stack(), at(&listener), always), None);
        assert_eq!(readings.heard(&stack(), at(&listener), always), None);
        answer(&listener, 7).await;
        assert_eq!(told.recv().await.unwrap().name, "checkout");
        let series = |exporters: Vec<Exporter>| exporters[0].status.clone().unwrap().series;

        // The same once more is no news, another number is.
        let heard = readings.heard(&stack(), at(&listener), always).unwrap();
        assert_eq!(series(heard), 7);
        answer(&listener, 7).await;
        while readings.known()["1"].asking {
            tokio::task::yield_now().await;
        }
        assert!(told.try_recv().is_err());
        readings.heard(&stack(), at(&listener), always).unwrap();
        answer(&listener, 8).await;
        told.recv().await.unwrap();
        // What is new enough is not asked for.
        let heard = readings.heard(&stack(), at(&listener), Duration::from_mins(1));
        assert_eq!(series(heard.unwrap()), 8);
        assert!(!readings.known()["1"].asking);
    }

    #[tokio::test]
    async fn exporters_that_are_being_asked_are_not_asked_once_more_meanwhile() {
        let (news, mut told) = mpsc::unbounded_channel();
        let readings = Readings::new(news);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..3 {
            let heard = readings.heard(&stack(), at(&listener), Duration::ZERO);
            assert_eq!(heard, None);
        }
        answer(&listener, 7).await;
        told.recv().await.unwrap();
        // Whoever had asked besides would stand in the queue before this one.
        let next = TcpStream::connect(listener.local_addr().unwrap());
        let next = next.await.unwrap();
        let (_, first) = listener.accept().await.unwrap();
        assert_eq!(first, next.local_addr().unwrap());
    }

    #[tokio::test]
    async fn what_other_pods_said_counts_for_nothing() {
        let (news, _told) = mpsc::unbounded_channel();
        let readings = Readings::new(news);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reading = Reading {
            at: at(&listener),
            heard: Some((Instant::now(), Vec::new())),
            asking: false,
        };
        readings.known().insert("1".to_owned(), reading);
        let minute = Duration::from_mins(1);
        assert!(readings.heard(&stack(), at(&listener), minute).is_some());
        assert_eq!(readings.heard(&stack(), at(&other), minute), None);
        // No pods say nothing, and that is known at once.
        let none = readings.heard(&stack(), Vec::new(), minute);
        assert_eq!(none, Some(Vec::new()));
    }
}
