//! What is wrong with `spec.exporter`, and with names that become names of Kubernetes objects.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::quantity::millionths;
use super::stack::{EnvVar, Exporter, Resources, SecretKeyRef, Storage};
use super::validate::{Findings, matches, pattern};

impl Findings {
    pub(super) fn exporter(&mut self, exporter: &Exporter) {
        let Exporter {
            shards,
            env,
            resources,
            storage,
        } = exporter;
        if !(1..=32).contains(shards) {
            self.add("spec.exporter.shards", "write a number from 1 to 32");
        }
        self.environment("spec.exporter.env", env);
        if let Some(Resources { requests, limits }) = resources {
            self.amounts("spec.exporter.resources.requests", requests);
            self.amounts("spec.exporter.resources.limits", limits);
            for (name, request) in requests {
                if let Some(limit) = limits.get(name)
                    && millionths(request) > millionths(limit)
                {
                    self.add("spec.exporter.resources", format!("{name}: the request {request} is greater than the limit {limit}: lower it, or raise the limit"));
                }
            }
        }
        if let Some(Storage {
            size,
            storage_class_name,
        }) = storage
        {
            if millionths(size).is_none_or(|size| size == 0) || size.ends_with('m') {
                self.add(
                    "spec.exporter.storage.size",
                    format!("{size:?} is not the size of a volume: write for example 1Gi"),
                );
            }
            if let Some(name) = storage_class_name {
                self.object_name(
                    "spec.exporter.storage.storageClassName",
                    name,
                    "StorageClass",
                );
            }
        }
    }

    fn amounts(&mut self, field: &str, amounts: &BTreeMap<String, String>) {
        for (name, amount) in amounts {
            let known = ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str());
            if !known || millionths(amount).is_none() {
                self.add(
                    field,
                    format!("{name}: {amount:?} is not an amount of cpu, memory or ephemeral-storage: write for example {{cpu: 100m, memory: 64Mi}}"),
                );
            }
        }
    }

    fn environment(&mut self, field: &str, variables: &[EnvVar]) {
        self.count(field, variables.len(), 0..=64, "variable");
        let names: Vec<String> = variables
            .iter()
            .map(|variable| variable.name.clone())
            .collect();
        self.unique(field, &names);
        for (i, EnvVar { name, value }) in variables.iter().enumerate() {
            if !matches(&VARIABLE, name) || name.len() > 253 {
                self.add(
                    format!("{field}[{i}].name"),
                    format!("{name:?} is not the name of an environment variable: use letters, digits and -._"),
                );
            }
            if name == "NIGHTJAR_SHARD" {
                self.add(
                    format!("{field}[{i}].name"),
                    "NIGHTJAR_SHARD is how an exporter knows which one it is: remove it",
                );
            }
            let at = format!("{field}[{i}].value");
            if value.contains('\0') {
                self.add(
                    &at,
                    "no process can be started with a NUL character in its environment: remove it",
                );
            }
            self.length(at, value, 0..=4096);
        }
    }

    /// The name of an object of that kind.
    pub(super) fn object_name(&mut self, field: impl Into<String>, name: &str, kind: &str) {
        if !matches(&SUBDOMAIN, name) || name.len() > 253 {
            self.add(
                field,
                format!("{name:?} is not the name of a {kind}: use lower-case letters, digits, hyphens and dots"),
            );
        }
    }

    pub(super) fn secret_key(&mut self, at: &str, SecretKeyRef { name, key }: &SecretKeyRef) {
        self.object_name(format!("{at}.name"), name, "Secret");
        if !matches(&SECRET_KEY, key) || key.len() > 253 || key == "." || key.starts_with("..") {
            self.add(
                format!("{at}.key"),
                format!("{key:?} is not a key of a Secret: use letters, digits and -._"),
            );
        }
    }

    /// Keys that become labels or annotations of Kubernetes objects.
    pub(super) fn qualified(
        &mut self,
        field: &str,
        map: &BTreeMap<String, String>,
        what: &str,
        is_value: impl Fn(&str) -> bool,
    ) {
        self.at_most(field, map, 16);
        for (key, value) in map {
            if !is_qualified(key) || !is_value(value) {
                self.add(field, format!("{key}: {value} is not {what}"));
            }
        }
    }
}

/// Whether it can be the key of a label or an annotation.
fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_is_name = prefix.is_none_or(|prefix| matches(&SUBDOMAIN, prefix));
    prefix_is_name && key.len() <= 317 && !name.is_empty() && is_label_value(name)
}

/// Whether it can be the value of a label.
pub(super) fn is_label_value(value: &str) -> bool {
    value.len() <= 63 && matches(&LABEL_VALUE, value)
}

// As in stack/exporter.rs, there in CEL.
pattern!(VARIABLE, r"\A[-._a-zA-Z][-._a-zA-Z0-9]*\z");
pattern!(
    SUBDOMAIN,
    r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*\z"
);
pattern!(SECRET_KEY, r"\A[-._a-zA-Z0-9]+\z");
pattern!(
    LABEL_VALUE,
    r"\A([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?\z"
);
