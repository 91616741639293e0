"""The ledger in a folder, for the disaster that took the table: `--journal ./dir`.

`journal.jsonl` is only ever appended to: one line is one transaction. `lease.json` is replaced whole. Both are written
under one lock, so the lease's token guards a write as DynamoDB's condition does. For one machine: a folder on a network
share would need its locks to hold there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import AlreadyThere, LeaseLost, LedgerDown
from ratemyunit_ops.model import LeaseView
from ratemyunit_ops.ports import Entry

Item = dict[str, str | int]


class FileLedger:
    """The ledger in one folder, which is made when something is first written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, pk: str, sk: str) -> Item | None:
        """Read one item's attributes. Raises LedgerDown."""
        with self._locked(write=False):
            if (pk, sk) == ("lease", "lease"):
                lease = self._lease()
                return dict(lease.model_dump()) if lease else None
            return self._items().get((pk, sk))

    def query(self, pk: str) -> list[Item]:
        """Read all items of one key, by sort key. Raises LedgerDown."""
        with self._locked(write=False):
            found = sorted((sk, item) for (key, sk), item in self._items().items() if key == pk)
        return [{**item, "sk": sk} for sk, item in found]

    def write(self, entries: Sequence[Entry], *, token: str | None) -> None:
        """Put all entries or none; with a token, only while the lease holds it.

        Raises:
            LeaseLost: the lease holds another token.
            AlreadyThere: a put-if-absent met an item that is not our own earlier try.
            LedgerDown: the folder cannot be written.
        """
        with self._locked(write=True):
            lease = self._lease()
            if token is not None and (lease is None or lease.token != token):
                raise LeaseLost(_who_holds(lease), next="rmu status")
            there = self._items()
            for entry in entries:
                met = there.get((entry.pk, entry.sk))
                if entry.if_absent and met is not None and met != entry.attributes:
                    raise AlreadyThere(f"{entry.pk} {entry.sk} is in the journal already", next="rmu status")
            self._append([{"pk": e.pk, "sk": e.sk, "attributes": e.attributes} for e in entries])

    def put_lease(self, new: LeaseView, *, seen: LeaseView | None) -> None:
        """Replace the lease if it still is what was seen. Raises LeaseLost, LedgerDown."""
        with self._locked(write=True):
            there = self._lease()
            if there != new and _essence(there) != _essence(seen):
                raise LeaseLost(_who_holds(there), next="rmu status")
            fresh = self._folder / "lease.new"
            fresh.write_text(new.model_dump_json() + "\n")
            fresh.replace(self._folder / "lease.json")

    def _lease(self) -> LeaseView | None:
        try:
            return LeaseView.model_validate_json((self._folder / "lease.json").read_text())
        except FileNotFoundError:
            return None

    def _items(self) -> dict[tuple[str, str], Item]:
        found: dict[tuple[str, str], Item] = {}
        for line in self._whole_lines():
            for put in json.loads(line):
                found[(put["pk"], put["sk"])] = put["attributes"]
        return found

    def _whole_lines(self) -> list[bytes]:
        """Read the lines; the last one is left out where a crash cut it off: it never happened."""
        try:
            return (self._folder / "journal.jsonl").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _append(self, puts: list[dict[str, Any]]) -> None:
        whole = sum(len(line) + 1 for line in self._whole_lines())
        with (self._folder / "journal.jsonl").open("ab") as journal:
            journal.truncate(whole)
            journal.write(json.dumps(puts).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())

    @contextmanager
    def _locked(self, *, write: bool) -> Iterator[None]:
        try:
            if not write and not self._folder.is_dir():
                yield
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
                yield
        except (OSError, ValueError) as why:
            raise LedgerDown(
                f"the journal in {self._folder} cannot be used: {why}", next="name another folder: --journal DIR"
            ) from why


def _essence(lease: LeaseView | None) -> tuple[str, int, int] | None:
    """Tell a lease from another by what DynamoDB's condition compares."""
    return (lease.token, lease.generation, lease.heartbeat) if lease else None


def _who_holds(there: LeaseView | None) -> str:
    if there is None:
        return "there is no lease in this folder"
    return f"{there.owner} holds the lease now, with run {there.run}" if there.token else "the lease was freed"
