//! Whether Prometheus, Alertmanager and Grafana have something to go by.

use super::{Facts, Monitoring, Verdict, some_of};
use crate::api::Reason;
use crate::controller::error::Error;

pub(super) fn monitoring_configured(facts: &Facts<'_>) -> Verdict {
    let Facts {
        namespace,
        object_name,
        ..
    } = facts;
    if !facts.invalid.is_empty() {
        return Verdict::unknown(
            Reason::InvalidSpec,
            "monitoring objects are not changed while the specification cannot be used",
        );
    }
    let about_monitoring: Vec<&Error> = facts
        .failed
        .iter()
        .filter(|error| error.is_about_monitoring())
        .collect();
    if let Some(first) = about_monitoring.first() {
        let all: Vec<String> = about_monitoring.iter().map(ToString::to_string).collect();
        return Verdict::no(first.reason(), some_of(&all));
    }
    if !facts.applied {
        let reason = facts
            .failed
            .first()
            .map_or(Reason::Progressing, Error::reason);
        return Verdict::unknown(reason, "the stack's objects could not be looked at");
    }
    let Monitoring {
        service_monitor,
        prometheus_rules,
        route_is_lost,
        misses_grafana,
    } = &facts.monitoring;
    let found = match service_monitor {
        Some(labels) if labels.is_empty() => format!(
            "ServiceMonitor {namespace}/{object_name} is there, without labels of yours: if your Prometheus selects by a label (kube-prometheus-stack: release), set it in spec.monitoring.labels or the chart's monitoring.labels"
        ),
        Some(labels) => {
            let labels: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!(
                "ServiceMonitor {namespace}/{object_name} is there to be selected by {}",
                labels.join(", ")
            )
        }
        None => format!(
            "no kind ServiceMonitor in this cluster: Service {namespace}/{object_name} carries prometheus.io/* annotations instead"
        ),
    };
    let rules = if *prometheus_rules {
        String::new()
    } else {
        format!(
            "; no kind PrometheusRule in this cluster: the rules are in ConfigMap {namespace}/{object_name}-rules instead, for the rule_files of your Prometheus"
        )
    };
    let dashboards = if *misses_grafana {
        "; no kind GrafanaDashboard in this cluster: the dashboards are ConfigMaps beside the operator instead, for Grafana's sidecar"
    } else {
        ""
    };
    if *route_is_lost {
        return Verdict::no(
            Reason::AlertmanagerConfigAbsent,
            format!(
                "no kind AlertmanagerConfig in this cluster: nobody is told of alerts as spec.alerts.route says. Install the \
                 Prometheus operator, or give your Alertmanager what nightjar render --route prints and remove \
                 spec.alerts.route; {found}{rules}{dashboards}"
            ),
        );
    }
    let verdict = Verdict::yes(format!("{found}{rules}{dashboards}"));
    match service_monitor {
        Some(_) => verdict,
        None => verdict.because(Reason::PrometheusOperatorAbsent),
    }
}
