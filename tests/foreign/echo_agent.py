"""An agent on AWS's AgentCore SDK for Python, unmodified: its WebSocket says back what it hears, text or bytes."""

import os

from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.websocket
async def echo(websocket, context):
    await websocket.accept()
    async for message in websocket.iter_json():
        await websocket.send_json({"usage": {}, "message": message, "session": context.session_id})


app.run(port=int(os.environ["PORT"]), host="127.0.0.1")
