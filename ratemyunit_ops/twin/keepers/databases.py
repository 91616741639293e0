"""The RDS keeper: every PostgreSQL instance of the record is a machine of its own with PostgreSQL 17 inside.

The cluster lies on the outer disk, bound into the machine, and so do its backups (`backups`), which outlive it. Each
instance has a thread of its own: one that is restored for minutes keeps no other waiting.
"""

import hashlib
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin import certs, dns, door
from ratemyunit_ops.twin.files import read_json, write_json
from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.keepers import postgres
from ratemyunit_ops.twin.keepers.backups import Snapshot, Store, sweep
from ratemyunit_ops.twin.keepers.database_log import DatabaseLog
from ratemyunit_ops.twin.keepers.hosts import memory_of
from ratemyunit_ops.twin.keepers.places import database_address, database_port
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.restores import NoRoom, copy_base, origin_files, write_back
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import DATABASES, Site

PROBE_SECONDS = 3.0
SHIPPING_SECONDS = 20.0
SSL_REQUEST = bytes.fromhex("0000000804d2162f")

_PLACES = threading.Lock()


class Databases:
    """Database instances become machines."""

    name = "databases"

    def __init__(self, site: Site, record: Record) -> None:
        self.site = site
        self.record = record
        self.kept: dict[str, Follower] = {}

    def step(self, wanted: dict[str, Any]) -> None:
        """Hand every instance its row of the record; what has none any more is taken away."""
        rds = wanted["rds"]
        rows = {row["id"]: row for row in wanted["databases"]}
        for id in sorted({*rows, *_known(self.site)}):
            if id not in self.kept or not self.kept[id].is_alive():
                database = Database(self.site, id, _place(self.site, id), self.record.seen)
                self.kept[id] = Follower(database)
            self.kept[id].hand(rows.get(id), rds)
        for id in [id for id, one in self.kept.items() if id not in rows and not one.is_alive()]:
            del self.kept[id]
        sweep(self.site, rds["backups"], [one["name"] for one in rds["snapshots"]])
        self._copy_snapshots(rds["snapshots"])

    def _copy_snapshots(self, wanted: list[dict[str, Any]]) -> None:
        for one in wanted:
            snapshot = Snapshot(self.site, one["name"])
            if one["copy_of"] and not snapshot.there():
                snapshot.copy(Snapshot(self.site, one["copy_of"]))
                self.record.seen(snapshots={one["name"]: "available"})


class Follower(threading.Thread):
    """One instance's thread: it follows the newest row, and survives its own failures."""

    def __init__(self, database: "Database") -> None:
        super().__init__(name=database.id, daemon=True)
        self.database = database
        self._news = threading.Event()
        self._row: dict[str, Any] | None = None
        self._rds: dict[str, Any] = {}

    def hand(self, row: dict[str, Any] | None, rds: dict[str, Any]) -> None:
        """Take the newest row; None takes the instance away, and ends the thread."""
        self._row, self._rds = row, rds
        self.database.unwanted = row is None or row["leaving"] is not None
        self._news.set()
        if not self.is_alive():
            self.start()

    def run(self) -> None:
        """Follow until there is nothing to follow; the same failure is told once, not every second."""
        last = ""
        while True:
            self._news.wait()
            self._news.clear()
            try:
                if self._row is None:
                    self.database.remove()
                    return
                self.database.follow(self._row, self._rds)
                if self.database.gone:
                    return
                last = ""
            except Exception as why:  # noqa: BLE001  (a thread that stops is worse than one that stumbles)
                if repr(why) != last:
                    last = repr(why)
                    say(f"databases: {self.database.id}: {traceback.format_exc()}")


class Database:
    """One instance: its machine, and what of the record it already obeys."""

    def __init__(self, site: Site, id: str, place: int, tell: Callable[..., None]) -> None:
        self.site = site
        self.id = id
        self.tell = tell
        self.machine = Machine(site, id)
        self.directory = site.state_dir / "databases" / id
        self.shared = self.directory / "srv"
        self.address = database_address(site, place)
        self.outer_port = database_port(site, place)
        self._log = DatabaseLog(self.shared / postgres.LOG, self._export)
        self._region = site.region
        self._reboots: int | None = None
        self._probed = self._shipped = 0.0
        self._admitted: list[str] | None = None
        self._state = "creating"
        self.unwanted = self.gone = False

    def follow(self, row: dict[str, Any], rds: dict[str, Any]) -> None:
        """Bring it in line with the record, and report what it is now."""
        store = Store(self.site, row["resource"])
        if row["leaving"]:
            self._leave(row, store)
            return
        if row["origin"] and not self._born_file.exists() and not self._restore(row, store, rds["knobs"]):
            return
        if self._reboots is None:
            self._reboots = row["reboots"]
        if not self.machine.running():
            self._boot(row, store)
        changed = self._obey(row)
        if row["reboots"] > self._reboots:
            self._reboots = row["reboots"]
            postgres.restart(self.machine)
            changed = True
        self._probe()
        if self._state == "available":
            self._back_up(row, store, rds)
        report: dict[str, Any] = {"databases": {self.id: self._state}, "obeyed": {self.id: row["wish"]}}
        if changed:
            report["restart_pending"] = {self.id: postgres.restart_pending(self.machine)}
        self.tell(**report)
        self._region = row["region"]
        if "postgresql" in row["exports"]:
            self._log.export()
        # Last, for it waits: nothing of the report above may.
        if self._state == "available" and row["retention"]:
            self._ship(row, store, rds["knobs"]["archive_seconds"])

    def remove(self) -> None:
        """Take the machine, its name and its data away; its backups are nobody's business here."""
        name = (self.directory / "name").read_text() if (self.directory / "name").exists() else ""
        self.machine.destroy()
        if name:
            dns.drop_name(self.site, name)
        postgres.wipe(self.directory)
        _forget(self.site, self.id)
        say(f"databases: {self.id} is gone")

    def _boot(self, row: dict[str, Any], store: Store) -> None:
        """Start the machine (again): a host of RDS that died is replaced over the same storage."""
        self._power(row, store, {})
        self.machine.wait_up()
        say(f"databases: {self.id} boots at {self.address}")

    def _power(self, row: dict[str, Any], store: Store, binds: dict[Path, str]) -> None:
        for directory in (self.shared, store.directory):
            directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "name").write_text(row["address"])
        dns.set_name(self.site, row["address"], self.address)
        self._done_file.unlink(missing_ok=True)
        binds = {self.shared: postgres.HERE, store.directory: postgres.BACKUP, **binds}
        self.tell(database_addresses={self.id: self.address})
        self.machine.start(self.address, memory_bytes=memory_of(row["class"]), cloud_init=False, binds=binds)

    def _restore(self, row: dict[str, Any], store: Store, knobs: dict[str, Any]) -> bool:
        """Make it what its source was at a moment; answer whether it is. One that was interrupted begins anew."""
        verdict = self.directory / "verdict"
        if verdict.exists() and (verdict.read_text() != "storage-full" or knobs["disk_full"]):
            self.tell(databases={self.id: verdict.read_text()})
            return False
        self.machine.destroy()
        postgres.wipe(self.directory)
        files, source, base = origin_files(self.site, row["origin"])
        marks = [time.monotonic()]
        try:
            self._power(row, store, {source.directory: postgres.SOURCE} if source.directory.is_dir() else {})
            copy_base(files, self.shared / "data" / postgres.VERSION, full=knobs["disk_full"])
            marks.append(time.monotonic())
            self.machine.wait_up()
            postgres.verify(self.machine)
            marks.append(time.monotonic())
            postgres.begin_recovery(self.machine, self.shared, row, self._certificate(row))
            while not postgres.recovered(self.machine):
                if self.unwanted:
                    return False
        except NoRoom as why:
            return self._give_up("storage-full", f"The restore needs more storage: {why}")
        except postgres.Damaged as why:
            if base:
                source.damaged(base)
                self.tell(bases={row["origin"]["resource"]: source.bases()})
            return self._give_up("incompatible-restore", f"The backup {base or files.name} cannot be restored: {why}")
        write_back(self.shared / "data" / postgres.VERSION / "base")
        postgres.end_recovery(self.shared, row)
        write_json(self._born_file, row["origin"])
        copied, checked, replayed = (b - a for a, b in pairwise([*marks, time.monotonic()]))
        took = f"copied in {copied:.1f} s, booted and checked in {checked:.1f} s, replayed in {replayed:.1f} s"
        say(f"databases: {self.id} is restored from {base or files.name}: {took}")
        return True

    def _give_up(self, status: str, why: str) -> bool:
        self.machine.kill()
        (self.directory / "verdict").write_text(status)
        say(f"databases: {self.id} ends in {status}: {why}")
        self.tell(databases={self.id: status}, events={self.id: why})
        return False

    def _obey(self, row: dict[str, Any]) -> bool:
        """Apply what the record says; answer whether settings were not what was applied last."""
        parts = [row["parameters"], row["password"], row["port"]]
        wish = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        if self._done_file.exists() and self._done_file.read_text() == wish:
            if row["admitted"] != self._admitted:
                postgres.admit(self.machine, self.shared, row)
                self._admitted = row["admitted"]
                say(f"databases: {self.id} admits {', '.join(row['admitted']) or 'nobody'}")
            return False
        postgres.set_up(self.machine, self.shared, row, self._certificate(row))
        self._admitted = row["admitted"]
        door.publish(self.site, self.outer_port, f"{self.address}:{row['port']}", tcp=True)
        self._done_file.write_text(wish)
        say(f"databases: {self.id} obeys its record")
        return True

    def _certificate(self, row: dict[str, Any]) -> certs.Pair:
        return certs.issue(self.site, f"db-{self.id}", [row["address"], "localhost"])

    def _back_up(self, row: dict[str, Any], store: Store, rds: dict[str, Any]) -> None:
        """Take the base backup that is due (the first, the daily one, or one that was asked for) and the snapshots."""
        taken = row["retention"] and rds["knobs"]["backups"]
        if taken and store.due(rds["knobs"]["backup_seconds"], time.time()):
            name = store.begin()
            self._base(store, name)
            ended = store.finish(name)
            # The window opens with the first whole second after the backup, and something shipped after that.
            time.sleep(max(0.0, ended - time.time()))
            self._ship(row, store, 0.0)
        for one in rds["snapshots"]:
            if one["resource"] == row["resource"] and not one["copy_of"]:
                self._snapshot(store, one["name"])

    def _snapshot(self, store: Store, name: str) -> None:
        snapshot = Snapshot(self.site, name)
        if not snapshot.there():
            self._base(store, f"snapshot-{name}")
            store.finish_as(f"snapshot-{name}", snapshot)
        self.tell(snapshots={name: "available"})

    def _base(self, store: Store, name: str) -> None:
        began = time.monotonic()
        self.tell(databases={self.id: "backing-up"})
        postgres.base_backup(self.machine, store.inside(name))
        say(f"databases: {self.id} is backed up as {name} in {time.monotonic() - began:.1f} s")

    def _ship(self, row: dict[str, Any], store: Store, every: float) -> None:
        """Let WAL be archived, and note until when a restore is possible."""
        if time.monotonic() - self._shipped < every:
            return
        self._shipped = time.monotonic()
        beat = postgres.heartbeat(self.machine)
        until = time.monotonic() + SHIPPING_SECONDS
        while beat and not (store.wal / f"{beat[1]}.gz").exists() and time.monotonic() < until:
            time.sleep(0.05)
        if beat and (store.wal / f"{beat[1]}.gz").exists():
            store.latest(float(int(beat[0])))
        if store.latest():
            self.tell(archived={row["resource"]: store.latest()}, bases={row["resource"]: store.bases()})

    def _export(self, events: list[dict[str, Any]]) -> None:
        call(self.site, "rds-log", {"region": self._region, "id": self.id, "events": events})

    def _leave(self, row: dict[str, Any], store: Store) -> None:
        """Take the instance away as it was asked: its last snapshot first, its last WAL, then the machine."""
        how = row["leaving"]
        if not how["lost"] and self._done_file.exists():
            if not self.machine.running():
                self._boot(row, store)
                self._obey(row)
            if how["final"]:
                self._snapshot(store, how["final"])
            if how["keep"]:
                self._ship(row, store, 0.0)
        self.remove()
        self.tell(left=[self.id])
        self.gone = True

    def _probe(self) -> None:
        if time.monotonic() - self._probed > PROBE_SECONDS or self._state != "available":
            self._probed = time.monotonic()
            self._state = "available" if self._answers() else self._state

    @property
    def _born_file(self) -> Path:
        return self.directory / "born.json"

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
    with _PLACES:
        places: dict[str, int] = read_json(_places(site), {"places": {}})["places"]
        return places


def _place(site: Site, id: str) -> int:
    """Give a database its number for life: its address and its outer port follow from it.

    The number that was free for the longest time is taken, so that a client of a database that is gone does not find
    itself in another one.
    """
    with _PLACES:
        known = read_json(_places(site), {"places": {}, "last": -1})
        places, last = known["places"], known["last"]
        if id not in places:
            following = [n % DATABASES for n in range(last + 1, last + 1 + DATABASES)]
            free = [n for n in following if n not in places.values()]
            if not free:
                raise Failed(
                    f"the twin has room for {DATABASES} databases", state="No other was touched.", next="delete one"
                )
            places[id] = free[0]
            write_json(_places(site), {"places": places, "last": free[0]})
        return int(places[id])


def _forget(site: Site, id: str) -> None:
    with _PLACES:
        known = read_json(_places(site), {"places": {}, "last": -1})
        known["places"].pop(id, None)
        write_json(_places(site), known)
