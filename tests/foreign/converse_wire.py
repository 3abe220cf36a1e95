"""Says of calls of Bedrock whether boto3 would have sent the same. Orders come as JSON lines, what came of each goes out as one.

    {"do": "check", "calls": [{"operation": ..., "url": URL, "headers": {...}, "body": TEXT}]}

Each call is taken apart into what botocore's caller would have given, checked by the service's own model, written anew by
botocore's serializer and signed by its signer. The answer has a list for each call: what is not the same, or is not allowed.
"""

import base64
import datetime
import json
import sys
from unittest import mock
from urllib.parse import unquote, urlsplit

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")


def given(value):
    """JSON as a caller gives it: what is base64 on the wire is bytes."""
    if isinstance(value, list):
        return [given(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item, validate=True) if name == "bytes" else given(item)
            for name, item in value.items()
        }
    return value


def authorization(call):
    """What botocore gives the same request at the same time."""
    headers = call["headers"]
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    kept = {name: headers[name] for name in names if name != "host"}
    request = AWSRequest("POST", call["url"], headers=kept, data=call["body"].encode())
    now = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(Credentials("local", "local"), "bedrock", "eu-west-1").add_auth(request)
    return request.headers["Authorization"]


def differences(call):
    operation = SERVICE.operation_model(call["operation"])
    path, body = urlsplit(call["url"]).path, json.loads(call["body"])
    params = given(body) | {"modelId": unquote(path.split("/")[2])}
    yield from ParamValidator().validate(params, operation.input_shape)._errors
    ours = create_serializer(SERVICE.metadata["protocol"]).serialize_to_request(params, operation)
    if ours["url_path"] != path:
        yield f"boto3 would call {ours['url_path']}"
    if json.loads(ours["body"]) != body:
        yield f"boto3 would send {ours['body']}"
    if ours["headers"]["Content-Type"] != call["headers"]["content-type"]:
        yield f"boto3 would send {ours['headers']}"
    if authorization(call).replace(" ", "") != call["headers"]["authorization"].replace(" ", ""):
        yield f"boto3 would sign {authorization(call)}"


def check(order):
    return {"differences": [[str(difference) for difference in differences(call)] for call in order["calls"]]}


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"check": check}[order["do"]](order)), flush=True)
