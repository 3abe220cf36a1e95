"""Asks an agent on AgentCore, in one piece or as it writes.

A copy of this file is all a Python backend needs beside boto3. It adds four things to
`invoke_agent_runtime`: time-outs that fit a chat, errors one can act on, retries of the calls that are
safe to repeat, and the text out of the answer.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)

Payload = dict[str, Any]
Reply = TypeVar("Reply")


# === what can go wrong ===


class AgentError(Exception):
    """An invocation that has no answer. `code` is the most exact name known of what happened."""

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class BadRequest(AgentError):
    """The request is wrong; sent again, it fails again."""


class NotAllowed(AgentError):
    """The caller may not invoke this agent."""


class NotFound(AgentError):
    """There is no such agent, or no such session to stop."""


class Throttled(AgentError):
    """Too much at once. `retry_after` seconds are asked for, where the service says how long."""

    def __init__(self, message: str, *, retry_after: float | None = None, **about: str) -> None:
        super().__init__(message, **about)
        self.retry_after = retry_after


class Unavailable(AgentError):
    """The service, the model or the memory can't be reached now. Nobody knows whether the turn ran."""


class TimedOut(AgentError):
    """Nothing came for longer than `read_timeout`. Nobody knows whether the turn ran."""


class AgentFailed(AgentError):
    """The agent broke, or broke off in the middle of its answer."""


# === what comes back ===


@dataclass(frozen=True)
class Answer:
    """A whole answer. `body` has what is not spelled out here, `safety` for one."""

    text: str
    session_id: str
    stop_reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict, repr=False)


class AnswerStream:
    """Iterates over the text as it is written; afterwards `answer` is the whole.

    `answer.text` is what the agent stands by and will remember: where it differs from the pieces (a
    guard may rewrite an answer), show it in their place.
    """

    def __init__(self, frames: Iterable[Payload], session_id: str, close: Callable[[], None]) -> None:
        self.session_id = session_id
        self.answer: Answer | None = None
        self._frames = frames
        self._close = close

    def __iter__(self) -> Iterator[str]:
        with self, _typed_errors():
            for frame in self._frames:
                if "error" in frame:
                    raise _failure_in_stream(frame)
                if "message" in frame:
                    self.answer = _answer(frame["message"], frame, self.session_id)
                    return
                delta = frame.get("event", {}).get("contentBlockDelta", {}).get("delta", {})
                if "text" in delta:
                    yield delta["text"]
        raise AgentFailed("The answer broke off before its last frame.", code="cut")

    def __enter__(self) -> AnswerStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up. The agent stops writing and remembers what it had said."""
        self._close()


# === asking ===


def new_session() -> str:
    """A session id as the service takes it: 33 to 256 characters. Keep it for as long as the
    conversation lasts; it is what the agent's memory hangs on."""
    return f"session-{uuid.uuid4()}"


class Agent:
    """One agent on AgentCore. Threads may share it.

    `qualifier` names the runtime's endpoint; without one the newest version answers, tried or not.
    `AWS_ENDPOINT_URL` redirects it, to a local AWS for example. `read_timeout` bounds the silence before
    and within an answer, in seconds. `attempts` counts the first one; only calls that were turned away
    before a turn began are repeated, because a turn that ran is remembered.
    """

    def __init__(
        self,
        arn: str,
        *,
        qualifier: str | None = None,
        region: str | None = None,
        connect_timeout: float = 3.0,
        read_timeout: float = 60.0,
        attempts: int = 4,
    ) -> None:
        self._arn = arn
        self._qualifier = qualifier
        self._attempts = attempts
        self._client = boto3.client(
            "bedrock-agentcore",
            region_name=region or _region_of(arn) or os.environ.get("AWS_REGION"),
            config=Config(
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                max_pool_connections=50,
                # botocore would also repeat calls that timed out, and say the user's words twice.
                retries={"total_max_attempts": 1},
            ),
        )

    def ask(self, payload: Payload, session_id: str, *, user_id: str | None = None) -> Answer:
        """Sends a payload and waits for the whole answer."""
        with _typed_errors():
            reply = self._invoke(payload, session_id, user_id, accept="application/json")
            body = _parsed(reply["response"].read())
            message = body.get("response")
            if not isinstance(message, dict):
                raise AgentFailed("The answer has no `response` object.", code="unreadable")
            return _answer(message, body, session_id)

    def stream(self, payload: Payload, session_id: str, *, user_id: str | None = None) -> AnswerStream:
        """Sends a payload and gives the answer as it is written."""
        with _typed_errors():
            reply = self._invoke(payload, session_id, user_id, accept="text/event-stream")
            response = reply["response"]
            # botocore fills a chunk before it gives it away: with one larger than a byte, text that has
            # arrived would wait for text that hasn't.
            return AnswerStream(_frames(response.iter_lines(chunk_size=1)), session_id, response.close)

    def stop(self, session_id: str) -> None:
        """Ends the session's process; what was said stays remembered."""
        with _typed_errors():
            self._client.stop_runtime_session(agentRuntimeArn=self._arn, runtimeSessionId=session_id)

    def _invoke(self, payload: Payload, session_id: str, user_id: str | None, accept: str) -> dict[str, Any]:
        request: dict[str, Any] = {
            "agentRuntimeArn": self._arn,
            "runtimeSessionId": session_id,
            "contentType": "application/json",
            "accept": accept,
            "payload": json.dumps(payload).encode(),
        }
        if self._qualifier is not None:
            request["qualifier"] = self._qualifier
        if user_id is not None:
            request["runtimeUserId"] = user_id
        attempt = 1
        while True:
            try:
                return self._client.invoke_agent_runtime(**request)
            except ClientError as error:
                failure = _failure(error)
                if not _was_turned_away(failure) or attempt >= self._attempts:
                    raise failure from error
                time.sleep(_pause(attempt, failure))
                attempt += 1


class Regions:
    """One agent in several regions, the first of them at home. While home can't be reached the next one
    answers, and home is left alone for `rest` seconds, so that not every caller waits for it.

    Only `Unavailable` moves a call. One that timed out may be running still, and one that was throttled
    was asked to wait. Memory does not move: elsewhere the conversation begins anew, and what is said
    there stays there.
    """

    def __init__(self, agents: Sequence[Agent], *, rest: float = 60.0) -> None:
        self._agents = agents
        self._rest = rest
        self._left_alone_until = [0.0] * len(agents)

    def ask(self, payload: Payload, session_id: str, *, user_id: str | None = None) -> Answer:
        """As `Agent.ask`."""
        return self._first(lambda agent: agent.ask(payload, session_id, user_id=user_id))

    def stream(self, payload: Payload, session_id: str, *, user_id: str | None = None) -> AnswerStream:
        """As `Agent.stream`. An answer that has begun is not moved."""
        return self._first(lambda agent: agent.stream(payload, session_id, user_id=user_id))

    def _first(self, ask: Callable[[Agent], Reply]) -> Reply:
        *others, last = range(len(self._agents))
        for position in others:
            if time.monotonic() < self._left_alone_until[position]:
                continue
            try:
                return ask(self._agents[position])
            except Unavailable:
                self._left_alone_until[position] = time.monotonic() + self._rest
        return ask(self._agents[last])


# === retries ===

# Jitter over the whole interval spreads callers that were throttled together.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 20.0


def _was_turned_away(failure: AgentError) -> bool:
    return isinstance(failure, Throttled) or failure.code == "RetryableConflictException"


def _pause(attempt: int, failure: AgentError) -> float:
    asked_for = getattr(failure, "retry_after", None) or 0.0
    jitter = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))
    return min(_LONGEST_PAUSE, asked_for + jitter)


# === reading answers ===


def _region_of(arn: str) -> str | None:
    parts = arn.split(":")
    return parts[3] if len(parts) > 3 else None


def _parsed(body: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise AgentFailed("The answer is not JSON.", code="unreadable") from error
    if not isinstance(value, dict):
        raise AgentFailed("The answer is not a JSON object.", code="unreadable")
    return value


def _answer(message: dict[str, Any], body: dict[str, Any], session_id: str) -> Answer:
    return Answer(
        text="".join(block.get("text", "") for block in message.get("content", [])),
        session_id=session_id,
        stop_reason=body.get("stop_reason"),
        usage=body.get("usage") or {},
        body=body,
    )


def _frames(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith(b"data:"):
            yield _parsed(line[len(b"data:") :])


# === errors of every layer, as ours ===

_BY_CODE: dict[str, type[AgentError]] = {
    "ValidationException": BadRequest,
    "AccessDeniedException": NotAllowed,
    "ResourceNotFoundException": NotFound,
    "ThrottlingException": Throttled,
    "ServiceQuotaExceededException": Throttled,
    "InternalServerException": Unavailable,
}

_BY_FRAME_CODE: dict[str, type[AgentError]] = {
    "invalid_json": BadRequest,
    "invalid_encoding": BadRequest,
    "invalid_payload": BadRequest,
    "payload_too_large": BadRequest,
    "context_too_long": BadRequest,
    "model_throttled": Throttled,
    "model_unavailable": Unavailable,
    "model_timeout": Unavailable,
    "memory_unavailable": Unavailable,
}


def _failure(error: ClientError) -> AgentError:
    told = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code, message = told.get("Code", ""), told.get("Message", "") or str(error)
    about = {"code": code, "request_id": metadata.get("RequestId", "")}
    kind = _BY_CODE.get(code) or _by_status(_status_of_the_agent(message) or metadata.get("HTTPStatusCode", 500))
    if kind is Throttled:
        return Throttled(message, retry_after=_seconds(metadata.get("HTTPHeaders", {}).get("retry-after")), **about)
    return kind(message, **about)


def _status_of_the_agent(message: str) -> int | None:
    """The service tells a caller of the agent's own status only in the sentence of a 424."""
    found = re.match(r"Received error \((\d{3})\) from runtime", message)
    return int(found[1]) if found else None


def _by_status(status: int) -> type[AgentError]:
    if status == 429:
        return Throttled
    if status in (502, 503, 504):
        return Unavailable
    return BadRequest if status in (400, 413, 422) else AgentFailed


def _failure_in_stream(frame: dict[str, Any]) -> AgentError:
    kind = _BY_FRAME_CODE.get(frame.get("code", ""), AgentFailed)
    about = {"code": frame.get("code", ""), "request_id": frame.get("request_id", "")}
    if kind is Throttled:
        return Throttled(str(frame["error"]), retry_after=frame.get("retry_after"), **about)
    return kind(str(frame["error"]), **about)


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _failure(error) from error
    except ReadTimeoutError as error:
        raise TimedOut("The agent was silent for too long.", code="timed_out") from error
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        raise Unavailable(str(error), code="unreachable") from error
    except ParamValidationError as error:
        raise BadRequest(str(error), code="invalid_request") from error
    except BotoCoreError as error:
        raise AgentFailed(str(error), code="cut") from error
