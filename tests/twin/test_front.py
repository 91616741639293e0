"""A host's own proxy by its own configuration, under a real HAProxy on loopback: what is for the host alone."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from ratemyunit_ops import render
from tests.processes import free_port
from tests.twin.test_balancer import Target

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy: the proxy's rules are unproven")
TEMPLATES = Path(render.__file__).parents[1] / "templates/host/files"
HOST, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start the proxy with a release that says yes to everything; give its port."""
    where = tmp_path_factory.mktemp("front")
    target = ThreadingHTTPServer((HOST, 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    port = free_port()
    (where / "live.map").write_text("live blue\n")
    (where / "hold.map").write_text("")
    config = where / "haproxy.cfg"
    config.write_text(
        _here(render.render("host/files/haproxy.cfg", {"trusted_hops": 1}), where, port, target.server_port)
    )
    process = subprocess.Popen(["haproxy", "-W", "-f", str(config)], stdout=subprocess.DEVNULL, cwd=where)
    try:
        _wait(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)
        target.shutdown()


def _here(config: str, where: Path, port: int, target: int) -> str:
    """Let a host's configuration run in a folder, for whoever runs the test."""
    lua = where / "hold.lua"
    lua.write_text((TEMPLATES / "hold.lua").read_text().replace("/var/lib/rmu", str(where)))
    config = re.sub(r"\n    (user|group) haproxy", "", config)
    for there, here in (
        ("/run/haproxy", str(where)),
        ("/var/lib/rmu", str(where)),
        ("/etc/haproxy/hold.lua", str(lua)),
        ("bind :8080", f"bind 127.0.0.1:{port}"),
        ("127.0.0.1:3001", f"127.0.0.1:{target}"),
    ):
        assert there in config
        config = config.replace(there, here)
    return config


def _wait(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if status(port, "/livez", HOST) == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("the proxy does not serve")


def status(port: int, path: str, source: str, **headers: str) -> int:
    """Ask from an address."""
    asked = http.client.HTTPConnection(HOST, port, timeout=10, source_address=(source, 0))
    asked.request("GET", path, headers=headers)
    answer = asked.getresponse()
    answer.read()
    asked.close()
    return answer.status


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/%72eadyz", "/metric%73?a=b", "http://a.example/readyz"])
def test_what_is_for_the_host_alone_is_not_there_for_anybody_else(front: int, path: str) -> None:
    assert status(front, path, HOST) == 200
    assert status(front, path, ELSEWHERE) == 404
    assert status(front, path, ELSEWHERE, **{"X-Forwarded-For": HOST, "X-Real-IP": HOST}) == 404


@pytest.mark.parametrize("path", ["/rmu-health", "/livez", "/version", "/api/units?search=/readyz"])
def test_the_balancers_health_and_what_everybody_may_ask_is_answered(front: int, path: str) -> None:
    assert status(front, path, ELSEWHERE) == 200
