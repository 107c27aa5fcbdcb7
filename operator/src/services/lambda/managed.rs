//! The metrics of managed instances: of the instances of a capacity provider, and of a function's execution
//! environments on them. A datapoint every five minutes.

use crate::services::table::{Family, FamilyKind, Metric, Shape, Unit};

/// Processors.
static VCPUS: Family = Family {
    name: "aws_lambda_capacity_provider_vcpus",
    kind: FamilyKind::Gauge,
    help: "Processors of the instances of a type, by whether they are given to functions. The greatest of the averages of all periods settled since the last snapshot. Source: AWS/Lambda vCPUAvailable, vCPUAllocated, Average.",
};

/// Memory.
static MEMORY: Family = Family {
    name: "aws_lambda_capacity_provider_memory_bytes",
    kind: FamilyKind::Gauge,
    help: "Memory of the instances of a type, by whether it is given to functions. The greatest of the averages of all periods settled since the last snapshot. Source: AWS/Lambda MemoryAvailable, MemoryAllocated, Average.",
};

/// The instances of one type of a capacity provider.
pub static CAPACITY_PROVIDER: Shape = Shape {
    name: "lambda_capacity_provider",
    namespace: "AWS/Lambda",
    dimensions: &["CapacityProviderName", "InstanceType"],
    labels: &["capacity_provider_name", "instance_type"],
    optional: None,
    listed: true,
    features: &[],
    metrics: &[
        Metric::maximum(
            "CPUUtilization",
            &Family {
                name: "aws_lambda_capacity_provider_cpu_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Use of the processors. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda CPUUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
        Metric::maximum(
            "MemoryUtilization",
            &Family {
                name: "aws_lambda_capacity_provider_memory_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Use of the memory. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda MemoryUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
        Metric::average(
            "vCPUAvailable",
            &VCPUS,
        )
        .labelled(&[("state", "available")])
        .every_minutes(5),
        Metric::average(
            "vCPUAllocated",
            &VCPUS,
        )
        .labelled(&[("state", "allocated")])
        .every_minutes(5),
        Metric::average(
            "MemoryAvailable",
            &MEMORY,
        )
        .labelled(&[("state", "available")])
        .unit(Unit::Bytes)
        .every_minutes(5),
        Metric::average(
            "MemoryAllocated",
            &MEMORY,
        )
        .labelled(&[("state", "allocated")])
        .unit(Unit::Bytes)
        .every_minutes(5),
        Metric::counter(
            "NetworkIn",
            &Family {
                name: "aws_lambda_capacity_provider_network_receive_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes that the instances received. Source: AWS/Lambda NetworkIn, Sum.",
            },
        )
        .unit(Unit::Bytes)
        .every_minutes(5),
        Metric::counter(
            "NetworkOut",
            &Family {
                name: "aws_lambda_capacity_provider_network_transmit_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes that the instances sent. Source: AWS/Lambda NetworkOut, Sum.",
            },
        )
        .unit(Unit::Bytes)
        .every_minutes(5),
        Metric::counter(
            "DiskReadBytes",
            &Family {
                name: "aws_lambda_capacity_provider_disk_read_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes that the instances read from their disks. Source: AWS/Lambda DiskReadBytes, Sum.",
            },
        )
        .unit(Unit::Bytes)
        .every_minutes(5),
        Metric::counter(
            "DiskWriteBytes",
            &Family {
                name: "aws_lambda_capacity_provider_disk_written_bytes_total",
                kind: FamilyKind::Counter,
                help: "Bytes that the instances wrote to their disks. Source: AWS/Lambda DiskWriteBytes, Sum.",
            },
        )
        .unit(Unit::Bytes)
        .every_minutes(5),
    ],
};

/// The execution environments of a function on managed instances.
pub static EXECUTION_ENVIRONMENT: Shape = Shape {
    name: "lambda_execution_environment",
    namespace: "AWS/Lambda",
    dimensions: &["CapacityProviderName", "FunctionName"],
    labels: &["capacity_provider_name", "function_name"],
    optional: None,
    listed: false,
    features: &[],
    metrics: &[
        Metric::maximum(
            "ExecutionEnvironmentConcurrency",
            &Family {
                name: "aws_lambda_execution_environment_concurrency",
                kind: FamilyKind::Gauge,
                help: "Runs at one time in one execution environment. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ExecutionEnvironmentConcurrency, Maximum.",
            },
        )
        .every_minutes(5),
        Metric::maximum(
            "ExecutionEnvironmentConcurrencyLimit",
            &Family {
                name: "aws_lambda_execution_environment_concurrency_limit",
                kind: FamilyKind::Gauge,
                help: "The most runs at one time in one execution environment. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ExecutionEnvironmentConcurrencyLimit, Maximum.",
            },
        )
        .every_minutes(5),
        Metric::maximum(
            "ExecutionEnvironmentCPUUtilization",
            &Family {
                name: "aws_lambda_execution_environment_cpu_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Use of the processors of an execution environment. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ExecutionEnvironmentCPUUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
        Metric::maximum(
            "ExecutionEnvironmentMemoryUtilization",
            &Family {
                name: "aws_lambda_execution_environment_memory_utilization_ratio",
                kind: FamilyKind::Gauge,
                help: "Use of the memory of an execution environment. The greatest of all minutes settled since the last snapshot. Source: AWS/Lambda ExecutionEnvironmentMemoryUtilization, Maximum.",
            },
        )
        .unit(Unit::Percent)
        .every_minutes(5),
    ],
};
