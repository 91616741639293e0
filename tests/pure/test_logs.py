"""`rmu logs`: what is asked of which group, how a line is read, and a request followed from proxy to SQL."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ratemyunit_ops.cli.logs import _well_formed
from ratemyunit_ops.errors import Absent, Mistyped, Unreachable
from ratemyunit_ops.model import LogEntry, LogGroup
from ratemyunit_ops.reports.logs import ROLES, Asked, follow, from_journal, newest, patterns
from ratemyunit_ops.show.loglines import LogLines
from tests.fakes.clock import BEGIN
from tests.fakes.world import FakeWorld

ID = "3f2a91c0-1111-4222-8333-444455556666"
DATABASE = "/aws/rds/instance/rmu-test-db-1/postgresql"
SLOW = (
    "2026-03-01 12:00:03 UTC:10.0.0.1(41234):rmu_app@ratemyunit:[7]:LOG:  duration: 1204.233 ms  execute <unnamed>: "
    f"/*request_id='{ID}'*/ SELECT units.id\n\tFROM units\n\tWHERE x @@ to_tsquery($1)"
)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def asked(*roles: Any, **more: Any) -> Asked:
    times = {"start": BEGIN - timedelta(minutes=15), "end": BEGIN + timedelta(minutes=15)}
    return Asked.model_validate({"roles": roles or ROLES, **times, **more})


@pytest.fixture
def world() -> FakeWorld:
    world = FakeWorld()
    for n, host in enumerate(("i-0aaa1111", "i-0bbb2222")):
        app(world, host, "rmu-blue", n, release="v41", message="listening", logger="ratemyunit.api", version="v41")
        app(world, host, "rmu-worker", n + 0.5, release="v41", event="scrape", ok=True, ms=1200, job="j" * 36)
    say(
        world,
        "host",
        "i-0aaa1111/host",
        2,
        {"at": at(2).timestamp(), "boot": {"step": "serve", "slot": "blue"}, "seconds": 31.5},
    )
    say(world, "proxy", "i-0aaa1111/haproxy", 3.2, PROXY)
    app(world, "i-0aaa1111", "rmu-blue", 4.5, **REQUEST)
    world.logbook.say("database", "rmu-test-db-1.0", SLOW, at=at(3), place=DATABASE)
    return world


PROXY = {
    "at": at(3).timestamp(),
    "request_id": ID,
    "method": "GET",
    "path": "/api/units",
    "route": "search",
    "status": 200,
    "release": "v42",
    "slot": "green",
    "total_ms": 1210,
    "state": "----",
}
REQUEST = {
    "release": "v42",
    "logger": "ratemyunit.access",
    "message": "request",
    "request_id": ID,
    "method": "GET",
    "path": "/api/units",
    "status": 200,
    "ms": 1208.1,
}


def say(world: FakeWorld, group: LogGroup, stream: str, seconds: float, fields: dict[str, Any]) -> None:
    # It comes to its group some seconds after it was said.
    world.logbook.say(group, stream, json.dumps(fields), at=at(seconds + 4))


def app(world: FakeWorld, host: str, unit: str, seconds: float, **fields: Any) -> None:
    role = "worker" if unit == "rmu-worker" else "api"
    said = {"at": at(seconds).isoformat(), "level": "info", "role": role, **fields}
    say(world, "app", f"{host}/{unit}", seconds, said)


def read(world: FakeWorld, *roles: Any, **more: Any) -> tuple[LogEntry, ...]:
    return newest(world.outside().logs, asked(*roles, **more))


def test_a_group_is_asked_for_no_more_than_is_wanted() -> None:
    assert patterns(asked()) == dict.fromkeys(("app", "proxy", "host", "database", "events"), "")
    assert patterns(asked(release="v42")) == {"app": '{ $.release = "v42" }', "proxy": '{ $.release = "v42" }'}
    assert patterns(asked("worker", "database", request="3f2a91c0")) == {
        "app": '{ ($.request_id = "3f2a91c0*" || $.job = "3f2a91c0*") }',
        "database": '"\'3f2a91c0"',
    }
    both = patterns(asked("api", release="v42", request="3f2a91c0"))
    assert both["app"] == '{ $.release = "v42" && ($.request_id = "3f2a91c0*" || $.job = "3f2a91c0*") }'


def test_a_request_is_followed_from_the_proxy_to_the_statement(world: FakeWorld) -> None:
    found = read(world, request="3f2a91c0")

    assert [entry.role for entry in found] == ["proxy", "database", "api"]
    assert found[1].text.startswith("LOG: duration: 1204.233 ms")
    assert found[1].more.splitlines()[-1] == "WHERE x @@ to_tsquery($1)"
    assert found[1].host == "rmu-test-db-1"
    assert {entry.request for entry in found} == {ID}


def test_lines_of_all_hosts_come_in_the_order_they_were_said(world: FakeWorld) -> None:
    found = read(world, "api", "worker", "host")

    assert [(entry.host[-4:], entry.role) for entry in found] == [
        ("1111", "api"),
        ("1111", "worker"),
        ("2222", "api"),
        ("2222", "worker"),
        ("1111", "host"),
        ("1111", "api"),
    ]
    assert [entry.role for entry in read(world, "api", "worker", newest=2)] == ["worker", "api"]


def test_one_release_one_host_one_role(world: FakeWorld) -> None:
    assert {e.release for e in read(world, release="v42")} == {"v42"}
    assert {e.host for e in read(world, "api", "worker", host="i-0bbb")} == {"i-0bbb2222"}
    assert {e.unit for e in read(world, "api", units=("rmu-worker",))} == set()
    assert read(world, "api", start=at(60)) == ()


def test_a_probe_or_a_request_that_is_answered_is_no_news(world: FakeWorld) -> None:
    for n, ok in enumerate((True, False, True)):
        say(world, "host", "i-1/rmu-vitals", n, {"event": "probe", "ok": ok, "ms": 12.5})

    assert len(read(world, "host", host="i-1")) == 3
    assert [e.text for e in read(world, "host", host="i-1", news=True)] == ["probe ok=False ms=12.5"]
    app(world, "i-1", "rmu-blue", 1, **{**REQUEST, "status": 503})
    assert [e.text[:18] for e in read(world, "api", news=True)] == ["listening version="] * 2 + ["GET /api/units 503"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"message": "no lock yet", "what": "jobs", "again_in_s": 1}, "no lock yet what=jobs again_in_s=1"),
        ({"event": "scrape", "ok": False, "outcome": "failed"}, "scrape ok=False outcome=failed"),
        ({"level": "error", "unit": "kernel", "message": "Out of memory"}, "kernel: Out of memory"),
        (
            {
                "request": {"verb": "serve", "release": "v42", "run": "r-1"},
                "answer": {"outcome": "changed", "seconds": 2},
            },
            "serve v42 changed (2 s, run r-1)",
        ),
    ],
)
def test_a_line_of_ours_is_said_in_one_line(world: FakeWorld, fields: dict[str, Any], text: str) -> None:
    say(world, "host", "i-1/host", 0, fields)

    assert read(world, "host", host="i-1")[0].text == text


def test_a_line_that_is_no_json_is_shown_as_it_is(world: FakeWorld) -> None:
    world.logbook.say("host", "i-1/user-data", "2026-01-01T00:00:00Z installing podman", at=at(1))

    assert read(world, "host", host="i-1")[0].text == "2026-01-01T00:00:00Z installing podman"
    assert from_journal("i-1", "rmu-blue", ["plain", '{"release": "v1", "message": "x"}'], BEGIN)[1].release == "v1"


def test_an_event_of_aws_is_said_in_one_line(world: FakeWorld) -> None:
    event = {
        "time": "2026-01-01T00:00:01Z",
        "source": "aws.rds",
        "detail-type": "RDS DB Instance Event",
        "detail": {"SourceIdentifier": "rmu-test-db-1", "Message": "DB instance restarted"},
    }
    world.logbook.say("events", "5c1f", json.dumps(event), at=at(9))

    assert read(world, "events")[0].text == "RDS DB Instance Event · rmu-test-db-1 · DB instance restarted"


def test_following_tells_each_line_once_also_one_that_comes_late(world: FakeWorld) -> None:
    o = world.outside()
    told = follow(o.logs, o.clock, asked("api", start=at(-60)))
    first = next(told)
    app(world, "i-0aaa1111", "rmu-blue", world.clock.now().timestamp() - BEGIN.timestamp() - 20, message="late")
    second, third = next(told), next(told)

    assert len(first) == 3
    assert [entry.text for entry in second] == ["late"]
    assert third == ()


def test_following_bears_a_stumble_and_no_long_silence(world: FakeWorld) -> None:
    o = world.outside()
    told = follow(o.logs, o.clock, asked("api"))
    world.fail("logs.lines", Unreachable("throttled", next="wait"))

    assert next(told) == ()
    assert len(next(told)) == 3

    world.logbook.closed = Unreachable("throttled", next="wait")
    assert [next(told) for _ in range(4)] == [()] * 4
    with pytest.raises(Unreachable):
        next(told)


def test_no_group_at_all_is_told_as_such() -> None:
    with pytest.raises(Absent):
        read(FakeWorld(), "api")


def spelled(entries: tuple[LogEntry, ...], width: int | None, *, colour: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width or 200, force_terminal=colour, highlight=False, soft_wrap=True)
    for line in LogLines(today=BEGIN.date(), width=width).spell(entries):
        console.print(line)
    return out.getvalue().splitlines()


def test_lines_are_readable_at_80_columns(world: FakeWorld) -> None:
    app(world, "i-0bbb2222", "rmu-green", 5, release="v42", level="error", message="failed", exception=TRACE)

    lines = spelled(read(world), 80)

    assert lines == (Path(__file__).parent / "golden/logs.txt").read_text().splitlines()
    assert max(map(len, lines)) <= 80


def test_colours_are_by_release_and_on_a_terminal_alone(world: FakeWorld) -> None:
    found = read(world, "api")
    coloured, plain = "".join(spelled(found, 80, colour=True)), "".join(spelled(found, 80))

    assert "\x1b[32m12:00:00 v41" in coloured
    assert "\x1b[36m12:00:04 v42" in coloured
    assert "\x1b" not in plain


def test_a_line_from_another_day_names_it(world: FakeWorld) -> None:
    yesterday = read(world, "host")[0].model_copy(update={"at": datetime(2025, 12, 31, 23, 59, 1, tzinfo=UTC)})

    assert spelled((yesterday,), None)[0].startswith("12-31 23:59:01 ")


def test_brackets_in_a_line_are_no_markup(world: FakeWorld) -> None:
    app(world, "i-1", "rmu-blue", 0, message="[red]x[/] [/nothing]")

    assert "[red]x[/] [/nothing]" in spelled(read(world, "api", host="i-1"), None)[0]


TRACE = 'Traceback (most recent call last):\n  File "app.py", line 1, in f\nValueError: ' + "word " * 20


def test_a_role_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(Mistyped, match=r"there is no role proxi \(there are: api, worker, proxy, .*boot\)") as why:
        _well_formed(["proxi"], {})

    assert why.value.next == "rmu logs --role api"
