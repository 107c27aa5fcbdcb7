//! How much of a minute's final data `CloudWatch` already shows.
//!
//! Each (resource, minute) has an `Arrival`: by how much of its data is visible at which age, and
//! from which age on it is final. A pure function of the account file, the resource and the minute;
//! only a re-read that answers less depends on the moment of reading too.

use super::account::Lateness;
use super::random::{mix, unit};
use super::traffic::{MINUTE_MS, Points};

/// Whether to look at what `CloudWatch` shows or at what it will finally show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What every minute settles to.
    Final,
    /// What can be read at this moment (milliseconds since 1970).
    At(i64),
}

impl View {
    /// The view of a reader who is `lag_ms` behind.
    #[must_use]
    pub fn behind(self, lag_ms: i64) -> Self {
        match self {
            Self::Final => Self::Final,
            Self::At(now) => Self::At(now - lag_ms),
        }
    }
}

/// A reader who looks this long before the minute ends sees nothing yet.
const EARLIEST_MS: i64 = -40_000;

/// How one minute of one resource arrives.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    key: u64,
    minute_end: i64,
    settle: i64,
    tail: Option<(f64, i64)>,
    late: Option<(f64, i64)>,
    revision: Option<(f64, i64)>,
    reread: (f64, f64),
}

impl Arrival {
    /// The arrival of a minute's data.
    #[must_use]
    pub fn new(lateness: &Lateness, key: u64, minute: i64) -> Self {
        let key = mix(mix(key, minute.cast_unsigned()), 0xa11);
        let hit = |salt: u64, share: f64| share > 0.0 && unit(mix(key, salt)) < share;
        Self {
            key,
            minute_end: (minute + 1) * MINUTE_MS,
            settle: lateness.settle.ms,
            tail: hit(1, lateness.tail.share)
                .then_some((lateness.tail.fraction, lateness.tail.over.ms)),
            late: hit(2, lateness.late.share)
                .then_some((lateness.late.fraction, lateness.late.after.ms)),
            revision: hit(3, lateness.revision.share)
                .then_some((lateness.revision.fraction, lateness.revision.after.ms)),
            reread: (lateness.reread.share, lateness.reread.fraction),
        }
    }

    /// The moment from which on the minute's value never changes, when its longest request takes
    /// `longest_ms`.
    #[must_use]
    pub fn final_at(&self, longest_ms: i64) -> i64 {
        let parts = [self.tail, self.late, self.revision];
        let age = parts
            .into_iter()
            .flatten()
            .map(|p| p.1)
            .fold(self.settle, i64::max);
        self.minute_end + age + longest_ms
    }

    /// Share of the data of requests that took `duration_ms` that is visible at `now`.
    #[must_use]
    pub fn fraction(&self, now: i64, duration_ms: i64) -> f64 {
        let age = now - self.minute_end - duration_ms;
        let mut visible = ramp(age, self.settle);
        if let Some((fraction, over)) = self.tail {
            visible *= 1.0 - fraction * (1.0 - ratio(age - self.settle, over - self.settle));
        }
        if let Some((fraction, after)) = self.late
            && age < after
        {
            visible *= 1.0 - fraction;
        }
        let (share, less) = self.reread;
        if share > 0.0
            && now < self.final_at(duration_ms)
            && unit(mix(self.key, (now / 30_000).cast_unsigned() | 1 << 63)) < share
        {
            visible *= 1.0 - less;
        }
        visible
    }

    /// How many of the `count` that failed are among the `seen` of `all` requests. Failing ones come no later than
    /// others; the first of them is somewhere, by the minute and `kind`, and more seen never have fewer of them. Of
    /// more than there were more have failed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "requests of a minute")]
    pub fn among(&self, count: u64, seen: u64, all: u64, kind: u64) -> u64 {
        let offset = unit(mix(self.key, 0x000f_a11e + kind));
        rounded(count, seen as f64 / all as f64, offset)
    }

    /// Leaves of the final `points` what is visible at `now`; `waits` says whether a value is a
    /// duration in microseconds that passes before its request is reported.
    pub fn show(&self, points: &mut Points, now: i64, waits: bool) {
        let longest = if waits {
            points.last().map_or(0, |p| p.0 / 1000)
        } else {
            0
        };
        let total: u64 = points.iter().map(|p| p.1).sum();
        if now >= self.final_at(longest) {
            return;
        }
        for (number, (value, weight)) in points.iter_mut().enumerate() {
            let duration = if waits { *value / 1000 } else { 0 };
            // Where each stratum rounds up is fixed for the minute: each only grows, and together
            // they miss no more than the fraction says.
            let offset = unit(mix(self.key, 0x000f_f5e7 + number as u64));
            *weight = rounded(*weight, self.fraction(now, duration), offset);
        }
        points.retain(|p| p.1 > 0);
        if let Some((fraction, after)) = self.revision
            && now - self.minute_end < after
            && let Some(first) = points.first_mut()
        {
            first.1 += rounded(total, fraction, 0.0).max(1);
        }
    }
}

/// A minute comes in quickly at first and then ever more slowly.
fn ramp(age: i64, settle: i64) -> f64 {
    let knots = [
        (EARLIEST_MS, 0.0),
        (0, 0.25),
        (settle / 3, 0.8),
        (settle * 2 / 3, 0.95),
        (settle, 1.0),
    ];
    if age < EARLIEST_MS {
        return 0.0;
    }
    for pair in knots.windows(2) {
        let ((a0, f0), (a1, f1)) = (pair[0], pair[1]);
        if age < a1 {
            return f0 + (f1 - f0) * ratio(age - a0, a1 - a0);
        }
    }
    1.0
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of days at most")]
fn ratio(part: i64, whole: i64) -> f64 {
    if part >= whole {
        1.0
    } else {
        (part as f64 / whole as f64).max(0.0)
    }
}

/// `fraction` of `count` in whole numbers, rounded up from `1 - offset` on; `offset` is below 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a minute are far below 2^53 and not negative"
)]
fn rounded(count: u64, fraction: f64, offset: f64) -> u64 {
    (count as f64 * fraction + offset) as u64
}
