"""Somebody who talks with an agent over WebSockets: AWS's AgentCore SDK signs, websockets connects, both unmodified.
Orders come as JSON lines, and what came of each goes out as one. Connections have names.

    {"do": "connect", "as": NAME, "arn": ARN, "session": ID, "by": "headers" | "presigned"}   through AWS's door
    {"do": "connect", "as": NAME, "url": "ws://…/ws", "session": ID}                          to an agent itself
    {"do": "presign", "arn": ARN, "session": ID}
    {"do": "say", "as": NAME, "json": {…} | "text": "…" | "bytes": N | "hex": "…", "kind": "text" | "binary"}
    {"do": "hear", "as": NAME, "until": "event" | "end" | "close", "within": SECONDS}
    {"do": "leave", "as": NAME}       with a word
    {"do": "break", "as": NAME}       without one

The SDK makes URLs of AWS's own host. `AWS_ENDPOINT_URL` says what is to be called instead; path, parameters and headers
stay as the SDK made them, but for the host's name.
"""

import json
import os
import socket
import sys
from urllib.parse import urlsplit

from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as open_websocket

SESSION_ID = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

here = os.environ["AWS_ENDPOINT_URL"].replace("http://", "ws://")
signer = AgentCoreRuntimeClient(region="eu-west-1")
connections = {}


def called_here(url):
    """The same URL at the endpoint of this machine."""
    parts = urlsplit(url)
    return url.replace(f"{parts.scheme}://{parts.netloc}", here, 1)


def address(order):
    """The URL and the headers to connect with."""
    session = {"session_id": order["session"]} if "session" in order else {}
    if "url" in order:
        return order["url"], {SESSION_ID: order["session"]} if "session" in order else {}
    if order["by"] == "presigned":
        return called_here(signer.generate_presigned_url(order["arn"], endpoint_name="DEFAULT", **session)), {}
    if order["by"] == "name":
        return f"{here}/runtimes/{order['arn']}/ws", {}
    url, headers = signer.generate_ws_connection(order["arn"], endpoint_name="DEFAULT", **session)
    # The rest stays, also what the client makes by itself: users are told to pass all of it.
    del headers["Host"]
    return called_here(url), headers


def connect(order):
    url, headers = address(order)
    settings = {"additional_headers": headers, "compression": None, "proxy": None, "max_size": None}
    try:
        connection = open_websocket(url, ping_interval=None, legacy=True, **settings)
    except InvalidStatus as refused:
        return {"status": refused.response.status_code, "body": refused.response.body.decode()}
    connections[order["as"]] = connection
    return {"status": connection.response.status_code, "session": connection.response.headers.get(SESSION_ID)}


def presign(order):
    return {"url": called_here(signer.generate_presigned_url(order["arn"], session_id=order["session"]))}


def say(order):
    connection = connections[order["as"]]
    if "json" in order:
        said = json.dumps(order["json"]).encode()
    elif "text" in order:
        said = order["text"].encode()
    elif "hex" in order:
        said = bytes.fromhex(order["hex"])
    else:
        said = b"x" * order["bytes"]
    try:
        connection.send(said, text=order.get("kind", "text") == "text")
    except ConnectionClosed:
        pass  # How it was closed is there to be heard.
    return {}


def hear(order):
    """Messages up to the next event, the end of a turn or the end of the connection."""
    heard, text = [], ""
    result = {}
    try:
        while True:
            message = json.loads(connections[order["as"]].recv(timeout=order.get("within", 50)))
            heard.append(message)
            delta = message.get("event", {}).get("contentBlockDelta", {}).get("delta", {})
            text += delta.get("text", "")
            if order["until"] == "event" and "event" in message:
                break
            if order["until"] == "end" and ("message" in message and "usage" in message or "error" in message):
                break
    except ConnectionClosed as closed:
        result["closed"] = closed.rcvd.code if closed.rcvd else None
        result["reason"] = closed.rcvd.reason if closed.rcvd else None
    except TimeoutError:
        result["silent"] = True
    return {**result, "count": len(heard), "text": text, "last": heard[-1] if heard else None}


def leave(order):
    connection = connections.pop(order["as"])
    connection.close()
    return {"closed": connection.close_code}


def break_off(order):
    connections.pop(order["as"]).socket.shutdown(socket.SHUT_RDWR)
    return {}


orders = {"connect": connect, "presign": presign, "say": say, "hear": hear, "leave": leave, "break": break_off}

for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(orders[order["do"]](order)), flush=True)
