"""An account with costs, made with boto3. Orders come as JSON lines, and what came of each goes out as one.

    {"do": "count", "agent": NAME, "metrics": {NAME: [[MOMENT, VALUE], ...]}}   what an agent counted
    {"do": "bill", "answers": [ANSWER, ...]}    what moto's Cost Explorer is to answer, which bills nothing by itself
    {"do": "shapes", "costs": ANSWER, "metrics": ANSWER}    whether answers are as botocore knows them: what is wrong

Moments are seconds since 1970.
"""

import datetime
import json
import os
import sys
import urllib.request

import boto3
from botocore.validate import ParamValidator

cloudwatch = boto3.client("cloudwatch")
explorer = boto3.client("ce")


def count(order):
    data = [
        {"MetricName": name, "Timestamp": datetime.datetime.fromtimestamp(moment, datetime.timezone.utc), "Value": value}
        for name, counted in order["metrics"].items()
        for moment, value in counted
    ]
    cloudwatch.put_metric_data(Namespace="AgentCore/" + order["agent"], MetricData=data)
    return {}


def bill(order):
    url = os.environ["AWS_ENDPOINT_URL"] + "/moto-api/static/ce/cost-and-usage-results"
    body = json.dumps({"results": order["answers"]}).encode()
    urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
    return {}


def shapes(order):
    known = {
        "costs": explorer.meta.service_model.operation_model("GetCostAndUsage"),
        "metrics": cloudwatch.meta.service_model.operation_model("GetMetricData"),
    }
    reports = [ParamValidator().validate(order[name], model.output_shape) for name, model in known.items()]
    return {"wrong": [report.generate_report() for report in reports if report.has_errors()]}


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"count": count, "bill": bill, "shapes": shapes}[order["do"]](order)), flush=True)
