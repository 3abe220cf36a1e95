"""Reads CloudFormation templates with cfn-lint's own parser and prints, as one JSON object, what reviewers ask
about: who may do what (`policies`), which resources lack a tag that everything must have (`untagged`), what the
agents find in their environment (`environments`), and the parameters' defaults and the regions of the rules.

    templates.py TEMPLATE...
"""

import json
import sys
from pathlib import Path

from cfnlint.decode import decode
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

TAGS = {"Project", "Environment", "ManagedBy", "CostCenter", "Application"}


def plain(value, template):
    """A value as a reader says it: functions and references in `${}`, a condition as its two outcomes."""
    if isinstance(value, list):
        return " ".join(str(plain(item, template)) for item in value)
    if not isinstance(value, dict):
        return value
    [(function, argument)] = value.items()
    if function == "Fn::Sub":
        text, names = (argument, {}) if isinstance(argument, str) else argument
        for name, meaning in names.items():
            text = text.replace("${" + name + "}", str(plain(meaning, template)))
        return text
    if function == "Ref":
        return "${" + argument + "}"
    if function == "Fn::GetAtt":
        return "${" + (argument if isinstance(argument, str) else ".".join(argument)) + "}"
    if function == "Fn::If":
        return f"({plain(argument[1], template)} or {plain(argument[2], template)})"
    if function == "Fn::Select":
        return f"${{{json.dumps(argument[1])}[{argument[0]}]}}"
    return json.dumps(value)


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(node, path=()):
    """Every statement of every policy below a node."""
    if isinstance(node, dict):
        if "Statement" in node:
            yield from ((path, statement) for statement in listed(node["Statement"]))
            return
        for key, child in node.items():
            yield from statements(child, (*path, str(key)))
    elif isinstance(node, list):
        for child in node:
            yield from statements(child, path)


def policies(template):
    for name, resource in template["Resources"].items():
        for _, statement in statements(resource["Properties"]):
            who = statement.get("Principal", "")
            who = who if isinstance(who, str) else " ".join(str(plain(one, template)) for one in who.values())
            yield {
                "resource": name,
                "sid": statement.get("Sid", ""),
                "effect": statement["Effect"],
                "who": who,
                "actions": sorted(listed(statement["Action"])),
                "on": [str(plain(one, template)) for one in listed(statement.get("Resource", []))],
                "when": [
                    f"{operator} {key} {plain(value, template)}"
                    for operator, condition in statement.get("Condition", {}).items()
                    for key, value in condition.items()
                ],
            }


def untagged(template):
    for name, resource in template["Resources"].items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", resource["Type"]).schema
        named = [name for name in ("Tags", "ResourceTags") if name in schema["properties"]]
        if not named:
            continue
        tags = resource["Properties"].get(named[0], {})
        keys = set(tags) if isinstance(tags, dict) else {tag["Key"] for tag in tags}
        for missing in sorted(TAGS - keys):
            yield f"{name}: {missing}"


def environments(template):
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        variables = properties.get("EnvironmentVariables") or properties.get("Environment", {})
        if isinstance(variables, dict):
            variables = variables.get("Variables", variables)
            yield from ((name, variable, str(plain(value, template))) for variable, value in variables.items())


def read(path):
    template, problems = decode(path)
    if problems:
        raise SystemExit(f"{path}: {problems}")
    rules = template.get("Rules", {}).get("StaysInTheEu", {})
    return {
        "policies": list(policies(template)),
        "untagged": list(untagged(template)),
        "environments": list(environments(template)),
        "defaults": {name: about.get("Default") for name, about in template.get("Parameters", {}).items()},
        "regions": rules["Assertions"][0]["Assert"]["Fn::Contains"][0] if rules else [],
    }


print(json.dumps({Path(path).name: read(path) for path in sys.argv[1:]}, indent=1))
