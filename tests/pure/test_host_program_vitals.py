"""What a host says of itself: three lines whatever is broken, and a front door that hangs is one that failed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rmu_host import vitals
from rmu_host.state import STATE

from tests.fakes.host_machine import FakeMachine

Lines = dict[str, dict[str, Any]]
MEMINFO = "MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 100 kB\nSwapFree: 70 kB\n"
PRESSURE = "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"


@pytest.fixture
def host(tmp_path: Path) -> FakeMachine:
    m = FakeMachine(tmp_path)
    m.write("/proc/meminfo", MEMINFO)
    m.write("/proc/loadavg", "0.52 0.4 0.3 1/200 999\n")
    m.write("/proc/vmstat", "pgfault 7\noom_kill 3\n")
    m.write("/proc/pressure/memory", PRESSURE)
    m.write(f"{STATE}/live.map", "live blue-backed\n")
    m.write(f"{STATE}/slots/blue.json", json.dumps({"release": "v42"}))
    m.write("/run/rmu/blue.env", "SECRET_KEY=x\nADMIN_TOKEN=its-token\nHTTP_PORT=3001\n")
    m.write(vitals.DOOR, "http://127.0.0.1:1")
    return m


@pytest.fixture
def front_door() -> Iterator[HTTPServer]:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/version" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def said(m: FakeMachine) -> Lines:
    """Let the host look at itself once, and read what it wrote."""
    vitals.vitals(m)
    lines = [json.loads(line) for line in (m.read(vitals.LOG) or "").splitlines()[-3:]]
    assert all(line["at"] > 0 for line in lines)
    return {line["event"]: line for line in lines}


def test_a_host_says_what_runs_short_and_how_the_queue_and_the_front_door_are(
    host: FakeMachine, front_door: HTTPServer
) -> None:
    host.write(vitals.DOOR, f"http://127.0.0.1:{front_door.server_port}/")

    lines = said(host)

    assert (lines["probe"]["ok"], lines["probe"]["status"]) == (True, 200)
    assert lines["queue"]["waiting"] == 3
    body = lines["vitals"]
    assert (body["memory_total"], body["memory_available"], body["swap_used"]) == (1024_000, 409_600, 30_720)
    assert body["pressure"] == {"cpu": None, "io": None, "memory": 12.5}
    assert (body["live"], body["releases"]) == ("blue-backed", {"blue": "v42", "green": None, "worker": None})


def test_the_newest_word_lies_in_memory_too_where_no_full_disk_stops_it(host: FakeMachine) -> None:
    lines = said(host)

    kept = host.read_json(vitals.NOW) or {}
    assert kept["at"] > 0
    for name, line in lines.items():
        assert kept[name].items() <= line.items()


def test_a_front_door_that_answers_badly_has_a_status_and_one_that_does_not_answer_has_none(
    host: FakeMachine, front_door: HTTPServer
) -> None:
    host.write(vitals.DOOR, f"http://127.0.0.1:{front_door.server_port}/elsewhere")
    badly = said(host)["probe"]
    host.write(vitals.DOOR, "http://127.0.0.1:1")
    not_at_all = said(host)["probe"]

    assert (badly["ok"], badly["status"]) == (False, 404)
    assert (not_at_all["ok"], not_at_all["status"]) == (False, None)
    assert "refused" in not_at_all["why"]


def test_a_front_door_that_hangs_is_one_that_failed_and_holds_no_line_up(
    host: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        host.write(vitals.DOOR, f"http://127.0.0.1:{deaf.getsockname()[1]}")

        lines = said(host)

    assert (lines["probe"]["ok"], lines["probe"]["status"]) == (False, None)
    assert lines["queue"]["waiting"] == 3


def test_a_host_that_can_read_nothing_still_says_its_three_lines(host: FakeMachine) -> None:
    for gone in ("/proc/meminfo", "/proc/vmstat", vitals.DOOR, "/etc/rmu/host.json", f"{STATE}/live.map"):
        host.remove(gone)

    lines = said(host)

    assert lines["probe"]["ok"] is None  # neither counts: it knows no door to knock at
    assert set(lines) == {"probe", "queue", "vitals"}
    assert all(line["why"] for line in lines.values())


def test_a_front_door_that_nobody_has_told_yet_is_asked_for_once_a_minute_at_most(
    host: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    class Nothing:
        def __init__(self, settings: dict[str, Any]) -> None:
            pass

        def parameters(self, names: list[str]) -> dict[str, str]:
            asked.append(names)
            raise KeyError(names[0])

    monkeypatch.setattr(vitals, "Cloud", Nothing)
    host.remove(vitals.DOOR)

    lines = [said(host)["probe"] for _ in range(3)]

    assert asked == [["/rmu/test/places/front_door"]]
    assert [line["ok"] for line in lines] == [None, None, None]


def test_a_release_without_a_queue_gives_no_number(host: FakeMachine) -> None:
    host.queue = None

    assert "waiting" not in said(host)["queue"]


def test_a_drills_host_does_not_knock_at_what_serves(host: FakeMachine) -> None:
    host.role = "drill"

    assert said(host)["probe"]["ok"] is None


def test_before_the_first_release_nobody_knocks_but_a_host_that_cannot_boot_one_does(host: FakeMachine) -> None:
    host.write(f"{STATE}/live.map", "live none\n")
    cannot = said(host)["probe"]
    host.write(f"{STATE}/hook", "i-1")
    need_not = said(host)["probe"]

    assert (cannot["ok"], need_not["ok"]) == (False, None)


def test_kills_for_memory_are_counted_from_the_first_look_after_a_boot(host: FakeMachine) -> None:
    before = said(host)["vitals"]["oom_kills"]
    host.write("/proc/vmstat", "pgfault 7\noom_kill 5\n")

    assert (before, said(host)["vitals"]["oom_kills"]) == (0, 2)
