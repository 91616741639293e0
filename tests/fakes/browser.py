"""Browsers that behave: one that answers with loads of a test, and a talk that says again what Chromium once said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ratemyunit_ops.ports import PageLoad, Phone, Transfer


def a_load(url: str = "https://a.example/", **changed: Any) -> PageLoad:
    """Make the load of a quick little page, watched for ten seconds."""
    page = Transfer(url=url, began_ms=0, ended_ms=500, bytes=9000)
    quick = {"first_paint_ms": 900.0, "largest_paint_ms": 1100.0, "parsed_ms": 950.0, "long_tasks": ()}
    return PageLoad.model_validate({"url": url, "transfers": (page,), "watched_ms": 10_000.0, **quick, **changed})


class FakeBrowser:
    """The Browser of ports.py: gives its loads one after the other, and remembers the phone."""

    def __init__(self, loads: Sequence[PageLoad]) -> None:
        self._loads = list(loads)
        self.phones: list[Phone] = []

    def load(self, url: str, phone: Phone, *, patience: timedelta) -> PageLoad:
        """Give the next load, as one of this page."""
        self.phones.append(phone)
        return self._loads.pop(0).model_copy(update={"url": url})


class RecordedTalk:
    """A talk with a browser that answers and tells what was recorded, then falls silent."""

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self._answers: dict[str, Any] = dict(recorded["answers"])
        self._events: list[dict[str, Any]] = list(recorded["events"])
        self._now = 0.0
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Give the recorded answer; orders without one are obeyed in silence."""
        self.asked.append((method, params))
        answer: dict[str, Any] = self._answers.get(method, {})
        return answer

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """Tell the next event at once; afterwards wait in vain."""
        if self._events:
            return self._events.pop(0)
        self._now += seconds
        return None

    def now(self) -> float:
        """Tell the seconds waited."""
        return self._now
