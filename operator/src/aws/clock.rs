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
pub struct Clock(Arc<Mutex<Option<Newest>>>);

/// What the newest answer told.
#[derive(Clone, Copy, Debug)]
struct Newest {
    at: Instant,
    date: SystemTime,
    wrong_by: i64,
}

impl Clock {
    fn newest(&self) -> MutexGuard<'_, Option<Newest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now; before any answer, what this machine says.
    pub fn now(&self) -> SystemTime {
        self.newest()
            .map_or_else(SystemTime::now, |newest| newest.date + newest.at.elapsed())
    }

    /// By how many seconds this machine's clock was ahead of AWS's at the newest answer, at least; below zero if it was
    /// behind. An answer's date is from some moment between the request and its arrival.
    pub fn wrong_by(&self) -> i64 {
        self.newest().map_or(0, |newest| newest.wrong_by)
    }

    /// Takes over the headers of an answer to a request that was sent then.
    pub fn note(&self, sent: Instant, date: Option<&str>, cached: bool) {
        let took = sent.elapsed();
        if cached || took > LONGEST_ANSWER {
            return;
        }
        let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
            return;
        };
        let here = SystemTime::now();
        let later = |a: SystemTime, b: SystemTime| {
            let seconds = a.duration_since(b).unwrap_or_default().as_secs();
            i64::try_from(seconds).unwrap_or(i64::MAX)
        };
        *self.newest() = Some(Newest {
            at: Instant::now(),
            date,
            wrong_by: later(here - took, date) - later(date, here),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_answer_tells_the_time_and_this_machine_only_before_it() {
        let clock = Clock::default();
        assert_eq!(clock.wrong_by(), 0);
        let date = "Sun, 06 Nov 2033 08:49:37 GMT";
        clock.note(Instant::now(), Some(date), true);
        clock.note(Instant::now(), Some("yesterday"), false);
        assert_eq!(clock.wrong_by(), 0, "a cached or broken date is none");
        clock.note(Instant::now(), Some(date), false);
        let told = httpdate::parse_http_date(date).unwrap();
        assert!(clock.now() >= told && clock.now() < told + Duration::from_mins(1));
        assert!(clock.wrong_by() < -86_400);
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        clock.note(
            Instant::now(),
            Some(&httpdate::fmt_http_date(hour_ago)),
            false,
        );
        assert!((3600..3660).contains(&clock.wrong_by()));
    }

    #[test]
    fn an_answer_that_took_its_time_does_not_make_the_clock_wrong() {
        let clock = Clock::default();
        let sent = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
        for seconds in [1, 10, 19] {
            let date = SystemTime::now() - Duration::from_secs(seconds);
            clock.note(sent, Some(&httpdate::fmt_http_date(date)), false);
            assert_eq!(clock.wrong_by(), 0, "written {seconds} s ago");
        }
    }
}
