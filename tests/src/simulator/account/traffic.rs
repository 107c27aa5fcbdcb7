//! How many requests come from outside over time, and how long one takes.

use serde::Deserialize;

use super::Span;

/// The shape of traffic over time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Traffic {
    /// None of its own: only what others call.
    #[default]
    None,
    /// About the same all the time.
    Steady {
        /// Mean requests per minute.
        per_minute: f64,
        /// Relative noise, 0.2 unless told.
        #[serde(default = "default_noise")]
        noise: f64,
    },
    /// A daily wave.
    Wave {
        /// Mean requests per minute over a day.
        per_minute: f64,
        /// Height of the wave relative to the mean, 0 to 1.
        #[serde(default = "default_amplitude")]
        amplitude: f64,
        /// Hour of the peak, UTC, 0 to 24.
        #[serde(default = "default_peak")]
        peak_hour: f64,
        /// Relative noise.
        #[serde(default = "default_noise")]
        noise: f64,
    },
    /// Quiet, then a burst.
    Bursty {
        /// Requests per minute between bursts.
        #[serde(default)]
        per_minute: f64,
        /// Requests per minute in a burst.
        burst_per_minute: f64,
        /// A burst begins this often.
        every: Span,
        /// How long it lasts.
        lasts: Span,
    },
    /// A few requests a day, at no particular time.
    Idle {
        /// How many on an average day.
        #[serde(default = "super::one")]
        per_day: f64,
    },
    /// Nothing, ever: a leftover.
    Dead,
}

/// A latency distribution, by some of its quantiles, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// Default: twice the median.
    #[serde(default)]
    pub p90_ms: Option<f64>,
    /// Default: two and a half times p90.
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// Default: one and a half times p99.
    #[serde(default)]
    pub max_ms: Option<f64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            p50_ms: 40.0,
            p90_ms: None,
            p99_ms: None,
            max_ms: None,
        }
    }
}

fn default_noise() -> f64 {
    0.2
}
fn default_amplitude() -> f64 {
    0.6
}
fn default_peak() -> f64 {
    19.0
}
