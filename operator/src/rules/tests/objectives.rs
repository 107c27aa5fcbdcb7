//! What an objective says of how it is judged, and which objectives nothing could judge.

use super::{rendered, rule, stack};
use crate::api::ServerlessStack;
use crate::rules::latency;

#[test]
fn an_objective_of_latency_says_what_judges_it_and_what_would_judge_it_better() {
    let told = |target: &str, latency: &str| {
        let spec = format!(
            "objectives: [{{name: quick, target: '{target}', of: {{table: orders}}, latencyBelow: 20ms}}], latency: {{{latency}}}"
        );
        let text = rule(&rendered(&spec), "ObjectiveBurnsFast").unwrap();
        let text = text.annotations["description"].clone();
        (text, latency::notes(&stack(&spec)).join(", "))
    };
    let quantile =
        "quantile 0.99: bad are the requests of a poll in which 99 % of them were not within 20ms.";
    let histogram = "Judged by the histogram: bad are requests that took longer than";
    for (target, latency, judged, note) in [
        (
            "99",
            "",
            format!("Judged by {quantile}"),
            "set spec.latency.histograms to have each request counted",
        ),
        (
            "99.9",
            "",
            format!("Judged by {quantile}"),
            "counted, or add \"0.999\" to spec.latency.quantiles, which has none that reaches its target",
        ),
        (
            "99.9",
            "histograms: {bounds: ['0.02', '0.1']}",
            format!("{histogram} 0.02 s. Where there is none, by {quantile}"),
            "",
        ),
        (
            "99",
            "histograms: {bounds: ['0.019', '0.021']}, quantiles: []",
            format!(
                "{histogram} 0.019 s, the greatest bound of the histogram that is not above 20ms."
            ),
            "judged by the bound 0.019 of the histograms: add \"0.02\" to spec.latency.histograms.bounds",
        ),
        (
            "99",
            "histograms: {bounds: ['0.5']}",
            format!("Judged by {quantile}"),
            "add \"0.02\" to spec.latency.histograms.bounds, which has none that is as low",
        ),
    ] {
        let (text, told) = told(target, latency);
        assert!(text.ends_with(&judged), "{latency}: {text}");
        assert!(
            told.ends_with(note) && told.is_empty() == note.is_empty(),
            "{latency}: {told}"
        );
    }
}

#[test]
fn an_objective_that_nothing_could_judge_is_refused_by_name() {
    let text = "{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {name: a}, spec: {regions: [eu-west-1], \
         select: [{names: [a]}], latency: {quantiles: [], histograms: {bounds: ['2']}}, services: {lambda: {}}, \
         objectives: [{name: c, target: '99', of: {function: pay}, latencyBelow: 2s}, {name: a, target: '99', of: {function: pay}, latencyBelow: 1s}, {name: b, target: '99', of: {table: orders}}]}}";
    let stack: ServerlessStack = serde_saphyr::from_str(text).unwrap();
    let found = crate::api::validate::validate(&stack);
    let fields: Vec<&str> = found.iter().map(|invalid| &*invalid.field).collect();
    assert_eq!(
        fields,
        [
            "spec.objectives[1].latencyBelow",
            "spec.objectives[2].of.table"
        ]
    );
}

#[test]
fn the_name_of_what_an_objective_is_about_is_never_taken_for_a_template() {
    let groups = rendered("objectives: [{name: a, target: '99', of: {api: {name: '{{ shop'}}}]");
    assert_eq!(
        rule(&groups, "ObjectiveBurnsFast").unwrap().labels["api_name"],
        "{{`{{`}} shop"
    );
}

#[test]
fn a_budget_that_cannot_burn_so_fast_is_judged_at_the_slower_rates() {
    for (target, fast, slowly) in [
        ("99.9", "1h or 6h", "24h or 72h"),
        ("93.06", "1h or 6h", "24h or 72h"),
        ("93", "6h", "24h or 72h"),
        ("83.34", "6h", "24h or 72h"),
        ("83", "", "24h or 72h"),
        ("66.67", "", "24h or 72h"),
        ("66", "", "72h"),
        ("1", "", "72h"),
    ] {
        let groups = rendered(&format!(
            "objectives: [{{name: pay, target: '{target}', of: {{function: pay}}}}]"
        ));
        for (id, ranges) in [
            ("ObjectiveBurnsFast", fast),
            ("ObjectiveBurnsSlowly", slowly),
        ] {
            let Some(rule) = rule(&groups, id) else {
                assert_eq!(ranges, "", "{target}: {id}");
                continue;
            };
            let text = &rule.annotations["description"];
            assert!(
                text.starts_with(&format!("Over the last {ranges} the")),
                "{target}: {text}"
            );
            assert_eq!(
                rule.expr.contains(") or ("),
                ranges.contains(" or "),
                "{target}"
            );
            let most = rule.expr.split("\"} > ").skip(1);
            let most: Vec<f64> = most
                .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
                .collect();
            assert!(
                !most.is_empty() && most.iter().all(|most| *most < 1.0),
                "{target}: {most:?}"
            );
        }
    }
}
