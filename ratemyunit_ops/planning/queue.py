"""Plan a pause of the queue, or its end."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.model import Frozen, World
from ratemyunit_ops.planning.common import need
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.queue import PauseQueue, ResumeQueue


class QueueRequest(Frozen):
    """What is wanted, and in whose name."""

    run: str
    rmu_version: str
    action: Literal["pause", "resume"]
    by: str
    because: str = ""


def plan_queue(world: World, request: QueueRequest) -> Plan:
    """Plan it; a plan without steps where the queue is as it is wanted. Raises Unreachable."""
    stands = need(world.queue, "the queue")
    steps: list[Step] = []
    if request.action == "pause" and not stands.paused:
        steps = [PauseQueue(by=request.by, because=request.because)]
    if request.action == "resume" and stands.paused:
        steps = [ResumeQueue(by=request.by, paused_by=stands.paused_by or "", because=stands.because or "")]
    return Plan(
        run=request.run,
        verb=f"queue {request.action}",
        environment=world.environment,
        request={"version": None},
        rmu_version=request.rmu_version,
        created=world.at,
        surveyed=1,
        steps=tuple(steps),
    )
