"""Target health from the balancer's own probes, and load balancers whose address the twin knows."""

import time
from typing import Any

from moto.core.responses import ActionResult
from moto.elbv2.models import FakeTargetGroup
from moto.elbv2.responses import ELBV2Response

from ratemyunit_ops.twin.gate.autoscaling import advance
from ratemyunit_ops.twin.gate.mend import mend, refuse
from ratemyunit_ops.twin.gate.state import SEEN

WHY = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "unused": ("Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "gone": ("Target.NotRegistered", "Target is not registered to the target group"),
}

_deregister = FakeTargetGroup.deregister


@mend(FakeTargetGroup)
def deregister(self: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
    """Deregister, and remember since when it drains."""
    _deregister(self, targets)
    draining = self.__dict__.setdefault("draining", {})
    for target in targets:
        draining[target["Id"]] = time.time()
        SEEN.targets.get(self.arn, {}).pop(target["Id"], None)


def draining(group: FakeTargetGroup) -> list[str]:
    """Answer the targets whose deregistration delay still runs."""
    delay = float(str(group.attributes["deregistration_delay.timeout_seconds"]))
    since: dict[str, float] = group.__dict__.get("draining", {})
    return [id for id, when in since.items() if id not in group.targets and time.time() - when < delay]


@mend(ELBV2Response)
def describe_target_health(self: Any) -> ActionResult:
    """Answer what the probes say.

    Raises: TargetGroupNotFound.
    """
    advance()
    group = self.elbv2_backend.target_groups.get(self._get_param("TargetGroupArn"))
    if group is None:
        raise refuse("TargetGroupNotFound", "One or more target groups not found")
    asked = [one["Id"] for one in self._get_param("Targets", [])] or [*group.targets, *draining(group)]
    return ActionResult({"TargetHealthDescriptions": [_row(group, id) for id in asked]})


def _row(group: FakeTargetGroup, id: str) -> dict[str, Any]:
    port = int(group.targets[id]["Port"]) if id in group.targets else int(group.port)
    state = _state(group, id)
    health = {"State": "unused" if state == "gone" else state}
    if state in WHY:
        health["Reason"], health["Description"] = WHY[state]
    return {"Target": {"Id": id, "Port": port}, "HealthCheckPort": str(port), "TargetHealth": health}


def _state(group: FakeTargetGroup, id: str) -> str:
    if id not in group.targets:
        return "draining" if id in draining(group) else "gone"
    if not group.load_balancer_arns:
        return "unused"
    return SEEN.targets.get(group.arn, {}).get(id, "initial")
