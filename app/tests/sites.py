"""Sites for the tests and the soak, served on loopback: invented universities in the shapes that real catalogues have,
and pages that mean harm.
"""

import gzip
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from ratemyunit import fixture

FIXTURES = Path(__file__).parent / "fixtures"
HTML, JSON, XML = "text/html; charset=utf-8", "application/json", "application/xml"
MIB = 1 << 20

Answer = tuple[int, str, bytes]


def kept(name: str, site: str) -> bytes:
    """Read a fixture; SITE in it stands for where it is served."""
    return (FIXTURES / name).read_bytes().replace(b"SITE", site.encode())


def page(body: str) -> Answer:
    """Make a page of HTML."""
    return 200, HTML, f"<!doctype html><html><body>{body}</body></html>".encode()


def cards(count: int, first: int = 0) -> str:
    """Draw units as cards."""
    return "".join(
        f'<article class="unit" data-code="U{n:05}"><h2>Unit {n}</h2><p>About unit {n}.</p></article>'
        for n in range(first, first + count)
    )


def catalogue(site: str, path: str) -> Answer | None:
    """Answer as one of the universities; None where none has such a page."""
    unit = path.rpartition("/")[2]
    if path.startswith("/units/2027/"):
        titled = kept("southlea-unit.html", site).decode().replace("CODE", unit)
        return 200, HTML, titled.replace("TITLE", f"Study of {unit}").replace("ABOUT", "What it is about.").encode()
    known = {
        "/catalogue": (HTML, fixture.PAGE.encode()),
        "/fixture/catalogue.js": ("text/javascript", bytes(fixture.script().body)),
        "/handbook/units": (HTML, kept("tarndale-units-1.html", site)),
        "/handbook/units?page=2": (HTML, kept("tarndale-units-2.html", site)),
        "/handbook": (HTML, kept("westhaven-handbook.html", site)),
        "/api/search": (JSON, kept("eastfold-search-1.json", site)),
        "/api/search?from=8": (JSON, kept("eastfold-search-2.json", site)),
        "/sitemap.xml": (XML, kept("southlea-sitemap-index.xml", site)),
        "/sitemap-pages.xml": (XML, kept("southlea-sitemap-pages.xml", site)),
        "/sitemap-units.xml.gz": ("application/gzip", gzip.compress(kept("southlea-sitemap-units.xml", site))),
    }
    return (200, *known[path]) if path in known else None


# Pages that mean harm, by what they try. What needs more than one answer is done by the handler below.
HOSTILE: dict[str, Answer] = {
    "/hostile/loop": page("<script>while (true) {}</script>"),
    "/hostile/crash": page("<script>const all = []; while (true) all.push(new Array(1e6).fill({}))</script>"),
    "/hostile/alerts": page("<script>while (true) alert('again')</script>"),
    "/hostile/dialogs": page(
        "<script>onbeforeunload = e => e.preventDefault(); setInterval(() => { prompt('x'); confirm('y') }, 1)</script>"
    ),
    "/hostile/popups": page(f"<script>for (let i = 0; i < 50; i++) open('/hostile/popup?' + i)</script>{cards(1)}"),
    "/hostile/popup": page("<script>open(location.href); setInterval(() => open(location.href), 5)</script>"),
    "/hostile/reload": page("<script>setTimeout(() => location.reload(), 1)</script>"),
    "/hostile/frames": page("<script>document.write('<iframe src=/hostile/frames?' + Math.random() + '>')</script>"),
    "/hostile/download": (200, "application/octet-stream", b"\x7fELF" + b"x" * MIB),
    "/hostile/downloads": page("<script>setInterval(() => location = '/hostile/download', 20)</script>"),
    "/hostile/workers": page(
        "<script>for (let i = 0; i < 20; i++) new Worker(URL.createObjectURL(new Blob(['for(;;);'])))</script>"
        + cards(1)
    ),
    "/hostile/memory": page(
        "<script>const all = []; setInterval(() => all.push(new Uint8Array(32 << 20).fill(7)), 10)</script>"
    ),
}
# Builtins that a reader would use, turned against it: what they give back is far more than any page holds.
FLOOD = "'x'.repeat(60e6)"
OVERRIDES = {
    "slice of an array": "Array.prototype.slice = function () { return Array(100).fill({code: 1}) }",
    "slice of a text": f"String.prototype.slice = () => {FLOOD}",
    "trim": f"String.prototype.trim = () => ({{slice: () => {FLOOD}}})",
    "map": f"Array.prototype.map = () => [{FLOOD}]",
    "iterator": "Array.prototype[Symbol.iterator] = NodeList.prototype[Symbol.iterator] = () => { throw Error('odd') }",
    "selectors": "document.querySelectorAll = document.querySelector = () => { throw new Error('\\ud800') }",
    "prototype": "Document.prototype.querySelectorAll = () => { throw {toString() { for (;;); }} }",
    "attribute": f"Element.prototype.getAttribute = () => {FLOOD}",
    "text": f"Object.defineProperty(Node.prototype, 'textContent', {{get: () => {FLOOD}}})",
    "base": f"Object.defineProperty(Node.prototype, 'baseURI', {{get: () => {FLOOD}}})",
    "json": "JSON.parse = JSON.stringify = Object.keys = () => { throw Error('odd') }",
    "object": "Object.defineProperty(Object.prototype, 'toJSON', {value: () => { throw Error('odd') }})",
}
ENDLESS = ("/hostile/silent", "/hostile/drip", "/hostile/huge", "/hostile/redirects", "/hostile/headers")


class Site:
    """A site that runs: where it is, what it was asked, and what else it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.answers: dict[str, Answer | Callable[[], Answer]] = {}
        self.lengths: dict[str, int] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.torn: set[str] = set()
        self.redirects: dict[str, str] = {}
        self.url = ""
        self.over = threading.Event()

    @property
    def paths(self) -> Counter[str]:
        """Count what was asked for."""
        return Counter(path for _, path in self.asked)


@contextmanager
def served() -> Iterator[Site]:
    """Serve a site until this ends."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    server.daemon_threads, server.block_on_close = True, False
    site.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        self.site.asked.append((time.monotonic(), self.path))
        # Whoever asked may go away, which is what many of these pages are for.
        with suppress(OSError):
            self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def _answer(self) -> None:
        endless = urlsplit(self.path).path
        if endless in ENDLESS:
            getattr(self, "_" + endless.rpartition("/")[2])()
            return
        if self.path in self.site.redirects:
            self._say(302, HTML, b"", Location=self.site.redirects[self.path])
            return
        made = self.site.answers.get(self.path) or catalogue(self.site.url, self.path) or HOSTILE.get(endless)
        answer = (made() if callable(made) else made) or (404, HTML, b"no such page")
        (self._tear if self.path in self.site.torn else self._say)(*answer)

    def _say(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(self.site.lengths.get(self.path, len(body))),
            **headers,
            **self.site.headers.get(self.path, {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _tear(self, status: int, kind: str, body: bytes) -> None:
        # In chunks, of which the last one never comes.
        self.protocol_version, self.close_connection = "HTTP/1.1", True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))

    def _silent(self) -> None:
        self.site.over.wait(60)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", HTML)
        self.end_headers()
        while not self.site.over.wait(0.2):
            self.wfile.write(b"<p>")
            self.wfile.flush()

    def _headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.site.over.is_set():
            self.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", HTML)
        self.end_headers()
        for _ in range(1024):
            self.wfile.write(b"<!--" + b"x" * (MIB - 7) + b"-->")

    def _redirects(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"/hostile/redirects?{time.monotonic_ns()}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def listing(units: list[dict[str, str]]) -> bytes:
    """Spell units as the plainest JSON endpoint does."""
    return json.dumps({"units": units}).encode()


def main() -> None:
    """Serve a few sites until told to stop; print where."""
    count = int(sys.argv[1])
    with ExitStack() as stack:
        print(json.dumps([stack.enter_context(served()).url for _ in range(count)]), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
