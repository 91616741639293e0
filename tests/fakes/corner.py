"""The corner for drills: a host per run that behaves as hosts do, and serves nobody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.model import DrillHost, Facts, Fence, FrontDoor, HostImage, Instance
from tests.fakes.clock import BEGIN
from tests.fakes.data import FakeData
from tests.fakes.fleet import FakeFleet, FakeOneOff
from tests.fakes.hosts import Host
from tests.fakes.line import Line
from tests.fakes.places import FakeTraffic

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld


class FakeCorner:
    """The corner of one process."""

    def __init__(self, world: FakeWorld, line: Line, fence: Fence | None = None) -> None:
        self._world = world
        self._line = line
        self._fence = fence

    def at(self, fence: Fence) -> FakeCorner:
        return FakeCorner(self._world, self._line, fence)

    def hosts(self) -> tuple[DrillHost, ...]:
        def look() -> tuple[DrillHost, ...]:
            return tuple(
                DrillHost(id=h.id, run=run, state="running", born=BEGIN + timedelta(seconds=born))
                for run, (h, born) in self._world.drill_hosts.items()
            )

        return self._line.call("corner.hosts", look)

    def launch(self, run: str, *, image: str | None) -> Facts:
        def launch() -> Facts:
            if run in self._world.drill_hosts:
                return {"outcome": "already"}
            host = Host(f"i-drill-{len(self._world.drill_hosts)}", "10.0.9.9", booted=None)
            self._world.drill_hosts[run] = (host, self._world.clock.seconds)
            self._world.clock.later(
                self._world.drill_host_boots_in, lambda: setattr(host, "booted", self._world.clock.now().timestamp())
            )
            return {"outcome": "changed", "host": host.id, "type": "t3.small", "image": image}

        return self._line.call("corner.launch", launch, changes=True)

    def end(self, run: str) -> Facts:
        def end() -> Facts:
            gone = self._world.drill_hosts.pop(run, None)
            return {"ended": [gone[0].id] if gone else []}

        return self._line.call("corner.end", end, changes=True)

    def newest_image(self) -> HostImage | None:
        return self._line.call("corner.newest_image", lambda: self._world.host_image)

    def fleet(self, run: str) -> FakeFleet:
        return FakeFleet(self._beside(run), self._line, self._fence)

    def oneoff(self, run: str) -> FakeOneOff:
        return FakeOneOff(self._beside(run), self._line, self._fence)

    def data(self, run: str) -> FakeData:
        return FakeData(self._beside(run), self._line, self._fence)

    def traffic(self, run: str) -> FakeTraffic:
        return FakeTraffic(self._beside(run), self._line)

    def reminds_from(self) -> datetime | None:
        return self._line.call("corner.reminds_from", lambda: self._world.remind_from)

    def remind_from(self, moment: datetime) -> Facts:
        def move() -> Facts:
            self._world.remind_from = moment
            return {"reminder": moment.isoformat()}

        return self._line.call("corner.remind_from", move, changes=True)

    def _beside(self, run: str) -> FakeWorld:
        return cast("FakeWorld", Beside(self._world, run))


class Beside:
    """The world as a drill's host sees it: itself in the place of those that serve."""

    def __init__(self, world: FakeWorld, run: str) -> None:
        self._world = world
        self._run = run
        self.probing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    @property
    def hosts(self) -> list[Host]:
        found = self._world.drill_hosts.get(self._run)
        if found is None or found[0].booted is None:
            raise Unreachable(f"the host of drill {self._run} does not answer", next="rmu status")
        return [found[0]]

    def in_service(self) -> list[Host]:
        return self.hosts

    def instances(self) -> tuple[Instance, ...]:
        return tuple(Instance(id=h.id, state=h.state) for h in self.hosts)

    def ask_front_door(self) -> FrontDoor:
        host = self.hosts[0]
        slot = host.answers_requests(self._world.healthy)
        if slot is None:
            return FrontDoor(version=None, digest=None, host=None)
        release = slot.release
        return FrontDoor(
            version=release.version, digest=release.digest, host=host.id, database=slot.database.identifier
        )
