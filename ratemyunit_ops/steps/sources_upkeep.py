"""More of what a runbook may look up: who carries the open run, certificates, secrets, images, every instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import held, read_databases, read_lease, read_pointer
from ratemyunit_ops.runbooks.binding import Look

Document = dict[str, Any]
MIB = 2**20
BEATS_S = 20
"""A carrier beats every 5 s, and its lease is for 30: one that misses four is dead, frozen or cut off."""
PASSWORD = "db/app_password"  # noqa: S105  (a name)


def _carrier(o: Outside, look: Look) -> Document:
    """Watch the heartbeat of the lease, until it moves or four beats are missed."""
    first = read_lease(o.ledger)
    if first is None or not held(first):
        return {"held": False}
    until, moved = o.clock.monotonic() + BEATS_S, False
    while not moved and o.clock.monotonic() < until:
        o.clock.sleep(1)
        now = read_lease(o.ledger)
        moved = now is None or (now.token, now.heartbeat) != (first.token, first.heartbeat)
    return {"held": True, "run": first.run, "owner": first.owner, "step": first.step, "beats": moved}


def _certificates(o: Outside, look: Look) -> Document:
    found = o.certificates.all()
    used = [c for c in found if c.used] or found
    return {
        "certificates": [c.model_dump() for c in found],
        "soonest": used[0].model_dump() if used else None,
        "count": len(found),
    }


def _secrets(o: Outside, look: Look) -> Document:
    old, live = o.fleet.stale(), read_pointer(o.ledger).database
    return {
        "stale": len(old),
        "names": sorted({s.secret for s in old}),
        "holders": sorted({s.holder for s in old}),
        "password": any(s.secret == PASSWORD for s in old),
        "admitted": live is None or o.oneoff.has_roles(live),
    }


def _images(o: Outside, look: Look) -> Document:
    mib = {host: round(size / MIB) for host, size in o.fleet.unneeded().items()}
    return {"hosts": mib, "host": mib.get(look.host) if look.host else next(iter(mib.values()), None)}


def _instances(o: Outside, look: Look) -> Document:
    found = {view.identifier: view.status for view in o.databases.all()}
    notes = {note.identifier: note.state for note in read_databases(o.ledger)}
    live = read_pointer(o.ledger).database
    return {
        "instances": found,
        "live": live.identifier if live else None,
        "damaged": sum(status == "incompatible-restore" for status in found.values()),
        "full": sum(status == "storage-full" for status in found.values()),
        "notes": notes,
        "superseded": sum(state == "superseded" for state in notes.values()),
    }


UPKEEP: dict[str, Callable[[Outside, Look], Document]] = {
    "carrier": _carrier,
    "certificates": _certificates,
    "images": _images,
    "instances": _instances,
    "secrets": _secrets,
}
