//! Somebody else keeps changing an object that we apply: another tool, or a person who does not know.
//!
//! What is changed is put back at once. When that happened [`MANY`] times [`WITHIN`] some minutes, it
//! is told once, and from then on the object is put back at most every [`SLOW`]: two programs that
//! disagree must not keep an API server busy. After a time without a change all is forgotten.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many changes are no accident.
pub const MANY: usize = 3;
/// For so long a change is remembered.
pub const WITHIN: Duration = Duration::from_mins(5);
/// The pace at which a contested object is put back.
pub const SLOW: Duration = Duration::from_secs(10);

/// When an object was put back.
#[derive(Clone, Debug, Default)]
pub struct Contest(VecDeque<Instant>);

/// Whether it is put back now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Yes.
    Now {
        /// This is when it becomes clear that somebody else does not give up.
        tell: bool,
    },
    /// Not before that.
    Later(Duration),
}

impl Contest {
    /// Somebody changed the object again.
    pub fn turn(&mut self, now: Instant) -> Turn {
        self.0
            .retain(|at| now.saturating_duration_since(*at) < WITHIN);
        if let Some(last) = self.0.back().filter(|_| self.0.len() >= MANY) {
            let left = SLOW.saturating_sub(now.saturating_duration_since(*last));
            if !left.is_zero() {
                return Turn::Later(left);
            }
        }
        self.0.push_back(now);
        Turn::Now {
            tell: self.0.len() == MANY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contest_is_told_once_slows_down_and_is_forgotten() {
        let start = Instant::now();
        let mut contest = Contest::default();
        let mut at = |seconds| contest.turn(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Turn::Now { tell: false });
        assert_eq!(at(1), Turn::Now { tell: false });
        assert_eq!(at(2), Turn::Now { tell: true });
        assert_eq!(at(3), Turn::Later(Duration::from_secs(9)));
        assert_eq!(at(12), Turn::Now { tell: false });
        // Forgotten: it takes as many changes until it is told again.
        assert_eq!(at(700), Turn::Now { tell: false });
        assert_eq!(at(701), Turn::Now { tell: false });
        assert_eq!(at(702), Turn::Now { tell: true });
    }
}
