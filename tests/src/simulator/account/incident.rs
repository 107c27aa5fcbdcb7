//! What goes wrong, where and when.

use serde::Deserialize;

use super::{Instant, Name, Span};

/// Something that goes wrong for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// What happens.
    pub what: IncidentKind,
    /// Names of functions, tables or APIs, `*` matches anything.
    pub on: Vec<Name>,
    /// Share of requests that are hit (all but latency, traffic and lag).
    #[serde(default)]
    pub share: f64,
    /// How much slower (latency), or how much more comes from outside (traffic; 0: nothing).
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// How old records and events are when they are read (lag).
    #[serde(default)]
    pub age: Span,
    /// Why a table throttles; left out: some of each reason.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// First moment, for an incident that happens once.
    #[serde(default)]
    pub start: Option<Instant>,
    /// First moment after it.
    #[serde(default)]
    pub end: Option<Instant>,
    /// Period of one that comes back, counted from 1970.
    #[serde(default)]
    pub every: Option<Span>,
    /// Where in the period it begins.
    #[serde(default)]
    pub at: Span,
    /// How long it lasts each time.
    #[serde(default)]
    pub lasts: Option<Span>,
}

/// Kinds of incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Invocations or requests fail.
    Errors,
    /// Requests are refused.
    Throttles,
    /// Everything takes `factor` times as long.
    Latency,
    /// Invocations run until the function's timeout and fail.
    Timeouts,
    /// Requests are answered with 4xx, or to a table are the client's fault.
    ClientErrors,
    /// `factor` times as many requests come from outside.
    Traffic,
    /// Who reads a stream, or works off events, is `age` behind.
    Lag,
    /// Lambda stops events that go round in a circle.
    Recursion,
}

/// Why a table throttles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A hot partition.
    KeyRange,
    /// The provisioned capacity is used up.
    Provisioned,
    /// The maximum of an on-demand table.
    Maximum,
    /// The account's limit.
    Account,
}

fn default_factor() -> f64 {
    5.0
}
