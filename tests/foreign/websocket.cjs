/**
 * A web page that talks with an agent: undici's WebSocket, which is the browsers' API. Takes the orders `connect` (with a
 * `url`), `say` (with `json`), `hear` and `leave` of `websocket.py`, and gives their answers. It hears runs of AG-UI, too.
 */
"use strict";

const { createInterface } = require("node:readline");
const { WebSocket } = require("undici");

let socket;
const heard = [];
let wake = () => {};

const next = async () => {
  while (heard.length === 0) await new Promise((resolve) => (wake = resolve));
  return heard.shift();
};

const orders = {
  async connect({ url }) {
    socket = new WebSocket(url);
    const tell = (what) => (heard.push(what), wake());
    socket.onmessage = ({ data }) => tell({ message: JSON.parse(data) });
    socket.onclose = ({ code, reason }) => tell({ closed: code, reason });
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = ({ message }) => reject(new Error(message));
    });
    return {};
  },

  async say({ json }) {
    socket.send(JSON.stringify(json));
    return {};
  },

  async hear() {
    let text = "";
    for (;;) {
      const { message, ...closed } = await next();
      if (message === undefined) return { ...closed, text };
      text += message.event?.contentBlockDelta?.delta?.text ?? message.delta ?? "";
      const failed = message.error !== undefined || message.type === "RUN_ERROR";
      if (message.usage !== undefined || failed) return { last: message, text };
    }
  },

  async leave() {
    socket.close(1000);
    const { closed } = await next();
    return { closed };
  },
};

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let result;
    try {
      result = await orders[order.do](order);
    } catch (error) {
      result = { exception: error.message };
    }
    console.log(JSON.stringify(result));
  }
}

main();
