/**
 * Asks an agent on AgentCore, in one piece or as it writes. This and `errors.ts` add four things to
 * `InvokeAgentRuntimeCommand`: time-outs that fit a chat, errors one can act on, retries of the calls that
 * are safe to repeat, and the text out of the answer.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { BedrockAgentCoreClient, InvokeAgentRuntimeCommand } from "@aws-sdk/client-bedrock-agentcore";
import { AgentError, AgentFailed, Cancelled, failure, failureInStream, Throttled, TimedOut, Unavailable } from "./errors.js";

export type Payload = Readonly<Record<string, unknown>>;

/** A whole answer. `body` has what is not spelled out here, `safety` for one. */
export interface Answer {
  readonly text: string;
  readonly sessionId: string;
  readonly stopReason: string | undefined;
  readonly usage: Readonly<Record<string, number>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface AgentOptions {
  /** The runtime's endpoint, such as `live`; without one the newest version answers, tried or not. */
  readonly qualifier?: string | undefined;
  /** Default: the ARN's own, else `AWS_REGION`. */
  readonly region?: string;
  /** Longest silence before and within an answer; default 60 000. */
  readonly silenceMs?: number;
  /** Calls in all when turned away; default 4. */
  readonly attempts?: number;
}

export interface AskOptions {
  /** Ends the call when its caller has gone. */
  readonly signal?: AbortSignal;
  /** Whose words they are: sessions are remembered per user. */
  readonly userId?: string;
}

/** A session id as the service takes it: 33 to 256 characters. The agent's memory hangs on it. */
export function newSession(): string {
  return `session-${randomUUID()}`;
}

/** One agent. `AWS_ENDPOINT_URL` redirects it, to a local AWS for example. */
export class Agent {
  readonly #arn: string;
  readonly #qualifier: string | undefined;
  readonly #silenceMs: number;
  readonly #attempts: number;
  readonly #client: BedrockAgentCoreClient;

  constructor(arn: string, options: AgentOptions = {}) {
    this.#arn = arn;
    this.#qualifier = options.qualifier;
    this.#silenceMs = options.silenceMs ?? 60_000;
    this.#attempts = options.attempts ?? 4;
    const region = options.region ?? arn.split(":")[3] ?? process.env["AWS_REGION"];
    this.#client = new BedrockAgentCoreClient({
      ...(region === undefined ? {} : { region }),
      // The SDK would also repeat calls that timed out, and say the user's words twice.
      maxAttempts: 1,
      // A region that is gone is known by its silence here, long before an agent's would be too long.
      requestHandler: { connectionTimeout: 3_000 },
    });
  }

  /** Sends a payload and waits for the whole answer. */
  async ask(payload: Payload, sessionId: string, options: AskOptions = {}): Promise<Answer> {
    using silence = new Silence(this.#silenceMs, options.signal);
    try {
      let text = "";
      for await (const piece of await this.#invoke(payload, sessionId, "application/json", silence, options)) {
        text += piece;
      }
      const body = parsed(text);
      return answer(body["response"], body, sessionId);
    } catch (thrown) {
      throw silence.broken() ?? failure(thrown);
    }
  }

  /**
   * Sends a payload and yields the text as it is written; returns the whole answer. The whole is what the
   * agent stands by and will remember: where it differs from the pieces (a guard may rewrite an answer),
   * show it in their place. Leaving the loop hangs up.
   */
  async *stream(payload: Payload, sessionId: string, options: AskOptions = {}): AsyncGenerator<string, Answer> {
    using silence = new Silence(this.#silenceMs, options.signal);
    try {
      for await (const frame of frames(await this.#invoke(payload, sessionId, "text/event-stream", silence, options))) {
        if ("error" in frame) throw failureInStream(frame);
        if ("message" in frame) return answer(frame["message"], frame, sessionId);
        const text = textOf(frame);
        if (text !== undefined) yield text;
      }
      throw new AgentFailed("The answer broke off before its last frame.", { code: "cut" });
    } catch (thrown) {
      throw silence.broken() ?? failure(thrown);
    }
  }

  /** Invokes the agent, again if it turned the call away before a turn began, and gives its body. */
  async #invoke(
    payload: Payload,
    sessionId: string,
    accept: string,
    silence: Silence,
    options: AskOptions,
  ): Promise<AsyncIterable<string>> {
    const command = new InvokeAgentRuntimeCommand({
      agentRuntimeArn: this.#arn,
      runtimeSessionId: sessionId,
      contentType: "application/json",
      accept,
      payload: new TextEncoder().encode(JSON.stringify(payload)),
      ...(this.#qualifier === undefined ? {} : { qualifier: this.#qualifier }),
      ...(options.userId === undefined ? {} : { runtimeUserId: options.userId }),
    });
    for (let attempt = 1; ; attempt += 1) {
      try {
        const reply = await this.#client.send(command, { abortSignal: silence.signal });
        return heard(reply.response as unknown as Body, silence);
      } catch (thrown) {
        const error = silence.broken() ?? failure(thrown);
        if (!wasTurnedAway(error) || attempt >= this.#attempts) throw error;
        silence.allow(LONGEST_PAUSE_MS);
        await pause(pauseMs(attempt, error), undefined, { signal: silence.signal });
        silence.heard();
      }
    }
  }
}

/**
 * One agent in several regions, the first of them at home. While home can't be reached the next one
 * answers, and home is left alone for a while, so that not every caller waits for it.
 *
 * Only `Unavailable` moves a call. One that timed out may be running still, and one that was throttled was
 * asked to wait. Memory does not move: elsewhere the conversation begins anew, and what is said there stays
 * there.
 */
export class Regions {
  readonly #agents: readonly Agent[];
  readonly #restMs: number;
  readonly #leftAloneUntil: number[];

  constructor(agents: readonly Agent[], { restMs = 60_000 }: { readonly restMs?: number } = {}) {
    this.#agents = agents;
    this.#restMs = restMs;
    this.#leftAloneUntil = agents.map(() => 0);
  }

  /** As `Agent.ask`. */
  async ask(payload: Payload, sessionId: string, options: AskOptions = {}): Promise<Answer> {
    for (const [position, agent] of this.#agents.entries()) {
      if (this.#isLeftAlone(position)) continue;
      try {
        return await agent.ask(payload, sessionId, options);
      } catch (error) {
        if (!this.#moves(position, error)) throw error;
      }
    }
    throw new Unavailable("There is no region to ask.", { code: "unreachable" });
  }

  /** As `Agent.stream`. An answer that has begun is not moved. */
  async *stream(payload: Payload, sessionId: string, options: AskOptions = {}): AsyncGenerator<string, Answer> {
    for (const [position, agent] of this.#agents.entries()) {
      if (this.#isLeftAlone(position)) continue;
      const pieces = agent.stream(payload, sessionId, options);
      let begun = false;
      try {
        for (;;) {
          const next = await pieces.next();
          if (next.done) return next.value;
          begun = true;
          yield next.value;
        }
      } catch (error) {
        if (begun || !this.#moves(position, error)) throw error;
      } finally {
        // Whoever leaves this loop hangs up, here too.
        await pieces.return(undefined as never);
      }
    }
    throw new Unavailable("There is no region to ask.", { code: "unreachable" });
  }

  #isLast(position: number): boolean {
    return position === this.#agents.length - 1;
  }

  #isLeftAlone(position: number): boolean {
    return !this.#isLast(position) && Date.now() < (this.#leftAloneUntil[position] ?? 0);
  }

  #moves(position: number, error: unknown): boolean {
    if (!(error instanceof Unavailable) || this.#isLast(position)) return false;
    this.#leftAloneUntil[position] = Date.now() + this.#restMs;
    return true;
  }
}

/** Watches over one call: its signal fires when nothing is heard for too long or the caller has gone. */
class Silence implements Disposable {
  readonly #limitMs: number;
  readonly #own = new AbortController();
  readonly #caller: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly signal: AbortSignal;

  constructor(limitMs: number, caller: AbortSignal | undefined) {
    this.#limitMs = limitMs;
    this.#caller = caller;
    this.signal = caller === undefined ? this.#own.signal : AbortSignal.any([this.#own.signal, caller]);
    this.heard();
  }

  heard(): void {
    this.allow(0);
  }

  /** Allows for `moreMs` of silence that is meant. */
  allow(moreMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#own.abort(), this.#limitMs + moreMs);
  }

  suspend(): void {
    clearTimeout(this.#timer);
  }

  broken(): AgentError | undefined {
    if (this.#caller?.aborted) return new Cancelled("The caller has gone.", { code: "cancelled" });
    if (!this.#own.signal.aborted) return undefined;
    return new TimedOut(`The agent was silent for ${this.#limitMs} ms.`, { code: "timed_out" });
  }

  [Symbol.dispose](): void {
    this.suspend();
  }
}

// === retries ===

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;

function wasTurnedAway(error: AgentError): boolean {
  return error instanceof Throttled || error.code === "RetryableConflictException";
}

/** Jitter over the whole interval spreads callers that were throttled together. */
function pauseMs(attempt: number, error: AgentError): number {
  const askedFor = error instanceof Throttled ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
  const jitter = Math.random() * FIRST_PAUSE_MS * 2 ** attempt;
  return Math.min(LONGEST_PAUSE_MS, askedFor + jitter);
}

// === reading answers ===

/** What the SDK's streaming body is under node; its own type also covers browsers. */
interface Body extends AsyncIterable<Uint8Array> {
  destroy(): unknown;
}

/** The body as text, each piece of it ending a silence; hung up when its reader leaves or has enough. */
async function* heard(body: Body, silence: Silence): AsyncGenerator<string> {
  const hangUp = (): void => void body.destroy();
  silence.signal.addEventListener("abort", hangUp, { once: true });
  try {
    const decoder = new TextDecoder();
    for await (const chunk of body) {
      // The reader's own pace is no silence of the agent's.
      silence.suspend();
      yield decoder.decode(chunk, { stream: true });
      silence.heard();
    }
  } finally {
    silence.signal.removeEventListener("abort", hangUp);
    hangUp();
  }
}

async function* frames(body: AsyncIterable<string>): AsyncGenerator<Record<string, unknown>> {
  let rest = "";
  for await (const piece of body) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data:")) yield parsed(line.slice("data:".length));
    }
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below, for every way of not being a JSON object.
  }
  throw new AgentFailed("The answer is not a JSON object.", { code: "unreadable" });
}

function answer(message: unknown, body: Record<string, unknown>, sessionId: string): Answer {
  if (!isObject(message) || !Array.isArray(message["content"])) {
    throw new AgentFailed("The answer has no message in it.", { code: "unreadable" });
  }
  const blocks = message["content"] as { text?: string }[];
  return {
    text: blocks.map((block) => block.text ?? "").join(""),
    sessionId,
    stopReason: typeof body["stop_reason"] === "string" ? body["stop_reason"] : undefined,
    usage: isObject(body["usage"]) ? (body["usage"] as Record<string, number>) : {},
    body,
  };
}

function textOf(frame: Record<string, unknown>): string | undefined {
  const event = frame["event"] as { contentBlockDelta?: { delta?: { text?: string } } } | undefined;
  return event?.contentBlockDelta?.delta?.text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
