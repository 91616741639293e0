"""One cluster for all tests of a session; a test's databases are its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from rmu_host import data_psql

from tests.salvage.cluster import FAST, Asker, Cluster, PlainCloud, PlainMachine, folder, plain

_numbers = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    made = Cluster(folder(), f"{FAST} -c max_prepared_transactions=5")
    made.make()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.directory)


@dataclass
class Sides:
    """An old database and, once restored, a new one; and who asks about them."""

    cluster: Cluster
    old: str
    new: str
    ask: Asker

    def __post_init__(self) -> None:
        self.cluster.create(self.old)

    def database(self, name: str) -> dict[str, Any]:
        return {"identifier": f"rmu-test-{name}", "address": name, "port": self.cluster.port}

    def setup(self, sql: str, role: str = "rmu_migrate") -> None:
        """Write into the old one before the restore point."""
        self.cluster.sql(f"set role {role};\n{sql}", self.old)

    def restore(self) -> dict[str, Any]:
        """Make the new one as the old one is now, and warm it."""
        self.cluster.create(self.new, self.old)
        return self.ask("data_warm", database=self.database(self.new))

    def on_old(self, sql: str) -> None:
        """Write into the old one after the restore point."""
        self.cluster.sql(f"set role rmu_app;\n{sql}", self.old)

    def on_new(self, sql: str) -> None:
        """Write into the new one, which serves."""
        self.cluster.sql(f"set role rmu_app;\n{sql}", self.new)

    def fence(self) -> None:
        self.cluster.sql("alter role rmu_app nologin; alter role rmu_migrate nologin;", "postgres")

    def salvage(self, since: float = 0.0) -> dict[str, Any]:
        """Fence the old one and compute."""
        return self.ask_salvage(since=since)

    def ask_salvage(self, **body: Any) -> dict[str, Any]:
        self.fence()
        both = {"old": self.database(self.old), "new": self.database(self.new)}
        return self.ask("data_salvage", **{"since": 0.0, **both, **body})

    @property
    def third(self) -> str:
        """Name a third database: restored from the old one, and superseded in its turn."""
        return f"{self.old}_first"

    def first(self) -> None:
        """Restore the old one as it is now into the third, as a restore before the one that serves."""
        self.cluster.create(self.third, self.old)
        self.ask("data_warm", database=self.database(self.third))

    def salvage_of(self, name: str, **body: Any) -> dict[str, Any]:
        """Compute what one of several superseded databases has."""
        return self.ask_salvage(old=self.database(name), **body)

    def apply(self, mark: str = "r-1") -> dict[str, Any]:
        return self.ask("data_apply", new=self.database(self.new), mark=mark)

    def rows(self, query: str, side: str = "new") -> list[str]:
        return self.cluster.sql(query, getattr(self, side)).splitlines()

    def same(self, query: str) -> bool:
        return self.rows(query, "old") == self.rows(query, "new")

    def conflicts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ask.cloud.objects["salvage/r-1/conflicts.json"])["conflicts"]
        return found

    def left(self) -> list[dict[str, str]]:
        """List the rows that the last salvage could not put."""
        found: list[dict[str, str]] = json.loads(self.ask.cloud.objects["salvage/r-1/left.json"])
        return found

    def files(self) -> dict[str, str]:
        return {k.removeprefix("salvage/r-1/"): v.decode() for k, v in self.ask.cloud.objects.items()}


@pytest.fixture
def sides(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sides]:
    # Sessions that stay open start psql by themselves, past the machine's own door.
    n = next(_numbers)
    old, new = f"old{n}", f"new{n}"
    names = {name: name for name in (old, new, f"{old}_first")}
    monkeypatch.setattr(data_psql, "TLS", {"PGSSLMODE": "disable"})
    start = data_psql.Session.__init__
    monkeypatch.setattr(data_psql.Session, "__init__", lambda self, argv, env: start(self, plain(argv, names), env))
    yield Sides(cluster, old, new, Asker(PlainMachine(tmp_path, names), PlainCloud()))
    cluster.sql("alter role rmu_app login; alter role rmu_migrate login;", "postgres")
