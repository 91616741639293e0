"""What `rmu queue` does."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, carry_out, new_run_id
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.model import QueueView
from ratemyunit_ops.planning.common import need
from ratemyunit_ops.planning.queue import QueueRequest, plan_queue
from ratemyunit_ops.show.screen import in_words
from ratemyunit_ops.survey import survey


def set_queue(w: Wired, action: Literal["pause", "resume"], asked: Asked) -> None:
    """Plan a pause or its end and carry it; say so where it is so already."""
    if resumed_own_dead_run(w, f"queue {action}", None, asked):
        return
    world = survey(w.outside, w.settings.environment, {"queue"})
    request = QueueRequest(
        run=new_run_id(), rmu_version=__version__, action=action, by=w.who, because=asked.because or ""
    )
    plan = plan_queue(world, request)
    if plan.steps:
        carry_out(w, plan, asked)
        return
    stands = need(world.queue, "the queue")
    document = {"run": None, "outcome": "done", "seconds": 0.0, "queue": stands.model_dump(mode="json")}
    w.screen.result(document, [f"It is {'paused' if action == 'pause' else 'running'} already.", *in_lines(stands)])


def in_lines(stands: QueueView) -> list[str]:
    """Say how the queue stands, in words."""
    oldest = f"; the oldest has been due for {in_words(stands.oldest_s)}" if stands.waiting else ""
    counts = f"{stands.waiting} waiting, {stands.running} running, {stands.later} put off, {stands.failed} given up"
    if not stands.paused:
        return [f"{counts}{oldest}"]
    since = f"{stands.paused_at:%Y-%m-%d %H:%M:%S} UTC" if stands.paused_at else "some time"
    return [f"{counts}{oldest}", f"paused by {stands.paused_by} since {since}: {stands.because or 'no reason given'}"]
