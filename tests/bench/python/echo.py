"""AWS's SDK and nothing else: it says back what it was sent."""

import os

from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
def answer(payload):
    return payload


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
