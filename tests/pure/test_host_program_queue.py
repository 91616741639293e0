"""The queue on a host: asked of the slot that serves, with that slot's own token, and never without need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rmu_host.machine import Heard

from tests.fakes.host_machine import App, FakeCloud, FakeMachine
from tests.pure.test_host_program import Caller

WISH = {"action": "pause", "by": "root@laptop", "because": "the site is down"}


@pytest.fixture
def m(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path)
    machine.apps = {"sha256:v1": App("v1")}
    machine.write("/run/rmu/blue.env", "REDIS_URL=redis://\nADMIN_TOKEN=its-token\nSECRET_KEY=x\n")
    return machine


@pytest.fixture
def ask(m: FakeMachine) -> Caller:
    caller = Caller(m, FakeCloud())
    caller.live("v1")
    return caller


def test_a_look_asks_the_serving_slot_and_needs_no_fence(ask: Caller, m: FakeMachine) -> None:
    answer = ask("queue", look=True, fence=None)

    assert (answer["outcome"], answer["waiting"], answer["paused"]) == ("ok", 3, False)
    assert m.asked == [("GET", 3001, "/api/admin/queue/status", None)]


def test_a_pause_and_a_resume_change_once_and_then_are_so_already(ask: Caller, m: FakeMachine) -> None:
    said = [ask("queue", **WISH), ask("queue", **WISH), ask("queue", action="resume", by="root@laptop")]
    again = ask("queue", action="resume", by="root@laptop")

    assert [a["outcome"] for a in said] == ["changed", "already", "changed"]
    assert (said[0]["paused_by"], again["outcome"]) == ("root@laptop", "already")
    assert m.asked[1] == ("POST", 3001, "/api/admin/queue/pause", {"by": WISH["by"], "because": WISH["because"]})


@pytest.mark.parametrize(
    ("broken", "outcome", "said"),
    [
        ({"queue": None}, "refused", "v1 has no queue"),
        ({"queue": Heard(200, "{}")}, "refused", "v1 has no queue"),
        ({"token": "another"}, "refused", "does not take its own admin token"),
        (
            {"queue": Heard(503, '{"detail": "a service we need is missing"}')},
            "failed",
            "503 about its queue: a service",
        ),
        ({"queue": Heard(0, "ConnectionRefusedError")}, "failed", "answered 0 about its queue: Conn"),
    ],
    ids=["no queue", "says yes to anything", "no token", "no database", "no app"],
)
def test_a_release_that_cannot_tell_is_named_with_its_reason(
    ask: Caller, m: FakeMachine, broken: dict[str, object], outcome: str, said: str
) -> None:
    for name, value in broken.items():
        setattr(m, name, value)

    answer = ask("queue", **WISH)

    assert (answer["outcome"], said in answer["detail"]) == (outcome, True), answer


def test_where_nothing_serves_there_is_no_queue(tmp_path: Path) -> None:
    answer = Caller(FakeMachine(tmp_path), FakeCloud())("queue", look=True)

    assert (answer["outcome"], answer["why"]) == ("refused", "no_queue")


def test_the_token_stands_in_no_answer_and_in_no_log(ask: Caller, m: FakeMachine) -> None:
    answers = [ask("queue", **WISH), ask("queue", look=True)]
    m.token = "another"
    answers.append(ask("queue", look=True))

    assert "its-token" not in json.dumps(answers) + (m.read("/var/log/rmu/host.log") or "")
