"""The corner for drills: one host per run from the hosts' own template, in security groups that admit nobody.

It is no member of the group and is known by its tags alone: `rmu:role=drill`, `rmu:run=RUN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.errors import Refused, Unreachable
from ratemyunit_ops.model import DrillHost, Facts, Fence, HostImage
from ratemyunit_ops.outside.aws.data import SsmData
from ratemyunit_ops.outside.aws.hosts import Hosts, Memory, SsmFleet, SsmOneOff
from ratemyunit_ops.outside.aws.session import Said
from ratemyunit_ops.outside.http import FrontDoorTraffic, Heard
from ratemyunit_ops.ports import Places, Shell

ALIVE = ("pending", "running")
PORT = 8080
FIELDS = (
    *("Description", "EndDate", "FlexibleTimeWindow", "GroupName", "KmsKeyArn", "Name", "ScheduleExpression"),
    *("ScheduleExpressionTimezone", "State", "Target"),
)
"""What UpdateSchedule takes of what GetSchedule answers: whatever is left out falls back to its default."""


@dataclass(frozen=True)
class Ec2Corner:
    """Drill hosts of one environment. `memories` is what this process remembers of each between two calls."""

    hosts_that_serve: Hosts
    places: Places
    shell: Shell
    smoke: str
    bound: Fence | None = None
    memories: dict[str, Memory] = field(default_factory=dict)

    def at(self, fence: Fence) -> Ec2Corner:
        """Bind the right to act."""
        return replace(self, bound=fence)

    def hosts(self) -> tuple[DrillHost, ...]:
        """List the hosts that runs have made here and not ended, oldest first. Raises Unreachable."""
        found = [_host(i) for i in self._instances()]
        return tuple(sorted(found, key=lambda h: h.born))

    def launch(self, run: str, *, image: str | None) -> Facts:
        """Make a run's host, once. Raises Refused before the first apply, and where EC2 takes no more."""
        there = [h for h in self.hosts() if h.run == run]
        if there:
            return {"host": there[0].id, "outcome": "already"}
        asked: dict[str, Any] = {"ImageId": image} if image else {}
        answer = self._account.act(
            "ec2",
            "RunInstances",
            LaunchTemplate={"LaunchTemplateId": self._place("launch_template"), "Version": "$Default"},
            MinCount=1,
            MaxCount=1,
            ClientToken=run,  # the same call again is the same host
            NetworkInterfaces=[
                {
                    "DeviceIndex": 0,
                    "AssociatePublicIpAddress": True,
                    "DeleteOnTermination": True,
                    "Groups": [self._place("drill_host_security_group")],
                    "SubnetId": self._place("drill_subnet"),
                }
            ],
            TagSpecifications=[{"ResourceType": kind, "Tags": self._tags(run)} for kind in ("instance", "volume")],
            **asked,
        )
        made = answer["Instances"][0]
        return {"host": made["InstanceId"], "type": made.get("InstanceType"), "outcome": "changed", "image": image}

    def end(self, run: str) -> Facts:
        """End what a run made here; what is gone is enough."""
        ids = [h.id for h in self.hosts() if h.run == run]
        if ids:
            self._account.act("ec2", "TerminateInstances", InstanceIds=ids)
        return {"ended": ids}

    def newest_image(self) -> HostImage | None:
        """Find the newest image of a host that can be booted. Raises Unreachable."""
        ours = [
            {"Name": "tag:rmu:env", "Values": [self._env]},
            {"Name": "tag:rmu:image", "Values": ["daily"]},
            {"Name": "state", "Values": ["available"]},
        ]
        found = self._account.ask("ec2", "DescribeImages", Owners=["self"], Filters=ours)["Images"]
        newest = max(found, key=lambda i: str(i["CreationDate"]), default=None)
        if newest is None:
            return None
        return HostImage(id=newest["ImageId"], name=newest.get("Name", ""))

    def fleet(self, run: str) -> SsmFleet:
        """Speak of releases to the run's host alone."""
        return SsmFleet(self._of(run), self.places, probe_for=timedelta(0), fence=self.bound)

    def oneoff(self, run: str) -> SsmOneOff:
        """Run single commands on the run's host."""
        return SsmOneOff(self._of(run), fence=self.bound)

    def data(self, run: str) -> SsmData:
        """Look into databases from the run's host."""
        return SsmData(self._of(run), self.places, self._account, bound=self.bound)

    def traffic(self, run: str) -> HostTraffic:
        """Ask the run's host who serves there, from the host itself."""
        return HostTraffic(self._of(run), self.shell, smoke=self.smoke)

    def reminds_from(self) -> datetime | None:
        """Tell from when on somebody is reminded of a drill; None where nothing reminds. Raises Unreachable."""
        seen = self._reminder()
        return seen["StartDate"] if seen else None

    def remind_from(self, moment: datetime) -> Facts:
        """Let nobody be reminded of a drill before that moment; without a reminder there is nothing to move."""
        seen = self._reminder()
        if seen is None:
            return {"reminder": None}
        kept = {key: seen[key] for key in FIELDS if seen.get(key) is not None}
        self._account.act("scheduler", "UpdateSchedule", **kept, StartDate=moment)
        return {"reminder": moment.isoformat()}

    def _reminder(self) -> dict[str, Any] | None:
        name = self.places.all().get("drill_reminder")
        if not name:
            return None
        try:
            found: dict[str, Any] = self._account.ask("scheduler", "GetSchedule", Name=name)
        except Said as why:
            if why.code != "ResourceNotFoundException":
                raise
            return None
        return found

    @property
    def _account(self) -> Any:
        return self.hosts_that_serve.account

    @property
    def _env(self) -> str:
        return self.hosts_that_serve.asg.removeprefix("rmu-").removesuffix("-hosts")

    def _of(self, run: str) -> DrillHosts:
        h = self.hosts_that_serve
        memory = self.memories.setdefault(run, Memory())
        return DrillHosts(h.account, h.clock, h.asg, h.document, h.program, memory, corner=self, drill=run)

    def _instances(self) -> list[Mapping[str, Any]]:
        ours = [
            {"Name": "tag:rmu:env", "Values": [self._env]},
            {"Name": "tag:rmu:role", "Values": ["drill"]},
            {"Name": "instance-state-name", "Values": list(ALIVE)},
        ]
        listed = self._account.pages("ec2", "DescribeInstances", "Reservations", Filters=ours)
        return [i for r in listed for i in r["Instances"]]

    def _tags(self, run: str) -> list[dict[str, str]]:
        # Another name than a host's: images are made of what carries that one.
        tags = {"Name": f"rmu-{self._env}-drill", "rmu:env": self._env, "rmu:role": "drill", "rmu:run": run}
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def _place(self, name: str) -> str:
        found = self.places.all().get(name)
        if not found:
            raise Refused(f"there is no place {name}: the stack is older than drills are", next="rmu infra apply")
        return found


@dataclass(frozen=True)
class DrillHosts(Hosts):
    """The one host of a drill, asked as hosts that serve are asked."""

    corner: Ec2Corner | None = None
    drill: str = ""

    def _members(self) -> list[dict[str, Any]]:
        assert self.corner is not None
        states = {"running": "InService", "pending": "Pending"}
        found = [h for h in self.corner.hosts() if h.run == self.drill]
        if not found:
            raise Unreachable(f"the host of drill {self.drill} is gone", next=f"rmu show {self.drill}")
        return [{"InstanceId": h.id, "LifecycleState": states[h.state]} for h in found]


class HostTraffic(FrontDoorTraffic):
    """What a host's own proxy answers on loopback: nothing outside the corner can ask it."""

    def __init__(self, hosts: DrillHosts, shell: Shell, *, smoke: str) -> None:
        super().__init__(f"http://127.0.0.1:{PORT}", smoke=smoke, start_hint="rmu status")
        self._hosts = hosts
        self._shell = shell

    def _get(self, path: str) -> Heard:
        argv = [
            "curl",
            "-sS",
            "--max-time",
            "10",
            "-w",
            "\n%{http_code} %{time_total}",
            f"http://127.0.0.1:{PORT}{path}",
        ]
        host = self._hosts.in_service()[0]
        answer = self._shell.run(argv, hosts=[host], deadline=timedelta(seconds=30))[0]
        if answer.exit_code != 0:
            raise Unreachable(f"{host} does not answer on port {PORT}: {answer.stderr.strip()}", next="rmu status")
        body, _, numbers = answer.stdout.rpartition("\n")
        status, seconds = numbers.split()
        return Heard(int(status), body.encode(), float(seconds))


def _host(instance: Mapping[str, Any]) -> DrillHost:
    tags = {t["Key"]: t["Value"] for t in instance.get("Tags", ())}
    return DrillHost(
        id=instance["InstanceId"],
        run=tags.get("rmu:run", ""),
        state=instance["State"]["Name"],
        born=instance["LaunchTime"],
    )
