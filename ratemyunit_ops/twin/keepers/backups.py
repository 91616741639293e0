"""Backups as files on the outer disk: by resource id the WAL archive and the base backups, by name the snapshots.

They outlive the instance. What is damaged is found when it is restored, noted, and not used again.
"""

import shutil
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from ratemyunit_ops.twin.files import read_json, write_json
from ratemyunit_ops.twin.site import Site

_INSIDE = Path("/srv/backup")


class Store:
    """All backups of one resource id."""

    def __init__(self, site: Site, resource: str) -> None:
        self.directory = site.state_dir / "backups" / resource
        self.wal = self.directory / "wal"
        self._bases = self.directory / "base"
        self._window = self.directory / "window" / "latest.json"
        self._asked = self.directory / "asked"

    def bases(self) -> list[dict[str, Any]]:
        """Answer the base backups, the oldest first: `name`, `ended`, `damaged`."""
        return sorted((read_json(file, {}) for file in self._bases.glob("*.json")), key=lambda base: base["ended"])

    def before(self, moment: float) -> dict[str, Any] | None:
        """Answer the newest whole base backup that had ended by a moment."""
        fit = [base for base in self.bases() if base["ended"] <= moment and not base["damaged"]]
        return fit[-1] if fit else None

    def data(self, name: str) -> Path:
        """Where the files of a base backup are."""
        return self._bases / name

    def begin(self) -> str:
        """Name a new base backup; it does not count before `finish`."""
        return datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S")

    def inside(self, name: str) -> str:
        """Where the instance's own machine writes the base backup of that name."""
        return str(_INSIDE / "base" / f"{name}.new")

    def finish(self, name: str) -> int:
        """Let a base backup count from now on; answer its end, in whole seconds as AWS tells it."""
        (self._bases / f"{name}.new").rename(self._bases / name)
        ended = ceil(datetime.now(UTC).timestamp())
        write_json(self._bases / f"{name}.json", {"name": name, "ended": ended, "damaged": False})
        return ended

    def finish_as(self, name: str, snapshot: "Snapshot") -> None:
        """Let a base backup be a snapshot instead."""
        snapshot.take(self._bases / f"{name}.new")

    def damaged(self, name: str) -> None:
        """Note that a base backup cannot be used."""
        file = self._bases / f"{name}.json"
        write_json(file, {**read_json(file, {}), "damaged": True})

    def latest(self, moment: float | None = None) -> float | None:
        """Answer until when a restore is possible; note it first, if told."""
        if moment is not None:
            write_json(self._window, moment)
        known: float | None = read_json(self._window, None)
        return known

    def ask(self) -> None:
        """Ask for a base backup out of turn."""
        self._asked.touch()

    def due(self, every: float, now: float) -> bool:
        """Answer whether an automated backup is due: one that was asked for, the first, or the next one."""
        bases = self.bases()
        return self.asked() or not bases or now - bases[-1]["ended"] >= every

    def asked(self) -> bool:
        """Answer, once, whether somebody asked for a base backup."""
        there = self._asked.exists()
        self._asked.unlink(missing_ok=True)
        return there


class Snapshot:
    """One manual or final snapshot."""

    def __init__(self, site: Site, name: str) -> None:
        self.directory = site.state_dir / "snapshots" / name

    def there(self) -> bool:
        """Answer whether it is made."""
        return self.directory.is_dir()

    def take(self, files: Path) -> None:
        """Become what these files are; they are moved."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        files.rename(self.directory)

    def copy(self, other: "Snapshot") -> None:
        """Become a copy of another one: nobody ever writes into a snapshot, so the files are shared."""
        new = self.directory.with_name(f".{self.directory.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(other.directory, new, copy_function=_link, symlinks=True)
        new.rename(self.directory)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def sweep(site: Site, backups: list[str], snapshots: list[str]) -> None:
    """Remove whatever the record does not know."""
    for kind, names in (("backups", backups), ("snapshots", snapshots)):
        where = site.state_dir / kind
        for path in where.iterdir() if where.is_dir() else ():
            if path.name not in names and not path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)
