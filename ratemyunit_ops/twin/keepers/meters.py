"""The meters: what CloudWatch gets of machines and balancers without anybody inside having to put it.

From a machine's cgroup its CPU, as a hypervisor sees it; from its network whether it can be reached, and who is
connected to a database; from a database's directory what room is left.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ratemyunit_ops.twin.keepers.hosts import memory_of
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.requests import Requests
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site

EVERY_SECONDS = 5.0
# A t3.micro has two virtual CPUs; here they are half of what there is, or a busy host would leave nothing to the rest.
CPUS = max(1, min(2, (os.cpu_count() or 1) // 2))
ESTABLISHED = "01"
Point = dict[str, Any]


class Meters:
    """Points of machines and balancers."""

    name = "meters"

    def __init__(
        self,
        site: Site,
        record: Record,
        machine: Callable[[Site, str], Machine] = Machine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.site = site
        self.record = record
        self._machine = machine
        self._clock = clock
        self._read = 0.0
        self._came_up: set[str] = set()
        self._cpu: dict[str, tuple[float, float]] = {}
        self._requests: dict[str, Requests] = {}

    def step(self, wanted: dict[str, Any]) -> None:
        """Put what was measured; machines are read every few seconds, requests as they come."""
        points = [*self._balancers(wanted["balancers"])]
        if self._clock() - self._read >= EVERY_SECONDS:
            self._read = self._clock()
            points += self._hosts(wanted)
            points += [point for row in wanted["databases"] for point in self._database(row)]
        if points:
            self.record.measured(points)

    def _balancers(self, rows: list[dict[str, Any]]) -> Iterator[Point]:
        for name in set(self._requests) - {row["name"] for row in rows}:
            self._requests.pop(name).stop()
        for row in rows:
            if row["listeners"]:
                name = row["name"]
                if name not in self._requests:
                    self._requests[name] = Requests(self.site.state_dir / "balancers" / name / "admin.sock")
                yield from self._requests[name].points(row)

    def _hosts(self, wanted: dict[str, Any]) -> Iterator[Point]:
        groups = {one["id"]: group["name"] for group in wanted["groups"] for one in group["instances"]}
        for row in wanted["instances"]:
            if row["state"] != "running":
                continue
            machine = self._machine(self.site, row["id"])
            said = {}
            well = _reached(machine)
            if well:
                self._came_up.add(row["id"])
            if row["id"] in self._came_up:  # while it boots its checks are only initializing
                said["StatusCheckFailed"] = 0.0 if well else 1.0
            cpu = self._cpu_percent(machine)
            if cpu is not None:
                said["CPUUtilization"] = cpu
            named = [{"InstanceId": row["id"]}]
            named += [{"AutoScalingGroupName": groups[row["id"]]}] if row["id"] in groups else []
            for name, value in said.items():
                for dimensions in named:
                    yield _point(row["region"], "AWS/EC2", name, dimensions, value)

    def _database(self, row: dict[str, Any]) -> Iterator[Point]:
        machine = self._machine(self.site, row["id"])
        cpu = self._cpu_percent(machine)
        said = {} if cpu is None else {"CPUUtilization": cpu}
        # The rest is told by a program beside PostgreSQL: a machine that stands still tells nothing.
        if machine.running() and not machine.frozen():
            used = _size(self.site.state_dir / "databases" / row["id"] / "srv")
            said["FreeStorageSpace"] = float(max(0, (row["storage_gib"] << 30) - used))
            said["DatabaseConnections"] = float(_connections(machine, row["port"]))
            said["FreeableMemory"] = float(max(0, memory_of(row["class"]) - machine.memory()))
        for name, value in said.items():
            yield _point(row["region"], "AWS/RDS", name, {"DBInstanceIdentifier": row["id"]}, value)

    def _cpu_percent(self, machine: Machine) -> float | None:
        """Answer how busy it was since it was read last; None at first, and where it is off."""
        if not machine.running():
            self._cpu.pop(machine.name, None)
            return None
        now, used = self._clock(), machine.cpu_seconds()
        before = self._cpu.get(machine.name)
        self._cpu[machine.name] = (now, used)
        if before is None or used < before[1]:
            return None
        return min(100.0, 100.0 * (used - before[1]) / ((now - before[0]) * CPUS))


def _point(region: str, namespace: str, name: str, dimensions: dict[str, str], value: float) -> Point:
    return {"region": region, "namespace": namespace, "name": name, "dimensions": dimensions, "value": value}


def _reached(machine: Machine) -> bool:
    """Tell whether EC2 would find it well: it runs, goes on running, and is on the network."""
    if not machine.running() or machine.frozen():
        return False
    routes = [line.split() for line in machine.network("route").splitlines()[1:]]
    return any(fields[1] == "00000000" for fields in routes)


def _connections(machine: Machine, port: int) -> int:
    """Count the clients that are connected to a port."""
    lines = [*machine.network("tcp").splitlines()[1:], *machine.network("tcp6").splitlines()[1:]]
    ends = [(fields[1].rpartition(":")[2], fields[3]) for fields in (line.split() for line in lines)]
    return ends.count((f"{port:04X}", ESTABLISHED))


def _size(top: Path) -> int:
    """Add up what files say they are; one that goes away meanwhile is none."""
    total = 0
    for directory, _, names in os.walk(top):
        for name in names:
            try:
                total += os.lstat(f"{directory}/{name}").st_size
            except FileNotFoundError:
                continue
    return total
