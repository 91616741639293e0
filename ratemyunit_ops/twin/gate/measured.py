"""What AWS measures by itself: from the machines, by the meters (a keeper), and what the gate's own record tells."""

import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from moto.acm.models import acm_backends
from moto.elbv2.models import elbv2_backends

from ratemyunit_ops.twin.gate.mend import ACCOUNT
from ratemyunit_ops.twin.gate.metrics import STORES, key_of
from ratemyunit_ops.twin.gate.state import DAY_SECONDS, KNOBS, SEEN


def take(points: list[dict[str, Any]]) -> None:
    """Keep what the meters read: `region namespace name dimensions value`; `at` and `times` where not now, or often."""
    now = time.time()
    for one in points:
        key = key_of(one["namespace"], one["name"], one["dimensions"])
        at, times = float(one.get("at") or now), float(one.get("times") or 1)
        STORES[one["region"]].put(key, float(one["value"]), at=at, times=times)


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
