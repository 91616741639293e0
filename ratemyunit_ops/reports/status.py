"""Who serves what now. Always answers, naming what it could not see."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ratemyunit_ops.model import (
    Frozen,
    GroupLeftovers,
    HostView,
    Incident,
    Known,
    Pointer,
    Release,
    Unknown,
    World,
    astray,
    newest_schema,
    previous_good,
)

QUARTER_DAYS = 91


class ShownSlot(Frozen):
    """What lies in one slot of a host."""

    release: str | None
    state: str


class ShownHost(Frozen):
    """One host in service. Bytes for memory and disk."""

    id: str
    address: str
    live_slot: str | None
    slots: dict[str, ShownSlot]
    memory_available: int
    disk_free: int
    backup_on: bool


class ShownRelease(Frozen):
    """A release and how it is there; null: there is none, or nobody knows."""

    release: str | None = None
    state: str | None = None


class ShownUnknown(Frozen):
    """What could not be read, and why."""

    what: str
    why: str


class ShownLease(Frozen):
    """The run that holds the environment."""

    run: str
    owner: str
    step: str
    age_seconds: float | None


class ShownSuperseded(Frozen):
    """A database that a restore left behind and nobody has forgotten yet."""

    identifier: str
    since: str | None
    run: str | None


class ShownDatabase(Frozen):
    """The live database; null where it could not be read."""

    identifier: str | None
    latest_restorable_time: str | None
    superseded: tuple[ShownSuperseded, ...]
    in_terraform: str | None


class ShownDrill(Frozen):
    """The newest drill that ended well."""

    run: str
    finished: str
    age_days: float


class ShownIncident(Frozen):
    """The incident that is open."""

    id: str
    severity: str
    title: str
    alarm: str
    runbook: str
    opened_by: str
    acked_by: str
    opened: str
    acked: str | None
    line: str


class Status(Frozen):
    """The answer of `rmu status --json`; programs read these names."""

    environment: str
    front_door: str
    release: str | None
    digest: str | None
    schema_head: str | None = Field(description="of the live database by its newest note, else of what serves")
    release_schema_head: str | None = Field(default=None, description="of what serves: what its code was made for")
    hosts: tuple[ShownHost, ...]
    worker: ShownRelease
    previous: ShownRelease
    unknown: tuple[ShownUnknown, ...]
    lease: ShownLease | None
    database: ShownDatabase
    last_drill: ShownDrill | None = None
    incident: ShownIncident | None = None
    leftovers: tuple[str, ...] = Field(default=(), description="what a run left in the hosts' group; rmu doctor mends")
    holding: tuple[str, ...] = Field(default=(), description="hosts at whose proxy requests wait")
    astray: dict[str, str] = Field(
        default_factory=dict, description="hosts that serve from another database than the pointer names, and which"
    )
    fenced: tuple[str, ...] | None = Field(
        default=(), description="databases that traffic is sent to and that take no writes; null: unknown"
    )


def report_status(world: World, front_door: str, lease_age: float | None, *, account_unknown: str = "") -> Status:
    """Put a surveyed world into the shape that people and programs read; `account_unknown` says why nobody named it."""
    unknown = {**({"account": account_unknown} if account_unknown else {}), **world.unknown()}
    door = world.front_door.value if isinstance(world.front_door, Known) else None
    pointer = world.pointer.value if isinstance(world.pointer, Known) else None
    live = _release(world, pointer.release if pointer else None)
    serving = door.version if door else (live.version if live else None)
    made_for = _release(world, serving)
    hosts = world.hosts.value if isinstance(world.hosts, Known) else ()
    addresses = world.addresses.value if isinstance(world.addresses, Known) else {}
    lease = world.lease.value if isinstance(world.lease, Known) else None
    database = world.database.value if isinstance(world.database, Known) else None
    return Status(
        environment=world.environment,
        front_door=front_door,
        release=serving,
        digest=door.digest if door else (live.digest if live else None),
        schema_head=_noted_schema(world, pointer) or (live.schema_head if live else None),
        release_schema_head=made_for.schema_head if made_for else None,
        hosts=tuple(_host(h, addresses.get(h.id, "")) for h in hosts),
        worker=_worker(hosts),
        previous=_previous(world, live, hosts),
        unknown=tuple(ShownUnknown(what=what, why=why) for what, why in unknown.items()),
        lease=(ShownLease(run=lease.run, owner=lease.owner, step=lease.step, age_seconds=lease_age) if lease else None),
        database=ShownDatabase(
            identifier=database.identifier if database else None,
            latest_restorable_time=_iso(database.latest_restorable) if database else None,
            superseded=_superseded(world),
            in_terraform=world.in_terraform.value if isinstance(world.in_terraform, Known) else None,
        ),
        last_drill=_last_drill(world),
        incident=_incident(world),
        leftovers=() if lease else told_leftovers(world.leftovers),
        holding=tuple(h.id for h in hosts if h.holding_requests),
        astray=astray(hosts, pointer) if pointer else {},
        fenced=world.fenced.value if isinstance(world.fenced, Known) else None,
    )


def told_leftovers(seen: Known[GroupLeftovers] | Unknown) -> tuple[str, ...]:
    """Say what was left in the hosts' group. While a run is open it is no leftover: that run puts it back."""
    if not isinstance(seen, Known):
        return ()
    left = seen.value
    minimum = [] if left.minimum is None else [f"the group's minimum is lowered from {left.minimum}"]
    return (
        *(f"{host} stands by, out of service" for host in left.standing_by),
        *minimum,
        *(f"{name} is suspended" for name in left.suspended),
    )


def _release(world: World, version: str | None) -> Release | None:
    """Find the record of a release; None where it is not recorded, or nobody knows."""
    releases = world.releases.value if isinstance(world.releases, Known) else ()
    return next((r for r in releases if r.version == version), None)


def _noted_schema(world: World, pointer: Pointer | None) -> str | None:
    """Name the schema that the live database has by its newest note; a migration writes one, without a release."""
    if pointer is None or pointer.database is None or not isinstance(world.schema_notes, Known):
        return None
    noted = newest_schema(world.schema_notes.value, pointer.database.identifier)
    return noted.head if noted else None


def _host(h: HostView, address: str) -> ShownHost:
    return ShownHost(
        id=h.id,
        address=address,
        live_slot=h.live_slot,
        slots={name: ShownSlot(release=s.release, state=s.state) for name, s in h.slots.items()},
        memory_available=h.memory_available,
        disk_free=h.disk_free,
        backup_on=h.backup_on,
    )


def _worker(hosts: tuple[HostView, ...]) -> ShownRelease:
    first = hosts[0].worker if hosts else None
    return ShownRelease(release=first.release, state=first.state) if first else ShownRelease()


def _previous(world: World, live: Release | None, hosts: tuple[HostView, ...]) -> ShownRelease:
    """Name the release a rollback would go to, and how near it is: warm, retained (image kept), gone."""
    releases = world.releases.value if isinstance(world.releases, Known) else ()
    back = previous_good(releases, live.version if live else None)
    if back is None:
        return ShownRelease()
    states = {s.state for h in hosts for s in h.slots.values() if s.release == back.version}
    near = "warm" if states == {"warm"} else "retained" if states else "gone"
    return ShownRelease(release=back.version, state=near if hosts else None)


def _last_drill(world: World) -> ShownDrill | None:
    """Tell how old the newest drill is that ended well; None where there never was one, or nobody knows."""
    drill = world.last_drill.value if isinstance(world.last_drill, Known) else None
    if drill is None or drill.finished is None:
        return None
    days = (world.at - drill.finished).total_seconds() / 86400
    return ShownDrill(run=drill.run, finished=drill.finished.isoformat(), age_days=round(days, 1))


def _superseded(world: World) -> tuple[ShownSuperseded, ...]:
    notes = world.database_notes.value if isinstance(world.database_notes, Known) else ()
    return tuple(
        ShownSuperseded(identifier=n.identifier, since=_iso(n.superseded_at), run=n.superseded_by)
        for n in notes
        if n.state == "superseded"
    )


def _incident(world: World) -> ShownIncident | None:
    incident = world.incident.value if isinstance(world.incident, Known) else None
    if incident is None:
        return None
    return ShownIncident(
        id=incident.id,
        severity=incident.severity,
        title=incident.title,
        alarm=incident.alarm,
        runbook=incident.runbook,
        opened_by=incident.opened_by,
        acked_by=incident.acked_by,
        opened=incident.opened.isoformat(),
        acked=_iso(incident.acked),
        line=incident_line(incident),
    )


def incident_line(i: Incident) -> str:
    """Say an incident in one line, and who has it."""
    has_it = f"{i.acked_by} has it" if i.acked else "nobody has it yet: rmu incident ack"
    return f"{i.severity} {i.id}, since {i.opened:%H:%M} UTC: {i.title} ({has_it})"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def status_lines(s: Status) -> list[str]:
    """Write the status as lines that fit 80 columns."""
    worker = f"{s.worker.release} {s.worker.state}" if s.worker.release else s.worker.state or "unknown"
    previous = f"{s.previous.release} ({s.previous.state})" if s.previous.release else "none"
    lines = [
        f"{s.release or 'nothing'} serves {s.environment}   {s.front_door}",
        *([f"  incident   {s.incident.line}"] if s.incident else []),
        f"  digest     {(s.digest or '-')[:26]}",
        f"  schema     {_schema(s)}",
        f"  database   {s.database.identifier or '-'}",
        f"  worker     {worker}",
        f"  previous   {previous}",
    ]
    for host in s.hosts:
        slots = "  ".join(f"{n}: {v.release or '-'} {v.state}" for n, v in sorted(host.slots.items()))
        lines.append(f"  host       {host.id} {host.address}  {slots}")
    if not any(u.what == "last_drill" for u in s.unknown):
        lines.append(f"  drill      {_drilled(s.last_drill)}")
    lines += [f"  left       {d.identifier}: rmu db salvage {d.run}" for d in s.database.superseded]
    lines += [f"  left       {left}   (rmu doctor)" for left in s.leftovers]
    lines += _adoption(s)
    lines += _astray(s)
    if s.holding:
        lines.append(f"  held       requests wait at the proxy of {', '.join(s.holding)}")
    if s.fenced:
        mend = f": rmu resume {s.lease.run}" if s.lease else ""
        lines.append(f"  fenced     {', '.join(s.fenced)} takes no writes, requests are refused{mend}")
    if s.lease:
        lines.append(f"  run        {s.lease.run} of {s.lease.owner}: {s.lease.step}")
    lines += [f"  unknown    {u.what}: {u.why}" for u in s.unknown]
    return lines


def _schema(s: Status) -> str:
    """Say the database's schema, and the one that the release was made for where that is another."""
    if s.schema_head == s.release_schema_head or s.release_schema_head is None:
        return s.schema_head or "-"
    return f"{s.schema_head} ({s.release} was made for {s.release_schema_head})"


def _adoption(s: Status) -> list[str]:
    """Say so when Terraform holds another database than the one that serves."""
    held, serves = s.database.in_terraform, s.database.identifier
    due = held and serves and held != serves
    return [f"  terraform  holds {held}, not what serves: rmu infra adopt"] if due else []


def _astray(s: Status) -> list[str]:
    """Say which hosts serve from another database than the pointer names, and what brings each one along."""
    live = s.database.identifier or "the live one"
    mends = {host: f"rmu resume {s.lease.run}" if s.lease else f"rmu host replace {host}" for host in s.astray}
    return [f"  astray     {host} serves from {s.astray[host]}, not {live}: {mends[host]}" for host in sorted(mends)]


def _drilled(drill: ShownDrill | None) -> str:
    """Say how old the last drill is, and what to type where it is too old."""
    if drill is None:
        return "never: whether the backups can be restored is not known   (rmu dr drill)"
    days = round(drill.age_days)
    age = "today" if days == 0 else "1 day ago" if days == 1 else f"{days} days ago"
    return f"{age}, run {drill.run}{'   (more than a quarter: rmu dr drill)' if days > QUARTER_DAYS else ''}"
