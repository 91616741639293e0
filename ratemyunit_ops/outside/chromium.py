"""A real Chromium, told what to do through a pipe (--remote-debugging-pipe): no port is open, no driver is needed.

The DevTools protocol is JSON messages that end with a zero byte. What a load was like is read from the network's
events, and from the page's own performance entries, which a script put before the page's collects.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.ports import PageLoad, Phone, Transfer

PROGRAMS = ("chromium", "chromium-headless-shell", "google-chrome", "google-chrome-stable", "chromium-browser")
QUIET_S = 5.5
"""A page is quiet when nothing has come or worked for so long; a window of five seconds is what TTI asks for."""
ANSWER_S = 30.0
FEW = 2
"""So many requests may be under way in a quiet page."""
NOTHING = "Nothing was measured."

FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--mute-audio",
    "about:blank",
)
# The browser reads orders from descriptor 3 and answers on 4: a shell puts our pipes there, then becomes the browser.
AS_BROWSER = 'exec 3<&0 4>&1; exec "$@" </dev/null >/dev/null'

COLLECT = """(() => {
  const seen = window.__rmu = {paints: [], largest: [], tasks: []};
  const watch = (type, into) => new PerformanceObserver((list) => {
    for (const e of list.getEntries()) into.push([e.startTime, e.startTime + e.duration, e.name]);
  }).observe({type, buffered: true});
  watch("paint", seen.paints); watch("largest-contentful-paint", seen.largest); watch("longtask", seen.tasks);
})()"""
TELL = """({...window.__rmu, origin: performance.timeOrigin, now: performance.now(),
  parsed: performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd})"""

Message = dict[str, Any]


class Talk(Protocol):
    """A conversation with a browser."""

    def ask(self, method: str, session: str | None = None, **params: Any) -> Message:
        """Give one order and wait for its result; events that come meanwhile are kept for `hear`."""
        ...

    def hear(self, seconds: float) -> Message | None:
        """Take the next event; None where none comes in time."""
        ...

    def now(self) -> float:
        """Tell seconds that never run backwards."""
        ...


def is_page(url: str) -> bool:
    """Tell whether a browser could be sent there."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and all(c.isprintable() and not c.isspace() for c in url)


class Chromium:
    """The Browser of ports.py. `program` is a path; empty: whatever Chromium PATH has."""

    def __init__(self, program: str = "") -> None:
        self._program = program

    def load(self, url: str, phone: Phone, *, patience: timedelta) -> PageLoad:
        """Load a page in a browser that is new."""
        with _browser(self._find()) as talk:
            return load(talk, url, phone, patience=patience)

    def _find(self) -> str:
        found = next(
            (path for name in ([self._program] if self._program else PROGRAMS) if (path := shutil.which(name))), None
        )
        if found is None:
            what = f"there is no program {self._program}" if self._program else "this machine has no Chromium"
            raise Refused(what, state=NOTHING, next="apt-get install chromium   (or name one with --chromium)")
        return found


def load(talk: Talk, url: str, phone: Phone, *, patience: timedelta) -> PageLoad:
    """Open the page in a tab of its own, as that phone, and watch it. Raises Refused, Unreachable."""
    target = talk.ask("Target.createTarget", url="about:blank")["targetId"]
    session = talk.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for method, params in _as_phone(phone).items():
        talk.ask(method, session, **params)
    opened = talk.ask("Page.navigate", session, url=url)
    if opened.get("errorText"):
        raise Unreachable(f"{url} cannot be opened: {opened['errorText']}", state=NOTHING, next=f"curl -v {url}")
    heard = _watch(talk, session, url, opened.get("loaderId", ""), patience)
    return page_load(url, heard, _told(talk, session))


def page_load(url: str, heard: Sequence[Message], told: Mapping[str, Any]) -> PageLoad:
    """Make one load of the network's events and of what the page told."""
    first = next(m["params"] for m in heard if m["method"] == "Network.requestWillBeSent")
    # The network's clock and the page's begin elsewhere; the first request tells both.
    begin = first["timestamp"] - (first["wallTime"] * 1000 - told["origin"]) / 1000
    painted = [start for start, _, name in told["paints"] if name == "first-contentful-paint"]
    return PageLoad(
        url=url,
        transfers=tuple(_transfers(heard, begin)),
        first_paint_ms=min(painted, default=None),
        largest_paint_ms=max((start for start, _, _ in told["largest"]), default=None),
        parsed_ms=told["parsed"] or None,
        long_tasks=tuple((start, end) for start, end, _ in told["tasks"]),
        watched_ms=told["now"],
    )


def _as_phone(phone: Phone) -> dict[str, dict[str, Any]]:
    return {
        "Page.enable": {},
        "Network.enable": {},
        "Network.setCacheDisabled": {"cacheDisabled": True},
        "Network.emulateNetworkConditions": {
            "offline": False,
            "latency": phone.latency / timedelta(milliseconds=1),
            "downloadThroughput": phone.down_kbit * 1000 / 8,
            "uploadThroughput": phone.up_kbit * 1000 / 8,
        },
        "Emulation.setCPUThrottlingRate": {"rate": phone.slower},
        "Emulation.setDeviceMetricsOverride": {"width": 412, "height": 823, "deviceScaleFactor": 1.75, "mobile": True},
        "Page.addScriptToEvaluateOnNewDocument": {"source": COLLECT},
    }


def _watch(talk: Talk, session: str, url: str, loader: str, patience: timedelta) -> list[Message]:
    """Listen until the page has loaded and been quiet, or patience is at its end. Raises Unreachable."""
    heard: list[Message] = []
    flying: set[str] = set()
    loaded, busy = False, talk.now()
    end = busy + patience.total_seconds()
    while talk.now() < end:
        event = talk.hear(0.5)
        if event is None:
            if loaded and len(flying) <= FEW and talk.now() - busy > QUIET_S:
                idle = _idle_for(_told(talk, session))
                if idle > QUIET_S:
                    break
                busy = talk.now() - idle
            continue
        method, params = event["method"], event.get("params", {})
        if not method.startswith(("Network.", "Page.")):
            continue
        heard.append(event)
        loaded = loaded or method == "Page.loadEventFired"
        if method == "Network.requestWillBeSent":
            flying.add(params["requestId"])
            busy = talk.now()
        elif method in {"Network.loadingFinished", "Network.loadingFailed"}:
            flying.discard(params["requestId"])
            busy = talk.now()
        elif method == "Network.responseReceived" and params["type"] == "Document" and params["loaderId"] == loader:
            _welcome(url, params["response"]["status"])
    return heard


def _welcome(url: str, status: int) -> None:
    # How fast an error page comes says nothing about the page.
    if status >= 400:
        raise Unreachable(f"{url} answered {status}", state=NOTHING, next=f"curl -v {url}")


def _told(talk: Talk, session: str) -> dict[str, Any]:
    answer = talk.ask("Runtime.evaluate", session, expression=TELL, returnByValue=True)
    if "exceptionDetails" in answer:
        raise Refused("the page does not tell how it was drawn", state=NOTHING, next="rmu web budget --help")
    told: dict[str, Any] = answer["result"]["value"]
    return told


def _idle_for(told: Mapping[str, Any]) -> float:
    """Tell for how many seconds nothing long has been worked at."""
    last = max((end for _, end, _ in told["tasks"]), default=0.0)
    return float(told["now"] - last) / 1000


def _transfers(heard: Sequence[Message], begin: float) -> Iterator[Transfer]:
    flying: dict[str, tuple[str, float, int]] = {}

    def ended(request: str, at: float | None, size: int) -> Transfer:
        url, began, before = flying.pop(request)
        end = None if at is None else (at - begin) * 1000
        return Transfer(url=url, began_ms=(began - begin) * 1000, ended_ms=end, bytes=before + size)

    for event in heard:
        params, request = event["params"], event["params"].get("requestId", "")
        if event["method"] == "Network.requestWillBeSent" and params["request"]["url"].startswith("http"):
            # A redirect goes on under the same number; the answer that led here was paid for too.
            before = int(params.get("redirectResponse", {}).get("encodedDataLength", 0))
            known = flying.get(request)
            began = known[1] if known else params["timestamp"]
            flying[request] = (params["request"]["url"], began, before + (known[2] if known else 0))
        elif event["method"] in {"Network.loadingFinished", "Network.loadingFailed"} and request in flying:
            yield ended(request, params["timestamp"], int(params.get("encodedDataLength", 0)))
    for request in list(flying):
        yield ended(request, None, 0)


class Pipe:
    """The Talk over two pipes."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self._to, self._back = to, back
        self._number = 0
        self._rest = b""
        self._kept: list[Message] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> Message:
        """Give one order and wait for its result. Raises Refused where the browser is gone, or says no."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        try:
            self._to.write(json.dumps(order).encode() + b"\0")
        except OSError as why:
            raise _gone(method) from why
        until = self.now() + ANSWER_S
        while (left := until - self.now()) > 0:
            message = self._next(left)
            if message is None:
                break
            if message.get("id") == self._number:
                return _result(method, message)
            self._kept.append(message)
        raise Refused(
            f"Chromium did not answer {method} in {ANSWER_S:.0f} s", state=NOTHING, next="rmu web budget --help"
        )

    def hear(self, seconds: float) -> Message | None:
        """Take the next event; None where none comes in time."""
        return self._kept.pop(0) if self._kept else self._next(seconds)

    def now(self) -> float:
        """Tell seconds that never run backwards."""
        return time.monotonic()

    def _next(self, seconds: float) -> Message | None:
        until = self.now() + seconds
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._back], [], [], max(0.0, until - self.now()))
            if not ready:
                return None
            came = os.read(self._back.fileno(), 1 << 16)
            if not came:
                raise _gone("what was asked")
            self._rest += came
        text, self._rest = self._rest.split(b"\0", 1)
        message: Message = json.loads(text)
        return message


def _result(method: str, message: Message) -> Message:
    if "error" in message:
        said = message["error"].get("message", "no reason")
        raise Refused(f"Chromium refused {method}: {said}", state=NOTHING, next="chromium --version")
    result: Message = message.get("result", {})
    return result


def _gone(method: str) -> Refused:
    return Refused(f"Chromium ended before it answered {method}", state=NOTHING, next="chromium --version")


@contextmanager
def _browser(program: str) -> Iterator[Talk]:
    """Run a browser that nobody has used before; it is gone afterwards, with all that it wrote."""
    # As root Chromium has no sandbox to put a page into.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="rmu-chromium-", ignore_cleanup_errors=True) as profile:
        argv = ["/bin/sh", "-c", AS_BROWSER, "sh", program, *sandbox, f"--user-data-dir={Path(profile)}", *FLAGS]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert process.stdin and process.stdout
        try:
            yield Pipe(process.stdin, process.stdout)
        finally:
            # Its renderers are of its group, and end with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdin.close()
            process.stdout.close()
