//! What is wrong with `spec.alerts`, beyond what a schema can say: ids and ranges are the
//! catalogue's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::alerts::{AlertOverride, Alerts, TAKEN};
use super::route::{Route, Slack};
use super::validate::{InvalidField, matches, pattern};
use crate::rules::catalogue::{self, Threshold};
use crate::rules::render::number;

/// All that is wrong, in the order of the fields.
pub fn validate(alerts: &Alerts) -> Vec<InvalidField> {
    let Alerts {
        enabled: _,
        labels: common,
        matchers,
        overrides,
        route,
    } = alerts;
    let mut found = Vec::new();
    labels("spec.alerts.labels", common, &mut found);
    labels("spec.alerts.matchers", matchers, &mut found);
    for (id, change) in overrides {
        let at = format!("spec.alerts.overrides.{id}");
        let Some(alert) = catalogue::alert(id) else {
            add(
                &mut found,
                at,
                format!(
                    "there is no alert {id}: docs/alerts.md lists them{}",
                    nearest(id)
                ),
            );
            continue;
        };
        let AlertOverride {
            enabled: _,
            severity: _,
            threshold,
            minimum,
            for_,
            labels: own,
        } = change;
        for (field, text, allowed) in [
            ("threshold", threshold, alert.threshold.as_ref()),
            ("minimum", minimum, alert.minimum.as_ref()),
        ] {
            if let Some(text) = text {
                number_within(format!("{at}.{field}"), text, allowed, id, &mut found);
            }
        }
        if for_.is_some_and(|for_| for_.as_secs() > 86_400) {
            add(
                &mut found,
                format!("{at}.for"),
                "write a duration from 0s to 24h",
            );
        }
        labels(&format!("{at}.labels"), own, &mut found);
    }
    if let Some(route) = route {
        for (field, message) in crate::rules::route::validate(route) {
            add(&mut found, format!("spec.alerts.route.{field}"), message);
        }
        sending("spec.alerts.route", route, &mut found);
    }
    found
}

/// What Alertmanager would refuse, or stumble over when it sends.
fn sending(at: &str, route: &Route, found: &mut Vec<InvalidField>) {
    let by: BTreeSet<&String> = route.group_by.iter().collect();
    let are_labels = by
        .iter()
        .all(|label| is_label_name(label) && label.len() <= 128);
    if !are_labels || by.len() != route.group_by.len() || !(1..=16).contains(&by.len()) {
        let message = "not labels to group by: write from 1 to 16, each once, with letters, digits and _, for example cause";
        add(found, format!("{at}.groupBy"), message);
    }
    for (field, pause) in [
        ("groupInterval", route.group_interval),
        ("repeatInterval", route.repeat_interval),
    ] {
        if pause.as_secs() == 0 {
            let message = "not a pause: Alertmanager takes 1s at least, write for example 5m";
            add(found, format!("{at}.{field}"), message);
        }
    }
    let is_address = |text: &str| text.contains('@') && !text.contains("{{");
    for (i, receiver) in route.receivers.iter().enumerate() {
        let mut check = |is_good: bool, field: &str, message: &str| {
            if !is_good {
                add(found, format!("{at}.receivers[{i}].{field}"), message);
            }
        };
        if let Some(Slack { channel, .. }) = &receiver.slack {
            let message = "the channel is plain text: Alertmanager would take {{ for a template, and send nothing if it cannot read it";
            check(!channel.contains("{{"), "slack.channel", message);
        }
        if let Some(email) = &receiver.email {
            let message = "not an address: write for example shop@example.com";
            check(is_address(&email.to), "email.to", message);
            check(is_address(&email.from), "email.from", message);
            let message = "not a mail server: write host:port, for example mail.example.com:587";
            let is_host = matches(&SMARTHOST, &email.smarthost);
            check(is_host, "email.smarthost", message);
        }
    }
}

// As in route.rs, there in CEL.
pattern!(
    SMARTHOST,
    r"\A([-._a-zA-Z0-9]+|\[[:.0-9a-fA-F]+\]):[0-9]{1,5}\z"
);

fn add(found: &mut Vec<InvalidField>, field: String, message: impl Into<String>) {
    found.push(InvalidField {
        field,
        message: message.into(),
    });
}

fn labels(at: &str, labels: &BTreeMap<String, String>, found: &mut Vec<InvalidField>) {
    if labels.len() > 16 {
        add(
            found,
            at.to_owned(),
            format!("has {} entries, the most is 16", labels.len()),
        );
    }
    for (name, value) in labels {
        if name.len() > 128 || value.is_empty() || value.chars().count() > 256 {
            add(
                found,
                at.to_owned(),
                format!("{name}: write a name of at most 128 characters, and a value of 1 to 256"),
            );
        }
        if value.contains("{{") {
            add(
                found,
                at.to_owned(),
                format!(
                    "{name}: labels of alerts are plain text: Prometheus would take {{{{ for a template and refuse all rules if it cannot read it"
                ),
            );
        }
        if TAKEN.contains(&name.as_str()) {
            add(
                found,
                at.to_owned(),
                format!("{name} is a label that the alerts have already: choose another name"),
            );
        } else if !is_label(name) {
            add(
                found,
                at.to_owned(),
                format!("{name:?} is not a label that Prometheus takes: use letters, digits and _"),
            );
        }
    }
}

fn is_label(name: &str) -> bool {
    !name.starts_with("__") && is_label_name(name)
}

fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn number_within(
    field: String,
    text: &str,
    allowed: Option<&Threshold>,
    id: &str,
    found: &mut Vec<InvalidField>,
) {
    let Some(allowed) = allowed else {
        return add(found, field, format!("{id} has no such number: remove it"));
    };
    let Threshold {
        default,
        unit,
        least,
        most,
    } = allowed;
    match number(Some(text)) {
        Some(value) if (*least..=*most).contains(&value) => {}
        Some(_) => add(
            found,
            field,
            format!("{text} is out of range: write a number from {least} to {most} ({unit})"),
        ),
        None => add(
            found,
            field,
            format!("{text:?} is not a number: write for example \"{default}\" ({unit})"),
        ),
    }
}

/// The ids that begin alike.
fn nearest(id: &str) -> String {
    let alike = |known: &str| {
        known
            .bytes()
            .zip(id.bytes())
            .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
            .count()
    };
    let best = catalogue::alerts().max_by_key(|alert| alike(&alert.id));
    best.filter(|best| alike(&best.id) >= 6)
        .map_or_else(String::new, |best| format!("; did you mean {}?", best.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(alerts: &str) -> Vec<String> {
        let alerts: Alerts = serde_saphyr::from_str(alerts).unwrap();
        validate(&alerts)
            .into_iter()
            .map(|invalid| invalid.to_string())
            .collect()
    }

    #[test]
    fn what_is_wrong_is_named_with_a_way_out() {
        let found = fields(
            "{labels: {severity: high, 'a-b': c, function_name: pay, tier: '{{ x', team: ''}, matchers: {cluster: '{{'}, overrides: {LambdaErrorRateHihg: {threshold: '0.1'}, \
             LambdaErrorRateHigh: {threshold: '2', minimum: 'many', for: 48h}, LambdaRuntimeDeprecated: {threshold: '1'}}}",
        );
        let expected = [
            ("spec.alerts.labels", "a-b"),
            ("spec.alerts.labels", "function_name is a label"),
            ("spec.alerts.labels", "severity is a label"),
            ("spec.alerts.labels", "team: write a name"),
            ("spec.alerts.labels", "tier: labels of alerts are plain"),
            (
                "spec.alerts.matchers",
                "cluster: labels of alerts are plain",
            ),
            (
                "spec.alerts.overrides.LambdaErrorRateHigh.threshold",
                "from 0.0001 to 1",
            ),
            (
                "spec.alerts.overrides.LambdaErrorRateHigh.minimum",
                "not a number",
            ),
            ("spec.alerts.overrides.LambdaErrorRateHigh.for", "24h"),
            (
                "spec.alerts.overrides.LambdaErrorRateHihg",
                "did you mean LambdaErrorRateHigh?",
            ),
            (
                "spec.alerts.overrides.LambdaRuntimeDeprecated.threshold",
                "remove it",
            ),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, (field, says)) in found.iter().zip(expected) {
            assert!(found.starts_with(field) && found.contains(says), "{found}");
        }
        assert!(fields("{labels: {team: shop}, overrides: {LambdaErrorRateHigh: {threshold: '0.02', severity: critical, for: 0s, enabled: false}}}").is_empty());
    }
}
