"""What a template makes, with the values that a stack gives it: every function and reference worked out, resources
whose condition is false left out. Prints `resources`, `outputs`, and the `template` as CloudFormation takes it in JSON.

    resolved.py TEMPLATE REGION '{"Parameter": "value"}'
"""

import json
import re
import sys

from cfnlint.decode import decode

ACCOUNT = "000000000000"
NOTHING = object()


class Stack:
    def __init__(self, template, region, values):
        self.template = template
        self.pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NOTHING,
        }
        self.parameters = {}
        for name, about in template.get("Parameters", {}).items():
            value = values[name] if name in values else about["Default"]
            pattern, allowed = about.get("AllowedPattern"), about.get("AllowedValues")
            if pattern and not re.fullmatch(pattern, str(value)):
                raise SystemExit(f"{name}={value} is not {pattern}")
            if allowed and str(value) not in map(str, allowed):
                raise SystemExit(f"{name}={value} is none of {allowed}")
            self.parameters[name] = value.split(",") if about["Type"] == "CommaDelimitedList" else value

    def is_true(self, condition):
        return self.value(self.template["Conditions"][condition])

    def is_made(self, resource):
        return "Condition" not in resource or self.is_true(resource["Condition"])

    def named(self, name):
        """What `Ref` gives."""
        for known in (self.pseudo, self.parameters):
            if name in known:
                return known[name]
        resource = self.template["Resources"][name]
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm":
                return self.value(properties["AlarmName"])
            case "AWS::CloudWatch::Dashboard":
                return self.value(properties["DashboardName"])
            case "AWS::SNS::Topic":
                topic = self.value(properties["TopicName"])
                return f"arn:aws:sns:{self.pseudo['AWS::Region']}:{ACCOUNT}:{topic}"
            case "AWS::CE::AnomalyMonitor":
                return f"arn:aws:ce::{ACCOUNT}:anomalymonitor/{name}"
            case kind:
                raise SystemExit(f"what `Ref` gives of a {kind} is not known here")

    def attribute(self, name, attribute):
        kind = self.template["Resources"][name]["Type"]
        if attribute == "Arn" and kind.startswith("AWS::CloudWatch::") and kind.endswith("Alarm"):
            return f"arn:aws:cloudwatch:{self.pseudo['AWS::Region']}:{ACCOUNT}:alarm:{self.named(name)}"
        raise SystemExit(f"{name}.{attribute} is not known here")

    def text(self, argument):
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def meaning(match):
            name = match.group(1)
            if name in names:
                return str(self.value(names[name]))
            return str(self.attribute(*name.split(".")) if "." in name else self.named(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", meaning, text)

    def value(self, node):
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            match function:
                case "Ref":
                    return self.named(argument)
                case "Fn::Sub":
                    return self.text(argument)
                case "Fn::If":
                    return self.value(argument[1 if self.is_true(argument[0]) else 2])
                case "Fn::Join":
                    return str(argument[0]).join(map(str, self.value(argument[1])))
                case "Fn::Split":
                    return self.value(argument[1]).split(argument[0])
                case "Fn::Select":
                    return self.value(argument[1])[int(argument[0])]
                case "Fn::Equals":
                    return str(self.value(argument[0])) == str(self.value(argument[1]))
                case "Fn::Not":
                    return not self.value(argument[0])
                case "Fn::And":
                    return all(self.value(argument))
                case "Fn::Or":
                    return any(self.value(argument))
            if function.startswith("Fn::"):
                raise SystemExit(f"{function} is not known here")
        values = {str(key): self.value(child) for key, child in node.items()}
        return {key: value for key, value in values.items() if value is not NOTHING}

    def resources(self):
        for name, resource in self.template["Resources"].items():
            if self.is_made(resource):
                yield name, {"Type": resource["Type"], "Properties": self.value(resource["Properties"])}


path, region, values = sys.argv[1:]
template, problems = decode(path)
if problems:
    raise SystemExit(f"{path}: {problems}")
stack = Stack(template, region, json.loads(values))
for name, rule in template.get("Rules", {}).items():
    for assertion in rule["Assertions"]:
        # The one about regions contains a list; cfn-lint and `templates.py` look at it.
        if "Fn::Contains" not in assertion["Assert"] and not stack.value(assertion["Assert"]):
            raise SystemExit(f"{name}: {assertion['AssertDescription']}")
outputs = {name: stack.value(output["Value"]) for name, output in template.get("Outputs", {}).items()}
print(json.dumps({"resources": dict(stack.resources()), "outputs": outputs, "template": template}))
