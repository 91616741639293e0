"""The pool of browsers, on real ones: BUG-CRITICAL-001, 003 and 005, each beside the version that has the bug."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import sites
from patient import LONG, bounds
from playwright.async_api import Browser, Page, Playwright, async_playwright
from playwright.async_api import Error as BrowserError

from ratemyunit import settings
from ratemyunit.scraper import browsers, memory
from ratemyunit.scraper.adapters.pages import unspoiled
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.browsers import Bounds, Pool, Running
from ratemyunit.scraper.fetch import TooBig
from ratemyunit.scraper.port import Trouble

Test = Callable[["Ground"], Awaitable[None]]


class Ground:
    """A site and a pool that may read it."""

    def __init__(self, site: sites.Site, pool: Pool) -> None:
        self.site, self.pool = site, pool

    @asynccontextmanager
    async def at(self, path: str = "/catalogue", seconds: float = LONG) -> AsyncIterator[Page]:
        """Show a page of the site."""
        async with self.pool.page(Guard({"127.0.0.1"}, self.site.url + path)) as shown:
            await unspoiled(shown, shown.page.goto(self.site.url + path, timeout=seconds * 1000))
            yield shown.page

    async def read(self, path: str = "/catalogue", seconds: float = LONG) -> Running:
        """Show a page for a moment; answer which browser it was in."""
        async with self.at(path, seconds):
            return next(one for one in self.pool.browsers if one.taken)


def on(test: Test, within: Bounds | None = None) -> None:
    """Run a test, and see that it leaves no process."""

    async def all_of_it() -> None:
        with sites.served() as site:
            async with Pool(settings.browser(), within or bounds()) as pool:
                await test(Ground(site, pool))
                family = [one for running in pool.browsers for one in memory.family(running.process)]
            await gone(*family)

    asyncio.run(asyncio.wait_for(all_of_it(), 3 * LONG))


async def gone(*processes: memory.Process) -> None:
    """Wait for the end of processes that were ended: a busy kernel takes its time."""
    async with asyncio.timeout(LONG):
        while [one for one in processes if one.alive]:
            await asyncio.sleep(0.02)


# BUG-CRITICAL-001: two jobs share one browser; each may start another, and close the one that the other is using.


class NaiveShared:
    """The browser as one global, as the first version had it."""

    def __init__(self, driver: Playwright, most: int) -> None:
        self._driver, self._most = driver, most
        self.started: list[Browser] = []
        self._browser: Browser | None = None
        self._shown = 0

    async def page(self) -> Page:
        """Open a page, and start or replace the browser where that seems due."""
        if self._browser is None:
            self._browser = await self._driver.chromium.launch(executable_path=settings.browser())
            self.started.append(self._browser)
        self._shown += 1
        if self._shown > self._most:
            await self._browser.close()
            self._browser, self._shown = None, 0
            return await self.page()
        return await self._browser.new_page()


async def naive_001() -> tuple[int, bool]:
    """Run the naive version; answer how many browsers two jobs started, and whether one lost its page to the other."""
    async with async_playwright() as driver:
        shared = NaiveShared(driver, most=2)
        first, _ = await asyncio.gather(shared.page(), shared.page())
        second = await shared.page()  # one page too many: the browser is replaced beneath whoever uses it
        lost = [page for page in (first, _) if page.is_closed()]
        assert not second.is_closed()
        started = len(shared.started)
        for browser in shared.started:
            await browser.close()
        return started, bool(lost)


def test_bug_critical_001_the_naive_version_starts_too_many_and_closes_a_page_in_use() -> None:
    assert asyncio.run(naive_001()) == (3, True)


def test_bug_critical_001_two_jobs_have_a_browser_each_and_neither_touches_the_others_page() -> None:
    async def test(ground: Ground) -> None:
        async with ground.at() as first, ground.at() as second:
            assert len(ground.pool.browsers) == 2
            assert first.context.browser is not second.context.browser
            assert not first.is_closed()
        # One page was the last that each might show; both were replaced only after their pages were closed.
        assert ground.pool.browsers == []
        await asyncio.gather(*(ground.read() for _ in range(4)))
        assert ground.pool.open_pages == 0

    on(test, bounds(pages=1))


def test_bug_critical_001_jobs_that_come_at_once_start_no_more_than_two() -> None:
    async def test(ground: Ground) -> None:
        most = 0

        async def one() -> None:
            nonlocal most
            async with ground.at():
                most = max(most, len(ground.pool.browsers), sum(b.taken for b in ground.pool.browsers))

        await asyncio.gather(*(one() for _ in range(6)))
        assert (most, len(ground.pool.browsers)) == (2, 2)

    on(test)


def test_bug_critical_001_a_browser_that_dies_takes_no_other_with_it() -> None:
    async def test(ground: Ground) -> None:
        async with ground.at() as safe:
            with pytest.raises((Trouble, BrowserError)):
                async with ground.at() as doomed:
                    (dying,) = [b for b in ground.pool.browsers if b.browser is doomed.context.browser]
                    os.kill(dying.process.pid, signal.SIGKILL)
                    await doomed.evaluate("new Promise(() => {})")
            assert await safe.evaluate("document.title") == "Catalogue"
            assert dying not in ground.pool.browsers
        await ground.read()

    on(test)


# BUG-CRITICAL-003: a page stays open where reading it raises.


async def naive_003(browser: Browser) -> None:
    """Read as the first version did: the page is closed when all went well."""
    page = await browser.new_page()
    await page.set_content("<p>No units today")
    raise ValueError("no units")
    await page.close()


def test_bug_critical_003_a_page_is_closed_whatever_is_raised_where_the_naive_version_leaks_it() -> None:
    async def test(ground: Ground) -> None:
        running = await ground.read()
        assert await running.left_open() == 0
        for raised in (ValueError("no units"), KeyError("x"), asyncio.CancelledError(), RuntimeError("bug")):
            with pytest.raises(type(raised)):
                async with ground.at():
                    raise raised
            assert (ground.pool.browsers, await running.left_open()) == ([running], 0)

        with pytest.raises(ValueError, match="no units"):
            await naive_003(running.browser)
        assert await running.left_open() > 0

    on(test)


def test_bug_critical_003_a_browser_in_which_something_stayed_open_is_replaced() -> None:
    async def test(ground: Ground) -> None:
        first = await ground.read()
        await first.browser.new_page()

        assert await ground.read() is not first
        await gone(first.process)

    on(test)


def test_bug_critical_003_a_page_that_is_cancelled_while_it_opens_is_closed() -> None:
    async def test(ground: Ground) -> None:
        running = await ground.read()
        for delay in (0.0, 0.002, 0.01, 0.03, 0.1):
            opening = asyncio.create_task(ground.read("/hostile/silent"))
            await asyncio.sleep(delay)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        assert (ground.pool.open_pages, await running.left_open()) == (0, 0)

    on(test)


def test_bug_critical_003_a_browser_that_comes_up_when_nobody_waits_any_more_is_ended() -> None:
    async def test(ground: Ground) -> None:
        await ground.read()
        ourselves = memory.process(os.getpid())
        assert ourselves
        (running,) = ground.pool.browsers
        await ground.pool._retire(running)
        for delay in (0.01, 0.1, 0.3):
            opening = asyncio.create_task(ground.read())
            await asyncio.sleep(delay)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        while ground.pool._unfinished:
            await asyncio.sleep(0.05)

        kept = {one for running in ground.pool.browsers for one in memory.family(running.process)}
        await gone(*(one for one in memory.family(ourselves) if is_browser(one) and one not in kept))

    on(test)


def is_browser(process: memory.Process) -> bool:
    """Tell a browser's process by its command."""
    with suppress(OSError):  # it may have ended meanwhile
        return b"--remote-debugging-pipe" in (memory.PROC / str(process.pid) / "cmdline").read_bytes()
    return False


# BUG-CRITICAL-005: the count of pages outlives the browser that it was about.


class NaiveCount:
    """One count for whatever browser is there, as the first version had it: it falls to zero only after the last."""

    def __init__(self, most: int) -> None:
        self._most, self._shown = most, 0
        self.browser = 1

    def shows(self, *, dies: bool = False) -> int:
        """Show a page; answer in which browser, by number."""
        if self._shown >= self._most:
            self.browser, self._shown = self.browser + 1, 0
        self._shown += 1
        used = self.browser
        if dies:
            self.browser += 1  # replaced, but the count goes on
        return used


def test_bug_critical_005_the_naive_count_ends_a_new_browser_early() -> None:
    naive = NaiveCount(most=3)

    seen = [naive.shows(), naive.shows(dies=True), naive.shows(), naive.shows(), naive.shows()]

    assert seen == [1, 1, 2, 3, 3]


def test_bug_critical_005_a_new_browser_begins_to_count_at_nothing() -> None:
    async def test(ground: Ground) -> None:
        first = await ground.read()
        with pytest.raises((Trouble, BrowserError)):
            async with ground.at() as page:
                os.kill(first.process.pid, signal.SIGKILL)
                await page.evaluate("new Promise(() => {})")

        seen = [await ground.read() for _ in range(4)]
        assert seen[0] is seen[1] is seen[2] is not first
        assert seen[3] is not seen[2]
        await gone(seen[2].process)

    on(test, bounds(pages=3))


# Health, memory and idleness.


def test_a_browser_that_hangs_is_ended_with_all_its_processes_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(ground: Ground) -> None:
        first = await ground.read()
        monkeypatch.setattr(browsers, "CLOSE_SECONDS", 0.5)  # three seconds, in less
        family = memory.family(first.process)
        for one in family:
            os.kill(one.pid, signal.SIGSTOP)

        assert await ground.read() is not first
        assert len(family) > 2
        await gone(*family)

    on(test)


def test_a_browser_that_has_grown_is_replaced_and_one_that_has_not_is_kept() -> None:
    async def test(ground: Ground) -> None:
        first = await ground.read()
        assert await ground.read() is first
        assert first.settled_mib
        first.settled_mib -= 1_000

        await ground.read()
        assert first not in ground.pool.browsers

    on(test)


def test_a_page_that_takes_too_much_memory_is_ended_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "WATCH_SECONDS", 0.05)

    async def test(ground: Ground) -> None:
        hungry = "<script>const all = []; for (;;) all.push(new Uint8Array(8 << 20).fill(7))</script>"
        ground.site.answers["/hungry"] = sites.page(hungry)

        with pytest.raises(Trouble, match="more memory|broke off|browser died"):
            await ground.read("/hungry")
        assert ground.pool.open_pages == 0

    on(test, bounds(burst_mib=120))


def test_who_waits_for_a_browser_that_died_waits_no_more() -> None:
    async def test(ground: Ground) -> None:
        with pytest.raises(Trouble, match="browser died"):
            async with ground.at():
                memory.kill(memory.family(ground.pool.browsers[0].process))
                await asyncio.Event().wait()  # as for a driver that never tells
        assert ground.pool.open_pages == 0

    on(test)


def test_a_page_may_take_half_as_much_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(settings.browser(), Bounds(burst_mib=250, tight_mib=64))
    monkeypatch.setattr(memory, "room_mib", lambda: 65.0)
    assert asyncio.run(pool._allowed_mib()) == 250
    monkeypatch.setattr(memory, "room_mib", lambda: 63.0)
    assert asyncio.run(pool._allowed_mib()) == 125


def test_the_room_is_the_machines_or_the_containers_own_less_what_files_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 512000 kB\n")
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.room_mib() == 500

    (tmp_path / "memory.max").write_text(f"{600 << 20}\n")
    (tmp_path / "memory.current").write_text(f"{400 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {50 << 20}\n")
    assert memory.room_mib() == 250

    (tmp_path / "memory.max").write_text("max\n")
    assert memory.room_mib() == 500


def test_the_second_browser_ends_when_it_has_been_idle_and_the_first_stays() -> None:
    async def test(ground: Ground) -> None:
        async with ground.at(), ground.at():
            both = ground.pool.browsers
            assert len(both) == 2

        while sum(one.process.alive for one in both) > 1:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.6)
        assert len(ground.pool.browsers) == 1
        assert sum(one.process.alive for one in both) == 1

    on(test, bounds(idle_seconds=0.2))


def test_a_second_browser_starts_only_where_there_is_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room_mib", lambda: 299.0)

    async def test(ground: Ground) -> None:
        assert ground.pool.has_room
        async with ground.at():
            assert not ground.pool.has_room
            monkeypatch.setattr(memory, "room_mib", lambda: 301.0)
            assert ground.pool.has_room
        assert ground.pool.has_room

    on(test)


def test_a_browser_that_cannot_start_is_trouble_and_the_next_one_may() -> None:
    async def test(ground: Ground) -> None:
        right, ground.pool._chromium = ground.pool._chromium, "/bin/false"
        with pytest.raises(Trouble, match="could not be started"):
            await ground.read()
        ground.pool._chromium = right

        await ground.read()

    on(test)


# Pages that mean harm. Each ends, and the browser shows the next page.


@pytest.mark.parametrize(
    "path", [*(p for p in sites.HOSTILE if p != "/hostile/memory"), "/hostile/silent", "/hostile/redirects"]
)
def test_a_hostile_page_leaves_nothing_open(pooled: Ground, path: str, run: Callable[[Awaitable[None]], None]) -> None:
    async def hostile() -> None:
        try:
            async with pooled.at(path, seconds=1) as page:
                await page.wait_for_timeout(200)
        except (BrowserError, Trouble):
            pass
        assert pooled.pool.open_pages == 0
        assert [await one.left_open() for one in pooled.pool.browsers] in ([], [0])
        await pooled.read()

    run(hostile())


def test_a_page_that_is_too_big_is_broken_off_long_before_its_end(
    pooled: Ground, run: Callable[[Awaitable[None]], None]
) -> None:
    async def huge() -> None:
        with pytest.raises(TooBig):
            await pooled.read("/hostile/huge")

    run(huge())


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Keep one loop for the tests that share a pool."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def run(loop: asyncio.AbstractEventLoop) -> Callable[[Awaitable[None]], None]:
    """Run something in that loop."""
    return lambda what: loop.run_until_complete(asyncio.wait_for(what, LONG))


@pytest.fixture(scope="module")
def pooled(loop: asyncio.AbstractEventLoop) -> Iterator[Ground]:
    """Keep one pool for the tests that do no harm to it."""
    with sites.served() as site:
        pool = loop.run_until_complete(Pool(settings.browser(), bounds()).__aenter__())
        yield Ground(site, pool)
        loop.run_until_complete(pool.__aexit__(None, None, None))
