// A caller of MCP servers: the official TypeScript SDK, unmodified. It takes the orders of mcp_client.py and answers as
// that does.
//
//     node mcp_client.cjs URL

const { createInterface } = require('node:readline')

const { Client } = require('@modelcontextprotocol/sdk/client/index.js')
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js')

const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')

async function call(client, { tool, arguments: input }) {
  const progress = []
  const onprogress = (told) => progress.push([told.progress, told.message])
  const result = await client.callTool({ name: tool, arguments: input }, undefined, { onprogress })
  return { progress, result }
}

async function cancel(client, { tool, arguments: input }) {
  const given = new AbortController()
  const options = { signal: given.signal, onprogress: () => given.abort() }
  const calling = client.callTool({ name: tool, arguments: input }, undefined, options)
  return calling.then(() => ({ cancelled: false }), () => ({ cancelled: given.signal.aborted }))
}

async function main(url) {
  const transport = new StreamableHTTPClientTransport(new URL(url))
  const client = new Client({ name: 'system-tests', version: '1' })
  await client.connect(transport)
  say({ version: transport.protocolVersion })
  const orders = { list: () => client.listTools(), call, cancel }
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line)
    const answer = orders[order.do](client, order)
    say(await answer.catch((error) => ({ exception: error.name, message: error.message })))
  }
  await client.close()
}

main(process.argv[2])
