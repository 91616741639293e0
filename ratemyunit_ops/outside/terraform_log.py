"""What Terraform says, read from the file it writes: events while it works, errors, plans, states."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ratemyunit_ops.model import PlanSummary

OnEvent = Callable[[str, str, float], None]

POLL_S = 0.2
LAST_LINES = 15
WORDS = {
    "apply_start": "started",
    "apply_progress": "running",
    "apply_complete": "done",
    "apply_errored": "failed",
}


class Log:
    """What one Terraform said: a file of lines, JSON where it was asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.code = 0
        self.errors: list[str] = []
        self.stderr = ""

    @property
    def tail(self) -> tuple[str, ...]:
        """Return its last lines, as a person would read them."""
        lines = [str(read(line).get("@message", line)) for line in self.path.read_text(errors="replace").splitlines()]
        return tuple([line for line in lines + self.stderr.splitlines() if line.strip()][-LAST_LINES:])

    def follow(self, child: subprocess.Popen[bytes], on_event: OnEvent | None) -> None:
        """Read the file while the child writes it, to the child's end."""
        with self.path.open(errors="replace") as lines:
            rest = ""
            while True:
                ended = child.poll() is not None
                *whole, rest = (rest + lines.read()).split("\n")
                for line in whole:
                    self._take(line, on_event)
                if ended:
                    break
                time.sleep(POLL_S)
        self.code = child.wait()

    def _take(self, line: str, on_event: OnEvent | None) -> None:
        event = read(line)
        hook = event.get("hook", {})
        if event.get("type") == "diagnostic" and event["diagnostic"]["severity"] == "error":
            self.errors.append(_diagnosis(event["diagnostic"]))
        elif on_event is not None and event.get("type") in WORDS:
            word = f"{hook.get('action', '')} {WORDS[event['type']]}"
            on_event(hook["resource"]["addr"], word, float(hook.get("elapsed_seconds", 0)))


def read(line: str) -> dict[str, Any]:
    """Read one line as an event; what is none (a crash of a provider, say) reads as an empty one."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def events(log: Path) -> Iterator[dict[str, Any]]:
    """Read a whole log as events."""
    return (read(line) for line in log.read_text(errors="replace").splitlines())


def summary_of(plan: Log) -> PlanSummary:
    """Sort what a plan changes by kind, from the events of `terraform plan -json`.

    A replacement is one thing, not a destruction and a creation; what is imported may be changed too.
    """
    found: dict[str, list[str]] = {"create": [], "change": [], "replace": [], "destroy": [], "imports": []}
    kinds = {"create": "create", "update": "change", "replace": "replace", "delete": "destroy"}
    for event in events(plan.path):
        if event.get("type") != "planned_change":
            continue
        change = event["change"]
        address = change["resource"]["addr"]
        if change["action"] in kinds:
            found[kinds[change["action"]]].append(address)
        if "importing" in change:
            found["imports"].append(address)
    return PlanSummary(**{kind: tuple(names) for kind, names in found.items()})


def resources(state: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """List every resource of a state, as `terraform show -json` prints it: its attributes by its address."""
    return dict(_resources(state.get("values", {}).get("root_module", {})))


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((resource["address"], resource["values"]) for resource in module.get("resources", []))
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _diagnosis(diagnostic: Mapping[str, Any]) -> str:
    where = f" ({diagnostic['address']})" if diagnostic.get("address") else ""
    detail = " ".join(str(diagnostic.get("detail", "")).split())
    return f"{diagnostic['summary']}{where}{f': {detail}' if detail else ''}"
