"""Runs a script beside a page: it sees the page's elements, but in a world of its own, whose builtins no page can turn
against it. What such a script bounds is bounded, and what it throws no page has worded.
"""

from typing import Any

from playwright.async_api import Page

from ratemyunit.scraper.port import Trouble


async def run(page: Page, script: str, given: list[Any]) -> Any:
    """Call a function of JavaScript with what is given; answer what it returns.

    Raises:
        Trouble: it throws, as where a selector is none.
    """
    session = await page.context.new_cdp_session(page)
    frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    world = await session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "reader"})
    asked = {"functionDeclaration": script, "executionContextId": world["executionContextId"], "returnByValue": True}
    answer = await session.send("Runtime.callFunctionOn", {**asked, "arguments": [{"value": given}]})
    if "exceptionDetails" in answer:
        raise Trouble(f"the page cannot be read by its rules ({_first_line(answer['exceptionDetails'])})")
    return answer["result"].get("value")


def _first_line(thrown: dict[str, Any]) -> str:
    said = thrown.get("exception", {}).get("description") or thrown.get("text", "")
    return (str(said).splitlines() or [""])[0]
