//! The metrics that the simulator publishes: one row each.

use super::account::Cause;

/// Which dimensions a metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dims {
    /// None: the whole region.
    Region,
    /// `FunctionName`.
    Function,
    /// `TableName`.
    Table,
    /// `TableName`, `GlobalSecondaryIndexName`.
    Index,
    /// `TableName`, `Operation`.
    Operation,
    /// `FunctionName`, `Resource`.
    Version,
    /// `EventSourceMappingUUID`.
    Mapping,
    /// `CapacityProviderName`, `InstanceType`.
    CapacityProvider,
    /// `CapacityProviderName`, `FunctionName`.
    Environment,
    /// `TableName`, `Operation`, `StreamLabel`.
    Stream,
    /// `TableName`, `ReceivingRegion`.
    Replica,
    /// `TableName`, `DelegatedOperation`.
    Kinesis,
    /// `ApiName`, `Stage`, `Resource`, `Method`.
    RestMethod,
    /// `ApiId`, `Stage`, `Resource`, `Method`.
    HttpRoute,
    /// `ApiName`.
    RestApi,
    /// `ApiName`, `Stage`.
    RestStage,
    /// `ApiId`.
    HttpApi,
    /// `ApiId`, `Stage`.
    HttpStage,
}

/// Whether capacity is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Requests that were carried out.
    Handled,
    /// 1 for each that failed, 0 for each that did not.
    Errors,
    /// 1 for each that failed by the client's fault.
    ClientErrors,
    /// 1 for each that was refused.
    Throttles,
    /// The same, where AWS publishes nothing while there are none.
    SparseThrottles,
    /// Failures, where AWS publishes nothing while there are none.
    SparseErrors,
    /// How long they took.
    Duration,
    /// How long those took that did not fail.
    SuccessDuration,
    /// The same plus what the gateway adds.
    LatencyWithOverhead,
    /// How many ran at once.
    Concurrency,
    /// Asynchronous events received.
    AsyncReceived,
    /// Age of asynchronous events.
    AsyncAge,
    /// Asynchronous events given up.
    AsyncDropped,
    /// Asynchronous events that the dead-letter queue did not take, where there are any.
    DeadLetterErrors,
    /// Requests to tables that were the client's fault, where there are any.
    UserErrors,
    /// Age of stream records.
    IteratorAge,
    /// Capacity consumed by reads.
    ConsumedRead,
    /// Capacity consumed by writes.
    ConsumedWrite,
    /// Read capacity that is provisioned.
    ProvisionedRead,
    /// Write capacity that is provisioned.
    ProvisionedWrite,
    /// Throttled reads.
    ReadThrottles,
    /// Throttled writes.
    WriteThrottles,
    /// Bytes sent.
    Bytes,
    /// So many of a thousand requests that were carried out.
    Part(u64),
    /// So many of a thousand failures.
    PartOfErrors(u64),
    /// So many of a thousand refusals.
    PartOfThrottles(u64),
    /// So many for each request, in one sample.
    Each(u64),
    /// How long they took, in thousandths of it.
    PartOfDuration(i64),
    /// Use of what is provisioned, in thousandths.
    Utilization,
    /// Something that goes up and down below a bound, used or not.
    Level(u64),
    /// Reads that were throttled for a reason.
    PartOfReadThrottles(Cause),
    /// Writes that were throttled for a reason.
    PartOfWriteThrottles(Cause),
    /// Events that Lambda stopped because they go round in a circle.
    Recursion,
    /// Use of the account's capacity for provisioned tables, in percent.
    AccountCapacity(Direction),
    /// The same of the table that uses most of it.
    GreatestTable(Direction),
    /// So many for a thousand writes.
    PartOfWrites(u64),
}

/// What a resource must be for a metric to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Anything.
    Nothing,
    /// A function that somebody invokes asynchronously.
    Async,
    /// One that has a dead-letter queue besides, which stands for a destination too.
    DeadLetter,
    /// One that a stream feeds.
    Stream,
    /// One that a change stream of `DocumentDB` feeds.
    DocumentDb,
    /// One that Kafka feeds.
    Kafka,
    /// One with a URL.
    Url,
    /// One that streams its responses.
    Streaming,
    /// One whose extensions go on after runs.
    Extensions,
    /// One with durable executions.
    Durable,
    /// One whose code is signed.
    Signed,
    /// One on managed instances.
    Managed,
    /// An alias with provisioned concurrency.
    Provisioned,
    /// A mapping that counts events.
    Events,
    /// One of these that reads a stream or Kafka.
    StreamEvents,
    /// One of these that reads a queue.
    QueueEvents,
    /// One of these that reads Kafka.
    KafkaEvents,
    /// A mapping of Kafka that counts errors.
    KafkaErrors,
    /// A mapping of Kafka that has its metrics.
    KafkaLag,
    /// A mapping with provisioned pollers.
    Pollers,
    /// A mapping of Kafka with provisioned pollers.
    KafkaPollers,
    /// A provisioned table.
    ProvisionedTable,
    /// A table on demand with a maximum.
    MaximumTable,
    /// A table with expiring items.
    TimeToLive,
    /// An index that is being built.
    Building,
    /// An operation that returns items.
    Items,
    /// A table into which AWS FIS injects errors.
    Faults,
    /// A global table of the version of 2017.
    Legacy,
    /// A stage with a cache.
    Cache,
    /// A WebSocket API.
    Websocket,
}

/// One metric.
#[derive(Debug)]
pub struct Row {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its dimensions.
    pub dims: Dims,
    /// What it measures.
    pub measure: Measure,
    /// What must be for it to exist.
    pub need: Need,
    /// It has a datapoint every so many minutes.
    pub minutes: i64,
}

const fn row(namespace: &'static str, name: &'static str, dims: Dims, measure: Measure) -> Row {
    Row {
        namespace,
        name,
        dims,
        measure,
        need: Need::Nothing,
        minutes: 1,
    }
}

impl Row {
    const fn of(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    const fn five(mut self) -> Self {
        self.minutes = 5;
        self
    }
}

/// Lambda's namespace.
pub const LAMBDA: &str = "AWS/Lambda";
/// `DynamoDB`'s namespace.
pub const DYNAMODB: &str = "AWS/DynamoDB";
/// API Gateway's namespace.
pub const GATEWAY: &str = "AWS/ApiGateway";

/// Every metric that is published.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row(LAMBDA, "Invocations", Dims::Function, Measure::Handled),
    row(LAMBDA, "Errors", Dims::Function, Measure::Errors),
    row(LAMBDA, "Throttles", Dims::Function, Measure::Throttles),
    row(LAMBDA, "Duration", Dims::Function, Measure::Duration),
    row(LAMBDA, "ConcurrentExecutions", Dims::Function, Measure::Concurrency),
    row(LAMBDA, "AsyncEventsReceived", Dims::Function, Measure::AsyncReceived).of(Need::Async),
    row(LAMBDA, "AsyncEventAge", Dims::Function, Measure::AsyncAge).of(Need::Async),
    row(LAMBDA, "AsyncEventsDropped", Dims::Function, Measure::AsyncDropped).of(Need::Async),
    row(LAMBDA, "DeadLetterErrors", Dims::Function, Measure::DeadLetterErrors).of(Need::DeadLetter),
    row(LAMBDA, "IteratorAge", Dims::Function, Measure::IteratorAge).of(Need::Stream),
    row(LAMBDA, "Invocations", Dims::Region, Measure::Handled),
    row(LAMBDA, "Errors", Dims::Region, Measure::Errors),
    row(LAMBDA, "Throttles", Dims::Region, Measure::Throttles),
    row(LAMBDA, "Duration", Dims::Region, Measure::Duration),
    row(LAMBDA, "ConcurrentExecutions", Dims::Region, Measure::Concurrency),
    row(LAMBDA, "UnreservedConcurrentExecutions", Dims::Region, Measure::Concurrency),
    row(LAMBDA, "ClaimedAccountConcurrency", Dims::Region, Measure::Concurrency),
    row(LAMBDA, "AsyncEventsReceived", Dims::Region, Measure::AsyncReceived).of(Need::Async),
    row(LAMBDA, "AsyncEventAge", Dims::Region, Measure::AsyncAge).of(Need::Async),
    row(LAMBDA, "AsyncEventsDropped", Dims::Region, Measure::AsyncDropped).of(Need::Async),
    row(LAMBDA, "DeadLetterErrors", Dims::Region, Measure::DeadLetterErrors).of(Need::DeadLetter),
    row(LAMBDA, "DestinationDeliveryFailures", Dims::Function, Measure::PartOfErrors(20)).of(Need::DeadLetter),
    row(LAMBDA, "RecursiveInvocationsDropped", Dims::Function, Measure::Recursion).of(Need::Async),
    row(LAMBDA, "OversizedRecordCount", Dims::Function, Measure::Part(3)).of(Need::DocumentDb),
    row(LAMBDA, "SignatureValidationErrors", Dims::Function, Measure::PartOfErrors(30)).of(Need::Signed),
    row(LAMBDA, "DestinationDeliveryFailures", Dims::Region, Measure::PartOfErrors(20)).of(Need::DeadLetter),
    row(LAMBDA, "RecursiveInvocationsDropped", Dims::Region, Measure::Recursion).of(Need::Async),
    row(LAMBDA, "OversizedRecordCount", Dims::Region, Measure::Part(3)).of(Need::DocumentDb),
    row(LAMBDA, "SignatureValidationErrors", Dims::Region, Measure::PartOfErrors(30)).of(Need::Signed),
    row(LAMBDA, "OffsetLag", Dims::Function, Measure::Level(5000)).of(Need::Kafka),
    row(LAMBDA, "UrlRequestCount", Dims::Function, Measure::Handled).of(Need::Url),
    row(LAMBDA, "Url4xxCount", Dims::Function, Measure::Part(15)).of(Need::Url),
    row(LAMBDA, "Url5xxCount", Dims::Function, Measure::PartOfErrors(1000)).of(Need::Url),
    row(LAMBDA, "UrlRequestLatency", Dims::Function, Measure::PartOfDuration(1100)).of(Need::Url),
    row(LAMBDA, "PostRuntimeExtensionsDuration", Dims::Function, Measure::PartOfDuration(200)).of(Need::Extensions),
    row(LAMBDA, "TimeToFirstByteLatency", Dims::Function, Measure::PartOfDuration(300)).of(Need::Streaming),
    row(LAMBDA, "TimeToLastByteLatency", Dims::Function, Measure::PartOfDuration(1000)).of(Need::Streaming),
    row(LAMBDA, "StreamedOutboundBytes", Dims::Function, Measure::Each(64_000)).of(Need::Streaming),
    row(LAMBDA, "StreamedOutboundThroughput", Dims::Function, Measure::Level(2_000_000)).of(Need::Streaming),
    row(LAMBDA, "DurableExecutionStarted", Dims::Function, Measure::Part(100)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionSucceeded", Dims::Function, Measure::Part(90)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionFailed", Dims::Function, Measure::PartOfErrors(500)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionTimedOut", Dims::Function, Measure::PartOfErrors(100)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionStopped", Dims::Function, Measure::PartOfErrors(50)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionDuration", Dims::Function, Measure::PartOfDuration(20_000)).of(Need::Durable),
    row(LAMBDA, "ApproximateRunningDurableExecutions", Dims::Function, Measure::Level(500)).of(Need::Durable),
    row(LAMBDA, "ApproximateRunningDurableExecutionsUtilization", Dims::Function, Measure::Level(100)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionOperations", Dims::Function, Measure::Level(3000)).of(Need::Durable),
    row(LAMBDA, "DurableExecutionStorageWrittenBytes", Dims::Function, Measure::Level(100_000_000)).of(Need::Durable),
    row(LAMBDA, "CPUThrottles", Dims::Function, Measure::PartOfThrottles(400)).of(Need::Managed),
    row(LAMBDA, "MemoryThrottles", Dims::Function, Measure::PartOfThrottles(300)).of(Need::Managed),
    row(LAMBDA, "DiskThrottles", Dims::Function, Measure::PartOfThrottles(100)).of(Need::Managed),
    row(LAMBDA, "ConcurrencyThrottles", Dims::Function, Measure::PartOfThrottles(200)).of(Need::Managed),
    row(LAMBDA, "Invocations", Dims::Version, Measure::Handled),
    row(LAMBDA, "Errors", Dims::Version, Measure::Errors),
    row(LAMBDA, "Throttles", Dims::Version, Measure::Throttles),
    row(LAMBDA, "Duration", Dims::Version, Measure::Duration),
    row(LAMBDA, "ConcurrentExecutions", Dims::Version, Measure::Concurrency),
    row(LAMBDA, "ProvisionedConcurrencyInvocations", Dims::Version, Measure::Part(950)).of(Need::Provisioned),
    row(LAMBDA, "ProvisionedConcurrencySpilloverInvocations", Dims::Version, Measure::Part(50)).of(Need::Provisioned),
    row(LAMBDA, "ProvisionedConcurrentExecutions", Dims::Version, Measure::Concurrency).of(Need::Provisioned),
    row(LAMBDA, "ProvisionedConcurrencyUtilization", Dims::Version, Measure::Utilization).of(Need::Provisioned),
    row(LAMBDA, "PolledEventCount", Dims::Mapping, Measure::Handled).of(Need::Events),
    row(LAMBDA, "FilteredOutEventCount", Dims::Mapping, Measure::Part(50)).of(Need::Events),
    row(LAMBDA, "InvokedEventCount", Dims::Mapping, Measure::Part(950)).of(Need::Events),
    row(LAMBDA, "FailedInvokeEventCount", Dims::Mapping, Measure::Part(20)).of(Need::Events),
    row(LAMBDA, "DroppedEventCount", Dims::Mapping, Measure::Part(6)).of(Need::StreamEvents),
    row(LAMBDA, "OnFailureDestinationDeliveredEventCount", Dims::Mapping, Measure::Part(4)).of(Need::StreamEvents),
    row(LAMBDA, "DeletedEventCount", Dims::Mapping, Measure::Part(930)).of(Need::QueueEvents),
    row(LAMBDA, "CommittedEventCount", Dims::Mapping, Measure::Part(940)).of(Need::KafkaEvents),
    row(LAMBDA, "PollingErrorCount", Dims::Mapping, Measure::Part(2)).of(Need::KafkaErrors),
    row(LAMBDA, "InvokeErrorCount", Dims::Mapping, Measure::Part(20)).of(Need::KafkaErrors),
    row(LAMBDA, "SchemaRegistryErrorCount", Dims::Mapping, Measure::Part(3)).of(Need::KafkaErrors),
    row(LAMBDA, "CommitErrorCount", Dims::Mapping, Measure::Part(1)).of(Need::KafkaErrors),
    row(LAMBDA, "OnFailureDestinationDeliveryErrorCount", Dims::Mapping, Measure::Part(5)).of(Need::KafkaErrors),
    row(LAMBDA, "MaxOffsetLag", Dims::Mapping, Measure::Level(2000)).of(Need::KafkaLag),
    row(LAMBDA, "SumOffsetLag", Dims::Mapping, Measure::Level(9000)).of(Need::KafkaLag),
    row(LAMBDA, "ProvisionedPollers", Dims::Mapping, Measure::Level(20)).of(Need::Pollers),
    row(LAMBDA, "EventPollerUnit", Dims::Mapping, Measure::Level(8)).of(Need::KafkaPollers),
    row(LAMBDA, "EventPollerThroughputInBytes", Dims::Mapping, Measure::Each(700)).of(Need::KafkaPollers),
    row(LAMBDA, "CPUUtilization", Dims::CapacityProvider, Measure::Level(100)).five(),
    row(LAMBDA, "MemoryUtilization", Dims::CapacityProvider, Measure::Level(100)).five(),
    row(LAMBDA, "vCPUAvailable", Dims::CapacityProvider, Measure::Level(64)).five(),
    row(LAMBDA, "vCPUAllocated", Dims::CapacityProvider, Measure::Level(64)).five(),
    row(LAMBDA, "MemoryAvailable", Dims::CapacityProvider, Measure::Level(256_000_000_000)).five(),
    row(LAMBDA, "MemoryAllocated", Dims::CapacityProvider, Measure::Level(256_000_000_000)).five(),
    row(LAMBDA, "NetworkIn", Dims::CapacityProvider, Measure::Each(3000)).five(),
    row(LAMBDA, "NetworkOut", Dims::CapacityProvider, Measure::Each(9000)).five(),
    row(LAMBDA, "DiskReadBytes", Dims::CapacityProvider, Measure::Each(500)).five(),
    row(LAMBDA, "DiskWriteBytes", Dims::CapacityProvider, Measure::Each(800)).five(),
    row(LAMBDA, "ExecutionEnvironmentConcurrency", Dims::Environment, Measure::Level(16)).five(),
    row(LAMBDA, "ExecutionEnvironmentConcurrencyLimit", Dims::Environment, Measure::Level(16)).five(),
    row(LAMBDA, "ExecutionEnvironmentCPUUtilization", Dims::Environment, Measure::Level(100)).five(),
    row(LAMBDA, "ExecutionEnvironmentMemoryUtilization", Dims::Environment, Measure::Level(100)).five(),
    row(DYNAMODB, "ConsumedReadCapacityUnits", Dims::Table, Measure::ConsumedRead),
    row(DYNAMODB, "ConsumedWriteCapacityUnits", Dims::Table, Measure::ConsumedWrite),
    row(DYNAMODB, "ConsumedWriteCapacityUnits", Dims::Index, Measure::ConsumedWrite),
    row(DYNAMODB, "ProvisionedReadCapacityUnits", Dims::Table, Measure::ProvisionedRead),
    row(DYNAMODB, "ProvisionedWriteCapacityUnits", Dims::Table, Measure::ProvisionedWrite),
    row(DYNAMODB, "ReadThrottleEvents", Dims::Table, Measure::ReadThrottles),
    row(DYNAMODB, "WriteThrottleEvents", Dims::Table, Measure::WriteThrottles),
    row(DYNAMODB, "ThrottledRequests", Dims::Operation, Measure::SparseThrottles),
    row(DYNAMODB, "SuccessfulRequestLatency", Dims::Operation, Measure::SuccessDuration),
    row(DYNAMODB, "SystemErrors", Dims::Operation, Measure::SparseErrors),
    row(DYNAMODB, "UserErrors", Dims::Region, Measure::UserErrors),
    row(DYNAMODB, "ReadKeyRangeThroughputThrottleEvents", Dims::Table, Measure::PartOfReadThrottles(Cause::KeyRange)),
    row(DYNAMODB, "ReadAccountLimitThrottleEvents", Dims::Table, Measure::PartOfReadThrottles(Cause::Account)),
    row(DYNAMODB, "ReadProvisionedThroughputThrottleEvents", Dims::Table, Measure::PartOfReadThrottles(Cause::Provisioned)).of(Need::ProvisionedTable),
    row(DYNAMODB, "ReadMaxOnDemandThroughputThrottleEvents", Dims::Table, Measure::PartOfReadThrottles(Cause::Maximum)).of(Need::MaximumTable),
    row(DYNAMODB, "WriteKeyRangeThroughputThrottleEvents", Dims::Table, Measure::PartOfWriteThrottles(Cause::KeyRange)),
    row(DYNAMODB, "WriteAccountLimitThrottleEvents", Dims::Table, Measure::PartOfWriteThrottles(Cause::Account)),
    row(DYNAMODB, "WriteProvisionedThroughputThrottleEvents", Dims::Table, Measure::PartOfWriteThrottles(Cause::Provisioned)).of(Need::ProvisionedTable),
    row(DYNAMODB, "WriteMaxOnDemandThroughputThrottleEvents", Dims::Table, Measure::PartOfWriteThrottles(Cause::Maximum)).of(Need::MaximumTable),
    row(DYNAMODB, "WriteThrottleEvents", Dims::Index, Measure::WriteThrottles),
    row(DYNAMODB, "WriteKeyRangeThroughputThrottleEvents", Dims::Index, Measure::PartOfWriteThrottles(Cause::KeyRange)),
    row(DYNAMODB, "WriteAccountLimitThrottleEvents", Dims::Index, Measure::PartOfWriteThrottles(Cause::Account)),
    row(DYNAMODB, "WriteProvisionedThroughputThrottleEvents", Dims::Index, Measure::PartOfWriteThrottles(Cause::Provisioned)).of(Need::ProvisionedTable),
    row(DYNAMODB, "WriteMaxOnDemandThroughputThrottleEvents", Dims::Index, Measure::PartOfWriteThrottles(Cause::Maximum)).of(Need::MaximumTable),
    row(DYNAMODB, "ConditionalCheckFailedRequests", Dims::Table, Measure::PartOfWrites(12)),
    row(DYNAMODB, "TransactionConflict", Dims::Table, Measure::PartOfWrites(4)),
    row(DYNAMODB, "TimeToLiveDeletedItemCount", Dims::Table, Measure::PartOfWrites(700)).of(Need::TimeToLive),
    row(DYNAMODB, "OnlineIndexPercentageProgress", Dims::Index, Measure::Level(100)).of(Need::Building).five(),
    row(DYNAMODB, "ReturnedItemCount", Dims::Operation, Measure::Each(7)).of(Need::Items),
    row(DYNAMODB, "FaultInjectionServiceInducedErrors", Dims::Operation, Measure::Part(25)).of(Need::Faults),
    row(DYNAMODB, "ReturnedBytes", Dims::Stream, Measure::PartOfWrites(800_000)),
    row(DYNAMODB, "ReturnedRecordsCount", Dims::Stream, Measure::PartOfWrites(1000)),
    row(DYNAMODB, "ReplicationLatency", Dims::Replica, Measure::Level(1500)).five(),
    row(DYNAMODB, "PendingReplicationCount", Dims::Replica, Measure::Level(40)).of(Need::Legacy).five(),
    row(DYNAMODB, "AgeOfOldestUnreplicatedRecord", Dims::Kinesis, Measure::Level(3000)).five(),
    row(DYNAMODB, "ConsumedChangeDataCaptureUnits", Dims::Kinesis, Measure::PartOfWrites(1000)).five(),
    row(DYNAMODB, "FailedToReplicateRecordCount", Dims::Kinesis, Measure::PartOfWrites(2)).five(),
    row(DYNAMODB, "ThrottledPutRecordCount", Dims::Kinesis, Measure::PartOfWrites(9)).five(),
    row(DYNAMODB, "AccountProvisionedReadCapacityUtilization", Dims::Region, Measure::AccountCapacity(Direction::Read)).five(),
    row(DYNAMODB, "MaxProvisionedTableReadCapacityUtilization", Dims::Region, Measure::GreatestTable(Direction::Read)).five(),
    row(DYNAMODB, "AccountProvisionedWriteCapacityUtilization", Dims::Region, Measure::AccountCapacity(Direction::Write)).five(),
    row(DYNAMODB, "MaxProvisionedTableWriteCapacityUtilization", Dims::Region, Measure::GreatestTable(Direction::Write)).five(),
    row(GATEWAY, "Count", Dims::RestStage, Measure::Handled),
    row(GATEWAY, "4XXError", Dims::RestStage, Measure::ClientErrors),
    row(GATEWAY, "5XXError", Dims::RestStage, Measure::Errors),
    row(GATEWAY, "Latency", Dims::RestStage, Measure::LatencyWithOverhead),
    row(GATEWAY, "IntegrationLatency", Dims::RestStage, Measure::Duration),
    row(GATEWAY, "Count", Dims::RestApi, Measure::Handled),
    row(GATEWAY, "4XXError", Dims::RestApi, Measure::ClientErrors),
    row(GATEWAY, "5XXError", Dims::RestApi, Measure::Errors),
    row(GATEWAY, "Latency", Dims::RestApi, Measure::LatencyWithOverhead),
    row(GATEWAY, "IntegrationLatency", Dims::RestApi, Measure::Duration),
    row(GATEWAY, "Count", Dims::HttpStage, Measure::Handled),
    row(GATEWAY, "4xx", Dims::HttpStage, Measure::ClientErrors),
    row(GATEWAY, "5xx", Dims::HttpStage, Measure::Errors),
    row(GATEWAY, "Latency", Dims::HttpStage, Measure::LatencyWithOverhead),
    row(GATEWAY, "IntegrationLatency", Dims::HttpStage, Measure::Duration),
    row(GATEWAY, "DataProcessed", Dims::HttpStage, Measure::Bytes),
    row(GATEWAY, "Count", Dims::HttpApi, Measure::Handled),
    row(GATEWAY, "4xx", Dims::HttpApi, Measure::ClientErrors),
    row(GATEWAY, "5xx", Dims::HttpApi, Measure::Errors),
    row(GATEWAY, "Latency", Dims::HttpApi, Measure::LatencyWithOverhead),
    row(GATEWAY, "IntegrationLatency", Dims::HttpApi, Measure::Duration),
    row(GATEWAY, "DataProcessed", Dims::HttpApi, Measure::Bytes),
    row(GATEWAY, "CacheHitCount", Dims::RestStage, Measure::Part(700)).of(Need::Cache),
    row(GATEWAY, "CacheMissCount", Dims::RestStage, Measure::Part(300)).of(Need::Cache),
    row(GATEWAY, "ConnectCount", Dims::HttpStage, Measure::Part(100)).of(Need::Websocket),
    row(GATEWAY, "MessageCount", Dims::HttpStage, Measure::Handled).of(Need::Websocket),
    row(GATEWAY, "IntegrationError", Dims::HttpStage, Measure::PartOfErrors(900)).of(Need::Websocket),
    row(GATEWAY, "ClientError", Dims::HttpStage, Measure::Part(8)).of(Need::Websocket),
    row(GATEWAY, "ExecutionError", Dims::HttpStage, Measure::PartOfErrors(100)).of(Need::Websocket),
    row(GATEWAY, "IntegrationLatency", Dims::HttpStage, Measure::Duration).of(Need::Websocket),
    row(GATEWAY, "Count", Dims::RestMethod, Measure::Handled),
    row(GATEWAY, "4XXError", Dims::RestMethod, Measure::ClientErrors),
    row(GATEWAY, "5XXError", Dims::RestMethod, Measure::Errors),
    row(GATEWAY, "Latency", Dims::RestMethod, Measure::LatencyWithOverhead),
    row(GATEWAY, "IntegrationLatency", Dims::RestMethod, Measure::Duration),
    row(GATEWAY, "Count", Dims::HttpRoute, Measure::Handled),
    row(GATEWAY, "4xx", Dims::HttpRoute, Measure::ClientErrors),
    row(GATEWAY, "5xx", Dims::HttpRoute, Measure::Errors),
    row(GATEWAY, "Latency", Dims::HttpRoute, Measure::LatencyWithOverhead),
    row(GATEWAY, "IntegrationLatency", Dims::HttpRoute, Measure::Duration),
];

impl Dims {
    /// Names of the dimensions, in order.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Region => &[],
            Self::Function => &["FunctionName"],
            Self::Table => &["TableName"],
            Self::Index => &["TableName", "GlobalSecondaryIndexName"],
            Self::Operation => &["TableName", "Operation"],
            Self::Version => &["FunctionName", "Resource"],
            Self::Mapping => &["EventSourceMappingUUID"],
            Self::CapacityProvider => &["CapacityProviderName", "InstanceType"],
            Self::Environment => &["CapacityProviderName", "FunctionName"],
            Self::Stream => &["TableName", "Operation", "StreamLabel"],
            Self::Replica => &["TableName", "ReceivingRegion"],
            Self::Kinesis => &["TableName", "DelegatedOperation"],
            Self::RestMethod => &["ApiName", "Stage", "Resource", "Method"],
            Self::HttpRoute => &["ApiId", "Stage", "Resource", "Method"],
            Self::RestApi => &["ApiName"],
            Self::RestStage => &["ApiName", "Stage"],
            Self::HttpApi => &["ApiId"],
            Self::HttpStage => &["ApiId", "Stage"],
        }
    }
}
