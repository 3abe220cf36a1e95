"""An MCP server: the official Python SDK, unmodified, with a handful of tools.

    mcp_server.py stdio             speaks over standard input and output
    mcp_server.py http PORT         speaks streamable HTTP on a port of the loopback, at /mcp
    mcp_server.py stateless PORT    the same without sessions, as AgentCore hosts it

What happens to calls is told in the file that JOURNAL names, a line each. Over HTTP, DOOR says who is let in:

    DOOR=once      bearer tokens `token-...`, each of them once
    DOOR=sigv4     requests that botocore would have signed the same way (`door.py`)
"""

import asyncio
import base64
import os
import sys

from door import Door, signed
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

server = MCPServer("kitchen", version="1")


def journal(line):
    if path := os.environ.get("JOURNAL"):
        with open(path, "a") as file:
            file.write(line + "\n")


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def environment(name: str) -> str:
    """Tells a variable of the server's environment."""
    return os.environ.get(name, "not set")


@server.tool()
def process() -> str:
    """Tells the server's process."""
    return str(os.getpid())


@server.tool()
def fail() -> str:
    """Fails."""
    raise ToolError("The oven is cold.")


@server.tool(structured_output=False)
def picture() -> Image:
    """Shows a pixel."""
    return Image(data=base64.b64decode(PIXEL), format="png")


@server.tool()
async def slow(steps: int, seconds: float, context: Context) -> str:
    """Takes its time and says so."""
    journal("begun")
    try:
        for step in range(steps):
            await context.report_progress(step, steps, f"step {step + 1} of {steps}")
            await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        journal("stopped")
        raise
    return "done"


@server.tool()
async def learn(name: str, context: Context) -> str:
    """Learns a new tool."""
    server.add_tool(lambda: f"I am {name}.", name=name, description=f"Says that it is {name}.")
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "learnt"


def once():
    seen = set()

    def guard(method, path, headers, body):
        token = headers.get("authorization", "")
        if not token.startswith("Bearer token-") or token in seen:
            return "no token, or one that was used before"
        seen.add(token)

    return guard


def http(port, stateless):
    import uvicorn

    app = server.streamable_http_app(stateless_http=stateless)
    if door := os.environ.get("DOOR"):
        app = Door(app, {"once": once, "sigv4": lambda: signed("mcp-")}[door](), journal)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    http(int(sys.argv[2]), stateless=sys.argv[1] == "stateless")
