/**
 * The coach as two routes of an Express application: `POST /coach` answers in one piece,
 * `POST /coach/stream` as server-sent events while the coach writes.
 *
 * ```text
 * data: {"text":"It "}            a piece of the answer
 * event: done                     the whole; replaces the pieces
 * data: {"text":"…","session_id":"…","stop_reason":"end_turn","usage":{…}}
 * event: failed                   instead of `done`
 * data: {"error":"…","code":"…","retry_after":5}
 * ```
 */

import express, { type Request, type Response, type Router } from "express";
import type { Agent, Answer, Payload } from "./agent.js";
import { AgentError, AgentFailed, BadRequest, Cancelled, Throttled, TimedOut, Unavailable } from "./errors.js";

export interface CoachRoutes {
  /**
   * The conversation a request belongs to. Take it from your own login, never from what the browser says:
   * whoever names a session reads it.
   */
  sessionOf(request: Request): string;
}

/** The routes, to be mounted where the application wants them. */
export function coachRoutes(agent: Pick<Agent, "ask" | "stream">, { sessionOf }: CoachRoutes): Router {
  const router = express.Router();
  router.use(express.json({ limit: "256kb" }));

  router.post("/coach", async (request, response) => {
    const gone = signalWhenGone(response);
    try {
      const answer = await agent.ask(payloadOf(request), sessionOf(request), { signal: gone });
      response.json(whole(answer));
    } catch (error) {
      refuse(response, error);
    }
  });

  router.post("/coach/stream", async (request, response) => {
    const gone = signalWhenGone(response);
    try {
      const pieces = agent.stream(payloadOf(request), sessionOf(request), { signal: gone });
      await relay(pieces, response, gone);
    } catch (error) {
      // Until the first piece is there, a failure can still have a status of its own.
      if (response.headersSent) send(response, told(error), "failed");
      else refuse(response, error);
    } finally {
      response.end();
    }
  });

  return router;
}

async function relay(pieces: AsyncGenerator<string, Answer>, response: Response, gone: AbortSignal): Promise<void> {
  for (;;) {
    const next = await pieces.next();
    if (!response.headersSent) {
      response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        // nginx would otherwise collect the pieces.
        "x-accel-buffering": "no",
      });
    }
    if (next.done) return void send(response, whole(next.value), "done");
    if (!send(response, { text: next.value })) await drained(response, gone);
  }
}

/** What the agent is sent: only members it knows, whatever else the browser put in. */
function payloadOf(request: Request): Payload {
  const body = (request.body ?? {}) as { prompt?: unknown; user_context?: unknown };
  return {
    ...(body.prompt === undefined ? {} : { prompt: body.prompt }),
    ...(body.user_context === undefined ? {} : { user_context: body.user_context }),
  };
}

function signalWhenGone(response: Response): AbortSignal {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  return gone.signal;
}

function send(response: Response, data: object, event?: string): boolean {
  return response.write(`${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`);
}

async function drained(response: Response, gone: AbortSignal): Promise<void> {
  if (gone.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    response.once("drain", done);
    gone.addEventListener("abort", done, { once: true });
  });
}

function whole(answer: Answer): object {
  return { text: answer.text, session_id: answer.sessionId, stop_reason: answer.stopReason, usage: answer.usage };
}

function refuse(response: Response, error: unknown): void {
  if (error instanceof Cancelled) return;
  if (error instanceof Throttled) response.set("retry-after", String(Math.ceil(error.retryAfterSeconds ?? 5)));
  response.status(statusFor(error)).json(told(error));
}

/** What is missing in our own set-up (access, the agent itself) is no business of the browser's: 502. */
function statusFor(error: unknown): number {
  if (error instanceof BadRequest) return 400;
  if (error instanceof Throttled) return 429;
  if (error instanceof Unavailable) return 503;
  if (error instanceof TimedOut) return 504;
  return error instanceof AgentError ? 502 : 500;
}

/** Only what the agent itself says to callers is passed on; the services' own sentences name resources. */
function told(error: unknown): object {
  const known = error instanceof AgentError ? error : new AgentFailed("", { code: "internal_error" });
  const wait = known instanceof Throttled ? { retry_after: known.retryAfterSeconds ?? 5 } : {};
  return { error: sentences[known.name] ?? "The coach can't answer right now.", code: known.code, ...wait };
}

const sentences: Readonly<Record<string, string>> = {
  BadRequest: "The coach can't read this message.",
  Throttled: "The coach is busy. Please try again in a moment.",
  Unavailable: "The coach can't be reached right now. Please try again.",
  TimedOut: "The coach did not answer in time. Please try again.",
};
