"""An agent of A2A's: the official Python SDK, unmodified. It does what it is told, and writes a journal.

    a2a_server.py PORT 1.0|0.3 [still]     what its card names, and whether it tells of tasks while it works on them

`JOURNAL` is the file that what happens is appended to; with `TOKEN` it lets nobody in without that bearer token, with
`SIGNED` nobody whose requests botocore would not have signed the same way (`door.py`).
"""

import asyncio
import os
import sys

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from door import Door, signed, token
from starlette.applications import Starlette

port, version = int(sys.argv[1]), sys.argv[2]
streams = "still" not in sys.argv


def journal(line):
    with open(os.environ["JOURNAL"], "a") as file:
        print(line, file=file, flush=True)


class Cook(AgentExecutor):
    def __init__(self):
        self.names = {}

    async def execute(self, context, queue):
        said = context.get_user_input()
        journal(f"{context.context_id}: {said}")
        if said == "no task":
            return await queue.enqueue_event(new_text_message("Here you are.", context_id=context.context_id))
        if context.current_task is None:
            await queue.enqueue_event(new_task_from_user_message(context.message))
        updater = TaskUpdater(queue, context.task_id, context.context_id)

        def words(text):
            return updater.new_agent_message([Part(text=text)])

        if context.current_task is not None and context.current_task.history:
            await updater.add_artifact([Part(text=f"One with {said}.")])
            return await updater.complete()
        await updater.start_work(words("looking into the larder"))
        if said.startswith("My name is "):
            self.names[context.context_id] = said.removeprefix("My name is ").rstrip(".")
            await updater.add_artifact([Part(text="Noted.")])
        elif said == "What is my name?":
            await updater.add_artifact([Part(text=self.names.get(context.context_id, "I do not know."))])
        elif said == "pancake":
            return await updater.requires_input(words("With lemon or with sugar?"))
        elif said == "soufflé":
            return await updater.failed(words("The oven is cold."))
        elif said == "fugu":
            return await updater.reject(words("Nobody here may cook it."))
        elif said == "safe":
            return await updater.requires_auth(words("The key, please."))
        elif said == "recipe":
            await updater.add_artifact([Part(text="Take ")], artifact_id="1", append=False)
            await updater.add_artifact([Part(text="eggs.")], artifact_id="1", append=True, last_chunk=True)
            data = Part()
            data.data.struct_value.update({"eggs": 2})
            await updater.add_artifact([data], artifact_id="2")
        elif said == "stew":
            await updater.add_artifact([Part(text="It simmers. ")], artifact_id="1", append=False)
            journal("simmering")
            await asyncio.sleep(600)
        else:
            await updater.add_artifact([Part(text=f"You said: {said}")])
        await updater.complete()

    async def cancel(self, context, queue):
        journal("cancelled")
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()


class Noted:
    """Notes what is asked, and the session that AgentCore would be told."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            session = headers.get("x-amzn-bedrock-agentcore-runtime-session-id")
            journal(f"{scope['method']} {scope['path']} {headers.get('a2a-version')} {session}")
        await self.app(scope, receive, send)


url = os.environ.get("ELSEWHERE", f"http://127.0.0.1:{port}/")
card = AgentCard(
    name="cook",
    description="Cooks what it is told.",
    version="1",
    supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version)],
    capabilities=AgentCapabilities(streaming=streams),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    skills=[AgentSkill(id="recipes", name="Recipes", description="Knows recipes.", tags=["food"])],
)
handler = DefaultRequestHandler(agent_executor=Cook(), task_store=InMemoryTaskStore(), agent_card=card)
routes = create_agent_card_routes(card) + create_jsonrpc_routes(handler, "/", enable_v0_3_compat=True)
app = Noted(Starlette(routes=routes))
if "TOKEN" in os.environ:
    app = Door(app, token(os.environ["TOKEN"]), journal, status=401)
if "SIGNED" in os.environ:
    app = Door(app, signed("a2a-", "x-amzn-"), journal)
uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
