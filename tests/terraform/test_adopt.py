"""What is read from the log of a Terraform that died."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest

from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.terraform_adopt import Death, find, kind_of, wait_for_address

NETWORK = "module.network"


def event(kind: str, address: str, id: str = "") -> dict[str, Any]:
    return {"type": kind, "hook": {"resource": {"addr": address}, "action": "create", "id_value": id}}


def made(address: str, id: str) -> list[dict[str, Any]]:
    return [event("apply_start", address), event("apply_complete", address, id)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "stack-apply.log"


def write(log: Path, *events: dict[str, Any]) -> Death:
    log.write_text("a line that is no event\n" + "\n".join(json.dumps(e) for e in events) + '\n{"cut o')
    return Death(log)


def test_what_was_made_is_told_from_what_was_being_made(log: Path) -> None:
    death = write(log, *made("aws_vpc.this", "vpc-1"), event("apply_start", "aws_lb.this"))

    assert death.died
    assert death.imports() == {"aws_vpc.this": "vpc-1"}
    assert death.making == {"aws_lb.this"}


@pytest.mark.parametrize(
    "last_word",
    [{"type": "change_summary"}, {"type": "diagnostic", "diagnostic": {"severity": "error"}}],
    ids=["it ended well", "it ended badly"],
)
def test_one_that_had_a_last_word_saved_its_state_and_leaves_nothing_to_import(
    log: Path, last_word: dict[str, Any]
) -> None:
    death = write(log, *made("aws_vpc.this", "vpc-1"), last_word)

    assert not death.died
    assert death.imports() == {}


def test_no_log_is_no_death(log: Path) -> None:
    assert not Death(log).died


def test_an_association_is_imported_by_the_two_ends_that_it_ties(log: Path) -> None:
    death = write(
        log,
        *made(f'{NETWORK}.aws_subnet.public["a"]', "subnet-1"),
        *made(f"{NETWORK}.aws_route_table.public", "rtb-1"),
        *made(f'{NETWORK}.aws_route_table_association.public["a"]', "rtbassoc-1"),
    )

    assert death.imports()[f'{NETWORK}.aws_route_table_association.public["a"]'] == "subnet-1/rtb-1"


def test_what_may_be_made_twice_is_not_imported(log: Path) -> None:
    death = write(log, *made("aws_iam_role_policy_attachment.images", "rmu-twin-images-2026"))

    assert death.imports() == {}


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("aws_vpc.this", "aws_vpc"),
        ('module.watch.aws_sns_topic_subscription.email["alerts on.call@example.org"]', "aws_sns_topic_subscription"),
    ],
)
def test_the_kind_of_a_resource_is_read_from_its_address(address: str, kind: str) -> None:
    assert kind_of(address) == kind


class StillMaking:
    """An account whose database gets its address at the third look."""

    def __init__(self) -> None:
        self.looks = 0

    def ask(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        self.looks += 1
        endpoint = {"Endpoint": {"Address": "db.example"}} if self.looks == 3 else {}
        return {"DBInstances": [{"DBInstanceStatus": "creating", **endpoint}]}


def test_a_database_that_is_still_being_made_is_imported_once_it_has_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # a second between two looks
    account = StillMaking()

    wait_for_address(cast("Account", account), "rmu-twin-db-1", 60)

    assert account.looks == 3


class Rules:
    """An account with the same rule in two environments, and another one."""

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
        def rule(id: str, env: str, **more: Any) -> dict[str, Any]:
            tags = [{"Key": "rmu:env", "Value": env}]
            return {
                "SecurityGroupRuleId": id,
                "IsEgress": False,
                "Description": "from hosts",
                "FromPort": 5432,
                "Tags": tags,
                **more,
            }

        return [
            rule("sgr-1", "staging"),
            rule("sgr-2", "twin"),
            rule("sgr-3", "twin", FromPort=80),
            rule("sgr-4", "twin", FromPort=81),
            rule("sgr-5", "twin", FromPort=81),
            rule("sgr-6", "twin", IsEgress=True),
        ]


@pytest.mark.parametrize(("port", "found"), [(5432, "sgr-2"), (80, "sgr-3"), (81, None), (443, None)])
def test_a_rule_that_was_being_made_is_found_by_what_was_planned_of_it(port: int, found: str | None) -> None:
    planned = {"description": "from hosts", "from_port": port, "cidr_ipv4": None, "tags_all": {"rmu:env": "twin"}}

    assert find(cast("Account", Rules()), "aws_vpc_security_group_ingress_rule", planned) == found
