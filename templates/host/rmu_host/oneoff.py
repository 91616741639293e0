"""A single command in a release's image: migrations, and the question which schema the database has."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answer, failed, refused
from .cloud import Cloud
from .machine import Machine
from .state import record, slot_of
from .units import NEWCOMER, TRUST, environment

DEADLINE_S = 900


def migrate(m: Machine, request: dict[str, Any], host: dict[str, Any], instance: str, cloud: Cloud) -> Answer:
    """Run a release's migrations; with `look`, only read the database's head."""
    ref = request["release"]
    slot = slot_of(m, ref)
    held = record(m, slot) if slot else None
    if not held:
        raise refused("not_found", f"{ref['version']} is in no slot of this host")
    look = bool(request.get("look"))
    name = f"rmu-migrate-{request['run']}{'-look' if look else ''}"
    place = f"/run/rmu/{name}.env"
    m.write(place, environment("migrate", held, host, instance, cloud), mode=0o600)
    try:
        done = m.run(argv(m, name, place, held, look), timeout=DEADLINE_S)
    finally:
        m.remove(place)
        m.run(["podman", "rm", "--force", "--ignore", name])
    lines = [line[:300] for line in (done.out + "\n" + done.err).splitlines() if line.strip()][-20:]
    said = last_json(done.out)
    if done.code != 0 or "head" not in said:
        raise failed("migrate_failed", f"migrations of {ref['version']} ended with {done.code}", log=lines)
    if look:
        return {"outcome": "ok", "head": said["head"], "head_before": said["head"], "log": []}
    return {
        "outcome": "changed" if said.get("ran") else "already",
        "head": said["head"],
        "head_before": said.get("head_before", said["head"]),
        "log": lines,
    }


def argv(m: Machine, name: str, place: str, held: dict[str, Any], look: bool) -> list[str]:
    """Spell the one-off container: the same cage as a slot, gone when it ends."""
    return [
        *("podman", "run", "--rm", "--replace", "--name", name, "--pull=never", "--network=host"),
        *("--user=10001:10001", "--read-only", "--tmpfs=/tmp:rw,size=64m,mode=1777", "--cap-drop=all"),
        *("--security-opt=no-new-privileges", f"--oom-score-adj={NEWCOMER}", f"--env-file={m.path(place)}"),
        *(f"--volume={TRUST}:{TRUST}:ro", f"{held['image']}@{held['digest']}", "migrate"),
        *(("--current",) if look else ()),
    ]


def last_json(text: str) -> dict[str, Any]:
    """Return the last line that is a JSON object."""
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}
