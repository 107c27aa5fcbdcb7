//! The kinds of objects that the operator makes.

use std::fmt;

use kube::api::ApiResource;

/// The kinds of objects that the operator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Core.
    ConfigMap,
    /// Core.
    ServiceAccount,
    /// Core.
    Service,
    /// `apps`.
    StatefulSet,
    /// `monitoring.coreos.com`, which a cluster may not have.
    ServiceMonitor,
    /// The same.
    PrometheusRule,
    /// The same.
    AlertmanagerConfig,
    /// `grafana.integreatly.org`, which a cluster may not have. Not of a stack: of the release.
    GrafanaDashboard,
}

impl Kind {
    /// The kinds of a stack's objects that every cluster has.
    pub const BUILT_IN: [Self; 4] = [
        Self::ConfigMap,
        Self::ServiceAccount,
        Self::Service,
        Self::StatefulSet,
    ];

    /// The kinds of a stack's objects that a cluster may or may not have.
    pub const OPTIONAL: [Self; 3] = [
        Self::ServiceMonitor,
        Self::PrometheusRule,
        Self::AlertmanagerConfig,
    ];

    /// API version, kind and plural.
    const fn coordinates(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("v1", "ConfigMap", "configmaps"),
            Self::ServiceAccount => ("v1", "ServiceAccount", "serviceaccounts"),
            Self::Service => ("v1", "Service", "services"),
            Self::StatefulSet => ("apps/v1", "StatefulSet", "statefulsets"),
            Self::ServiceMonitor => (
                "monitoring.coreos.com/v1",
                "ServiceMonitor",
                "servicemonitors",
            ),
            Self::PrometheusRule => (
                "monitoring.coreos.com/v1",
                "PrometheusRule",
                "prometheusrules",
            ),
            Self::AlertmanagerConfig => (
                "monitoring.coreos.com/v1alpha1",
                "AlertmanagerConfig",
                "alertmanagerconfigs",
            ),
            Self::GrafanaDashboard => (
                "grafana.integreatly.org/v1beta1",
                "GrafanaDashboard",
                "grafanadashboards",
            ),
        }
    }

    /// Its name, as manifests have it.
    pub const fn as_str(self) -> &'static str {
        self.coordinates().1
    }

    /// The kind as kube's dynamic API knows it.
    pub fn resource(self) -> ApiResource {
        let (api_version, kind, plural) = self.coordinates();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
