"""The front door, as a client meets it: played by a small server on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from ratemyunit_ops.errors import Failed, Unreachable
from ratemyunit_ops.model import FrontDoor
from ratemyunit_ops.outside.http import FrontDoorTraffic


class Door(BaseHTTPRequestHandler):
    """Answers by path."""

    says: ClassVar[dict[str, tuple[int, str]]] = {}

    def do_GET(self) -> None:
        status, body = self.says.get(self.path, (404, "nothing here"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.fixture
def door() -> Iterator[FrontDoorTraffic]:
    Door.says = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield FrontDoorTraffic(f"http://127.0.0.1:{server.server_port}/", smoke="a b")
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_front_door_names_release_digest_and_host(door: FrontDoorTraffic) -> None:
    Door.says["/version"] = (200, json.dumps({"version": "v1", "digest": "sha256:1", "host": "i-1", "more": 1}))

    assert door.look() == FrontDoor(version="v1", digest="sha256:1", host="i-1")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_with_nothing_behind_it_is_nobody(door: FrontDoorTraffic, status: int) -> None:
    Door.says["/version"] = (status, "<html>no server is available</html>")

    assert door.look() == FrontDoor(version=None, digest=None, host=None)


@pytest.mark.parametrize("answer", [(200, "<html>"), (200, "[]"), (404, "{}"), (500, "{}")])
def test_an_answer_that_is_not_the_contracts_is_no_release(door: FrontDoorTraffic, answer: tuple[int, str]) -> None:
    Door.says["/version"] = answer

    with pytest.raises(Unreachable, match=str(answer[0])):
        door.look()


def test_a_door_nobody_opens_is_unreachable_and_names_what_starts_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(Unreachable, match="does not answer") as why:
        FrontDoorTraffic(url, smoke="a", start_hint="rmu twin up").look()

    assert why.value.next == "rmu twin up"


def test_the_smoke_list_wants_a_list_of_units(door: FrontDoorTraffic) -> None:
    Door.says["/api/units?search=a%20b"] = (200, json.dumps({"units": [{}, {}]}))

    assert door.smoke()["smoke"][0]["units"] == 2


@pytest.mark.parametrize("answer", [(500, "{}"), (200, "{}"), (200, "[]"), (200, "<html>"), (200, '{"units": 3}')])
def test_a_smoke_answer_that_is_wrong_fails(door: FrontDoorTraffic, answer: tuple[int, str]) -> None:
    Door.says["/api/units?search=a%20b"] = answer

    with pytest.raises(Failed, match="smoke: /api/units"):
        door.smoke()
