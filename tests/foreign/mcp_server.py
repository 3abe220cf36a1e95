"""An MCP server on the official Python SDK, unmodified: `mcp_server.py` speaks on standard input and output,
`mcp_server.py PORT` over streamable HTTP on the loopback. With `TOKEN` set it wants that bearer token; what it is sent
beside goes to the file `HEADERS`, a JSON object a line.
"""

import asyncio
import base64
import json
import os
import sys

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("test")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def pid() -> str:
    """Says which process answers."""
    return str(os.getpid())


@server.tool()
async def slow(seconds: float, context: Context) -> str:
    """Takes its time, and says how far it is."""
    await context.report_progress(1, 2, "half way")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        with open(os.environ["CANCELLED"], "w") as told:
            told.write("cancelled")
        raise
    return "done"


@server.tool()
def fail(reason: str) -> str:
    """Fails."""
    raise ToolError(reason)


@server.tool()
def picture() -> Image:
    """Shows a picture."""
    return Image(data=base64.b64decode(b"iVBORw0KGgo="), format="png")


@server.tool()
async def learn(context: Context) -> str:
    """Makes one more tool known."""

    def learned() -> str:
        """Was learned."""
        return "I am new"

    server.add_tool(learned)
    await context.session.send_tool_list_changed()
    return "learned"


class Door:
    """Writes down what comes with each request, and wants its token."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            token = os.environ.get("TOKEN")
            if token and headers.get("authorization") != f"Bearer {token}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            if "HEADERS" in os.environ:
                receive = await self.heard(scope, headers, receive)
        await self.app(scope, receive, send)

    async def heard(self, scope, headers, receive):
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        with open(os.environ["HEADERS"], "a") as log:
            print(json.dumps({"method": scope["method"], "headers": headers, "body": body.decode()}), file=log)
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again():
            return messages.pop() if messages else await receive()

        return again


if len(sys.argv) == 1:
    server.run("stdio")
else:
    uvicorn.run(Door(server.streamable_http_app()), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
