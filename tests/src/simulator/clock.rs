//! The simulated time: an origin, a speed, and jumps.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// A clock that all parts of a simulator share.
#[derive(Debug)]
pub struct Clock {
    origin_ms: i64,
    started: Instant,
    speed: f64,
    jumped_ms: AtomicI64,
}

impl Clock {
    /// The real time.
    #[must_use]
    pub fn real() -> Self {
        Self::new(jiff::Timestamp::now().as_millisecond(), 1.0)
    }

    /// A clock that shows `origin_ms` now and runs `speed` times as fast as real time; 0 stands
    /// still until it is advanced.
    #[must_use]
    pub fn new(origin_ms: i64, speed: f64) -> Self {
        Self {
            origin_ms,
            started: Instant::now(),
            speed,
            jumped_ms: AtomicI64::new(0),
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates far beyond any test's length"
        )]
        let run = (self.started.elapsed().as_secs_f64() * 1000.0 * self.speed) as i64;
        self.origin_ms + run + self.jumped_ms.load(Ordering::SeqCst)
    }

    /// How fast it runs.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Jumps forward.
    pub fn advance(&self, ms: i64) {
        self.jumped_ms.fetch_add(ms, Ordering::SeqCst);
    }
}
