"""What rmu looks up already, as documents that a runbook reads facts from. docs/runbooks.md lists what each holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import HostHealth, HostView, MetricQuery, Release, RunHeader, previous_good
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import (
    database_name,
    holder,
    read_bodies,
    read_headers,
    read_pointer,
    read_releases,
    read_schema_notes,
)
from ratemyunit_ops.runbooks.binding import Look
from ratemyunit_ops.steps.sources_upkeep import UPKEEP

Document = dict[str, Any]
PERIOD = timedelta(minutes=1)
MOVES = {"deploy": "deploy", "rollback": "rollback", "restore": "db restore", "migration": "migrate up"}
"""Runs that a document names by the verb they were."""


def document(o: Outside, look: Look) -> Document:
    """Look one source up. Raises what its port raises."""
    assert look.source is not None
    return SOURCES[look.source](o, look)


def well(health: HostHealth) -> bool:
    """Tell whether nobody who watches a host from outside complains of it."""
    words = (health.lifecycle, health.health, health.machine, health.target, health.agent)
    checks = {health.system, health.instance} <= {"ok", "", "initializing", "not-applicable"}
    return checks and all(w in {"", "InService", "Healthy", "running", "healthy", "Online"} for w in words)


def _alarms(o: Outside, look: Look) -> Document:
    now, found = o.clock.now(), o.metrics.alarms()
    told = {a.name: {"state": a.state, "since_s": _age(now, a.since), "severity": a.severity} for a in found}
    return {"alarms": told, "red": [a.name for a in found if a.state == "ALARM"]}


def _database(o: Outside, look: Look) -> Document:
    name = look.database.identifier if look.database else database_name(o)
    seen, now = o.databases.view(name), o.clock.now()
    backups = o.databases.backups(seen.resource_id)
    return {
        "identifier": seen.identifier,
        "status": seen.status,
        "pending": list(seen.pending),
        "protected": seen.protected,
        "restorable_age_s": _age(now, seen.latest_restorable) if seen.latest_restorable else None,
        "backup_age_s": _age(now, backups[-1]) if backups else None,
        "made_by": seen.made_by,
    }


def _front_door(o: Outside, look: Look) -> Document:
    began = o.clock.monotonic()
    try:
        door = o.traffic.look()
    except RmuError as why:
        return {"answers": False, "why": why.what}
    said = {"answers": door.version is not None, **door.model_dump(), "ms": round(1000 * (o.clock.monotonic() - began))}
    try:
        o.traffic.smoke()
    except RmuError as why:
        return {**said, "smoke": False, "why": why.what}
    return {**said, "smoke": True}


def _group(o: Outside, look: Look) -> Document:
    hosts = {name: {**h.model_dump(), "well": well(h)} for name, h in o.group.health().items()}
    return {
        "hosts": hosts,
        "host": hosts.get(look.host) if look.host else next(iter(hosts.values()), None),
        "members": len(hosts),
        "in_service": sum(h["lifecycle"] == "InService" for h in hosts.values()),
        "well": sum(h["well"] for h in hosts.values()),
    }


def _ledger(o: Outside, look: Look) -> Document:
    headers = read_headers(o.ledger)
    seen = holder(o.ledger)
    at_work = seen.run if seen is not None else None
    by_verb = {
        name: next((h for h in reversed(headers) if h.verb == verb and h.run != at_work), None)
        for name, verb in MOVES.items()
    }
    return {
        "live": read_pointer(o.ledger).release,
        "open": next((_run(o, h) for h in headers if h.run == at_work), None),
        "last": _run(o, headers[-1]) if headers else None,
        "schema": _schema(o),
        **{name: _run(o, h) if h else None for name, h in by_verb.items()},
    }


def _schema(o: Outside) -> Document | None:
    """Name the run that last changed the schema of the live database; None where none is known to have."""
    live = read_pointer(o.ledger).database
    noted = (n for n in read_schema_notes(o.ledger) if live and n.database == live.identifier)
    changed = [(old, new) for old, new in pairwise(noted) if old.head != new.head]
    if not changed:
        return None
    old, new = changed[-1]
    return {"run": new.run, "head": new.head, "was": old.head, "age_s": _age(o.clock.now(), new.at)}


def _run(o: Outside, header: RunHeader) -> Document:
    """Sum one run up: how it stands, at which step, and for how long nothing has happened."""
    events = read_bodies(o.ledger, header.run)
    now, last = o.clock.now(), events[-1] if events else {}
    broken = next((e["step"] for e in reversed(events) if e["kind"] == "failed"), None)
    at_step = next((e["step"] for e in reversed(events) if e["step"] is not None), None)
    steps = events[0]["facts"].get("plan", {}).get("steps", []) if events else []
    failed = next((e["facts"]["what"] for e in reversed(events) if e["kind"] == "failed"), None)
    return {
        "run": header.run,
        "verb": header.verb,
        "who": header.who,
        "outcome": header.outcome,
        "age_s": _age(now, header.started),
        "ended_s": _age(now, header.finished) if header.finished else None,
        "idle_s": _age(now, datetime.fromisoformat(last["at"])) if last else None,
        "event": last.get("kind"),
        "step": steps[at_step]["kind"] if at_step is not None and at_step < len(steps) else None,
        "failed": failed,
        "failed_step": steps[broken]["kind"] if broken is not None and broken < len(steps) else None,
    }


def _metrics(o: Outside, look: Look) -> Document:
    end = o.clock.now()
    queries = _queries(look.environment, o.places.all(), look)
    points = o.metrics.data(queries, start=end - timedelta(minutes=look.minutes), end=end, period=PERIOD)
    return {name: _summed(end, [(p.at, p.value) for p in found]) for name, found in points.items() if found}


def _summed(now: datetime, points: list[tuple[datetime, float]]) -> Document:
    values = [value for _, value in points]
    sums = {"max": max(values), "min": min(values), "sum": sum(values), "mean": sum(values) / len(values)}
    return {"last": values[-1], "age_s": _age(now, points[-1][0]), **{k: round(v, 3) for k, v in sums.items()}}


def _queries(environment: str, places: Mapping[str, str], look: Look) -> list[MetricQuery]:
    """Name the metrics; one whose dimension no place names is left out."""
    database = look.database.identifier if look.database else places.get("database", "")
    of = {
        "hosts": {"AutoScalingGroupName": places.get("asg", "")},
        "database": {"DBInstanceIdentifier": database},
        "balancer": {"LoadBalancer": places.get("alb_arn", "").partition("loadbalancer/")[2]},
        "targets": {
            "LoadBalancer": places.get("alb_arn", "").partition("loadbalancer/")[2],
            "TargetGroup": places.get("target_group_arn", "").rpartition(":")[2],
        },
        "environment": {},
    }
    known = [
        MetricQuery(id=name, namespace=space or f"rmu/{environment}", name=metric, stat=stat, dimensions=of[whose])
        for name, space, metric, stat, whose in METRICS
    ]
    return [query for query in known if all(query.dimensions.values())]


METRICS = (
    ("cpu", "AWS/EC2", "CPUUtilization", "Average", "hosts"),
    ("credits", "AWS/EC2", "CPUCreditBalance", "Minimum", "hosts"),
    ("status_failed", "AWS/EC2", "StatusCheckFailed", "Maximum", "hosts"),
    ("memory", "CWAgent", "mem_used_percent", "Maximum", "hosts"),
    ("disk", "CWAgent", "disk_used_percent", "Maximum", "hosts"),
    ("db_cpu", "AWS/RDS", "CPUUtilization", "Average", "database"),
    ("db_storage", "AWS/RDS", "FreeStorageSpace", "Minimum", "database"),
    ("connections", "AWS/RDS", "DatabaseConnections", "Maximum", "database"),
    ("requests", "AWS/ApplicationELB", "RequestCount", "Sum", "balancer"),
    ("elb_5xx", "AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum", "balancer"),
    ("target_5xx", "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum", "targets"),
    ("latency", "AWS/ApplicationELB", "TargetResponseTime", "Average", "targets"),
    ("latency_p95", "AWS/ApplicationELB", "TargetResponseTime", "p95", "targets"),
    ("healthy", "AWS/ApplicationELB", "HealthyHostCount", "Maximum", "targets"),
    ("probe_failed", "", "ProbeFailed", "Sum", "environment"),
    ("probe_ms", "", "ProbeMs", "Maximum", "environment"),
    ("queue_waiting", "", "QueueWaiting", "Maximum", "environment"),
    ("queue_oldest", "", "QueueOldestSeconds", "Maximum", "environment"),
    ("scrapes", "", "Scrapes", "Sum", "environment"),
    ("scrapes_failed", "", "ScrapesFailed", "Sum", "environment"),
)
"""Name here, namespace (empty: the environment's own), CloudWatch's name, statistic, whose it is."""


def _releases(o: Outside, look: Look) -> Document:
    found, now = read_releases(o.ledger), o.clock.now()
    live = next((r for r in found if r.version == read_pointer(o.ledger).release), None)
    previous = previous_good(found, live.version if live else None)
    return {
        "live": _release(live, now),
        "previous": _release(previous, now),
        "fits": previous is not None and live is not None and previous.runs_on(live.schema_head, live.schema_admits),
    }


def _release(release: Release | None, now: datetime) -> Document | None:
    if release is None:
        return None
    told = release.model_dump(include={"version", "verdict", "schema_head", "schema_oldest", "schema_admits", "run"})
    return {**told, "age_s": _age(now, release.created)}


def _survey(o: Outside, look: Look) -> Document:
    hosts = {view.id: _host(view) for view in o.fleet.survey()}
    return {"hosts": hosts, "host": hosts.get(look.host) if look.host else next(iter(hosts.values()), None)}


def _host(view: HostView) -> Document:
    unit = f"rmu-{view.live_slot}" if view.live_slot else None
    return {**view.model_dump(mode="json"), "live_unit": unit, "serves": view.serves()}


def _vitals(o: Outside, look: Look) -> Document:
    """Read what hosts last told of themselves: the newest line of each kind, whether or not they still answer."""
    end = o.clock.now()
    found = o.logs.lines(["host"], start=end - timedelta(minutes=look.minutes), end=end, pattern=VITALS, host=look.host)
    newest: Document = {}
    for line in found:
        said = json.loads(line.text)
        newest[said["event"]] = {**said, "age_s": _age(end, line.at)}
    return newest


VITALS = '{ $.event = "vitals" || $.event = "probe" || $.event = "queue" }'


def _age(now: datetime, moment: datetime) -> int:
    return round((now - moment).total_seconds())


SOURCES: dict[str, Callable[[Outside, Look], Document]] = {
    "alarms": _alarms,
    "database": _database,
    "front_door": _front_door,
    "group": _group,
    "ledger": _ledger,
    "metrics": _metrics,
    "queue": lambda o, look: o.queue.status().model_dump(mode="json"),
    "releases": _releases,
    "survey": _survey,
    "vitals": _vitals,
    **UPKEEP,
}
