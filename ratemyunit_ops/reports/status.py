"""Who serves what now. Always answers, naming what it could not see."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ratemyunit_ops.model import Frozen, HostView, Incident, Known, Release, World

QUARTER_DAYS = 91


class Status(Frozen):
    """The answer of `rmu status --json`; programs read these names."""

    environment: str
    front_door: str
    release: str | None
    digest: str | None
    schema_head: str | None
    hosts: tuple[dict[str, Any], ...]
    worker: dict[str, str | None]
    previous: dict[str, str | None]
    unknown: tuple[dict[str, str], ...]
    lease: dict[str, Any] | None
    database: dict[str, Any]
    last_drill: dict[str, Any] | None = None
    incident: dict[str, Any] | None = Field(default=None, description="the incident that is open")
    holding: tuple[str, ...] = Field(default=(), description="hosts at whose proxy requests wait")
    fenced: tuple[str, ...] | None = Field(
        default=(), description="databases that traffic is sent to and that take no writes; null: unknown"
    )


def report_status(world: World, front_door: str, lease_age: float | None) -> Status:
    """Put a surveyed world into the shape that people and programs read."""
    door = world.front_door.value if isinstance(world.front_door, Known) else None
    live = _live(world)
    hosts = world.hosts.value if isinstance(world.hosts, Known) else ()
    addresses = world.addresses.value if isinstance(world.addresses, Known) else {}
    lease = world.lease.value if isinstance(world.lease, Known) else None
    database = world.database.value if isinstance(world.database, Known) else None
    return Status(
        environment=world.environment,
        front_door=front_door,
        release=door.version if door else (live.version if live else None),
        digest=door.digest if door else (live.digest if live else None),
        schema_head=live.schema_head if live else None,
        hosts=tuple(_host(h, addresses.get(h.id, "")) for h in hosts),
        worker=_worker(hosts),
        previous=_previous(world, live, hosts),
        unknown=tuple({"what": k, "why": v} for k, v in world.unknown().items()),
        lease=(
            {"run": lease.run, "owner": lease.owner, "step": lease.step, "age_seconds": lease_age} if lease else None
        ),
        database={
            "identifier": database.identifier if database else None,
            "latest_restorable_time": _iso(database.latest_restorable) if database else None,
            "superseded": _superseded(world),
            "in_terraform": world.in_terraform.value if isinstance(world.in_terraform, Known) else None,
        },
        last_drill=_last_drill(world),
        incident=_incident(world),
        holding=tuple(h.id for h in hosts if h.holding_requests),
        fenced=world.fenced.value if isinstance(world.fenced, Known) else None,
    )


def _live(world: World) -> Release | None:
    if not isinstance(world.pointer, Known) or not isinstance(world.releases, Known):
        return None
    version = world.pointer.value.release
    return next((r for r in world.releases.value if r.version == version), None)


def _host(h: HostView, address: str) -> dict[str, Any]:
    return {
        "id": h.id,
        "address": address,
        "live_slot": h.live_slot,
        "slots": {name: {"release": s.release, "state": s.state} for name, s in h.slots.items()},
        "memory_available": h.memory_available,
        "disk_free": h.disk_free,
        "backup_on": h.backup_on,
    }


def _worker(hosts: tuple[HostView, ...]) -> dict[str, str | None]:
    first = hosts[0].worker if hosts else None
    return {"release": first.release if first else None, "state": first.state if first else None}


def _previous(world: World, live: Release | None, hosts: tuple[HostView, ...]) -> dict[str, str | None]:
    """Name the release a rollback would go to, and how near it is: warm, retained (image kept), gone."""
    releases = world.releases.value if isinstance(world.releases, Known) else ()
    older = [r for r in releases if live and r.verdict == "good" and r.created < live.created]
    if not older:
        return {"release": None, "state": None}
    states = {s.state for h in hosts for s in h.slots.values() if s.release == older[-1].version}
    near = "warm" if states == {"warm"} else "retained" if states else "gone"
    return {"release": older[-1].version, "state": near if hosts else None}


def _last_drill(world: World) -> dict[str, Any] | None:
    """Tell how old the newest drill is that ended well; None where there never was one, or nobody knows."""
    drill = world.last_drill.value if isinstance(world.last_drill, Known) else None
    if drill is None or drill.finished is None:
        return None
    days = (world.at - drill.finished).total_seconds() / 86400
    return {"run": drill.run, "finished": _iso(drill.finished), "age_days": round(days, 1)}


def _superseded(world: World) -> list[dict[str, Any]]:
    """List the databases that a restore left behind and nobody has forgotten yet."""
    notes = world.database_notes.value if isinstance(world.database_notes, Known) else ()
    return [
        {"identifier": n.identifier, "since": _iso(n.superseded_at), "run": n.superseded_by}
        for n in notes
        if n.state == "superseded"
    ]


def _incident(world: World) -> dict[str, Any] | None:
    incident = world.incident.value if isinstance(world.incident, Known) else None
    if incident is None:
        return None
    keys = ("id", "severity", "title", "alarm", "runbook", "opened_by", "acked_by")
    told = {key: getattr(incident, key) for key in keys}
    return {**told, "opened": _iso(incident.opened), "acked": _iso(incident.acked), "line": incident_line(incident)}


def incident_line(i: Incident) -> str:
    """Say an incident in one line, and who has it."""
    has_it = f"{i.acked_by} has it" if i.acked else "nobody has it yet: rmu incident ack"
    return f"{i.severity} {i.id}, since {i.opened:%H:%M} UTC: {i.title} ({has_it})"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def status_lines(s: Status) -> list[str]:
    """Write the status as lines that fit 80 columns."""
    worker = f"{s.worker['release']} {s.worker['state']}" if s.worker["release"] else s.worker["state"] or "unknown"
    previous = f"{s.previous['release']} ({s.previous['state']})" if s.previous["release"] else "none"
    lines = [
        f"{s.release or 'nothing'} serves {s.environment}   {s.front_door}",
        *([f"  incident   {s.incident['line']}"] if s.incident else []),
        f"  digest     {(s.digest or '-')[:26]}",
        f"  schema     {s.schema_head or '-'}",
        f"  database   {s.database['identifier'] or '-'}",
        f"  worker     {worker}",
        f"  previous   {previous}",
    ]
    for host in s.hosts:
        slots = "  ".join(f"{n}: {v['release'] or '-'} {v['state']}" for n, v in sorted(host["slots"].items()))
        lines.append(f"  host       {host['id']} {host['address']}  {slots}")
    if not any(u["what"] == "last_drill" for u in s.unknown):
        lines.append(f"  drill      {_drilled(s.last_drill)}")
    lines += [f"  left       {d['identifier']}: rmu db salvage {d['run']}" for d in s.database.get("superseded", ())]
    lines += _adoption(s)
    if s.holding:
        lines.append(f"  held       requests wait at the proxy of {', '.join(s.holding)}")
    if s.fenced:
        mend = f": rmu resume {s.lease['run']}" if s.lease else ""
        lines.append(f"  fenced     {', '.join(s.fenced)} takes no writes, requests are refused{mend}")
    if s.lease:
        lines.append(f"  run        {s.lease['run']} of {s.lease['owner']}: {s.lease['step']}")
    lines += [f"  unknown    {u['what']}: {u['why']}" for u in s.unknown]
    return lines


def _adoption(s: Status) -> list[str]:
    """Say so when Terraform holds another database than the one that serves."""
    held, serves = s.database.get("in_terraform"), s.database["identifier"]
    due = held and serves and held != serves
    return [f"  terraform  holds {held}, not what serves: rmu infra adopt"] if due else []


def _drilled(drill: dict[str, Any] | None) -> str:
    """Say how old the last drill is, and what to type where it is too old."""
    if drill is None:
        return "never: whether the backups can be restored is not known   (rmu dr drill)"
    days = round(drill["age_days"])
    age = "today" if days == 0 else "1 day ago" if days == 1 else f"{days} days ago"
    return f"{age}, run {drill['run']}{'   (more than a quarter: rmu dr drill)' if days > QUARTER_DAYS else ''}"
