"""An operator who looks at an account: boto3, unmodified. Orders come as JSON lines, answers go out as such.

    {"do": "look"}                           everything there: `runtimes`, `memories`, `roles`, `objects`
    {"do": "zip", "bucket": B, "key": K}     what a zip holds: the mode of each file
    {"do": "role", "name": N}                makes a role that AgentCore may take; the answer has its `arn`
    {"do": "stack", "name": N, "template": T, "parameters": {...}}   makes a stack; the answer is its outputs
    {"do": "bucket", "name": N}              how a bucket is set up
    {"do": "group", "name": N}               makes a log group, as the service does at an agent's first call
    {"do": "composite", "properties": {...}} makes a composite alarm
    {"do": "watched"}                        `alarms`, `composites`, `filters` and `dashboards`, as they are there
    {"do": "topic", "name": N}               makes a topic and a queue that hears it; the answer has its `arn`
    {"do": "measure", "namespace": N, "name": M, "dimensions": [...], "values": [...]}   puts a metric's values
    {"do": "states"}                         what every alarm says
    {"do": "heard", "queue": Q}              what came to a queue since it was last asked
"""

import io
import json
import sys
import zipfile

import boto3

control = boto3.client("bedrock-agentcore-control")
s3 = boto3.client("s3")
iam = boto3.client("iam")
cloudformation = boto3.client("cloudformation")
cloudwatch = boto3.client("cloudwatch")
logs = boto3.client("logs")
sns = boto3.client("sns")
sqs = boto3.client("sqs")


def look(order):
    runtimes = []
    for runtime in control.list_agent_runtimes()["agentRuntimes"]:
        about = control.get_agent_runtime(agentRuntimeId=runtime["agentRuntimeId"])
        code = about["agentRuntimeArtifact"]["codeConfiguration"]
        runtimes.append(
            {
                "name": about["agentRuntimeName"],
                "version": about["agentRuntimeVersion"],
                "runtime": code["runtime"],
                "entry_point": code["entryPoint"],
                "code": code["code"]["s3"],
                "environment": about.get("environmentVariables", {}),
                "protocol": about["protocolConfiguration"]["serverProtocol"],
                "network": about["networkConfiguration"]["networkMode"],
            }
        )
    memories = []
    for memory in control.list_memories()["memories"]:
        about = control.get_memory(memoryId=memory["id"])["memory"]
        memories.append({"name": about["name"], "id": about["id"], "days": about["eventExpiryDuration"]})
    objects = []
    for bucket in s3.list_buckets()["Buckets"]:
        found = s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
        objects += [f"{bucket['Name']}/{one['Key']}" for one in found]
    return {
        "runtimes": sorted(runtimes, key=lambda one: one["name"]),
        "memories": sorted(memories, key=lambda one: one["name"]),
        "roles": sorted(role["RoleName"] for role in iam.list_roles()["Roles"]),
        "objects": sorted(objects),
    }


def entries(order):
    body = s3.get_object(Bucket=order["bucket"], Key=order["key"])["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {one.filename: oct(one.external_attr >> 16 & 0o7777) for one in archive.infolist()}


def role(order):
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "bedrock-agentcore.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    made = iam.create_role(RoleName=order["name"], AssumeRolePolicyDocument=json.dumps(trust))
    return {"arn": made["Role"]["Arn"]}


def stack(order):
    name = order["name"]
    with open(order["template"]) as template:
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in order["parameters"].items()]
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=template.read(),
            Parameters=parameters,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    made = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {one["OutputKey"]: one["OutputValue"] for one in made.get("Outputs", [])}


def bucket(order):
    name = order["name"]
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    [denied] = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    return {
        "encryption": encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
        "closed": sorted(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].items()),
        "versioning": s3.get_bucket_versioning(Bucket=name)["Status"],
        "denied": [denied["Effect"], denied["Action"], denied["Condition"]],
    }


def group(order):
    logs.create_log_group(logGroupName=order["name"])
    return {}


def composite(order):
    cloudwatch.put_composite_alarm(**order["properties"])
    return {}


def alarms(kind):
    return cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100)[kind]


def watched(order):
    members = ["Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator"]
    members += ["TreatMissingData", "Dimensions", "AlarmActions"]
    dashboards = [one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]]
    return {
        "alarms": {
            one["AlarmName"]: {name: one[name] for name in members if one.get(name)} for one in alarms("MetricAlarms")
        },
        "composites": {one["AlarmName"]: one["AlarmRule"] for one in alarms("CompositeAlarms")},
        "filters": {
            one["filterName"]: [one["logGroupName"], one["filterPattern"], one["metricTransformations"]]
            for one in logs.describe_metric_filters()["metricFilters"]
        },
        "dashboards": {
            name: json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]) for name in dashboards
        },
    }


def topic(order):
    arn = sns.create_topic(Name=order["name"])["TopicArn"]
    queue = sqs.create_queue(QueueName=order["name"])["QueueUrl"]
    hears = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=hears)
    return {"arn": arn, "queue": queue}


def measure(order):
    data = [
        {"MetricName": order["name"], "Dimensions": order["dimensions"], "Value": value} for value in order["values"]
    ]
    cloudwatch.put_metric_data(Namespace=order["namespace"], MetricData=data)
    return {}


def states(order):
    return {one["AlarmName"]: one["StateValue"] for kind in ("MetricAlarms", "CompositeAlarms") for one in alarms(kind)}


def heard(order):
    came = []
    while messages := sqs.receive_message(QueueUrl=order["queue"], MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            alarm = json.loads(json.loads(message["Body"])["Message"])
            came.append([alarm["AlarmName"], alarm["NewStateValue"]])
            sqs.delete_message(QueueUrl=order["queue"], ReceiptHandle=message["ReceiptHandle"])
    return came


does = {
    "look": look,
    "zip": entries,
    "role": role,
    "stack": stack,
    "bucket": bucket,
    "group": group,
    "composite": composite,
    "watched": watched,
    "topic": topic,
    "measure": measure,
    "states": states,
    "heard": heard,
}
for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(does[order["do"]](order)), flush=True)
