//! How late and how revised the newest minutes of a region's metrics are.

use serde::Deserialize;

use super::{SignedSpan, Span};

/// Lateness for each service that publishes metrics.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatenessByService {
    /// `AWS/Lambda`.
    pub lambda: Lateness,
    /// `AWS/DynamoDB`.
    pub dynamodb: Lateness,
    /// `AWS/ApiGateway`.
    pub apigateway: Lateness,
}

/// How a minute's data arrives. Shares are of minutes, fractions are of a minute's data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lateness {
    /// After the end of a minute, how long until an ordinary minute is complete.
    pub settle: Span,
    /// Minutes whose last few percent trickle in.
    pub tail: Tail,
    /// Minutes of which a part comes very late.
    pub late: Late,
    /// Minutes that are first overstated and then revised downward.
    pub revision: Revision,
    /// Reads that answer less than an earlier read of the same minute did.
    pub reread: Reread,
    /// How far the region's aggregate series (no dimensions) lag behind their parts; negative: run ahead.
    pub aggregate_lag: SignedSpan,
    /// How long after its first datapoint a series is listed; AWS says up to 15 minutes.
    pub listing: Span,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            settle: Span::seconds(180),
            tail: Tail::default(),
            late: Late::default(),
            revision: Revision::default(),
            reread: Reread::default(),
            aggregate_lag: SignedSpan::default(),
            listing: Span::seconds(0),
        }
    }
}

/// A share of minutes that miss `fraction` of their data until `over` has passed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// Share of minutes, 0 to 1.
    pub share: f64,
    /// Part of the data that trickles.
    pub fraction: f64,
    /// When the last of it has come, after the end of the minute.
    pub over: Span,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 0.03,
            over: Span::seconds(600),
        }
    }
}

/// A share of minutes of which `fraction` comes at once, `after` the end of the minute.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Late {
    /// Share of minutes, 0 to 1.
    pub share: f64,
    /// Part of the data that is late; 1 means that the whole minute is missing until then.
    pub fraction: f64,
    /// When it comes.
    pub after: Span,
}

impl Default for Late {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 1.0,
            after: Span::seconds(3600),
        }
    }
}

/// A share of minutes that read `fraction` too high until `after` the end of the minute.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revision {
    /// Share of minutes, 0 to 1.
    pub share: f64,
    /// How much too high, as a part of the final value; at least one event.
    pub fraction: f64,
    /// When the value drops to what is final.
    pub after: Span,
}

impl Default for Revision {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 0.05,
            after: Span::seconds(900),
        }
    }
}

/// A share of (minute, half minute of reading) pairs that answer `fraction` less.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reread {
    /// Share of reads, 0 to 1.
    pub share: f64,
    /// How much less.
    pub fraction: f64,
}

impl Default for Reread {
    fn default() -> Self {
        Self {
            share: 0.0,
            fraction: 0.3,
        }
    }
}
