"""What a run was, computed from its journal: the journal is the audit, this is a view."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import Ledger
from ratemyunit_ops.records import read_bodies, read_header

RUN_KEYS = ("run", "release", "seconds", "phases", "probe", "ssm_commands")
"""What programs read of any run, whatever became of it."""
MORE_KEYS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("deploy", "rollback", "resume", "abandon"), ()),
    "db restore": ("restore_point", "left_behind", "instance", "superseded"),
    "db salvage": ("tables", "conflicts", "files"),
    **dict.fromkeys(("dr drill", "dr restore"), ("rto_seconds", "rpo_seconds", "verified", "report")),
}
"""By command, what programs read of it beyond that."""


def nothing_known(command: str) -> dict[str, Any]:
    """Make the keys that programs read of a command, each null: so much is there however it ends."""
    known = MORE_KEYS.get(command)
    if known is None:
        return {}
    told: dict[str, Any] = dict.fromkeys((*RUN_KEYS, *known))
    return {**told, "verified": "unknown"} if "verified" in told else told


class RunReport(Frozen):
    """One run as other programs read it. Seconds are wall time; `phases` are seconds by step kind."""

    run: str
    verb: str
    outcome: str
    release: str | None
    seconds: float
    phases: dict[str, float]
    probe: dict[str, Any] | None
    ssm_commands: int
    told: dict[str, Any] = {}  # noqa: RUF012  (a pydantic field: every report gets its own)

    def document(self) -> dict[str, Any]:
        """Make the document that programs read: the common keys, and what this kind of run tells beyond them."""
        return {**nothing_known(self.verb), **self.model_dump(exclude={"verb", "told"}), **self.told}


class Line(Frozen):
    """One event of a run's timeline."""

    at: datetime
    kind: str
    step: int | None
    title: str
    facts: dict[str, Any]


def report_run(ledger: Ledger, run: str) -> RunReport:
    """Sum one run up."""
    events = read_bodies(ledger, run)
    header = read_header(ledger, run)
    plan = events[0]["facts"]["plan"]
    outcome = (header.outcome if header else None) or _open_outcome(events)
    done = [e for e in events if e["kind"] == "done"]
    serving = next((r["version"] for e in done for r in e["facts"].get("releases", ()) if r["verdict"] == "good"), None)
    return RunReport(
        run=run,
        verb=plan["verb"],
        outcome=outcome,
        release=serving if outcome == "done" else plan["expects"].get("live"),
        seconds=_seconds(events[0], events[-1]),
        phases=_phases(plan, events),
        probe=next((e["facts"]["probe"] for e in reversed(done) if "probe" in e["facts"]), None),
        told=_told(plan, done),
        ssm_commands=int(plan.get("surveyed", 0)) + sum(int(e["facts"].get("commands", 0)) for e in events),
    )


def cost_lines(report: RunReport) -> list[str]:
    """Say how many commands went to hosts, and what the drop probe saw where there was one."""
    commands = f"  {report.ssm_commands} SSM command{'' if report.ssm_commands == 1 else 's'}"
    if report.probe is None:
        return [commands]
    p = report.probe
    seen = f"{p['sent']} sent, {p['failed']} failed, {p['added_p99_ms']:+.0f} ms p99, {p['verdict']}"
    return [f"{commands} · probe: {seen}"]


def timeline(ledger: Ledger, run: str) -> tuple[Line, ...]:
    """List one run's events with the titles of their steps; empty for an unknown run."""
    events = read_bodies(ledger, run)
    steps = events[0]["facts"]["plan"]["steps"] if events else []
    return tuple(
        Line(
            at=datetime.fromisoformat(e["at"]),
            kind=e["kind"],
            step=e["step"],
            title=kind_of(steps[e["step"]]).replace("_", " ") if e["step"] is not None else "",
            facts={k: v for k, v in e["facts"].items() if k != "plan"},
        )
        for e in events
    )


def _told(plan: dict[str, Any], done: list[dict[str, Any]]) -> dict[str, Any]:
    """Gather what a run tells programs: what its plan knew, and what its steps found."""
    told = dict(plan.get("request", {}).get("told", {}))
    for event in done:
        told |= event["facts"].get("told", {})
    return told


def kind_of(step: dict[str, Any]) -> str:
    """Name a step's kind; one that is done in the corner is what is done there."""
    inner = step.get("step")
    return str(inner["kind"] if isinstance(inner, dict) else step["kind"])


def _open_outcome(events: list[dict[str, Any]]) -> str:
    return "interrupted" if events[-1]["kind"] == "interrupted" else "half_way"


def _seconds(first: dict[str, Any], last: dict[str, Any]) -> float:
    between = datetime.fromisoformat(last["at"]) - datetime.fromisoformat(first["at"])
    return round(between.total_seconds(), 3)


def _phases(plan: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, float]:
    phases: dict[str, float] = {}
    begun: dict[int, dict[str, Any]] = {}
    for e in events:
        if e["kind"] in {"started", "undo-started"}:
            begun[e["step"]] = e
        elif e["step"] in begun and e["kind"] in {"done", "failed", "undone"}:
            name = kind_of(plan["steps"][e["step"]]) + ("_undo" if e["kind"] == "undone" else "")
            phases[name] = round(phases.get(name, 0.0) + _seconds(begun.pop(e["step"]), e), 3)
    return phases
