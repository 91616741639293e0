"""What `logs` reads where there are no log groups: the hosts' own journals, over SSM, as long as the hosts live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.model import LogEntry
from ratemyunit_ops.planning.common import in_service
from ratemyunit_ops.reports.logs import Asked, from_journal, in_order
from ratemyunit_ops.survey import survey

JOURNALS: Mapping[str, tuple[str, ...]] = {
    "api": (),
    "worker": ("rmu-worker",),
    "proxy": ("haproxy",),
    "host": ("host",),
}
"""Role -> units whose journal a host can be asked for; of `api` it is the slot that serves there."""
FILES = ("host", "user-data")


def from_journals(w: Wired, asked: Asked) -> tuple[LogEntry, ...]:
    """Read what journals still have of what is wanted, a round trip for each unit and host; SSM cuts long answers."""
    world = survey(w.outside, w.settings.environment, {"instances"})
    hosts = [host for host in in_service(world) if host.startswith(asked.host)]
    live = {h.id: h.live_slot for h in w.outside.fleet.survey()} if "api" in asked.roles and not asked.units else {}
    found: list[LogEntry] = []
    for role in asked.roles:
        if role not in JOURNALS:
            w.screen.note(f"what the {role} says is in its log group alone")
        for host in hosts if role in JOURNALS else ():
            for unit in asked.units or ((f"rmu-{live[host]}",) if role == "api" and live.get(host) else JOURNALS[role]):
                found += _said(w, host, unit, asked)
    return tuple(in_order(entry for entry in found if asked.wants(entry))[-asked.newest :])


def _said(w: Wired, host: str, unit: str, asked: Asked) -> tuple[LogEntry, ...]:
    times = [f"--since=@{asked.start.timestamp():.0f}", f"--until=@{asked.end.timestamp() + 1:.0f}"]
    argv = ["journalctl", "-u", f"{unit}.service", *times, "-n", str(asked.newest), "--no-pager", "-q", "-o", "cat"]
    if unit in FILES:
        argv = ["tail", "-n", str(asked.newest), f"/var/log/rmu/{unit}.log"]
    answer = w.outside.shell.run(argv, hosts=[host], deadline=timedelta(seconds=30))[0]
    texts = [line for line in answer.stdout.splitlines() if line.strip()]
    entries = from_journal(host, unit, texts, asked.end)
    return tuple(entry for entry in entries if asked.start <= entry.at <= asked.end)
