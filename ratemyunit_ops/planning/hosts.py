"""Plan what is done to a host as a machine."""

from __future__ import annotations

from datetime import timedelta

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Frozen, World
from ratemyunit_ops.planning.common import in_service, live_release
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.checks import Proven
from ratemyunit_ops.steps.hosts import HostBack, NewHostServes, RebootHost, Rejoin, ReplaceHost, StandBy


class HostRequest(Frozen):
    """Which host; `booted` is when its kernel started (unix seconds)."""

    run: str
    rmu_version: str
    host: str
    booted: float = 0.0


def plan_reboot(world: World, request: HostRequest) -> Plan:
    """Plan a reboot: out of service, reboot, back, proven. Raises Refused for a host that is not in service."""
    live = live_release(world)
    host = _known(world, request)
    steps: list[Step] = [
        StandBy(host=host),
        RebootHost(host=host, booted=request.booted),
        HostBack(host=host, booted=request.booted),
        Rejoin(host=host),
        # The balancer lets a host that came back wait for its health checks.
        *([Proven(release=live.ref, deadline=timedelta(minutes=3))] if live else []),
    ]
    return _plan(world, request, "host reboot", steps)


def plan_replace(world: World, request: HostRequest) -> Plan:
    """Plan a replacement: end the host, wait for the new one to serve. Raises Refused for a host not in service."""
    live = live_release(world)
    host = _known(world, request)
    steps: list[Step] = [
        ReplaceHost(host=host, fence=True),
        NewHostServes(before=tuple(in_service(world)), release=live.version if live else None),
    ]
    return _plan(world, request, "host replace", steps)


def _plan(world: World, request: HostRequest, verb: str, steps: list[Step]) -> Plan:
    return Plan(
        run=request.run,
        verb=verb,
        environment=world.environment,
        request={"version": request.host},
        rmu_version=request.rmu_version,
        created=world.at,
        steps=tuple(steps),
    )


def _known(world: World, request: HostRequest) -> str:
    if request.host not in in_service(world):
        raise Refused(f"{request.host} is not in service here", next="rmu host list")
    return request.host
