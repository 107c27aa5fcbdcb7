//! What holds for the rules of every stack: here the stacks, as the rules are rendered for them; in the modules what must be
//! so of the catalogue, of rendering, of labels, of objectives, of routes and of dashboards.

mod catalogue;
mod dashboards;
mod labels;
mod objectives;
mod rendering;
mod route;

use super::operator;
use super::render::{Context, Group, Rule, groups};
use crate::api::{Duration, ServerlessStack};

fn stack(spec: &str) -> ServerlessStack {
    let text = format!(
        "{{apiVersion: nightjar.dev/v1alpha1, kind: ServerlessStack, metadata: {{name: checkout, namespace: shop}}, \
         spec: {{regions: [eu-west-1], select: [{{tags: {{app: checkout}}}}], {spec}}}}}"
    );
    let stack = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(crate::api::validate::validate(&stack), []);
    stack
}

/// A stack with one of everything.
const WHOLE: &str = "objectives: [{name: pay, target: '99.9', of: {function: pay}}, {name: all, target: '99', of: {stack: {}}}, \
     {name: shop, target: '99.5', window: 7d, of: {api: {name: shop, stage: prod}}}, \
     {name: quick, target: '99', window: 90d, of: {table: orders}, latencyBelow: 20ms}], alerts: {labels: {team: shop}}, latency: {histograms: {}}, \
     collection: {budgetUsdPerMonth: '25'}, exporter: {shards: 2}";

/// The stack's rules and the operator's.
fn whole() -> Vec<Group> {
    let mut groups = rendered(WHOLE);
    groups.push(operator::group("shop", "https://example.com/"));
    groups
}

fn rendered(spec: &str) -> Vec<Group> {
    rendered_at(spec, stack(spec).spec.collection.interval())
}

/// With another interval in effect than the stack's own.
fn rendered_at(spec: &str, interval: Duration) -> Vec<Group> {
    groups(&Context::new(
        &stack(spec),
        interval,
        "https://example.com/",
    ))
}

fn rules(groups: &[Group]) -> impl Iterator<Item = &Rule> {
    groups.iter().flat_map(|group| &group.rules)
}

fn rule(groups: &[Group], id: &str) -> Option<Rule> {
    rules(groups)
        .find(|rule| rule.alert.as_deref() == Some(id))
        .cloned()
}
