/** A caller of Bedrock: AWS's JavaScript client, unmodified. Orders and answers as in `bedrock.py`. */
"use strict";

const { createInterface } = require("node:readline");
const { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } = require("@aws-sdk/client-bedrock-runtime");

const modelId = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";
const client = new BedrockRuntimeClient({ maxAttempts: 1 });
let fault;

client.middlewareStack.add(
  (next) => (call) => {
    if (fault !== undefined) call.request.headers["x-local-fault"] = fault;
    return next(call);
  },
  { step: "build", name: "fault" },
);

const orders = {
  async converse({ prompt }) {
    const { $metadata, ...answer } = await client.send(new ConverseCommand({ modelId, messages: said(prompt) }));
    return { answer };
  },

  async converse_stream({ prompt }, result) {
    const reply = await client.send(new ConverseStreamCommand({ modelId, messages: said(prompt) }));
    result.events = [];
    for await (const event of reply.stream) result.events.push(event);
    return {};
  },
};

function said(prompt) {
  return [{ role: "user", content: [{ text: prompt }] }];
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    fault = order.fault;
    const result = {};
    try {
      Object.assign(result, await orders[order.do](order, result));
    } catch (error) {
      Object.assign(result, {
        exception: error.name,
        status: error.$metadata?.httpStatusCode,
        message: error.message,
      });
    }
    console.log(JSON.stringify(result));
  }
}

main();
