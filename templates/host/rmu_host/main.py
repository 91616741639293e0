"""The door of the host program: a request from afar, and the calls of the host's own units.

User data has room for the boot alone: the modules that answer requests are imported where they are needed, and come
with the request (`ratemyunit_ops.render` leaves them out of the boot's archive).
"""

from __future__ import annotations

import json
import os
import sys

from .boot import boot
from .machine import Machine
from .traffic import live_now, protect
from .units import write_environment

USAGE = "usage: rmu_host.pyz [request] | boot | environment SLOT | protect | probe | follow | vitals"


def main(argv: list[str]) -> int:
    """Run one call of this program: request, boot, environment SLOT, protect, probe, follow, vitals."""
    os.environ.setdefault("HOME", "/root")  # SSM's agent and systemd give none; podman wants one
    m = Machine()
    match argv:
        case [] | ["request"]:
            from .request import Host

            print(json.dumps(Host(m).answer(json.load(sys.stdin))), flush=True)
        case ["boot"]:
            return boot(m)
        case ["environment", slot]:
            write_environment(m, slot)
        case ["protect"]:
            protect(m, live_now(m))
        case ["probe"]:
            from .probe import run

            run(m)
        case ["follow"]:
            from .follow import follow

            follow(m)
        case ["vitals"]:
            from .vitals import vitals

            vitals(m)
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0
