"""The pager against the gate, alone on loopback: what is sent is brought to who confirmed, or called off."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.outside.aws.pager import SnsPager
from ratemyunit_ops.outside.aws.session import Account
from tests.twin.gate_alone import Gate, running_gate

ANN = "ann@example.org"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with running_gate(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


class Places:
    """What Terraform would have made of the pager's places."""

    def __init__(self, gate: Gate) -> None:
        sns, names = gate.client("sns"), ("critical", "alerts")
        topics = {f"topic_{n}": sns.create_topic(Name=f"rmu-twin-{n}")["TopicArn"] for n in names}
        gate.client("scheduler").create_schedule_group(Name="rmu-twin-escalations")
        role = "arn:aws:iam::123456789012:role/rmu-twin-escalation"
        self.found = {**topics, "escalation_group": "rmu-twin-escalations", "escalation_role": role}
        sns.subscribe(TopicArn=topics["topic_critical"], Protocol="email", Endpoint=ANN)

    def all(self) -> Mapping[str, str]:
        return self.found


@pytest.fixture(scope="module")
def pager(gate: Gate) -> SnsPager:
    account = Account(region="us-east-1", endpoint=gate.url, access_key="twin", secret="twin")
    return SnsPager(account, Places(gate), "twin")


def brought(gate: Gate) -> list[dict[str, Any]]:
    return [d for d in gate.call("/twin/deliveries") if d["endpoint"] == ANN and d["status"] == "delivered"]


def wait_for(look: Callable[[], Any], seconds: float = 15) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)
    return found


def test_who_never_confirmed_is_named_and_gets_no_page(gate: Gate, pager: SnsPager) -> None:
    assert (pager.listening("critical"), pager.pending()) == (0, (f"critical {ANN}",))

    gate.call("/twin/confirm", ANN)

    assert (pager.listening("critical"), pager.pending()) == (1, ())


def test_a_page_is_brought_at_once_and_the_next_one_until_it_is_called_off(gate: Gate, pager: SnsPager) -> None:
    soon, minute = datetime.now(UTC) + timedelta(seconds=3), timedelta(minutes=1)

    pager.send("critical", "SEV-1 twin: down", "opened")
    pager.schedule("i-1", soon, "critical", "nobody has it", every=minute, until=soon + timedelta(hours=1))
    pager.schedule("i-2", soon, "critical", "never heard", every=minute, until=soon + timedelta(hours=1))
    pager.cancel("i-2")

    told = wait_for(lambda: len(brought(gate)) >= 2 and brought(gate))
    assert told[0]["subject"] == "SEV-1 twin: down"
    assert [d["message"] for d in told] == ["opened", "nobody has it"]
    pager.cancel("i-1")


def test_sns_that_refuses_is_an_error_of_ours_and_nothing_is_brought(gate: Gate, pager: SnsPager) -> None:
    before = len(brought(gate))
    gate.call("/twin/sns-refuses", True)
    try:
        with pytest.raises(RmuError, match="sns"):
            pager.send("critical", "SEV-1 twin: down", "unheard")
    finally:
        gate.call("/twin/sns-refuses", False)

    assert len(brought(gate)) == before
