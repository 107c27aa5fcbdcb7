//! What the API server was asked for and does not have: within one reconciliation it is asked once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Kind;

/// Somebody else may create it: what is known is forgotten as soon as it has served its reconciliation.
const JUST_NOW: Duration = Duration::from_secs(1);

type Object = (Kind, String, String);

/// When it was told that there is no such object.
#[derive(Default)]
pub(super) struct Missing(Mutex<HashMap<Object, Instant>>);

impl Missing {
    pub(super) fn note(&self, kind: Kind, namespace: &str, name: &str) {
        let mut all = self.all();
        all.retain(|_, at| at.elapsed() < JUST_NOW);
        all.insert(object(kind, namespace, name), Instant::now());
    }

    pub(super) fn was_noted_just_now(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        let all = self.all();
        let noted = all.get(&object(kind, namespace, name));
        noted.is_some_and(|at| at.elapsed() < JUST_NOW)
    }

    /// It was created.
    pub(super) fn forget(&self, kind: Kind, namespace: &str, name: &str) {
        self.all().remove(&object(kind, namespace, name));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Object, Instant>> {
        self.0.lock().expect("no panic while the map is held")
    }
}

fn object(kind: Kind, namespace: &str, name: &str) -> Object {
    (kind, namespace.to_owned(), name.to_owned())
}
