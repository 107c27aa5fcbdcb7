"""Reads the demo account with boto3; prints a sum of durations as its last line."""

import datetime

import boto3
from botocore.exceptions import ClientError


def code(call):
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("the call was not refused")


noon = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.timezone.utc)
hour = datetime.timedelta(hours=1)
cloudwatch = boto3.client("cloudwatch")


def query(id, metric, stat, period=60):
    return {
        "Id": id,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Lambda",
                "MetricName": metric,
                "Dimensions": [{"Name": "FunctionName", "Value": "checkout-create"}],
            },
            "Period": period,
            "Stat": stat,
        },
    }


def ask(queries, **more):
    window = {"StartTime": noon - 2 * hour, "EndTime": noon - hour}
    return cloudwatch.get_metric_data(MetricDataQueries=queries, **(window | more))


answer = ask([query("a", "Duration", "Sum"), query("b", "Duration", "p99"), query("c", "Invocations", "Sum")])
results = {r["Id"]: r for r in answer["MetricDataResults"]}
assert [len(results[i]["Values"]) for i in "abc"] == [60, 60, 60]
assert results["a"]["StatusCode"] == "Complete"
assert results["a"]["Timestamps"][0] == noon - hour - datetime.timedelta(minutes=1)

pages = [ask([query("a", "Duration", "Sum")], MaxDatapoints=25)]
while "NextToken" in pages[-1]:
    pages.append(ask([query("a", "Duration", "Sum")], MaxDatapoints=25, NextToken=pages[-1]["NextToken"]))
joined = [v for page in pages for r in page["MetricDataResults"] for v in r["Values"]]
assert joined == results["a"]["Values"], "pages differ from the whole"
assert [p["MetricDataResults"][0]["StatusCode"] for p in pages] == ["PartialData", "PartialData", "Complete"]

assert code(lambda: ask([query("a", "Duration", "Sum", period=7)])) == "ValidationError"
assert code(lambda: ask([query("A", "Duration", "Sum")])) == "ValidationError"
assert code(lambda: ask([query("a", "Duration", "Sum")], NextToken="made-up")) == "InvalidNextToken"

# The shape of AWS's command line example: metrics of one namespace, each with name and dimensions.
metrics = [m for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="AWS/ApiGateway") for m in page["Metrics"]]
assert {"Namespace": "AWS/ApiGateway", "MetricName": "Count", "Dimensions": [{"Name": "ApiName", "Value": "shop-api"}]} in metrics
assert all(set(m) == {"Namespace", "MetricName", "Dimensions"} for m in metrics)

functions = boto3.client("lambda").list_functions()["Functions"]
assert any(f["FunctionName"] == "checkout-pay" and f["MemorySize"] == 1024 for f in functions)
mappings = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
assert {m["FunctionArn"].split(":")[-1] for m in mappings} == {"order-email", "order-fulfil", "orders-projection"}

dynamodb = boto3.client("dynamodb")
tables = dynamodb.list_tables()["TableNames"]
assert "orders" in tables and "hr-people" in tables
orders = dynamodb.describe_table(TableName="orders")["Table"]
assert orders["ProvisionedThroughput"]["ReadCapacityUnits"] == 40
assert code(lambda: dynamodb.describe_table(TableName="nothing")) == "ResourceNotFoundException"

rest = boto3.client("apigateway")
api = rest.get_rest_apis()["items"][0]
assert [s["stageName"] for s in rest.get_stages(restApiId=api["id"])["item"]] == ["prod", "staging"]
assert code(lambda: rest.get_stages(restApiId="nothing")) == "NotFoundException"
http = boto3.client("apigatewayv2")
api = http.get_apis()["Items"][0]
assert [s["StageName"] for s in http.get_stages(ApiId=api["ApiId"])["Items"]] == ["$default"]

tagging = boto3.client("resourcegroupstaggingapi")
pages = tagging.get_paginator("get_resources").paginate(TagFilters=[{"Key": "team", "Values": ["payments"]}])
found = [r["ResourceARN"].split(":")[-1] for page in pages for r in page["ResourceTagMappingList"]]
assert found == ["checkout-pay", "refund-check", "refund-pay"], found

cloudformation = boto3.client("cloudformation")
summaries = cloudformation.list_stack_resources(StackName="checkout-prod")["StackResourceSummaries"]
assert ("AWS::DynamoDB::Table", "orders") in {(s["ResourceType"], s["PhysicalResourceId"]) for s in summaries}
assert code(lambda: cloudformation.list_stack_resources(StackName="nothing")) == "ValidationError"

sts = boto3.client("sts")
assert sts.get_caller_identity()["Account"] == "111122223333"
role = "arn:aws:iam::111122223333:role/nightjar-read-external"
assert code(lambda: sts.assume_role(RoleArn=role, RoleSessionName="test")) == "AccessDenied"
session = sts.assume_role(RoleArn=role, RoleSessionName="test", ExternalId="shop-7f3a")
assert session["AssumedRoleUser"]["Arn"].endswith(":assumed-role/nightjar-read-external/test")

print(sum(results["a"]["Values"]))
