"""Bring a twin up: ground, gate, registry, keepers. Safe to repeat, and mends what was killed."""

import sys
import time
from collections.abc import Callable

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.base import ensure_base
from ratemyunit_ops.twin.ground import raise_ground
from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.keepers.places import open_doors
from ratemyunit_ops.twin.keepers.registry import start_registry
from ratemyunit_ops.twin.site import Site

DEADLINE_SECONDS = 60.0


def bring_up(site: Site, progress: Callable[[str], None]) -> None:
    """Start whatever of the twin does not run yet; answers when its API does.

    Raises Refused when this machine lacks something, Failed when a part does not start.
    """
    began = time.monotonic()
    ensure_base(site, progress)
    progress("raising the ground: namespace, DNS, metadata, TLS, the loopback door")
    raise_ground(site)
    progress("starting the gate (AWS's API), the registry and the keepers")
    open_doors(site)
    # An API without a record would make the keepers destroy what they find: they start last.
    knows = {"RMU_TWIN_REGISTRY": site.registry_inside, "RMU_TWIN_LOGS": str(site.state_dir / "logs")}
    daemons.start(site, "gate", daemons.python("gate.server", *_listen(site)), env=knows)
    start_registry(site)
    _wait_for_gate(site)
    names = {"RMU_TWIN": site.name, "RMU_TWIN_PORT_BASE": str(site.port_base)}
    daemons.start(site, "keepers", daemons.python("keepers.process"), inside=False, env=names)
    progress(f"the twin {site.name} is up in {time.monotonic() - began:.0f} s: {site.endpoint}")


def is_up(site: Site) -> bool:
    """Answer whether the API of this twin answers."""
    try:
        call(site, "alive")
    except OSError:
        return False
    return True


def _listen(site: Site) -> list[str]:
    return ["--host", site.inner, "--port", str(site.gate_port)]


def _wait_for_gate(site: Site) -> None:
    until = time.monotonic() + DEADLINE_SECONDS
    while not is_up(site):
        if time.monotonic() > until or daemons.pid(site, "gate") is None:
            log = daemons.log_file(site, "gate")
            raise Failed("the gate does not answer", state="The twin is half up.", next=f"less {log}; rmu twin down")
        time.sleep(0.2)


if __name__ == "__main__":
    bring_up(Site.from_env(), lambda line: print(line, file=sys.stderr, flush=True))
