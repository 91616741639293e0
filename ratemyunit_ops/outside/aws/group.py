"""The hosts' places in their Auto Scaling group.

Standby needs desired - 1 >= min, or the group launches a second host [ASG, "Temporarily removing instances"]; so the
minimum is lowered while a host stands by and put back when it rejoins. The group's own tag keeps the old minimum,
which is how `rmu doctor`, or the next rejoin, finds it after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from ratemyunit_ops.errors import Refused, RmuError
from ratemyunit_ops.model import MINIMUM_TAG, GroupLeftovers, HostHealth
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.ports import Shell

STANDING_BY = frozenset({"Standby", "EnteringStandby"})
SERVICE = "autoscaling"
SINCE = ("systemctl", "show", "--property=UserspaceTimestamp", "--value", "--timestamp=unix")
Told = dict[str, dict[str, str]]
"""Host -> what one watcher says of it, by fields of HostHealth."""


class AutoScalingGroup:
    """The group `rmu-ENV-hosts`."""

    def __init__(self, account: Account, name: str, shell: Shell) -> None:
        self._account = account
        self._name = name
        self._shell = shell

    def states(self) -> Mapping[str, str]:
        """Tell each member's lifecycle state."""
        return {i["InstanceId"]: i["LifecycleState"] for i in self._group().get("Instances", [])}

    def health(self) -> Mapping[str, HostHealth]:
        """Tell how each member is, by everybody who watches it from outside; who does not answer is silent."""
        group = self._group()
        members = group.get("Instances", [])
        ids = [m["InstanceId"] for m in members]
        if not ids:
            return {}
        asked = (lambda: self._machines(ids), lambda: self._targets(group), lambda: self._agents(ids))
        told = [_or_nothing(ask) for ask in asked]
        return {
            m["InstanceId"]: HostHealth(
                lifecycle=m["LifecycleState"],
                health=m.get("HealthStatus", ""),
                **{k: v for one in told for k, v in one.get(m["InstanceId"], {}).items()},
            )
            for m in members
        }

    def _machines(self, ids: list[str]) -> Told:
        rows = self._account.pages(
            "ec2", "DescribeInstanceStatus", "InstanceStatuses", InstanceIds=ids, IncludeAllInstances=True
        )
        return {
            r["InstanceId"]: {
                "machine": r["InstanceState"]["Name"],
                "system": r["SystemStatus"]["Status"],
                "instance": r["InstanceStatus"]["Status"],
            }
            for r in rows
        }

    def _targets(self, group: dict[str, Any]) -> Told:
        found: Told = {}
        for arn in group.get("TargetGroupARNs", []):
            answer = self._account.ask("elbv2", "DescribeTargetHealth", TargetGroupArn=arn)
            rows = answer["TargetHealthDescriptions"]
            found |= {r["Target"]["Id"]: {"target": r["TargetHealth"]["State"]} for r in rows}
        return found

    def _agents(self, ids: list[str]) -> Told:
        rows = self._account.pages(
            "ssm",
            "DescribeInstanceInformation",
            "InstanceInformationList",
            Filters=[{"Key": "InstanceIds", "Values": ids}],
        )
        return {r["InstanceId"]: {"agent": r["PingStatus"]} for r in rows}

    def leftovers(self) -> GroupLeftovers:
        """Tell what of a host taken out of service was not put back."""
        group = self._group()
        members = group.get("Instances", [])
        return GroupLeftovers(
            standing_by=tuple(sorted(m["InstanceId"] for m in members if m["LifecycleState"] in STANDING_BY)),
            minimum=_minimum_before(group),
            suspended=tuple(sorted(p["ProcessName"] for p in group.get("SuspendedProcesses", []))),
        )

    def booted(self, host: str) -> float | None:
        """Tell when a host's kernel started (unix seconds); None while it does not answer."""
        try:
            answer = self._shell.run(SINCE, hosts=[host], deadline=timedelta(seconds=30))
        except RmuError:
            return None
        return float(answer[0].stdout.strip().lstrip("@")) if answer and answer[0].exit_code == 0 else None

    def stand_by(self, host: str) -> None:
        """Take a host out of service without replacing it."""
        group = self._group()
        if self.states().get(host) in STANDING_BY:
            return
        self._remember(int(group["MinSize"]))
        self._set_minimum(max(0, int(group["DesiredCapacity"]) - 1))
        self._account.act(
            SERVICE,
            "EnterStandby",
            AutoScalingGroupName=self._name,
            InstanceIds=[host],
            ShouldDecrementDesiredCapacity=True,
        )

    def rejoin(self, host: str) -> None:
        """Put a host back into service, and the minimum with it."""
        if self.states().get(host) in STANDING_BY:
            self._account.act(SERVICE, "ExitStandby", AutoScalingGroupName=self._name, InstanceIds=[host])
        before = self._remembered()
        if before is not None:
            self._set_minimum(before)
            self._forget()

    def reboot(self, host: str) -> None:
        """Reboot a host."""
        self._account.act("ec2", "RebootInstances", InstanceIds=[host])

    def replace(self, host: str) -> None:
        """End a host; the group makes a new one."""
        self._account.act(
            SERVICE, "TerminateInstanceInAutoScalingGroup", InstanceId=host, ShouldDecrementDesiredCapacity=False
        )

    def _group(self) -> dict[str, Any]:
        answer = self._account.ask(SERVICE, "DescribeAutoScalingGroups", AutoScalingGroupNames=[self._name])
        if not answer["AutoScalingGroups"]:
            raise Refused(f"there is no group {self._name}", next="rmu infra apply")
        found: dict[str, Any] = answer["AutoScalingGroups"][0]
        return found

    def _set_minimum(self, size: int) -> None:
        self._account.act(SERVICE, "UpdateAutoScalingGroup", AutoScalingGroupName=self._name, MinSize=size)

    def _tag(self, **more: Any) -> dict[str, Any]:
        return {"ResourceId": self._name, "ResourceType": "auto-scaling-group", "Key": MINIMUM_TAG, **more}

    def _remember(self, size: int) -> None:
        if self._remembered() is None:
            tag = self._tag(Value=str(size), PropagateAtLaunch=False)
            self._account.act(SERVICE, "CreateOrUpdateTags", Tags=[tag])

    def _remembered(self) -> int | None:
        return _minimum_before(self._group())

    def _forget(self) -> None:
        self._account.act(SERVICE, "DeleteTags", Tags=[self._tag()])


def _minimum_before(group: dict[str, Any]) -> int | None:
    tags = {t["Key"]: t["Value"] for t in group.get("Tags", [])}
    return int(tags[MINIMUM_TAG]) if MINIMUM_TAG in tags else None


def _or_nothing(ask: Callable[[], Told]) -> Told:
    """Let one watcher be silent: what the others say counts all the more."""
    try:
        return ask()
    except RmuError:
        return {}
