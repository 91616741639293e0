"""Incidents on the local AWS: what is brought to on-call, and what stands in the account meanwhile."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ratemyunit_ops.twin.inner import call
from tests.twin.driver import Stack, wait_until

ON_CALL = "oncall"
"""How the addresses begin; another test of the shared stack gives on-call another one."""


def newest(stack: Stack) -> int:
    return max((int(d["number"]) for d in call(stack.site, "deliveries")), default=0)


def brought(stack: Stack, after: int, words: str) -> list[str]:
    news = call(stack.site, "deliveries", after)
    told = (d for d in news if d["endpoint"].startswith(ON_CALL) and d["status"] == "delivered")
    return [str(d["message"]) for d in told if words in str(d["message"])]


def escalation(stack: Stack, incident: str) -> dict[str, Any] | None:
    try:
        found = stack.aws("scheduler").get_schedule(Name=incident, GroupName="rmu-twin-escalations")
    except ClientError:
        return None
    return dict(found)


def test_an_incident_pages_is_taken_closed_and_written_up(stack: Stack, tmp_path: Path) -> None:
    call(stack.site, "confirm")
    before = newest(stack)

    opened = stack.rmu("incident", "open", "--severity", "SEV-1", "--title", "a rehearsal")

    incident = str(opened["incident"])
    assert (opened["outcome"], opened["refused"]) == ("opened", {})
    wait_until(lambda: brought(stack, before, incident), 20, "the page")
    made = escalation(stack, incident)
    assert made is not None and made["ScheduleExpression"] == "rate(15 minutes)"
    assert stack.status()["incident"]["id"] == incident

    assert stack.rmu("incident", "ack")["refused"] == {}
    assert escalation(stack, incident) is None

    closed = stack.rmu("incident", "close", "--because", "a rehearsal")
    report = stack.rmu("incident", "report", "--dir", str(tmp_path))
    assert closed["closed"] is not None and stack.status()["incident"] is None
    assert report["unknown"] == []
    assert "a rehearsal" in Path(report["report"]).read_text()


@pytest.mark.long
def test_nobody_acknowledges_so_it_comes_again_and_a_refusal_is_said(stack: Stack) -> None:
    call(stack.site, "confirm")
    soon = stack.settings("soon.toml", respond_within={"SEV-1": "PT1M"})
    before = newest(stack)
    call(stack.site, "sns-refuses", True)
    try:
        opened = stack.rmu("incident", "open", "--severity", "SEV-1", "--title", "unheard", config=soon)
    finally:
        call(stack.site, "sns-refuses", False)

    assert opened["paged"]["sent"] is False and "page" in opened["refused"]
    wait_until(lambda: brought(stack, before, "Nobody has acknowledged"), 100, "the escalation")

    stack.rmu("incident", "ack", config=soon)
    stack.rmu("incident", "close", "--because", "a rehearsal", config=soon)
    assert escalation(stack, str(opened["incident"])) is None
