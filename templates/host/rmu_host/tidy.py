"""Images that nothing on this host needs, and the room they take. What a slot or the worker holds is never touched."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answer
from .machine import Machine
from .state import SLOTS, record


def prune(m: Machine, request: dict[str, Any]) -> Answer:
    """Remove every image that no slot, no worker and no container holds; with `look`, only name them."""
    found = unneeded(m)
    if request.get("look"):
        return {"outcome": "ok", "unneeded": [one["name"] for one in found], "bytes": sum(one["size"] for one in found)}
    before = m.disk_free()
    # podman itself refuses what a container uses, so one that began meanwhile keeps its image.
    gone = [one["name"] for one in found if m.run(["podman", "rmi", one["id"]], timeout=120).code == 0]
    freed = max(0, m.disk_free() - before)
    return {"outcome": "changed" if gone else "already", "removed": gone, "freed": freed, "disk_free": m.disk_free()}


def unneeded(m: Machine) -> list[dict[str, Any]]:
    """List the images that nothing needs: `id`, `name`, `size`."""
    held = {(record(m, slot) or {}).get("digest") for slot in (*SLOTS, "worker")} - {None}
    try:
        images = json.loads(m.run(["podman", "images", "--format", "json"]).out)
        running = json.loads(m.run(["podman", "ps", "--all", "--format", "json"]).out)
    except ValueError:
        return []
    used = {one.get("ImageID") for one in running}
    return [
        {"id": one["Id"], "name": name_of(one), "size": int(one.get("Size") or 0)}
        for one in images
        if not held & digests_of(one) and one["Id"] not in used
    ]


def digests_of(image: dict[str, Any]) -> set[str]:
    """Name every digest an image is known by."""
    return {str(image.get("Digest") or ""), *(name.rpartition("@")[2] for name in image.get("RepoDigests") or ())}


def name_of(image: dict[str, Any]) -> str:
    """Name an image for a person."""
    return str((image.get("Names") or image.get("RepoDigests") or [image["Id"][:12]])[0])
