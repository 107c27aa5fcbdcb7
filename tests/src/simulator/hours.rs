//! Opening hours: a demonstration may close the whole account, so that there is a moment after
//! which nothing is left to settle.

use std::sync::atomic::{AtomicI64, Ordering};

/// The minutes in which requests come from outside; always, until it is told.
#[derive(Debug)]
pub struct Hours {
    from: AtomicI64,
    until: AtomicI64,
}

impl Default for Hours {
    fn default() -> Self {
        Self {
            from: AtomicI64::new(i64::MIN),
            until: AtomicI64::new(i64::MAX),
        }
    }
}

impl Hours {
    /// Opens from a minute (since 1970) until another one, and closes before and after.
    pub fn set(&self, from: i64, until: i64) {
        self.from.store(from, Ordering::Release);
        self.until.store(until, Ordering::Release);
    }

    /// Opens and closes as others do.
    pub fn set_as(&self, others: &Self) {
        self.set(
            others.from.load(Ordering::Acquire),
            others.until.load(Ordering::Acquire),
        );
    }

    /// Whether requests come in a minute.
    pub fn open(&self, minute: i64) -> bool {
        (self.from.load(Ordering::Acquire)..self.until.load(Ordering::Acquire)).contains(&minute)
    }
}
