"""Where a restored instance's files come from: the newest whole base backup before its moment, or a snapshot."""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ratemyunit_ops.twin.keepers.backups import Snapshot, Store
from ratemyunit_ops.twin.keepers.postgres import Damaged
from ratemyunit_ops.twin.site import Site

LARGE = 1 << 20
"""In bytes. Waiting for each of a small database's thousand files would take longer than its restore."""


class NoRoom(Exception):
    """The disk that should take the data is full."""


def origin_files(site: Site, origin: dict[str, Any]) -> tuple[Path, Store, str | None]:
    """Answer the files to begin with, the store they are of, and the base backup's name if it is one."""
    store = Store(site, origin["resource"])
    if "snapshot" not in origin:
        base = store.before(origin["time"])
        name = base["name"] if base else None
        return store.data(name or "none"), store, name
    for base in store.bases():
        if origin["snapshot"].startswith("rds:") and origin["snapshot"].endswith(base["name"]):
            return store.data(base["name"]), store, base["name"]
    return Snapshot(site, origin["snapshot"]).directory, store, None


def copy_base(files: Path, to: Path, *, full: bool) -> None:
    """Copy a base backup to where an instance will run on it.

    Raises NoRoom, and Damaged where it is not there.
    """
    if not files.is_dir():
        raise Damaged(f"{files.name} is not there")
    shutil.rmtree(to, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    if full:
        raise NoRoom("the disk is full")
    copy = ["cp", "--archive", "--reflink=auto", str(files), str(to)]
    done = subprocess.run(copy, check=False, capture_output=True, text=True)
    if done.returncode != 0 and "No space left" in done.stderr:
        raise NoRoom(done.stderr.strip()[-200:])
    if done.returncode != 0:
        raise OSError(errno.EIO, done.stderr.strip()[-200:])


def write_back(directory: Path) -> None:
    """Wait until large files are on the disk. A volume that RDS hands over owes its first reader no such writing."""
    for file in directory.rglob("*"):
        if file.is_file() and file.stat().st_size >= LARGE:
            with file.open("rb") as open_file:
                os.fsync(open_file.fileno())
