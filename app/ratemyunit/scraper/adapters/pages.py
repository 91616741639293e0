"""Pages that a real browser reads: lists and tables of HTML, and pages that carry their data as JSON in a script."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

from playwright.async_api import Error as BrowserError
from playwright.async_api import Request

from ratemyunit.scraper import patterns
from ratemyunit.scraper.adapters import Means, beside, documents
from ratemyunit.scraper.adapters.units import LONGEST_DESCRIPTION, MOST_LINKS, MOST_UNITS, followed, reading
from ratemyunit.scraper.addresses import LONGEST_URL
from ratemyunit.scraper.browsers import Shown
from ratemyunit.scraper.fetch import TooBig, refuse_status
from ratemyunit.scraper.port import Job, Reading, Trouble

# Next.js keeps a page's data here, and with it most of today's handbooks.
SCRIPT = "#__NEXT_DATA__"
MOST_SCRIPT = 4 << 20
# Of all units together: one long text may lie in each of them.
MOST_TEXT = 8 << 20
LONGEST = LONGEST_DESCRIPTION + 1
AFTERWORD_SECONDS = 1.0

READ = """
([rules, mostUnits, mostLinks, longest, longestUrl, mostText]) => {
  let left = mostText;
  const cut = (value, most) => {
    const text = String(value || "").trim().slice(0, most);
    left -= text.length;
    return left < 0 ? "" : text;
  };
  const text = (within, rule) => {
    const at = rule.lastIndexOf("@");
    const selector = at < 0 ? rule : rule.slice(0, at);
    const element = selector ? within.querySelector(selector) : within;
    return cut(at < 0 ? element?.textContent : element?.getAttribute(rule.slice(at + 1)), longest);
  };
  const href = link => cut(link.getAttribute("href"), longestUrl + 1);
  const seen = {
    base: cut(document.baseURI, longestUrl + 1),
    rows: [...document.querySelectorAll(rules.units)].slice(0, mostUnits + 1).map(unit => ({
      code: text(unit, rules.code), title: text(unit, rules.title), description: text(unit, rules.description),
    })),
    next: [...document.querySelectorAll(rules.next)].slice(0, 1).map(href),
    links: rules.follow ? [...document.querySelectorAll("a[href]")].slice(0, mostLinks + 1).map(href) : [],
  };
  return left < 0 ? null : seen;
}
"""

SCRIPT_TEXT = "([script, most]) => document.querySelector(script)?.textContent.slice(0, most) ?? null"


class Html:
    """A list of units as cards, rows of a table, or what selectors say; with a link to the next page, perhaps."""

    async def read(self, job: Job, means: Means) -> Reading:
        """Read the units on the page, and where it leads on."""
        rules = job.rules
        asked = {
            "units": rules.units or "article.unit",
            "code": rules.code or "@data-code",
            "title": rules.title or "h2, h3",
            "description": rules.description or "p",
            "next": rules.next or "a[rel=next], link[rel=next]",
            "follow": rules.follow,
        }
        async with means.browsers.page(means.guard) as shown:
            given = [asked, MOST_UNITS, MOST_LINKS, LONGEST, LONGEST_URL, MOST_TEXT]
            seen = (await unspoiled(shown, _seen(shown, job.url, means, READ, given))).value
        if seen is None:
            raise TooBig(f"the page's units hold more text than {MOST_TEXT >> 20} MiB")
        links = followed(job, seen["base"], seen["next"], job.kind)
        pages = followed(job, seen["base"], seen["links"], rules.follow_kind)
        return reading(job, seen["rows"], [*links, *(one for one in pages if patterns.matches(rules.follow, one.url))])


class Embedded:
    """A page that carries its data as JSON in a script, as handbooks made with Next.js do."""

    async def read(self, job: Job, means: Means) -> Reading:
        """Read the units in the script."""
        script = job.rules.script or SCRIPT
        async with means.browsers.page(means.guard) as shown:
            seen = await unspoiled(shown, _seen(shown, job.url, means, SCRIPT_TEXT, [script, MOST_SCRIPT]))
        text = seen.value
        if text is None:
            raise Trouble("the page has no script with data")
        if len(text) >= MOST_SCRIPT:
            raise TooBig(f"the page's data is bigger than {MOST_SCRIPT >> 20} MiB")
        try:
            return documents.read(job, json.loads(text), seen.at)
        except (ValueError, RecursionError) as why:
            raise Trouble("the page's data is no JSON") from why


async def unspoiled(shown: Shown, seeing: Coroutine[Any, Any, Any]) -> Any:
    """Wait for what is read of a page, but no longer once it weighs too much, broke off, or crashed."""
    reading_it = asyncio.ensure_future(seeing)
    ends = [asyncio.ensure_future(event.wait()) for event in (shown.gate.too_big, shown.broken)]
    try:
        await asyncio.wait([reading_it, *ends], return_when=asyncio.FIRST_COMPLETED)
        if shown.gate.too_big.is_set():
            raise TooBig("the page weighs more than a page may")
        if shown.broken.is_set():
            # The driver mostly knows why, and says so a moment later.
            await asyncio.wait([reading_it], timeout=AFTERWORD_SECONDS)
            if not reading_it.done():
                raise Trouble("the page broke off, or crashed")
        return await reading_it
    finally:
        for task in (reading_it, *ends):
            task.cancel()
        await asyncio.gather(reading_it, *ends, return_exceptions=True)


async def _seen(shown: Shown, url: str, means: Means, script: str, given: list[Any]) -> beside.Seen:
    try:
        async with asyncio.timeout(means.page_seconds):
            answer = await shown.page.goto(url, wait_until="load", timeout=0)
            if answer is None:
                raise Trouble("the page answered nothing")
            refuse_status(answer.status)
            for hop in _led(answer.request):
                await means.admit(hop)
            seen = await beside.run(shown.page, script, given)
            await _admit_at(seen.at, means)
            return seen
    except TimeoutError as why:
        raise Trouble(f"the page was not there within {means.page_seconds:g} s") from why
    except BrowserError as why:
        if shown.gate.refused:
            raise Trouble("the page leads to an address that may not be asked") from why
        raise


def _led(last: Request) -> Iterator[str]:
    """Name the places through which redirects led, the last one first."""
    hop: Request | None = last
    while hop is not None:
        yield _plain(hop.url)
        hop = hop.redirected_from


async def _admit_at(at: str, means: Means) -> None:
    # A script may have led on to another page since, or to the browser's own that says why there is none.
    if not at.startswith("http"):
        raise Trouble("the page led away while it was read")
    await means.admit(_plain(at))


def _plain(url: str) -> str:
    return url.partition("#")[0]
