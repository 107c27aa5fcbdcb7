//! What may be spent: the stack's budget as a rate, and the interval that it allows.
//!
//! `spec.collection.budgetUsdPerMonth` fills a bucket of metrics as CloudWatch bills them, from which polls, backlogs
//! and the daily comparisons draw. What is not spent is saved for a day. So that no 30 days cost more than the budget,
//! whatever was saved before them, a day brings a 31st of it.
//!
//! A poll that the bucket cannot pay waits. So that this is rare, the interval follows what polling costs: of the
//! [`rungs`] of the ladder the fastest is taken whose forecast the budget allows. If the slowest one would not be within
//! it when everything is in use and fails, nothing is polled at all, and the least possible budget is told: it is a
//! matter of what is watched, not of how that fares, so that polling never stops just when something fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::plan::{DOLLARS_PER_METRIC, Demand};
use super::snapshot::TargetKey;

/// The intervals, in seconds, to which a stack's own one is stretched.
pub const LADDER: [u32; 7] = [60, 120, 300, 600, 1200, 1800, 3600];
const DAY: f64 = 86_400.0;
/// A month of 30 days, and the day for which may be saved.
const DAYS_PAID: f64 = 31.0;
/// What is in the bucket when it is new: six hours' worth.
const FIRST_DAYS: f64 = 0.25;
/// A faster rung is taken only if it leaves some of the budget, so that small changes change nothing.
const MARGIN: f64 = 0.95;

/// The intervals at which a stack may be polled, the fastest first: its own, and the slower ones of the ladder.
pub fn rungs(interval_seconds: u32) -> Vec<u32> {
    let slower = LADDER.into_iter().filter(|rung| *rung > interval_seconds);
    std::iter::once(interval_seconds).chain(slower).collect()
}

/// What is in effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// How often is polled, in seconds.
    pub interval_seconds: u32,
    /// Which of the [`rungs`] that is, counted from 0.
    pub rung: usize,
    /// Dollars for 30 days at this interval.
    pub forecast: f64,
    /// Dollars for 30 days that may be spent.
    pub budget: Option<f64>,
    /// If the budget does not even allow the slowest rung: the least one that would.
    pub least_budget: Option<f64>,
}

#[derive(Debug, Default)]
struct State {
    interval_seconds: u32,
    budget: Option<f64>,
    demands: BTreeMap<TargetKey, Demand>,
    rung: usize,
    /// Metrics that may be asked for now, and as of when.
    bucket: Option<(f64, f64)>,
}

/// The budget of an exporter. All its accounts and regions share it.
#[derive(Debug, Default)]
pub struct Economy(Mutex<State>);

impl Economy {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the configuration says: how often is polled, and what this exporter may spend in 30 days.
    pub fn configure(&self, interval_seconds: u32, budget: Option<f64>) -> Terms {
        let mut state = self.state();
        if (state.interval_seconds, state.budget) != (interval_seconds, budget) {
            state.interval_seconds = interval_seconds;
            state.budget = budget;
            state.rung = 0;
            state.demands.clear();
            state.choose();
        }
        state.terms()
    }

    /// The intervals, in seconds, for which [`Self::demand`] wants to know what polling costs.
    pub fn rungs(&self) -> Vec<u32> {
        self.state().rungs()
    }

    /// Takes over what an account and region needs at each rung.
    pub fn demand(&self, key: &TargetKey, demand: Demand) {
        let mut state = self.state();
        state.demands.insert(key.clone(), demand);
        state.choose();
    }

    /// An account and region is not watched any more.
    pub fn leave(&self, key: &TargetKey) {
        let mut state = self.state();
        state.demands.remove(key);
        state.choose();
    }

    /// What is in effect.
    pub fn terms(&self) -> Terms {
        self.state().terms()
    }

    /// Pays for so many metrics, or says how long to wait.
    pub fn take(&self, metrics: u64, now_seconds: f64) -> Result<(), Duration> {
        let mut state = self.state();
        let Some(rate) = state.rate() else {
            return Ok(());
        };
        let mut tokens = state.tokens(rate, now_seconds);
        let metrics = as_float(metrics);
        let paid = tokens >= metrics;
        if paid {
            tokens -= metrics;
        }
        state.bucket = Some((tokens, now_seconds));
        if paid {
            Ok(())
        } else {
            let wait = (metrics - tokens) / rate;
            Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::from_hours(24)))
        }
    }

    /// Gives back what was not asked for after all.
    pub fn refund(&self, metrics: u64) {
        if let Some((tokens, _)) = &mut self.state().bucket {
            *tokens += as_float(metrics);
        }
    }

    /// What is in the bucket and as of when: to be kept through restarts.
    pub fn saved(&self) -> Option<(f64, f64)> {
        self.state().bucket
    }

    /// Goes on with what was in the bucket. Of several accounts of it the most careful one holds.
    pub fn restore(&self, (tokens, at): (f64, f64)) {
        let mut state = self.state();
        let spent_more = state.bucket.is_none_or(|(now, _)| tokens < now);
        if tokens.is_finite() && at.is_finite() && spent_more {
            state.bucket = Some((tokens, at));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_float(metrics: u64) -> f64 {
    metrics as f64
}

impl State {
    fn rungs(&self) -> Vec<u32> {
        match self.budget {
            Some(_) => rungs(self.interval_seconds),
            None => vec![self.interval_seconds],
        }
    }

    /// Metrics a second.
    fn rate(&self) -> Option<f64> {
        Some(self.budget? / DOLLARS_PER_METRIC / DAYS_PAID / DAY)
    }

    fn tokens(&self, rate: f64, now: f64) -> f64 {
        let most = rate * DAY;
        match self.bucket {
            // A clock that was set back brings nothing.
            Some((tokens, at)) => (tokens + rate * (now - at).max(0.0)).min(most),
            None => most * FIRST_DAYS,
        }
    }

    /// Dollars for 30 days at a rung.
    fn forecast(&self, rung: usize) -> f64 {
        let at = |demand: &Demand| {
            demand
                .expected
                .get(rung)
                .or(demand.expected.last())
                .copied()
        };
        let metrics: f64 = self.demands.values().filter_map(at).sum();
        (metrics + 0.0) * DOLLARS_PER_METRIC // the sum of none is -0
    }

    /// The budget that allows the slowest rung whatever happens.
    fn least(&self) -> f64 {
        let metrics: f64 = self.demands.values().map(|demand| demand.most).sum();
        metrics * DOLLARS_PER_METRIC * DAYS_PAID / 30.0
    }

    fn choose(&mut self) {
        let Some(budget) = self.budget else {
            self.rung = 0;
            return;
        };
        let allowed = budget * 30.0 / DAYS_PAID;
        let last = self.rungs().len() - 1;
        let mut rung = self.rung.min(last);
        while rung > 0 && self.forecast(rung - 1) <= allowed * MARGIN {
            rung -= 1;
        }
        while rung < last && self.forecast(rung) > allowed {
            rung += 1;
        }
        self.rung = rung;
    }

    fn terms(&self) -> Terms {
        let rungs = self.rungs();
        let rung = self.rung.min(rungs.len() - 1);
        let least = self.least();
        Terms {
            interval_seconds: rungs[rung],
            rung,
            forecast: self.forecast(rung),
            budget: self.budget,
            least_budget: self.budget.filter(|budget| least > *budget).map(|_| least),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(region: &str) -> TargetKey {
        (None, region.to_owned())
    }

    /// What so many metrics cost in 30 days when asked for once a rung.
    fn demand(metrics: f64, interval: u32) -> Demand {
        let at = |rung| metrics * 30.0 * DAY / f64::from(rung);
        let expected: Vec<f64> = rungs(interval).into_iter().map(at).collect();
        let most = expected.last().copied().unwrap();
        Demand { expected, most }
    }

    #[test]
    fn without_a_budget_the_stack_s_own_interval_holds_and_all_is_paid() {
        let economy = Economy::default();
        let terms = economy.configure(300, None);
        assert_eq!(format!("{:.2}", terms.forecast), "0.00");
        economy.demand(&key("eu-west-1"), demand(1000.0, 300));
        let terms = economy.terms();
        assert_eq!((terms.interval_seconds, terms.rung), (300, 0));
        assert!((terms.forecast - 86.4).abs() < 1e-9);
        assert_eq!(economy.take(1_000_000, 0.0), Ok(()));
    }

    #[test]
    fn the_fastest_rung_within_the_budget_is_taken_for_all_accounts_together() {
        let economy = Economy::default();
        economy.configure(300, Some(100.0));
        economy.demand(&key("eu-west-1"), demand(500.0, 300));
        assert_eq!(economy.terms().interval_seconds, 300, "$43.20");
        economy.demand(&key("us-east-1"), demand(1000.0, 300));
        assert_eq!(
            economy.terms().interval_seconds,
            600,
            "$129.60 would be too much"
        );
        economy.leave(&key("us-east-1"));
        assert_eq!(economy.terms().interval_seconds, 300);
    }

    #[test]
    fn a_budget_too_small_for_the_slowest_rung_names_the_least_one() {
        let economy = Economy::default();
        economy.configure(300, Some(1.0));
        economy.demand(&key("eu-west-1"), demand(1000.0, 300));
        let terms = economy.terms();
        assert_eq!(terms.interval_seconds, 3600);
        // 720 polls of 1,000 metrics, and the day that may be saved for.
        assert!((terms.least_budget.unwrap() - 7.2 * 31.0 / 30.0).abs() < 1e-9);
        economy.configure(300, terms.least_budget.map(|least| least + 0.01));
        economy.demand(&key("eu-west-1"), demand(1000.0, 300));
        assert_eq!(economy.terms().least_budget, None);
    }

    #[test]
    fn what_fares_badly_is_polled_more_slowly_and_never_stopped_for_it() {
        let economy = Economy::default();
        economy.configure(300, Some(20.0));
        let quiet = Demand {
            most: demand(2000.0, 300).most,
            ..demand(200.0, 300)
        };
        economy.demand(&key("eu-west-1"), quiet);
        assert_eq!(economy.terms().rung, 0);
        economy.demand(&key("eu-west-1"), demand(2000.0, 300));
        let terms = economy.terms();
        assert_eq!((terms.interval_seconds, terms.least_budget), (3600, None));
    }

    #[test]
    fn a_small_change_of_the_forecast_does_not_change_the_rung_back_and_forth() {
        let economy = Economy::default();
        economy.configure(300, Some(31.0));
        economy.demand(&key("eu-west-1"), demand(348.0, 300));
        assert_eq!(economy.terms().rung, 1, "$30.07 of $30");
        economy.demand(&key("eu-west-1"), demand(346.0, 300));
        assert_eq!(economy.terms().rung, 1, "$29.89 would leave nothing");
        economy.demand(&key("eu-west-1"), demand(320.0, 300));
        assert_eq!(economy.terms().rung, 0);
    }

    #[test]
    fn what_was_spent_before_a_restart_stays_spent() {
        let economy = Economy::default();
        economy.configure(300, Some(31.0));
        // A day brings 100,000 metrics, and the bucket begins with a quarter of that.
        assert_eq!(economy.take(20_000, 0.0), Ok(()));
        let saved = economy.saved().unwrap();
        let restarted = Economy::default();
        restarted.restore(saved);
        restarted.configure(300, Some(31.0));
        let wait = restarted.take(10_000, 0.0).unwrap_err().as_secs_f64();
        assert!((wait - 4320.0).abs() < 1.0, "{wait}");
        assert_eq!(restarted.take(10_000, 4321.0), Ok(()));
        restarted.refund(10_000);
        assert_eq!(restarted.take(10_000, 4321.0), Ok(()));
    }

    proptest! {
        /// Whatever is asked for and whenever, no 30 days cost more than the budget.
        #[test]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "numbers of metrics")]
        fn no_thirty_days_cost_more_than_the_budget(
            budget in 1.0..500.0_f64,
            polls in proptest::collection::vec((0.0..40_000.0_f64, 1..200_000_u64), 1..200),
        ) {
            let economy = Economy::default();
            economy.configure(300, Some(budget));
            let most = budget / DAYS_PAID / DOLLARS_PER_METRIC;
            let mut now = 0.0;
            let mut paid: Vec<(f64, f64)> = Vec::new();
            for (pause, metrics) in polls {
                now += pause;
                let metrics = metrics.min(most as u64);
                if economy.take(metrics, now).is_ok() {
                    paid.push((now, metrics as f64));
                }
            }
            for (begin, _) in &paid {
                let month = *begin..begin + 30.0 * DAY;
                let spent: f64 = paid.iter().filter(|(at, _)| month.contains(at)).map(|(_, m)| m).sum();
                prop_assert!(spent * DOLLARS_PER_METRIC <= budget * 1.000_001, "{spent}");
            }
        }
    }
}
