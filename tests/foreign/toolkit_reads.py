"""What AWS's starter toolkit makes of a `.bedrock_agentcore.yaml`, in one JSON object: `agents` as it takes them,
and `ignored`, the members it does not know, which it passes over without a word.

    toolkit_reads.py FILE
"""

import json
import sys
from pathlib import Path

import yaml
from bedrock_agentcore_starter_toolkit.utils.runtime.config import load_config

path = Path(sys.argv[1])
taken = load_config(path, autofill_missing_aws=False).model_dump()


def ignored(written, read, where=""):
    if isinstance(written, dict):
        for key, value in written.items():
            if not isinstance(read, dict) or key not in read:
                yield where + key
            else:
                yield from ignored(value, read[key], f"{where}{key}.")


print(json.dumps({"agents": taken["agents"], "ignored": list(ignored(yaml.safe_load(path.read_text()), taken))}))
