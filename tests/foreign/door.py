"""A door before an ASGI application, that lets nobody in but who shows who they are."""

import calendar
import hmac
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Door:
    """Asks `guard` for what speaks against each request, and tells `journal` what came of it. Whoever is refused gets
    `status`."""

    def __init__(self, app, guard, journal, status=403):
        self.app, self.guard, self.journal, self.status = app, guard, journal, status

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if problem := self.guard(scope["method"], scope["path"], headers, body):
            self.journal(f"refused: {problem}")
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            return await send({"type": "http.response.body", "body": b""})
        self.journal(f"let in: {scope['method']}")
        given = False

        async def again():
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)


def token(secret):
    """A guard that asks for one bearer token."""

    def guard(method, path, headers, body):
        return None if headers.get("authorization") == f"Bearer {secret}" else "another token"

    return guard


def signed(*ours):
    """A guard that asks for requests that botocore would have signed the same way, as AKIDTESTS with the secret
    `secret` in the session `session`; headers that begin with one of `ours` have to be signed, too."""

    def guard(method, path, headers, body):
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            return "not signed"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key, date, region, service, _ = parts["Credential"].split("/")
        names = parts["SignedHeaders"].split(";")
        wanted = {"host", "x-amz-date", "x-amz-security-token"} | ({"content-type"} if body else set())
        wanted |= {name for name in headers if name.startswith(ours)}
        if wanted - set(names):
            return f"not in the signature: {wanted - set(names)}"
        if (key, region, service) != ("AKIDTESTS", "eu-west-1", "bedrock-agentcore"):
            return f"signed for {key}, {region}, {service}"
        if headers["x-amz-security-token"] != "session":
            return "another session"
        if abs(time.time() - calendar.timegm(time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))) > 300:
            return "signed at another time"
        request = AWSRequest(method, f"http://{headers['host']}{path}", {name: headers[name] for name in names}, body)
        request.context["timestamp"] = headers["x-amz-date"]
        auth = SigV4Auth(Credentials(key, "secret", "session"), service, region)
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return None if hmac.compare_digest(signature, parts["Signature"]) else f"{method}: botocore signs it differently"

    return guard
