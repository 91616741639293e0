"""Steps on a host as a machine: out of service, reboot, back; or replaced."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from ratemyunit_ops.errors import Failed, RmuError
from ratemyunit_ops.model import Facts
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change, Check

TURN = timedelta(minutes=5)
"""How long the group may take to move a host: connections drain for 30 s, then the balancer's checks begin."""


class StandBy(Change):
    """Take a host out of service, so that the group does not replace it while it reboots."""

    kind: Literal["stand_by"] = "stand_by"
    host: str

    def title(self) -> str:
        return f"take {self.host} out of service"

    def done(self, o: Outside) -> bool:
        return o.group.states().get(self.host) == "Standby"

    def do(self, o: Outside) -> Facts:
        o.group.stand_by(self.host)
        # The group answers at once and drains the host's connections first: a reboot meanwhile would cut them.
        return {"states": _until(o, self.host, "Standby")}

    def undo(self) -> Change:
        return Rejoin(host=self.host)


class Rejoin(Change):
    """Put a host back into service."""

    kind: Literal["rejoin"] = "rejoin"
    host: str

    def title(self) -> str:
        return f"put {self.host} back into service"

    def done(self, o: Outside) -> bool:
        return o.group.states().get(self.host) == "InService"

    def do(self, o: Outside) -> Facts:
        if o.group.states().get(self.host) == "EnteringStandby":  # from there AWS lets nobody back
            _until(o, self.host, "Standby")
        o.group.rejoin(self.host)
        return {"states": _until(o, self.host, "InService")}

    def undo(self) -> Change:
        return StandBy(host=self.host)


def _until(o: Outside, host: str, state: str) -> Facts:
    """Wait until the group has a host in a state; answer all states. Raises Failed."""
    until = o.clock.monotonic() + TURN.total_seconds()
    while (states := dict(o.group.states())).get(host) != state:
        if o.clock.monotonic() > until:
            raise Failed(
                f"{host} is {states.get(host, 'gone')} after {TURN.total_seconds():.0f} s, not {state}",
                state="The group was asked and may still be at it.",
                next="rmu host list",
            )
        o.clock.sleep(1)
    return states


class RebootHost(Change):
    """Reboot a host that stands by. `booted` is when it had started before (unix seconds)."""

    kind: Literal["reboot_host"] = "reboot_host"
    host: str
    booted: float

    def title(self) -> str:
        return f"reboot {self.host}"

    def done(self, o: Outside) -> bool:
        return (o.group.booted(self.host) or 0.0) > self.booted + 1

    def do(self, o: Outside) -> Facts:
        if not self.done(o):
            o.group.reboot(self.host)
        return {}

    def undo(self) -> None:
        return None


class HostBack(Check):
    """The host answers again and has started anew."""

    kind: Literal["host_back"] = "host_back"
    host: str
    booted: float
    deadline: timedelta = timedelta(minutes=10)

    def title(self) -> str:
        return f"{self.host} is back"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while (seen := o.group.booted(self.host) or 0.0) <= self.booted + 1:
            if o.clock.monotonic() > until:
                raise Failed(
                    f"{self.host} did not come back",
                    state="It is out of service.",
                    next=f"rmu host replace {self.host}",
                )
            o.clock.sleep(2)
        return {"booted": seen}


class ReplaceHost(Change):
    """End a host. The group makes a new one; there is no way back, so this is a fence."""

    kind: Literal["replace_host"] = "replace_host"
    host: str

    def title(self) -> str:
        return f"end {self.host}; its group makes a new one"

    def done(self, o: Outside) -> bool:
        return self.host not in o.group.states()

    def do(self, o: Outside) -> Facts:
        if not self.done(o):
            o.group.replace(self.host)
        return {}

    def undo(self) -> None:
        return None


class NewHostServes(Check):
    """A host that was not there before is in service, and the front door answers with the live release."""

    kind: Literal["new_host_serves"] = "new_host_serves"
    before: tuple[str, ...]
    release: str | None
    deadline: timedelta = timedelta(minutes=15)

    def title(self) -> str:
        return f"the new host serves {self.release or 'nothing'}"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while not (fresh := self._serving(o)):
            if o.clock.monotonic() > until:
                raise Failed("no new host serves yet", state="The old host is gone.", next="rmu host list")
            o.clock.sleep(2)
        return {"hosts": fresh}

    def _serving(self, o: Outside) -> list[str]:
        try:
            states = o.group.states()
            door = o.traffic.look()
        except RmuError:
            return []
        fresh = [h for h, state in states.items() if state == "InService" and h not in self.before]
        return fresh if door.version == self.release else []
