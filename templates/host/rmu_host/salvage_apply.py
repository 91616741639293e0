"""The salvage applied: its files run in order, one transaction each, until nothing more of it can be put."""

from __future__ import annotations

import hashlib
import json
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
BUSY = ("55P03", "40P01")


def apply(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Run the files of a salvage. Rows that stand in each other's way find their order by being tried again."""
    run, new = str(request["mark"]), connect(m, request["new"], host, cloud)
    bucket = Bucket(cloud, request["bucket"], run)
    manifest = json.loads(bucket.get("manifest.json") or b"null")
    if manifest is None:
        raise refused("not_found", f"no salvage of {run} lies in the bucket")
    if manifest["new"] != request["new"]["identifier"]:
        raise refused("not_found", f"the salvage of {run} is meant for {manifest['new']}")
    files = [(file, fetched(bucket, file)) for file in manifest["files"]]
    new.run(APPLIED)
    before = counted(new, run, "done")
    for once in range(PASSES):
        reached, waiting = counted(new, run, "done"), left(new, run)
        if once and not waiting:
            break
        for file, text in files:
            if not once or waiting & {f"{file['op']} {name}" for name in file["tables"]}:
                put(m, new, text)
        if counted(new, run, "done") == reached:
            break
    return summary(new, manifest, before)


def fetched(bucket: Bucket, file: dict[str, Any]) -> str:
    """Fetch one file, and see that it is the one that was computed."""
    content = bucket.get(file["name"]) or b""
    if hashlib.sha256(content).hexdigest() != file["sha256"]:
        raise refused("digest_mismatch", f"{file['name']} is not the file that was computed; compute the salvage again")
    return content.decode()


def counted(new: Psql, run: str, outcome: str) -> int:
    """Count the rows of this salvage that were put, or left."""
    return int(new.run(f"select count(*) from {NOTES}.applied where run = {literal(run)} and outcome = '{outcome}'"))


def left(new: Psql, run: str) -> set[str]:
    """Return what rows were left of: operation and table, as the manifest names them."""
    op = "case op when 'link' then 'insert' else op end"
    found = new.run(
        f"select distinct {op} || ' ' || tbl from {NOTES}.applied where run = {literal(run)} and outcome = 'left'"
    )
    return set(found.splitlines())


def put(m: Machine, new: Psql, text: str) -> None:
    """Run one file; one that meets a lock is tried again.

    Raises No when the lock stays, or the file fails as a whole.
    """
    for attempt in range(1, TRIES + 1):
        try:
            new.run(text)
            return
        except SqlFailed as why:
            if why.code in BUSY and attempt < TRIES:
                m.sleep(1)
            elif DEFER in text:
                # A circle that cannot be closed: let each row say for itself what it lacks.
                text = text.replace(DEFER, DEFER.replace("deferred", "immediate"), 1)
            else:
                code = "locked" if why.code in BUSY else "sql_failed"
                raise failed(
                    code, f"{text.splitlines()[0][3:80]}: {why}; what was put before stays, again is safe"
                ) from why


def summary(new: Psql, manifest: dict[str, Any], before: int) -> Answer:
    """Say how many rows are put, and name those that are left."""
    run = manifest["run"]
    after, left = counted(new, run, "done"), counted(new, run, "left")
    found = new.run(
        f"select json_build_object('table', tbl, 'key', left(key, 120), 'op', op, 'why', why) from {NOTES}.applied"
        f" where run = {literal(run)} and outcome = 'left' order by at limit {SHOWN}"
    )
    return {
        "outcome": "changed" if after > before else "already",
        "applied": after,
        "left": left,
        "left_rows": [json.loads(line) for line in found.splitlines()],
    }
