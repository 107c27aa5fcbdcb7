//! Fault scripts: which calls go wrong, and how.

use serde::{Deserialize, Serialize};

use super::model::matches;
use super::random::{mix, unit};

/// One line of a script. All conditions that are given must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The API, `cloudwatch:GetMetricData`; `*` matches anything.
    #[serde(default = "everything")]
    pub api: String,
    /// Only in this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Only in this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only these calls, counted from 1 among those that match `api`, `account` and `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<u64>>,
    /// Only with this probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// At most so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// What happens to every call of an API.
    pub fn always(api: &str, effect: Effect) -> Self {
        Self {
            api: api.to_owned(),
            account: None,
            region: None,
            calls: None,
            probability: None,
            times: None,
            effect,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Refused as too fast, with the service's own code.
    Throttle,
    /// A server error with this status.
    Error {
        /// 500, 502, 503 ...
        status: u16,
    },
    /// The connection is cut before any answer.
    Reset,
    /// The answer comes after so many real seconds.
    Stall {
        /// How long.
        seconds: f64,
    },
    /// The answer ends in the middle.
    Truncate,
    /// Bytes at the beginning and in the middle of the answer are wrong.
    Corrupt,
    /// Refused with this status and code.
    Refuse {
        /// 400, 403 ...
        status: u16,
        /// `RequestTimeTooSkewed`, `OptInRequired` ...
        code: String,
    },
    /// The answer comes in small pieces, over so many real seconds.
    Drip {
        /// How long.
        seconds: f64,
    },
    /// A proxy's page instead of an answer.
    Html {
        /// 200, 502 ...
        status: u16,
    },
    /// An error's body under status 200.
    ErrorIn200,
    /// The answer says that it is compressed, and is not.
    GzipLie,
    /// The answer goes on for so many megabytes.
    Huge {
        /// How many.
        megabytes: u64,
    },
    /// Refused for lack of a permission, with the service's own code.
    AccessDenied,
    /// The credentials are refused as expired.
    ExpiredToken,
    /// `GetMetricData` answers half of the datapoints, and a token for the rest.
    PartialData,
    /// `GetMetricData` marks every other result `InternalError` and leaves out its newest half.
    InternalError,
    /// `GetMetricData` marks every so manieth result `Forbidden`, and leaves it empty.
    Forbidden {
        /// 1 is all of them.
        every: usize,
    },
    /// `GetMetricData` has a message about the whole call, and answers all the same.
    Messages,
    /// `GetMetricData` answers with a token that leads to the same page.
    TokenLoop,
    /// The first page of `GetMetricData` is empty and has a token.
    EmptyPage,
    /// The results of `GetMetricData` and their datapoints come in another order.
    Shuffle,
    /// `GetMetricData` leaves out every so manieth result.
    DropResults {
        /// 1 is all of them.
        every: usize,
    },
    /// `GetMetricData` gives every result twice.
    DoubleResults,
    /// `GetMetricData` adds a result that nobody asked for.
    UnknownResults,
    /// Results of `GetMetricData` have one value less than timestamps.
    Ragged,
    /// `GetMetricData` has datapoints that cannot be (negative, not a number, enormous, of an hour from now) in
    /// minutes that have none.
    Absurd,
    /// `GetMetricData` knows no trimmed counts: they have no datapoints.
    NoTrimmedCounts,
    /// `GetMetricData` refuses a call with any trimmed count in it.
    TrimmedCountsRefused,
}

fn everything() -> String {
    "*".to_owned()
}

/// A script in force, with its counters.
#[derive(Debug, Default)]
pub struct Script {
    lines: Vec<Line>,
    seed: u64,
}

#[derive(Debug)]
struct Line {
    fault: Fault,
    seen: u64,
    struck: u64,
}

impl Script {
    /// A new script; counting begins at 1.
    #[must_use]
    pub fn new(faults: Vec<Fault>, seed: u64) -> Self {
        let lines = faults
            .into_iter()
            .map(|fault| Line {
                fault,
                seen: 0,
                struck: 0,
            })
            .collect();
        Self { lines, seed }
    }

    /// The script's lines with how often each matched and struck.
    #[must_use]
    pub fn status(&self) -> Vec<serde_json::Value> {
        self.lines
            .iter()
            .map(|l| serde_json::json!({"fault": l.fault, "seen": l.seen, "struck": l.struck}))
            .collect()
    }

    /// Counts a call and says what happens to it: the effect of the first line that strikes.
    pub fn strike(&mut self, api: &str, account: &str, region: &str) -> Option<Effect> {
        let mut effect = None;
        for (number, line) in self.lines.iter_mut().enumerate() {
            let fault = &line.fault;
            let concerns = matches(&fault.api, api)
                && fault.account.as_deref().is_none_or(|a| a == account)
                && fault.region.as_deref().is_none_or(|r| r == region);
            if !concerns {
                continue;
            }
            line.seen += 1;
            let chance = unit(mix(mix(self.seed, number as u64), line.seen));
            let strikes = fault.calls.as_ref().is_none_or(|c| c.contains(&line.seen))
                && fault.probability.is_none_or(|p| chance < p)
                && fault.times.is_none_or(|t| line.struck < t);
            if strikes && effect.is_none() {
                line.struck += 1;
                effect = Some(fault.effect.clone());
            }
        }
        effect
    }
}
