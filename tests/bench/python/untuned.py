"""The agent that was replaced, as far as its behaviour goes: a model client is made for every call."""

import os

from bedrock_agentcore import BedrockAgentCoreApp
from strands import Agent
from strands.models import BedrockModel

from persona import PERSONA

app = BedrockAgentCoreApp()


@app.entrypoint
def answer(payload):
    model = BedrockModel(model_id=os.environ["MODEL_ID"], max_tokens=512, temperature=0.7)
    agent = Agent(model=model, system_prompt=PERSONA, callback_handler=None)
    result = agent(payload.get("prompt") or payload.get("message"))
    return {"response": result.message}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
