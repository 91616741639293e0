"""Looks whose news is bad end with 3, and say in three parts what is so, as every refusal does."""

from __future__ import annotations

from typing import Any

import pytest

from ratemyunit_ops.cli import images, places
from ratemyunit_ops.errors import NOTHING_CHANGED, Refused
from tests.fakes import FakeWorld
from tests.fakes.operator import SETTINGS, Ended, Operator

NONE = {"create": (), "change": (), "replace": (), "destroy": (), "imports": ()}


@pytest.fixture
def world() -> FakeWorld:
    """Make a world where v1 serves."""
    world = FakeWorld()
    world.push("v1")
    world.live("v1")
    return world


def scan(world: FakeWorld, version: str, *waived: str) -> Ended:
    env = SETTINGS.env.model_copy(update={"allow_critical_findings": waived})
    operator = Operator(world, settings=SETTINGS.model_copy(update={"env": env}))
    return operator._type(lambda w: images.scan_version(w, version))


def document(ended: Ended) -> dict[str, Any]:
    assert ended.screen.document is not None
    return ended.screen.document


def test_critical_findings_say_what_to_type(world: FakeWorld) -> None:
    world.push("v2", scan="critical", findings=2)

    ended = scan(world, "v2", "v1")

    assert (ended.code, ended.why) == (Refused.exit_code, "the scan of v2 found 2 CRITICAL findings")
    assert (ended.failure.state, ended.failure.next) == (
        NOTHING_CHANGED,
        'rmu image push NEW_VERSION   (or add "v2" to allow_critical_findings in [env.test] of rmu.toml)',
    )
    assert (document(ended)["scan"], document(ended)["critical"]) == ("critical", 2)


def test_findings_that_were_waived_stand_in_nobodys_way(world: FakeWorld) -> None:
    world.push("v2", scan="critical", findings=2)

    ended = scan(world, "v2", "v2")

    assert (ended.code, ended.screen.failed) == (0, None)
    assert (document(ended)["critical"], document(ended)["waived"]) == (2, True)
    assert ended.screen.said == ["v2: critical, 2 CRITICAL findings, waived in rmu.toml"]


def test_a_drift_says_what_to_type(world: FakeWorld) -> None:
    world.drifted.add("module.web.aws_lb.this")

    ended = Operator(world)._type(places.show_drift)

    assert (ended.code, ended.why) == (Refused.exit_code, "the world is not what Terraform says")
    assert (ended.failure.state, ended.failure.next) == (NOTHING_CHANGED, "rmu infra apply --env test")
    assert document(ended) == {"drift": True, **NONE, "change": ("module.web.aws_lb.this",)}
    assert ended.screen.said == ["1 to change: module.web.aws_lb.this"]


def test_no_drift_is_no_news(world: FakeWorld) -> None:
    ended = Operator(world)._type(places.show_drift)

    assert (ended.code, document(ended)) == (0, {"drift": False, **NONE})
    assert ended.screen.said == ["nothing to change"]
