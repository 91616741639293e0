"""The one who is paged: what a test breaks, which alarms told of it by mail, and how long that took.

An alarm's own time is its period, as often as it wants points over the threshold; a page is in time within twice that,
and what shipping adds. Before anything is mended, the runbook that the page names has to name what was broken.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
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
DAILY = frozenset({"backups-late", "certificate-expiring"})
"""What goes by the day: test_alarms_daily.py provokes it, on a twin of its own."""
CALM_S = LATE + 20.0
MENDED_S = 180.0
Causes = Mapping[str, str | tuple[str, ...]]


class Ward:
    """A stack whose alarms are all quiet, and the one who is paged."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.took: dict[str, float | None] = {}
        self.acts: list[float] = []
        self.load = figures.load()
        self.burnt: set[str] = set()

    def alarms(self) -> dict[str, dict[str, Any]]:
        kinds = ["MetricAlarm", "CompositeAlarm"]
        pages = self.stack.aws("cloudwatch").get_paginator("describe_alarms").paginate(AlarmTypes=kinds)
        found = [one for page in pages for one in (*page["MetricAlarms"], *page["CompositeAlarms"])]
        return {one["AlarmName"].removeprefix(PREFIX): one for one in found}

    def red(self) -> set[str]:
        """Name the alarms that fire; objectives look back for hours, and remember each of these tests."""
        return {name for name in self.alarms_in("ALARM") if not name.startswith("slo-")}

    def alarms_in(self, state: str) -> set[str]:
        return {name for name, one in self.alarms().items() if one["StateValue"] == state}

    def own(self, name: str) -> float:
        """Tell an alarm's own time, in seconds."""
        alarm = self.alarms()[name]
        period = alarm.get("Period") or max(
            one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one
        )
        points = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
        return float(points * period)

    def runbook(self, name: str) -> str:
        """Tell which runbook an alarm's mail says to run."""
        said = str(self.alarms()[name]["AlarmDescription"])
        return said.partition("next: rmu runbook run ")[2].split()[0]

    def in_time(self, name: str) -> float:
        """Tell how long after its fault a page may come: two of its own times, until it shows, and shipping."""
        return 2 * self.own(name) + SHOWS.get(name, 0.0) + LATE

    def keep(self) -> None:
        """Keep the figures, beside those of the other alarms that there are."""
        file = figures.OUT / "alarms.json"
        known = json.loads(file.read_text())["alarms"] if file.exists() else {}
        there = {name for name in self.alarms() if not name.startswith("slo-")} | DAILY
        ours = {
            name: {
                "seconds": took,
                "own_s": self.own(name),
                "shows_s": SHOWS.get(name, 0.0),
                "limit_s": self.in_time(name),
            }
            for name, took in self.took.items()
            if took is not None
        }
        all_of_them = {name: one for name, one in {**known, **ours}.items() if name in there}
        control = {"what": "its own time: its period, as often as it wants points"}
        figures.keep("alarms", {"alarms": all_of_them, "control": control}, self.load)

    def wait_for_quiet(self, patience: float = 360.0) -> None:
        """Wait until no alarm was red for a while: what a deploy or a test before did may still be on its way."""
        until, calm = time.monotonic() + patience, time.monotonic()
        while time.monotonic() - calm < CALM_S:
            if red := self.red():
                calm = time.monotonic()
            assert time.monotonic() < until, f"never quiet; red are {red}"
            time.sleep(2)

    def told(self, state: str, since: float) -> dict[str, float]:
        """Answer which alarms said by mail that they are in a state, and when first."""
        found: dict[str, float] = {}
        for name, said, at in self.mails(since):
            if said == state:
                found.setdefault(name, at)
        return found

    def mails(self, since: float) -> Iterator[tuple[str, str, float]]:
        """Read the mails of alarms: which, in what state, and when it was brought."""
        for one in call(self.stack.site, "deliveries"):
            if one["endpoint"] == EMAIL and one["at"] >= since and one["message"].startswith('{"AlarmName"'):
                message = json.loads(one["message"])
                yield message["AlarmName"].removeprefix(PREFIX), message["NewStateValue"], one["at"]

    @contextmanager
    def expects(
        self, *names: str, causes: Causes, besides: tuple[str, ...] = (), slo: tuple[str, ...] = ()
    ) -> Iterator[None]:
        """Hold the block, which breaks something, to pages in time; what it undoes at its end, to the all-clear.

        The first alarm is of the first thing that the block does, the second of the second. Each alarm's runbook has to
        name its cause while all is broken still. `besides` may speak too; objectives may, and those of `slo` have to.
        """
        red = self.alarms_in("ALARM")
        assert not red & set(names), f"red already: {red}"
        began, self.acts = time.time(), list[float]()
        with ExitStack() as broken:
            self.broken = broken
            yield
            for n, name in enumerate(names):
                self.took[name] = None
                made = self.acts[min(n, len(self.acts) - 1)]
                took = round(self.page(name, began, made + self.in_time(name)) - made, 1)
                assert took <= self.in_time(name), f"{name} took {took} s, and has {self.in_time(name)} s"
                self.took[name] = took
            self.objectives(slo, red, began)
            self.diagnose(causes)
            mends = time.time()
        for name in names:
            wait_until(lambda name=name: self.clear(name, began), MENDED_S, f"{name} to say that it is well")
        spoke = {one for one in self.told("ALARM", began) if not one.startswith("slo-")}
        assert spoke <= {*names, *besides}, f"nobody expected {spoke - {*names, *besides}}"
        well = self.told("OK", mends)
        for name in names:
            print(f"{name}: {self.took[name]} s from fault to page, own {self.own(name):g} s; well {well.get(name)}")

    def page(self, name: str, since: float, until: float) -> float:
        """Wait for the page of an alarm; answer when it was brought."""
        while not (page := self.told("ALARM", since).get(name)):
            late = f"no page of {name} in time: {self.alarms()[name]['StateReason']}"
            assert time.time() < until + 1, late
            time.sleep(0.3)
        return page

    def objectives(self, names: tuple[str, ...], red: set[str], began: float) -> None:
        """Wait for what burns an objective's budget to be told; a long window may be red from a test before."""
        for name in names:
            wait_until(lambda name=name: name in red or name in self.told("ALARM", began), 90, f"{name} to tell of it")
            self.burnt.add(name)

    def diagnose(self, causes: Causes) -> None:
        """Run the runbook that each alarm's mail names, as who is paged does."""
        for name, cause in causes.items():
            fitting = (cause,) if isinstance(cause, str) else cause
            book = self.runbook(name)
            answer = self.stack.rmu("runbook", "run", book)
            assert answer["cause"] in fitting, f"{name} led to {book}, which said {answer.says()}"

    def clear(self, name: str, since: float) -> bool:
        """Tell whether the last that an alarm said by mail is that it is well."""
        said = [state for one, state, _ in self.mails(since) if one == name]
        return said[-1:] == ["OK"]

    def fault(self, name: str, target: str | None = None) -> None:
        self.acts.append(time.time())
        self.broken.enter_context(self.stack.fault(name, target))

    def on_host(self, breaks: str, mends: str) -> None:
        self.by(lambda: self.stack.on_host(breaks), lambda: self.stack.on_host(mends))

    def by(self, breaks: Callable[[], object], mends: Callable[[], object]) -> None:
        """Break something, and mend it at the block's end."""
        self.acts.append(time.time())
        self.broken.callback(mends)
        breaks()

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
