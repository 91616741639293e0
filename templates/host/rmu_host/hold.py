"""Holding requests while a database is exchanged beneath them: a deadline in a map of HAProxy, which ends by itself.

What waits is sent on by the live map as it is then. Requests from loopback and the balancer's health never wait.
"""

from __future__ import annotations

from typing import Any

from .answers import Answer, failed, refused
from .machine import Machine
from .state import HOLD, write_hold
from .traffic import drained, live_now, processes

LONGEST_S = 30
"""A hold is never longer, nor made longer: the balancer gives up on an answer after 60 s."""
IN_FLIGHT_S = 8
"""A statement of the app may take 5 s; what is left of the hold is for the cut-over."""
OLD_PROCESS_S = 95
"""HAProxy ends what a reload left behind after 90 s (hard-stop-after)."""


def hold(m: Machine, request: dict[str, Any]) -> Answer:
    """Begin a hold and wait for what is on its way, or end one. One that is on is left as it is."""
    if not request["on"]:
        return let_go(m)
    if not known(m):
        raise refused("no_hold", "HAProxy here was set up before it could hold requests")
    was = holding(m)
    if not was:
        alone(m)
        tell(m, int(m.now() + min(float(request["at_most_s"]), LONGEST_S)))
    slot = live_now(m).slot
    # What passed before the hold shall have its answer before anything is taken away beneath it.
    calm = slot is None or drained(m, slot, IN_FLIGHT_S)
    left = left_s(m)
    return {"outcome": "already" if was else "changed", "held": left > 0, "left_s": left, "calm": calm}


def let_go(m: Machine) -> Answer:
    """End a hold; each request that waits goes to what is live now."""
    was = holding(m)
    if known(m):
        tell(m, 0)
    else:
        write_hold(m, 0)
    return {"outcome": "changed" if was else "already", "held": False, "left_s": 0}


def holding(m: Machine) -> bool:
    """Tell whether requests wait at this moment."""
    return left_s(m) > 0


def left_s(m: Machine) -> float:
    """Return how long requests still wait, 0 where they do not."""
    left = until(m) - m.now()
    return round(left, 1) if 0 < left <= LONGEST_S else 0


def until(m: Machine) -> int:
    """Return the deadline as HAProxy has it; a damaged one is none."""
    try:
        words = m.haproxy(f"show map {HOLD}").split()  # address, key, value
    except OSError:
        return 0
    return int(words[2]) if len(words) == 3 and words[1] == "until" and words[2].isdigit() else 0


def known(m: Machine) -> bool:
    """Tell whether the HAProxy that runs has the hold in its configuration."""
    try:
        return "until" in m.haproxy(f"show map {HOLD}").split()
    except OSError:
        return False


def tell(m: Machine, deadline: int) -> None:
    """Give HAProxy a deadline, file first, and read it back.

    Raises No where HAProxy does not do as it was told.
    """
    write_hold(m, deadline)
    m.haproxy(f"set map {HOLD} until {deadline}")
    if until(m) != deadline:
        raise failed("hold_unproven", f"HAProxy was told to hold until {deadline} and says {until(m)}")


def alone(m: Machine) -> None:
    """Wait until no process of before a reload answers any more: it would neither hold nor be let go."""
    end = m.now() + OLD_PROCESS_S
    while len(processes(m, "haproxy")) > 2:  # the master and its worker
        if m.now() >= end:
            raise refused("no_hold", "an older HAProxy process still answers its connections and would not hold them")
        m.sleep(0.5)
