"""The agent under test: the AgentCore contract in the standard library, and bad behaviour on demand.

An invocation is a JSON object whose `do` names a method below; anything else is counted. The environment
chooses what is decided before one arrives:

    AT_START     exit: says why and ends.  unhealthy: answers every ping with 503
    PING         frozen (the default), moving, missing: the time in it
    STATUS       Healthy (the default), HealthyBusy
    AT_TERM      ignore: lives on.  slow: takes a moment, says a last word and ends.  store: remembers one
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

go_on = threading.Semaphore(0)
chosen = os.environ.get
pings = 0


def say(line):
    print(line, file=sys.stderr, flush=True)


class Agent(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global pings
        pings += 1
        times = {"frozen": 1795406111, "moving": 1795406111 + pings}
        ping = {"status": chosen("STATUS", "Healthy")}
        if chosen("PING") != "missing":
            ping["time_of_last_update"] = times[chosen("PING", "frozen")]
        if chosen("AT_START") == "unhealthy":
            say("not yet")
            self.answer(503, "{}")
        else:
            self.answer(200, json.dumps(ping))

    def do_POST(self):
        start, length = self.payload()
        order = json.loads(start) if start.startswith(b"{") else {"do": "count"}
        if order["do"] == "count":
            self.answer(200, str(length))
        else:
            getattr(self, order["do"])(order)

    def payload(self):
        """The beginning of the body, and the length of the whole."""
        start, length = b"", 0
        for piece in self.pieces():
            length += len(piece)
            start = (start + piece)[:65536] if len(start) < 65536 else start
        return start, length

    def pieces(self):
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline() or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("content-length", 0))
            while left and (piece := self.rfile.read(min(left, 1 << 20))):
                left -= len(piece)
                yield piece

    # What an invocation can ask for.

    def tell(self, order):
        """Everything the agent knows of itself and of this request."""
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        self.answer(200, json.dumps({
            "pid": os.getpid(), "path": self.path, "headers": headers, "environment": dict(os.environ)}))

    def reply(self, order):
        self.answer(order.get("status", 200), order.get("body", ""), order.get("headers", {}))

    def write(self, order):
        """Lines on standard output, each of so many letters."""
        for length in order["lengths"]:
            print("x" * length, flush=True)
        self.answer(200, "{}")

    def die(self, order):
        say("dying")
        os._exit(3)

    def wait(self, order):
        """Answers when another invocation says `release`."""
        say("waiting")
        go_on.acquire()
        self.answer(200, json.dumps({"pid": os.getpid()}))

    def release(self, order):
        go_on.release()
        self.answer(200, "{}")

    def stream(self, order):
        """Writes each frame; those after the first wait for leave, one each."""
        self.begin()
        for number, frame in enumerate(order["frames"]):
            if number:
                go_on.acquire()
            self.frame(f"data: {frame}\n\n")
            say(f"wrote {frame}")
        self.wfile.write(b"0\r\n\r\n")

    def stream_and_die(self, order):
        self.begin()
        self.frame("data: half\n\n")
        go_on.acquire()
        os._exit(3)

    def until_hung_up(self, order):
        """Waits for the caller to go, before or after the first frame."""
        if order.get("streaming"):
            self.begin()
            self.frame("data: first\n\n")
        say("listening")
        try:
            gone = self.connection.recv(1) == b""
        except ConnectionError:
            gone = True
        say("the caller is gone" if gone else "the caller said more")
        self.close_connection = True

    def start_a_child(self, order):
        child = subprocess.Popen(["sleep", "600"])
        self.answer(200, json.dumps({"pid": os.getpid(), "child": child.pid}))

    def call_the_model(self, order):
        """Asks the local Bedrock with the key that this process was given."""
        from urllib.request import Request, urlopen
        from urllib.error import HTTPError
        key = chosen("AWS_ACCESS_KEY_ID")
        signature = f"AWS4-HMAC-SHA256 Credential={key}/20261123/eu-west-1/bedrock/aws4_request"
        body = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
        request = Request(
            chosen("AWS_ENDPOINT_URL") + "/model/eu.anthropic.claude-3-5-sonnet-20240620-v1:0/converse",
            json.dumps(body).encode(), {"authorization": signature, "content-type": "application/json"})
        try:
            status = urlopen(request).status
        except HTTPError as error:
            status = error.code
        self.answer(200, json.dumps({"status": status}))

    # How it is written.

    def answer(self, status, body, headers={}):
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def begin(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def frame(self, text):
        self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """A caller that hangs up is none of its errors."""


def at_term(*_):
    say("asked to end")
    time.sleep(0.3)
    say("a last word")
    os._exit(0)


def store(*_):
    from urllib.request import Request, urlopen
    event = {"actorId": "ann", "sessionId": "one", "eventTimestamp": 1, "payload": [{"blob": "a last word"}]}
    path = f"/memories/{chosen('BEDROCK_AGENTCORE_MEMORY_ID')}/events"
    urlopen(Request(chosen("AWS_ENDPOINT_URL") + path, json.dumps(event).encode()))
    os._exit(0)


if chosen("AT_START") == "exit":
    say("the key to the cellar is missing")
    sys.exit(3)
if chosen("AT_TERM") == "ignore":
    signal.signal(signal.SIGTERM, lambda *_: say("not now"))
elif chosen("AT_TERM") == "slow":
    signal.signal(signal.SIGTERM, at_term)
elif chosen("AT_TERM") == "store":
    signal.signal(signal.SIGTERM, store)
Server(("127.0.0.1", int(os.environ["PORT"])), Agent).serve_forever()
