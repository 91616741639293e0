"""The Browser port with a real Chromium: what it says of a page whose figures are known, and without a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.outside import chromium
from ratemyunit_ops.outside.chromium import Chromium
from ratemyunit_ops.ports import Phone
from ratemyunit_ops.reports.page_load import interactive

PHONE = Phone(latency=timedelta(milliseconds=300), down_kbit=1600, up_kbit=750, slower=1)
PATIENCE = timedelta(seconds=40)
BUSY = b"const t = performance.now(); while (performance.now() - t < 300);"
FILES = {
    "/": (
        b"<!doctype html><link rel='icon' href='/icon.svg'><link rel='stylesheet' href='/a.css'>"
        b"<script type='module' src='/a.js'></script><h1>A page</h1>",
        "text/html",
    ),
    "/a.css": (b"h1 { color: navy }" + b" " * 100_000, "text/css"),
    "/a.js": (BUSY, "text/javascript"),
    "/icon.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
}


class Site(BaseHTTPRequestHandler):
    """Serves the files."""

    def do_GET(self) -> None:
        body, kind = FILES.get(self.path, (b"no", "text/plain"))
        self.send_response(200 if self.path in FILES else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_real_browser_tells_weight_paint_and_long_tasks_on_a_slow_network() -> None:
    with serving() as site:
        load = Chromium().load(f"{site}/", PHONE, patience=PATIENCE)

    weighs = sum(t.bytes for t in load.transfers)
    assert sum(len(body) for body, _ in FILES.values()) < weighs < 110_000
    assert {t.url.removeprefix(site) for t in load.transfers} == set(FILES)
    # The page, then its stylesheet: two trips, and 100 kB at 1.6 Mbit/s. Without the slow network it takes far less.
    assert load.largest_paint_ms
    assert load.largest_paint_ms > 2 * 300 + 100_000 * 8 / 1600
    assert any(end - begin >= 290 for begin, end in load.long_tasks)
    assert interactive(load)


def test_pages_that_fail_are_named() -> None:
    with serving() as site, pytest.raises(Unreachable, match="/none answered 404"):
        Chromium().load(f"{site}/none", PHONE, patience=PATIENCE)
    with pytest.raises(Unreachable, match="ERR_CONNECTION_REFUSED"):
        Chromium().load(f"{site}/", PHONE, patience=PATIENCE)


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_browser_that_is_missing_dies_or_is_silent_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "ANSWER_S", 0.5)  # half a minute, in less

    with pytest.raises(Refused, match="there is no program"):
        Chromium(str(tmp_path / "none")).load("http://a", PHONE, patience=PATIENCE)
    with pytest.raises(Refused, match="ended before"):
        Chromium(program(tmp_path / "dies", "exit 1")).load("http://a", PHONE, patience=PATIENCE)
    with pytest.raises(Refused, match="did not answer"):
        Chromium(program(tmp_path / "silent", "exec sleep 30")).load("http://a", PHONE, patience=PATIENCE)
    no = program(tmp_path / "refuses", r"""printf '{"id":1,"error":{"message":"no"}}\000' >&4; exec sleep 30""")
    with pytest.raises(Refused, match=r"refused Target\.createTarget: no"):
        Chromium(no).load("http://a", PHONE, patience=PATIENCE)


def test_a_machine_without_chromium_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Refused, match="has no Chromium") as why:
        Chromium().load("http://a", PHONE, patience=PATIENCE)

    assert "apt-get install chromium" in why.value.next
