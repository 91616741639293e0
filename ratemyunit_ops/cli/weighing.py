"""What `rmu web budget` does: each page is loaded a few times, summed up and held to its limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Frozen
from ratemyunit_ops.outside.chromium import Chromium, is_page
from ratemyunit_ops.ports import Browser, Phone
from ratemyunit_ops.reports.page_load import Limits, figures, table
from ratemyunit_ops.show.screen import Screen

PATIENCE = timedelta(seconds=45)
COLUMNS = ("weight", "LCP", "TTI", "requests", "above", "page")


class Asked(Frozen):
    """What is to be measured."""

    urls: list[str]
    loads: int
    limits: Limits
    phone: Phone
    chromium: str = ""


def weigh(asked: Asked, *, as_json: bool, browser: Browser | None = None) -> int:
    """Measure and show every page; answer the exit code. Raises Mistyped, Refused, Unreachable."""
    for url in asked.urls:
        if not is_page(url):
            raise Mistyped(f"{url!r} is no page: write it as https://name/path", next="rmu web budget --help")
    screen, chosen = Screen(as_json=as_json), browser or Chromium(asked.chromium)
    pages = []
    for url in asked.urls:
        with screen.working(f"loading {url}"):
            loads = [chosen.load(url, asked.phone, patience=PATIENCE) for _ in range(asked.loads)]
        pages.append(figures(loads, asked.limits))
    above = [p.url for p in pages if p.above]
    if as_json:
        screen.result(_document(asked, [p.model_dump() for p in pages], above))
    else:
        screen.table("", COLUMNS, table(pages, asked.limits))
    if above:
        screen.note(f"above the budget: {', '.join(above)}")
    return 3 if above else 0


def _document(asked: Asked, pages: list[dict[str, Any]], above: list[str]) -> dict[str, Any]:
    phone = asked.phone
    shown = phone.model_dump(exclude={"latency"}) | {"latency_ms": phone.latency / timedelta(milliseconds=1)}
    return {"pages": pages, "above": above, "limits": asked.limits.model_dump(), "phone": shown}
