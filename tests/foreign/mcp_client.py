"""A caller of MCP servers: the official Python SDK, unmodified. Orders come as JSON lines, and what came of each goes
out as one.

    mcp_client.py URL legacy    greets with `initialize`, as clients did up to the version of 2025-11-25
    mcp_client.py URL auto      asks with `server/discover` first, as they do since

The first line out says which `version` was agreed on. Then:

    {"do": "list"}
    {"do": "call", "tool": NAME, "arguments": {...}}     `result`, and what came before it as `progress`
    {"do": "cancel", "tool": NAME, "arguments": {...}}   the same, given up at the first word of progress
"""

import asyncio
import json
import sys

from mcp import Client

url, mode = sys.argv[1:]


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def list_tools(client, _):
    return plain(await client.list_tools())


async def call(client, order):
    said = []

    async def progress(progress, total, message):
        said.append([progress, message])

    result = await client.call_tool(order["tool"], order["arguments"], progress_callback=progress)
    return {"progress": said, "result": plain(result)}


async def cancel(client, order):
    begun = asyncio.Event()

    async def progress(progress, total, message):
        begun.set()

    calling = asyncio.create_task(client.call_tool(order["tool"], order["arguments"], progress_callback=progress))
    await begun.wait()
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    return {"cancelled": calling.cancelled()}


async def main():
    async with Client(url, mode=mode) as client:
        print(json.dumps({"version": client.protocol_version}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            try:
                answer = await {"list": list_tools, "call": call, "cancel": cancel}[order["do"]](client, order)
            except Exception as error:
                answer = {"exception": type(error).__name__, "message": str(error)}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
