"""The salvage applied: its files run in order, one transaction each, until nothing more of it can be put."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
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
            put(m, new, [(fetched(bucket, file), bool(file["late"])) for file in part])
        reached, seen = seen["done"], progress(new, run)
        todo = [f for f in files if set(seen["left"]) & {f"{f['op']} {name}" for name in f["tables"]}]
        if not todo or seen["done"] == reached:
            break
    left = left_rows(new, run)
    bucket.send("left.json", io.BytesIO(json.dumps(left, indent=1).encode()))
    return summary(left, before["done"], seen["done"])


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


def put(m: Machine, new: Psql, left: list[tuple[str, bool]]) -> None:
    """Run files in order, those that check their circles late marked; one that meets a lock is tried again.

    Raises No when the lock stays, or a file fails as a whole.
    """
    attempt = 1
    while left:
        try:
            new.run("".join(f"{text}\\echo {DONE}\n" for text, _ in left))
            return
        except SqlFailed as why:
            through = why.out.count(DONE)
            attempt, left = (1, left[through:]) if through else (attempt + 1, left)
            if why.code in BUSY and attempt < TRIES:
                m.sleep(1)
            elif left[0][1]:
                # A circle that cannot be closed: let each row say for itself what it lacks. The line stands before all
                # rows, one of which may hold the same words.
                left = [(left[0][0].replace(DEFER, DEFER.replace("deferred", "immediate"), 1), False), *left[1:]]
            else:
                code = "locked" if why.code in BUSY else "sql_failed"
                said = f"{left[0][0].splitlines()[0][3:80]}: {why}; what was put before stays, again is safe"
                raise failed(code, said) from why


def left_rows(new: Psql, run: str) -> list[dict[str, str]]:
    """List the rows that could not be put."""
    return [
        json.loads(line)
        for line in new.run(
            f"select json_build_object('table', tbl, 'key', key, 'op', op, 'why', why) from {NOTES}.applied"
            f" where run = {literal(run)} and outcome = 'left' order by at"
        ).splitlines()
    ]


def summary(left: list[dict[str, str]], before: int, after: int) -> Answer:
    """Say how many rows are put, and how many are left of which table and why: no key of any row."""
    by = Counter((row["table"], row["op"], row["why"]) for row in left)
    return {
        "outcome": "changed" if after > before else "already",
        "applied": after - before,
        "put": after,
        "left": len(left),
        "left_by": [{"table": table, "op": op, "why": why, "rows": n} for (table, op, why), n in by.most_common(SHOWN)],
    }
