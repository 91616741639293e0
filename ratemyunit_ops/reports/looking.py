"""Whether hosts look: what each said last of the front door and of its queue, on which alarms rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ratemyunit_ops.errors import Absent, RmuError
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.reports.finding import Finding

LONG = timedelta(minutes=10)
"""A host says it every minute, and one that is very busy a minute later."""
SAID = '{ $.event = "probe" || $.event = "queue" }'
DIAGNOSE = "rmu runbook run host-unresponsive"


def who_looks(o: Outside) -> tuple[Finding, ...]:
    """Name each host in service that asks no front door, and each queue that nobody gets a number of."""
    try:
        hosts = [one.id for one in o.fleet.instances() if one.state == "InService"]
        said = _said(o) if hosts else {}
    except RmuError as why:
        return (Finding(name="probe", verdict="unknown", seen=why.what, mend=why.next),)
    return (*(_probe(host, said.get((host, "probe"))) for host in hosts), *_queues(hosts, said))


def _said(o: Outside) -> dict[tuple[str, str], dict[str, Any]]:
    """Read the newest line of each host and kind; where there is no group yet, nothing was said."""
    now, newest = o.clock.now(), dict[tuple[str, str], dict[str, Any]]()
    try:
        for line in o.logs.lines(["host"], start=now - LONG, end=now, pattern=SAID):
            told = json.loads(line.text)
            newest[line.stream.partition("/")[0], told["event"]] = told
    except Absent:
        return {}
    return newest


def _probe(host: str, said: dict[str, Any] | None) -> Finding:
    if said is None:
        minutes = LONG // timedelta(minutes=1)
        seen = f"{host} has said nothing of the front door for {minutes} minutes"
        return Finding(name="probe", verdict="missing", seen=seen, mend=DIAGNOSE)
    if said["ok"] is not None:
        return Finding(name="probe", verdict="ok", seen=f"{host} looks at the front door")
    if not said.get("why"):
        return Finding(name="probe", verdict="note", seen=f"{host} asks nobody: it serves nothing yet")
    seen = f"{host} asks nobody: {said['why']}"
    return Finding(name="probe", verdict="missing", seen=seen, mend="rmu infra apply   (it names the front door)")


def _queues(hosts: list[str], said: dict[tuple[str, str], dict[str, Any]]) -> Iterator[Finding]:
    """Name the queues of hosts that serve, but give no number."""
    for host in hosts:
        serves = said.get((host, "probe"), {}).get("ok") is not None
        queue = said.get((host, "queue"))
        if serves and queue is not None and "waiting" not in queue:
            seen = f"{host} gives no number ({queue.get('why')}): queue-stalled and worker-idle cannot speak"
            yield Finding(name="queue", verdict="missing", seen=seen, mend="rmu runbook run queue-stalled")
