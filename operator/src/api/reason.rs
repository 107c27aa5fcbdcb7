//! One vocabulary of reasons: a condition's reason, an Event's reason and a metric's `reason`
//! label are the same word.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something is as it is. The variants are the words that users see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// All is well.
    AsExpected,
    /// Work has begun and nothing failed so far.
    Progressing,
    /// The stack asks for no work.
    Suspended,
    /// The specification contradicts itself or asks for what does not exist.
    InvalidSpec,
    /// An object of a name that we need belongs to somebody else.
    NameConflict,
    /// The Kubernetes API refused or failed a request of the operator's.
    KubernetesApi,
    /// The exporter's pods are not all ready.
    ExporterNotReady,
    /// The exporter runs, but the operator cannot read its `/status`.
    ExporterUnreachable,
    /// The exporter still runs an older configuration.
    ConfigurationPending,
    /// The number of shards changes: what moves waits until its old shard has released it.
    Resharding,
    /// Two exporters publish the same account and region.
    PublishedTwice,
    /// A pod does not end although it shall, most likely because its node is lost.
    PodStuck,
    /// Somebody else keeps changing an object that the operator applies.
    Contested,
    /// No kind of the Prometheus operator is installed: annotations are used instead.
    PrometheusOperatorAbsent,
    /// The stack says who is told of alerts, and no kind is installed that would carry it out.
    AlertmanagerConfigAbsent,
    /// The exporters' volumes cannot become what the stack says now.
    StorageUnchangeable,
    /// Nothing was found that the stack selects.
    NothingSelected,
    /// AWS does not allow an action.
    AccessDenied,
    /// There are no credentials, or AWS does not accept them.
    CredentialsInvalid,
    /// AWS asks us to slow down.
    Throttled,
    /// AWS could not be reached.
    Unreachable,
    /// AWS did not answer in time.
    Timeout,
    /// AWS answered that it failed.
    ServerError,
    /// The answer could not be understood.
    InvalidAnswer,
    /// AWS refused the request as malformed or impossible.
    InvalidRequest,
    /// Something that the stack names does not exist in AWS.
    NotFound,
    /// Two resources share one CloudWatch series, so neither can be counted.
    AmbiguousName,
    /// More series than the stack allows.
    SeriesCapped,
    /// The exporter cannot write its books, so it shows nothing new.
    StateNotSaved,
    /// Not even the slowest polling is within the stack's budget, so nothing is polled.
    BudgetTooSmall,
    /// Polling is slower than asked for, to stay within the stack's budget.
    BudgetStretched,
    /// CloudWatch has no counts by duration of a metric, so its histogram is absent.
    HistogramsUnavailable,
    /// The node's clock is wrong; AWS's is used.
    ClockSkewed,
    /// A word that this version does not know, from an exporter of another one.
    #[serde(other)]
    Unknown,
}

impl Reason {
    /// The word itself.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsExpected => "AsExpected",
            Self::Progressing => "Progressing",
            Self::Suspended => "Suspended",
            Self::InvalidSpec => "InvalidSpec",
            Self::NameConflict => "NameConflict",
            Self::KubernetesApi => "KubernetesApi",
            Self::ExporterNotReady => "ExporterNotReady",
            Self::ExporterUnreachable => "ExporterUnreachable",
            Self::ConfigurationPending => "ConfigurationPending",
            Self::Resharding => "Resharding",
            Self::PublishedTwice => "PublishedTwice",
            Self::PodStuck => "PodStuck",
            Self::Contested => "Contested",
            Self::PrometheusOperatorAbsent => "PrometheusOperatorAbsent",
            Self::AlertmanagerConfigAbsent => "AlertmanagerConfigAbsent",
            Self::StorageUnchangeable => "StorageUnchangeable",
            Self::NothingSelected => "NothingSelected",
            Self::AccessDenied => "AccessDenied",
            Self::CredentialsInvalid => "CredentialsInvalid",
            Self::Throttled => "Throttled",
            Self::Unreachable => "Unreachable",
            Self::Timeout => "Timeout",
            Self::ServerError => "ServerError",
            Self::InvalidAnswer => "InvalidAnswer",
            Self::InvalidRequest => "InvalidRequest",
            Self::NotFound => "NotFound",
            Self::AmbiguousName => "AmbiguousName",
            Self::SeriesCapped => "SeriesCapped",
            Self::StateNotSaved => "StateNotSaved",
            Self::BudgetTooSmall => "BudgetTooSmall",
            Self::BudgetStretched => "BudgetStretched",
            Self::HistogramsUnavailable => "HistogramsUnavailable",
            Self::ClockSkewed => "ClockSkewed",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
