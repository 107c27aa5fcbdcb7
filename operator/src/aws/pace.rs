//! Pace: so many requests a second for each API of an account and region, shared by all who hold
//! a clone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What AWS allows in an account and region, and how much of it one exporter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// The IAM actions that draw from it begin like this.
    pub actions: &'static str,
    /// What AWS allows to everybody in the account together, where it says so; an account's own
    /// figure may differ.
    pub aws_per_second: Option<u32>,
    /// The most that one exporter takes.
    pub own_per_second: u32,
}

/// The quotas; an action draws from the first one that fits.
pub const QUOTAS: [Quota; 8] = [
    // For all of the control plane together, the customer's own deployments included: they keep two
    // thirds of it.
    quota("lambda:", Some(15), 5),
    quota("apigateway:", Some(10), 4),
    quota("cloudwatch:GetMetricData", Some(500), 50),
    quota("cloudwatch:", Some(25), 5),
    quota("dynamodb:", None, 10),
    quota("tag:", None, 5),
    quota("cloudformation:", None, 5),
    quota("", None, 5),
];

/// Estimated datapoints a second that one exporter asks for: two thirds of AWS's 180,000 of the newest three hours. Of
/// older ones it is 396,000.
const DATAPOINTS_PER_SECOND: f64 = 120_000.0;

/// How many requests a `GetMetricData` for so many datapoints counts for.
#[expect(
    clippy::cast_precision_loss,
    reason = "a call asks for a million at most"
)]
pub fn weight(datapoints: i64) -> f64 {
    let requests = quota_of("cloudwatch:GetMetricData").own_per_second;
    datapoints as f64 * f64::from(requests) / DATAPOINTS_PER_SECOND
}

const fn quota(actions: &'static str, aws_per_second: Option<u32>, own_per_second: u32) -> Quota {
    Quota {
        actions,
        aws_per_second,
        own_per_second,
    }
}

fn place(action: &str) -> usize {
    QUOTAS
        .iter()
        .position(|quota| action.starts_with(quota.actions))
        .expect("the last one fits every action")
}

/// The quota that an IAM action draws from.
pub fn quota_of(action: &str) -> &'static Quota {
    &QUOTAS[place(action)]
}

/// The pace of each quota in one account and region.
#[derive(Clone, Debug)]
pub struct Paces([Pace; QUOTAS.len()]);

impl Default for Paces {
    fn default() -> Self {
        Self(QUOTAS.map(|quota| Pace::new(quota.own_per_second)))
    }
}

impl Paces {
    /// The pace of an IAM action.
    pub fn of(&self, action: &str) -> &Pace {
        &self.0[place(action)]
    }
}

/// Spaces the requests to one API evenly. There is no burst: an account's control-plane quota is
/// shared with the customer's own deployments, and a burst of ours would be felt by them. When AWS
/// throttles, somebody needs the quota more than we do: the pace is halved, and comes back slowly.
#[derive(Clone, Debug)]
pub struct Pace {
    schedule: Arc<Mutex<Schedule>>,
    /// How many requests a request counts for.
    weight: f64,
}

impl Pace {
    /// At most `per_second` requests each second.
    pub fn new(per_second: u32) -> Self {
        let schedule = Schedule::new(f64::from(per_second.max(1)), Instant::now());
        Self {
            schedule: Arc::new(Mutex::new(schedule)),
            weight: 1.0,
        }
    }

    /// The same one for requests that count for so many each, one at least.
    #[must_use]
    pub fn weighing(&self, requests: f64) -> Self {
        Self {
            schedule: self.schedule.clone(),
            weight: requests.max(1.0),
        }
    }

    /// Waits for the next free place.
    pub async fn take(&self) {
        let at = self.schedule().place(Instant::now(), self.weight);
        tokio::time::sleep_until(at).await;
    }

    /// AWS refused a request as too fast.
    pub fn throttled(&self) {
        self.schedule().throttled(Instant::now());
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When requests may be sent: a function of the times at which it is asked.
#[derive(Debug)]
struct Schedule {
    /// Requests a second when nothing holds us back.
    full: f64,
    /// When the pace was last halved, and to what.
    halved: Option<(Instant, f64)>,
    /// The next free place.
    next: Instant,
}

impl Schedule {
    /// Requests that are under way together are refused together: one reason, one halving.
    const ONE_REASON: Duration = Duration::from_secs(1);
    /// From nothing back to the full pace.
    const RECOVERY_SECONDS: f64 = 600.0;
    /// The slowest pace is this part of the full one.
    const SLOWEST: f64 = 1.0 / 32.0;

    fn new(full: f64, now: Instant) -> Self {
        Self {
            full,
            halved: None,
            next: now,
        }
    }

    fn per_second(&self, now: Instant) -> f64 {
        self.halved.map_or(self.full, |(at, pace)| {
            let since = now.saturating_duration_since(at).as_secs_f64();
            (pace + since * self.full / Self::RECOVERY_SECONDS).min(self.full)
        })
    }

    fn place(&mut self, now: Instant, weight: f64) -> Instant {
        let at = self.next.max(now);
        self.next = at + Duration::from_secs_f64(weight / self.per_second(now));
        at
    }

    fn throttled(&mut self, now: Instant) {
        let known = self
            .halved
            .is_some_and(|(at, _)| now.saturating_duration_since(at) < Self::ONE_REASON);
        if !known {
            let pace = (self.per_second(now) / 2.0).max(self.full * Self::SLOWEST);
            self.halved = Some((now, pace));
            self.next = self.next.max(now + Duration::from_secs_f64(1.0 / pace));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many requests are sent in a time, one after the other.
    fn sent(schedule: &mut Schedule, from: Instant, seconds: u64) -> usize {
        let end = from + Duration::from_secs(seconds);
        let mut now = from;
        let mut count = 0;
        loop {
            now = schedule.place(now, 1.0);
            if now >= end {
                return count;
            }
            count += 1;
        }
    }

    #[test]
    fn an_idle_time_is_not_saved_up_for_a_burst() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(5.0, begin);
        let later = begin + Duration::from_secs(1000);
        assert!((50..=51).contains(&sent(&mut schedule, later, 10)));
    }

    #[test]
    fn a_heavy_request_leaves_as_much_room_after_it_as_it_counts_for() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(10.0, begin);
        // Two seconds' worth of datapoints, of which nobody else of the exporter may ask for any meanwhile.
        let heavy = weight(240_000) / 5.0;
        assert_eq!(schedule.place(begin, heavy), begin);
        assert_eq!(schedule.place(begin, 1.0) - begin, Duration::from_secs(2));
        let light = Pace::new(10).weighing(weight(10));
        assert!((light.weight - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_throttle_halves_the_pace_once_and_it_comes_back_slowly() {
        let now = Instant::now();
        let mut schedule = Schedule::new(8.0, now);
        for milliseconds in [0, 10, 500] {
            schedule.throttled(now + Duration::from_millis(milliseconds));
        }
        let after = |seconds| schedule.per_second(now + Duration::from_secs(seconds));
        assert!((after(0) - 4.0).abs() < 1e-9);
        assert!((after(150) - 6.0).abs() < 1e-9);
        assert!((after(300) - 8.0).abs() < 1e-9 && (after(3000) - 8.0).abs() < 1e-9);
    }

    #[test]
    fn a_quota_that_others_use_up_slows_us_down_but_never_to_a_halt() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(8.0, now);
        for _ in 0..100 {
            now += Duration::from_secs(2);
            schedule.throttled(now);
        }
        assert!((schedule.per_second(now) - 0.25).abs() < 1e-9);
        assert!(schedule.place(now, 1.0) <= now + Duration::from_secs(4));
    }

    #[test]
    fn every_action_has_a_pace_and_polling_does_not_draw_from_that_of_listing() {
        assert_eq!(quota_of("lambda:ListFunctions").aws_per_second, Some(15));
        assert_eq!(quota_of("sts:GetCallerIdentity").actions, "");
        assert_ne!(
            place("cloudwatch:GetMetricData"),
            place("cloudwatch:ListMetrics")
        );
    }
}
