"""What `logs`, `exec` and `host` do on hosts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import typer

from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import HostView
from ratemyunit_ops.planning.common import in_service
from ratemyunit_ops.survey import survey

UNITS = {
    "blue": "rmu-blue.service",
    "green": "rmu-green.service",
    "worker": "rmu-worker.service",
    "proxy": "haproxy.service",
    "boot": "rmu-boot.service",
}


def read_logs(w: Wired, role: str, lines: int) -> None:
    """Print the newest journal lines of one role on every host."""
    if role not in {"live", "host", *UNITS}:
        raise Mistyped(f"there is no role {role}", next=f"rmu logs --role {'|'.join(UNITS)}")
    units = {h.id: _unit(h, role) for h in w.outside.fleet.survey()} if role == "live" else {}
    hosts = _hosts(w)
    documents = {}
    for host in hosts:
        argv = _log_argv(units.get(host) or UNITS.get(role, ""), lines)
        answer = w.outside.shell.run(argv, hosts=[host], deadline=timedelta(seconds=30))[0]
        documents[host] = [line for line in answer.stdout.splitlines() if line.strip()]
    w.screen.result({"logs": documents}, [line for host in hosts for line in documents[host]])


def run_argv(w: Wired, argv: Sequence[str], host: str | None, deadline: timedelta) -> None:
    """Run one command on a host, or on every host, and pass its exit code on."""
    hosts = [host] if host else _hosts(w)
    answers = w.outside.shell.run(list(argv), hosts=hosts, deadline=deadline)
    document = {"answers": [a.model_dump() for a in answers]}
    lines = [f"{a.host}: exit {a.exit_code}\n{a.stdout}{a.stderr}" for a in answers]
    w.screen.result(document, lines)
    worst = max(a.exit_code for a in answers)
    if worst:
        raise typer.Exit(6)


def _hosts(w: Wired) -> list[str]:
    return in_service(survey(w.outside, w.settings.environment, {"instances"}))


def _unit(host: HostView, role: str) -> str:
    return UNITS.get(host.live_slot or "", "haproxy.service") if role == "live" else UNITS[role]


def _log_argv(unit: str, lines: int) -> list[str]:
    if not unit:
        return ["tail", "-n", str(lines), "/var/log/rmu/host.log"]
    return ["journalctl", "-u", unit, "-n", str(lines), "--no-pager", "-o", "cat"]
