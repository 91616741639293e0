"""The image's roles, with time limits that a busy machine does not run into: what is slow there is not wrong.

`be` sets them in this process; run as a program this is a role: `patient.py ROLE [MODULE.NAME=SECONDS ...]`. A test
whose subject is a limit names it after the role, or sets it for itself.
"""

import sys
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratemyunit.scraper.browsers import Bounds

LONG = 300
"""In seconds; whatever takes so long is taken to hang."""
ENGINE = ["database.PATIENCE", "database.CONNECT_S", "database.FREE_S", "health.CONNECT_S", "health.ANSWER_S"]
LIMITS = {
    "api": [
        *ENGINE,
        "api.PATIENCE",
        "answers.PATIENCE_S",
        "guard.rates.PATIENCE_S",
        "guard.protocol.SECONDS",
        "serve.GRACE",
    ],
    "worker": [
        *ENGINE,
        "jobs.LEASE",
        "scraper.addresses.RESOLVE_SECONDS",
        "scraper.browsers.CLOSE_SECONDS",
        "scraper.browsers.LAUNCH_SECONDS",
        "scraper.gate.CONNECT_SECONDS",
        "scraper.gate.HEAD_SECONDS",
        "scraper.loop.JOB_DEADLINE",
        "worker.LAST",
    ],
}

USUAL: dict[str, object] = {}
"""What the limits are where nobody sets them, in the units that they have."""


def be(role: str) -> None:
    """Lift the limits of a role. No module is loaded that the role would not load."""
    for name in LIMITS[role]:
        limit(name, LONG)


def limit(name: str, seconds: float) -> None:
    """Set one limit, in the unit that it has."""
    module, _, constant = name.rpartition(".")
    where = import_module(f"ratemyunit.{module}")
    usual = getattr(where, constant)
    USUAL.setdefault(name, usual)
    setattr(where, constant, timedelta(seconds=seconds) if isinstance(usual, timedelta) else type(usual)(seconds))


def bounds(**named: float) -> "Bounds":
    """Bound a pool of browsers, but by hardly any memory.

    Of a page that others share a process counts its part, and that grows whenever another browser of the machine ends.
    """
    from ratemyunit.scraper.browsers import Bounds

    return Bounds(**{"burst_mib": 2000, "grown_mib": 500, **named})


def main(role: str, *more: str) -> int:
    """Run a role."""
    from ratemyunit.__main__ import main as run

    be(role)
    for name, _, seconds in (word.partition("=") for word in more):
        limit(name, float(seconds))
    return run([role])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
