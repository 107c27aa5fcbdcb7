//! The settings of tables, indexes and the account, as they become series.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndexDescription, OnDemandThroughput,
    ProvisionedThroughputDescription, StreamSpecification, TableDescription, TimeToLiveStatus,
};
use futures::FutureExt as _;

use super::facts::{
    ACCOUNT_MAX_READ, ACCOUNT_MAX_WRITE, INDEX_INFO, INDEX_ITEMS, INDEX_SIZE, ON_DEMAND_MAX_READ,
    ON_DEMAND_MAX_WRITE, PROVISIONED_READ, PROVISIONED_WRITE, TABLE_INFO, TABLE_ITEMS,
    TABLE_MAX_READ, TABLE_MAX_WRITE, TABLE_SIZE, TIME_TO_LIVE,
};
use crate::aws::AwsError;
use crate::services::Look;
use crate::services::found::Fact;
use crate::services::table::Family;

/// Labels of a setting.
pub type Labels = Vec<(&'static str, Arc<str>)>;

/// Whether a table's capacity, and that of its indexes, is provisioned.
pub fn provisioned(table: &TableDescription) -> bool {
    let mode = table.billing_mode_summary().and_then(|b| b.billing_mode());
    mode.is_none_or(|mode| *mode == BillingMode::Provisioned)
}

/// The settings of a table.
pub fn table(table: &TableDescription, arn: &str, name: &str) -> Vec<Fact> {
    let labels: Labels = vec![("table_name", name.into())];
    let yes = |what: bool| Arc::from(if what { "true" } else { "false" });
    let billing = if provisioned(table) {
        "PROVISIONED"
    } else {
        "PAY_PER_REQUEST"
    };
    let class = table
        .table_class_summary()
        .and_then(|class| class.table_class())
        .map_or("STANDARD", |class| class.as_str());
    let stream = table
        .stream_specification()
        .is_some_and(StreamSpecification::stream_enabled);
    let protected = table.deletion_protection_enabled().unwrap_or(false);
    let mut info = labels.clone();
    info.extend([
        ("arn", arn.into()),
        ("billing_mode", billing.into()),
        ("table_class", class.into()),
        ("stream_enabled", yes(stream)),
        ("deletion_protection", yes(protected)),
        ("global_table", yes(!table.replicas().is_empty())),
    ]);
    let mut facts = vec![Fact {
        family: &TABLE_INFO,
        labels: info,
        info: true,
        value: 1.0,
    }];
    if provisioned(table) {
        facts.extend(throughput(table.provisioned_throughput(), &labels));
    }
    facts.extend(on_demand(table.on_demand_throughput(), &labels));
    facts.extend(setting(&TABLE_ITEMS, &labels, table.item_count()));
    facts.extend(setting(&TABLE_SIZE, &labels, table.table_size_bytes()));
    facts
}

/// The settings of a global secondary index.
pub fn index(
    index: &GlobalSecondaryIndexDescription,
    table_name: &str,
    index_name: &str,
) -> Vec<Fact> {
    let labels: Labels = vec![
        ("table_name", table_name.into()),
        ("global_secondary_index_name", index_name.into()),
    ];
    let status = index.index_status().map_or("", |status| status.as_str());
    let projection = index
        .projection()
        .and_then(|projection| projection.projection_type())
        .map_or("", |projection| projection.as_str());
    let mut info = labels.clone();
    info.extend([
        ("arn", Arc::from(index.index_arn().unwrap_or(""))),
        ("status", status.into()),
        ("projection", projection.into()),
    ]);
    let mut facts = vec![Fact {
        family: &INDEX_INFO,
        labels: info,
        info: true,
        value: 1.0,
    }];
    // An index of a table on demand is said to have zero units.
    let units = index.provisioned_throughput();
    if units.and_then(ProvisionedThroughputDescription::read_capacity_units) != Some(0) {
        facts.extend(throughput(units, &labels));
    }
    facts.extend(on_demand(index.on_demand_throughput(), &labels));
    facts.extend(setting(&INDEX_ITEMS, &labels, index.item_count()));
    facts.extend(setting(&INDEX_SIZE, &labels, index.index_size_bytes()));
    facts
}

fn throughput(units: Option<&ProvisionedThroughputDescription>, labels: &Labels) -> Vec<Fact> {
    let (read, write) = units.map_or((None, None), |units| {
        (units.read_capacity_units(), units.write_capacity_units())
    });
    let read = setting(&PROVISIONED_READ, labels, read);
    let write = setting(&PROVISIONED_WRITE, labels, write);
    read.into_iter().chain(write).collect()
}

fn on_demand(most: Option<&OnDemandThroughput>, labels: &Labels) -> Vec<Fact> {
    // -1 is no limit.
    let limit = |units: Option<i64>| units.filter(|units| *units >= 0);
    let (read, write) = most.map_or((None, None), |most| {
        (
            most.max_read_request_units(),
            most.max_write_request_units(),
        )
    });
    let read = setting(&ON_DEMAND_MAX_READ, labels, limit(read));
    let write = setting(&ON_DEMAND_MAX_WRITE, labels, limit(write));
    read.into_iter().chain(write).collect()
}

/// Whether items of a table expire.
pub async fn time_to_live(look: &Look<'_>, table: &str) -> (Vec<Fact>, Option<AwsError>) {
    let action = "dynamodb:DescribeTimeToLive";
    let read = async {
        let request = look.aws.dynamodb.describe_time_to_live();
        let answer = look
            .aws
            .call(action, request.table_name(table).send())
            .await?;
        let status = answer
            .time_to_live_description()
            .and_then(|description| description.time_to_live_status());
        let enabled = matches!(
            status,
            Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Disabling)
        );
        let labels = vec![("table_name", Arc::from(table))];
        let fact = setting(&TIME_TO_LIVE, &labels, Some(i64::from(enabled)));
        Ok(fact.into_iter().collect())
    }
    .boxed();
    look.memory.facts(format!("{action} {table}"), read).await
}

/// The limits of the account in the region.
pub async fn account(look: &Look<'_>) -> (Vec<Fact>, Option<AwsError>) {
    let action = "dynamodb:DescribeLimits";
    let read = async {
        let request = look.aws.dynamodb.describe_limits().send();
        let limits = look.aws.call(action, request).await?;
        let facts = [
            (&ACCOUNT_MAX_READ, limits.account_max_read_capacity_units()),
            (
                &ACCOUNT_MAX_WRITE,
                limits.account_max_write_capacity_units(),
            ),
            (&TABLE_MAX_READ, limits.table_max_read_capacity_units()),
            (&TABLE_MAX_WRITE, limits.table_max_write_capacity_units()),
        ];
        let none = Vec::new();
        let facts = facts.into_iter();
        Ok(facts
            .filter_map(|(family, value)| setting(family, &none, value))
            .collect())
    }
    .boxed();
    look.memory.facts(action.to_owned(), read).await
}

pub fn setting(family: &'static Family, labels: &Labels, value: Option<i64>) -> Option<Fact> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows no other number"
    )]
    let value = value? as f64;
    Some(Fact {
        family,
        labels: labels.clone(),
        info: false,
        value,
    })
}
