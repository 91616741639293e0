"""What `rmu host` does."""

from __future__ import annotations

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, carry_out, new_run_id
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.planning.hosts import HostRequest, plan_reboot, plan_replace
from ratemyunit_ops.planning.upkeep import UpkeepRequest, plan_prune
from ratemyunit_ops.survey import survey

NEEDS = frozenset({"pointer", "releases", "instances"})


def reboot_it(w: Wired, host: str, asked: Asked) -> None:
    """Plan a reboot and carry it."""
    if resumed_own_dead_run(w, "host reboot", host, asked):
        return
    world = survey(w.outside, w.settings.environment, NEEDS)
    request = HostRequest(
        run=new_run_id(), rmu_version=__version__, host=host, booted=w.outside.group.booted(host) or 0.0
    )
    carry_out(w, plan_reboot(world, request), asked)


def replace_it(w: Wired, host: str, asked: Asked) -> None:
    """Plan a replacement and carry it."""
    if resumed_own_dead_run(w, "host replace", host, asked):
        return
    world = survey(w.outside, w.settings.environment, NEEDS)
    request = HostRequest(run=new_run_id(), rmu_version=__version__, host=host)
    carry_out(w, plan_replace(world, request), asked)


def prune_hosts(w: Wired, asked: Asked) -> None:
    """Plan the removal of images that nothing needs, and carry it."""
    if resumed_own_dead_run(w, "host prune", None, asked):
        return
    world = survey(w.outside, w.settings.environment, NEEDS)
    carry_out(w, plan_prune(world, UpkeepRequest(run=new_run_id(), rmu_version=__version__)), asked)
