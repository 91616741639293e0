"""Every boot: a reboot of the same instance obeys its own map and slots, a new instance obeys the live pointer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from .answers import No
from .cloud import Cloud
from .log import log
from .machine import Machine
from .ready import state_of, wait_ready
from .slots import prepare, run_slot, run_worker
from .state import (
    STATE,
    Live,
    adopt,
    forget_salvages,
    locked,
    read_map,
    record,
    settings,
    slot_of,
    write_hold,
    write_map,
    write_record,
)
from .traffic import flip, protect, send_to

LOCK_S = 600
SSH_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
Step = Callable[..., None]
READY = {"deadline_s": 300, "in_a_row": 2}


def boot(m: Machine) -> int:
    """Bring this host up; return 1 where that is not possible yet: the unit tries again, the hook has the last word."""
    began = m.now()

    def step(**what: Any) -> None:
        line = {k: v for k, v in what.items() if k not in ("probes", "log")}
        log(m, boot=line, seconds=round(m.now() - began, 1), uptime=round(m.now() - m.booted(), 1))

    try:
        with locked(m, began + LOCK_S):
            bring_up(m, Cloud(settings(m)), adopt(m), step)
    except Exception as why:  # noqa: BLE001  (an AWS that is silent is no OSError; the unit tries again)
        step(step="failed", why=str(why) if isinstance(why, No) else f"{type(why).__name__}: {why}")
        traceback.print_exc()
        return 1
    return 0


def bring_up(m: Machine, cloud: Cloud, instance: str, log: Step) -> None:
    """Bring this host to what it should serve, then tell the launch hook. Raises where it cannot yet."""
    try:
        serve_what_it_should(m, cloud, instance, log)
    finally:
        # Also where it cannot: then most of all somebody may have to come in by SSH.
        tell_key(m, cloud, instance, log)


def serve_what_it_should(m: Machine, cloud: Cloud, instance: str, log: Step) -> None:
    """Serve, complete the launch hook, let the worker work. Raises where it cannot yet."""
    live = read_map(m)
    write_map(m, live)
    write_hold(m, 0)
    forget_salvages(m)
    start_proxy(m, live)
    if live.slot and record(m, live.slot):
        again(m, live, log)
    elif m.drills():  # it obeys no pointer, belongs to no group, and waits to be told
        return
    else:
        newborn(m, cloud, log)
    if m.read(f"{STATE}/hook") != instance:
        log(step="hook", completed=cloud.complete_hook(instance))
        m.write(f"{STATE}/hook", instance)
    # After the hook: a worker that does not start is no reason to replace a host that serves.
    resume_worker(m)


def tell_key(m: Machine, cloud: Cloud, instance: str, log: Step) -> None:
    """Put this host's SSH key into the ledger, so that who comes when SSM is dead can know whom they talk to."""
    try:
        cloud.tell("host_key", instance, {"key": (m.read(SSH_KEY) or "").strip()})
    except Exception as why:  # noqa: BLE001  (a host that serves is not held up by it; its console shows the key too)
        log(step="host key", why=str(why))


def start_proxy(m: Machine, live: Live) -> None:
    """Start HAProxy with a map that is this instance's own, and see that it obeys it."""
    m.run(["systemctl", "start", "haproxy.service"], timeout=60)
    end = m.now() + 20
    while True:
        try:
            return send_to(m, live)
        except OSError:
            if m.now() >= end:
                raise
            m.sleep(0.2)


def again(m: Machine, live: Live, log: Step) -> None:
    """Start what served before this reboot, the live slot first, then what stood behind it."""
    assert live.slot is not None
    run_slot(m, live.slot)
    if live.backup and record(m, live.backup):
        run_slot(m, live.backup)
    protect(m, live)
    log(step="start", **wait_ready(m, live.slot, READY))


def newborn(m: Machine, cloud: Cloud, log: Step) -> None:
    """Bring up what the live pointer names; with an empty pointer serve nothing, and that is healthy."""
    pointer = cloud.item("pointer", "pointer") or {}
    version = pointer.get("release")
    if not version:
        log(step="pointer", release=None)
        return
    release = cloud.item("release", f"release#{version}")
    if release is None:
        raise No("failed", "not_found", f"the live pointer names {version}, which has no release record")
    log(step="pull", **prepare(m, release, pointer["database"], cloud))
    slot = slot_of(m, {**release, "database": pointer["database"]["identifier"]})
    assert slot is not None
    run_slot(m, slot)
    log(step="start", **wait_ready(m, slot, READY))
    write_record(m, "worker", {**(record(m, slot) or {}), "started": True})
    flip(m, Live(), Live(slot))
    protect(m, Live(slot))
    log(step="serve", slot=slot, release=version)


def resume_worker(m: Machine) -> None:
    """Start the worker unless it was parked."""
    held = record(m, "worker")
    if held and held.get("started") and state_of(m, "worker") != "active":
        database = held["database"]["identifier"]
        run_worker(m, {"version": held["release"], "digest": held["digest"], "database": database})
