"""The two slots and the worker: filling, starting, stopping one. Nothing here stops or overwrites what serves."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

from .answers import Answer, failed, refused
from .cloud import Cloud
from .machine import Machine
from .ready import log_of, state_of
from .state import SLOTS, UNITS, Live, holds, other, record, slot_of, write_record
from .traffic import drained, live_now
from .units import PROGRAM, unit

AUTH = "/etc/rmu/auth.json"
LEAST_FREE = 512 * 1024 * 1024


def prepare(m: Machine, release: dict[str, Any], database: dict[str, Any], cloud: Cloud) -> Answer:
    """Pull a release's image and write its record and unit into the slot that does not serve."""
    live = live_now(m)
    slot = choose(m, {**release, "database": database["identifier"]}, live)
    held = kept(release, database, record(m, slot) or {})
    if slot == live.slot and held != record(m, slot):
        raise refused("serves_here", f"{release['version']} serves here with another config")
    install_program(m)
    pulled = pull(m, release, cloud)
    if holds_all(m, slot, release, held):
        return {"outcome": "already", "slot": slot, "pulled": pulled}
    quiet(m, slot)  # an older release that was kept warm gives way, after the pull has worked
    m.write(f"{UNITS}/rmu-{slot}.container", unit(slot, release))
    write_record(m, slot, {**held, "started": False})
    reload_units(m, slot)
    return {"outcome": "changed", "slot": slot, "pulled": pulled}


def choose(m: Machine, ref: dict[str, Any], live: Live) -> str:
    """Choose the slot for a release on its database: the one that holds it already, else the one that does not serve.

    One that serves this release on another database is left alone: that is how a restore goes in beside it.
    """
    found = slot_of(m, ref) or slot_of(m, {**ref, "database": None})
    if found and (holds(m, found, ref) or found not in (live.slot, live.backup)):
        return found
    if live.backed:
        raise refused("serves_here", f"both slots are in use: {live.backup} stands behind {live.slot}")
    return other(live.slot) if live.slot else next((s for s in SLOTS if record(m, s) is None), SLOTS[0])


def kept(release: dict[str, Any], database: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Make a slot's record of a release; `started` is remembered where the slot holds it already."""
    return {
        "release": release["version"],
        "digest": release["digest"],
        "image": release["image"],
        "config": release.get("config") or {},
        "secrets": list(release.get("secrets") or ()),
        "database": database,
        "started": before.get("started", False),
    }


def holds_all(m: Machine, slot: str, release: dict[str, Any], held: dict[str, Any]) -> bool:
    """Tell whether record and unit of a slot are already what they would become."""
    return record(m, slot) == held and m.read(f"{UNITS}/rmu-{slot}.container") == unit(slot, release)


def install_program(m: Machine) -> None:
    """Make the caller's program the installed one: the units it writes call it, and no older one."""
    mine = Path(sys.argv[0])
    installed = m.path(PROGRAM)
    if not zipfile.is_zipfile(mine) or mine.resolve() == installed.resolve():
        return
    fresh = installed.with_suffix(".new")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_bytes(mine.read_bytes())
    fresh.chmod(0o644)
    fresh.replace(installed)


def pull(m: Machine, release: dict[str, Any], cloud: Cloud) -> bool:
    """Pull an image by digest unless it is here; images of no slot make room first. Return whether it was pulled."""
    name = f"{release['image']}@{release['digest']}"
    if m.run(["podman", "image", "exists", name]).code == 0:
        return False
    prune(m, release["image"])
    need = max(LEAST_FREE, image_size(cloud, release) * 3 // 2)
    free = m.disk_free()
    if free < need:
        raise refused(
            "disk_full", f"{free >> 20} MiB are free, {need >> 20} MiB are needed to pull {release['version']}"
        )
    done = m.run(["podman", "pull", "--quiet", "--authfile", str(m.path(AUTH)), name], timeout=600)
    if done.code != 0:
        # podman takes back what it had unpacked, so afterwards the disk has room again: only its words tell.
        code = "disk_full" if "no space left on device" in done.err else "pull_failed"
        raise failed(code, f"{release['version']} could not be pulled: {last(done.err)}")
    return True


def image_size(cloud: Cloud, release: dict[str, Any]) -> int:
    """Return the size to allow for, since layers unpack to about twice as much; unknown is none, the floor holds."""
    try:
        return 2 * cloud.image_size(release["image"], release["digest"])
    except Exception:  # noqa: BLE001  (any trouble of ECR shows itself in the pull, with its own reason)
        return 0


def prune(m: Machine, image: str) -> None:
    """Remove this repository's images that no slot and no worker holds."""
    held = {(record(m, slot) or {}).get("digest") for slot in (*SLOTS, "worker")}
    listed = m.run(["podman", "images", "--digests", "--format", "{{.Repository}} {{.Digest}}"])
    for line in listed.out.splitlines():
        repository, _, digest = line.partition(" ")
        if repository == image and digest not in held:
            m.run(["podman", "rmi", f"{repository}@{digest}"])


def last(text: str) -> str:
    """Return the last line of a command's errors."""
    return (text.strip().splitlines() or ["it said nothing"])[-1][:300]


def quiet(m: Machine, slot: str) -> None:
    """Stop a slot once nobody talks to it. Refuses where it serves or stands behind what serves."""
    live = live_now(m)
    if slot in (live.slot, live.backup):
        raise refused("serves_here", f"slot {slot} serves; it is not stopped")
    if state_of(m, slot) in ("active", "activating"):
        drained(m, slot)
        m.run(["systemctl", "stop", f"rmu-{slot}.service"], timeout=60)
    m.run(["systemctl", "reset-failed", f"rmu-{slot}.service"])


def reload_units(m: Machine, name: str) -> None:
    """Let systemd read the units anew, and see that it took this one: Quadlet drops a bad file without an error."""
    m.run(["systemctl", "daemon-reload"])
    shown = m.run(["systemctl", "show", f"rmu-{name}.service", "--property=LoadState", "--value"])
    if shown.out.strip() != "loaded":
        raise failed("start_failed", f"systemd does not know rmu-{name}.service after daemon-reload")


def run_slot(m: Machine, slot: str) -> None:
    """Start a slot's unit and remember that it was started."""
    unit_name = f"rmu-{slot}.service"
    m.run(["systemctl", "reset-failed", unit_name])
    done = m.run(["systemctl", "start", unit_name], timeout=120)
    if done.code != 0:
        raise failed("start_failed", f"{unit_name} did not start: {last(done.err)}", log=log_of(m, slot))
    held = record(m, slot)
    if held:
        write_record(m, slot, {**held, "started": True})


def run_worker(m: Machine, ref: dict[str, Any]) -> None:
    """Write the worker's unit for a release and start it."""
    slot = slot_of(m, ref)
    held = (record(m, slot) or {}) if slot else {}
    if not held and holds(m, "worker", ref):
        held = record(m, "worker") or {}
    if not held:
        raise refused("not_found", f"{ref['version']} is not on this host")
    m.write(f"{UNITS}/rmu-worker.container", unit("worker", {**held, "version": held["release"]}))
    write_record(m, "worker", {**held, "started": True})
    reload_units(m, "worker")
    m.run(["systemctl", "reset-failed", "rmu-worker.service"])
    done = m.run(["systemctl", "restart", "rmu-worker.service"], timeout=120)
    if done.code != 0:
        raise failed("start_failed", f"the worker did not start: {last(done.err)}", log=log_of(m, "worker"))
