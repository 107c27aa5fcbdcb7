//! Objectives as multi-window, multi-burn-rate rules, after the Site Reliability Workbook, chapter 5.
//!
//! The budget is the share that may be bad. At a burn rate of 1 it is used up just at the end of the
//! objective's window. An alert fires when the budget burns too fast over a long range and, so that
//! it ends soon after the trouble, over a twelfth of it as well. The Workbook's ranges are those of 30
//! days; for other windows they are as long in proportion, so that each alert stands for the same share
//! of the budget.
//!
//! Ratios over long ranges are sums of recorded rates, bad ones over all: each request weighs the
//! same, however unevenly they come, and a range of days costs two series.

use super::latency;
use crate::api::objective::{ApiIndicator, Indicator, Objective};
use crate::api::{Duration, ServerlessStack};

/// Rates are recorded as often, in seconds.
pub const RECORDED_SECONDS: u32 = 60;

/// What is recorded of objectives, and what it is: these rules are made for each, and not in the catalogue.
pub const RECORDINGS: [(&str, &str); 5] = [
    (
        "objective:nightjar_errors:rate",
        "Bad requests of what an objective is about, a second; of latency those that took too long.",
    ),
    (
        "objective:nightjar_requests:rate",
        "All its requests, a second; of latency those of which something tells how long they took.",
    ),
    (
        "objective:nightjar_errors:ratio",
        "Share of its requests that were bad, over the time that the label `range` names. Absent while there were none.",
    ),
    (
        "objective:nightjar_error_budget:ratio",
        "Share of its requests that may be bad: 0.001 where the target is 99.9 %.",
    ),
    (
        "objective:nightjar_error_budget:remaining",
        "Share of its budget that is left over its window: 1 is all of it, below 0 the objective is missed.",
    ),
];

/// One line of the Workbook's table: the long range in hours for 30 days, and the burn rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burn {
    /// So many times as fast as the budget lasts.
    pub rate: f64,
    /// The long range in seconds.
    pub long: u32,
    /// The short range in seconds.
    pub short: u32,
}

const WORKBOOK: [(f64, u32); 4] = [(14.4, 1), (6.0, 6), (3.0, 24), (1.0, 72)];

/// What an objective's expressions are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Expressions {
    /// Bad requests a second.
    pub bad: String,
    /// All requests a second; of latency those of which something tells how long they took.
    pub all: String,
    /// The service that counts them, to wait for while it catches up; all for the whole stack.
    pub service: Option<&'static str>,
}

/// The four burn rates of an objective.
pub fn burns(objective: &Objective, shortest_seconds: u32) -> [Burn; 4] {
    let days = days(&objective.window);
    WORKBOOK.map(|(rate, hours)| {
        // Whole minutes.
        let long = (hours * 60 * days).div_ceil(30) * 60;
        let long = long.max(2 * shortest_seconds);
        let short = (long / 12).div_ceil(60) * 60;
        Burn {
            rate,
            long,
            short: short.max(shortest_seconds),
        }
    })
}

/// Whether the budget can burn as fast at all: not if that was more than all requests.
pub fn can_burn(objective: &Objective, rate: f64) -> bool {
    budget(objective).is_some_and(|budget| budget * rate < 1.0)
}

/// The days of a window as people write it; 30 for what is none, which validation refuses.
pub fn days(window: &str) -> u32 {
    window
        .strip_suffix('d')
        .and_then(|days| days.parse().ok())
        .unwrap_or(30)
}

/// The share that may be bad.
pub fn budget(objective: &Objective) -> Option<f64> {
    let target: f64 = objective.target.parse().ok()?;
    // Without the noise of binary fractions: 0.001, not 0.0010000000000000009.
    let budget = ((100.0 - target) * 1e8).round() / 1e10;
    (budget > 0.0).then_some(budget)
}

/// Seconds of `500ms` or `2s`.
pub fn seconds(text: &str) -> Option<f64> {
    match text.strip_suffix("ms") {
        Some(number) => Some(number.parse::<f64>().ok()? / 1e3),
        None => text.strip_suffix('s')?.parse().ok(),
    }
}

/// How an objective is counted. None if the stack publishes nothing to count it by.
pub fn expressions(
    objective: &Objective,
    stack: &ServerlessStack,
    matchers: &str,
    window: Duration,
) -> Option<Expressions> {
    let Indicator {
        function,
        api,
        table,
        stack: whole,
    } = &objective.of;
    let rate =
        |metric: &str, more: &str| format!("sum(rate({metric}{{{matchers}{more}}}[{window}]))");
    // A sum of nothing is absent; a metric that is not there counts nothing.
    let or_none = |expr: String| format!("({expr} or vector(0))");
    let functions = |more: &str| {
        let throttled = or_none(rate("aws_lambda_throttles_total", more));
        (
            format!(
                "({} + {throttled})",
                or_none(rate("aws_lambda_errors_total", more))
            ),
            format!(
                "({} + {throttled})",
                rate("aws_lambda_invocations_total", more)
            ),
        )
    };
    let apis = |more: &str| {
        (
            or_none(rate(
                "aws_apigateway_errors_total",
                &format!("{more},code_class=\"5xx\""),
            )),
            rate("aws_apigateway_requests_total", more),
        )
    };
    let (family, more, service) = match (function, api, table, whole) {
        (Some(name), None, None, None) => (
            "aws_lambda_duration_seconds",
            format!(",function_name=\"{}\"", escaped(name)),
            Some("lambda"),
        ),
        (None, Some(ApiIndicator { name, stage }), None, None) => {
            let mut more = format!(",api_name=\"{}\"", escaped(name));
            if let Some(stage) = stage {
                more = format!("{more},stage=\"{}\"", escaped(stage));
            }
            (
                "aws_apigateway_request_duration_seconds",
                more,
                Some("apigateway"),
            )
        }
        (None, None, Some(name), None) => (
            "aws_dynamodb_request_duration_seconds",
            format!(",table_name=\"{}\"", escaped(name)),
            Some("dynamodb"),
        ),
        (None, None, None, Some(_)) => ("", String::new(), None),
        _ => return None,
    };
    if objective.latency_below.is_some() {
        service?;
        let judges = latency::judges(objective, &stack.spec.latency)?;
        let selector = format!("{matchers}{more}");
        return Some(judges.expressions(family, &selector, window, service));
    }
    let (bad, all) = match service {
        Some("lambda") => functions(&more),
        Some("apigateway") => apis(&more),
        Some(_) => {
            let bad = format!(
                "({} + {})",
                or_none(rate("aws_dynamodb_system_errors_total", &more)),
                or_none(rate("aws_dynamodb_throttled_requests_total", &more))
            );
            let good = rate("aws_dynamodb_request_duration_seconds_count", &more);
            (bad.clone(), format!("({good} + {bad})"))
        }
        None => {
            let ((bad, all), (bad_api, all_api)) = (functions(""), apis(""));
            (
                format!("({bad} + {bad_api})"),
                format!("({} + {} > 0)", or_none(all), or_none(all_api)),
            )
        }
    };
    Some(Expressions { bad, all, service })
}

/// The labels by which alerts about the objective's resource know it. None of the whole stack.
pub fn resource(objective: &Objective) -> Vec<(&'static str, &str)> {
    let Indicator {
        function,
        api,
        table,
        stack: _,
    } = &objective.of;
    let stage = api.as_ref().and_then(|api| api.stage.as_deref());
    [
        ("function_name", function.as_deref()),
        ("table_name", table.as_deref()),
        ("api_name", api.as_ref().map(|api| api.name.as_str())),
        ("stage", stage),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// What the objective counts as bad, for people: of latency, what judges it.
pub fn judged_by(objective: &Objective, stack: &ServerlessStack) -> Option<String> {
    if objective.latency_below.is_none() {
        return Some("Bad are requests that fail or are refused.".to_owned());
    }
    Some(latency::judges(objective, &stack.spec.latency)?.text(objective))
}

fn escaped(value: &str) -> String {
    super::render::escaped(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(target: &str, window: &str) -> Objective {
        Objective {
            target: target.to_owned(),
            window: window.to_owned(),
            ..Objective::default()
        }
    }

    #[test]
    fn ranges_are_those_of_the_workbook_and_scale_with_the_window() {
        let of = |window, shortest| {
            burns(&objective("99.9", window), shortest)
                .map(|burn| (burn.rate, burn.long / 60, burn.short / 60))
        };
        assert_eq!(
            of("30d", 300),
            [
                (14.4, 60, 5),
                (6.0, 360, 30),
                (3.0, 1440, 120),
                (1.0, 4320, 360)
            ]
        );
        assert_eq!(
            of("90d", 300),
            [
                (14.4, 180, 15),
                (6.0, 1080, 90),
                (3.0, 4320, 360),
                (1.0, 12_960, 1080)
            ]
        );
        // A poll of five minutes cannot judge five minutes.
        assert_eq!(of("30d", 780)[0], (14.4, 60, 13));
        assert_eq!(of("7d", 780)[0], (14.4, 26, 13));
    }

    #[test]
    fn a_budget_is_what_is_left_to_a_hundred() {
        assert_eq!(budget(&objective("99.9", "30d")), Some(0.001));
        assert_eq!(budget(&objective("95", "30d")), Some(0.05));
        assert_eq!(budget(&objective("100", "30d")), None);
        assert!(
            can_burn(&objective("93.1", "30d"), 14.4) && !can_burn(&objective("93", "30d"), 14.4)
        );
        assert!(can_burn(&objective("1", "30d"), 1.0));
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("2s"), Some(2.0));
        assert_eq!(seconds("2"), None);
    }
}
