"""Compares the simulator's answers with the examples that AWS publishes (and botocore brings along), member by member.

A member that the example has and the answer has not, or that is of another type, is a mistake, but for those that are
listed here: what no client of the simulator's reads. Prints a line for each operation that was compared.
"""

import boto3
import botocore.session

loader = botocore.session.get_session().get_component("data_loader")

# What is asked of the demo account, by service and operation.
CALLS = {
    "lambda": {
        "ListFunctions": {},
        "GetFunction": {"FunctionName": "checkout-pay"},
        "GetFunctionConfiguration": {"FunctionName": "checkout-pay"},
        "GetFunctionConcurrency": {"FunctionName": "checkout-pay"},
        "ListVersionsByFunction": {"FunctionName": "checkout-pay"},
        "ListAliases": {"FunctionName": "checkout-pay"},
        "ListProvisionedConcurrencyConfigs": {"FunctionName": "checkout-pay"},
        "ListEventSourceMappings": {},
        "GetAccountSettings": {},
        "ListTags": {"Resource": "arn:aws:lambda:eu-west-1:111122223333:function:checkout-pay"},
    },
    "dynamodb": {"ListTables": {}, "DescribeTable": {"TableName": "orders"}, "DescribeLimits": {}},
    "sts": {
        "GetCallerIdentity": {},
        "AssumeRole": {
            "RoleArn": "arn:aws:iam::111122223333:role/nightjar-read-external",
            "RoleSessionName": "test",
            "ExternalId": "shop-7f3a",
        },
        "AssumeRoleWithWebIdentity": {
            "RoleArn": "arn:aws:iam::111122223333:role/nightjar-read",
            "RoleSessionName": "test",
            "WebIdentityToken": "anything",
        },
    },
    "application-autoscaling": {"DescribeScalableTargets": {"ServiceNamespace": "dynamodb"}},
}
# Settings that no function of the account file has, where its code can be fetched, a last page's empty marker, what answers a policy that was
# not sent, and what a token says of its owner: this one says nothing.
NOT_PLAYED = {
    "ListFunctions": [".Functions[].VpcConfig", ".NextMarker"],
    "GetFunction": [".Configuration.Environment", ".Configuration.KMSKeyArn", ".Code.Location"],
    "GetFunctionConfiguration": [".Environment", ".KMSKeyArn"],
    "ListVersionsByFunction": [".Versions[].Environment", ".Versions[].KMSKeyArn"],
    "ListAliases": [".Aliases[].Description", ".Aliases[].RevisionId", ".Aliases[].RoutingConfig"],
    "AssumeRole": [".PackedPolicySize"],
    "AssumeRoleWithWebIdentity": [".PackedPolicySize", ".Audience", ".Provider", ".SubjectFromWebIdentityToken"],
}


def members(value, path=""):
    """Every member as {path: type}; the elements of a list are taken together, as are the values of a map of names."""
    if isinstance(value, dict):
        found = {}
        for name, inner in value.items():
            found |= members(inner, f"{path}.{name}")
        return found | ({path: "structure"} if path else {})
    if isinstance(value, list):
        found = {path: "list"}
        for inner in value:
            found |= members(inner, f"{path}[]")
        return found
    if isinstance(value, bool):
        return {path: "boolean"}
    return {path: "number" if isinstance(value, (int, float)) else "text"}


wrong = []
for service, calls in CALLS.items():
    client = boto3.client(service)
    published = loader.load_service_model(service, "examples-1")["examples"]
    names = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
    for operation, arguments in calls.items():
        answer = getattr(client, names[operation])(**arguments)
        del answer["ResponseMetadata"]
        ours = members(answer)
        for example in published[operation]:
            for path, kind in members(example["output"]).items():
                # Times are written as text in the examples, and tags are the customer's own.
                if path.startswith((".Tags.", *NOT_PLAYED.get(operation, ()))):
                    continue
                if path not in ours:
                    wrong.append(f"{operation}: no {path}")
                elif ours[path] != kind and not path.endswith(("LastModified", "CreationDateTime", "Expiration")):
                    wrong.append(f"{operation}: {path} is {ours[path]} and not {kind}")
        print("ok", service, operation)
assert not wrong, "\n".join(sorted(set(wrong)))
