"""A single command in a release's image: migrations, what they would be, and whether code works on a schema."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from .answers import Answer, failed, refused
from .cloud import Cloud
from .machine import Machine, Ran
from .slots import kept, pull
from .state import record, slot_of
from .units import NEWCOMER, TRUST, environment

DEADLINE_S = 900
CHECK_S = 60
WHY = {"lock_timeout": failed, "too_slow": failed, "contract_first": refused}
"""How an image's own word for what went wrong is passed on; what it has no word for is `migrate_failed`."""


@dataclass(frozen=True)
class OneOff:
    """What every single command on this host needs."""

    m: Machine
    request: dict[str, Any]
    host: dict[str, Any]
    instance: str
    cloud: Cloud

    def run(self, role: str, held: dict[str, Any], words: list[str], timeout: float) -> Ran:
        """Run one command in the image of a slot's record, with credentials that last as long as it runs."""
        name = f"rmu-{words[0]}-{self.request['run']}-{os.getpid()}"
        place = f"/run/rmu/{name}.env"
        self.m.write(place, environment(role, held, self.host, self.instance, self.cloud), mode=0o600)
        try:
            return self.m.run([*cage(self.m, name, place, held), *words], timeout=timeout)
        finally:
            self.m.remove(place)
            self.m.run(["podman", "rm", "--force", "--ignore", name])

    def held(self, ref: dict[str, Any]) -> dict[str, Any]:
        """Find how a release is set up here, on the database that is asked for. Raises No where it is in no slot."""
        slot = slot_of(self.m, ref)
        found = record(self.m, slot) if slot else None
        if not found:
            raise refused("not_found", f"{ref['version']} is in no slot of this host")
        return {**found, "database": self.request.get("database") or found["database"]}

    def guest(self, release: dict[str, Any]) -> dict[str, Any]:
        """Set a release up that needs no slot; its image is pulled unless it is here."""
        pull(self.m, release, self.cloud)
        return kept(release, self.request["database"], {})


def migrate(m: Machine, request: dict[str, Any], host: dict[str, Any], instance: str, cloud: Cloud) -> Answer:
    """Run a release's migrations, then try the old release on them; with `look`, only look.

    `look` is head (or true), pending, or check.
    """
    one = OneOff(m, request, host, instance, cloud)
    guest = request.get("guest")
    held = one.guest(guest) if guest and not request.get("look") else one.held(request["release"])
    if request.get("look"):
        return look(one, held)
    words = ["migrate", *(["--contract"] if request.get("phase") == "contract" else [])]
    said = asked(one, held, words)
    old = request.get("old")
    return {
        "outcome": "changed" if said.get("ran") else "already",
        "head": said["head"],
        "head_before": said.get("head_before") or "",
        "admits": said.get("admits", ""),
        "ran": said.get("ran", []),
        "took": said.get("seconds", {}),
        "old_works": works(one, one.held(old)) if old else None,
        "new_works": works(one, held) if guest else None,
    }


def look(one: OneOff, held: dict[str, Any]) -> Answer:
    """Tell the database's head, what is pending on it, or whether a release works on it."""
    kind = one.request["look"]
    if kind == "check":
        return {"outcome": "ok", "works": works(one, held)}
    said = asked(one, held, ["migrate", "--pending" if kind == "pending" else "--current"])
    return {"outcome": "ok", "head_before": said["head"], "log": [], **said}


def asked(one: OneOff, held: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Run `migrate` and read its last line. Raises No with its own reason and who is in the way."""
    done = one.run("migrate", held, words, DEADLINE_S)
    said = last_json(done.out)
    if done.code == 0 and "head" in said:
        return said
    why = str(said.get("error", ""))
    detail = f"migrations of {held['release']}: {said['why']}" if why in WHY else ""
    lines = [line[:300] for line in (done.out + "\n" + done.err).splitlines() if line.strip()][-20:]
    if detail:
        raise WHY[why](why, detail, blockers=said.get("blockers", []))
    raise failed("migrate_failed", f"migrations of {held['release']} ended with {done.code}", log=lines)


def works(one: OneOff, held: dict[str, Any]) -> dict[str, Any]:
    """Let a release do every read and write it knows and take them back. `ok` is null for an image that cannot."""
    done = one.run("check", held, ["check"], CHECK_S)
    said = last_json(done.out)
    if "ok" in said:
        return said
    if done.code == 2:
        return {"ok": None, "why": f"the image of {held['release']} has no role check"}
    last = (done.err.strip().splitlines() or ["it said nothing"])[-1][:200]
    return {"ok": False, "failed": "check", "why": f"ended with {done.code}: {last}"}


def cage(m: Machine, name: str, place: str, held: dict[str, Any]) -> list[str]:
    """Spell the one-off container: the same cage as a slot, gone when it ends."""
    return [
        *("podman", "run", "--rm", "--replace", "--name", name, "--pull=never", "--network=host"),
        *("--user=10001:10001", "--read-only", "--tmpfs=/tmp:rw,size=64m,mode=1777", "--cap-drop=all"),
        *("--security-opt=no-new-privileges", f"--oom-score-adj={NEWCOMER}", f"--env-file={m.path(place)}"),
        *(f"--volume={TRUST}:{TRUST}:ro", f"{held['image']}@{held['digest']}"),
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
