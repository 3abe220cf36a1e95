"""A caller of A2A's agents: the official Python SDK of version 0.3, unmodified. Orders and answers are those of
`a2a_client.py`.

    a2a_client_older.py URL [HEADER=VALUE ...]
"""

import asyncio
import json
import sys
import uuid

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import DataPart, FilePart, FileWithBytes, Message, Part, Role, TaskIdParams, TaskQueryParams, TextPart

url = sys.argv[1]
headers = dict(pair.split("=", 1) for pair in sys.argv[2:])


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def words(parts):
    return "".join(part.get("text", "") for part in parts)


def data(parts):
    return [part["data"] for part in parts if part["kind"] == "data"]


def told_status(status):
    parts = status.get("message", {}).get("parts", [])
    return {"state": status["state"], "said": words(parts), "said_data": data(parts)}


def told_task(task):
    parts = [part for artifact in task.get("artifacts", []) for part in artifact["parts"]]
    history = [[message["role"], words(message["parts"])] for message in task.get("history", [])]
    return {
        "kind": "task", "task": task["id"], "context": task["contextId"], "text": words(parts), "data": data(parts),
        "metadata": task.get("metadata"), "history": history, **told_status(task["status"]),
    }


def told(event):
    """The SDK gives the task as it has put it together, and the update that came."""
    task, update = event
    if update is None:
        return told_task(plain(task))
    update = plain(update)
    if update["kind"] == "status-update":
        kind, rest = "status", {"metadata": update.get("metadata"), **told_status(update["status"])}
    else:
        parts = update["artifact"]["parts"]
        rest = {"text": words(parts), "data": data(parts), "append": update["append"], "last": update["lastChunk"]}
        kind = "artifact"
    return {"kind": kind, "task": update["taskId"], "context": update["contextId"], **rest}


def message(order):
    parts = []
    if "text" in order:
        parts.append(Part(root=TextPart(text=order["text"])))
    if "data" in order:
        parts.append(Part(root=DataPart(data=order["data"])))
    if "file" in order:
        file = order["file"]
        file = FileWithBytes(bytes=file["bytes"], mime_type=file["type"], name=file["name"])
        parts.append(Part(root=FilePart(file=file)))
    ids = {"context_id": order.get("context"), "task_id": order.get("task")}
    return Message(message_id=str(uuid.uuid4()), role=Role.user, parts=parts, **ids)


class Caller:
    def __init__(self, card, http):
        def client(**how):
            return ClientFactory(ClientConfig(httpx_client=http, **how)).create(card)

        self.waiting = client(streaming=False)
        self.polling = client(streaming=False, polling=True)
        self.streaming = client(streaming=True)
        self.open = None

    async def all(self, events):
        return {"events": [told(event) async for event in events]}

    async def send(self, order):
        client = self.polling if order.get("at_once") else self.waiting
        return await self.all(client.send_message(message(order)))

    async def stream(self, order):
        return await self.all(self.streaming.send_message(message(order)))

    async def begin(self, order):
        self.open = self.streaming.send_message(message(order))
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
        asked = TaskQueryParams(id=order["task"], history_length=order.get("history"))
        return told_task(plain(await self.waiting.get_task(asked)))

    async def cancel(self, order):
        return told_task(plain(await self.waiting.cancel_task(TaskIdParams(id=order["task"]))))

    async def resubscribe(self, order):
        return await self.all(self.streaming.resubscribe(TaskIdParams(id=order["task"])))


async def main():
    async with httpx.AsyncClient(timeout=60, headers=headers) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        print(json.dumps(plain(card)), flush=True)
        caller = Caller(card, http)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            try:
                answer = await getattr(caller, order["do"])(order)
            except Exception as error:
                answer = {"exception": type(error).__name__, "message": str(error)}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
