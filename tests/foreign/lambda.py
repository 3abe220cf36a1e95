"""A caller of a Lambda function: boto3, unmodified. Orders come as JSON lines, answers go out as such.

    {"do": "invoke", "payload": {...}}      the answer has the function's as its `payload`
"""

import json
import sys

import boto3

FUNCTION = "_"

functions = boto3.client("lambda")


def invoke(order):
    answer = functions.invoke(FunctionName=FUNCTION, Payload=json.dumps(order["payload"]))
    return {"payload": json.load(answer["Payload"])}


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"invoke": invoke}[order["do"]](order)), flush=True)
