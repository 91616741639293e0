"""A balancer's configuration under a real HAProxy on loopback: rules, fixed answers, drains, all unhealthy."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.twin import certs
from ratemyunit_ops.twin.keepers.balancer_config import backend_of, render
from ratemyunit_ops.twin.keepers.requests import Requests
from ratemyunit_ops.twin.site import Site
from tests.processes import free_port

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy: balancer rules are unproven")
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"


class Target(BaseHTTPRequestHandler):
    """Answers everything with 200, but its health as it is told."""

    health = 200

    def do_GET(self) -> None:
        self.send_response(self.health if self.path == "/health" else 200)
        self.send_header("Content-Length", "0")
        self.send_header("X-Seen-Proto", self.headers.get("X-Forwarded-Proto", ""))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


class Balancer:
    """One HAProxy with one target."""

    def __init__(
        self, where: Path, target: int, rules: list[dict[str, Any]], default: dict[str, Any], protocol: str = "HTTP"
    ) -> None:
        self.port = free_port()
        listener = {"port": self.port, "protocol": protocol, "rules": rules, "default": [default]}
        group = {
            "path": "/health",
            "port": "traffic-port",
            "interval": 1,
            "timeout": 1,
            "healthy": 1,
            "unhealthy": 1,
            "matcher": "200-299",
        }
        row = {"idle": 60, "listeners": [listener], "target_groups": {ARN: group}}
        slots = {ARN: {"1": {"id": "i-1", "address": "127.0.0.1", "port": target}}}
        self.socket = where / "admin.sock"
        config = where / "haproxy.cfg"
        config.write_text(render(row, "127.0.0.1", self.socket, where / "certificate.pem", slots))
        self.process = subprocess.Popen(["haproxy", "-W", "-f", str(config)], stderr=subprocess.DEVNULL)
        self._wait()

    def get(self, path: str = "/", **headers: str) -> http.client.HTTPResponse:
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        asked.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = asked.getresponse()
        answer.read()
        asked.close()
        return answer

    def health(self) -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.socket))
            admin.sendall(b"show stat -1 4 -1\n")
            text = admin.makefile().read()
        [line] = [one for one in text.splitlines() if one.startswith(f"{backend_of(ARN)},s1,")]
        return line.split(",")[17]

    def _wait(self) -> None:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with socket.socket() as probe:
                # The socket gets its name last.
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and self.socket.exists():
                    return
            time.sleep(0.05)
        raise AssertionError("HAProxy did not start")


@pytest.fixture
def target() -> Iterator[type[Target]]:
    kind = type("OneTarget", (Target,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kind.port = server.server_address[1]  # type: ignore[attr-defined]
    yield kind
    server.shutdown()
    server.server_close()


@pytest.fixture
def balanced(tmp_path: Path, target: Any) -> Iterator[Any]:
    made: list[Balancer] = []

    def make(rules: list[dict[str, Any]], default: dict[str, Any], **more: Any) -> Balancer:
        made.append(Balancer(tmp_path, target.port, rules, default, **more))
        return made[-1]

    yield make
    for one in made:
        one.process.terminate()
        one.process.wait()


FORWARD = {"Type": "forward", "TargetGroupArn": ARN}
REFUSE = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "403", "MessageBody": "no", "ContentType": "text/plain"},
}
SECRET = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Edge", "Values": ["s3cret?*"]}}


def test_only_requests_with_the_secret_header_are_forwarded(balanced: Any) -> None:
    balancer = balanced([{"priority": "1", "conditions": [SECRET], "actions": [FORWARD]}], REFUSE)

    assert balancer.get().status == 403
    assert balancer.get(X_Edge="guess").status == 403
    answer = balancer.get(X_Edge="s3cret-and-more")
    assert (answer.status, answer.getheader("X-Seen-Proto")) == (200, "http")


def test_the_first_rule_that_matches_decides(balanced: Any) -> None:
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/metrics*", "/admin"]}}
    rules = [
        {"priority": "1", "conditions": [path], "actions": [REFUSE]},
        {"priority": "2", "conditions": [{"Field": "path-pattern", "Values": ["/*"]}], "actions": [FORWARD]},
    ]
    balancer = balanced(rules, REFUSE)

    assert [balancer.get(path).status for path in ("/metrics/x", "/admin", "/administrator")] == [403, 403, 200]


def test_when_every_target_is_unhealthy_requests_still_go_there(balanced: Any, target: Any) -> None:
    target.health = 500
    balancer = balanced([], FORWARD)
    until = time.monotonic() + 10
    while not balancer.health().startswith("DOWN") and time.monotonic() < until:
        time.sleep(0.1)

    assert balancer.health().startswith("DOWN")
    assert balancer.get().status == 200


def test_requests_are_counted_beside_the_data_path_through_a_reload(balanced: Any) -> None:
    balancer = balanced([], FORWARD)
    row = {"arn": "x:loadbalancer/app/web/1", "region": "us-east-1", "target_groups": {ARN: {}}}
    requests = Requests(balancer.socket)
    seen: Counter[str] = Counter()

    def ask(times: int) -> None:
        time.sleep(0.5)  # so that the counter has found the process
        for _ in range(times):
            balancer.get()
        wanted, until = seen["RequestCount"] + times, time.monotonic() + 5
        while seen["RequestCount"] < wanted and time.monotonic() < until:
            for one in requests.points(row):
                seen[one["name"]] += one["times"] if len(one["dimensions"]) == 2 else 0
            time.sleep(0.05)

    ask(5)
    balancer.process.send_signal(signal.SIGUSR2)
    time.sleep(1.5)  # it looks once a second who serves
    socket.create_connection(("127.0.0.1", balancer.port)).close()  # asks nothing, so nothing is counted
    ask(2)
    requests.stop()

    assert seen == {"RequestCount": 7, "TargetResponseTime": 7, "HTTPCode_Target_2XX_Count": 7}


def test_a_listener_with_a_certificate_speaks_tls_that_the_twins_authority_vouches_for(
    balanced: Any, tmp_path: Path
) -> None:
    site = Site(state_root=tmp_path / "state", cache_dir=tmp_path / "cache")
    pair = certs.issue(site, "web", ["web.test"])
    (tmp_path / "certificate.pem").write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    balancer = balanced([], FORWARD, protocol="HTTPS")
    trust = ssl.create_default_context(cafile=str(certs.authority(site).certificate))

    with (
        socket.create_connection(("127.0.0.1", balancer.port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="web.test") as secure,
    ):
        secure.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n")
        answer = secure.makefile("rb").read()

    assert b" 200 " in answer.splitlines()[0] and b"x-seen-proto: https" in answer.lower()


def test_a_redirect_sends_to_tls(balanced: Any) -> None:
    away = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
    answer = balanced([], away).get("/units?search=a")

    assert (answer.status, answer.getheader("Location").partition(":")[0]) == (301, "https")
