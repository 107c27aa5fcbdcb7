//! Whether all exporters run what they shall run.

use std::collections::BTreeMap;

use super::{Facts, LONGEST_WORD, Verdict, shortened, some_of};
use crate::api::Reason;
use crate::api::exporter_status::ExporterStatus;
use crate::controller::exporters::Exporter;

pub(super) fn exporter_available(facts: &Facts<'_>, heard: &[&ExporterStatus]) -> Verdict {
    let Facts {
        namespace,
        object_name,
        ..
    } = facts;
    if !facts.invalid.is_empty() {
        return Verdict::unknown(
            Reason::InvalidSpec,
            "exporters are not changed while the specification cannot be used",
        );
    }
    let mut failed = facts.failed.iter();
    if let Some(error) = failed.find(|error| !error.is_about_monitoring()) {
        return Verdict::no(error.reason(), error.to_string());
    }
    let Some(pods) = facts.looked.set else {
        return Verdict::unknown(
            Reason::Progressing,
            "the exporter's StatefulSet is being made",
        );
    };
    if let Some(twice) = published_twice(&facts.looked.exporters) {
        return Verdict::no(Reason::PublishedTwice, twice);
    }
    if let Some((pod, node)) = facts.looked.stuck.first() {
        return Verdict::no(Reason::PodStuck, stuck(namespace, pod, node.as_deref()));
    }
    if pods.ready < pods.wanted {
        return Verdict::no(
            Reason::ExporterNotReady,
            format!(
                "{} of {} exporter pods are ready: if this lasts, kubectl -n {namespace} describe pod -l app.kubernetes.io/instance={} says why",
                pods.ready,
                pods.wanted,
                object_name.trim_end_matches("-exporter"),
            ),
        );
    }
    if pods.updated < pods.wanted {
        return Verdict::no(
            Reason::ExporterNotReady,
            format!(
                "{} of {} exporter pods were replaced by new ones",
                pods.updated, pods.wanted
            ),
        );
    }
    let silent: Vec<String> = facts
        .looked
        .exporters
        .iter()
        .filter_map(|exporter| {
            Some(format!(
                "{}: {}",
                exporter.pod,
                shortened(exporter.status.as_ref().err()?, LONGEST_WORD)
            ))
        })
        .collect();
    if !silent.is_empty() {
        return Verdict::no(
            Reason::ExporterUnreachable,
            format!(
                "{}; a NetworkPolicy must let the operator reach the exporters",
                some_of(&silent)
            ),
        );
    }
    if heard.len() < usize::try_from(pods.wanted).unwrap_or_default() {
        return Verdict::no(
            Reason::ExporterUnreachable,
            format!(
                "the EndpointSlices of Service {namespace}/{object_name} name {} of {} exporters",
                heard.len(),
                pods.wanted
            ),
        );
    }
    if let Some(error) = heard.iter().find_map(|status| status.config_error.as_ref()) {
        return Verdict::no(
            Reason::InvalidSpec,
            format!(
                "the exporter cannot use its configuration: {}",
                shortened(error, LONGEST_WORD)
            ),
        );
    }
    if heard
        .iter()
        .any(|status| status.config_hash != facts.config_hash)
    {
        return Verdict::no(
            Reason::ConfigurationPending,
            "the exporter still runs the configuration before the last change: the kubelet brings it the new one within about a minute",
        );
    }
    if let Some(assignment) = facts.assignment.filter(|assignment| assignment.is_moving()) {
        let awaited: Vec<String> = assignment
            .awaited()
            .into_iter()
            .map(|shard| format!("{object_name}-{shard}"))
            .collect();
        return Verdict::no(
            Reason::Resharding,
            format!(
                "the number of shards is {} now: accounts and regions that move wait until {} says that it has released them",
                assignment.shards,
                some_of(&awaited)
            ),
        );
    }
    Verdict::yes(format!(
        "{} of {} exporters run the present configuration",
        pods.ready, pods.wanted
    ))
}

/// Tells of an account and region that two exporters publish. It cannot happen as long as kubelets
/// do what they promise, or two of spec.accounts are one account.
fn published_twice(exporters: &[Exporter]) -> Option<String> {
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for exporter in exporters {
        for target in exporter.status.iter().flat_map(|status| &status.targets) {
            let Some(account) = &target.account_id else {
                continue;
            };
            let other = seen.insert((account, &target.region), &exporter.pod);
            if let Some(other) = other.filter(|other| *other != exporter.pod) {
                return Some(format!(
                    "account {account}, {} is published by {other} and by {}: if spec.accounts names the account twice, remove one; else delete the pod that started last",
                    target.region, exporter.pod
                ));
            }
        }
    }
    None
}

fn stuck(namespace: &str, pod: &str, node: Option<&str>) -> String {
    let node = node.unwrap_or("its node");
    format!(
        "pod {pod} does not end: if {node} is lost, make sure that it is switched off, then let the pod go by \
         kubectl taint nodes {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or by \
         kubectl -n {namespace} delete pod {pod} --force; two pods of one shard would publish everything twice, so the operator does not do it"
    )
}
