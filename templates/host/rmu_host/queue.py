"""The queue of the app that serves: how it stands, and whether its workers may take jobs.

The app is asked on loopback with the token that its own slot was given, so that no operator ever reads it.
"""

from __future__ import annotations

from typing import Any

from .answers import Answer, failed, refused
from .machine import Machine
from .state import PORTS, record
from .traffic import live_now

SHOWN = 200


def queue(m: Machine, request: dict[str, Any]) -> Answer:
    """Pause or resume the queue, or look at it. Raises No where what serves here has none."""
    before = look(m)
    if request.get("look"):
        return {"outcome": "ok", **before}
    action = request["action"]
    if before["paused"] == (action == "pause"):
        return {"outcome": "already", **before}
    wish = {"by": request["by"]} if action == "resume" else {"by": request["by"], "because": request["because"]}
    return {"outcome": "changed", **asked(m, "POST", action, wish)}


def look(m: Machine) -> Answer:
    """Tell how the queue stands. Raises No where what serves here has none."""
    return asked(m, "GET", "status")


def asked(m: Machine, method: str, what: str, wish: dict[str, str] | None = None) -> Answer:
    """Ask the slot that serves. Raises No: it has no queue, does not know its own token, or is sick."""
    slot = live_now(m).slot
    if slot is None:
        raise refused("no_queue", "no release serves here, so there is no queue to ask about")
    release = (record(m, slot) or {}).get("release", slot)
    heard = m.ask(method, PORTS[slot], f"/api/admin/queue/{what}", wish, token(m, slot))
    if heard.status == 404 or (heard.status == 200 and "paused" not in heard.json()):
        raise refused("no_queue", f"{release} has no queue to ask about")
    if heard.status == 401:
        raise refused("no_queue", f"{release} does not take its own admin token: was it set up without one?")
    if heard.status != 200:
        said = heard.json().get("detail") or heard.body
        raise failed("queue_failed", f"{release} answered {heard.status} about its queue: {str(said)[:SHOWN]}")
    return heard.json()


def token(m: Machine, slot: str) -> str:
    """Read the admin token a slot was started with; empty where it has none."""
    lines = (m.read(f"/run/rmu/{slot}.env") or "").splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith("ADMIN_TOKEN=")), "")
