"""Amazon's doors for OpenTelemetry, played: each batch is read with OpenTelemetry's own messages, and its signature is
computed again by botocore's signer.

First line out: {"port": N}. Then orders come as JSON lines, what came of each goes out as one.

    {"do": "told", "batches": N}    waits until so many batches have come, and says what was in all of them
    {"do": "refuse", "status": 503} answers so from now on
"""

import datetime
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CREDENTIALS = Credentials("AKIALOCALTESTS000000", "not-a-secret")
SERVICES = {"/v1/traces": "xray", "/v1/logs": "logs"}

batches = []
status = [200]
came = threading.Condition()


def is_signed_right(path, headers, body, port):
    """Whether botocore gives the same request at the same time the same authorization."""
    given = headers.get("authorization")
    if given is None:
        return False
    names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
    kept = {name: headers[name] for name in names if name not in ("host", "x-amz-date")}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", headers=kept, data=body)
    now = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(CREDENTIALS, SERVICES[path], "eu-west-1").add_auth(request)
    return request.headers["Authorization"].replace(" ", "") == given.replace(" ", "")


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def members(attributes):
    return {attribute.key: value(attribute.value) for attribute in attributes}


def content(path, body):
    """What a batch says, by OpenTelemetry's own messages."""
    if path == "/v1/traces":
        spans = [
            (resource, span)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return [
            {
                "resource": members(resource.resource.attributes),
                "name": span.name,
                "trace": span.trace_id.hex(),
                "span": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "attributes": members(span.attributes),
            }
            for resource, span in spans
        ]
    return [
        {
            "event": record.event_name,
            "trace": record.trace_id.hex(),
            "span": record.span_id.hex(),
            "attributes": members(record.attributes),
        }
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): text for name, text in self.headers.items()}
        batch = {
            "path": self.path,
            "right": is_signed_right(self.path, headers, body, self.server.server_port),
            "group": headers.get("x-aws-log-group"),
            "content": content(self.path, body),
        }
        with came:
            batches.append(batch)
            came.notify_all()
        self.send_response(status[0])
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def told(order):
    with came:
        came.wait_for(lambda: len(batches) >= order["batches"], timeout=30)
        return {"batches": list(batches)}


def refuse(order):
    status[0] = order["status"]
    return {}


server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"port": server.server_port}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"told": told, "refuse": refuse}[order["do"]](order)), flush=True)
