"""Talks to the coach from the command line.

    AWS_ENDPOINT_URL=http://127.0.0.1:4570 python3 invoke.py "I had a setback today"
    AWS_ENDPOINT_URL=http://127.0.0.1:4570 python3 invoke.py --stream --session ID "And now?"

The session's id goes to stderr, so that the next call can name it.
"""

from __future__ import annotations

import argparse
import os
import sys

from agent import Agent, AgentError, Regions, Throttled, new_session

COACH = "arn:aws:bedrock-agentcore:eu-west-1:732231126129:runtime/coach_companion-0ZUOP04U5z"


def main() -> int:
    arguments = parse()
    agent = Regions(
        [
            Agent(arn, qualifier=arguments.qualifier, read_timeout=arguments.timeout, attempts=arguments.attempts)
            for arn in arguments.arn.split(",")
        ]
    )
    session = arguments.session or new_session()
    print(f"session {session}", file=sys.stderr)
    try:
        if arguments.stream:
            for text in agent.stream({"prompt": arguments.prompt}, session):
                print(text, end="", flush=True)
            print()
        else:
            print(agent.ask({"prompt": arguments.prompt}, session).text)
    except AgentError as error:
        wait = f" (again in {error.retry_after:g} s)" if isinstance(error, Throttled) and error.retry_after else ""
        print(f"{type(error).__name__}: {error}{wait}", file=sys.stderr)
        return 1
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Talk to an agent on AgentCore.")
    parser.add_argument("prompt", nargs="?", default="I had a setback today")
    parser.add_argument(
        "--arn", default=os.environ.get("AGENT_RUNTIME_ARN", COACH), help="several by commas: one a region, home first"
    )
    parser.add_argument("--qualifier", default=os.environ.get("AGENT_RUNTIME_QUALIFIER"), help="such as `live`")
    parser.add_argument("--session", help="go on with this session")
    parser.add_argument("--stream", action="store_true", help="print the answer as it is written")
    parser.add_argument("--timeout", type=float, default=60.0, help="longest silence, in seconds")
    parser.add_argument("--attempts", type=int, default=4, help="calls in all when throttled")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
