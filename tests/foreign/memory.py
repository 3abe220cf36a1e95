"""An operator of AgentCore Memory: boto3, unmodified. Orders come as JSON lines, answers go out as such.

    {"do": "create", "name": "..."}         makes a memory; the answer has its `id`
    {"do": "turns", "memory": ID}           every event of every session, each as its session and what was said
    {"do": "session", "memory": ID, "actor": ID, "session": ID}     the same of one session
"""

import json
import sys

import boto3

control = boto3.client("bedrock-agentcore-control")
data = boto3.client("bedrock-agentcore")


def create(order):
    memory = control.create_memory(name=order["name"], eventExpiryDuration=30)["memory"]
    return {"id": memory["id"]}


def turns(order):
    memory, found = order["memory"], []
    for actor in data.list_actors(memoryId=memory)["actorSummaries"]:
        actor_id = actor["actorId"]
        for session in data.list_sessions(memoryId=memory, actorId=actor_id)["sessionSummaries"]:
            found += events(memory, actor_id, session["sessionId"])
    return {"turns": found}


def session(order):
    return {"turns": events(order["memory"], order["actor"], order["session"])}


def events(memory, actor, session):
    where = {"memoryId": memory, "actorId": actor, "sessionId": session}
    found = data.list_events(**where, includePayloads=True, maxResults=100)["events"]
    found.sort(key=lambda event: event["eventTimestamp"])
    return [{"session": session, "said": said(event["payload"])} for event in found]


def said(payload):
    items = [item["conversational"] for item in payload if "conversational" in item]
    return [[item["role"], item["content"]["text"]] for item in items]


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps({"create": create, "turns": turns, "session": session}[order["do"]](order)), flush=True)
