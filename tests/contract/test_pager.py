"""The pager: SNS, EventBridge and its scheduler as moto keeps their records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ratemyunit_ops.errors import Failed, Refused
from ratemyunit_ops.outside.aws.pager import SnsPager
from ratemyunit_ops.outside.aws.session import Account, Said
from tests.contract.stand_in import StandIn

AT = datetime(2030, 1, 1, 3, 15, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


class Places:
    """What Terraform wrote down."""

    def __init__(self, found: Mapping[str, str]) -> None:
        self.found = dict(found)

    def all(self) -> Mapping[str, str]:
        return self.found


@pytest.fixture
def places(account: Account, environment: str) -> Places:
    topics = {t: account.act("sns", "CreateTopic", Name=f"rmu-{environment}-{t}") for t in ("critical", "alerts")}
    group = f"rmu-{environment}-escalations"
    account.act("scheduler", "CreateScheduleGroup", Name=group)
    found = {f"topic_{name}": answer["TopicArn"] for name, answer in topics.items()}
    return Places({**found, "escalation_group": group, "escalation_role": "arn:aws:iam::123456789012:role/escalation"})


@pytest.fixture
def pager(account: Account, places: Places, environment: str) -> SnsPager:
    return SnsPager(account, places, environment)


@pytest.fixture
def inbox(account: Account, places: Places, environment: str) -> str:
    """Subscribe a queue to the topic that wakes somebody."""
    url = account.act("sqs", "CreateQueue", QueueName=f"inbox-{environment}")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:inbox-{environment}"
    account.act("sns", "Subscribe", TopicArn=places.found["topic_critical"], Protocol="sqs", Endpoint=arn)
    return str(url)


def schedule(account: Account, places: Places, name: str) -> dict[str, Any]:
    return account.ask("scheduler", "GetSchedule", Name=name, GroupName=places.found["escalation_group"])


def test_a_page_reaches_who_listens_with_a_subject_that_sns_takes(
    pager: SnsPager, account: Account, inbox: str
) -> None:
    pager.send("critical", "SEV-1:\n" + "long " * 40, "what to type")

    (message,) = account.ask("sqs", "ReceiveMessage", QueueUrl=inbox)["Messages"]
    told = json.loads(message["Body"])
    assert told["Message"] == "what to type"
    assert told["Subject"].startswith("SEV-1: long") and len(told["Subject"]) < 100


def test_who_listens_is_counted(pager: SnsPager, inbox: str) -> None:
    assert (pager.listening("critical"), pager.listening("alerts")) == (1, 0)
    assert pager.pending() == ()


def test_a_subscription_that_nobody_confirmed_gets_no_page(pager: SnsPager, monkeypatch: pytest.MonkeyPatch) -> None:
    # moto confirms every subscription by itself; AWS lists one that waits with this word in place of its ARN.
    listed = [
        {"SubscriptionArn": "PendingConfirmation", "Endpoint": "ann@example.org"},
        {"SubscriptionArn": "arn:aws:sns:us-east-1:1:t:1", "Endpoint": "bob@example.org"},
    ]
    monkeypatch.setattr(Account, "pages", lambda *_, **__: listed)

    assert pager.listening("critical") == 1
    assert pager.pending() == ("critical ann@example.org", "alerts ann@example.org")


def test_a_schedule_comes_again_until_its_end_and_deletes_itself(
    pager: SnsPager, account: Account, places: Places
) -> None:
    pager.schedule("i-300101-030000", AT, "critical", "nobody has it", every=QUARTER, until=AT + DAY)

    made = schedule(account, places, "i-300101-030000")
    assert made["ScheduleExpression"] == "rate(15 minutes)"
    assert (made["StartDate"], made["EndDate"]) == (AT, AT + DAY)
    assert made["ActionAfterCompletion"] == "DELETE"
    assert made["Target"]["Arn"] == places.found["topic_critical"]
    assert made["Target"]["Input"] == "nobody has it"


def test_the_same_name_again_is_the_same_schedule_anew(pager: SnsPager, account: Account, places: Places) -> None:
    pager.schedule("i-1", AT, "critical", "first", every=timedelta(hours=1), until=AT + DAY)

    pager.schedule("i-1", AT, "critical", "worse", every=QUARTER, until=AT + DAY)

    made = schedule(account, places, "i-1")
    assert (made["Target"]["Input"], made["ScheduleExpression"]) == ("worse", "rate(15 minutes)")


def test_what_is_called_off_is_gone_and_calling_it_off_twice_is_calling_it_off_once(
    pager: SnsPager, account: Account, places: Places
) -> None:
    pager.schedule("i-2", AT, "critical", "x", every=QUARTER, until=AT + DAY)

    pager.cancel("i-2")
    pager.cancel("i-2")

    with pytest.raises(Said, match="ResourceNotFound"):
        schedule(account, places, "i-2")


def test_an_event_that_the_bus_took_and_refused_is_no_success(pager: SnsPager, aws: StandIn) -> None:
    entry = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
    aws.faults.instead["PutEvents"] = [(200, {"FailedEntryCount": 1, "Entries": [entry]})]

    with pytest.raises(Failed, match="ThrottlingException slow down"):
        pager.chat("SEV-1 test: down", "what to type")


def test_chat_is_told_by_one_event_on_the_bus(pager: SnsPager, aws: StandIn) -> None:
    pager.chat("SEV-1 test: down", "what to type")

    assert aws.counts["PutEvents"] == 1


def test_a_topic_that_is_gone_refuses(pager: SnsPager, account: Account, places: Places) -> None:
    account.act("sns", "DeleteTopic", TopicArn=places.found["topic_alerts"])

    with pytest.raises(Refused, match="NotFound"):
        pager.send("alerts", "SEV-2", "text")


def test_a_stack_that_is_older_than_incidents_is_told_to_apply(account: Account, environment: str) -> None:
    with pytest.raises(Refused) as why:
        SnsPager(account, Places({}), environment).send("critical", "SEV-1", "text")

    assert why.value.next == "rmu infra apply"
