"""`make bench-web`: what a phone on slow 4G waits for, on the pages of the product with fifty thousand units.

Front page, a search, and a unit with a hundred reviews, each loaded several times by what `rmu web budget` measures
with. The control, loaded in turn with them, is the same HTML bare: without stylesheet, script and icon, from a server
that does nothing else. Writes bench-out/web.json.
"""

from __future__ import annotations

import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ratemyunit_ops.outside.chromium import Chromium
from ratemyunit_ops.ports import Phone
from ratemyunit_ops.reports.page_load import Limits, PageFigures, figures
from tests.bench.bench_app import Stand, stand
from tests.bench.figures import ended_in_order, keep, load, say, wait_for_quiet

LOADS = 5
REVIEWS = 100
PATIENCE = timedelta(seconds=60)
# The defaults of `rmu web budget`.
PHONE = Phone(latency=timedelta(milliseconds=562), down_kbit=1475, up_kbit=675, slower=4)
LIMITS = Limits(bytes=500_000, lcp_ms=2500, tti_ms=3000)
WORDS = "The lectures are clear, the laboratories long, and the exam asks for what was taught. "


class Bare(BaseHTTPRequestHandler):
    """Serves pages from memory."""

    pages: dict[str, bytes] = {}  # noqa: RUF012  (the handler's class is its only state)

    def do_GET(self) -> None:
        body = self.pages.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def reviewed(on: Stand) -> str:
    """Give one unit a hundred reviews; answer its page's path."""
    with on.session() as connection:
        found = connection.execute("select id from units order by code, id limit 1").fetchone()
        assert found
        connection.execute(
            "insert into ratings (id, unit_id, stars, comment, review) "
            "select gen_random_uuid(), %s, 1 + n %% 5, repeat(%s, 1 + n %% 6), 'shown' from generate_series(1, %s) n",
            (found[0], WORDS, REVIEWS),
        )
    return f"/units/{found[0]}"


@contextmanager
def bare(site: str, paths: dict[str, str]) -> Iterator[str]:
    """Serve the same HTML without the files it names."""
    for path in paths.values():
        with urllib.request.urlopen(site + path, timeout=30) as answer:
            text = answer.read().decode()
        stripped = re.sub(r"<link [^>]*>|<script [^>]*></script>", "", text)
        Bare.pages[path] = stripped.replace("</head>", '<link rel="icon" href="data:,"></head>').encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bare)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def measured(ours: str, control: str, path: str) -> tuple[PageFigures, PageFigures]:
    """Load a page and its control in turn."""
    browser = Chromium()
    pairs = [[browser.load(site + path, PHONE, patience=PATIENCE) for site in (ours, control)] for _ in range(LOADS)]
    mine, other = (figures(loads, LIMITS) for loads in zip(*pairs, strict=True))
    return mine, other


def shown(name: str, page: PageFigures) -> dict[str, Any]:
    """Keep a page's figures under its name; its address says nothing elsewhere."""
    return {"page": name, **page.model_dump(exclude={"url", "loads"}, mode="json")}


def main() -> None:
    """Measure and write the figures."""
    before = load()
    with ended_in_order(), stand() as (on, _):
        site = f"http://127.0.0.1:{on.port}"
        paths = {"front page": "/", "search": "/search?q=programming", f"unit, {REVIEWS} reviews": reviewed(on)}
        wait_for_quiet()
        pages, controls = [], []
        with bare(site, paths) as control:
            for name, path in paths.items():
                say(f"loading the {name}")
                mine, other = measured(site, control, path)
                pages.append(shown(name, mine))
                controls.append(shown(name, other))
    phone = PHONE.model_dump(exclude={"latency"}) | {"latency_ms": PHONE.latency / timedelta(milliseconds=1)}
    what = "the same HTML bare, without stylesheet, script and icon"
    kept = {"loads": LOADS, "phone": phone, "limits": LIMITS.model_dump(), "pages": pages}
    keep("web", {**kept, "control": {"what": what, "pages": controls}}, before)


if __name__ == "__main__":
    main()
