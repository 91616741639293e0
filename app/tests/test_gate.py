"""The way out of a page: whatever it wants to reach, the gate is asked; a naive check of the first URL is not."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import sites
from patient import LONG, bounds
from playwright.async_api import Error as BrowserError
from playwright.async_api import Page, async_playwright

from ratemyunit import settings
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.browsers import Pool
from ratemyunit.scraper.gate import Gate

REACHES = {
    "redirect": "",
    "image": "<script>new Image().src = 'INSIDE/image'</script>",
    "script": "<script src='INSIDE/script'></script>",
    "frame": "<iframe src='INSIDE/frame'></iframe>",
    "style": "<link rel=stylesheet href='INSIDE/style'>",
    "fetch": "<script>fetch('INSIDE/fetch', {mode: 'no-cors'}).catch(() => {})</script>",
    "post": "<script>fetch('INSIDE/post', {mode: 'no-cors', method: 'POST', body: 'x'}).catch(() => {})</script>",
    "beacon": "<script>navigator.sendBeacon('INSIDE/beacon', 'x')</script>",
    "form": "<form method=get action='INSIDE/form'></form><script>document.forms[0].submit()</script>",
    "refresh": "<meta http-equiv=refresh content='0; url=INSIDE/refresh'>",
    "location": "<script>location = 'INSIDE/location'</script>",
    "socket": "<script>new WebSocket('INSIDE/socket'.replace('http', 'ws'))</script>",
    "worker": "<script>new Worker(URL.createObjectURL(new Blob([`fetch('INSIDE/worker').catch(() => 0)`])))</script>",
    "events": "<script>new EventSource('INSIDE/events')</script>",
    "media": "<video autoplay src='INSIDE/media'></video>",
    "preload": "<link rel=preload as=fetch href='INSIDE/preload'>",
}


def test_no_part_of_a_page_reaches_inside_where_a_naive_browser_goes_wherever_it_is_sent() -> None:
    async def test(inside: sites.Site, outside: sites.Site) -> None:
        for name, body in REACHES.items():
            outside.answers[f"/{name}"] = sites.page(body.replace("INSIDE", inside.url))
        outside.answers.pop("/redirect")
        outside.redirects["/redirect"] = f"{inside.url}/redirect"

        async with Pool(settings.browser(), bounds()) as pool:
            for name in REACHES:
                async with pool.page(Guard({"127.0.0.1"}, outside.url)) as shown:
                    await look(shown.page, f"{outside.url}/{name}")
                    # Pictures are not even asked for.
                    await until(lambda shown=shown, name=name: shown.gate.refused or name in ("image", "media"))  # type: ignore[misc]
        assert inside.asked == []

        async with async_playwright() as driver:
            naive = await driver.chromium.launch(executable_path=settings.browser())
            for name in ("redirect", "script", "fetch"):
                page = await naive.new_page()
                await look(page, f"{outside.url}/{name}")
                await until(lambda name=name: f"/{name}" in inside.paths)  # type: ignore[misc]
            await naive.close()

    between(test)


def test_a_page_reaches_its_own_site_and_posts_there() -> None:
    async def test(_: sites.Site, outside: sites.Site) -> None:
        outside.answers["/form"] = sites.page(
            "<script>fetch('/taken', {method: 'POST', body: 'x'.repeat(9999)})</script>"
        )
        async with Pool(settings.browser(), bounds()) as pool, pool.page(Guard({"127.0.0.1"}, outside.url)) as shown:
            await look(shown.page, f"{outside.url}/form")
            await until(lambda: "/taken" in outside.paths)
            assert shown.gate.refused == []

    between(test)


def test_a_name_is_asked_once_a_connection_and_only_that_answer_is_reached() -> None:
    async def test(inside: sites.Site, _: sites.Site) -> None:
        port = int(inside.url.rpartition(":")[2])
        asked: list[str] = []

        async def rebinding(host: str, _: int) -> list[str]:
            asked.append(host)
            return ["10.255.255.1"] if len(asked) % 2 else ["127.0.0.1"]

        async with Gate(Guard(resolve=rebinding)) as gate:
            for _ in range(4):
                answer = await through(gate, f"GET http://uni.example:{port}/ HTTP/1.1\r\nHost: uni.example\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 403")
        assert (inside.asked, asked) == ([], [])  # the port alone is enough to refuse

        async with Gate(Guard(resolve=rebinding)) as gate:
            answers = [
                await through(gate, "GET http://uni.example/ HTTP/1.1\r\nHost: uni.example\r\n\r\n") for _ in range(4)
            ]
        assert all(answer.startswith(b"HTTP/1.1 403") for answer in answers)
        assert (inside.asked, asked) == ([], ["uni.example"] * 4)

    between(test)


@pytest.mark.parametrize(
    "head",
    [
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT 2130706433:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT uni.example HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://127.0.0.1/ HTTP/1.1\r\nHost: uni.example\r\n\r\n",
        "GET http://u:p@uni.example/ HTTP/1.1\r\nHost: uni.example\r\n\r\n",
        "GET https://uni.example/ HTTP/1.1\r\nHost: uni.example\r\n\r\n",
        "GET ftp://uni.example/ HTTP/1.1\r\nHost: uni.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_the_gate_refuses_what_a_page_may_not_ask(head: str) -> None:
    async def ask() -> bytes:
        async with Gate(Guard()) as gate:
            return await through(gate, head)

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "garbage", ["\x00\x01\x02", "GET\r\n\r\n", "A" * 200_000, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
)
def test_garbage_ends_the_connection(garbage: str) -> None:
    async def ask() -> bytes:
        async with Gate(Guard()) as gate:
            return await through(gate, garbage)

    assert not asyncio.run(ask()).startswith(b"HTTP/1.1 2")


def test_nothing_passes_a_gate_that_was_closed() -> None:
    async def test(_: sites.Site, outside: sites.Site) -> None:
        outside.answers["/busy"] = sites.page("<script>setInterval(() => fetch('/again').catch(() => {}), 5)</script>")
        async with Pool(settings.browser(), bounds()) as pool, pool.page(Guard({"127.0.0.1"}, outside.url)) as shown:
            await look(shown.page, f"{outside.url}/busy")
            await until(lambda: outside.paths["/again"] > 2)

            async def quiet() -> bool:
                before = outside.paths["/again"]
                await asyncio.sleep(1)
                return outside.paths["/again"] == before

            await shown.gate.__aexit__(None, None, None)
            # What was on its way comes to its end; a page that still had a way out would never be quiet.
            async with asyncio.timeout(LONG):
                while not await quiet():
                    pass

    between(test)


async def through(gate: Gate, said: str) -> bytes:
    """Say something to the gate; answer all that it says."""
    reader, writer = await asyncio.open_connection(*gate.url.removeprefix("http://").split(":"))
    try:
        writer.write(said.encode("latin-1"))
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), LONG)
    except OSError:
        return b""
    finally:
        writer.close()


async def look(page: Page, url: str) -> None:
    """Go there; that it fails is none of our business."""
    try:
        await page.goto(url, wait_until="commit", timeout=LONG * 1000)
    except BrowserError:
        return


async def until(question: Callable[[], object]) -> None:
    """Wait until the answer is yes."""
    async with asyncio.timeout(LONG):
        while not question():
            await asyncio.sleep(0.02)


def between(test: Callable[[sites.Site, sites.Site], Awaitable[None]]) -> None:
    """Run a test with one site that may be read and one that may not."""

    async def all_of_it() -> None:
        with sites.served() as inside, sites.served() as outside:
            await test(inside, outside)

    asyncio.run(asyncio.wait_for(all_of_it(), 3 * LONG))
