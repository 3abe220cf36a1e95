"""A caller of AgentCore: boto3, unmodified. Orders come as JSON lines, and what came of each goes out as one.

    {"do": "invoke", "arn": ARN, "session": ID, "payload": {...}, "accept": "text/event-stream"}
    {"do": "card", "arn": ARN, "session": ID}
    {"do": "stop", "arn": ARN, "session": ID}

An agent that speaks MCP takes `contentType`, `mcpSessionId` and `mcpProtocolVersion` as well. An answer has `status`,
`content_type`, `session`, `mcp_session` and `body` (its text), or `exception`, the name of the class
that was raised, with `status` and `message`.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

client = boto3.client("bedrock-agentcore", config=Config(read_timeout=50, retries={"total_max_attempts": 1}))


def invoke(order):
    arguments = {"agentRuntimeArn": order["arn"], "payload": json.dumps(order["payload"]).encode()}
    if "session" in order:
        arguments["runtimeSessionId"] = order["session"]
    if "accept" in order:
        arguments["accept"] = order["accept"]
    if "user" in order:
        arguments["runtimeUserId"] = order["user"]
    for member in ["contentType", "mcpSessionId", "mcpProtocolVersion"]:
        if member in order:
            arguments[member] = order[member]
    reply = client.invoke_agent_runtime(qualifier="DEFAULT", **arguments)
    return {
        "status": reply["statusCode"],
        "content_type": reply["contentType"],
        "session": reply.get("runtimeSessionId"),
        "mcp_session": reply.get("mcpSessionId"),
        "body": reply["response"].read().decode(),
    }


def card(order):
    reply = client.get_agent_card(agentRuntimeArn=order["arn"], runtimeSessionId=order["session"], qualifier="DEFAULT")
    return {"status": reply["statusCode"], "session": reply.get("runtimeSessionId"), "card": reply["agentCard"]}


def stop(order):
    reply = client.stop_runtime_session(agentRuntimeArn=order["arn"], runtimeSessionId=order["session"])
    return {"status": reply["statusCode"], "session": reply.get("runtimeSessionId")}


for line in sys.stdin:
    order = json.loads(line)
    try:
        result = {"invoke": invoke, "card": card, "stop": stop}[order["do"]](order)
    except ClientError as error:
        result = {
            "exception": type(error).__name__,
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
            "message": error.response["Error"]["Message"],
        }
    except BotoCoreError as error:
        result = {"exception": type(error).__name__, "message": str(error)}
    print(json.dumps(result), flush=True)
