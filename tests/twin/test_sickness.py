"""When the Auto Scaling keeper replaces an instance, and when it must not."""

from __future__ import annotations

from typing import Any

import pytest

from ratemyunit_ops.twin.keepers.groups import Groups, sickness
from ratemyunit_ops.twin.site import Site

NOW = 1_000.0


def group(**more: Any) -> dict[str, Any]:
    plain = {
        "name": "hosts",
        "region": "us-east-1",
        "health_type": "ELB",
        "grace": 300,
        "suspended": [],
        "desired": 1,
        "active": 1,
        "instances": [],
    }
    return {**plain, **more}


def member(**more: Any) -> dict[str, Any]:
    plain = {
        "id": "i-1",
        "lifecycle": "InService",
        "health": "Healthy",
        "machine": "running",
        "in_service_at": 1.0,
        "targets": ["healthy"],
    }
    return {**plain, **more}


@pytest.mark.parametrize(
    ("state", "sick"),
    [
        ({}, False),
        ({"machine": "gone"}, True),
        ({"machine": "gone", "lifecycle": "Pending:Wait"}, True),
        ({"machine": "gone", "lifecycle": "Standby"}, False),
        ({"machine": "gone", "lifecycle": "Terminating"}, False),
        ({"targets": ["unhealthy"]}, True),
        ({"targets": ["unhealthy"], "in_service_at": NOW - 10}, False),
        ({"targets": ["unhealthy"], "lifecycle": "Pending:Wait"}, False),
        ({"targets": ["initial"]}, False),
        ({"health": "Unhealthy", "in_service_at": NOW - 10}, True),
    ],
)
def test_an_instance_is_replaced_when_it_is_dead_or_fails_after_its_grace(state: dict[str, Any], sick: bool) -> None:
    assert bool(sickness(group(), member(**state), NOW)) is sick


def test_a_group_of_plain_ec2_health_does_not_ask_the_balancer() -> None:
    assert sickness(group(health_type="EC2"), member(targets=["unhealthy"]), NOW) == ""


class Api:
    """A record that only remembers what was asked of its API."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def client(self, service: str, region: str) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda **_: self.asked.append(name)


def asked_for(wanted: dict[str, Any]) -> list[str]:
    api = Api()
    Groups(Site(), api).step({"groups": [wanted]})  # type: ignore[arg-type]
    return api.asked


def test_a_launch_that_failed_is_tried_again_unless_launching_is_suspended() -> None:
    assert asked_for(group(active=0)) == ["set_desired_capacity"]
    assert asked_for(group(active=0, suspended=["Launch"])) == []


def test_nothing_is_replaced_while_replacing_is_suspended() -> None:
    dead = [member(machine="gone")]

    assert asked_for(group(instances=dead, suspended=["ReplaceUnhealthy"])) == []
    assert asked_for(group(instances=dead)) == ["set_instance_health", "terminate_instance_in_auto_scaling_group"]
