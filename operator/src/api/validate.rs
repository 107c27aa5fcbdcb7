//! The rules that the CRD's schema and CEL state, for a stack that never went through an API
//! server: a file given to `nightjar exporter`, or an object from before the rules.
//!
//! One table of bad stacks in the operator's tests holds both against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use kube::ResourceExt;
use regex::Regex;

use super::stack::{Account, Credentials, Selector, ServiceSettings, is_budget};
use super::validate_exporter::is_label_value;
use super::{Bound, Duration, ServerlessStack};
use crate::services::ServiceId;

/// A field that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Where, for example `spec.regions[0]`.
    pub field: String,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All that is wrong with a stack, in the order of its fields.
pub fn validate(stack: &ServerlessStack) -> Vec<InvalidField> {
    let mut found = Findings(Vec::new());
    let spec = &stack.spec;
    let name = stack.name_any();
    if name.len() > 43 || !matches(&NAME, &name) {
        found.add(
            "metadata.name",
            "Services and StatefulSets are named after the stack: begin with a letter, use lower-case letters, digits and hyphens, at most 43 characters",
        );
    }

    found.count(
        "spec.regions",
        spec.regions.len(),
        1..=32,
        "region, for example eu-west-1",
    );
    found.unique("spec.regions", &spec.regions);
    for (i, region) in spec.regions.iter().enumerate() {
        if !matches(&REGION, region) {
            found.add(
                format!("spec.regions[{i}]"),
                format!("unknown region {region:?}: write AWS's own code, for example eu-west-1 or us-east-1"),
            );
        }
    }
    found.count("spec.accounts", spec.accounts.len(), 0..=64, "account");
    for (i, account) in spec.accounts.iter().enumerate() {
        let at = format!("spec.accounts[{i}]");
        found.account(&at, account);
        if spec.accounts[..i]
            .iter()
            .any(|other| other.role_arn == account.role_arn)
        {
            found.add(
                at,
                "the account is there twice: remove one, or each of its series would be published twice",
            );
        }
    }
    found.credentials(&spec.credentials);
    found.count(
        "spec.select",
        spec.select.len(),
        1..=32,
        "selector, for example {tags: {app: checkout}}",
    );
    for (list, selectors) in [
        ("spec.select", &spec.select),
        ("spec.exclude", &spec.exclude),
    ] {
        for (i, selector) in selectors.iter().enumerate() {
            found.selector(&format!("{list}[{i}]"), selector);
        }
    }
    found.count("spec.exclude", spec.exclude.len(), 0..=32, "selector");
    found.count("spec.tags", spec.tags.len(), 0..=16, "tag");
    found.unique("spec.tags", &spec.tags);
    for (i, tag) in spec.tags.iter().enumerate() {
        found.length(format!("spec.tags[{i}]"), tag, 1..=128);
    }
    for (name, settings) in &spec.services {
        found.service(name, settings);
    }

    let quantiles = &spec.latency.quantiles;
    found.count("spec.latency.quantiles", quantiles.len(), 0..=8, "quantile");
    // 0.9 and 0.90 are one to Prometheus.
    let numbers = quantiles
        .iter()
        .map(|text| text.trim_end_matches('0').trim_end_matches('.').to_owned());
    found.unique("spec.latency.quantiles", &numbers.collect::<Vec<_>>());
    for quantile in quantiles {
        let is_zero = quantile
            .trim_start_matches("0.")
            .bytes()
            .all(|digit| digit == b'0');
        if !matches(&QUANTILE, quantile) || is_zero {
            found.add(
                "spec.latency.quantiles",
                format!(
                    "{quantile:?} is not a quantile: write decimal fractions between 0 and 1 as strings, for example \"0.99\""
                ),
            );
        }
    }

    if let Some(histograms) = &spec.latency.histograms {
        let (field, bounds) = ("spec.latency.histograms.bounds", &histograms.bounds);
        found.count(field, bounds.len(), 1..=20, "bound");
        found.unique(field, bounds);
        for bound in bounds.iter().filter(|bound| Bound::parse(bound).is_none()) {
            found.add(
                field,
                format!("{bound:?} is not a bound: write seconds above 0 and up to 900 as strings, for example \"0.25\""),
            );
        }
    }

    let collection = &spec.collection;
    found.duration("spec.collection.interval", collection.interval(), 60, 1200);
    found.duration(
        "spec.collection.discoveryInterval",
        collection.discovery_interval,
        60,
        3600,
    );
    if let Some(budget) = collection
        .budget_usd_per_month
        .as_deref()
        .filter(|budget| !is_budget(budget))
    {
        found.add(
            "spec.collection.budgetUsdPerMonth",
            format!("{budget:?} is not a budget: write US dollars above 0 as a string, with two decimals at most, for example \"25\""),
        );
    }
    if !(100..=10_000_000).contains(&collection.max_series) {
        found.add(
            "spec.collection.maxSeries",
            "write a number from 100 to 10000000",
        );
    }
    found.exporter(&spec.exporter);
    found.duration(
        "spec.monitoring.scrapeInterval",
        spec.monitoring.scrape_interval(),
        5,
        300,
    );
    found.qualified(
        "spec.monitoring.labels",
        &spec.monitoring.labels,
        "a label of a Kubernetes object: write for example release: kube-prometheus-stack",
        is_label_value,
    );
    found.0.extend(super::validate_objectives::validate(spec));
    found
        .0
        .extend(super::validate_alerts::validate(&spec.alerts));
    found.0
}

pub(super) struct Findings(Vec<InvalidField>);

impl Findings {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(InvalidField {
            field: field.into(),
            message: message.into(),
        });
    }

    pub(super) fn count(
        &mut self,
        field: &str,
        count: usize,
        allowed: RangeInclusive<usize>,
        what: &str,
    ) {
        if count < *allowed.start() {
            self.add(field, format!("name at least one {what}"));
        } else if count > *allowed.end() {
            self.add(
                field,
                format!("has {count} entries, the most is {}", allowed.end()),
            );
        }
    }

    pub(super) fn at_most(&mut self, field: &str, map: &BTreeMap<String, String>, most: usize) {
        self.count(field, map.len(), 0..=most, "entry");
    }

    pub(super) fn unique(&mut self, field: &str, values: &[String]) {
        let mut seen = BTreeSet::new();
        if let Some(twice) = values.iter().find(|value| !seen.insert(*value)) {
            self.add(field, format!("{twice:?} is there twice: remove one"));
        }
    }

    pub(super) fn length(
        &mut self,
        field: impl Into<String>,
        value: &str,
        allowed: RangeInclusive<usize>,
    ) {
        // The API server counts characters, not bytes.
        if !allowed.contains(&value.chars().count()) {
            self.add(
                field,
                format!("write {} to {} characters", allowed.start(), allowed.end()),
            );
        }
    }

    fn duration(&mut self, field: &str, value: Duration, least: u32, most: u32) {
        if !(least..=most).contains(&value.as_secs()) {
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            self.add(
                field,
                format!("{value} is out of range: write a duration from {least} to {most}"),
            );
        }
    }

    fn account(&mut self, at: &str, account: &Account) {
        let Account {
            role_arn,
            external_id_secret_ref,
        } = account;
        if let Some(role) = role_arn
            && (!matches(&ROLE, role) || role.len() > 2048)
        {
            self.add(
                format!("{at}.roleArn"),
                format!("{role:?} is not the ARN of a role: write for example arn:aws:iam::111122223333:role/nightjar-read"),
            );
        }
        if let Some(secret) = external_id_secret_ref {
            self.secret_key(&format!("{at}.externalIdSecretRef"), secret);
            if role_arn.is_none() {
                self.add(at, "externalIdSecretRef needs roleArn: an external id is only sent when a role is assumed");
            }
        }
    }

    fn credentials(&mut self, credentials: &Credentials) {
        let Credentials {
            service_account_name,
            secret_ref,
            annotations,
        } = credentials;
        if let Some(name) = service_account_name {
            self.object_name(
                "spec.credentials.serviceAccountName",
                name,
                "ServiceAccount",
            );
        }
        if let Some(secret) = secret_ref {
            self.object_name("spec.credentials.secretRef.name", &secret.name, "Secret");
        }
        if service_account_name.is_some() && secret_ref.is_some() {
            self.add(
                "spec.credentials",
                "serviceAccountName and secretRef exclude each other: keep one",
            );
        }
        self.qualified(
            "spec.credentials.annotations",
            annotations,
            "an annotation: write for example eks.amazonaws.com/role-arn: arn:aws:iam::111122223333:role/checkout, with at most 2048 characters",
            |value| value.chars().count() <= 2048,
        );
    }

    fn selector(&mut self, at: &str, selector: &Selector) {
        let Selector {
            cloud_formation,
            tags,
            names,
            arns,
        } = selector;
        let ways = [
            cloud_formation.is_some(),
            tags.is_some(),
            names.is_some(),
            arns.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() != 1 {
            self.add(
                at,
                "a selector has exactly one of cloudFormation, tags, names, arns: write several selectors for a union",
            );
        }
        if let Some(stack) = cloud_formation {
            self.length(
                format!("{at}.cloudFormation.stackName"),
                &stack.stack_name,
                1..=256,
            );
        }
        if let Some(tags) = tags {
            self.count(&format!("{at}.tags"), tags.len(), 1..=50, "tag");
            for (key, value) in tags {
                if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
                    self.add(
                        format!("{at}.tags"),
                        format!(
                            "{key:?}: AWS has keys of 1 to 128 characters, and values of up to 256"
                        ),
                    );
                }
            }
        }
        if let Some(names) = names {
            self.count(&format!("{at}.names"), names.len(), 1..=256, "name");
            self.unique(&format!("{at}.names"), names);
            for (i, name) in names.iter().enumerate() {
                self.length(format!("{at}.names[{i}]"), name, 1..=256);
            }
        }
        if let Some(arns) = arns {
            self.count(&format!("{at}.arns"), arns.len(), 1..=64, "ARN");
            self.unique(&format!("{at}.arns"), arns);
            for arn in arns
                .iter()
                .filter(|arn| !matches(&ARN, arn) || arn.len() > 320)
            {
                self.add(
                    format!("{at}.arns"),
                    format!(
                        "malformed ARN {arn:?}: write for example arn:aws:lambda:eu-west-1:111122223333:function:pay, arn:aws:dynamodb:eu-west-1:111122223333:table/orders or arn:aws:apigateway:eu-west-1::/restapis/a1b2c3"
                    ),
                );
            }
        }
    }

    fn service(&mut self, name: &str, settings: &ServiceSettings) {
        let ServiceSettings {
            optional,
            exclude_metrics,
        } = settings;
        let Some(service) = ServiceId::from_name(name) else {
            self.add(
                "spec.services",
                format!(
                    "unknown service {name:?}: write lambda, dynamodb or apigateway, or leave spec.services out to watch all"
                ),
            );
            return;
        };
        let at = format!("spec.services.{name}");
        if let Some(optional) = optional {
            let known: Vec<&str> = service
                .service()
                .optional
                .iter()
                .map(|set| set.name)
                .collect();
            self.count(&format!("{at}.optional"), optional.len(), 0..=16, "set");
            self.unique(&format!("{at}.optional"), optional);
            for set in optional.iter().filter(|set| !known.contains(&set.as_str())) {
                self.add(
                    format!("{at}.optional"),
                    format!(
                        "unknown optional set {set:?} of {name}: write {}",
                        known.join(", ")
                    ),
                );
            }
        }
        let field = format!("{at}.excludeMetrics");
        self.count(&field, exclude_metrics.len(), 0..=64, "metric");
        self.unique(&field, exclude_metrics);
        for (i, metric) in exclude_metrics.iter().enumerate() {
            self.length(format!("{field}[{i}]"), metric, 1..=128);
        }
    }
}

pub(super) fn matches(pattern: &LazyLock<Regex>, text: &str) -> bool {
    pattern.is_match(text)
}

/// A regular expression that is compiled once.
macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a constant that the tests have seen"));
    };
}
pub(super) use pattern;

// As in stack.rs and its modules, there in CEL. `\z`: Rust's `$` without a flag is the end of the text as well,
// but says so less clearly.
pattern!(NAME, r"\A[a-z]([-a-z0-9]*[a-z0-9])?\z");
pattern!(
    REGION,
    r"\A(af|ap|ca|cn|eu|il|me|mx|sa|us)(-gov|-iso[a-z]*)?-(north|south|east|west|central|northeast|northwest|southeast|southwest)-[1-9]\z"
);
pattern!(ROLE, r"\Aarn:aws[a-z-]*:iam::[0-9]{12}:role/.+\z");
pattern!(
    ARN,
    r"(?x) \A arn:aws[a-z-]*:(
        lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+
        | dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]+
        | apigateway:[a-z0-9-]+::/(rest)?apis/[A-Za-z0-9_]+
    ) \z"
);
pattern!(QUANTILE, r"\A0\.[0-9]{1,4}\z");

#[cfg(test)]
mod tests;
