/**
 * What can go wrong when an agent is asked, as types to act on. Errors reach a caller in three forms
 * (an exception of the SDK, a frame in a stream, a socket that breaks); here they become one.
 */

/** An invocation that has no answer. `code` is the most exact name known of what happened. */
export class AgentError extends Error {
  readonly code: string;
  readonly requestId: string | undefined;

  constructor(message: string, about: { code: string; requestId?: string | undefined; cause?: unknown }) {
    super(message, { cause: about.cause });
    this.name = new.target.name;
    this.code = about.code;
    this.requestId = about.requestId;
  }
}

/** The request is wrong; sent again, it fails again. */
export class BadRequest extends AgentError {}
/** The caller may not invoke this agent. */
export class NotAllowed extends AgentError {}
/** There is no such agent. */
export class NotFound extends AgentError {}
/** The service, the model or the memory can't be reached now. Nobody knows whether the turn ran. */
export class Unavailable extends AgentError {}
/** Nothing came for too long. Nobody knows whether the turn ran. */
export class TimedOut extends AgentError {}
/** Whoever asked has gone. */
export class Cancelled extends AgentError {}
/** The agent broke, or broke off in the middle of its answer. */
export class AgentFailed extends AgentError {}
/** Too much at once. `retryAfterSeconds` is known where the service says it. */
export class Throttled extends AgentError {
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    about: ConstructorParameters<typeof AgentError>[1] & { retryAfterSeconds?: number | undefined },
  ) {
    super(message, about);
    this.retryAfterSeconds = about.retryAfterSeconds;
  }
}

type Kind = new (message: string, about: ConstructorParameters<typeof AgentError>[1]) => AgentError;

const byServiceCode: Readonly<Record<string, Kind>> = {
  ValidationException: BadRequest,
  AccessDeniedException: NotAllowed,
  ResourceNotFoundException: NotFound,
  ThrottlingException: Throttled,
  ServiceQuotaExceededException: Throttled,
  InternalServerException: Unavailable,
};

const byFrameCode: Readonly<Record<string, Kind>> = {
  invalid_json: BadRequest,
  invalid_encoding: BadRequest,
  invalid_payload: BadRequest,
  payload_too_large: BadRequest,
  context_too_long: BadRequest,
  model_throttled: Throttled,
  model_unavailable: Unavailable,
  model_timeout: Unavailable,
  memory_unavailable: Unavailable,
};

/** The parts of the SDK's exceptions, and of node's socket errors, that are read here. */
interface Thrown {
  name?: string;
  message?: string;
  code?: string;
  $metadata?: { httpStatusCode?: number; requestId?: string };
  $response?: { headers?: Record<string, string> };
}

/** What was thrown by the SDK or by a socket, as one of ours. */
export function failure(thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const error = thrown as Thrown;
  const message = error.message ?? String(thrown);
  const status = error.$metadata?.httpStatusCode;
  const code = error.name ?? "";
  if (status === undefined) {
    // The SDK's own time-out is for connecting only.
    const unreachable = code === "TimeoutError" || ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH"].includes(error.code ?? "");
    return unreachable
      ? new Unavailable(message, { code: "unreachable", cause: thrown })
      : new AgentFailed("The answer broke off.", { code: "cut", cause: thrown });
  }
  const kind = byServiceCode[code] ?? byStatus(statusOfTheAgent(message) ?? status);
  const about = { code, requestId: error.$metadata?.requestId, cause: thrown };
  return kind === Throttled
    ? new Throttled(message, { ...about, retryAfterSeconds: seconds(error.$response?.headers?.["retry-after"]) })
    : new kind(message, about);
}

/** A frame that tells of a failure, as one of ours. */
export function failureInStream(frame: Record<string, unknown>): AgentError {
  const code = typeof frame["code"] === "string" ? frame["code"] : "";
  const requestId = typeof frame["request_id"] === "string" ? frame["request_id"] : undefined;
  const kind = byFrameCode[code] ?? AgentFailed;
  const wait = frame["retry_after"];
  return kind === Throttled
    ? new Throttled(String(frame["error"]), {
        code,
        requestId,
        retryAfterSeconds: typeof wait === "number" ? wait : undefined,
      })
    : new kind(String(frame["error"]), { code, requestId });
}

/** The service tells a caller of the agent's own status only in the sentence of a 424. */
function statusOfTheAgent(message: string): number | undefined {
  const found = /^Received error \((\d{3})\) from runtime/.exec(message);
  return found ? Number(found[1]) : undefined;
}

function byStatus(status: number): Kind {
  if (status === 429) return Throttled;
  if ([502, 503, 504].includes(status)) return Unavailable;
  return [400, 413, 422].includes(status) ? BadRequest : AgentFailed;
}

function seconds(header: string | undefined): number | undefined {
  const value = Number(header);
  return header === undefined || Number.isNaN(value) ? undefined : Math.max(0, value);
}
