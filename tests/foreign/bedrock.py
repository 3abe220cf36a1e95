"""A caller of Bedrock: boto3, unmodified. Orders come as JSON lines, and what came of each goes out as one.

    {"do": "converse", "prompt": "...", "fault": "throttle"}
    {"do": "converse_stream", "prompt": "...", "fault": "cut@2"}
    {"do": "count_tokens", "prompt": "..."}

`fault` goes out as the header by which the local AWS is asked to misbehave. An answer is what boto3 made of
the reply (`answer`, or `events` in their order); where it raised, `exception` names the class as a caller
catches it, with `status`, `code` and `message` where the service gave them.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

MODEL = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0"
# Inference profiles, which begin with a geography, count no tokens.
COUNTING_MODEL = MODEL.removeprefix("eu.")

client = boto3.client("bedrock-runtime", config=Config(read_timeout=2, retries={"total_max_attempts": 1}))
fault = None


def add_fault(params, **_):
    if fault is not None:
        params["headers"]["x-local-fault"] = fault


client.meta.events.register("before-call.bedrock-runtime", add_fault)


def messages(order):
    return order.get("messages") or [{"role": "user", "content": [{"text": order["prompt"]}]}]


def converse(order, _):
    answer = client.converse(modelId=order.get("model", MODEL), messages=messages(order), **order.get("more", {}))
    answer.pop("ResponseMetadata")
    return {"answer": answer}


def converse_stream(order, result):
    reply = client.converse_stream(modelId=order.get("model", MODEL), messages=messages(order), **order.get("more", {}))
    # What came before a failure is part of the result.
    result["events"] = []
    for event in reply["stream"]:
        result["events"].append(event)
    return {}


def count_tokens(order, _):
    answer = client.count_tokens(modelId=order.get("model", COUNTING_MODEL), input={"converse": {"messages": messages(order)}})
    answer.pop("ResponseMetadata")
    return {"answer": answer}


def raised(error):
    """The error as its class and members, the way a caller would tell errors apart."""
    told = {"exception": type(error).__name__, "message": str(error)}
    # An EventStreamError is a ClientError without a class of its own for each code.
    if isinstance(error, ClientError):
        told["code"] = error.response["Error"]["Code"]
        told["message"] = error.response["Error"]["Message"]
        told["status"] = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if isinstance(error, EventStreamError):
        told["status"] = None
    return told


for line in sys.stdin:
    order = json.loads(line)
    fault = order.get("fault")
    result = {}
    try:
        call = {"converse": converse, "converse_stream": converse_stream, "count_tokens": count_tokens}[order["do"]]
        result.update(call(order, result))
    except (ClientError, BotoCoreError) as error:
        result.update(raised(error))
    except Exception as error:  # urllib3's and the event stream's own errors reach the caller as they are
        result.update({"exception": type(error).__name__, "message": str(error)})
    print(json.dumps(result), flush=True)
