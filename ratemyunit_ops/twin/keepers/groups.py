"""The Auto Scaling keeper: what died or fails its health check is replaced, through the launch template."""

import time
from typing import Any

from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.site import Site


class Groups:
    """Health checks of Auto Scaling groups."""

    name = "groups"

    def __init__(self, site: Site, record: Record) -> None:
        self.record = record

    def step(self, wanted: dict[str, Any]) -> None:
        """Replace every instance that is not healthy, unless someone suspended that."""
        for group in wanted["groups"]:
            if group["active"] < group["desired"] and "Launch" not in group["suspended"]:
                self._fill(group)
            if {"HealthCheck", "ReplaceUnhealthy"} & set(group["suspended"]):
                continue
            for one in group["instances"]:
                why = sickness(group, one, time.time())
                if why:
                    self._replace(group, one["id"], why)

    def _fill(self, group: dict[str, Any]) -> None:
        """Launch what is missing: a launch that failed once is tried again, as on AWS."""
        say(f"groups: {group['name']} has {group['active']} of {group['desired']}")
        asg = self.record.client("autoscaling", group["region"])
        asg.set_desired_capacity(AutoScalingGroupName=group["name"], DesiredCapacity=group["desired"])

    def _replace(self, group: dict[str, Any], id: str, why: str) -> None:
        say(f"groups: {id} of {group['name']} is replaced: {why}")
        asg = self.record.client("autoscaling", group["region"])
        asg.set_instance_health(InstanceId=id, HealthStatus="Unhealthy")
        asg.terminate_instance_in_auto_scaling_group(InstanceId=id, ShouldDecrementDesiredCapacity=False)


def sickness(group: dict[str, Any], one: dict[str, Any], now: float) -> str:
    """Say why an instance must be replaced; empty when it must not."""
    if one["lifecycle"] not in ("Pending", "Pending:Wait", "InService"):
        return ""
    if one["machine"] == "gone":
        return "its machine is off"
    if one["lifecycle"] != "InService":
        return ""
    if one["health"] == "Unhealthy":
        return "marked unhealthy"
    graceful = now - (one["in_service_at"] or now) < group["grace"]
    if group["health_type"] == "ELB" and "unhealthy" in one["targets"] and not graceful:
        return "it fails the balancer's health check"
    return ""
