"""Checks lines against the schema that AWS publishes for its embedded metric format. Prints how many lines are metrics,
and what is wrong with which.

    emf.py SCHEMA.json LINES
"""

import json
import sys
from pathlib import Path

from jsonschema import Draft7Validator

schema = json.loads(Path(sys.argv[1]).read_text())
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
lines = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
metrics = [line for line in lines if "_aws" in line]
problems = [f"{error.json_path}: {error.message}" for line in metrics for error in validator.iter_errors(line)]
for line in metrics:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        # What the schema leaves to words: targets are members of the line, numbers and texts.
        for metric in directive["Metrics"]:
            if isinstance(line.get(metric["Name"]), bool) or not isinstance(line.get(metric["Name"]), (int, float)):
                problems.append(f"{metric['Name']} is no number of the line")
        for dimension in sum(directive["Dimensions"], []):
            if not isinstance(line.get(dimension), str):
                problems.append(f"{dimension} is no text of the line")
print(json.dumps({"metrics": len(metrics), "problems": problems}))
