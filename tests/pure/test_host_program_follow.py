"""The journal as files: whose file a line goes to, that JSON stays as it is, and that nothing is lost at a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rmu_host import follow
from rmu_host.machine import Machine

from ratemyunit_ops import render
from ratemyunit_ops.reports.logs import GROUPS, ROLE_OF_UNIT

AT = "1700000000250000"


def entry(message: Any, unit: str = "rmu-blue.service", level: int = 6, **more: Any) -> dict[str, Any]:
    made = {"MESSAGE": message, "_SYSTEMD_UNIT": unit, "PRIORITY": str(level), "__REALTIME_TIMESTAMP": AT}
    return {**made, "__CURSOR": "s=1", **more}


def told(one: dict[str, Any]) -> tuple[str, Any]:
    stream, line = follow.line_of(one)
    return stream, json.loads(line)


def test_the_apps_line_is_kept_as_it_is() -> None:
    line = '{"at": "2026-01-01T00:00:00+00:00",  "release": "v7", "ok": null}'

    assert follow.line_of(entry(line)) == ("rmu-blue", line)
    assert follow.line_of(entry(f"{line}\n")) == ("rmu-blue", line)  # as podman sends it


@pytest.mark.parametrize("said", ["Traceback", "[1, 2]", "{half", '{"a": 1}\n{"b": 2}', ""])
def test_any_other_line_becomes_one_object_that_says_whose_it_is(said: str) -> None:
    assert told(entry(said, level=3)) == (
        "rmu-blue",
        {"at": 1700000000.25, "level": "error", "unit": "rmu-blue", "message": said},
    )


def test_what_systemd_says_of_a_unit_goes_to_that_units_file() -> None:
    found = told(entry("Failed with result 'oom-kill'.", unit="init.scope", level=4, UNIT="rmu-worker.service"))

    assert found[0] == "rmu-worker"


def test_the_others_are_heard_when_it_matters() -> None:
    kernel = entry("Out of memory: Killed process 7", unit="", level=3, SYSLOG_IDENTIFIER="kernel")

    assert told(kernel)[0] == "system"
    assert told(entry("session opened", unit="cron.service"))[0] == ""
    assert told(entry("hello", unit="rmu-vitals.service"))[0] == "system"
    assert told(entry("Finished.", unit="init.scope", UNIT="rmu-vitals.service"))[0] == ""


def test_bytes_that_are_no_text_are_still_a_line() -> None:
    assert told(entry([104, 105, 255]))[1]["message"] == "hi\N{REPLACEMENT CHARACTER}"


def test_lines_come_before_the_cursor_that_covers_them(tmp_path: Path) -> None:
    m = Machine(tmp_path)
    m.path(follow.FOLDER).mkdir(parents=True)

    follow.copy(m, [entry('{"n": 1}'), entry('{"n": 2}', "haproxy.service"), entry('{"n": 3}', __CURSOR="s=9")])

    assert m.read(f"{follow.FOLDER}/rmu-blue.log") == '{"n": 1}\n{"n": 3}\n'
    assert m.read(f"{follow.FOLDER}/haproxy.log") == '{"n": 2}\n'
    assert m.read(follow.CURSOR) == "s=9"


def test_a_file_that_grew_large_is_put_aside_whoever_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LARGEST", 20)
    m = Machine(tmp_path)
    m.write(f"{follow.FOLDER}/host.log", "x" * 21)

    follow.copy(m, [entry('{"n": 1}')])

    assert m.read(f"{follow.FOLDER}/host.log.1") == "x" * 21
    assert m.read(f"{follow.FOLDER}/host.log") is None
    assert m.read(f"{follow.FOLDER}/rmu-blue.log") == '{"n": 1}\n'


def test_the_agent_ships_every_file_that_is_written_to_the_group_of_its_role() -> None:
    agent = json.loads(render.render("host/files/cloudwatch-agent.json", {"env": "test", "measure_every": 60}))

    shipped = {
        Path(one["file_path"]).stem: (one["log_group_name"].rpartition("/")[2], one["log_stream_name"])
        for one in agent["logs"]["logs_collected"]["files"]["collect_list"]
    }

    own = {unit: GROUPS[ROLE_OF_UNIT[unit]] for unit in follow.STREAMS}
    others = dict.fromkeys(("system", "host", "rmu-vitals", "user-data"), "host")
    assert shipped == {name: (group, f"{{instance_id}}/{name}") for name, group in (own | others).items()}
