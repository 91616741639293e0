"""Scraping with a real browser: pages are closed whatever happens, and units are stored whole."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import Cluster
from playwright.async_api import Error as BrowserError
from sqlalchemy import text

from ratemyunit import catalogue, fixture, settings, units
from ratemyunit import database as pool
from ratemyunit.catalogue import Catalogues, PageUseless

Reading = Callable[[Catalogues, str], Coroutine[None, None, None]]


def test_units_drawn_by_a_script_are_read_and_the_page_is_closed() -> None:
    async def read(catalogues: Catalogues, site: str) -> None:
        found = await catalogues.read(f"{site}/good")
        assert [unit.code for unit in found] == [code for code, _, _ in fixture.UNITS]
        assert catalogues.open_pages == 0

    with_browser(read)


@pytest.mark.parametrize(
    ("path", "why"), [("empty", "shows no units"), ("missing", "answered 404"), ("broken", "shows no units")]
)
def test_a_useless_page_is_named_and_closed(path: str, why: str) -> None:
    async def read(catalogues: Catalogues, site: str) -> None:
        with pytest.raises(PageUseless, match=why):
            await catalogues.read(f"{site}/{path}")
        assert catalogues.open_pages == 0

    with_browser(read)


def test_a_page_that_never_ends_is_closed_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "PAGE_DEADLINE_MS", 700)  # fifteen seconds, in less

    async def read(catalogues: Catalogues, site: str) -> None:
        with pytest.raises(BrowserError, match="Timeout"):
            await catalogues.read(f"{site}/silent")
        assert catalogues.open_pages == 0

    with_browser(read)


def test_a_browser_that_died_is_replaced() -> None:
    async def read(catalogues: Catalogues, site: str) -> None:
        await catalogues.read(f"{site}/good")
        first = catalogues._browser
        assert first
        session = await first.new_browser_cdp_session()
        with pytest.raises(BrowserError):
            await session.send("Browser.crash")
        while first.is_connected():
            await asyncio.sleep(0.05)

        assert await catalogues.read(f"{site}/good")
        assert catalogues._browser is not first

    with_browser(read)


def test_a_browser_is_replaced_after_enough_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "PAGES_PER_BROWSER", 2)

    async def read(catalogues: Catalogues, site: str) -> None:
        seen = []
        for _ in range(3):
            await catalogues.read(f"{site}/good")
            seen.append(catalogues._browser)
        assert seen[0] is seen[1]
        assert seen[1] is not seen[2]
        assert seen[1] and not seen[1].is_connected()

    with_browser(read)


def test_a_second_scrape_updates_what_changed_and_keeps_the_ids(cluster: Cluster, database: str) -> None:
    engine = pool.engine(cluster.url(database))
    old, same = units.Found("A1", "Old title", ""), units.Found("B1", "Same", "")
    with engine.begin() as connection:
        units.store(connection, "U", [old, same])
        connection.execute(text("update units set updated_at = '2000-01-01Z'"))
        before = {unit["code"]: unit for unit in units.search(connection, "", most=9)}

    with engine.begin() as connection:
        count = units.store(connection, "U", [units.Found("A1", "New title", ""), same, same])
        after = {unit["code"]: unit for unit in units.search(connection, "", most=9)}
    engine.dispose()

    assert count == 2
    assert (after["A1"]["id"], after["A1"]["title"]) == (before["A1"]["id"], "New title")
    assert after["A1"]["updated_at"] > before["A1"]["updated_at"]
    assert after["B1"] == before["B1"]


PAGES = {
    "/good": fixture.catalogue(),
    "/empty": "<html><body>no units today</body></html>",
    "/broken": '<article class="unit" data-code=""><h2>No code</h2></article>'
    f'<article class="unit" data-code="{"X" * 33}"><h2>Too long</h2></article>'
    '<article class="unit" data-code="C1"></article>',
}


class _Site(BaseHTTPRequestHandler):
    silent = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/silent":
            self.silent.wait(20)
        body = PAGES.get(self.path, "no such page").encode()
        self.send_response(200 if self.path in PAGES else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def site() -> Iterator[str]:
    """Serve the pages on loopback."""
    _Site.silent.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        _Site.silent.set()
        server.shutdown()
        server.server_close()


def with_browser(reading: Reading) -> None:
    """Run one reading with a browser and the site."""

    async def all_of_it() -> None:
        with site() as url:
            async with Catalogues(settings.browser()) as catalogues:
                await reading(catalogues, url)

    asyncio.run(asyncio.wait_for(all_of_it(), 30))
