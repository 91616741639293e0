"""Open a catalogue page in a real browser and read the units on it. A page is always closed again.

One browser per worker, started when first needed, replaced when it has died or has shown enough pages.
"""

import asyncio
import logging
from collections.abc import Awaitable
from types import TracebackType

from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as BrowserError

from ratemyunit.units import Found

PAGES_PER_BROWSER = 100
PAGE_DEADLINE_MS = 15_000
CLOSE_DEADLINE = 3.0
READ_UNITS = """
cards => cards.slice(0, 5000).map(card => ({
  code: (card.dataset.code || "").trim(),
  title: (card.querySelector("h2, h3")?.textContent || "").trim(),
  description: (card.querySelector("p")?.textContent || "").trim(),
}))
"""

log = logging.getLogger("ratemyunit.catalogue")


class PageUseless(Exception):
    """The page came, but no units could be read from it; the message says why."""


class Catalogues:
    """The worker's browser. Use as an async context manager."""

    def __init__(self, chromium: str) -> None:
        self._chromium = chromium
        self._driver: Playwright | None = None
        self._browser: Browser | None = None
        self._shown = 0

    async def __aenter__(self) -> "Catalogues":
        self._driver = await async_playwright().start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.drop_browser()
        if self._driver:
            await _within(CLOSE_DEADLINE, self._driver.stop(), "the browser's driver")

    async def read(self, url: str) -> list[Found]:
        """Read every unit on the page.

        Raises:
            PageUseless: it answered with an error, or shows no units.
            playwright.async_api.Error: it could not be opened in time, or the browser died.
        """
        browser = await self._ready_browser()
        self._shown += 1
        # A context of its own: no cookie or cache of one site is seen by the next, and closing it closes the page.
        context = await browser.new_context(accept_downloads=False, service_workers="block")
        try:
            context.set_default_timeout(PAGE_DEADLINE_MS)
            page = await context.new_page()
            answer = await page.goto(url, wait_until="load", timeout=PAGE_DEADLINE_MS)
            if answer is None or not answer.ok:
                raise PageUseless(f"the page answered {answer.status if answer else 'nothing'}")
            rows = await page.eval_on_selector_all("article.unit", READ_UNITS)
        finally:
            if not await _within(CLOSE_DEADLINE, context.close(), "the page"):
                self._shown = PAGES_PER_BROWSER  # a browser that cannot close a page opens no other
        return _units(rows)

    @property
    def open_pages(self) -> int:
        """Count the pages open right now."""
        return sum(len(context.pages) for context in self._browser.contexts) if self._browser else 0

    async def drop_browser(self) -> None:
        """Close the browser, if there is one; the next read starts another."""
        browser, self._browser = self._browser, None
        if browser is not None:
            await _within(CLOSE_DEADLINE, browser.close(), "the browser")

    async def _ready_browser(self) -> Browser:
        if self._browser and self._browser.is_connected() and self._shown < PAGES_PER_BROWSER:
            return self._browser
        await self.drop_browser()
        assert self._driver  # noqa: S101 - entered by the context manager
        self._browser = await self._driver.chromium.launch(executable_path=self._chromium, args=["--disable-gpu"])
        self._shown = 0
        log.info("browser started", extra={"fields": {"browser": self._browser.version}})
        return self._browser


async def _within(seconds: float, closing: Awaitable[None], what: str) -> bool:
    # A browser that hangs must not keep the worker from stopping, nor from starting another.
    try:
        async with asyncio.timeout(seconds):
            await closing
        return True
    except (BrowserError, TimeoutError) as why:
        log.warning("could not be closed", extra={"fields": {"what": what, "kind": type(why).__name__}})
        return False


def _units(rows: list[dict[str, str]]) -> list[Found]:
    found = [
        Found(code=row["code"], title=row["title"][:300], description=row["description"].replace("\x00", "")[:20_000])
        for row in rows
        if row["code"] and len(row["code"]) <= 32 and row["title"]
    ]
    if not found:
        raise PageUseless("the page shows no units")
    return found
