//! Why a stack could not be reconciled.

use crate::api::Reason;
use crate::api::stack::Storage;
use crate::api::validate::InvalidField;

use super::desired::RULES_SUFFIX;
use super::kind::Kind;
use super::trouble::innermost;

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
    /// The API server did not answer in time about an object of the stack's.
    #[error(
        "cannot apply {kind} {namespace}/{name}: the Kubernetes API, or an admission webhook that it asks, did not answer in time"
    )]
    NoAnswer {
        /// The object's kind.
        kind: Kind,
        /// The object's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// The exporters' volumes are not what the stack says.
    #[error("{}", storage(.namespace, .name, .made.as_deref(), .wanted.as_deref()))]
    Storage {
        /// The StatefulSet's namespace.
        namespace: String,
        /// The StatefulSet's name.
        name: String,
        /// What they were made of.
        made: Option<Box<Storage>>,
        /// What the stack says now.
        wanted: Option<Box<Storage>>,
    },
    /// A kind may not be watched.
    #[error(
        "the operator may not list and watch the kind {kind} and does not see when such an object is changed: {message} (compare its \
         ClusterRole with the chart's)"
    )]
    Unwatched {
        /// The kind.
        kind: &'static str,
        /// What the API server said.
        message: String,
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
    /// The stack itself could not be read.
    #[error("cannot read the stack again before something of it is deleted: {}", explain(.0))]
    Stack(#[source] kube::Error),
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
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameConflict { .. } => Reason::NameConflict,
            Self::Storage { .. } => Reason::StorageUnchangeable,
            Self::Outdated { .. } => Reason::Contested,
            Self::Object { .. } if self.is_race() => Reason::Contested,
            Self::Object { .. }
            | Self::NoAnswer { .. }
            | Self::Unwatched { .. }
            | Self::Stack(_)
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
            | Self::NoAnswer { kind, .. }
            | Self::Outdated { kind, .. } => Some(*kind),
            Self::Storage { .. } => Some(Kind::StatefulSet),
            Self::Unwatched { .. }
            | Self::Stack(_)
            | Self::Unheard
            | Self::Status(_)
            | Self::Timeout(_) => None,
        }
    }

    /// Whether it is about how Prometheus and Alertmanager learn of the exporters: these run all the same.
    pub fn is_about_monitoring(&self) -> bool {
        let name = match self {
            Self::NameConflict { name, .. }
            | Self::Object { name, .. }
            | Self::NoAnswer { name, .. }
            | Self::Outdated { name, .. }
            | Self::Storage { name, .. } => name,
            Self::Unwatched { kind, .. } => {
                return Kind::OPTIONAL.iter().any(|one| one.as_str() == *kind);
            }
            Self::Stack(_) | Self::Unheard | Self::Status(_) | Self::Timeout(_) => return false,
        };
        match self.kind() {
            Some(
                Kind::ServiceMonitor
                | Kind::PrometheusRule
                | Kind::AlertmanagerConfig
                | Kind::GrafanaDashboard,
            ) => true,
            Some(Kind::ConfigMap) => name.ends_with(RULES_SUFFIX),
            Some(Kind::ServiceAccount | Kind::Service | Kind::StatefulSet) | None => false,
        }
    }

    /// The fields of the stack that the API server refuses to see used as they are, with its words.
    pub fn refused_fields(&self) -> Vec<InvalidField> {
        let Self::Object { kind, source, .. } = self else {
            return Vec::new();
        };
        let kube::Error::Api(status) = &**source else {
            return Vec::new();
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let refused = causes.filter(|_| status.code == 422).filter_map(|cause| {
            Some(InvalidField {
                field: field_of_stack(*kind, &cause.field)?.to_owned(),
                message: format!("{kind} {}: {}", cause.field, cause.message),
            })
        });
        refused.collect()
    }

    /// Whether trying again does not help.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Storage { .. } | Self::Unwatched { .. })
    }

    /// Whether the next try may well succeed, without anything being wrong: the object changed
    /// between our look at it and our write.
    pub fn is_race(&self) -> bool {
        match self {
            Self::Object { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if status.code == 409)
            }
            Self::Outdated { .. } | Self::Unheard => true,
            Self::NameConflict { .. }
            | Self::NoAnswer { .. }
            | Self::Storage { .. }
            | Self::Unwatched { .. }
            | Self::Stack(_)
            | Self::Status(_)
            | Self::Timeout(_) => false,
        }
    }
}

/// What the API server said, or why it was not heard, without kube's own wrapping around it, and what to do.
fn explain(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return innermost(error);
    };
    let message = &status.message;
    // 403 is also what a namespace that is being deleted, a quota and an admission webhook answer.
    let admission = [
        "admission webhook",
        "exceeded quota",
        "ValidatingAdmissionPolicy",
        "violates PodSecurity",
    ]
    .iter()
    .any(|word| message.contains(word));
    match status.code {
        403 if message.contains("being terminated") => {
            format!("{message} (it ends with its namespace)")
        }
        403 if !admission => format!(
            "{message} (if this is about permissions, compare the operator's ClusterRole with the chart's)"
        ),
        422 if message.contains("updates to statefulset spec") => format!(
            "{message} (it was made otherwise than it shall be now: delete it with kubectl delete statefulset --cascade=orphan, then it is made anew and takes over the pods)"
        ),
        _ => message.clone(),
    }
}

/// The field of the stack from which a field of an object comes, of those that can come from one.
fn field_of_stack(kind: Kind, field: &str) -> Option<&'static str> {
    let fields: &[(&str, &'static str)] = match kind {
        Kind::StatefulSet => &[
            (
                "spec.template.spec.serviceAccountName",
                "spec.credentials.serviceAccountName",
            ),
            (
                "spec.template.spec.containers[0].resources",
                "spec.exporter.resources",
            ),
            ("spec.template.spec.containers[0].env", "spec.exporter.env"),
            ("spec.volumeClaimTemplates", "spec.exporter.storage"),
        ],
        Kind::ServiceAccount => &[("metadata.annotations", "spec.credentials.annotations")],
        Kind::ServiceMonitor | Kind::PrometheusRule | Kind::AlertmanagerConfig => {
            &[("metadata.labels", "spec.monitoring.labels")]
        }
        Kind::ConfigMap | Kind::Service | Kind::GrafanaDashboard => &[],
    };
    let mut fields = fields.iter();
    fields
        .find(|(of_object, _)| field.starts_with(of_object))
        .map(|(_, of_stack)| *of_stack)
}

fn storage(
    namespace: &str,
    name: &str,
    made: Option<&Storage>,
    wanted: Option<&Storage>,
) -> String {
    let words = |storage: Option<&Storage>| match storage {
        None => "none".to_owned(),
        Some(Storage {
            size,
            storage_class_name,
        }) => {
            let class = storage_class_name.as_ref();
            let class = class.map_or_else(String::new, |class| format!(" of class {class}"));
            format!("{size}{class}")
        }
    };
    let grow = match (made, wanted) {
        (Some(_), Some(wanted)) => format!(
            "; volumes that are there keep their size: where their class allows it, kubectl -n {namespace} patch pvc state-{name}-0 \
             -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{}\"}}}}}}}}' makes them grow, each by its own name",
            wanted.size
        ),
        (None, _) | (_, None) => String::new(),
    };
    format!(
        "spec.exporter.storage is {} now, but the exporters were made with {}, and a StatefulSet cannot change that: \
         kubectl -n {namespace} delete statefulset {name} --cascade=orphan lets the operator make it anew{grow}; \
         or set spec.exporter.storage back. All else of the stack is in effect",
        words(wanted),
        words(made),
    )
}

#[cfg(test)]
mod tests;
