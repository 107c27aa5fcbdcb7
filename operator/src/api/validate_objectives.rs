//! What is wrong with `spec.objectives`.

use std::collections::BTreeSet;

use super::objective::{ApiIndicator, Indicator, Objective};
use super::stack::ServerlessStackSpec;
use super::validate::InvalidField;
use crate::rules::latency;
use crate::rules::objectives::{budget, seconds};

/// All that is wrong, in the order of the list.
pub fn validate(spec: &ServerlessStackSpec) -> Vec<InvalidField> {
    let objectives = &spec.objectives;
    let mut found = Vec::new();
    let mut add = |field: String, message: &str| {
        found.push(InvalidField {
            field,
            message: message.to_owned(),
        });
    };
    if objectives.len() > 32 {
        add("spec.objectives".to_owned(), "the most is 32 objectives");
    }
    let mut names = BTreeSet::new();
    for (i, objective) in objectives.iter().enumerate() {
        let at = format!("spec.objectives[{i}]");
        let Objective {
            name,
            target,
            window,
            of,
            latency_below,
        } = objective;
        if !is_name(name) {
            add(
                format!("{at}.name"),
                "begin with a letter, use lower-case letters, digits and hyphens, at most 63",
            );
        }
        if !names.insert(name) {
            add(
                format!("{at}.name"),
                "there are two of this name: rename one",
            );
        }
        let plain = target.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let share = target.parse::<f64>().is_ok_and(|share| share >= 1.0);
        if !plain || !share || target.len() > 9 || budget(objective).is_none() {
            add(
                format!("{at}.target"),
                "not a share in percent: write a decimal string from \"1\" to \"99.999999\", for example \"99.9\"",
            );
        }
        let days = window
            .strip_suffix('d')
            .and_then(|days| days.parse::<u32>().ok());
        if !days.is_some_and(|days| (7..=90).contains(&days)) || window.starts_with(['+', '0']) {
            add(
                format!("{at}.window"),
                "not a window: write a number of days from 7d to 90d, for example 30d",
            );
        }
        let Indicator {
            function,
            api,
            table,
            stack,
        } = of;
        let kinds = [
            function.is_some(),
            api.is_some(),
            table.is_some(),
            stack.is_some(),
        ];
        if kinds.iter().filter(|named| **named).count() != 1 {
            add(
                format!("{at}.of"),
                "write exactly one of function, api, table, stack",
            );
        }
        for (kind, service, field) in [
            (function.is_some(), "lambda", "function"),
            (api.is_some(), "apigateway", "api"),
            (table.is_some(), "dynamodb", "table"),
        ] {
            if kind && !spec.services.is_empty() && !spec.services.contains_key(service) {
                add(
                    format!("{at}.of.{field}"),
                    "spec.services leaves its service out: add it there, or remove the objective",
                );
            }
        }
        let stage = |api: &ApiIndicator| (Some(api.name.clone()), api.stage.clone());
        let (api, stage) = api.as_ref().map(stage).unwrap_or_default();
        for (field, value, most) in [
            ("function", function, 64),
            ("api.name", &api, 255),
            ("api.stage", &stage, 128),
            ("table", table, 255),
        ] {
            if value
                .as_ref()
                .is_some_and(|value| !(1..=most).contains(&value.chars().count()))
            {
                add(
                    format!("{at}.of.{field}"),
                    "write a name of AWS's, which is neither empty nor that long",
                );
            }
        }
        if let Some(below) = latency_below {
            if !seconds(below).is_some_and(|seconds| seconds > 0.0)
                || below.contains(['+', '-', '.', 'e', 'E'])
            {
                add(
                    format!("{at}.latencyBelow"),
                    "not a latency: write for example 500ms or 2s",
                );
            }
            if latency::judges(objective, &spec.latency).is_none() {
                add(
                    format!("{at}.latencyBelow"),
                    "nothing is published to judge it by: add a bound that is not above it to spec.latency.histograms.bounds, or the target's quantile to spec.latency.quantiles",
                );
            }
            if stack.is_some() {
                add(
                    format!("{at}.latencyBelow"),
                    "a whole stack has no latency: name a function, an API or a table",
                );
            }
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
