"""A real HAProxy under the product's configuration: one JSON object a request, and a request's id from end to end."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.host_machine import FakeCloud
from tests.fakes.proxy import ProxiedMachine, serve_v1
from tests.pure.test_host_program import Caller

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def m() -> Iterator[ProxiedMachine]:
    if shutil.which("haproxy") is None:
        pytest.skip("no haproxy here: what it logs is not proven")
    with ProxiedMachine(Path(tempfile.mkdtemp(prefix="rmu-"))) as machine:
        machine.start_proxy()
        serve_v1(Caller(machine, FakeCloud()))
        yield machine


def ask(m: ProxiedMachine, target: str, *headers: str, method: str = "GET") -> tuple[dict[str, str], dict[str, Any]]:
    """Send one request of the host's own; return the answer's headers and the line that HAProxy wrote of it."""
    before = len(lines(m))
    with socket.create_connection(("127.0.0.1", m.front), timeout=5) as s:
        s.sendall(
            "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()
        )
        answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    until = time.monotonic() + 3
    while len(lines(m)) == before and time.monotonic() < until:
        time.sleep(0.02)
    head = answer.partition("\r\n\r\n")[0].splitlines()[1:]
    return {k.lower(): v for k, _, v in (line.partition(": ") for line in head)}, lines(m)[-1]


def lines(m: ProxiedMachine) -> list[dict[str, Any]]:
    """Parse what HAProxy wrote of requests so far; one that is no JSON fails the test."""
    return [json.loads(line) for line in m.path("/haproxy.log").read_text().splitlines() if line.startswith("{")]


def test_a_requests_line_has_what_filters_and_people_need(m: ProxiedMachine) -> None:
    _, line = ask(m, "/api/units?search=ana%20maria", "X-Forwarded-For: 203.0.113.77")

    assert abs(line["at"] - time.time()) < 5
    assert {k: line[k] for k in ("client", "method", "path", "route", "status", "slot", "release")} == {
        "client": "203.0.113.0",
        "method": "GET",
        "path": "/api/units",
        "route": "search",
        "status": 200,
        "slot": "blue",
        "release": "v1",
    }
    assert all(isinstance(line[k], int) for k in ("bytes", "queue_ms", "connect_ms", "server_ms", "total_ms"))
    assert "ana" not in json.dumps(line)


def test_an_address_of_the_newer_kind_is_cut_to_its_network_too(m: ProxiedMachine) -> None:
    assert ask(m, "/x", "X-Forwarded-For: 2001:db8:1:2::7")[1]["client"] == "2001:db8:1::"
    assert ask(m, "/x", "X-Forwarded-For: nonsense")[1]["client"] in ("", "-")


@pytest.mark.parametrize(
    ("target", "method", "route"),
    [
        ("/api/units?search=x", "GET", "search"),
        ("/api/units/6f1c", "GET", "unit"),
        ("/api/units/6f1c/ratings", "POST", "rating"),
        ("/api/admin/queue/status", "GET", "admin"),
        ("/version", "GET", "health"),
        ("/api/unitsx", "GET", "other"),
    ],
)
def test_a_route_is_a_class(m: ProxiedMachine, target: str, method: str, route: str) -> None:
    assert ask(m, target, method=method)[1]["route"] == route


def test_an_id_that_is_well_formed_is_kept_and_echoed(m: ProxiedMachine) -> None:
    headers, line = ask(m, "/version", "X-Request-ID: from-the-edge-1234")

    assert headers["x-request-id"] == line["request_id"] == "from-the-edge-1234"
    assert m.sides["blue"].heard["x-request-id"] == "from-the-edge-1234"


@pytest.mark.parametrize("given", [None, "short", "y" * 65, "a'*/ drop table", '{"x":1}-12345'])
def test_any_other_id_is_replaced_by_one_of_ours(m: ProxiedMachine, given: str | None) -> None:
    headers, line = ask(m, "/version", *([f"X-Request-ID: {given}"] if given else []))

    assert UUID.fullmatch(line["request_id"])
    assert headers["x-request-id"] == line["request_id"] == m.sides["blue"].heard["x-request-id"]


def test_a_strange_path_is_still_one_json_object(m: ProxiedMachine) -> None:
    _, line = ask(m, '/a"b\\c<d>/' + "z" * 3000 + "?q=1")
    _, broken = ask(m, "/not allowed")

    assert line["path"].startswith('/a"b\\c<d>/zzz')
    assert len(line["path"]) < 1100
    assert (broken["status"], broken["path"]) == (400, "-")


def test_an_answer_of_haproxys_own_tells_its_id_too(m: ProxiedMachine) -> None:
    m.sides["blue"].stop()
    headers, line = ask(m, "/version", "X-Request-ID: nobody-there-1")

    assert line["status"] == 503
    assert headers["x-request-id"] == "nobody-there-1"
    assert line["release"] in ("", "-")
