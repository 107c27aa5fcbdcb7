//! Why a stack could not be reconciled.

use crate::api::Reason;

use super::kind::Kind;

/// Why a stack could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object that the stack needs is there already and is not the stack's.
    #[error(
        "{kind} {namespace}/{name} is there already and does not belong to this stack: rename or remove it, or rename the stack"
    )]
    NameConflict {
        /// The object's kind.
        kind: Kind,
        /// The object's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// The API server refused or failed a request about an object of the stack's.
    #[error("cannot {verb} {kind} {namespace}/{name}: {}", explain(source))]
    Object {
        /// What was tried: `read`, `apply`, `delete`.
        verb: &'static str,
        /// The object's kind.
        kind: Kind,
        /// The object's namespace.
        namespace: String,
        /// The object's name.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// What our decision rests on has changed meanwhile.
    #[error("{kind} {namespace}/{name} changed meanwhile")]
    Outdated {
        /// The object's kind.
        kind: Kind,
        /// The object's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// The exporters have to be heard first, and are being asked.
    #[error("the exporters are being asked what they run")]
    Unheard,
    /// The stack's status could not be written.
    #[error("cannot write the stack's status: {}", explain(.0))]
    Status(#[source] kube::Error),
    /// The API server did not answer in time.
    #[error("the Kubernetes API did not answer within {0} seconds")]
    Timeout(u64),
}

impl Error {
    /// The one word for it.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NameConflict { .. } => Reason::NameConflict,
            Self::Object { .. }
            | Self::Outdated { .. }
            | Self::Unheard
            | Self::Status(_)
            | Self::Timeout(_) => Reason::KubernetesApi,
        }
    }

    /// The kind of the object that it is about.
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Self::NameConflict { kind, .. }
            | Self::Object { kind, .. }
            | Self::Outdated { kind, .. } => Some(*kind),
            Self::Unheard | Self::Status(_) | Self::Timeout(_) => None,
        }
    }

    /// Whether the next try may well succeed, without anything being wrong: the object changed
    /// between our look at it and our write.
    pub fn is_race(&self) -> bool {
        match self {
            Self::Object { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if status.code == 409)
            }
            Self::Outdated { .. } | Self::Unheard => true,
            Self::NameConflict { .. } | Self::Status(_) | Self::Timeout(_) => false,
        }
    }
}

/// What the API server said, without kube's own wrapping around it, and what to do.
fn explain(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return error.to_string();
    };
    match status.code {
        403 => format!(
            "{} (if this is about permissions, compare the operator's ClusterRole with the chart's)",
            status.message
        ),
        _ => status.message.clone(),
    }
}
