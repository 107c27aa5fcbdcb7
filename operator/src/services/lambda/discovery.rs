//! Which functions there are, and their settings.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_lambda::types::{
    AccountLimit, EphemeralStorage, FunctionConfiguration,
    LambdaManagedInstancesCapacityProviderConfig,
};
use futures::FutureExt as _;

use super::facts::{
    ACCOUNT_CONCURRENCY_LIMIT, ACCOUNT_FUNCTIONS, ACCOUNT_UNRESERVED_CONCURRENCY_LIMIT,
    FUNCTION_EPHEMERAL_STORAGE, FUNCTION_INFO, FUNCTION_LAST_MODIFIED, FUNCTION_MEMORY,
    FUNCTION_RESERVED_CONCURRENCY, FUNCTION_TIMEOUT,
};
use super::managed::{CAPACITY_PROVIDER, EXECUTION_ENVIRONMENT};
use super::mapping_discovery::{Mapping, Mappings, mappings};
use super::mappings::MAPPING;
use super::metrics::{
    ACCOUNT, ASYNC, DEAD_LETTER, DESTINATIONS, DURABLE, EXTENSIONS, FUNCTION, MANAGED, SIGNED,
    STREAMING, URL,
};
use super::reading::{self, Reading};
use super::versions::{PROVISIONED, VERSION};
use k8s_openapi::jiff::Timestamp;

use crate::aws::AwsError;
use crate::services::Look;
use crate::services::found::{Fact, Found, Resource, Subject};
use crate::services::listing::listed;
use crate::services::table::{Family, Features, Shape};

const MEBIBYTE: f64 = 1024.0 * 1024.0;
const NAMESPACE: &str = "AWS/Lambda";

/// Optional sets of a function, each with a metric that CloudWatch lists where the set exists.
const LISTED: [(&str, &str, Features); 4] = [
    ("async", "AsyncEventsReceived", ASYNC.and(DESTINATIONS)),
    ("urls", "UrlRequestCount", URL),
    ("streaming", "StreamedOutboundBytes", STREAMING),
    ("extensions", "PostRuntimeExtensionsDuration", EXTENSIONS),
];

/// What is kept of a function. What Lambda says of environment variables is dropped: they hold
/// secrets.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Arc<str>,
    /// Its ARN.
    pub arn: String,
    features: Features,
    longest_work_minutes: u32,
    capacity_provider: Option<String>,
    facts: Vec<Fact>,
}

/// Finds the members' functions.
pub async fn discover(look: &Look<'_>) -> Result<Found, AwsError> {
    let mut found = Found::default();
    let Reading {
        functions,
        problems,
        lesser,
    } = reading::functions(look.aws, look.members, &look.memory.lambda).await?;
    found.problems = problems;
    found.lesser = lesser;
    if functions.is_empty() {
        return Ok(found);
    }
    let listings = Listings::look_up(look, &mut found).await;
    let mut mappings_of: Arc<Mappings> = Arc::default();
    let mut unread = false;
    if look.wanted.set("eventSourceMappings") {
        let read = mappings(look.aws).boxed();
        match look.memory.mappings.get("", read).await {
            Ok(all) => mappings_of = all,
            Err(error) => {
                unread = true;
                found.miss(&[&MAPPING], error);
            }
        }
    }
    let providers: BTreeSet<&str> = functions
        .iter()
        .filter_map(|function| function.capacity_provider.as_deref())
        .collect();
    let account = account(look, &providers, &mut found).await;
    found.resources.push(account);
    for function in functions {
        let mappings = mappings_of
            .get(&*function.name)
            .map_or(&[][..], Vec::as_slice);
        let resource = resource(look, function, &listings, mappings, &mut found).await;
        found.resources.push(Resource { unread, ..resource });
    }
    Ok(found)
}

impl Function {
    /// Takes over what Lambda says; none when it has no name.
    pub fn new(function: &FunctionConfiguration) -> Option<Self> {
        let (name, arn) = (function.function_name()?, function.function_arn()?);
        let name: Arc<str> = name.into();
        let timeout_seconds = function.timeout().unwrap_or(3).max(1);
        let dead_letter_target = function
            .dead_letter_config()
            .and_then(|config| config.target_arn())
            .unwrap_or("");
        let capacity_provider = function
            .capacity_provider_config()
            .and_then(|config| config.lambda_managed_instances_capacity_provider_config())
            .map(LambdaManagedInstancesCapacityProviderConfig::capacity_provider_arn)
            .and_then(|arn| arn.rsplit([':', '/']).next())
            .map(str::to_owned);
        let signed = function.signing_profile_version_arn().is_some();
        Some(Self {
            features: Features::NONE
                .with(DEAD_LETTER, !dead_letter_target.is_empty())
                .with(SIGNED, signed)
                .with(DURABLE, function.durable_config().is_some())
                .with(MANAGED, capacity_provider.is_some()),
            facts: facts(&name, arn, function, timeout_seconds, dead_letter_target),
            name,
            arn: arn.to_owned(),
            longest_work_minutes: timeout_seconds.unsigned_abs().div_ceil(60),
            capacity_provider,
        })
    }
}

fn facts(
    name: &Arc<str>,
    arn: &str,
    function: &FunctionConfiguration,
    timeout_seconds: i32,
    dead_letter_target: &str,
) -> Vec<Fact> {
    let labels = vec![("function_name", name.clone())];
    let architecture = function
        .architectures()
        .first()
        .map_or("x86_64", |a| a.as_str());
    let vpc = function.vpc_config().and_then(|config| config.vpc_id());
    let snap_start = function
        .snap_start()
        .and_then(|config| config.apply_on())
        .map_or("None", |apply_on| apply_on.as_str());
    let tracing = function
        .tracing_config()
        .and_then(|config| config.mode())
        .map_or("", |mode| mode.as_str());
    // Lambda writes the offset without a colon.
    let modified = function.last_modified().and_then(|text| {
        let at = Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of these centuries")]
        let seconds = at.as_second() as f64;
        Some(seconds)
    });
    let mut info = labels.clone();
    info.extend([
        ("arn", arn.into()),
        (
            "runtime",
            function.runtime().map_or("", |r| r.as_str()).into(),
        ),
        ("architecture", architecture.into()),
        (
            "package_type",
            function.package_type().map_or("", |p| p.as_str()).into(),
        ),
        ("dead_letter_target", dead_letter_target.into()),
        ("tracing", tracing.into()),
        ("vpc_id", vpc.unwrap_or("").into()),
        ("snap_start", snap_start.into()),
    ]);
    let setting = |family: &'static Family, value: f64| Fact {
        family,
        labels: labels.clone(),
        info: false,
        value,
    };
    let memory = function.memory_size();
    let storage = function.ephemeral_storage().map(EphemeralStorage::size);
    let info = Fact {
        family: &FUNCTION_INFO,
        labels: info,
        info: true,
        value: 1.0,
    };
    [
        Some(info),
        Some(setting(&FUNCTION_TIMEOUT, f64::from(timeout_seconds))),
        memory.map(|size| setting(&FUNCTION_MEMORY, f64::from(size) * MEBIBYTE)),
        storage.map(|size| setting(&FUNCTION_EPHEMERAL_STORAGE, f64::from(size) * MEBIBYTE)),
        modified.map(|at| setting(&FUNCTION_LAST_MODIFIED, at)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What CloudWatch lists, by function.
#[derive(Default)]
struct Listings {
    features: HashMap<String, Features>,
    versions: HashMap<String, Vec<(&'static Shape, Arc<str>)>>,
}

impl Listings {
    async fn look_up(look: &Look<'_>, found: &mut Found) -> Self {
        let mut listings = Self::default();
        for (set, metric, features) in LISTED {
            if !look.wanted.set(set) {
                continue;
            }
            match listed(look.aws, NAMESPACE, metric, FUNCTION.dimensions).await {
                Ok(all) => {
                    for name in all.into_iter().flatten() {
                        let known = listings.features.entry(name).or_default();
                        *known = known.and(features);
                    }
                }
                Err(error) => found.miss(&[], error),
            }
        }
        for (shape, metric) in [
            (&VERSION, "Invocations"),
            (&PROVISIONED, "ProvisionedConcurrencyUtilization"),
        ] {
            if !shape.optional.is_some_and(|set| look.wanted.set(set)) {
                continue;
            }
            match listed(look.aws, NAMESPACE, metric, shape.dimensions).await {
                Ok(all) => {
                    for values in all {
                        if let [name, version] = <[String; 2]>::try_from(values).unwrap_or_default()
                            && !name.is_empty()
                        {
                            let versions = listings.versions.entry(name).or_default();
                            versions.push((shape, version.into()));
                        }
                    }
                }
                Err(error) => found.miss(&[shape], error),
            }
        }
        listings
    }
}

async fn resource(
    look: &Look<'_>,
    function: Function,
    listings: &Listings,
    mappings: &[Mapping],
    found: &mut Found,
) -> Resource {
    let Function {
        name,
        arn,
        features,
        longest_work_minutes,
        capacity_provider,
        mut facts,
    } = function;
    let listed = listings.features.get(&*name).copied().unwrap_or_default();
    let features = mappings.iter().fold(features.and(listed), |all, mapping| {
        all.and(mapping.of_function)
    });
    let labels = vec![("function_name", name.clone())];
    let mut subjects = vec![Subject::new(
        &FUNCTION,
        vec![name.clone()],
        labels.clone(),
        features,
        look.wanted,
    )];
    for (shape, version) in listings.versions.get(&*name).into_iter().flatten() {
        let labels = vec![
            ("function_name", name.clone()),
            ("resource", version.clone()),
        ];
        let values = vec![name.clone(), version.clone()];
        subjects.push(Subject::new(
            shape,
            values,
            labels,
            Features::NONE,
            look.wanted,
        ));
    }
    if let Some(provider) = capacity_provider {
        let provider: Arc<str> = provider.into();
        subjects.push(Subject::new(
            &EXECUTION_ENVIRONMENT,
            vec![provider.clone(), name.clone()],
            vec![
                ("capacity_provider_name", provider),
                ("function_name", name.clone()),
            ],
            Features::NONE,
            look.wanted,
        ));
    }
    for mapping in mappings {
        subjects.extend(mapping.subject(&name, look.wanted));
        facts.extend(mapping.facts(&name));
    }
    if look.wanted.set("reservedConcurrency") {
        facts.extend(reserved_concurrency(look, &name, found).await);
    }
    Resource {
        arn: Some(arn),
        subjects: subjects
            .into_iter()
            .map(|subject| subject.working_for(longest_work_minutes))
            .collect(),
        facts,
        unread: false,
    }
}

async fn reserved_concurrency(look: &Look<'_>, name: &Arc<str>, found: &mut Found) -> Vec<Fact> {
    let action = "lambda:GetFunctionConcurrency";
    let read = async {
        let request = look.aws.lambda.get_function_concurrency();
        let request = request.function_name(&**name).send();
        let answer = look.aws.call(action, request).await?;
        let fact = answer.reserved_concurrent_executions().map(|most| Fact {
            family: &FUNCTION_RESERVED_CONCURRENCY,
            labels: vec![("function_name", name.clone())],
            info: false,
            value: f64::from(most),
        });
        Ok(fact.into_iter().collect())
    }
    .boxed();
    let (facts, error) = look.memory.facts(format!("{action} {name}"), read).await;
    found.lesser.extend(error);
    facts
}

/// What all functions of the region share.
async fn account(look: &Look<'_>, providers: &BTreeSet<&str>, found: &mut Found) -> Resource {
    let mut resource = Resource {
        arn: None,
        subjects: Vec::new(),
        facts: Vec::new(),
        unread: false,
    };
    if look.wanted.set("account") {
        let none = Vec::new();
        let subject = Subject::new(&ACCOUNT, none, Vec::new(), Features::NONE, look.wanted);
        resource.subjects.push(subject);
        let action = "lambda:GetAccountSettings";
        let read = async {
            let request = look.aws.lambda.get_account_settings().send();
            let answer = look.aws.call(action, request).await?;
            let limit = answer.account_limit();
            let unreserved = limit.and_then(AccountLimit::unreserved_concurrent_executions);
            let usage = answer.account_usage();
            let facts = [
                (
                    &ACCOUNT_CONCURRENCY_LIMIT,
                    limit.map(|l| f64::from(l.concurrent_executions())),
                ),
                (
                    &ACCOUNT_UNRESERVED_CONCURRENCY_LIMIT,
                    unreserved.map(f64::from),
                ),
                (
                    &ACCOUNT_FUNCTIONS,
                    usage.map(|usage| as_f64(usage.function_count())),
                ),
            ];
            let facts = facts.into_iter().filter_map(|(family, value)| {
                Some(Fact {
                    family,
                    labels: Vec::new(),
                    info: false,
                    value: value?,
                })
            });
            Ok(facts.collect())
        }
        .boxed();
        let (facts, error) = look.memory.facts(action.to_owned(), read).await;
        resource.facts.extend(facts);
        found.lesser.extend(error);
    }
    if providers.is_empty() {
        return resource;
    }
    match listed(
        look.aws,
        NAMESPACE,
        "CPUUtilization",
        CAPACITY_PROVIDER.dimensions,
    )
    .await
    {
        Ok(all) => {
            let ours = all
                .into_iter()
                .filter(|values| providers.contains(values[0].as_str()));
            resource.subjects.extend(ours.map(|values| {
                let values: Vec<Arc<str>> = values.into_iter().map(Arc::from).collect();
                let names = CAPACITY_PROVIDER.labels.iter().copied();
                let labels = names.zip(values.iter().cloned()).collect();
                Subject::new(
                    &CAPACITY_PROVIDER,
                    values,
                    labels,
                    Features::NONE,
                    look.wanted,
                )
            }));
        }
        Err(error) => found.miss(&[&CAPACITY_PROVIDER], error),
    }
    resource
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other number"
)]
fn as_f64(number: i64) -> f64 {
    number as f64
}
