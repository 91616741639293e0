"""EC2 knows the hosts' addresses, and only people read them: what moves traffic does without."""

from __future__ import annotations

import pytest

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.reports.status import report_status
from ratemyunit_ops.survey import STATUS, survey
from tests.fakes import FakeWorld, v41_serves
from tests.fakes.operator import Operator


@pytest.fixture
def world() -> FakeWorld:
    """v41 serves, v42 is pushed, and EC2 does not answer."""
    world = v41_serves()
    world.fail("fleet.addresses", Unreachable("ec2 does not answer", next="rmu doctor"))
    return world


def test_neither_a_deploy_nor_a_rollback_asks_ec2(world: FakeWorld) -> None:
    ann = Operator(world)

    assert [ann.deploy("v42").code, ann.rollback().code] == [0, 0]

    with pytest.raises(Unreachable):  # the first call fails, and this is the first
        world.outside().fleet.addresses()


def test_status_names_the_addresses_it_could_not_read_and_shows_the_rest(world: FakeWorld) -> None:
    seen = report_status(survey(world.outside(), "test", STATUS), "http://front.example", None)

    assert {u.what: u.why for u in seen.unknown} == {"addresses": "ec2 does not answer"}
    assert (seen.release, [h.address for h in seen.hosts]) == ("v41", [""] * len(world.hosts))
