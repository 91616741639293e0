"""The keepers' side of the gate: `GET /twin/wanted` is the record in one document, `POST /twin/seen` what became true.

One document a second instead of a dozen describes keeps the polling cheap; everything in it is what the public API
would answer, but for passwords.
"""

from collections.abc import Callable, Iterable
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from ratemyunit_ops.twin.gate import autoscaling, dlm, ecr, instance_connect, logs, outbox, rds, rds_backups, sns
from ratemyunit_ops.twin.gate.agent import body_of, reply
from ratemyunit_ops.twin.gate.deliveries import deliveries
from ratemyunit_ops.twin.gate.ec2 import profile_of
from ratemyunit_ops.twin.gate.elbv2 import draining
from ratemyunit_ops.twin.gate.lag import LAG
from ratemyunit_ops.twin.gate.measured import refill, spend, take
from ratemyunit_ops.twin.gate.mend import ACCOUNT
from ratemyunit_ops.twin.gate.ssm import RUN
from ratemyunit_ops.twin.gate.state import KNOBS, SEEN
from ratemyunit_ops.twin.gate.walls import walls


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one call of a keeper."""
    action = environ["PATH_INFO"].rpartition("/")[2]
    if action not in CALLS:
        return reply(start_response, {"error": f"no such call: {action}"}, "404 Not Found")
    return reply(start_response, CALLS[action](body_of(environ)))


def wanted() -> dict[str, Any]:
    """Write down what should be."""
    autoscaling.advance()
    return {
        "instances": _instances(),
        "groups": [_group(one) for one in autoscaling.groups()],
        "balancers": _balancers(),
        "walls": walls(),
        "images": dlm.wanted(),
        "databases": rds.wanted(),
        "rds": {**rds_backups.wanted(), "knobs": vars(KNOBS)},
    }


def _see(report: dict[str, Any]) -> None:
    SEEN.machines.update(report.get("machines", {}))
    SEEN.databases.update(report.get("databases", {}))
    SEEN.database_addresses.update(report.get("database_addresses", {}))
    SEEN.restart_pending.update(report.get("restart_pending", {}))
    SEEN.obeyed.update(report.get("obeyed", {}))
    SEEN.archived.update(report.get("archived", {}))
    SEEN.balancers.update(report.get("balancers", {}))
    dlm.taken(report.get("images", []))
    for arn, states in report.get("targets", {}).items():
        SEEN.targets[arn] = states
    rds_backups.see(report)
    autoscaling.advance()
    rds.refresh()


def _instances() -> list[dict[str, Any]]:
    return [
        _instance(region, one)
        for region, backend in list(ec2_backends[ACCOUNT].items())
        for one in list(backend.all_instances())
    ]


def _instance(region: str, one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "region": region,
        "state": one.state,
        "machine": SEEN.machines.get(one.id),
        "address": one.private_ip,
        "type": one.instance_type,
        "zone": one.placement.zone,
        "image": one.image_id,
        "user_data": str(one.user_data or ""),  # base64, as it was given
        "tags": {tag["key"]: tag["value"] for tag in one.get_tags()},
        "profile": profile_of(one),
        "hop_limit": one.metadata_options.http_put_response_hop_limit,
        "reboots": getattr(one, "reboots", 0),
    }


def _group(group: FakeAutoScalingGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "region": group.region,
        "desired": int(group.desired_capacity or 0),
        "active": len(group.active_instances()),
        "health_type": group.health_check_type,
        "grace": int(group.health_check_grace_period or 0),
        "suspended": [one["ProcessName"] for one in group.suspended_processes],
        "target_groups": list(group.target_group_arns),
        "instances": [
            {
                "id": one.instance.id,
                "lifecycle": one.lifecycle_state,
                "health": one.health_status,
                "in_service_at": getattr(one, "in_service_at", None),
                "machine": SEEN.machines.get(one.instance.id),
                "targets": [SEEN.targets.get(arn, {}).get(one.instance.id) for arn in group.target_group_arns],
            }
            for one in group.instance_states
        ],
    }


def _balancers() -> list[dict[str, Any]]:
    rows = []
    for region, backend in list(elbv2_backends[ACCOUNT].items()):
        for one in list(backend.load_balancers.values()):
            listeners = [_listener(listener) for listener in one.listeners.values()]
            groups = {
                arn: _target_group(region, backend.target_groups[arn])
                for arn in _arns(listeners)
                if arn in backend.target_groups
            }
            rows.append(
                {
                    "arn": one.arn,
                    "region": region,
                    "name": one.name,
                    "dns": one.dns_name,
                    "scheme": one.scheme,
                    "idle": int(one.attrs.get("idle_timeout.timeout_seconds", 60)),
                    "listeners": listeners,
                    "target_groups": groups,
                }
            )
    return rows


def _listener(listener: Any) -> dict[str, Any]:
    rules = [
        {"priority": str(rule.priority), "conditions": rule.conditions, "actions": [_action(a) for a in rule.actions]}
        for rule in listener.rules.values()
        if str(rule.priority) != "default"
    ]
    rules.sort(key=lambda rule: int(rule["priority"]))
    return {
        "port": int(listener.port),
        "protocol": listener.protocol,
        "certificates": list(listener.certificates or []),
        "default": [_action(one) for one in listener.default_actions],
        "rules": rules,
    }


def _action(action: Any) -> dict[str, Any]:
    data: dict[str, Any] = dict(action.data)
    return data


def _arns(listeners: list[dict[str, Any]]) -> list[str]:
    arns: list[str] = []
    for listener in listeners:
        for action in [*listener["default"], *(a for rule in listener["rules"] for a in rule["actions"])]:
            arns += [one["TargetGroupArn"] for one in (action.get("ForwardConfig") or {}).get("TargetGroups", [])]
            arns += [action["TargetGroupArn"]] if action.get("TargetGroupArn") else []
    return list(dict.fromkeys(arns))


def _target_group(region: str, group: Any) -> dict[str, Any]:
    backend = ec2_backends[ACCOUNT][region]
    targets = {}
    for id, target in list(group.targets.items()):
        instance = backend.get_instance_by_id(id)
        address = instance.private_ip if instance else id
        targets[id] = {"address": address, "port": int(target["Port"])}
    return {
        "name": group.name,
        "path": group.health_check_path or "/",
        "port": group.health_check_port,
        "interval": int(group.health_check_interval_seconds),
        "timeout": int(group.health_check_timeout_seconds),
        "healthy": int(group.healthy_threshold_count),
        "unhealthy": int(group.unhealthy_threshold_count),
        "matcher": (group.matcher or {}).get("HttpCode", "200"),
        "delay": int(group.attributes["deregistration_delay.timeout_seconds"]),
        "targets": targets,
        "draining": draining(group),
    }


def _find(planted: dict[str, Any]) -> None:
    ecr.PLANTED.clear()
    ecr.PLANTED.update(planted)


def _slow_ssm(seconds: float) -> None:
    RUN.latency = float(seconds)


def _lag_reads(seconds: float) -> None:
    LAG.seconds = float(seconds)


CALLS: dict[str, Callable[[Any], Any]] = {
    "alive": lambda _: None,
    "confirm": sns.confirm,
    "credits-back": refill,
    "credits-spent": spend,
    "deliveries": lambda after: deliveries(int(after or 0)),
    "findings": _find,
    "measured": take,
    "outbox": lambda _: outbox.due(),
    "posted": outbox.posted,
    "pushed": ecr.pushed,
    "rds-knobs": vars(KNOBS).update,
    "rds-log": lambda told: logs.take_database_log(**told),
    "rds-lose": rds_backups.lose,
    "reads-lag": _lag_reads,
    "run-image-policies": lambda _: dlm.run(),
    "seen": _see,
    "sns-refuses": sns.refuse_all,
    "ssh-keys": lambda asked: instance_connect.active_keys(**asked),
    "ssm-latency": _slow_ssm,
    "wanted": lambda _: wanted(),
}
