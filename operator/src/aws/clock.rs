//! AWS's time, as its answers tell it.
//!
//! Which minutes are over is a question to AWS and not to this machine, whose clock may be wrong or may be set: a clock
//! that is ahead would close minutes that have not happened yet. The `Date` of the newest answer, and the time that has
//! passed since by a clock that nobody sets, is what counts. While the machine sleeps that one stands still: then AWS's
//! time is behind until the next answer, and minutes are asked for a little later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// An answer that took longer says little about when its date was written.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// What time it is at AWS; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Mutex<Option<(Instant, SystemTime)>>>);

impl Clock {
    fn newest(&self) -> MutexGuard<'_, Option<(Instant, SystemTime)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now; before any answer, what this machine says.
    pub fn now(&self) -> SystemTime {
        self.newest()
            .map_or_else(SystemTime::now, |(at, date)| date + at.elapsed())
    }

    /// By how many seconds this machine's clock is ahead of AWS's.
    pub fn ahead_seconds(&self) -> i64 {
        let (here, there) = (SystemTime::now(), self.now());
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match here.duration_since(there) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        }
    }

    /// Takes over the headers of an answer to a request that was sent then.
    pub fn note(&self, sent: Instant, date: Option<&str>, cached: bool) {
        if cached || sent.elapsed() > LONGEST_ANSWER {
            return;
        }
        if let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            *self.newest() = Some((Instant::now(), date));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_answer_tells_the_time_and_this_machine_only_before_it() {
        let clock = Clock::default();
        assert_eq!(clock.ahead_seconds(), 0);
        let date = "Sun, 06 Nov 2033 08:49:37 GMT";
        clock.note(Instant::now(), Some(date), true);
        clock.note(Instant::now(), Some("yesterday"), false);
        assert_eq!(clock.ahead_seconds(), 0, "a cached or broken date is none");
        clock.note(Instant::now(), Some(date), false);
        let told = httpdate::parse_http_date(date).unwrap();
        assert!(clock.now() >= told && clock.now() < told + Duration::from_mins(1));
        assert!(clock.ahead_seconds() < -86_400);
    }
}
