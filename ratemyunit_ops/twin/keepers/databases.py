"""The RDS keeper: every PostgreSQL instance of the record is a machine of its own with PostgreSQL 17 inside.

The cluster and its WAL archive lie on the outer disk, bound into the machine, where a restore will find them.
"""

import hashlib
import json
import socket
import time
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin import certs, dns, door
from ratemyunit_ops.twin.files import read_json, write_json
from ratemyunit_ops.twin.keepers import postgres
from ratemyunit_ops.twin.keepers.hosts import memory_of
from ratemyunit_ops.twin.keepers.places import DATABASES, database_address, database_port
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site

PROBE_SECONDS = 3.0
ARCHIVE_SECONDS = 15.0
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class Databases:
    """Database instances become machines."""

    name = "databases"

    def __init__(self, site: Site, record: Record) -> None:
        self.site = site
        self.record = record
        self.kept: dict[str, Database] = {}

    def step(self, wanted: dict[str, Any]) -> None:
        """Make, follow and remove databases."""
        rows = {row["id"]: row for row in wanted["databases"]}
        for id in [one for one in _known(self.site) if one not in rows]:
            Database(self.site, id, _known(self.site)[id]).remove()
            self.kept.pop(id, None)
        for id, row in rows.items():
            if id not in self.kept:
                self.kept[id] = Database(self.site, id, _place(self.site, id))
            self.record.seen(**self.kept[id].follow(row))


class Database:
    """One instance: its machine, and what of the record it already obeys."""

    def __init__(self, site: Site, id: str, place: int) -> None:
        self.site = site
        self.id = id
        self.machine = Machine(site, id)
        self.directory = site.state_dir / "databases" / id
        self.address = database_address(site, place)
        self.outer_port = database_port(site, place)
        self._reboots: int | None = None
        self._probed = self._archived = 0.0
        self._state = "creating"

    def follow(self, row: dict[str, Any]) -> dict[str, Any]:
        """Bring it in line with the record; answer what to report."""
        if self._reboots is None:
            self._reboots = row["reboots"]
        if not self.machine.running():
            self._boot(row)
        changed = self._obey(row)
        if row["reboots"] > self._reboots:
            self._reboots = row["reboots"]
            postgres.restart(self.machine)
            changed = True
        if time.monotonic() - self._probed > PROBE_SECONDS or self._state != "available":
            self._probed = time.monotonic()
            self._state = "available" if self._answers() else self._state
        report: dict[str, Any] = {
            "databases": {self.id: self._state},
            "database_addresses": {self.id: self.address},
        }
        if self._state == "available" and time.monotonic() - self._archived > ARCHIVE_SECONDS:
            self._archived = time.monotonic()
            archived = postgres.archived_until(self.machine)
            report["archived"] = {self.id: archived} if archived else {}
        if changed:
            report["restart_pending"] = {self.id: postgres.restart_pending(self.machine)}
        return report

    def remove(self) -> None:
        """Take the machine, its name and its data away."""
        name = (self.directory / "name").read_text() if (self.directory / "name").exists() else ""
        self.machine.destroy()
        if name:
            dns.drop_name(self.site, name)
        postgres.wipe(self.directory)
        _forget(self.site, self.id)
        say(f"databases: {self.id} is gone")

    def _boot(self, row: dict[str, Any]) -> None:
        """Start the machine (again): a host of RDS that died is replaced over the same storage."""
        shared = self.directory / "srv"
        shared.mkdir(parents=True, exist_ok=True)
        (self.directory / "name").write_text(row["address"])
        dns.set_name(self.site, row["address"], self.address)
        self.machine.start(
            self.address, memory_bytes=memory_of(row["class"]), cloud_init=False, binds={shared: "/srv/rds"}
        )
        self.machine.wait_up()
        say(f"databases: {self.id} boots at {self.address}")
        self._done_file.unlink(missing_ok=True)

    def _obey(self, row: dict[str, Any]) -> bool:
        """Apply parameters, password and first contents; answer whether they were not what was applied last."""
        wish = hashlib.sha256(json.dumps([row["parameters"], row["password"], row["port"]]).encode()).hexdigest()
        if self._done_file.exists() and self._done_file.read_text() == wish:
            return False
        pair = certs.issue(self.site, f"db-{self.id}", [row["address"], "localhost"])
        postgres.set_up(self.machine, self.directory / "srv", row, pair)
        door.publish(self.site, self.outer_port, f"{self.address}:{row['port']}", tcp=True)
        self._done_file.write_text(wish)
        say(f"databases: {self.id} obeys its record")
        return True

    @property
    def _done_file(self) -> Path:
        return self.directory / "obeyed"

    def _answers(self) -> bool:
        """Ask PostgreSQL for TLS through the door: one byte says that it listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.outer_port), timeout=2) as probe:
                probe.sendall(SSL_REQUEST)
                return probe.recv(1) in (b"S", b"N")
        except OSError:
            return False


def _places(site: Site) -> Path:
    return site.state_dir / "databases" / "places.json"


def _known(site: Site) -> dict[str, int]:
    known: dict[str, int] = read_json(_places(site), {})
    return known


def _place(site: Site, id: str) -> int:
    """Give a database its number for life: its address and its outer port follow from it."""
    known = _known(site)
    if id not in known:
        free = [n for n in range(DATABASES) if n not in known.values()]
        if not free:
            raise Failed(
                f"the twin has room for {DATABASES} databases", state="No other was touched.", next="delete one"
            )
        known[id] = free[0]
        write_json(_places(site), known)
    return known[id]


def _forget(site: Site, id: str) -> None:
    known = _known(site)
    known.pop(id, None)
    write_json(_places(site), known)
