//! `DynamoDB`'s control plane.

use serde_json::{Value, json};

use super::{Outcome, page_size, tags, unplayed};
use crate::simulator::api::{ApiError, Context, text};
use crate::simulator::model::{TableModel, alive};
use crate::simulator::random;
use crate::simulator::wire::Reply;

/// Carries an operation out.
pub fn call(context: &Context, operation: &str, input: &Value) -> Outcome {
    let answer = match operation {
        "ListTables" => list_tables(context, input)?,
        "DescribeTable" => json!({"Table": describe(context, find(context, input)?)}),
        "DescribeLimits" => json!({
            "AccountMaxReadCapacityUnits": 80_000,
            "AccountMaxWriteCapacityUnits": 80_000,
            "TableMaxReadCapacityUnits": 40_000,
            "TableMaxWriteCapacityUnits": 40_000,
        }),
        "DescribeTimeToLive" => {
            if find(context, input)?.settings.time_to_live {
                json!({"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}})
            } else {
                json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}})
            }
        }
        "ListTagsOfResource" => {
            let arn = text(input, "ResourceArn").unwrap_or_default();
            let table = named(context, arn.rsplit('/').next().unwrap_or_default())?;
            let tags: Vec<Value> = tags(
                context,
                &table.settings.tags,
                table.settings.stack.as_ref(),
                &table.name,
            )
            .into_iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
            json!({"Tags": tags})
        }
        _ => return Err(unplayed("dynamodb", operation)),
    };
    Ok(Reply::Data(answer))
}

fn list_tables(context: &Context, input: &Value) -> Result<Value, ApiError> {
    let size = page_size(input, "Limit", 100, 100).ok_or_else(|| {
        ApiError::caller("ValidationException", "Limit must be between 1 and 100.")
    })?;
    // DynamoDB pages by the last name that was shown, which need not exist any more.
    let after = text(input, "ExclusiveStartTableName").unwrap_or_default();
    let names: Vec<&str> = context
        .region
        .tables
        .iter()
        .filter(|t| alive(&t.settings.life, context.now_ms))
        .map(|t| t.name.as_str())
        .filter(|name| *name > after)
        .collect();
    let shown = &names[..names.len().min(size)];
    let mut answer = json!({"TableNames": shown});
    if shown.len() < names.len() {
        answer["LastEvaluatedTableName"] = json!(shown.last());
    }
    Ok(answer)
}

fn find<'a>(context: &Context<'a>, input: &Value) -> Result<&'a TableModel, ApiError> {
    let name = text(input, "TableName").unwrap_or_default();
    named(context, name.rsplit('/').next().unwrap_or_default())
}

fn named<'a>(context: &Context<'a>, name: &str) -> Result<&'a TableModel, ApiError> {
    context
        .region
        .table(name)
        .filter(|t| alive(&t.settings.life, context.now_ms))
        .ok_or_else(|| {
            ApiError::caller(
                "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
                format!("Requested resource not found: Table: {name} not found"),
            )
        })
}

fn throughput(table: &TableModel) -> Value {
    let (read, write) = table.provisioned().map_or((0, 0), |p| (p.read, p.write));
    json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write, "NumberOfDecreasesToday": 0})
}

fn describe(context: &Context, table: &TableModel) -> Value {
    let arn = context.arn("dynamodb", &format!("table/{}", table.name));
    let hash = random::text(&table.name);
    let mut shown = json!({
        "TableName": table.name,
        "TableArn": arn,
        "TableId": format!("{hash:016x}"),
        "TableStatus": "ACTIVE",
        "CreationDateTime": 1_767_225_600,
        "ItemCount": hash % 1_000_000,
        "TableSizeBytes": hash % 1_000_000 * 640,
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "ProvisionedThroughput": throughput(table),
        "DeletionProtectionEnabled": false,
    });
    if table.provisioned().is_none() {
        shown["BillingModeSummary"] = json!({"BillingMode": "PAY_PER_REQUEST"});
    }
    if !table.settings.indexes.is_empty() {
        let indexes: Vec<Value> = table
            .settings
            .indexes
            .iter()
            .enumerate()
            .map(|(number, index)| {
                let last = number + 1 == table.settings.indexes.len();
                let building = table.settings.building && last;
                json!({
                    "IndexName": index.value,
                    "IndexArn": format!("{arn}/index/{}", index.value),
                    "IndexStatus": if building { "CREATING" } else { "ACTIVE" },
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                    "ProvisionedThroughput": throughput(table),
                    "ItemCount": hash % 1_000_000,
                    "IndexSizeBytes": hash % 1_000_000 * 320,
                })
            })
            .collect();
        shown["GlobalSecondaryIndexes"] = json!(indexes);
    }
    if let Some(most) = table.settings.on_demand_maximum {
        shown["OnDemandThroughput"] =
            json!({"MaxReadRequestUnits": most.read, "MaxWriteRequestUnits": most.write});
    }
    if !table.settings.replicas.is_empty() {
        let version = if table.settings.legacy {
            "2017.11.29"
        } else {
            "2019.11.21"
        };
        let replicas = table.settings.replicas.iter();
        let replicas = replicas.map(|r| json!({"RegionName": r, "ReplicaStatus": "ACTIVE"}));
        shown["GlobalTableVersion"] = json!(version);
        shown["Replicas"] = json!(replicas.collect::<Vec<_>>());
    }
    if table.settings.stream.is_some() {
        shown["StreamSpecification"] =
            json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"});
        shown["LatestStreamLabel"] = json!("2026-01-01T00:00:00.000");
        shown["LatestStreamArn"] = json!(format!("{arn}/stream/2026-01-01T00:00:00.000"));
    }
    shown
}
