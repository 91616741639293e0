"""Database instances that behave: made in minutes, restored from their history, full of rows that clients wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from ratemyunit_ops.errors import Absent, Failed
from ratemyunit_ops.model import (
    Database,
    DatabaseSettings,
    DatabaseView,
    Facts,
    RestorePoint,
    RestoreWindow,
)
from tests.fakes.clock import BEGIN
from tests.fakes.line import Line

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld

SHIPS_EVERY = 300.0
"""Seconds between two moments at which logs are shipped: nothing newer than the last can be restored."""
CREATING, BACKING_UP = 20.0, 40.0
"""Seconds after the restore call at which an instance gets its address, and at which it is available."""
ROLES = ("rmu_app", "rmu_migrate")
CLOSED = ("sg-closed",)
"""The groups of an instance that nobody reaches."""
SETTINGS = DatabaseSettings(
    instance_class="db.t3.micro",
    storage_gb=20,
    subnet_group="rmu-test-db",
    security_groups=("sg-db",),
    parameter_group="rmu-test-pg17",
    backup_window="03:00-03:30",
    maintenance_window="sun:04:00-sun:04:30",
    log_exports=("postgresql",),
    tags={"rmu:env": "test"},
)

Key = tuple[str, int]
Rows = dict[Key, tuple[str, datetime]]
"""(table, key) -> value and when it was committed."""


@dataclass(frozen=True)
class Commit:
    """One change of what an instance holds, so that any moment of it can be made again."""

    at: datetime
    what: str
    name: Any
    value: Any


@dataclass
class Store:
    """What one instance holds."""

    commits: list[Commit] = field(default_factory=list)
    rows: Rows = field(default_factory=dict)
    head: str = ""
    admits: str = ""
    logins: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(ROLES, True))
    sequences: dict[str, int] = field(default_factory=dict)
    noted: dict[str, frozenset[Key]] = field(default_factory=dict)
    """Run that warmed it -> the keys there were."""
    given_back: set[Key] = field(default_factory=set)
    """Rows that a salvage has put here: each is put once."""
    passwords: Literal["today", "roles of then", "all of then"] = "today"
    """Which passwords are those of the moment restored to; the master's rarely is another than today's."""
    master_changed: bool = False
    """Whether the master had another password at all the moments that are kept."""

    def commit(self, at: datetime, what: str, name: Any, value: Any) -> None:
        """Change something, and remember it."""
        self.commits.append(Commit(at, what, name, value))
        match what:
            case "row" if value is None:
                self.rows.pop(name, None)
            case "row":
                self.rows[name] = (value, at)
            case "schema":
                self.head, self.admits = name, value
            case "login":
                self.logins[name] = value
            case "sequence":
                self.sequences[name] = value
            case "noted":
                self.noted[name] = value
            case "given back":
                self.given_back.add(name)

    @property
    def open(self) -> bool:
        """Tell whether the application may log in and write."""
        return self.logins["rmu_app"]

    def at(self, moment: datetime) -> Store:
        """Make what this held at a moment: rows, schema, roles and their passwords of then."""
        made = Store(passwords="all of then" if self.master_changed else "roles of then")
        for c in self.commits:
            if c.at <= moment:
                made.commit(c.at, c.what, c.name, c.value)
        return made

    def value(self, key: Key) -> str | None:
        return self.rows[key][0] if key in self.rows else None

    def tables(self) -> set[str]:
        return {table for table, _ in self.rows}

    def of(self, table: str) -> Iterator[tuple[int, str, datetime]]:
        return ((key, value, at) for (t, key), (value, at) in self.rows.items() if t == table)


@dataclass
class Retained:
    """The backups of an instance that is gone."""

    window: RestoreWindow
    store: Store


class FakeDatabases:
    """The control plane."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def view(self, identifier: str) -> DatabaseView:
        return self._line.call("databases.view", lambda: self._view(identifier))

    def all(self) -> tuple[DatabaseView, ...]:
        return self._line.call("databases.all", lambda: tuple(self._view(name) for name in self._world.databases))

    def window(self, resource_id: str) -> RestoreWindow:
        return self._line.call("databases.window", lambda: self._window(resource_id))

    def windows(self) -> tuple[RestoreWindow, ...]:
        return self._line.call("databases.windows", lambda: tuple(self._windows()))

    def backups(self, resource_id: str) -> tuple[datetime, ...]:
        return self._line.call("databases.backups", lambda: self._world.backups)

    def settings(self, identifier: str) -> DatabaseSettings:
        def read() -> DatabaseSettings:
            self._view(identifier)
            return self._world.database_settings.get(identifier, SETTINGS)

        return self._line.call("databases.settings", read)

    def restore(self, point: RestorePoint, *, identifier: str, like: DatabaseSettings, run: str) -> Facts:
        return self._line.call("databases.restore", lambda: self._restore(point, identifier, like, run), changes=True)

    def settle(self, identifier: str, like: DatabaseSettings) -> Facts:
        def settle() -> Facts:
            self._view(identifier)
            now = self._world.database_settings[identifier]
            wanted = {
                n: theirs for n, (_, theirs) in now.difference(like).items() if n not in self._world.never_settles
            }
            self._world.database_settings[identifier] = now.model_copy(update=wanted)
            return {"settled": sorted(wanted)}

        return self._line.call("databases.settle", settle, changes=True)

    def made_by(self, identifier: str) -> str | None:
        def look() -> str | None:
            found = self._world.databases.get(identifier)
            return found.made_by if found else None

        return self._line.call("databases.made_by", look)

    def admit(self, identifier: str, security_groups: tuple[str, ...]) -> Facts:
        return self._line.call("databases.admit", lambda: self._put_into(identifier, security_groups), changes=True)

    def close(self, identifier: str) -> Facts:
        return self._line.call("databases.close", lambda: self._put_into(identifier, CLOSED), changes=True)

    def closed(self, identifier: str) -> bool:
        def look() -> bool:
            self._view(identifier)
            return self._world.database_settings.get(identifier, SETTINGS).security_groups == CLOSED

        return self._line.call("databases.closed", look)

    def renew_master(self, identifier: str) -> Facts:
        def renew() -> Facts:
            self._view(identifier)
            self._world.stores[identifier].passwords = "roles of then"
            return {"outcome": "changed"}

        return self._line.call("databases.renew_master", renew, changes=True)

    def drop(self, identifier: str, *, run: str) -> Facts:
        return self._line.call("databases.drop", lambda: self._drop(identifier, run), changes=True)

    def retire(self, identifier: str) -> Facts:
        return self._line.call("databases.retire", lambda: self._retire(identifier), changes=True)

    def _put_into(self, identifier: str, groups: tuple[str, ...]) -> Facts:
        status, settings = self._view(identifier).status, self._world.database_settings[identifier]
        if settings.security_groups != groups and status in self._world.changes_nothing_while:
            raise self._failed(f"RDS changes nothing of {identifier} while it is {status}")
        self._world.database_settings[identifier] = settings.model_copy(update={"security_groups": groups})
        return {"security_groups": list(groups)}

    def _view(self, identifier: str) -> DatabaseView:
        found = self._world.databases.get(identifier)
        if found is None:
            raise Absent(f"there is no database {identifier!r}", next="rmu doctor")
        return found.model_copy(update={"latest_restorable": self._latest(found)})

    def _latest(self, view: DatabaseView) -> datetime | None:
        if view.latest_restorable is None or view.status not in {"available", "backing-up"}:
            return view.latest_restorable
        shipped = self._world.clock.seconds // SHIPS_EVERY * SHIPS_EVERY
        return max(view.latest_restorable, BEGIN + timedelta(seconds=shipped))

    def _windows(self) -> Iterator[RestoreWindow]:
        for view in self._world.databases.values():
            latest = self._latest(view)
            if latest is not None:
                earliest = view.created or BEGIN - timedelta(days=7)
                yield RestoreWindow(
                    resource_id=view.resource_id, identifier=view.identifier, earliest=earliest, latest=latest
                )
        yield from (r.window for r in self._world.retained.values())

    def _window(self, resource_id: str) -> RestoreWindow:
        found = next((w for w in self._windows() if w.resource_id == resource_id), None)
        if found is None:
            raise Absent(f"nothing of {resource_id} can be restored", next="rmu status")
        return found

    def _restore(self, point: RestorePoint, identifier: str, like: DatabaseSettings, run: str) -> Facts:
        there = self._world.databases.get(identifier)
        if there is not None:
            if there.made_by != run:
                raise self._failed(f"there is a database {identifier} already, of somebody else")
            return {"outcome": "already"}
        if len(self._world.databases) >= self._world.database_quota:
            raise self._failed("the account may have no further database instance (InstanceQuotaExceeded)")
        window = self._window(point.resource_id)
        if not window.earliest <= point.at <= window.latest:
            raise self._failed(f"{point.at:%H:%M:%S} is outside of what can be restored")
        self._make(point, identifier, like, run)
        return {"outcome": "changed"}

    def _make(self, point: RestorePoint, identifier: str, like: DatabaseSettings, run: str) -> None:
        world = self._world
        world.stores[identifier] = world.store_of(point.resource_id).at(point.at)
        world.database_settings[identifier] = like.model_copy(
            update={"maintenance_window": "mon:00:00-mon:00:30", **world.restore_drops}
        )
        world.databases[identifier] = DatabaseView(
            identifier=identifier,
            resource_id=f"db-RESOURCE-{identifier}",
            address="",
            port=5432,
            status="creating",
            protected=like.deletion_protection,
            created=world.clock.now(),
            made_by=run,
        )
        world.clock.later(CREATING, lambda: self._becomes(identifier, "backing-up"))
        world.clock.later(BACKING_UP, lambda: self._becomes(identifier, world.restore_ends_as))

    def _becomes(self, identifier: str, status: str) -> None:
        """Let an instance come on, unless it is gone by then."""
        view = self._world.databases.get(identifier)
        if view is None:
            return
        ready = {"address": f"{identifier}.example"}
        if status == "available":
            ready["latest_restorable"] = self._world.clock.now()
        self._world.databases[identifier] = view.model_copy(update={"status": status, **ready})

    def _drop(self, identifier: str, run: str) -> Facts:
        view = self._world.databases.get(identifier)
        if view is None:
            return {"outcome": "already"}
        if view.made_by != run:
            raise self._failed(f"{identifier} was not made by run {run}: it is not dropped")
        self._gone(identifier)
        return {"outcome": "changed"}

    def _retire(self, identifier: str) -> Facts:
        view = self._world.databases.get(identifier)
        if view is None:
            return {"outcome": "already"}
        window = next(w for w in self._windows() if w.identifier == identifier)
        kept = window.model_copy(update={"source": "retained"})
        self._world.retained[view.resource_id] = Retained(kept, self._world.stores[identifier])
        self._world.snapshots.add(f"{identifier}-final")
        self._gone(identifier)
        return {"outcome": "changed"}

    def _gone(self, identifier: str) -> None:
        """Take an instance away; whatever reaches it is broken from now on."""
        if identifier in self._world.reached():
            self._world.broken.append(f"{identifier} was taken away though it is in use")
        del self._world.databases[identifier]
        del self._world.stores[identifier]

    def _failed(self, what: str) -> Failed:
        return Failed(what, state="No database was made or dropped.", next="rmu status")


def full(database: Database) -> bool:
    """Tell whether a database is more than a planned name."""
    return bool(database.address)
