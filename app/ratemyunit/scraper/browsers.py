"""A pool of browsers. Each shows one page at a time, in a context and behind a gate of its own; both are closed again
whatever happens, and a browser that could not close them opens no other.

At most two, since a host has one GiB: the second starts only while the first is taken and there is room for it, and
ends when it has been idle. One stays. A browser is replaced when it has died, hangs, has shown enough pages, has grown,
or still holds something of a page that was closed. What happens to one never touches the page of the other.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Playwright, Request, async_playwright
from playwright.async_api import Error as BrowserError

from ratemyunit.scraper import memory
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.fetch import AGENT
from ratemyunit.scraper.gate import Gate
from ratemyunit.scraper.port import Trouble

CLOSE_SECONDS = 3.0
LAUNCH_SECONDS = 30.0
WATCH_SECONDS = 0.3
UPKEEP_SECONDS = 5.0
# Nothing but a page's own gate leads out; this is for what the browser itself may want to ask.
NOWHERE = "http://127.0.0.1:9"
ARGS = [
    "--disable-gpu",
    # Pictures are not read. Scripts get what a catalogue needs: a page that wants more dies alone.
    "--blink-settings=imagesEnabled=false",
    "--js-flags=--max-old-space-size=160",
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
]
# Without a gesture a page opens no window; the driver would let it.
NOT_ARGS = ["--disable-popup-blocking"]

log = logging.getLogger("ratemyunit.browsers")


@dataclass(frozen=True)
class Bounds:
    """How many browsers, how long one is kept, and how much it may take."""

    most: int = 2
    least: int = 1
    idle_seconds: float = 60.0
    pages: int = 100
    # During a page: a browser that takes so much more than it started with is ended, and the page with it. After one:
    # a browser that holds so much more than after its first page is replaced.
    burst_mib: float = 250.0
    grown_mib: float = 100.0
    # What has to be free for a second browser; and below what a page may take only half as much, or the kernel would
    # choose whom to end.
    room_mib: float = 300.0
    tight_mib: float = 64.0


@dataclass(eq=False)
class Running:
    """One browser of the pool."""

    browser: Browser
    session: CDPSession
    process: memory.Process
    born_mib: float
    settled_mib: float | None = None
    shown: int = 0
    taken: bool = True
    idle_since: float = field(default_factory=time.monotonic)

    async def mib(self) -> float:
        """Measure what all its processes take."""
        return await asyncio.to_thread(lambda: memory.mib(memory.family(self.process)))

    async def left_open(self) -> int:
        """Ask the browser itself how many pages and contexts are open in it."""
        targets = await self.session.send("Target.getTargets")
        contexts = await self.session.send("Target.getBrowserContexts")
        pages = [one for one in targets["targetInfos"] if one["type"] == "page"]
        return len(pages) + len(contexts["browserContextIds"])


@dataclass(eq=False)
class Shown:
    """A page to be read, and the gate it is behind. `broken` is set when the page itself broke off on its way."""

    page: Page
    gate: Gate
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        # The driver goes on waiting for such a page to load.
        self.page.on("requestfailed", self._failed)
        self.page.on("crash", lambda _: self.broken.set())

    def _failed(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self.broken.set()


class Pool:
    """The worker's browsers. Use as an async context manager."""

    def __init__(self, chromium: str, bounds: Bounds | None = None) -> None:
        self._chromium = chromium
        self._bounds = bounds or Bounds()
        self._driver: Playwright | None = None
        self._all: list[Running] = []
        self._places = asyncio.Semaphore(self._bounds.most)
        self._starting = asyncio.Lock()
        self._unfinished: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Pool":
        self._upkeep = asyncio.create_task(self._keep_up())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self._upkeep.cancel()
        await asyncio.gather(self._upkeep, *map(self._retire, list(self._all)), return_exceptions=True)
        if self._unfinished:
            await asyncio.wait(self._unfinished, timeout=CLOSE_SECONDS)
        await self._stop_driver()

    @property
    def open_pages(self) -> int:
        """Count the pages open right now, as the driver knows them."""
        return sum(len(context.pages) for one in self._all for context in one.browser.contexts)

    @property
    def browsers(self) -> list[Running]:
        """List the browsers that run."""
        return list(self._all)

    @property
    def has_room(self) -> bool:
        """Tell whether a page could be opened now without taking memory that is not there."""
        if any(not one.taken for one in self._all) or not self._all:
            return True
        return len(self._all) < self._bounds.most and memory.room_mib() >= self._bounds.room_mib

    @asynccontextmanager
    async def page(self, guard: Guard) -> AsyncIterator[Shown]:
        """Open a page that can reach what the guard admits; it is closed when this ends, however it ends.

        Raises:
            Trouble: the browser could not be started, died, or grew too much; or the page is too big.
        """
        async with self._places, self._taken() as running, Gate(guard) as gate:
            try:
                async with self._watched(running), self._context(running, gate) as context:
                    yield Shown(await context.new_page(), gate)
            except BrowserError as why:
                if not running.process.alive:
                    raise Trouble("the browser died") from why
                raise

    @asynccontextmanager
    async def _context(self, running: Running, gate: Gate) -> AsyncIterator[BrowserContext]:
        # A context of its own: no cookie or cache of one site is seen by the next, and closing it closes the page.
        context = await running.browser.new_context(
            proxy={"server": gate.url}, accept_downloads=False, service_workers="block", user_agent=AGENT
        )
        context.on("page", self._close_popup)
        try:
            yield context
        finally:
            # The gate still stands: a page that waits for its network does not hold up its own end.
            if not running.process.alive or not await within(CLOSE_SECONDS, context.close(), "the page"):
                running.shown = self._bounds.pages

    def _close_popup(self, page: Page) -> None:
        # The first page of a context is ours, opened by new_page; whatever opens beside it is not.
        if len(page.context.pages) > 1:
            self._remember(within(CLOSE_SECONDS, page.close(), "a popup"))

    @asynccontextmanager
    async def _watched(self, running: Running) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None) as patience:
                watch = asyncio.create_task(self._end_when_burst(running, patience))
                try:
                    yield
                finally:
                    watch.cancel()
                    await asyncio.gather(watch, return_exceptions=True)
        except (BrowserError, TimeoutError) as why:
            if not watch.cancelled():
                raise Trouble(watch.result()) from why
            raise

    async def _end_when_burst(self, running: Running, patience: asyncio.Timeout) -> str:
        """End a browser that grows too much. Whoever waits for it waits no more: the driver may never tell."""
        ended = "the browser died"
        while running.process.alive:
            if await running.mib() - running.born_mib > await self._allowed_mib():
                ended = "the page took more memory than a page may"
                memory.kill(await asyncio.to_thread(memory.family, running.process))
                break
            await asyncio.sleep(WATCH_SECONDS)
        patience.reschedule(asyncio.get_running_loop().time())
        return ended

    async def _allowed_mib(self) -> float:
        tight = await asyncio.to_thread(memory.room_mib) < self._bounds.tight_mib
        return self._bounds.burst_mib / (2 if tight else 1)

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[Running]:
        running = await self._take()
        running.shown += 1
        try:
            yield running
        finally:
            await self._let_go(running)

    async def _take(self) -> Running:
        # One at a time: two jobs that both find no browser must not both start one, and none takes another's.
        async with self._starting:
            for running in [one for one in self._all if not one.taken]:
                running.taken = True
                if await self._fit(running):
                    return running
                await self._retire(running)
            return await self._start()

    async def _let_go(self, running: Running) -> None:
        if await self._fit(running) and not await self._grown(running):
            running.taken, running.idle_since = False, time.monotonic()
        else:
            await self._retire(running)

    async def _fit(self, running: Running) -> bool:
        """Ask a browser whether it lives, answers, and holds nothing of a page that was closed."""
        if running.shown >= self._bounds.pages or not running.browser.is_connected():
            return False
        with suppress(BrowserError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                return await running.left_open() == 0
        return False

    async def _grown(self, running: Running) -> bool:
        now = await running.mib()
        if running.settled_mib is None:
            running.settled_mib = now
        return now > running.settled_mib + self._bounds.grown_mib

    async def _start(self) -> Running:
        launch: asyncio.Task[Running] = self._remember(self._launched())
        try:
            async with asyncio.timeout(LAUNCH_SECONDS):
                running = await asyncio.shield(launch)
        except asyncio.CancelledError:
            launch.add_done_callback(self._disown)
            raise
        except (BrowserError, TimeoutError) as why:
            launch.add_done_callback(self._disown)
            # The driver may be what is broken; the next start gets a new one, unless another browser hangs on this.
            if not self._all:
                await self._stop_driver()
            raise Trouble("the browser could not be started") from why
        self._all.append(running)
        log.info("browser started", extra={"fields": {"browser": running.browser.version, "running": len(self._all)}})
        return running

    def _remember(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # The loop itself holds tasks only weakly.
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    def _disown(self, launch: asyncio.Task[Running]) -> None:
        """End a browser that comes up when nobody waits for it any more: the driver cannot be told to forget it."""
        if not launch.cancelled() and launch.exception() is None:
            self._remember(self._retire(launch.result()))

    async def _launched(self) -> Running:
        if self._driver is None:
            self._driver = await async_playwright().start()
        browser = await self._driver.chromium.launch(
            executable_path=self._chromium, args=ARGS, ignore_default_args=NOT_ARGS, proxy={"server": NOWHERE}
        )
        try:
            session = await browser.new_browser_cdp_session()
            listed = await session.send("SystemInfo.getProcessInfo")
            process = memory.process(next(one["id"] for one in listed["processInfo"] if one["type"] == "browser"))
        except BaseException:
            await within(CLOSE_SECONDS, browser.close(), "a browser that did not start well")
            raise
        if process is None:
            raise BrowserError("the browser died while it started")
        born = await asyncio.to_thread(lambda: memory.mib(memory.family(process)))
        return Running(browser, session, process, born)

    async def _retire(self, running: Running) -> None:
        """End a browser and all its processes, whether or not it still listens."""
        if running in self._all:
            self._all.remove(running)
        family = await asyncio.to_thread(memory.family, running.process)
        await within(CLOSE_SECONDS, running.browser.close(), "the browser")
        memory.kill(family)

    async def _stop_driver(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            await within(CLOSE_SECONDS, driver.stop(), "the browser's driver")

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(min(UPKEEP_SECONDS, self._bounds.idle_seconds))
            async with self._starting:
                for running in self._spare():
                    await self._retire(running)

    def _spare(self) -> list[Running]:
        """List the browsers that have been idle for long, but for those that stay."""
        since = time.monotonic() - self._bounds.idle_seconds
        idle = [one for one in self._all if not one.taken and one.idle_since <= since]
        return idle[: max(0, len(self._all) - self._bounds.least)]


async def within(seconds: float, closing: Awaitable[Any], what: str) -> bool:
    """Close something, but wait for it no longer than this: what hangs must not keep the worker from stopping."""
    try:
        async with asyncio.timeout(seconds):
            await closing
        return True
    except (BrowserError, TimeoutError) as why:
        log.warning("could not be closed", extra={"fields": {"what": what, "kind": type(why).__name__}})
        return False
