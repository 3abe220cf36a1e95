"""Checks signatures with botocore's own signer. Orders come as JSON lines, what came of each goes out as one.

    {"do": "check", "url": URL, "requests": [{"method": ..., "headers": {...}, "body": ...}]}

The answer has how many are `right`, and the headers of those that are `wrong`.
"""

import datetime
import json
import sys
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signed(url, sent):
    """The authorization that botocore gives the same request at the same time."""
    headers = sent["headers"]
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    kept = {name: headers[name] for name in names if name != "host"}
    request = AWSRequest(sent["method"], url, headers=kept, data=sent["body"].encode())
    now = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    auth = SigV4Auth(Credentials("local", "local"), "bedrock-agentcore", "eu-west-1")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        auth.add_auth(request)
    return request.headers["Authorization"].replace(" ", "")


def check(order):
    right, wrong = 0, []
    for sent in order["requests"]:
        if signed(order["url"], sent) == sent["headers"]["authorization"].replace(" ", ""):
            right += 1
        else:
            wrong.append(sent["headers"])
    return {"right": right, "wrong": wrong}


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"check": check}[order["do"]](order)), flush=True)
