"""The same agent with what an attentive owner would change: one client for all calls, with room for as many at a time as
there are clients; and it streams to callers who ask for that."""

import os

from bedrock_agentcore import BedrockAgentCoreApp
from botocore.config import Config
from strands import Agent
from strands.models import BedrockModel

from persona import PERSONA

app = BedrockAgentCoreApp()
model = BedrockModel(
    model_id=os.environ["MODEL_ID"],
    max_tokens=512,
    temperature=0.7,
    boto_client_config=Config(max_pool_connections=1000),
)


def agent():
    return Agent(model=model, system_prompt=PERSONA, callback_handler=None)


async def pieces(prompt):
    async for event in agent().stream_async(prompt):
        if "event" in event:
            yield event
        elif "result" in event:
            yield {"message": event["result"].message}


@app.entrypoint
async def answer(payload, context):
    prompt = payload.get("prompt") or payload.get("message")
    if payload.get("stream"):
        return pieces(prompt)
    result = await agent().invoke_async(prompt)
    return {"response": result.message}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
