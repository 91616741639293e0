"""What AWS measures by itself: from the machines, by the meters (a keeper), and what the gate's own record tells."""

import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from moto.acm.models import acm_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from ratemyunit_ops.twin.gate import autoscaling
from ratemyunit_ops.twin.gate.credits import Purse, purse_of
from ratemyunit_ops.twin.gate.mend import ACCOUNT
from ratemyunit_ops.twin.gate.metrics import STORES, key_of
from ratemyunit_ops.twin.gate.state import DAY_SECONDS, KNOBS, SEEN

PURSES: dict[str, Purse | None] = {}
"""Instance -> its CPU credits; None where its type has none."""


def take(points: list[dict[str, Any]]) -> None:
    """Keep what the meters read: `region namespace name dimensions value`; `at` and `times` where not now, or often."""
    now = time.time()
    for one in points:
        key = key_of(one["namespace"], one["name"], one["dimensions"])
        at, times = float(one.get("at") or now), float(one.get("times") or 1)
        STORES[one["region"]].put(key, float(one["value"]), at=at, times=times)
        if (one["namespace"], one["name"]) == ("AWS/EC2", "CPUUtilization") and "InstanceId" in one["dimensions"]:
            _reckon(one["region"], one["dimensions"]["InstanceId"], float(one["value"]), at)


def spend(instance: str) -> None:
    """Let an instance have no CPU credits left."""
    purse = _purse(instance)
    if purse:
        purse.balance = 0.0


def refill(instance: str) -> None:
    """Let an instance have all the CPU credits that it may keep."""
    purse = _purse(instance)
    if purse:
        purse.balance = purse.most


def _reckon(region: str, instance: str, percent: float, at: float) -> None:
    """Put what an instance has and spends of CPU credits, for itself and for its group."""
    purse = _purse(instance)
    if purse is None:
        return
    spent = purse.use(percent, at)
    names = [one.name for one in autoscaling.groups() for each in one.instance_states if each.instance.id == instance]
    for named in ({"InstanceId": instance}, *({"AutoScalingGroupName": name} for name in names)):
        STORES[region].put(key_of("AWS/EC2", "CPUCreditBalance", named), purse.balance, at=at)
        STORES[region].put(key_of("AWS/EC2", "CPUCreditUsage", named), spent, at=at)


def _purse(instance: str) -> Purse | None:
    if instance not in PURSES:
        found = [b.get_instance_by_id(instance) for b in list(ec2_backends[ACCOUNT].values())]
        PURSES[instance] = next((purse_of(one.instance_type) for one in found if one), None)
    return PURSES[instance]


def look(now: float) -> None:
    """Put what the record itself tells: healthy targets, and the days that certificates have left."""
    for region, backend in list(elbv2_backends[ACCOUNT].items()):
        for arn, health in list(SEEN.targets.items()):
            for balancer in _balancers_of(backend, arn):
                named = {"LoadBalancer": balancer, "TargetGroup": arn.rpartition(":")[2]}
                for name, wanted in (("HealthyHostCount", "healthy"), ("UnHealthyHostCount", "unhealthy")):
                    count = sum(state == wanted for state in health.values())
                    STORES[region].put(key_of("AWS/ApplicationELB", name, named), count, at=now)
                # A balancer has a node in every zone, and Minimum is that of the one that sees the fewest: here of one
                # that sees nobody (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
                # load-balancer-cloudwatch-metrics.html, "Statistics").
                STORES[region].put(key_of("AWS/ApplicationELB", "HealthyHostCount", named), 0, at=now)
    for region, acm in list(acm_backends[ACCOUNT].items()):
        for arn, certificate in list(acm._certificates.items()):
            until = certificate._not_valid_after(certificate._cert).replace(tzinfo=UTC).timestamp()
            left = (until - now) / DAY_SECONDS - KNOBS.days_ahead
            key = key_of("AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": arn})
            STORES[region].put(key, int(left), at=now)


def _balancers_of(backend: Any, arn: str) -> Iterator[str]:
    """Yield what CloudWatch calls the balancers that send to a target group: the end of their ARN."""
    group = backend.target_groups.get(arn)
    for balancer in set(group.load_balancer_arns) & set(backend.load_balancers) if group else ():
        yield balancer.partition(":loadbalancer/")[2]
