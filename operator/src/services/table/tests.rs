//! The naming rules of families, and what each row of each table keeps.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::services::ServiceId;

fn families() -> Vec<&'static Family> {
    let mut families: Vec<_> = ServiceId::ALL
        .iter()
        .flat_map(|id| {
            let service = id.service();
            let rows = service
                .shapes
                .iter()
                .flat_map(|shape| shape.metrics.iter())
                .flat_map(Metric::families);
            rows.chain(service.facts.iter().copied())
        })
        .collect();
    families.sort_by_key(|family| family.name);
    families.dedup_by(|a, b| std::ptr::eq(*a, *b));
    families
}

#[test]
fn every_family_keeps_the_naming_rules_of_prometheus() {
    let mut seen = HashMap::new();
    for family in families() {
        assert!(
            seen.insert(family.name, family).is_none(),
            "two families are named {}",
            family.name
        );
        assert!(family.name.starts_with("aws_"), "{}", family.name);
        assert_eq!(
            family.name.ends_with("_total"),
            family.kind == FamilyKind::Counter,
            "{}",
            family.name
        );
        assert!(
            !family.name.contains("milli") && !family.name.ends_with("_ms"),
            "{}",
            family.name
        );
        assert!(
            family.help.len() > 20 && !family.help.contains('\n'),
            "{}",
            family.name
        );
    }
}

#[test]
fn every_row_fits_its_family_and_no_two_rows_are_the_same_series() {
    let mut seen = HashSet::new();
    let sets = ServiceId::ALL.iter().flat_map(|id| id.service().optional);
    let known: Vec<&str> = sets.map(|set| set.name).collect();
    for shape in ServiceId::ALL
        .iter()
        .flat_map(|id| id.service().shapes.iter().copied())
    {
        assert!(
            shape.optional.is_none_or(|set| known.contains(&set)),
            "{}",
            shape.name
        );
        assert!(shape.metrics.len() <= 64, "{}: a bit for each", shape.name);
        let named = shape
            .features
            .iter()
            .fold(Features::NONE, |all, (one, _)| all.and(*one));
        for metric in shape.metrics {
            assert!(
                named.contains(metric.needs),
                "{}: undocumented",
                metric.cloudwatch
            );
            let fits = match metric.kind {
                MetricKind::Counter => FamilyKind::Counter,
                MetricKind::Distribution => FamilyKind::Summary,
                MetricKind::Maximum | MetricKind::Average => FamilyKind::Gauge,
            };
            assert_eq!(metric.family.kind, fits, "{}", metric.cloudwatch);
            assert!(
                metric.histogram.is_none_or(|family| {
                    family.kind == FamilyKind::Histogram
                        && metric.kind == MetricKind::Distribution
                        && metric.unit == Unit::Milliseconds
                }),
                "{}: bounds are written in milliseconds",
                metric.cloudwatch
            );
            assert!(
                metric
                    .maximum
                    .is_none_or(|family| family.kind == FamilyKind::Gauge),
                "{}",
                metric.cloudwatch
            );
            let within = |pulse| {
                let pulse = shape.metrics.iter().find(|row| row.cloudwatch == pulse);
                pulse.is_some_and(|row| {
                    row.kind == MetricKind::Counter
                        && row.within.is_none()
                        && row.needs == Features::NONE
                        && row.period_minutes == metric.period_minutes
                })
            };
            assert!(metric.within.is_none_or(within), "{}", metric.cloudwatch);
            assert!(
                metric
                    .within
                    .is_none_or(|pulse| Some(pulse) == shape.pulse()),
                "{}: one pulse a shape",
                metric.cloudwatch
            );
            assert!(
                !metric.kind.counts() || metric.missing == Missing::Zero,
                "{} counts, so a minute without a datapoint adds nothing",
                metric.cloudwatch
            );
            assert!(
                seen.insert((shape.name, metric.family.name, metric.labels)),
                "{}",
                metric.cloudwatch
            );
        }
    }
}
