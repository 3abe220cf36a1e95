"""A caller of A2A's agents: the official Python SDK, unmodified. Orders come as JSON lines, and what came of each goes
out as one.

    a2a_client.py URL 1.0 [HEADER=VALUE ...]    speaks the version that the card names first
    a2a_client.py URL 0.3 [HEADER=VALUE ...]    the older one, as the SDK speaks it with agents that know no other

URL is what stands before the card's path. The first line out is the card. Then:

    {"do": "send", "text": ..., "data": ..., "file": {...}, "context": ID, "task": ID, "at_once": true}
    {"do": "stream", ...}                         the same, event by event
    {"do": "begin", ...}                          the same, up to the first words; the stream stays open
    {"do": "rest"}                                what came of it since
    {"do": "leave"}                               closes it
    {"do": "get" | "cancel" | "resubscribe", "task": ID, "history": LENGTH}

What comes is told in few words, the same for all versions: `kind`, `task`, `context`, `state`, `text` of artifacts, `said`
by the agent in its status, `data` of either, `metadata`, `history`.
"""

import asyncio
import base64
import json
import sys
import uuid

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from google.protobuf.json_format import MessageToDict

url, version = sys.argv[1:3]
headers = dict(pair.split("=", 1) for pair in sys.argv[3:])


def words(parts):
    return "".join(part.get("text", "") for part in parts)


def data(parts):
    return [part["data"] for part in parts if "data" in part]


def told_status(status):
    parts = status.get("message", {}).get("parts", [])
    state = status["state"].removeprefix("TASK_STATE_").lower().replace("_", "-")
    return {"state": state, "said": words(parts), "said_data": data(parts)}


def told_task(task):
    parts = [part for artifact in task.get("artifacts", []) for part in artifact["parts"]]
    history = [[message["role"].removeprefix("ROLE_").lower(), words(message["parts"])] for message in task.get("history", [])]
    return {
        "kind": "task", "task": task["id"], "context": task["contextId"], "text": words(parts), "data": data(parts),
        "metadata": task.get("metadata"), "history": history, **told_status(task["status"]),
    }


def told(event):
    event = MessageToDict(event)
    if "task" in event:
        return told_task(event["task"])
    if "statusUpdate" in event:
        update = event["statusUpdate"]
        kind, rest = "status", {"metadata": update.get("metadata"), **told_status(update["status"])}
    else:
        update = event["artifactUpdate"]
        parts = update["artifact"]["parts"]
        rest = {"text": words(parts), "data": data(parts), "append": update.get("append", False)}
        kind, rest = "artifact", {**rest, "last": update.get("lastChunk", False)}
    return {"kind": kind, "task": update["taskId"], "context": update["contextId"], **rest}


def request(order):
    parts = []
    if "text" in order:
        parts.append(Part(text=order["text"]))
    if "data" in order:
        part = Part()
        part.data.struct_value.update(order["data"])
        parts.append(part)
    if "file" in order:
        content = base64.b64decode(order["file"]["bytes"])
        parts.append(Part(raw=content, media_type=order["file"]["type"], filename=order["file"]["name"]))
    message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=parts)
    message.context_id = order.get("context", "")
    message.task_id = order.get("task", "")
    asked = SendMessageRequest(message=message)
    asked.configuration.return_immediately = order.get("at_once", False)
    return asked


class Caller:
    def __init__(self, card, http):
        if version == "0.3":
            older = [interface for interface in card.supported_interfaces if interface.protocol_version == "0.3"]
            del card.supported_interfaces[:]
            card.supported_interfaces.extend(older)
        made = [ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)) for streaming in (False, True)]
        self.waiting, self.streaming = (factory.create(card) for factory in made)
        self.open = None

    async def all(self, events):
        return {"events": [told(event) async for event in events]}

    async def send(self, order):
        return await self.all(self.waiting.send_message(request(order)))

    async def stream(self, order):
        return await self.all(self.streaming.send_message(request(order)))

    async def begin(self, order):
        self.open = self.streaming.send_message(request(order))
        events = []
        async for event in self.open:
            events.append(told(event))
            if events[-1]["kind"] == "artifact":
                break
        return {"events": events}

    async def rest(self, order):
        return await self.all(self.open)

    async def leave(self, order):
        await self.open.aclose()
        return {}

    async def get(self, order):
        asked = GetTaskRequest(id=order["task"])
        if "history" in order:
            asked.history_length = order["history"]
        return told_task(MessageToDict(await self.waiting.get_task(asked)))

    async def cancel(self, order):
        return told_task(MessageToDict(await self.waiting.cancel_task(CancelTaskRequest(id=order["task"]))))

    async def resubscribe(self, order):
        return await self.all(self.streaming.subscribe(SubscribeToTaskRequest(id=order["task"])))


async def main():
    async with httpx.AsyncClient(timeout=60, headers=headers) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        print(json.dumps(MessageToDict(card)), flush=True)
        caller = Caller(card, http)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            try:
                answer = await getattr(caller, order["do"])(order)
            except Exception as error:
                answer = {"exception": type(error).__name__, "message": str(error)}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
