//! The settings of tables, indexes and the account, as series.

use crate::services::table::{Family, FamilyKind};

/// All of them.
pub static ALL: &[&Family] = &[
    &TABLE_INFO,
    &PROVISIONED_READ,
    &PROVISIONED_WRITE,
    &SCALED_MIN_READ,
    &SCALED_MAX_READ,
    &SCALED_MIN_WRITE,
    &SCALED_MAX_WRITE,
    &ON_DEMAND_MAX_READ,
    &ON_DEMAND_MAX_WRITE,
    &TABLE_ITEMS,
    &TABLE_SIZE,
    &INDEX_INFO,
    &INDEX_ITEMS,
    &INDEX_SIZE,
    &TIME_TO_LIVE,
    &ACCOUNT_MAX_READ,
    &ACCOUNT_MAX_WRITE,
    &TABLE_MAX_READ,
    &TABLE_MAX_WRITE,
];

/// What a table is.
pub static TABLE_INFO: Family = Family {
    name: "aws_dynamodb_table_info",
    kind: FamilyKind::Gauge,
    help: "Always 1; the labels describe the table. Source: dynamodb:DescribeTable.",
};

/// Provisioned capacity for reads.
pub static PROVISIONED_READ: Family = Family {
    name: "aws_dynamodb_provisioned_read_capacity_units",
    kind: FamilyKind::Gauge,
    help: "Read capacity units a second that the table or index is provisioned with; absent on demand. Source: dynamodb:DescribeTable.",
};

/// Provisioned capacity for writes.
pub static PROVISIONED_WRITE: Family = Family {
    name: "aws_dynamodb_provisioned_write_capacity_units",
    kind: FamilyKind::Gauge,
    help: "Write capacity units a second that the table or index is provisioned with; absent on demand. Source: dynamodb:DescribeTable.",
};

/// The least to which capacity for reads is scaled.
pub static SCALED_MIN_READ: Family = Family {
    name: "aws_dynamodb_autoscaling_min_read_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The least to which the read capacity units of the table or index are scaled automatically; absent where they are not. Read once an hour, with optional set autoScaling. Source: application-autoscaling:DescribeScalableTargets.",
};

/// The most to which capacity for reads is scaled.
pub static SCALED_MAX_READ: Family = Family {
    name: "aws_dynamodb_autoscaling_max_read_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The most to which the read capacity units of the table or index are scaled automatically; absent where they are not. Read once an hour, with optional set autoScaling. Source: application-autoscaling:DescribeScalableTargets.",
};

/// The least to which capacity for writes is scaled.
pub static SCALED_MIN_WRITE: Family = Family {
    name: "aws_dynamodb_autoscaling_min_write_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The least to which the write capacity units of the table or index are scaled automatically; absent where they are not. Read once an hour, with optional set autoScaling. Source: application-autoscaling:DescribeScalableTargets.",
};

/// The most to which capacity for writes is scaled.
pub static SCALED_MAX_WRITE: Family = Family {
    name: "aws_dynamodb_autoscaling_max_write_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The most to which the write capacity units of the table or index are scaled automatically; absent where they are not. Read once an hour, with optional set autoScaling. Source: application-autoscaling:DescribeScalableTargets.",
};

/// Maximum on demand for reads.
pub static ON_DEMAND_MAX_READ: Family = Family {
    name: "aws_dynamodb_on_demand_max_read_request_units",
    kind: FamilyKind::Gauge,
    help: "The most read request units a second of a table or index on demand; absent where it is not limited. Source: dynamodb:DescribeTable.",
};

/// Maximum on demand for writes.
pub static ON_DEMAND_MAX_WRITE: Family = Family {
    name: "aws_dynamodb_on_demand_max_write_request_units",
    kind: FamilyKind::Gauge,
    help: "The most write request units a second of a table or index on demand; absent where it is not limited. Source: dynamodb:DescribeTable.",
};

/// Items in a table.
pub static TABLE_ITEMS: Family = Family {
    name: "aws_dynamodb_table_items",
    kind: FamilyKind::Gauge,
    help: "Items in the table; DynamoDB updates it about every six hours. Source: dynamodb:DescribeTable, ItemCount.",
};

/// Size of a table.
pub static TABLE_SIZE: Family = Family {
    name: "aws_dynamodb_table_size_bytes",
    kind: FamilyKind::Gauge,
    help: "Size of the table; DynamoDB updates it about every six hours. Source: dynamodb:DescribeTable, TableSizeBytes.",
};

/// What an index is.
pub static INDEX_INFO: Family = Family {
    name: "aws_dynamodb_global_secondary_index_info",
    kind: FamilyKind::Gauge,
    help: "Always 1; the labels describe the index. Source: dynamodb:DescribeTable.",
};

/// Items in an index.
pub static INDEX_ITEMS: Family = Family {
    name: "aws_dynamodb_global_secondary_index_items",
    kind: FamilyKind::Gauge,
    help: "Items in the index; DynamoDB updates it about every six hours. Source: dynamodb:DescribeTable, ItemCount.",
};

/// Size of an index.
pub static INDEX_SIZE: Family = Family {
    name: "aws_dynamodb_global_secondary_index_size_bytes",
    kind: FamilyKind::Gauge,
    help: "Size of the index; DynamoDB updates it about every six hours. Source: dynamodb:DescribeTable, IndexSizeBytes.",
};

/// Whether items expire.
pub static TIME_TO_LIVE: Family = Family {
    name: "aws_dynamodb_time_to_live_enabled",
    kind: FamilyKind::Gauge,
    help: "1 where items of the table expire, else 0. Read once an hour, with optional set timeToLive. Source: dynamodb:DescribeTimeToLive.",
};

/// The account's limit for reads.
pub static ACCOUNT_MAX_READ: Family = Family {
    name: "aws_dynamodb_account_max_read_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The most read capacity units of all tables of the region together. Read once an hour. Source: dynamodb:DescribeLimits.",
};

/// The account's limit for writes.
pub static ACCOUNT_MAX_WRITE: Family = Family {
    name: "aws_dynamodb_account_max_write_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The most write capacity units of all tables of the region together. Read once an hour. Source: dynamodb:DescribeLimits.",
};

/// A table's limit for reads.
pub static TABLE_MAX_READ: Family = Family {
    name: "aws_dynamodb_account_max_table_level_read_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The most read capacity units of one table. Read once an hour. Source: dynamodb:DescribeLimits.",
};

/// A table's limit for writes.
pub static TABLE_MAX_WRITE: Family = Family {
    name: "aws_dynamodb_account_max_table_level_write_capacity_units",
    kind: FamilyKind::Gauge,
    help: "The most write capacity units of one table. Read once an hour. Source: dynamodb:DescribeLimits.",
};
