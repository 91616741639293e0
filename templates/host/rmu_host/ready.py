"""Is a release really there? Its own answers on loopback, and the digest read from the running container."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answer, failed, refused
from .machine import Machine
from .state import PORTS, record, slot_of

EVERY_S = 0.5
LOG_LINES = 30


def state_of(m: Machine, slot: str) -> str:
    """Return what systemd says of a slot's unit: active, inactive, failed, activating."""
    return m.run(["systemctl", "is-active", f"rmu-{slot}.service"]).out.strip() or "inactive"


def digest_of(m: Machine, slot: str) -> str | None:
    """Return the image digest of the running container: what runs, whatever it says of itself."""
    shown = m.run(["podman", "inspect", "--type=container", f"rmu-{slot}"])
    try:
        return str(json.loads(shown.out)[0]["ImageDigest"])
    except (ValueError, LookupError):
        return None


def log_of(m: Machine, slot: str) -> list[str]:
    """Return the last lines a slot's container wrote."""
    shown = m.run(["journalctl", "-u", f"rmu-{slot}.service", "-n", str(LOG_LINES), "-o", "cat", "--no-pager"])
    return [line[:300] for line in shown.out.splitlines()]


def why_not(m: Machine, slot: str, held: dict[str, Any], schema_head: str) -> str:
    """Ask a slot once whether it is ready; say why not, empty when it is."""
    port = PORTS[slot]
    ready = m.get(port, "/readyz")
    if ready.status != 200:
        failing = ", ".join(f"{n}: {said}" for n, said in (ready.json().get("checks") or {}).items() if said != "ok")
        return f"/readyz answered {ready.status or 'nothing'} ({failing or ready.body[:120]})"
    if schema_head and ready.json().get("schema_head") != schema_head:
        return f"/readyz names schema {ready.json().get('schema_head')}, expected {schema_head}"
    told = m.get(port, "/version").json()
    if told.get("version") != held.get("release"):
        return f"/version says {told.get('version')}, expected {held.get('release')}"
    database = (held.get("database") or {}).get("identifier")
    if told.get("database", database) != database:
        return f"/version says database {told['database']}, expected {database}"
    digest = digest_of(m, slot)
    if digest != held.get("digest"):
        return f"digest: the container runs {digest}, expected {held.get('digest')}"
    return ""


def wait_ready(m: Machine, slot: str, wanted: dict[str, Any]) -> Answer:
    """Poll a slot until it was ready several times in a row, or its deadline has passed.

    Raises No (not_ready, digest_mismatch) with every probe and its reason, and the container's last lines.
    """
    held = record(m, slot) or {}
    needed, began = int(wanted.get("in_a_row", 3)), m.now()
    probes: list[dict[str, Any]] = []
    row, reason = 0, "never asked"
    while m.now() - began <= float(wanted["deadline_s"]):
        reason = why_not(m, slot, held, str(wanted.get("schema_head") or ""))
        note(probes, round(m.now() - began, 1), reason or "ready")
        row = 0 if reason else row + 1
        if row >= needed:
            return {"outcome": "ok", "slot": slot, "ready_s": round(m.now() - began, 2), "probes": probes}
        m.sleep(EVERY_S)
    code = "digest_mismatch" if reason.startswith("digest:") else "not_ready"
    last = reason or "ready, but not often enough in a row"
    detail = f"{held.get('release')} never became ready within {wanted['deadline_s']} s; last: {last}"
    raise failed(code, detail, probes=probes, log=log_of(m, slot))


def note(probes: list[dict[str, Any]], at: float, said: str) -> None:
    """Keep a probe; one that says the same as the one before only counts, so that the answer stays small."""
    if probes and probes[-1]["said"] == said:
        probes[-1]["times"] += 1
        probes[-1]["until_s"] = at
    else:
        probes.append({"at_s": at, "until_s": at, "times": 1, "said": said})


def ready(m: Machine, request: dict[str, Any]) -> Answer:
    """Wait for a release that was started before."""
    slot = slot_of(m, request["release"])
    if slot is None:
        raise refused("not_found", f"{request['release']['version']} is in no slot of this host")
    return wait_ready(m, slot, request["ready"])
