"""The queue from here: a pause is a run like any other, and one that is there already is none."""

from __future__ import annotations

from typing import Literal

import pytest

from ratemyunit_ops.cli.queues import in_lines
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.errors import RolledBack, Unreachable
from ratemyunit_ops.model import QueueView
from ratemyunit_ops.planning.queue import QueueRequest, plan_queue
from ratemyunit_ops.records import read_header
from ratemyunit_ops.steps.base import Plan
from ratemyunit_ops.survey import survey
from tests.fakes import BEGIN, FakeWorld
from tests.pure.test_engine import session

PAUSED = QueueView(waiting=2, running=0, paused=True, paused_by="ann@laptop", paused_at=BEGIN, because="it burns")


def planned(world: FakeWorld, action: Literal["pause", "resume"]) -> Plan:
    seen = survey(world.outside(), "test", {"queue"})
    return plan_queue(
        seen, QueueRequest(run=f"r-{action}", rmu_version="1", action=action, by="bob@desk", because="it burns")
    )


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.push("v41")
    made.live("v41")
    return made


def test_a_pause_is_journaled_and_names_who_and_why(world: FakeWorld) -> None:
    runs.execute(world.outside(), planned(world, "pause"), session())

    header = read_header(world.outside().ledger, "r-pause")
    assert header is not None and (header.verb, header.outcome) == ("queue pause", "done")
    assert world.queue is not None
    assert (world.queue.paused, world.queue.paused_by, world.queue.because) == (True, "bob@desk", "it burns")


def test_what_is_so_already_needs_no_run(world: FakeWorld) -> None:
    assert planned(world, "resume").steps == ()
    world.queue = PAUSED
    assert planned(world, "pause").steps == ()


def test_the_undo_of_a_resume_puts_the_same_persons_pause_back(world: FakeWorld) -> None:
    world.queue = PAUSED
    plan = planned(world, "resume")
    o = world.outside()
    world.fail("queue.resume", Unreachable("no answer", next="rmu status"), acted=True)

    with pytest.raises(RolledBack):
        runs.execute(o, plan, session())

    assert world.queue is not None
    assert (world.queue.paused, world.queue.paused_by, world.queue.because) == (True, "ann@laptop", "it burns")


def test_a_release_without_a_queue_is_said_before_anything_is_planned(world: FakeWorld) -> None:
    world.queue = None

    with pytest.raises(Unreachable, match="the queue could not be read: what serves has no queue"):
        planned(world, "pause")


def test_how_it_stands_is_said_in_words() -> None:
    running = QueueView(waiting=3, running=1, later=2, failed=1, oldest_s=75.0, paused=False)

    assert in_lines(running) == [
        "3 waiting, 1 running, 2 put off, 1 given up; the oldest has been due for 1 min 15 s",
    ]
    assert in_lines(PAUSED)[1] == f"paused by ann@laptop since {BEGIN:%Y-%m-%d %H:%M:%S} UTC: it burns"
