"""Static files under names that hold their content's hash, and the table that keeps those of every recent release.

A page names the assets of the release that made it. After a flip or a rollback another release is asked for them, so
each release puts its own into the table when it starts, says daily that it still lives, and serves what the table
holds. Its own it serves from memory: a page needs no database to find its stylesheet.
"""

import hashlib
import logging
import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from ratemyunit.schema import assets

KEPT = timedelta(weeks=6)
"""How long the assets of a release that runs no more are kept: longer than any page stays open."""
SEEN_EVERY = timedelta(days=1)
STALE = timedelta(weeks=1)
"""A release that starts and finds its assets there says so only after that long: on data that is looked at beside what
serves (a drill compares every row) it must write nothing.
"""
AGAIN = timedelta(seconds=1)
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
HASH = 16
NAME = re.compile(r"[\w.-]{1,100}-[0-9a-f]{16}\.\w{1,10}", re.ASCII)
"""What every release's hashed names look like: nobody looks for another one."""

log = logging.getLogger("ratemyunit.assets")


@dataclass(frozen=True)
class Asset:
    """One file as it is served."""

    name: str
    media_type: str
    body: bytes


@cache
def own() -> dict[str, Asset]:
    """Read this release's assets: the file's name -> the asset under its hashed name."""
    folder = files("ratemyunit.web").joinpath("static")
    return {file.name: hashed(file.name, file.read_bytes()) for file in folder.iterdir() if "." in file.name}


def url(name: str) -> str:
    """Tell where a page finds this release's file."""
    return f"/static/{own()[name].name}"


def ours(name: str) -> Asset | None:
    """Find an asset of this release by its hashed name."""
    return _by_hash().get(name)


def publish(connection: Connection, released: list[Asset], *, stale: timedelta = timedelta(0)) -> None:
    """Put a release's assets into the table, or say that they are still in use where nobody has said so for a while."""
    rows: list[dict[str, Any]] = [{"name": a.name, "media_type": a.media_type, "body": a.body} for a in released]
    put = insert(assets)
    put = put.on_conflict_do_update(
        index_elements=["name"], set_={"seen_at": func.now()}, where=assets.c.seen_at <= func.now() - stale
    )
    connection.execute(put, rows)


def find(connection: Connection, name: str) -> Asset | None:
    """Find an asset that some release has published."""
    query = select(assets.c.name, assets.c.media_type, assets.c.body).where(assets.c.name == name)
    found = connection.execute(query).mappings().first()
    return None if found is None else Asset(**found)


def forget(connection: Connection, *, kept: timedelta = KEPT) -> int:
    """Clear assets that no release has spoken for lately; answer how many."""
    return connection.execute(delete(assets).where(assets.c.seen_at < func.now() - kept)).rowcount


def hashed(name: str, body: bytes) -> Asset:
    """Name a file after its content."""
    stem, _, ending = name.rpartition(".")
    return Asset(f"{stem}-{hashlib.sha256(body).hexdigest()[:HASH]}.{ending}", TYPES[ending], body)


class Publisher(threading.Thread):
    """Publishes at start, again each day, and each second for as long as the database cannot take it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="assets", daemon=True)
        self._engine = engine
        self._over = threading.Event()

    def run(self) -> None:
        """Publish until told to stop."""
        wait, failed, stale = AGAIN, False, STALE
        while True:
            try:
                with self._engine.begin() as connection:
                    publish(connection, list(own().values()), stale=stale)
                    if stale is not STALE:
                        forget(connection)
                wait, stale = SEEN_EVERY, timedelta(0)
            except SQLAlchemyError as why:
                wait = AGAIN
                if not failed:
                    log.warning("assets are not published yet", extra={"fields": {"kind": type(why).__name__}})
            failed = wait is AGAIN
            if self._over.wait(wait.total_seconds()):
                return

    def stop(self) -> None:
        """Let it end."""
        self._over.set()
        self.join(5)


@cache
def _by_hash() -> dict[str, Asset]:
    return {asset.name: asset for asset in own().values()}
