/**
 * A caller of AgentCore: AWS's JavaScript client, unmodified. Takes the orders and gives the answers that
 * `invoke.py` describes.
 */
"use strict";

const { createInterface } = require("node:readline");
const {
  BedrockAgentCoreClient,
  InvokeAgentRuntimeCommand,
  StopRuntimeSessionCommand,
} = require("@aws-sdk/client-bedrock-agentcore");

const client = new BedrockAgentCoreClient({ maxAttempts: 1 });

const orders = {
  async invoke({ arn, session, payload, accept, user }) {
    const reply = await client.send(
      new InvokeAgentRuntimeCommand({
        agentRuntimeArn: arn,
        qualifier: "DEFAULT",
        runtimeSessionId: session,
        runtimeUserId: user,
        accept,
        payload: new TextEncoder().encode(JSON.stringify(payload)),
      }),
    );
    return {
      status: reply.statusCode,
      content_type: reply.contentType,
      session: reply.runtimeSessionId,
      body: await reply.response.transformToString(),
    };
  },

  async stop({ arn, session }) {
    const reply = await client.send(
      new StopRuntimeSessionCommand({ agentRuntimeArn: arn, runtimeSessionId: session }),
    );
    return { status: reply.statusCode, session: reply.runtimeSessionId };
  },
};

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let result;
    try {
      result = await orders[order.do](order);
    } catch (error) {
      result = { exception: error.name, status: error.$metadata?.httpStatusCode, message: error.message };
    }
    console.log(JSON.stringify(result));
  }
}

main();
