"""The salvage applied: its files run in order, one transaction each, until nothing more of it can be put."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from .answers import Answer, failed, refused
from .cloud import Cloud
from .data_bucket import Bucket
from .data_psql import Psql, SqlFailed, connect, literal
from .data_schema import APPLIED, NOTES
from .machine import Machine
from .salvage import DEFER

PASSES = 20
TRIES = 3
SHOWN = 50
BYTES = 16 << 20
BUSY = ("55P03", "40P01")
DONE = "-- put"

File = dict[str, Any]


def apply(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Run the files of a salvage. Rows that stand in each other's way find their order by being tried again."""
    run, new = str(request["mark"]), connect(m, request["new"], host, cloud)
    bucket = Bucket(cloud, request["bucket"], run)
    manifest = json.loads(bucket.get("manifest.json") or b"null")
    if manifest is None:
        raise refused("not_found", f"no salvage of {run} lies in the bucket")
    if manifest["new"] != request["new"]["identifier"]:
        raise refused("not_found", f"the salvage of {run} is meant for {manifest['new']}")
    files = manifest["files"]
    new.run(APPLIED)
    before = progress(new, run)
    seen, todo = before, files
    for _ in range(PASSES):
        for part in parts(todo):
            put(m, new, [fetched(bucket, file) for file in part])
        reached, seen = seen["done"], progress(new, run)
        todo = [f for f in files if set(seen["left"]) & {f"{f['op']} {name}" for name in f["tables"]}]
        if not todo or seen["done"] == reached:
            break
    return summary(new, manifest, before["done"], seen["done"])


def parts(files: list[File]) -> Iterator[list[File]]:
    """Yield files in portions that fit into a small host's memory."""
    part = list[File]()
    for file in files:
        if part and sum(f["bytes"] for f in part) + file["bytes"] > BYTES:
            yield part
            part = []
        part.append(file)
    yield part


def fetched(bucket: Bucket, file: dict[str, Any]) -> str:
    """Fetch one file, and see that it is the one that was computed."""
    content = bucket.get(file["name"]) or b""
    if hashlib.sha256(content).hexdigest() != file["sha256"]:
        raise refused("file_changed", f"{file['name']} is not the file that was computed; compute the salvage again")
    return content.decode()


def progress(new: Psql, run: str) -> dict[str, Any]:
    """Tell how many rows of this salvage were put, and of what rows were left: operation and table."""
    op = "case when op in ('link', 'inherit') then 'insert' when op = 'gone' then 'delete' else op end"
    found: dict[str, Any] = json.loads(
        new.run(
            f"select json_build_object('done', count(*) filter (where outcome = 'done'), 'left', coalesce("
            f"json_agg(distinct {op} || ' ' || tbl) filter (where outcome = 'left'), '[]'))"
            f" from {NOTES}.applied where run = {literal(run)}"
        )
    )
    return found


def put(m: Machine, new: Psql, left: list[str]) -> None:
    """Run files in order; one that meets a lock is tried again.

    Raises No when the lock stays, or a file fails as a whole.
    """
    attempt = 1
    while left:
        try:
            new.run("".join(f"{text}\\echo {DONE}\n" for text in left))
            return
        except SqlFailed as why:
            through = why.out.count(DONE)
            attempt, left = (1, left[through:]) if through else (attempt + 1, left)
            if why.code in BUSY and attempt < TRIES:
                m.sleep(1)
            elif DEFER in left[0]:
                # A circle that cannot be closed: let each row say for itself what it lacks.
                left[0] = left[0].replace(DEFER, DEFER.replace("deferred", "immediate"), 1)
            else:
                code = "locked" if why.code in BUSY else "sql_failed"
                said = f"{left[0].splitlines()[0][3:80]}: {why}; what was put before stays, again is safe"
                raise failed(code, said) from why


def summary(new: Psql, manifest: dict[str, Any], before: int, after: int) -> Answer:
    """Say how many rows are put, and name those that are left."""
    found = new.run(
        f"select json_build_object('table', tbl, 'key', left(key, 120), 'op', op, 'why', why) from {NOTES}.applied"
        f" where run = {literal(manifest['run'])} and outcome = 'left' order by at"
    ).splitlines()
    return {
        "outcome": "changed" if after > before else "already",
        "applied": after - before,
        "put": after,
        "left": len(found),
        "left_rows": [json.loads(line) for line in found[:SHOWN]],
    }
