"""The ledger's lasting items: names and shapes of pointer, releases, notes, lease and the list of runs.

Events and cancels are written by the engine's journal alone.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from ratemyunit_ops.model import (
    DatabaseNote,
    Deed,
    Incident,
    IncidentEvent,
    LeaseView,
    LiveNote,
    Pointer,
    Release,
    RunHeader,
    SalvageNote,
    SchemaNote,
)
from ratemyunit_ops.ports import Entry, Ledger, Outside


def read_bodies(ledger: Ledger, run: str) -> list[dict[str, Any]]:
    """Read the bodies of a run's events as they stand, oldest first; the first one holds the plan."""
    return [json.loads(str(item["body"])) for item in ledger.query(f"run#{run}")]


def read_pointer(ledger: Ledger) -> Pointer:
    """Read the live pointer; empty before the first deploy."""
    item = ledger.get("pointer", "pointer")
    return Pointer.model_validate_json(str(item["body"])) if item else Pointer()


def database_name(o: Outside) -> str:
    """Name the database that serves: the pointer's, else Terraform's; empty where there is none yet."""
    pointer = read_pointer(o.ledger)
    return pointer.database.identifier if pointer.database else o.places.all().get("database", "")


def pointer_entry(pointer: Pointer) -> Entry:
    """Make the item that new instances boot by."""
    return Entry(pk="pointer", sk="pointer", attributes={"body": pointer.model_dump_json()})


def read_release(ledger: Ledger, version: str) -> Release | None:
    """Read one release's record."""
    item = ledger.get("release", f"release#{version}")
    return Release.model_validate_json(str(item["body"])) if item else None


def read_releases(ledger: Ledger) -> tuple[Release, ...]:
    """Read every release's record, oldest first."""
    found = (Release.model_validate_json(str(i["body"])) for i in ledger.query("release"))
    return tuple(sorted(found, key=lambda r: r.created))


def release_entry(release: Release) -> Entry:
    """Make the item of a release."""
    return Entry(pk="release", sk=f"release#{release.version}", attributes={"body": release.model_dump_json()})


def read_live_notes(ledger: Ledger) -> tuple[LiveNote, ...]:
    """Read what served when, oldest first."""
    return tuple(LiveNote.model_validate_json(str(i["body"])) for i in ledger.query("live"))


def live_entry(note: LiveNote) -> Entry:
    """Make the item of what serves from a moment on."""
    return Entry(pk="live", sk=f"{note.at.isoformat()}#{note.run}", attributes={"body": note.model_dump_json()})


def read_schema_notes(ledger: Ledger) -> tuple[SchemaNote, ...]:
    """Read the schemas that databases had, each one's oldest first."""
    return tuple(SchemaNote.model_validate_json(str(i["body"])) for i in ledger.query("schema"))


def schema_entry(note: SchemaNote) -> Entry:
    """Make the item of the schema a database has from a moment on."""
    sk = f"{note.database}#{note.at.isoformat()}#{note.run}"
    return Entry(pk="schema", sk=sk, attributes={"body": note.model_dump_json()})


def read_database(ledger: Ledger, identifier: str) -> DatabaseNote | None:
    """Read what is known of one instance."""
    item = ledger.get("database", identifier)
    return DatabaseNote.model_validate_json(str(item["body"])) if item else None


def read_databases(ledger: Ledger) -> tuple[DatabaseNote, ...]:
    """Read what is known of every instance that a restore made or left behind."""
    return tuple(DatabaseNote.model_validate_json(str(i["body"])) for i in ledger.query("database"))


def database_entry(note: DatabaseNote) -> Entry:
    """Make the item of an instance."""
    return Entry(pk="database", sk=note.identifier, attributes={"body": note.model_dump_json()})


def read_salvage(ledger: Ledger, restore: str) -> SalvageNote | None:
    """Read what the salvage of a restore found; None where none was made."""
    item = ledger.get("salvage", restore)
    return SalvageNote.model_validate_json(str(item["body"])) if item else None


def salvage_entry(note: SalvageNote) -> Entry:
    """Make the item of a restore's salvage."""
    return Entry(pk="salvage", sk=note.restore, attributes={"body": note.model_dump_json()})


def read_lease(ledger: Ledger) -> LeaseView | None:
    """Read the lease item, held or not; None before the first run."""
    item = ledger.get("lease", "lease")
    return LeaseView.model_validate({k: v for k, v in item.items() if k in LeaseView.model_fields}) if item else None


def held(view: LeaseView | None) -> bool:
    """Tell whether the item names a run that has not ended."""
    return view is not None and view.token != ""


def holder(ledger: Ledger) -> LeaseView | None:
    """Read who holds the environment; None when nobody does. A run that has ended holds nothing."""
    return _holding(ledger)[0]


def unfinished(ledger: Ledger) -> LeaseView | None:
    """Read who holds the environment with a run that was written down; any other lease is cleared by who comes next."""
    seen, header = _holding(ledger)
    return seen if header is not None else None


def _holding(ledger: Ledger) -> tuple[LeaseView | None, RunHeader | None]:
    seen = read_lease(ledger)
    if seen is None or not held(seen):
        return None, None
    header = read_header(ledger, seen.run)
    return (None, None) if header is not None and header.outcome is not None else (seen, header)


def deed_entry(deed: Deed) -> Entry:
    """Make the item of what somebody did by hand; that it has ended is written over its beginning."""
    sk = f"{deed.began.isoformat()}#{deed.id}"
    return Entry(pk="deed", sk=sk, attributes={"body": deed.model_dump_json()}, if_absent=deed.ended is None)


def read_deeds(ledger: Ledger) -> tuple[Deed, ...]:
    """Read what was done by hand, oldest first."""
    return tuple(Deed.model_validate_json(str(i["body"])) for i in ledger.query("deed"))


def header_entry(header: RunHeader) -> Entry:
    """Make the item of a run in the list of runs."""
    return Entry(pk="run", sk=header.run, attributes={"body": header.model_dump_json()})


def read_header(ledger: Ledger, run: str) -> RunHeader | None:
    """Read one run's line in the list of runs."""
    item = ledger.get("run", run)
    return RunHeader.model_validate_json(str(item["body"])) if item else None


def read_headers(ledger: Ledger) -> tuple[RunHeader, ...]:
    """List every run, oldest first."""
    return tuple(RunHeader.model_validate_json(str(i["body"])) for i in ledger.query("run"))


def read_incidents(ledger: Ledger) -> tuple[Incident, ...]:
    """List every incident, in the order they were opened."""
    found = (Incident.model_validate_json(str(i["body"])) for i in ledger.query("incident"))
    return tuple(sorted(found, key=lambda i: i.number))


def read_open_incident(ledger: Ledger) -> Incident | None:
    """Read the incident that is open; None while there is none."""
    newest = read_incidents(ledger)[-1:]
    return next((i for i in newest if i.closed is None), None)


def read_incident_events(ledger: Ledger, incident: str) -> tuple[IncidentEvent, ...]:
    """Read one incident's events, in order; empty for one that was never opened."""
    return tuple(IncidentEvent.model_validate_json(str(i["body"])) for i in ledger.query(f"incident#{incident}"))


def incident_entries(incident: Incident, event: IncidentEvent) -> tuple[Entry, ...]:
    """Make the items of one event: the event itself, absent so far, and the incident as it stands after it.

    The first event also takes the incident's number, so that two people cannot open two.
    """
    number, nonce, new = f"{event.number:05d}", secrets.token_hex(8), event.number == 0
    line: dict[str, str | int] = {"body": event.model_dump_json(), "nonce": nonce}
    stands: dict[str, str | int] = {"body": incident.model_dump_json(), "nonce": nonce}
    taken: dict[str, str | int] = {"incident": incident.id, "nonce": nonce}
    entries = (
        Entry(pk=f"incident#{incident.id}", sk=number, attributes=line, if_absent=True),
        Entry(pk="incident", sk=incident.id, attributes=stands, if_absent=new),
    )
    slot = Entry(pk="incident-number", sk=f"{incident.number:05d}", attributes=taken, if_absent=True)
    return (slot, *entries) if new else entries
