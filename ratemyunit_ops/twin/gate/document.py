"""What an SSM document becomes: one shell script, its environment and its deadline.

Schema 2.2 with `aws:runShellScript` steps, and AWS-RunShellScript. A parameter with `interpolationType: ENV_VAR`
travels as the environment variable SSM_<name> and is never pasted into the script.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from ratemyunit_ops.twin.gate.mend import refuse

RUN_SHELL_SCRIPT: dict[str, Any] = {
    "schemaVersion": "2.2",
    "parameters": {
        "commands": {"type": "StringList"},
        "workingDirectory": {"type": "String", "default": ""},
        "executionTimeout": {"type": "String", "default": "3600"},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "runShellScript",
            "inputs": {"runCommand": ["{{ commands }}"], "timeoutSeconds": "{{ executionTimeout }}"},
        }
    ],
}
DEFAULT_EXECUTION_TIMEOUT = 3600
REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
STORED = re.compile(r"\{\{\s*ssm:([A-Za-z0-9_./-]+)\s*\}\}")


@dataclass(frozen=True)
class Script:
    """What the agent is handed."""

    text: str
    env: dict[str, str]
    execution_timeout: int


def parse(content: str) -> dict[str, Any]:
    """Read a document's content, JSON or YAML.

    Raises: InvalidDocumentContent when it is neither, or not schema 2.2.
    """
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as why:
        raise refuse("InvalidDocumentContent", f"the document is neither JSON nor YAML: {why}") from why
    if not isinstance(document, dict) or str(document.get("schemaVersion")) != "2.2":
        raise refuse("InvalidDocumentContent", "the twin runs documents of schemaVersion 2.2 only")
    return document


def script_of(document: dict[str, Any], given: dict[str, list[str]], stored: Callable[[str], str]) -> Script:
    """Fill the document's parameters in and join its steps.

    Raises: InvalidParameters when one is unknown, missing or does not match its pattern.
    """
    declared = document.get("parameters") or {}
    values = _values(declared, given, stored)
    by_environment = {name for name, spec in declared.items() if spec.get("interpolationType") == "ENV_VAR"}
    lines: list[str] = []
    timeout = DEFAULT_EXECUTION_TIMEOUT
    for step in document.get("mainSteps") or []:
        if step.get("action") != "aws:runShellScript":
            raise refuse("InvalidDocumentContent", f"the twin has no plugin {step.get('action')}")
        inputs = step.get("inputs") or {}
        lines += _lines(inputs.get("runCommand") or [], values, by_environment)
        timeout = int(_pasted(str(inputs.get("timeoutSeconds", timeout)), values, set()))
    env = {f"SSM_{name}": _text(values[name]) for name in by_environment}
    return Script("\n".join(lines) + "\n", env, timeout)


def _values(declared: dict[str, Any], given: dict[str, list[str]], stored: Callable[[str], str]) -> dict[str, Any]:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise refuse("InvalidParameters", f"the document has no parameter {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, spec in declared.items():
        if name in given:
            asked = [STORED.sub(lambda match: stored(match.group(1)), item) for item in given[name]]
            values[name] = asked if spec.get("type") == "StringList" else "".join(asked[:1])
        elif "default" in spec:
            values[name] = spec["default"]
        else:
            raise refuse("InvalidParameters", f"parameter {name} is required")
        _check(name, spec, values[name])
    return values


def _check(name: str, spec: dict[str, Any], value: Any) -> None:
    for item in value if isinstance(value, list) else [_text(value)]:
        if "allowedPattern" in spec and not re.search(spec["allowedPattern"], item):
            raise refuse("InvalidParameters", f"parameter {name} does not match {spec['allowedPattern']}")
        if "allowedValues" in spec and item not in [_text(one) for one in spec["allowedValues"]]:
            raise refuse("InvalidParameters", f"parameter {name} is not one of {spec['allowedValues']}")


def _lines(commands: list[str] | str, values: dict[str, Any], by_environment: set[str]) -> list[str]:
    lines: list[str] = []
    for command in [commands] if isinstance(commands, str) else commands:
        whole = REFERENCE.fullmatch(command.strip())
        if whole and isinstance(values.get(whole.group(1)), list) and whole.group(1) not in by_environment:
            lines += values[whole.group(1)]
        else:
            lines.append(_pasted(command, values, by_environment))
    return lines


def _pasted(text: str, values: dict[str, Any], by_environment: set[str]) -> str:
    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in by_environment:
            return f"$SSM_{name}"
        return _text(values[name]) if name in values else match.group(0)

    return REFERENCE.sub(one, text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
