"""What runbooks look up of carriers, certificates, secrets, images and instances, on a world that behaves."""

from __future__ import annotations

from typing import Any

import pytest

from ratemyunit_ops.model import CertificateView, DatabaseNote
from ratemyunit_ops.records import database_entry
from ratemyunit_ops.runbooks.binding import Look
from ratemyunit_ops.steps.sources_upkeep import UPKEEP
from tests.fakes import FakeWorld, v41_serves
from tests.fakes.operator import KILLED, Operator


@pytest.fixture
def world() -> FakeWorld:
    return v41_serves()


def told(world: FakeWorld, source: str, host: str = "") -> dict[str, Any]:
    return UPKEEP[source](world.outside(), Look(check="it", says="it", source=source, host=host))  # type: ignore[arg-type]


def test_nobody_carries_anything_where_the_lease_is_free(world: FakeWorld) -> None:
    assert told(world, "carrier") == {"held": False}


def test_a_carrier_whose_heart_stands_still_is_dead(world: FakeWorld) -> None:
    world.kill_before_event(6)
    assert Operator(world).deploy("v42").code == KILLED

    seen = told(world, "carrier")

    assert (seen["held"], seen["beats"]) == (True, False)


def test_a_carrier_whose_heart_beats_lives(world: FakeWorld) -> None:
    world.kill_before_event(6)
    Operator(world).deploy("v42")
    lease = world.table.items[("lease", "lease")]
    world.clock.later(3, lambda: lease.update(heartbeat=int(lease["heartbeat"]) + 1))

    assert told(world, "carrier")["beats"] is True


def test_the_certificate_that_is_used_and_ends_first_is_the_one_that_matters(world: FakeWorld) -> None:
    world.certificates = [
        CertificateView(arn="a", domain="old.example", days_left=2.0),
        CertificateView(arn="b", domain="front.example", days_left=20.0, used=True),
    ]

    assert told(world, "certificates")["soonest"]["domain"] == "front.example"


def test_secrets_are_told_by_name_and_holder(world: FakeWorld) -> None:
    world.outdate("db/app_password")

    seen = told(world, "secrets")

    assert (seen["names"], seen["password"]) == (["db/app_password"], True)
    assert seen["holders"] == ["v41", "v41's worker"]


def test_images_that_nothing_needs_are_told_of_the_host_that_is_meant(world: FakeWorld) -> None:
    world.hosts[1].images.add("sha256:nobody")

    seen = told(world, "images", host="i-2")

    assert seen["host"] == round(world.image_size / 2**20)
    assert seen["hosts"]["i-1"] == 0


def test_every_instance_is_told_with_what_a_restore_left_of_it(world: FakeWorld) -> None:
    note = DatabaseNote(identifier="rmu-test-db-0", resource_id="db-X", state="superseded", run="r-1")
    world.put(database_entry(note))

    seen = told(world, "instances")

    assert (seen["superseded"], seen["damaged"], seen["full"]) == (1, 0, 0)
    assert list(seen["instances"].values()) == ["available"]
