//! What the API server was asked for and does not have: within one reconciliation it is asked once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Kind;

/// Somebody else may create it: what is known is forgotten as soon as it has served its reconciliation, whose requests take
/// some ten milliseconds each.
const JUST_NOW: Duration = Duration::from_millis(250);

type Object = (Kind, String, String);

/// When it was told that there is no such object.
#[derive(Default)]
pub(super) struct Missing(Mutex<HashMap<Object, Instant>>);

impl Missing {
    pub(super) fn note(&self, kind: Kind, namespace: &str, name: &str, now: Instant) {
        let mut all = self.all();
        all.retain(|_, at| is_recent(*at, now));
        all.insert(object(kind, namespace, name), now);
    }

    pub(super) fn was_noted_just_now(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        now: Instant,
    ) -> bool {
        let all = self.all();
        let noted = all.get(&object(kind, namespace, name));
        noted.is_some_and(|at| is_recent(*at, now))
    }

    /// It was created.
    pub(super) fn forget(&self, kind: Kind, namespace: &str, name: &str) {
        self.all().remove(&object(kind, namespace, name));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Object, Instant>> {
        self.0.lock().expect("no panic while the map is held")
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < JUST_NOW
}

fn object(kind: Kind, namespace: &str, name: &str) -> Object {
    (kind, namespace.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_known_for_a_moment_and_until_it_is_created() {
        let (missing, now) = (Missing::default(), Instant::now());
        let known =
            |name, after| missing.was_noted_just_now(Kind::ConfigMap, "shop", name, now + after);
        for name in ["pay", "ship"] {
            missing.note(Kind::ConfigMap, "shop", name, now);
        }
        let soon = JUST_NOW / 2;
        assert!(known("pay", soon) && known("ship", soon));
        missing.forget(Kind::ConfigMap, "shop", "pay");
        assert!(!known("pay", soon) && known("ship", soon));
        assert!(!known("ship", JUST_NOW));
        // Of another namespace, or kind, nothing is known.
        assert!(!missing.was_noted_just_now(Kind::ConfigMap, "other", "ship", now));
        assert!(!missing.was_noted_just_now(Kind::Service, "shop", "ship", now));
        // What nobody asks for again does not stay for ever.
        missing.note(Kind::ConfigMap, "shop", "other", now + JUST_NOW);
        assert_eq!(missing.all().len(), 1);
    }
}
