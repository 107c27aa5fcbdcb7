//! Who is told: a stack's route as an AlertmanagerConfig, and as a file for a plain Alertmanager.
//!
//! Both are the same tree. The Prometheus operator adds the matcher on `namespace` to an
//! AlertmanagerConfig itself; the file has it written out.

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::{Value, json};

use super::Severity;
use super::catalogue::{Alert, alerts, rooms};
use crate::api::ServerlessStack;
use crate::api::route::{Email, Receiver, Route};
use crate::api::stack::SecretKeyRef;

/// The labels that single out a resource: alerts that agree in them are about the same one.
const RESOURCE: [&str; 9] = [
    "namespace",
    "stack",
    "account_id",
    "region",
    "function_name",
    "table_name",
    "api_id",
    "stage",
    "aws_service",
];

/// The labels by which an objective and an alert agree that they are about the same thing. What has none of them is
/// about the whole stack.
const OBJECTIVE: [&str; 6] = [
    "namespace",
    "stack",
    "function_name",
    "table_name",
    "api_name",
    "stage",
];

/// The receiver of what nobody is told.
const NOBODY: &str = "none";

/// A rule by which one alert silences others.
struct Inhibition {
    /// Name, value, and whether it is a regular expression.
    source: Vec<(&'static str, String, bool)>,
    target: Vec<(&'static str, String, bool)>,
    equal: Vec<String>,
}

/// The alerts that stacks have.
fn of_stacks() -> impl Iterator<Item = &'static Alert> {
    let rooms = rooms().iter();
    rooms
        .filter(|room| room.service != super::operator::SERVICE)
        .flat_map(|room| &room.alerts)
}

fn inhibitions() -> Vec<Inhibition> {
    let resource = || RESOURCE.map(str::to_owned).to_vec();
    let mut same_cause = resource();
    same_cause.push("cause".to_owned());
    same_cause.push("objective".to_owned());
    let mut all = vec![
        Inhibition {
            source: vec![("severity", "critical".to_owned(), false)],
            target: vec![("severity", "warning|info".to_owned(), true)],
            equal: same_cause.clone(),
        },
        Inhibition {
            source: vec![("severity", "warning".to_owned(), false)],
            target: vec![("severity", "info".to_owned(), false)],
            equal: same_cause,
        },
    ];
    // What makes an objective burn is told, not the objective; a page about an objective, not the tickets that explain it.
    let burning = |severities: &[Severity]| {
        let burns = alerts().filter(|alert| alert.burns && severities.contains(&alert.severity));
        burns
            .map(|alert| alert.id.as_str())
            .collect::<Vec<_>>()
            .join("|")
    };
    let lesser = burning(&[Severity::Warning, Severity::Info]);
    for (source, target) in [
        (
            burning(&[Severity::Critical]),
            "ObjectiveBurnsFast|ObjectiveBurnsSlowly".to_owned(),
        ),
        (
            burning(&[Severity::Warning]),
            "ObjectiveBurnsSlowly".to_owned(),
        ),
        ("ObjectiveBurnsFast".to_owned(), lesser),
    ] {
        all.push(Inhibition {
            source: vec![("alertname", source, true)],
            target: vec![("alertname", target, true)],
            equal: OBJECTIVE.map(str::to_owned).to_vec(),
        });
    }
    for Alert {
        id,
        inhibits,
        equal,
        ..
    } in of_stacks().filter(|alert| !alert.inhibits.is_empty())
    {
        all.push(Inhibition {
            source: vec![("alertname", id.clone(), false)],
            target: vec![("alertname", inhibits.join("|"), true)],
            equal: if equal.is_empty() {
                resource()
            } else {
                equal.clone()
            },
        });
    }
    all
}

/// The `spec` of an AlertmanagerConfig of `monitoring.coreos.com/v1alpha1`.
pub fn alertmanager_config(stack: &ServerlessStack, route: &Route) -> Value {
    let matcher = |name: &str, value: &str, regex: bool| json!({"name": name, "value": value, "matchType": if regex { "=~" } else { "=" }});
    let mute = muted(route);
    let routes: Vec<Value> = severities(route)
        .map(|(severity, receiver)| {
            let mut route = json!({"receiver": receiver, "matchers": [matcher("severity", severity.as_str(), false)]});
            if severity != Severity::Critical && !mute.is_empty() {
                route["muteTimeIntervals"] = json!(names(&mute));
            }
            route
        })
        .collect();
    let receivers = route.receivers.iter().map(|receiver| {
        let Receiver { name, slack, pager_duty, opsgenie, webhook, email } = receiver;
        let secret = |secret: &SecretKeyRef| json!({"name": secret.name, "key": secret.key});
        let mut out = json!({"name": name});
        if let Some(slack) = slack {
            out["slackConfigs"] = json!([{
                "apiURL": secret(&slack.url_secret_ref), "channel": slack.channel, "sendResolved": true, "title": TITLE, "text": TEXT,
            }]);
        }
        if let Some(pager) = pager_duty {
            out["pagerdutyConfigs"] = json!([{"routingKey": secret(&pager.routing_key_secret_ref), "sendResolved": true, "description": TITLE}]);
        }
        if let Some(opsgenie) = opsgenie {
            out["opsgenieConfigs"] = json!([{"apiKey": secret(&opsgenie.api_key_secret_ref), "sendResolved": true, "message": TITLE, "description": TEXT}]);
        }
        if let Some(webhook) = webhook {
            out["webhookConfigs"] = json!([{"urlSecret": secret(&webhook.url_secret_ref), "sendResolved": true}]);
        }
        if let Some(Email { to, from, smarthost, username, password_secret_ref }) = email {
            let mut mail = json!({"to": to, "from": from, "smarthost": smarthost, "sendResolved": true});
            if let Some(username) = username {
                mail["authUsername"] = json!(username);
            }
            if let Some(password) = password_secret_ref {
                mail["authPassword"] = secret(password);
            }
            out["emailConfigs"] = json!([mail]);
        }
        out
    });
    let inhibit: Vec<Value> = inhibitions()
        .into_iter()
        .map(
            |Inhibition {
                 source,
                 target,
                 equal,
             }| {
                let mut source: Vec<Value> = source
                    .iter()
                    .map(|(name, value, regex)| matcher(name, value, *regex))
                    .collect();
                source.push(matcher("stack", &stack.name_any(), false));
                let target: Vec<Value> = target
                    .iter()
                    .map(|(name, value, regex)| matcher(name, value, *regex))
                    .collect();
                json!({"sourceMatch": source, "targetMatch": target, "equal": equal})
            },
        )
        .collect();
    let mut spec = json!({
        "route": {
            "receiver": NOBODY,
            "matchers": [matcher("stack", &stack.name_any(), false)],
            "groupBy": route.group_by,
            "groupWait": route.group_wait, "groupInterval": route.group_interval, "repeatInterval": route.repeat_interval,
            "routes": routes,
        },
        "receivers": std::iter::once(json!({"name": NOBODY})).chain(receivers).collect::<Vec<_>>(),
        "inhibitRules": inhibit,
    });
    if !mute.is_empty() {
        spec["muteTimeIntervals"] = mute
            .iter()
            .map(|(name, mute)| {
                let mut interval = json!({"times": [{"startTime": mute.from, "endTime": mute.to}]});
                if !mute.days.is_empty() {
                    interval["weekdays"] = json!(mute.days);
                }
                json!({"name": name, "timeIntervals": [interval]})
            })
            .collect();
    }
    spec
}

/// The same as a file of Alertmanager's. Secrets are files, where an Alertmanager of the Prometheus
/// operator's mounts them when its `spec.secrets` names them.
pub fn alertmanager_file(stack: &ServerlessStack, route: &Route) -> Value {
    let (name, namespace) = (stack.name_any(), stack.namespace());
    let own = |receiver: &str| match &namespace {
        Some(namespace) => format!("{namespace}/{name}/{receiver}"),
        None => format!("{name}/{receiver}"),
    };
    let mut matchers = vec![format!("stack=\"{name}\"")];
    matchers.extend(
        namespace
            .iter()
            .map(|namespace| format!("namespace=\"{namespace}\"")),
    );
    let mute = muted(route);
    let routes: Vec<Value> = severities(route)
        .map(|(severity, receiver)| {
            let mut route = json!({"receiver": own(receiver), "matchers": [format!("severity=\"{severity}\"")]});
            if severity != Severity::Critical && !mute.is_empty() {
                route["mute_time_intervals"] = names(&mute).iter().map(|name| own(name)).collect();
            }
            route
        })
        .collect();
    let file =
        |secret: &SecretKeyRef| format!("/etc/alertmanager/secrets/{}/{}", secret.name, secret.key);
    let receivers = route.receivers.iter().map(|receiver| {
        let Receiver { name, slack, pager_duty, opsgenie, webhook, email } = receiver;
        let mut out = json!({"name": own(name)});
        if let Some(slack) = slack {
            out["slack_configs"] = json!([{
                "api_url_file": file(&slack.url_secret_ref), "channel": slack.channel, "send_resolved": true, "title": TITLE, "text": TEXT,
            }]);
        }
        if let Some(pager) = pager_duty {
            out["pagerduty_configs"] = json!([{"routing_key_file": file(&pager.routing_key_secret_ref), "send_resolved": true, "description": TITLE}]);
        }
        if let Some(opsgenie) = opsgenie {
            out["opsgenie_configs"] = json!([{"api_key_file": file(&opsgenie.api_key_secret_ref), "send_resolved": true, "message": TITLE, "description": TEXT}]);
        }
        if let Some(webhook) = webhook {
            out["webhook_configs"] = json!([{"url_file": file(&webhook.url_secret_ref), "send_resolved": true}]);
        }
        if let Some(Email { to, from, smarthost, username, password_secret_ref }) = email {
            let mut mail = json!({"to": to, "from": from, "smarthost": smarthost, "send_resolved": true});
            if let Some(username) = username {
                mail["auth_username"] = json!(username);
            }
            if let Some(password) = password_secret_ref {
                mail["auth_password_file"] = json!(file(password));
            }
            out["email_configs"] = json!([mail]);
        }
        out
    });
    let inhibit: Vec<Value> = inhibitions()
        .into_iter()
        .map(
            |Inhibition {
                 source,
                 target,
                 equal,
             }| {
                let written = |matched: &[(&str, String, bool)]| {
                    let own = matched.iter().map(|(name, value, regex)| {
                        format!("{name}{}\"{value}\"", if *regex { "=~" } else { "=" })
                    });
                    own.chain(matchers.clone()).collect::<Vec<_>>()
                };
                let (source, target) = (written(&source), written(&target));
                json!({"source_matchers": source, "target_matchers": target, "equal": equal})
            },
        )
        .collect();
    let mut config = json!({
        "route": {
            "receiver": own(NOBODY),
            "routes": [{
                "receiver": own(NOBODY), "matchers": matchers,
                "group_by": route.group_by,
                "group_wait": route.group_wait, "group_interval": route.group_interval, "repeat_interval": route.repeat_interval,
                "routes": routes,
            }],
        },
        "receivers": std::iter::once(json!({"name": own(NOBODY)})).chain(receivers).collect::<Vec<_>>(),
        "inhibit_rules": inhibit,
    });
    if !mute.is_empty() {
        config["time_intervals"] = mute
            .iter()
            .map(|(name, mute)| {
                let mut interval =
                    json!({"times": [{"start_time": mute.from, "end_time": mute.to}]});
                if !mute.days.is_empty() {
                    interval["weekdays"] = json!(mute.days);
                }
                json!({"name": own(name), "time_intervals": [interval]})
            })
            .collect();
    }
    config
}

/// The severities that somebody is told of.
fn severities(route: &Route) -> impl Iterator<Item = (Severity, &str)> {
    [Severity::Critical, Severity::Warning, Severity::Info]
        .into_iter()
        .filter_map(|severity| Some((severity, route.receiver(severity)?)))
}

fn muted(route: &Route) -> Vec<(String, &crate::api::route::Mute)> {
    let numbered = route.mute.iter().enumerate();
    numbered
        .map(|(i, mute)| (format!("mute-{i}"), mute))
        .collect()
}

fn names(mute: &[(String, &crate::api::route::Mute)]) -> Vec<String> {
    mute.iter().map(|(name, _)| name.clone()).collect()
}

const TITLE: &str = "[{{ .Status | toUpper }}] {{ .CommonLabels.namespace }}/{{ .CommonLabels.stack }}: {{ (index .Alerts 0).Annotations.summary }}{{ if gt (len .Alerts) 1 }} and {{ len (slice .Alerts 1) }} more{{ end }}";
const TEXT: &str = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}{{ if .Annotations.runbook_url }}\n{{ .Annotations.runbook_url }}{{ end }}\n\n{{ end }}";

/// What is wrong with a route beyond what a schema can say.
pub fn validate(route: &Route) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (i, receiver) in route.receivers.iter().enumerate() {
        let Receiver {
            name,
            slack,
            pager_duty,
            opsgenie,
            webhook,
            email,
        } = receiver;
        if !names.insert(name.as_str()) {
            found.push((
                format!("receivers[{i}].name"),
                "there are two of this name: rename one".to_owned(),
            ));
        }
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
            || name.ends_with('-')
            || name == NOBODY
            || name.len() > 63
        {
            found.push((
                format!("receivers[{i}].name"),
                "begin with a letter, use lower-case letters, digits and hyphens; none is taken"
                    .to_owned(),
            ));
        }
        if slack.is_none()
            && pager_duty.is_none()
            && opsgenie.is_none()
            && webhook.is_none()
            && email.is_none()
        {
            found.push((
                format!("receivers[{i}]"),
                "a receiver has at least one of slack, pagerDuty, opsgenie, webhook, email"
                    .to_owned(),
            ));
        }
    }
    for (severity, receiver) in severities(route) {
        if !names.contains(receiver) {
            found.push((
                severity.to_string(),
                format!("there is no receiver {receiver:?} in receivers"),
            ));
        }
    }
    for (i, mute) in route.mute.iter().enumerate() {
        if mute.from >= mute.to {
            found.push((
                format!("mute[{i}].to"),
                "write a time later than from; for a night write two entries, one until 24:00 and one from 00:00".to_owned(),
            ));
        }
    }
    found
}
