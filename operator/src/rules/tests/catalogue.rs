//! Each alert by itself and in its relation to those that it hides.

use std::collections::BTreeSet;

use regex::Regex;

use super::{rendered, rule};
use crate::api::Duration;
use crate::rules::catalogue::{Range, Severity, alerts};

#[test]
fn an_alert_hides_only_what_is_not_more_urgent() {
    let severity = |id: &str| alerts().find(|alert| alert.id == id).unwrap().severity;
    for alert in alerts() {
        for consequence in &alert.inhibits {
            // Critical is the first of them.
            assert!(
                severity(consequence) >= alert.severity,
                "{} hides {consequence}",
                alert.id
            );
        }
    }
    assert!(Severity::Critical < Severity::Info);
}

#[test]
fn what_is_held_on_to_is_hidden_only_by_what_is_held_longer() {
    for alert in alerts() {
        for hidden in alert.hides().filter(|hidden| hidden.holds) {
            assert!(
                alert.windows_held() > hidden.windows_held(),
                "{} ends before {}",
                alert.id,
                hidden.id
            );
        }
    }
    let groups = rendered("services: {}");
    let kept = |id| rule(&groups, id).unwrap().keep_firing_for;
    assert_eq!(
        [
            "LambdaAsyncEventsDropped",
            "LambdaErrorRateCritical",
            "LambdaErrorRateHigh"
        ]
        .map(kept),
        [
            Some(Duration::from_secs(2 * 780)),
            Some(Duration::from_secs(780)),
            None
        ]
    );
}

#[test]
fn every_alert_is_complete_and_within_its_own_bounds() {
    let mut ids = BTreeSet::new();
    let id = Regex::new("^(Lambda|DynamoDb|Api|Nightjar|Objective)[A-Z][A-Za-z]+$").unwrap();
    for alert in alerts() {
        assert!(ids.insert(&alert.id), "{} is there twice", alert.id);
        assert!(id.is_match(&alert.id), "{}", alert.id);
        for (name, threshold) in [("threshold", &alert.threshold), ("minimum", &alert.minimum)] {
            assert_eq!(
                alert.expr.contains(&format!("${{{name}}}"))
                    || (name == "threshold" && alert.expr.contains("${deprecated_soon}"))
                    || (name == "minimum" && alert.expr.starts_with("${burns_")),
                threshold.is_some(),
                "{}: {name}",
                alert.id
            );
            if let Some(threshold) = threshold {
                assert!(
                    (threshold.least..=threshold.most).contains(&threshold.default),
                    "{}: {name}",
                    alert.id
                );
            }
        }
        let named = |range: &Range| alert.expr.contains(&format!("${{{}}}", range.as_str()));
        let longest = Range::ALL.into_iter().rfind(named);
        assert_eq!(
            alert.range, longest,
            "{}: its range is not the longest in its expression",
            alert.id
        );
        let texts = [
            &alert.runbook.meaning,
            &alert.runbook.impact,
            &alert.runbook.silence,
            &alert.source,
        ];
        assert!(texts.iter().all(|text| text.len() >= 5), "{}", alert.id);
        assert!(
            !alert.runbook.fix.is_empty() && !alert.runbook.look.is_empty(),
            "{}",
            alert.id
        );
    }
    for alert in alerts() {
        for consequence in &alert.inhibits {
            assert!(ids.contains(consequence), "{}: {consequence}", alert.id);
        }
    }
}
