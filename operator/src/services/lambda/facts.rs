//! The settings of functions, event source mappings and the account, as series.

use crate::services::table::{Family, FamilyKind};

/// All of them.
pub static ALL: &[&Family] = &[
    &FUNCTION_INFO,
    &FUNCTION_TIMEOUT,
    &FUNCTION_MEMORY,
    &FUNCTION_EPHEMERAL_STORAGE,
    &FUNCTION_LAST_MODIFIED,
    &FUNCTION_RESERVED_CONCURRENCY,
    &ACCOUNT_CONCURRENCY_LIMIT,
    &ACCOUNT_UNRESERVED_CONCURRENCY_LIMIT,
    &ACCOUNT_FUNCTIONS,
    &MAPPING_INFO,
    &MAPPING_ENABLED,
    &MAPPING_BATCH_SIZE,
    &MAPPING_MAXIMUM_CONCURRENCY,
];

/// What a function is.
pub static FUNCTION_INFO: Family = Family {
    name: "aws_lambda_function_info",
    kind: FamilyKind::Gauge,
    help: "Always 1; the labels describe the function. Source: lambda:ListFunctions.",
};

/// A function's own timeout.
pub static FUNCTION_TIMEOUT: Family = Family {
    name: "aws_lambda_timeout_seconds",
    kind: FamilyKind::Gauge,
    help: "How long a run of the function may take. Source: lambda:ListFunctions, Timeout.",
};

/// A function's memory.
pub static FUNCTION_MEMORY: Family = Family {
    name: "aws_lambda_memory_size_bytes",
    kind: FamilyKind::Gauge,
    help: "Memory that the function is given. Source: lambda:ListFunctions, MemorySize.",
};

/// A function's `/tmp`.
pub static FUNCTION_EPHEMERAL_STORAGE: Family = Family {
    name: "aws_lambda_ephemeral_storage_bytes",
    kind: FamilyKind::Gauge,
    help: "Size of the function's /tmp. Source: lambda:ListFunctions, EphemeralStorage.",
};

/// When a function was deployed last, or its settings changed.
pub static FUNCTION_LAST_MODIFIED: Family = Family {
    name: "aws_lambda_last_modified_timestamp_seconds",
    kind: FamilyKind::Gauge,
    help: "When the function's code or settings were last changed. Source: lambda:ListFunctions, LastModified.",
};

/// A function's reserved concurrency.
pub static FUNCTION_RESERVED_CONCURRENCY: Family = Family {
    name: "aws_lambda_reserved_concurrent_executions",
    kind: FamilyKind::Gauge,
    help: "The most runs of the function at one time, reserved for it; absent where none is reserved. Read once an hour, with optional set reservedConcurrency. Source: lambda:GetFunctionConcurrency.",
};

/// The region's limit of concurrency.
pub static ACCOUNT_CONCURRENCY_LIMIT: Family = Family {
    name: "aws_lambda_account_concurrency_limit",
    kind: FamilyKind::Gauge,
    help: "The most runs of all functions of the region at one time. Read once an hour. Source: lambda:GetAccountSettings, ConcurrentExecutions.",
};

/// What reserved concurrency leaves to the others.
pub static ACCOUNT_UNRESERVED_CONCURRENCY_LIMIT: Family = Family {
    name: "aws_lambda_account_unreserved_concurrency_limit",
    kind: FamilyKind::Gauge,
    help: "The most runs at one time of all functions of the region without reserved concurrency. Read once an hour. Source: lambda:GetAccountSettings, UnreservedConcurrentExecutions.",
};

/// How many functions there are.
pub static ACCOUNT_FUNCTIONS: Family = Family {
    name: "aws_lambda_account_functions",
    kind: FamilyKind::Gauge,
    help: "Functions in the region, those of other stacks included. Read once an hour. Source: lambda:GetAccountSettings, FunctionCount.",
};

/// What a mapping is.
pub static MAPPING_INFO: Family = Family {
    name: "aws_lambda_event_source_mapping_info",
    kind: FamilyKind::Gauge,
    help: "Always 1; the labels describe the mapping. Source: lambda:ListEventSourceMappings.",
};

/// Whether a mapping works.
pub static MAPPING_ENABLED: Family = Family {
    name: "aws_lambda_event_source_mapping_enabled",
    kind: FamilyKind::Gauge,
    help: "1 while the mapping reads its source, 0 while it is disabled or failed. Source: lambda:ListEventSourceMappings, State.",
};

/// The size of its batches.
pub static MAPPING_BATCH_SIZE: Family = Family {
    name: "aws_lambda_event_source_mapping_batch_size",
    kind: FamilyKind::Gauge,
    help: "The most records in one invocation. Source: lambda:ListEventSourceMappings, BatchSize.",
};

/// Its limit of concurrency.
pub static MAPPING_MAXIMUM_CONCURRENCY: Family = Family {
    name: "aws_lambda_event_source_mapping_maximum_concurrency",
    kind: FamilyKind::Gauge,
    help: "The most runs at one time that the mapping causes; absent where it is not limited. Source: lambda:ListEventSourceMappings, ScalingConfig.",
};
