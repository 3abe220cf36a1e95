// An app that speaks AG-UI: the protocol's own client, unmodified, which verifies the events of every run. Orders come as
// JSON lines, and what came of each goes out as one.
//
//     node ag_ui_client.cjs URL [HEADERS, as JSON]
//
//     {"say": TEXT, "parameters": {...}}     adds what the user says, and runs the agent
//     {"result": {...}, "parameters": {...}} adds a `tool` message, and runs it
//     {"parameters": {...}}                  runs it, such as with `resume`
//     {"say": TEXT, "abortAt": TYPE}         gives the run up at the first event of that type
//     {"thread": ID}                         goes over to another thread, whose messages are new
//
// `parameters` are those of `runAgent`. An answer has `events`, their texts as they came; `messages`, all of the
// thread; `state`; `interrupts`, and `result`; or `exception` in place of the last.

const { createInterface } = require('node:readline')

const { HttpAgent } = require('@ag-ui/client')

// What is said for developers is none of the answers.
for (const level of ['log', 'info', 'warn', 'error', 'debug']) console[level] = (...words) => process.stderr.write(words.join(' ') + '\n')

let ids = 0

async function run(agent, { say, result, parameters, abortAt }) {
  if (say !== undefined) agent.addMessage({ id: `user-${++ids}`, role: 'user', content: say })
  if (result !== undefined) agent.addMessage({ id: `tool-${++ids}`, role: 'tool', ...result })
  const events = []
  const onEvent = ({ event }) => {
    events.push(event)
    if (event.type === abortAt) agent.abortRun()
  }
  const told = () => ({ events, messages: agent.messages, state: agent.state, interrupts: agent.pendingInterrupts })
  try {
    const { result } = await agent.runAgent(parameters, { onEvent })
    return { ...told(), result }
  } catch (error) {
    return { ...told(), exception: error.message, status: error.status, payload: error.payload }
  }
}

async function main(url, headers) {
  const given = { url, headers: headers ? JSON.parse(headers) : {} }
  let agent = new HttpAgent({ ...given, threadId: 'a-thread' })
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line)
    if (order.thread) agent = new HttpAgent({ ...given, threadId: order.thread })
    const answer = order.thread ? { thread: order.thread } : await run(agent, order)
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
}

main(...process.argv.slice(2))
