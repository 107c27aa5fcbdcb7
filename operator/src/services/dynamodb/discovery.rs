//! Which tables there are, their indexes and replicas, and which operations were ever used on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{GlobalSecondaryIndexDescription, IndexStatus, TableDescription};
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};

use super::metrics::{
    ACCOUNT, BUILDING, CONDITIONS, EXPIRES, FAULTS, INDEX, ITEMS, KINESIS, LEGACY, MAXIMUM,
    OPERATION, PROVISIONED, REASONS, REPLICA, STREAM, TABLE,
};
use super::{scaling, settings};
use crate::api::Reason;
use crate::aws::{AwsError, Clients, Identity, Pages};
use crate::services::Look;
use crate::services::found::{Fact, Found, Resource, Subject};
use crate::services::listing::listed;
use crate::services::table::{Features, Shape};

const NAMESPACE: &str = "AWS/DynamoDB";
/// How many tables are described at once: a stack may have thousands.
const AT_ONCE: usize = 4;

/// Metrics by which CloudWatch lists the subjects of a shape; the table's name comes first.
const LISTED: [(&Shape, &[&str]); 3] = [
    (
        &OPERATION,
        &["SuccessfulRequestLatency", "ThrottledRequests"],
    ),
    (&STREAM, &["ReturnedRecordsCount"]),
    (&KINESIS, &["AgeOfOldestUnreplicatedRecord"]),
];

/// Operations that return items, and have a metric for it.
const RETURNING: [&str; 3] = ["Query", "Scan", "ExecuteStatement"];

/// The dimensions of what CloudWatch lists, by table.
type Listings = BTreeMap<String, BTreeSet<(usize, Vec<String>)>>;

/// Finds the members' tables.
pub async fn discover(look: &Look<'_>) -> Result<Found, AwsError> {
    let tables = member_tables(look).await?;
    let mut found = Found::default();
    if tables.is_empty() {
        return Ok(found);
    }
    let listings = listings(look, &mut found).await;
    if look.wanted.set("account") {
        let (facts, error) = settings::account(look).await;
        found.lesser.extend(error);
        let none = Vec::new();
        let subject = Subject::new(&ACCOUNT, none, Vec::new(), Features::NONE, look.wanted);
        found.resources.push(Resource {
            arn: None,
            subjects: vec![subject],
            facts,
            unread: false,
        });
    }
    // Auto scaling's bounds of all tables come together.
    let mut bounds = None;
    // In each round, unlike other settings: alerts compare with the provisioned throughput, which auto scaling changes
    // within minutes, and no limit on this request is known to be shared with deployments.
    let reads = tables.iter().map(|name| {
        let request = look.aws.dynamodb.describe_table().table_name(name).send();
        async move { (name, look.aws.call("dynamodb:DescribeTable", request).await) }.boxed()
    });
    let reads: Vec<_> = reads.collect();
    let mut answers = stream::iter(reads).buffered(AT_ONCE);
    while let Some((name, answer)) = answers.next().await {
        let answer = match answer {
            Ok(answer) => Some(answer),
            // Deleted since it was listed.
            Err(error) if error.reason == Reason::NotFound => continue,
            Err(error) => {
                // Its metrics can be read without its settings.
                found.miss(&[&INDEX, &REPLICA], error);
                None
            }
        };
        let table = answer.as_ref().and_then(|answer| answer.table());
        let mut resource = resource(look, name, table, &listings, &mut found).await;
        if table.is_none_or(settings::provisioned) && look.wanted.set("autoScaling") {
            if bounds.is_none() {
                let (facts, error) = scaling::bounds(look).await;
                found.lesser.extend(error);
                bounds = Some(facts);
            }
            let of_table = |fact: &&Fact| {
                fact.labels
                    .iter()
                    .any(|(label, value)| *label == "table_name" && **value == **name)
            };
            resource
                .facts
                .extend(bounds.iter().flatten().filter(of_table).cloned());
        }
        found.resources.push(resource);
    }
    Ok(found)
}

async fn member_tables(look: &Look<'_>) -> Result<Vec<String>, AwsError> {
    let mut tables = Vec::new();
    let mut start = None;
    let mut pages = Pages::of("dynamodb:ListTables");
    loop {
        let request = look
            .aws
            .dynamodb
            .list_tables()
            .set_exclusive_start_table_name(start)
            .send();
        let page = look.aws.call("dynamodb:ListTables", request).await?;
        let member = |name: &&String| {
            let arn = table_arn(name, look.identity, look.aws);
            look.members
                .contains("AWS::DynamoDB::Table", name, name, &arn)
        };
        tables.extend(page.table_names().iter().filter(member).cloned());
        start = pages.after(page.last_evaluated_table_name())?;
        if start.is_none() {
            return Ok(tables);
        }
    }
}

/// What CloudWatch knows of each table. Only this is asked for: an operation that is never used
/// has no metrics, and asking for them is billed.
async fn listings(look: &Look<'_>, found: &mut Found) -> Listings {
    let mut listings = Listings::new();
    for (place, (shape, metrics)) in LISTED.iter().enumerate() {
        if !shape.optional.is_some_and(|set| look.wanted.set(set)) {
            continue;
        }
        for metric in *metrics {
            match listed(look.aws, NAMESPACE, metric, shape.dimensions).await {
                Ok(all) => {
                    for values in all {
                        let table = listings.entry(values[0].clone()).or_default();
                        table.insert((place, values));
                    }
                }
                Err(error) => {
                    found.miss(&[shape], error);
                    break;
                }
            }
        }
    }
    listings
}

fn table_arn(name: &str, identity: &Identity, aws: &Clients) -> String {
    let Identity {
        account_id,
        partition,
    } = identity;
    format!(
        "arn:{partition}:dynamodb:{}:{account_id}:table/{name}",
        aws.region
    )
}

async fn resource(
    look: &Look<'_>,
    name: &str,
    table: Option<&TableDescription>,
    listings: &Listings,
    found: &mut Found,
) -> Resource {
    let arn = table_arn(name, look.identity, look.aws);
    let mut facts = table
        .map(|table| settings::table(table, &arn, name))
        .unwrap_or_default();
    let mut expires = false;
    if look.wanted.set("timeToLive") {
        let (setting, error) = settings::time_to_live(look, name).await;
        found.lesser.extend(error);
        expires = setting.iter().any(|fact| fact.value > 0.0);
        facts.extend(setting);
    }
    let features = capacity(look, table.map(Capacity::of).as_ref())
        .with(CONDITIONS, look.wanted.set("conditions"))
        .with(EXPIRES, expires);
    let mut subjects = vec![subject(look, &TABLE, &[name], features)];
    let listed = listings.get(name).into_iter().flatten();
    subjects.extend(listed.map(|(place, values)| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let features = Features::NONE
            .with(ITEMS, RETURNING.contains(&values[1]))
            .with(FAULTS, look.wanted.set("faultInjection"));
        subject(look, LISTED[*place].0, &values, features)
    }));
    if let Some(table) = table {
        if look.wanted.set("indexes") {
            for index in table.global_secondary_indexes() {
                let Some(index_name) = index.index_name() else {
                    continue;
                };
                let building = index.backfilling() == Some(true)
                    || index.index_status() == Some(&IndexStatus::Creating);
                let capacity = capacity(look, Some(&Capacity::of_index(table, index)));
                let features = capacity.with(BUILDING, building);
                subjects.push(subject(look, &INDEX, &[name, index_name], features));
                facts.extend(settings::index(index, name, index_name));
            }
        }
        if look.wanted.set("replication") {
            let legacy = table.global_table_version() == Some("2017.11.29");
            let features = Features::NONE.with(LEGACY, legacy);
            let regions = table.replicas().iter().filter_map(|r| r.region_name());
            subjects.extend(
                regions
                    .filter(|region| *region != look.aws.region)
                    .map(|region| subject(look, &REPLICA, &[name, region], features)),
            );
        }
    }
    Resource {
        arn: Some(arn),
        subjects,
        facts,
        unread: table.is_none(),
    }
}

/// How capacity is paid for.
struct Capacity {
    provisioned: bool,
    maximum: bool,
}

impl Capacity {
    fn of(table: &TableDescription) -> Self {
        Self {
            provisioned: settings::provisioned(table),
            maximum: table.on_demand_throughput().is_some(),
        }
    }

    fn of_index(table: &TableDescription, index: &GlobalSecondaryIndexDescription) -> Self {
        Self {
            provisioned: settings::provisioned(table),
            maximum: index.on_demand_throughput().is_some(),
        }
    }
}

fn capacity(look: &Look<'_>, capacity: Option<&Capacity>) -> Features {
    let is = |what: fn(&Capacity) -> bool| capacity.is_some_and(what);
    Features::NONE
        .with(REASONS, look.wanted.set("throttleReasons"))
        .with(PROVISIONED, is(|capacity| capacity.provisioned))
        .with(MAXIMUM, is(|capacity| capacity.maximum))
}

fn subject(look: &Look<'_>, shape: &'static Shape, values: &[&str], features: Features) -> Subject {
    let values: Vec<Arc<str>> = values.iter().map(|value| Arc::from(*value)).collect();
    let names = shape.labels.iter().copied();
    let labels = names.zip(values.iter().cloned()).collect();
    Subject::new(shape, values, labels, features, look.wanted)
}
