//! Asks for nothing, to learn whether an IAM action is allowed.

use std::time::{Duration, SystemTime};

use aws_sdk_applicationautoscaling::types::ServiceNamespace;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Metric, MetricDataQuery, MetricStat};

use super::{AwsError, Clients};

/// A resource of this name is not expected to exist: IAM decides before AWS looks for it.
const NO_RESOURCE: &str = "nightjar-permission-check";

impl Clients {
    /// Sends the cheapest request of an action; the error is `AccessDenied` when it is not allowed.
    /// `None` when there is no such request.
    ///
    /// All are free but `cloudwatch:GetMetricData`: no other request needs that permission, and one
    /// metric is billed at 0.00001 US dollars.
    pub async fn probe(&self, action: &'static str) -> Option<Result<(), AwsError>> {
        Some(match action {
            "cloudwatch:GetMetricData" => {
                let now = SystemTime::now();
                let metric = Metric::builder()
                    .namespace("AWS/Lambda")
                    .metric_name("Invocations")
                    .build();
                let stat = MetricStat::builder()
                    .metric(metric)
                    .period(60)
                    .stat("Sum")
                    .build();
                let query = MetricDataQuery::builder().id("q").metric_stat(stat).build();
                let request = self
                    .cloudwatch
                    .get_metric_data()
                    .metric_data_queries(query)
                    .start_time(DateTime::from(now - Duration::from_mins(5)))
                    .end_time(DateTime::from(now))
                    .send();
                let answer = self.call(action, request).await.map(drop);
                if answer.is_ok() {
                    self.billed(1, "probe");
                }
                answer
            }
            "cloudwatch:ListMetrics" => {
                let request = self
                    .cloudwatch
                    .list_metrics()
                    .namespace("AWS/Lambda")
                    .metric_name("Invocations");
                self.call(action, request.send()).await.map(drop)
            }
            "dynamodb:DescribeTable" => {
                let request = self.dynamodb.describe_table().table_name(NO_RESOURCE);
                self.call(action, request.send()).await.map(drop)
            }
            "lambda:ListFunctions" => {
                let request = self.lambda.list_functions().max_items(1);
                self.call(action, request.send()).await.map(drop)
            }
            "lambda:GetFunctionConfiguration" => {
                let request = self
                    .lambda
                    .get_function_configuration()
                    .function_name(NO_RESOURCE);
                self.call(action, request.send()).await.map(drop)
            }
            "lambda:GetFunctionConcurrency" => {
                let request = self
                    .lambda
                    .get_function_concurrency()
                    .function_name(NO_RESOURCE);
                self.call(action, request.send()).await.map(drop)
            }
            "lambda:ListEventSourceMappings" => {
                let request = self.lambda.list_event_source_mappings().max_items(1);
                self.call(action, request.send()).await.map(drop)
            }
            "lambda:GetAccountSettings" => {
                let request = self.lambda.get_account_settings();
                self.call(action, request.send()).await.map(drop)
            }
            "dynamodb:DescribeTimeToLive" => {
                let request = self
                    .dynamodb
                    .describe_time_to_live()
                    .table_name(NO_RESOURCE);
                self.call(action, request.send()).await.map(drop)
            }
            "dynamodb:DescribeLimits" => {
                let request = self.dynamodb.describe_limits();
                self.call(action, request.send()).await.map(drop)
            }
            "application-autoscaling:DescribeScalableTargets" => {
                let request = self.autoscaling.describe_scalable_targets();
                let request = request
                    .service_namespace(ServiceNamespace::Dynamodb)
                    .max_results(1);
                self.call(action, request.send()).await.map(drop)
            }
            _ => return None,
        })
    }
}
