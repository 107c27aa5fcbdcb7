//! How anything is watched: with errors and pauses of its own.
//!
//! A kind that cannot be watched, because it is not there or its permission is, must hold up no
//! other. The watches of one kube `Controller` share one backoff, so that an error of one delays
//! what all the others have to tell; hence no error of a watch ever gets as far as the controller.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, stream};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::error::Error;
use super::metrics::Metrics;
use super::reconcile::jittered;

/// A watch that is healthy ends after so many seconds, and begins anew: one that is silent for a
/// little longer has lost its other end. Not every API server sends bookmarks for a kind of which
/// there is nothing to tell.
const LENGTH: u32 = 60;
/// How often an error that stays the same is told.
const AGAIN: Duration = Duration::from_mins(5);
/// Pauses double from the first to the second: an outage of the API server is over for us within
/// seconds of its end. kube's own go up to 30 s.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// How long a watch is refused before stacks say so: an API server that has just started may not know yet who may do
/// what. And how long after the last refusal they say it: a watch that goes on where it was shows nothing of it.
const LASTS: Duration = Duration::from_secs(10);

/// How a watch is asked for.
pub fn config() -> watcher::Config {
    watcher::Config::default().timeout(LENGTH)
}

/// What happens to objects. Lists anew also where the API server answers a watch's beginning with 410, and does not
/// say so in a watch that has begun: kube would ask for the version that is gone for ever.
pub fn events<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let begun = move || watcher(api.clone(), config.clone()).boxed();
    stream::unfold((begun(), begun), |(mut events, begin)| async {
        let event = events.next().await?;
        if matches!(&event, Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) if status.code == 410)
        {
            events = begin();
        }
        Some((event, (events, begin)))
    })
}

/// What a watch shows. Its errors are counted and told, and it goes on after a pause.
pub fn untroubled<T>(
    kind: &'static str,
    // Of objects, not of events: kube's list begins with an event that says nothing about success,
    // and would end the growing of the pauses.
    objects: impl Stream<Item = Result<T, watcher::Error>>,
    metrics: Arc<Metrics>,
    refused: Refused,
) -> impl Stream<Item = T> {
    let mut trouble = Trouble::new(kind, metrics, refused);
    objects
        .backoff(ShortBackoff::default())
        .filter_map(move |object| std::future::ready(trouble.passed(object)))
}

/// The kinds that may not be watched now.
#[derive(Clone, Debug, Default)]
pub struct Refused(Arc<Mutex<BTreeMap<&'static str, Refusal>>>);

#[derive(Debug)]
struct Refusal {
    first: Instant,
    last: Instant,
    /// The API server's words.
    message: String,
}

impl Refused {
    fn kinds(&self) -> MutexGuard<'_, BTreeMap<&'static str, Refusal>> {
        self.0.lock().expect("no panic while the map is held")
    }

    /// A kind was refused with these words, or it is not known any more whether it is.
    fn note(&self, kind: &'static str, message: Option<String>, now: Instant) {
        let mut kinds = self.kinds();
        let before = kinds.remove(kind);
        let Some(message) = message else { return };
        let before = before.filter(|refusal| now - refusal.last < LASTS);
        let refusal = Refusal {
            first: before.map_or(now, |refusal| refusal.first),
            last: now,
            message,
        };
        kinds.insert(kind, refusal);
    }

    /// What stacks say of it.
    pub fn told(&self, now: Instant) -> Vec<Error> {
        let kinds = self.kinds();
        let lasting = kinds
            .iter()
            .filter(|(_, refusal)| now - refusal.first >= LASTS && now - refusal.last < LASTS);
        lasting
            .map(|(kind, refusal)| Error::Unwatched {
                kind,
                message: refusal.message.clone(),
            })
            .collect()
    }
}

/// The errors of one watch.
#[derive(Debug)]
pub struct Trouble {
    kind: &'static str,
    metrics: Arc<Metrics>,
    refused: Refused,
    told: Option<(String, Instant)>,
}

impl Trouble {
    /// None yet.
    pub const fn new(kind: &'static str, metrics: Arc<Metrics>, refused: Refused) -> Self {
        Self {
            kind,
            metrics,
            refused,
            told: None,
        }
    }

    /// What is no error.
    fn passed<T>(&mut self, object: Result<T, watcher::Error>) -> Option<T> {
        match object {
            Ok(object) => {
                self.is_over();
                Some(object)
            }
            Err(error) => {
                self.tell(&error);
                None
            }
        }
    }

    /// The watch works (again).
    pub fn is_over(&mut self) {
        if self.told.take().is_some() {
            self.refused.note(self.kind, None, Instant::now());
            tracing::info!(kind = self.kind, "the watch works again");
        }
    }

    /// Once, and again when it is another or lasts.
    pub fn tell(&mut self, error: &watcher::Error) {
        self.metrics.watch_failed(self.kind);
        self.refused.note(self.kind, refusal(error), Instant::now());
        let error = innermost(error);
        if let Some((told, at)) = &self.told
            && *told == error
            && at.elapsed() < AGAIN
        {
            tracing::debug!(kind = self.kind, error, "a watch failed again");
            return;
        }
        tracing::warn!(
            kind = self.kind,
            error,
            "a watch failed, trying again until it works (404: install the CRD; 403: compare the operator's ClusterRole with the chart's)"
        );
        self.told = Some((error, Instant::now()));
    }
}

/// What the API server says to whoever may not watch.
fn refusal(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) =
        error
    else {
        return None;
    };
    match error {
        kube::Error::Api(status) if status.code == 403 => Some(status.message.clone()),
        _ => None,
    }
}

/// The last cause: the layers around it only repeat it.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Pauses between tries, see [`PAUSES`].
#[derive(Debug)]
pub struct ShortBackoff {
    next: Duration,
}

impl Default for ShortBackoff {
    fn default() -> Self {
        Self { next: PAUSES.0 }
    }
}

impl ShortBackoff {
    /// How long to wait before the next try.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(PAUSES.1);
        jittered(pause)
    }
}

impl Iterator for ShortBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.pause())
    }
}

impl Backoff for ShortBackoff {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn error() -> watcher::Error {
        watcher::Error::NoResourceVersion
    }

    #[tokio::test]
    async fn an_error_of_a_watch_delays_nothing_but_what_comes_after_it_and_is_counted() {
        let metrics = Arc::new(Metrics::new());
        let objects = stream::iter([Ok(1), Err(error()), Err(error()), Ok(2)]);
        let shown: Vec<i32> =
            untroubled("Service", objects, Arc::clone(&metrics), Refused::default())
                .collect()
                .await;
        assert_eq!(shown, [1, 2]);
        let text = metrics.encode(&super::super::metrics::Now::default());
        assert!(
            text.contains("nightjar_operator_watch_errors_total{kind=\"Service\"} 2"),
            "{text}"
        );
    }

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let mut pauses = ShortBackoff::default();
        let grown = (0..20).map(|_| pauses.pause()).last().unwrap();
        assert!(grown >= PAUSES.1 * 3 / 4 && grown <= PAUSES.1 * 5 / 4);
        pauses.reset();
        assert!(pauses.pause() <= PAUSES.0 * 5 / 4);
    }

    #[test]
    fn an_error_that_stays_the_same_is_told_once_and_again_after_it_was_over() {
        let mut trouble = Trouble::new("Service", Arc::new(Metrics::new()), Refused::default());
        trouble.tell(&error());
        let first = trouble.told.clone();
        trouble.tell(&error());
        assert_eq!(trouble.told, first);
        trouble.is_over();
        assert_eq!(trouble.told, None);
    }

    #[test]
    fn stacks_say_that_a_kind_may_not_be_watched_when_it_lasts_and_as_long_as_it_does() {
        let (refused, start) = (Refused::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        for seconds in (0..=12).step_by(3) {
            assert!(refused.told(after(seconds)).len() == usize::from(seconds >= 12));
            refused.note("Service", Some("no".to_owned()), after(seconds));
        }
        assert_eq!(refused.told(after(21)).len(), 1);
        // The watch goes on where it was, and shows nothing.
        assert_eq!(refused.told(after(22)).len(), 0);
        for seconds in [40, 45, 50] {
            refused.note("Service", Some("no".to_owned()), after(seconds));
            assert_eq!(
                refused.told(after(seconds)).len(),
                usize::from(seconds == 50)
            );
        }
        refused.note("Service", None, after(51));
        assert_eq!(refused.told(after(51)).len(), 0);
    }
}
