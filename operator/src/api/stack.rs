//! The `ServerlessStack` kind. The documentation of these fields is what `kubectl explain` prints.

mod collection;
mod credentials;
mod exporter;
mod latency;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;
use super::alerts::Alerts;
use super::objective::Objective;
use super::stack_status::ServerlessStackStatus;

pub use collection::{Collection, is_budget};
pub use credentials::{Account, Credentials, SecretKeyRef, SecretRef};
pub use exporter::{EnvVar, Exporter, Resources, Storage};
pub use latency::{Histograms, Latency};

/// A `ServerlessStack` names parts of one or several AWS accounts. Nightjar finds the resources,
/// publishes their metrics to Prometheus and keeps the counters exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "nightjar.dev",
    version = "v1alpha1",
    kind = "ServerlessStack",
    namespaced,
    status = "ServerlessStackStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 43 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: Services and StatefulSets are named after the stack: begin with a letter, use lower-case letters, digits and hyphens, at most 43 characters"),
    shortname = "sls",
    category = "nightjar",
    doc = "A ServerlessStack names the AWS Lambda functions, DynamoDB tables and API Gateways that make up one system. Nightjar runs exporters for it, which publish its metrics to Prometheus with exact counters.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Resources",
        type_ = "integer",
        json_path = ".status.inventory.resources"
    ),
    printcolumn(
        name = "Series",
        type_ = "integer",
        json_path = ".status.inventory.series"
    ),
    printcolumn(
        name = "USD/Month",
        type_ = "string",
        json_path = ".status.spend.forecastUsdPerMonth",
        description = "What CloudWatch charges for 30 days of watching at the present plan"
    ),
    printcolumn(
        name = "Exporters",
        type_ = "integer",
        json_path = ".status.exporter.ready",
        description = "Exporter pods that are ready",
        priority = "1"
    ),
    printcolumn(
        name = "Shards",
        type_ = "integer",
        json_path = ".status.exporter.shards",
        description = "Exporter pods that there shall be",
        priority = "1"
    ),
    printcolumn(
        name = "Interval",
        type_ = "string",
        json_path = ".status.spend.interval",
        description = "How often CloudWatch is asked at present",
        priority = "1"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.regions.size() >= 1").field_path(".regions")
    .message("name at least one region, for example [eu-west-1]"))]
#[x_kube(validation = Rule::new("self.select.size() >= 1").field_path(".select")
    .message("name at least one selector, for example [{tags: {app: checkout}}]"))]
pub struct ServerlessStackSpec {
    // Maps are atomic, and structs that may be empty or be left out: of others, server-side apply makes null when they
    // become empty, which the API server refuses or takes for absent. Inside of an atomic one nothing is made null.

    // These two have a default so that a rule can say what to write where they are missing; a rule of their own
    // would refuse the default itself.
    /// AWS regions to look in, for example `[eu-west-1]`: at least one. Each account is read in each
    /// of them.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(r, r.matches('^(af|ap|ca|cn|eu|il|me|mx|sa|us)(-gov|-iso[a-z]*)?-(north|south|east|west|central|northeast|northwest|southeast|southwest)-[1-9]$'))")
        .message("unknown region: write AWS's own code, for example eu-west-1 or us-east-1"))]
    pub regions: Vec<String>,

    /// AWS accounts to read. Default: the account of the exporter's own credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, (has(a.roleArn) ? a.roleArn : '') == (has(b.roleArn) ? b.roleArn : '')))")
        .message("an account is there twice: remove one, or each of its series would be published twice"))]
    pub accounts: Vec<Account>,

    /// Where the exporter's credentials come from. Default: the identity of its pod (IAM roles
    /// for service accounts, EKS Pod Identity, the node's role), through a ServiceAccount that
    /// the operator makes and names `<stack>-exporter`.
    #[serde(default)]
    pub credentials: Credentials,

    /// What belongs to the stack: the union of these selectors, at least one.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub select: Vec<Selector>,

    /// What does not belong to the stack although it is selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub exclude: Vec<Selector>,

    /// True stops all polling of AWS, and with it the bill. The exporters stay and keep their
    /// books; polling goes on where it stopped when this is false again. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// Keys of AWS tags that become labels `tag_<key>` of the `_info` series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,

    /// The services to watch, each with its settings: `lambda`, `dynamodb`, `apigateway`. For
    /// example `{lambda: {optional: [async, account]}, dynamodb: {}}`. Default: all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-map-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(name, name in ['lambda', 'dynamodb', 'apigateway'])")
        .message("unknown service: write lambda, dynamodb or apigateway, or leave spec.services out to watch all"))]
    #[x_kube(validation = Rule::new("!('lambda' in self) || !has(self['lambda'].optional) || self['lambda'].optional.all(set, set in ['account', 'async', 'eventSourceMappings', 'provisionedConcurrency', 'urls', 'versions', 'streaming', 'extensions', 'reservedConcurrency'])")
        .message("unknown optional set of lambda: write account, async, eventSourceMappings, provisionedConcurrency, urls, versions, streaming, extensions or reservedConcurrency"))]
    #[x_kube(validation = Rule::new("!('dynamodb' in self) || !has(self['dynamodb'].optional) || self['dynamodb'].optional.all(set, set in ['account', 'operations', 'indexes', 'throttleReasons', 'conditions', 'timeToLive', 'autoScaling', 'replication', 'streams', 'kinesis', 'faultInjection'])")
        .message("unknown optional set of dynamodb: write account, operations, indexes, throttleReasons, conditions, timeToLive, autoScaling, replication, streams, kinesis or faultInjection"))]
    #[x_kube(validation = Rule::new("!('apigateway' in self) || !has(self['apigateway'].optional) || self['apigateway'].optional.all(set, set in ['account', 'methods'])")
        .message("unknown optional set of apigateway: write account or methods"))]
    pub services: BTreeMap<String, ServiceSettings>,

    /// How durations are published.
    #[serde(default)]
    pub latency: Latency,

    /// How AWS is polled.
    #[serde(default)]
    pub collection: Collection,

    /// The exporter's pods.
    #[serde(default)]
    pub exporter: Exporter,

    /// How Prometheus finds the exporters.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// How well the stack, or parts of it, shall work: service-level objectives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub objectives: Vec<Objective>,

    /// Which alerts there are, and how they are labelled.
    #[serde(default)]
    pub alerts: Alerts,
}

/// Names resources in one of four ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.cloudFormation) ? 1 : 0) + (has(self.tags) ? 1 : 0) + (has(self.names) ? 1 : 0) + (has(self.arns) ? 1 : 0) == 1")
    .message("a selector has exactly one of cloudFormation, tags, names, arns: write several selectors for a union"))]
pub struct Selector {
    /// Everything in one CloudFormation stack, nested stacks included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_formation: Option<CloudFormation>,

    /// Everything that carries all of these tags. An empty value means any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 50, "additionalProperties" = {"type": "string", "maxLength": 256}))]
    #[x_kube(validation = Rule::new("self.size() >= 1")
        .message("name at least one tag, for example {app: checkout}"))]
    #[x_kube(validation = Rule::new("self.all(k, k.size() >= 1 && k.size() <= 128)")
        .message("not the key of a tag: AWS has keys of 1 to 128 characters"))]
    pub tags: Option<BTreeMap<String, String>>,

    /// Everything of one of these names; `*` stands for any characters, `?` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub names: Option<Vec<String>>,

    /// These resources. An ARN's account and region must be watched by the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 320)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(a, a.matches('^arn:aws[a-z-]*:(lambda:[a-z0-9-]+:\\\\d{12}:function:[\\\\w-]+|dynamodb:[a-z0-9-]+:\\\\d{12}:table/[\\\\w.-]+|apigateway:[a-z0-9-]+::/(rest)?apis/\\\\w+)$'))")
        .message("malformed ARN: write for example arn:aws:lambda:eu-west-1:111122223333:function:pay, arn:aws:dynamodb:eu-west-1:111122223333:table/orders or arn:aws:apigateway:eu-west-1::/restapis/a1b2c3"))]
    pub arns: Option<Vec<String>>,
}

/// A CloudFormation stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudFormation {
    /// The stack's name or id.
    #[schemars(length(min = 1, max = 256))]
    pub stack_name: String,
}

/// Settings of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSettings {
    /// Which optional sets of metrics and settings are watched besides the ordinary ones. What is
    /// written here replaces the default; an empty list watches none of them. At the default interval
    /// of 5m a metric costs $0.0864 a month for each resource that can have it, whether it has
    /// datapoints or not. Sets that depend on how a resource is used cost one or two listings of
    /// metrics in each discovery besides, and nothing for resources that are not used so.
    ///
    /// lambda, default: `account`, `async`, `eventSourceMappings`, `provisionedConcurrency`, `urls`.
    ///
    /// `account`: the concurrency of all functions of the region together, and its limits; 3 metrics a
    /// region.
    ///
    /// `async`: events of asynchronous invocations, of functions that have them; 3 metrics a function.
    ///
    /// `eventSourceMappings`: settings of event source mappings, and 3 to 15 metrics of each whose
    /// metrics are turned on at AWS.
    ///
    /// `provisionedConcurrency`: the use of provisioned concurrency; 4 metrics for each alias or
    /// version that has it.
    ///
    /// `urls`: requests to function URLs; 4 metrics a function that has one.
    ///
    /// `versions`: aliases and versions that are called by name; 5 metrics each.
    ///
    /// `streaming`: streamed responses; 4 metrics a function that streams.
    ///
    /// `extensions`: what extensions do after a run; 1 metric a function that has such extensions.
    ///
    /// `reservedConcurrency`: reserved concurrency, as a setting; no metric, but one request a function
    /// and hour to the control plane, of which Lambda answers 15 a second to everybody in the account.
    ///
    /// dynamodb, default: `account`, `operations`, `indexes`, `throttleReasons`, `conditions`,
    /// `timeToLive`, `autoScaling`, `replication`.
    ///
    /// `account`: errors that are the caller's, and the use and the values of the account's limits; 5
    /// metrics a region.
    ///
    /// `operations`: durations and errors of each operation in use on a table; 3 metrics each, 4 of
    /// queries and scans.
    ///
    /// `indexes`: each global secondary index; 8 to 10 metrics.
    ///
    /// `throttleReasons`: why a table or index throttles; 4 to 6 metrics each.
    ///
    /// `conditions`: failed conditions and conflicts of transactions; 2 metrics a table.
    ///
    /// `timeToLive`: expired items, of tables with time to live; 1 metric a table, and one request a
    /// table and hour to the control plane.
    ///
    /// `autoScaling`: between what capacity is scaled automatically; no metrics, and one request for every 50
    /// capacities and hour to Application Auto Scaling where a table is provisioned.
    ///
    /// `replication`: replicas of global tables; 1 metric a table and region, 2 of legacy ones.
    ///
    /// `streams`: reads of a table's stream; 2 metrics a stream.
    ///
    /// `kinesis`: change data for Kinesis; 4 metrics a table that sends it.
    ///
    /// `faultInjection`: errors that AWS FIS injects; 1 metric an operation.
    ///
    /// apigateway, default: `account`.
    ///
    /// `account`: the throttle of the account, as a setting; no metric.
    ///
    /// `methods`: methods and resources of stages that have detailed metrics; 5 metrics each, besides
    /// what AWS charges for detailed metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(max = 32)), extend("x-kubernetes-list-type" = "set"))]
    pub optional: Option<Vec<String>>,

    /// Metrics that are neither asked for nor paid for, by the names of docs/metrics.md, `*` for
    /// any characters: for example `["aws_lambda_async_*", "aws_lambda_concurrent_executions"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    pub exclude_metrics: Vec<String>,
}

/// How Prometheus finds the exporters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Labels of the ServiceMonitor, by which a Prometheus selects it; they are added to the
    /// operator's default (`--monitor-label`, the chart's `monitoring.labels`). The chart
    /// kube-prometheus-stack selects by `release: <its release name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-map-type" = "atomic", "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(validation = Rule::new("self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))")
        .message("not a label of a Kubernetes object: write for example release: kube-prometheus-stack"))]
    pub labels: BTreeMap<String, String>,

    /// How often Prometheus scrapes the exporters. From 5s to 5m. Default: what the operator has
    /// for all stacks (the chart's `monitoring.scrapeInterval`), else 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && self != '' && duration(self) >= duration('5s') && duration(self) <= duration('5m')")
        .message("not an interval: write a duration from 5s to 5m, for example 30s"))]
    pub scrape_interval: Option<Duration>,
}

impl Monitoring {
    /// How often Prometheus scrapes the exporters.
    pub fn scrape_interval(&self) -> Duration {
        self.scrape_interval.unwrap_or(Duration::from_secs(30))
    }
}
