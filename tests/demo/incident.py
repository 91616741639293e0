"""One incident, from the first byte of memory eaten to the postmortem: run by `make demo-incident`.

Nobody watches. The alarm tells on-call by mail, the mail names the runbook, the runbook names the cause, a person picks
the remedy, and the report is there when it is over. Everything is read from what came out of the local AWS.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratemyunit_ops.twin.inner import call
from tests.demo.rmu import CHECKOUT, DemoFailed, Rmu, client
from tests.twin.driver import Stack, raised_stack

REPORTS = CHECKOUT / "build" / "incident"
PORT_BASE = 9820
LONGEST_S = 300
ON_CALL = "oncall@example.org"
ALARM = "memory-high"
REMEDY = "end-largest"
"""What frees memory that no unit of ours holds, while what serves goes on."""

T = TypeVar("T")


@dataclass
class IncidentDemo:
    """The scenes in their order, and how long each took."""

    stack: Stack
    rmu: Rmu
    screen: Console
    rows: list[tuple[str, float]] = field(default_factory=list)

    def run(self) -> None:
        """Play every scene. Raises DemoFailed at the first that goes another way than promised."""
        self.something_serves()
        with client(self.stack.front_door):
            self.a_quiet_evening()
            began = time.monotonic()
            mail = self.memory_is_eaten()
            self.somebody_has_it()
            self.runbook(named_in(mail))
            self.mended()
        self.report()
        self.rows.append(("from the fault to the report", time.monotonic() - began))

    def something_serves(self) -> None:
        if not self.stack.who().get("version"):
            self.stack.deploy(self.stack.push())
        self.screen.print(f"{self.stack.who()['version']} serves; {ON_CALL} has confirmed the subscription")
        call(self.stack.site, "confirm", ON_CALL)

    def a_quiet_evening(self) -> None:
        """Wait until no alarm is red any more: a stack that was raised a minute ago did not answer before that."""
        self.wait("every alarm to be green", lambda: not self.red(), 120)

    def memory_is_eaten(self) -> dict[str, Any]:
        """Eat the memory; answer the alarm as it was mailed."""
        self.scene("Something eats the host's memory. Nobody watches.")
        before = max((d["number"] for d in call(self.stack.site, "deliveries")), default=0)
        self.rmu("twin", "fault", "memory-eaten")

        def mailed() -> dict[str, Any] | None:
            news = call(self.stack.site, "deliveries", before)
            told = (d for d in news if d["endpoint"] == ON_CALL and d["status"] == "delivered")
            alarms = (as_alarm(d["message"]) for d in told)
            return next((a for a in alarms if a.get("AlarmName", "").endswith(f"-{ALARM}")), None)

        mail = self.timed("the alarm is in on-call's mail", lambda: self.wait("the mail", mailed, 120))
        self.screen.print(f"  it says: {mail['AlarmDescription']}", markup=False)
        return mail

    def somebody_has_it(self) -> None:
        self.scene("Somebody opens an incident for it, and has it")
        self.timed("incident opened, and people paged", lambda: self.rmu("incident", "open", "--alarm", ALARM))
        self.timed("acknowledged: paging stops", lambda: self.rmu("incident", "ack"))

    def runbook(self, name: str) -> None:
        self.scene(f"The mail names the runbook: {name}")
        seen = self.timed("the runbook has looked, and named the cause", lambda: self.rmu("runbook", "run", name))
        self.screen.print(f"  the cause: {seen['cause']}", markup=False)
        if seen["cause"] != "out-of-memory":
            raise DemoFailed(f"the runbook named {seen['cause']}, and the memory was eaten")
        words = ("runbook", "run", name, "--remedy", REMEDY, "--yes", "--because", "the mail")
        self.timed(f"the remedy that a person picked: {REMEDY}", lambda: self.rmu(*words))

    def mended(self) -> None:
        self.scene("Nothing is closed while an alarm is red")
        self.timed("its alarms are green again", lambda: self.wait("green alarms", lambda: not self.red(), 180))
        self.rmu("incident", "note", "a process of nobody's took the memory; it was ended")
        spending = ", ".join(self.red(budgets=True))
        # A burn-rate alarm looks back over its windows: it goes on to see what is over.
        why = ["--because", f"only {spending} look back on it"] if spending else []
        self.timed("incident closed", lambda: self.rmu("incident", "close", *why))

    def report(self) -> None:
        self.scene("The postmortem's draft")
        answer = self.timed("the report", lambda: self.rmu("incident", "report", "--dir", str(REPORTS)))
        if answer["mended"] is None or not answer["timeline"]:
            raise DemoFailed(f"the report does not know how it ended: {answer.document}")
        self.screen.print(f"  {answer['report']}", markup=False)

    def red(self, *, budgets: bool = False) -> list[str]:
        """Name the alarms that are red and tell somebody; with `budgets`, those of objectives alone."""
        found = self.stack.aws("cloudwatch").describe_alarms(
            StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        alarms = [a for kind in ("MetricAlarms", "CompositeAlarms") for a in found[kind] if a["AlarmActions"]]
        names = [str(a["AlarmName"]).removeprefix("rmu-twin-") for a in alarms]
        return [name for name in names if name.startswith("slo-") == budgets]

    def scene(self, title: str) -> None:
        self.screen.print(f"\n[bold cyan]{title}[/]")

    def timed(self, what: str, act: Callable[[], T]) -> T:
        began = time.monotonic()
        answer = act()
        self.rows.append((what, time.monotonic() - began))
        return answer

    def wait(self, what: str, look: Callable[[], T | None], seconds: float) -> T:
        until = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > until:
                raise DemoFailed(f"waited {seconds:.0f} s for {what}; red: {', '.join(self.red()) or 'nothing'}")
            time.sleep(1)
        return found


def as_alarm(message: str) -> dict[str, Any]:
    """Read a mail as an alarm that went red; empty where it is something else."""
    try:
        told = json.loads(message)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.get("NewStateValue") == "ALARM" else {}


def named_in(mail: dict[str, Any]) -> str:
    """Read the runbook's name out of what was mailed, as a person would."""
    found = re.search(r"rmu runbook run (\S+)", mail["AlarmDescription"])
    if found is None:
        raise DemoFailed(f"the mail names no runbook: {mail['AlarmDescription']}")
    return found[1]


def show(screen: Console, rows: list[tuple[str, float]]) -> None:
    """Show the table at the end."""
    table = Table("what", "seconds", box=None, pad_edge=False)
    for what, seconds in rows:
        table.add_row(what, f"{seconds:.1f}")
    screen.print()
    screen.print(table)


def main() -> int:
    """Play it on a local AWS of its own, and fail where it took longer than promised."""
    screen = Console(highlight=False)
    screen.print("a local AWS of its own is raised first: some minutes")
    with raised_stack("demo-incident", PORT_BASE, Path(tempfile.mkdtemp(prefix="rmu-incident-"))) as stack:
        demo = IncidentDemo(stack, Rmu(screen, stack.environ()), screen)
        try:
            demo.run()
        except DemoFailed as why:
            screen.print(f"[red]{escape(str(why))}[/]")
            return 1
        finally:
            show(screen, demo.rows)
    return 0 if demo.rows[-1][1] <= LONGEST_S else 1


if __name__ == "__main__":
    sys.exit(main())
