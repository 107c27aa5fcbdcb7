//! The exporter's pods.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The exporter's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exporter {
    /// How many exporters share the stack's accounts and regions; each of these pairs is watched by
    /// one of them. One carries 100,000 functions; more are of use only with several accounts or
    /// regions. A pair that moves is not published for some minutes, and its counters begin at 0.
    /// From 1 to 32, default 1.
    #[serde(default = "default_shards")]
    #[schemars(range(min = 1, max = 32))]
    pub shards: i32,

    /// Extra environment variables, for example `HTTPS_PROXY` or `AWS_ENDPOINT_URL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,

    /// Compute resources of each pod. Default: requests of 10m CPU and 32Mi memory, and a limit
    /// of 512Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// A volume for each pod, in which its counters survive the pod and its node. Default: they are
    /// kept as long as the pod lives, through restarts of its container, and begin at 0 in a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

fn default_shards() -> i32 {
    1
}

impl Default for Exporter {
    fn default() -> Self {
        Self {
            shards: default_shards(),
            env: Vec::new(),
            resources: None,
            storage: None,
        }
    }
}

/// A volume for the books of an exporter: 1Gi is plenty for 100,000 functions.
///
/// Kubernetes cannot change it once the exporters are there. If you edit it all the same, they go on with the volumes
/// that they have, and the stack's condition `ExporterAvailable` says by which command they get others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Its size, for example `1Gi`.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$")
    )]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("a volume has a size above 0: write for example 1Gi"))]
    pub size: String,
    /// The storage class that makes it. Default: the cluster's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("not the name of a StorageClass: use lower-case letters, digits, hyphens and dots"))]
    pub storage_class_name: Option<String>,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The variable's name.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')")
        .message("not the name of a variable: write letters, digits, dots, hyphens and underscores, no digit first, for example HTTPS_PROXY"))]
    #[x_kube(validation = Rule::new("self != 'NIGHTJAR_SHARD'")
        .message("NIGHTJAR_SHARD is how an exporter knows which one it is: remove it"))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = Rule::new(r"!self.contains('\u0000')")
        .message("no process can be started with a NUL character in its environment: remove it"))]
    pub value: String,
}

/// Compute resources, as in a Pod: `cpu`, `memory` and `ephemeral-storage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || !isQuantity(self.requests[k]) || !isQuantity(self.limits[k]) || quantity(self.requests[k]).compareTo(quantity(self.limits[k])) <= 0)")
    .message("a request is greater than its limit: lower it, or raise the limit"))]
pub struct Resources {
    /// What is reserved, for example `{cpu: 100m, memory: 64Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 3, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new("self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] && self[k].matches('^[0-9]{1,15}([.][0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$'))")
        .message("not an amount of cpu, memory or ephemeral-storage: write for example {cpu: 100m, memory: 64Mi}"))]
    pub requests: BTreeMap<String, String>,
    /// The most that may be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 3, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 32}))]
    #[x_kube(validation = Rule::new("self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] && self[k].matches('^[0-9]{1,15}([.][0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$'))")
        .message("not an amount of cpu, memory or ephemeral-storage: write for example {memory: 512Mi}"))]
    pub limits: BTreeMap<String, String>,
}
