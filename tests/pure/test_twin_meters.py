"""What the twin's meters say of a machine: by its cgroup, its network tables and its files."""

from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.twin.keepers.meters import CPUS, Meters
from ratemyunit_ops.twin.site import Site

ROUTES = "Iface\tDestination\tGateway\nhost0\t00000000\t01004D0A\nhost0\t00004D0A\t00000000\n"
TCP = (
    "  sl  local_address rem_address   st\n"
    "   0: 00000000:1538 00000000:0000 0A\n"  # it listens
    "   1: 0A004D0A:1538 05004D0A:9C40 01\n"
    "   2: 0A004D0A:1538 05004D0A:9C42 01\n"
    "   3: 0A004D0A:1538 05004D0A:9C44 06\n"  # it is over
    "   4: 0A004D0A:0016 05004D0A:9C46 01\n"  # another port
)


class FakeMachine:
    """A machine as the meters see it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.on, self.still, self.cpu = True, False, 10.0
        self.tables = {"route": ROUTES, "tcp": TCP, "tcp6": ""}

    def running(self) -> bool:
        return self.on

    def frozen(self) -> bool:
        return self.still

    def cpu_seconds(self) -> float:
        return self.cpu

    def memory(self) -> int:
        return 256 << 20

    def network(self, table: str) -> str:
        return self.tables[table]


class Ground:
    """Two machines, a clock, and the points that were put."""

    def __init__(self, state: Path) -> None:
        self.now = 1000.0
        self.machines = {name: FakeMachine(name) for name in ("i-1", "rmu-twin-db-1")}
        self.points: list[dict[str, Any]] = []
        site: Any = Site(state_root=state)
        machine: Any = lambda site, name: self.machines[name]  # noqa: E731
        self.meters = Meters(site, self, machine, lambda: self.now)  # type: ignore[arg-type]
        self.files = site.state_dir / "databases" / "rmu-twin-db-1" / "srv"
        self.files.mkdir(parents=True)

    def measured(self, points: list[dict[str, Any]]) -> None:
        self.points = points

    def step(self, seconds: float = 5.0) -> dict[tuple[str, str], float]:
        self.now += seconds
        self.points = []
        group = {"name": "rmu-twin-hosts", "instances": [{"id": "i-1"}]}
        host = {"id": "i-1", "state": "running", "region": "us-east-1"}
        database = {
            "id": "rmu-twin-db-1",
            "region": "us-east-1",
            "storage_gib": 20,
            "class": "db.t3.micro",
            "port": 5432,
        }
        self.meters.step({"balancers": [], "groups": [group], "instances": [host], "databases": [database]})
        return {(one["name"], next(iter(one["dimensions"]))): one["value"] for one in self.points}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_a_hosts_cpu_is_measured_for_itself_and_for_its_group(ground: Ground) -> None:
    first = ground.step()
    ground.machines["i-1"].cpu += 5.0 * CPUS / 2

    second = ground.step()

    assert ("CPUUtilization", "InstanceId") not in first  # there is nothing yet to compare with
    assert second["CPUUtilization", "InstanceId"] == second["CPUUtilization", "AutoScalingGroupName"] == 50.0


def test_a_host_that_stands_still_or_is_cut_off_fails_its_status_check_and_one_that_boots_does_not(
    ground: Ground,
) -> None:
    host = ground.machines["i-1"]
    check = ("StatusCheckFailed", "AutoScalingGroupName")
    host.tables["route"] = ""
    booting = ground.step()
    host.tables["route"] = ROUTES
    well = ground.step()

    host.still = True
    frozen = ground.step()
    host.still, host.tables["route"] = False, ""
    cut_off = ground.step()

    assert check not in booting
    assert [seen[check] for seen in (well, frozen, cut_off)] == [0.0, 1.0, 1.0]


def test_a_databases_clients_and_room_are_counted(ground: Ground) -> None:
    with (ground.files / "ballast").open("wb") as file:
        file.truncate(19 << 30)

    seen = ground.step()

    assert seen["DatabaseConnections", "DBInstanceIdentifier"] == 2.0
    assert seen["FreeStorageSpace", "DBInstanceIdentifier"] == 1 << 30
    assert seen["FreeableMemory", "DBInstanceIdentifier"] == 768 << 20


def test_a_database_that_stands_still_tells_nothing_but_its_cpu(ground: Ground) -> None:
    ground.step()
    ground.machines["rmu-twin-db-1"].still = True

    seen = ground.step()

    assert [name for name, by in seen if by == "DBInstanceIdentifier"] == ["CPUUtilization"]


def test_machines_are_read_every_few_seconds_and_not_at_every_step(ground: Ground) -> None:
    ground.step()

    assert ground.step(1.0) == {}
    assert ground.step(5.0)
