//! The alerts about Nightjar's operator. They are not a stack's: the chart delivers them once, beside the operator's
//! own ServiceMonitor, for the namespace in which it is installed.

use super::catalogue::{Room, rooms};
use super::render::{Group, Rule, RuleFile};

/// What the chart replaces by the release's namespace, and by where the runbooks are.
const NAMESPACE: &str = "RELEASE_NAMESPACE";
const RUNBOOKS: &str = "RUNBOOK_URL";

/// The service of the room.
pub const SERVICE: &str = "operator";

/// The file that the chart delivers.
pub fn text() -> String {
    let file = RuleFile {
        groups: vec![group(NAMESPACE, RUNBOOKS)],
    };
    serde_saphyr::to_string(&file)
        .expect("rules hold only strings, lists and maps with string keys")
}

/// The rules for an operator in that namespace.
pub fn group(namespace: &str, runbook_url: &str) -> Group {
    let of_operator = |room: &&Room| room.service == SERVICE;
    let rules = rooms()
        .iter()
        .filter(of_operator)
        .flat_map(|room| &room.alerts);
    let rules = rules.map(|alert| {
        let fill = |text: &str| {
            let threshold = alert.threshold.as_ref().map(|threshold| threshold.default);
            let threshold = threshold.map_or_else(String::new, |number| number.to_string());
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .replace("${operator}", &format!("namespace=\"{namespace}\""))
                .replace("${threshold}", &threshold)
        };
        let labels = [
            ("namespace", namespace),
            ("severity", alert.severity.as_str()),
            ("service", "nightjar"),
            ("pillar", alert.pillar.as_str()),
            ("cause", &alert.cause),
        ];
        let annotations = [
            ("summary", fill(&alert.summary)),
            ("description", fill(&alert.description)),
            ("runbook_url", format!("{runbook_url}{}.md", alert.id)),
        ];
        Rule {
            alert: Some(alert.id.clone()),
            expr: fill(&alert.expr),
            for_: (alert.for_.as_secs() > 0).then_some(alert.for_),
            labels: owned(labels),
            annotations: owned(annotations),
            ..Rule::default()
        }
    });
    Group {
        name: "nightjar.operator".to_owned(),
        interval: None,
        rules: rules.collect(),
    }
}

fn owned<V: Into<String>, const N: usize>(
    pairs: [(&str, V); N],
) -> std::collections::BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}
