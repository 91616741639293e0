"""Where requests go: HAProxy's live map at run time, its sessions, and the flip with its proof."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .answers import failed
from .machine import Heard, Machine
from .state import FRONT_PORT, MAP, SLOTS, Live, other, read_map, record, write_map
from .units import NEWCOMER, SERVING

PROOFS = 3
DRAIN_S = 30
UP_S = 3


def live_now(m: Machine) -> Live:
    """Return what HAProxy does at this moment; its map file where HAProxy does not run."""
    try:
        shown = m.haproxy(f"show map {MAP}")
    except OSError:
        return read_map(m)
    for line in shown.splitlines():
        words = line.split()  # address, key, value
        if len(words) == 3 and words[1] == "live":
            return Live.of(words[2])
    return read_map(m)


def send_to(m: Machine, live: Live) -> None:
    """Send traffic to a backend: file first, so that a crash between the two leaves what the next start obeys.

    Raises OSError where HAProxy does not run or does not do as it was told.
    """
    write_map(m, live)
    m.haproxy(f"set map {MAP} live {live.backend}")
    found = live_now(m)
    if found != live:
        raise OSError(f"HAProxy was told {live.backend} and says {found.backend}")


def sessions(m: Machine, slot: str) -> int:
    """Count the sessions a slot has at this moment, over all backends it is part of."""
    return sum(int(row.get("scur") or 0) for row in servers(m) if row["svname"] == slot)


def servers(m: Machine) -> list[dict[str, str]]:
    """Return HAProxy's rows of servers; none where it does not run."""
    try:
        lines = m.haproxy("show stat").lstrip("# ").splitlines()
    except OSError:
        return []
    names = lines[0].split(",") if lines else []
    rows = [dict(zip(names, line.split(","), strict=False)) for line in lines[1:] if line]
    return [row for row in rows if row.get("svname") in SLOTS]


def drained(m: Machine, slot: str, within: float = DRAIN_S) -> bool:
    """Wait until a slot has no session, read twice in a row."""
    end, calm = m.now() + within, 0
    while True:
        calm = calm + 1 if sessions(m, slot) == 0 else 0
        if calm == 2:
            return True
        if m.now() >= end:
            return False
        m.sleep(0.2)


def flip(m: Machine, before: Live, target: Live) -> float:
    """Move traffic and prove it by requests through the front port; put it back where it cannot be proven."""
    await_up(m, target)
    began = m.now()
    try:
        send_to(m, target)
        reason = unproven(m, target)
    except OSError as why:
        reason = str(why)
    milliseconds = round((m.now() - began) * 1000, 2)
    if not reason:
        return milliseconds
    back = "and traffic is back where it was"
    try:
        send_to(m, before)
    except OSError as why:
        back = f"and HAProxy cannot be reached to put it back ({why}); its map file names {before.backend}"
    raise failed("flip_unproven", f"the front port never showed the new release: {reason}; {back}")


def await_up(m: Machine, target: Live) -> None:
    """Let HAProxy's own checks see a slot that has just become ready; the proof after the flip has the last word."""
    end = m.now() + UP_S
    while m.now() < end:
        rows = [row for row in servers(m) if (row["pxname"], row["svname"]) == (target.backend, target.slot)]
        if all(row.get("status", "").startswith("UP") for row in rows):
            return
        m.sleep(0.05)


def unproven(m: Machine, target: Live) -> str:
    """Ask through the front port who serves, a few times; say what was wrong, empty when the answer is right."""
    held = (record(m, target.slot) or {}) if target.slot else {}
    heard = Heard(0, "")
    for attempt in range(PROOFS):
        if attempt:
            m.sleep(0.1)
        heard = m.get(FRONT_PORT, "/version")
        if target.slot is None and heard.status == 503:
            return ""
        if target.slot and heard.status == 200 and answered_by(target.slot, held, heard):
            return ""
    whose = f" from slot {heard.slot}" if heard.slot else ""
    return f"/version answered {heard.status} {heard.json().get('version') or heard.body[:80]}{whose}"


def answered_by(slot: str, held: dict[str, Any], heard: Heard) -> bool:
    """Tell whether an answer came from a slot: both may hold one version, so HAProxy's word and the database count."""
    told, database = heard.json(), held["database"]["identifier"]
    right = (told.get("version"), told.get("database", database)) == (held["release"], database)
    return right and heard.slot in ("", slot)


def protect(m: Machine, live: Live) -> None:
    """Make the kernel spare what serves when memory runs out, and take the other slot first.

    systemd sets the score only at start, so it is written to the running processes; their children inherit it.
    """
    for slot in SLOTS:
        score = SERVING if slot == live.slot else NEWCOMER
        for process in processes(m, f"rmu-{slot}"):
            with suppress(OSError):  # it may have ended meanwhile
                m.path(f"/proc/{process}/oom_score_adj").write_text(f"{score}\n")


def processes(m: Machine, unit: str) -> list[str]:
    """List the processes of a unit."""
    group = m.run(["systemctl", "show", f"{unit}.service", "--property=ControlGroup", "--value"]).out.strip()
    if not group:
        return []
    found = m.path(f"/sys/fs/cgroup{group}").rglob("cgroup.procs")
    return [line for listing in found for line in listing.read_text().split()]


def unback(m: Machine, slot: str) -> bool:
    """Take a slot out of the backup role; False where it did not have it."""
    live = live_now(m)
    if live.backup != slot:
        return False
    send_to(m, Live(other(slot)))
    return True
