"""Runs a script beside a page: it sees the page's elements, but in a world of its own, whose builtins no page can turn
against it. What such a script bounds is bounded, and what it throws no page has worded.
"""

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

from ratemyunit.scraper.addresses import LONGEST_URL
from ratemyunit.scraper.port import Trouble


@dataclass(frozen=True)
class Seen:
    """What a script returned, and the address that the page was loaded from: not what it calls itself since."""

    at: str
    value: Any


# The longest address that is asked, and one more.
AT = f"(performance.getEntriesByType('navigation')[0]?.name ?? location.href).slice(0, {LONGEST_URL + 1})"


async def run(page: Page, script: str, given: list[Any]) -> Seen:
    """Call a function of JavaScript with what is given; answer what it returns.

    Raises:
        Trouble: it throws, as where a selector is none.
    """
    session = await page.context.new_cdp_session(page)
    frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    world = await session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "reader"})
    called = f"given => ({{at: {AT}, value: ({script})(given)}})"
    asked = {"functionDeclaration": called, "executionContextId": world["executionContextId"], "returnByValue": True}
    answer = await session.send("Runtime.callFunctionOn", {**asked, "arguments": [{"value": given}]})
    if "exceptionDetails" in answer:
        raise Trouble(f"the page cannot be read by its rules ({_first_line(answer['exceptionDetails'])})")
    return Seen(**answer["result"]["value"])


def _first_line(thrown: dict[str, Any]) -> str:
    said = thrown.get("exception", {}).get("description") or thrown.get("text", "")
    return (str(said).splitlines() or [""])[0]
