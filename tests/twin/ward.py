"""The one who is paged: what a test breaks, which alarms told of it by mail, and how long that took.

An alarm's own time is its period, as often as it wants points over the threshold; twice that is in time.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ratemyunit_ops.twin.inner import call
from tests.bench import figures
from tests.twin.driver import Stack, wait_until

PREFIX = "rmu-twin-"
EMAIL = "oncall@example.org"
# What is measured every 5 s, shipped, and judged on windows that move on every 10 s, is so late.
LATE = 15.0
# Until a fault can be seen at all: the balancer asks a target twice, 5 s apart; a job is late after 30 s.
SHOWS = {"no-healthy-host": 10.0, "queue-stalled": 30.0}


class Ward:
    """A stack whose alarms are all quiet, and the one who is paged."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.took: dict[str, float | None] = {}
        self.acts: list[float] = []
        self.load = figures.load()

    def alarms(self) -> dict[str, dict[str, Any]]:
        kinds = ["MetricAlarm", "CompositeAlarm"]
        pages = self.stack.aws("cloudwatch").get_paginator("describe_alarms").paginate(AlarmTypes=kinds)
        found = [one for page in pages for one in (*page["MetricAlarms"], *page["CompositeAlarms"])]
        return {one["AlarmName"].removeprefix(PREFIX): one for one in found}

    def red(self) -> set[str]:
        """Name the alarms that fire; objectives look back for hours, and remember each of these tests."""
        red = {name for name, one in self.alarms().items() if one["StateValue"] == "ALARM"}
        return {name for name in red if not name.startswith("slo-")}

    def own(self, name: str) -> float:
        """Tell an alarm's own time, in seconds."""
        alarm = self.alarms()[name]
        period = alarm.get("Period") or max(
            one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one
        )
        points = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
        return float(points * period)

    def in_time(self, name: str) -> float:
        return 2 * self.own(name) + SHOWS.get(name, 0.0) + LATE

    def keep(self) -> None:
        """Keep the figures, beside those of the other alarms."""
        file = figures.OUT / "alarms.json"
        known = json.loads(file.read_text())["alarms"] if file.exists() else {}
        ours = {
            name: {"seconds": took, "own_s": self.own(name), "shows_s": SHOWS.get(name, 0.0)}
            for name, took in self.took.items()
        }
        control = {"what": "its own time: its period, as often as it wants points"}
        figures.keep("alarms", {"alarms": {**known, **ours}, "control": control}, self.load)

    def told(self, state: str, since: float) -> dict[str, float]:
        """Answer which alarms said by mail that they are in a state, and when first."""
        found: dict[str, float] = {}
        for one in call(self.stack.site, "deliveries"):
            if one["endpoint"] == EMAIL and one["at"] >= since and one["message"].startswith('{"AlarmName"'):
                message = json.loads(one["message"])
                if message["NewStateValue"] == state:
                    found.setdefault(message["AlarmName"].removeprefix(PREFIX), one["at"])
        return found

    @contextmanager
    def expects(self, *names: str, besides: tuple[str, ...] = ()) -> Iterator[None]:
        """Hold the block, which breaks something, to pages in time; what it undoes at its end, to the all-clear.

        The first alarm is of the first thing that the block does, the second of the second. `besides` may speak too.
        """
        assert not self.red() & set(names), f"red already: {self.red()}"
        began, self.acts = time.time(), list[float]()
        with ExitStack() as broken:
            self.broken = broken
            yield
            shows = time.time()
            for n, name in enumerate(names):
                self.took[name] = None
                patience = self.in_time(name) - (time.time() - shows)
                made = self.acts[min(n, len(self.acts) - 1)]
                self.took[name] = round(self.page(name, began, patience) - made, 1)
        mended = time.time()
        for name in names:
            wait_until(
                lambda name=name: name in self.told("OK", mended - 1) or name not in self.red(), 120, f"{name} is clear"
            )
        spoke = {one for one in self.told("ALARM", began) if not one.startswith("slo-")}
        assert spoke <= {*names, *besides}, f"nobody expected {spoke - {*names, *besides}}"
        print(json.dumps({name: f"{self.took[name]} s from fault to page, own {self.own(name):g} s" for name in names}))

    def page(self, name: str, since: float, patience: float) -> float:
        until = time.time() + max(1.0, patience)
        while not (page := self.told("ALARM", since).get(name)):
            late = f"no page of {name} in time: {self.alarms()[name]['StateReason']}"
            assert time.time() < until, late
            time.sleep(0.3)
        return page

    def fault(self, name: str, target: str | None = None) -> None:
        self.acts.append(time.time())
        self.broken.enter_context(self.stack.fault(name, target))

    def on_host(self, breaks: str, mends: str) -> None:
        self.acts.append(time.time())
        self.broken.callback(self.stack.on_host, mends)
        self.stack.on_host(breaks)

    def traffic(self) -> None:
        """Ask four times a second, and wait for no answer before asking again."""
        over = threading.Event()
        self.broken.callback(over.set)

        def ask() -> None:
            while not over.wait(0.25):
                threading.Thread(
                    target=_get, args=(f"{self.stack.front_door}/api/units?search=a",), daemon=True
                ).start()

        threading.Thread(target=ask, daemon=True).start()


def _get(url: str) -> None:
    try:
        urllib.request.urlopen(url, timeout=20).read()
    except OSError:
        return
