"""Worlds that are sick in a way that a runbook knows: what its checks are answered, and what its remedies do there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import CertificateView, QueueView
from ratemyunit_ops.runbooks.reading import read
from ratemyunit_ops.runbooks.schema import Deed, Runbook
from ratemyunit_ops.shipped import shipped
from tests.fakes.world import FakeWorld


@cache
def runbook(name: str) -> Runbook:
    """Read one that ships."""
    return read(shipped("runbooks") / f"{name}.yaml").runbook


def answer(world: FakeWorld, book: Runbook, says: Mapping[str, str]) -> None:
    """Let the commands of checks print this; a check that is not named prints nothing."""
    for check in book.diagnosis:
        if check.command is not None:
            world.prints[check.command] = says.get(check.name, "")


def hung_worker(world: FakeWorld, *, a_restart_helps: bool = True) -> FakeWorld:
    """Let a worker be stopped where it is: its unit is active, jobs wait, and nothing is taken."""
    book = runbook("queue-stalled")
    answer(world, book, {"unit": "ActiveState=active\n", "redis": "PONG", "disk": "Use%\n 40%"})
    world.sql = lambda sql, variables: [{"sessions": "1", "blocked": "0"}]
    stalled = QueueView(waiting=3, running=0, oldest_s=300.0, paused=False)
    world.queue = stalled
    hangs = [True]

    def restart() -> str:
        hangs[0] = not a_restart_helps
        assert world.queue is not None
        if a_restart_helps:
            world.queue = world.queue.model_copy(update={"running": 1, "oldest_s": 0.0})
        return ""

    processes = next(c.command for c in book.diagnosis if c.name == "processes")
    assert processes is not None
    world.prints[processes] = lambda: f"STATE PID COMMAND\n{'T' if hangs[0] else 'S'} 1 python\nS 7 chromium"
    world.does[command_of(book, "restart-worker")] = restart
    return world


def shut_out(world: FakeWorld, roles: Sequence[str] = ("rmu_app", "rmu_migrate")) -> FakeWorld:
    """Let application and migrations not log in to the database, as a restore that was given up by hand does."""
    may = dict.fromkeys(roles, "f")

    def answer(sql: str, variables: Mapping[str, str]) -> list[dict[str, str | None]]:
        if sql.startswith("alter role "):
            may[sql.split()[2]] = "t"
            return []
        if "as may from" in sql:
            return [{"role": role, "may": may.get(role, "t")} for role in ("rmu_app", "rmu_migrate")]
        return [{"rolcanlogin": next((it for role, it in may.items() if role in sql), "t")}]

    world.sql = answer
    return world


def leaking_app(world: FakeWorld) -> FakeWorld:
    """Let the application hold 70 sessions open that do nothing."""
    answer(world, runbook("database-connections"), {})
    idle = [70]

    def sessions(sql: str, variables: Mapping[str, str]) -> list[dict[str, str | None]]:
        n = str(idle[0])
        if "pg_terminate_backend" in sql:
            idle[0] = 0
            return [{"ended": n}]
        if "app_used" in sql:
            return [{"allowed": "97", "used": n, "app_limit": "90", "app_used": n}]
        return [{"role": "rmu_app", "state": "idle", "n": n}] if "longest_s" in sql else []

    world.sql = sessions
    return world


def old_certificate(world: FakeWorld) -> FakeWorld:
    """Let an imported certificate end in nine days; who is asked to import another one does so."""
    ends = CertificateView(arn="arn:aws:acm:::certificate/1", domain="rmu.example.org", imported=True, days_left=9)
    world.certificates = [ends]

    def import_another() -> None:
        world.certificates = [ends.model_copy(update={"days_left": 365.0})]

    world.people_do = import_another
    return world


LARGEST, PROXY = "4242", "900"
"""Processes of a starving host: what takes the most memory, and the proxy."""
WHO = ("ps", "--no-headers", "-o", "lstart,unit,comm", "-p")


@dataclass
class StarvingHost:
    """A host whose memory one process of hundreds takes: who that is now, and who was ended."""

    unit: str
    started: str = "Thu Jul  9 10:00:00 2026"
    silent: bool = False
    ended: list[str] = field(default_factory=list)

    def says(self) -> str:
        if self.silent:
            raise Failed("“exec” was cut off on i-1: TimedOut", state="", next="")
        return "" if self.ended else f"{self.started} {self.unit:<31} hog"

    def meminfo(self) -> str:
        return f"MemTotal: 1048576 kB\nMemAvailable: {600_000 if self.ended else 90_000} kB\n"

    def end(self) -> str:
        self.ended.append(LARGEST)
        return ""

    def give_the_number_away(self) -> None:
        self.started = "Thu Jul  9 11:11:11 2026"

    def tell_nobody(self) -> None:
        self.silent = True


def starving_host(world: FakeWorld, *, unit: str = "-") -> StarvingHost:
    """Let one process take the memory of a host on which hundreds run."""
    book, host = runbook("host-unresponsive"), StarvingHost(unit)
    small = "".join(f"{900 - n:>5} {1000 + n:>7} {'rmu-worker.service':<31} python\n" for n in range(200))
    proxy = f"Thu Jul  9 09:00:00 2026 {'haproxy.service':<31} haproxy"
    answer(
        world,
        book,
        {
            "hungry": f"612000 {LARGEST:>7} {unit:<31} hog\n{small}",
            "live": "haproxy.service loaded active running\nrmu-blue.service loaded active running\n",
            "reporter": "active",
            "watcher": "active\ninactive\n",
            "inside": "200",
        },
    )
    world.prints[*WHO, PROXY] = proxy
    world.prints[*WHO, LARGEST] = host.says
    world.prints["cat", "/proc/meminfo"] = host.meminfo
    world.does["kill", LARGEST] = host.end
    return host


MEMINFO = "MemTotal: 1048576 kB\nMemAvailable: {} kB\n"
UNITS = "haproxy.service loaded {} running\nrmu-blue.service loaded active running\n"
TELLS: dict[tuple[str, str], dict[str, tuple[str, str]]] = {
    ("host-unresponsive", "restart-release"): {"inside": ("503", "200")},
    ("host-unresponsive", "restart-worker"): {"memory": (MEMINFO.format(90_000), MEMINFO.format(600_000))},
    ("host-unresponsive", "restart-proxy"): {"live": (UNITS.format("failed"), UNITS.format("active"))},
    ("host-unresponsive", "restart-reporter"): {"reporter": ("inactive\n", "active\n")},
    ("host-unresponsive", "restart-watcher"): {"watcher": ("inactive\ninactive\n", "active\ninactive\n")},
    ("redis-lost", "restart-redis"): {"ping": ("", "PONG\n")},
    ("disk-full", "vacuum"): {"disk": ("Use% Avail\n 97% 100M\n", "Use% Avail\n 40% 9000M\n")},
}
"""Remedy -> check -> what it prints before, and once the remedy was carried."""
WELL = {
    "host-unresponsive": {
        "memory": MEMINFO.format(600_000),
        "live": UNITS.format("active"),
        "reporter": "active\n",
        "watcher": "active\ninactive\n",
        "inside": "200",
    },
    "redis-lost": {"unit": "ActiveState=active\n"},
}
PROXY_IS, WATCHER_IS = (("systemctl", "is-active", unit) for unit in ("haproxy.service", "rmu-vitals.timer"))
METERS = (
    ("CWAgent", "mem_used_percent", 41.0, "asg"),
    ("AWS/EC2", "CPUUtilization", 9.0, "asg"),
    ("AWS/ApplicationELB", "TargetResponseTime", 0.1, "targets"),
)
BALANCER = {"LoadBalancer": "app/rmu/1", "TargetGroup": "targetgroup/rmu/2"}


def waits_for(world: FakeWorld, name: str, remedy: str) -> FakeWorld:
    """Let things be as a remedy of commands or statements wants them before it, and as its proof does after it."""
    book, mended = runbook(name), [False]
    _measured(world)
    answer(world, book, WELL.get(name, {}))
    for check, (before, after) in TELLS.get((name, remedy), {}).items():
        asked = next(c.command for c in book.diagnosis if c.name == check)
        assert asked is not None
        world.prints[asked] = lambda before=before, after=after: after if mended[0] else before
    for asked in (PROXY_IS, WATCHER_IS):
        world.prints[asked] = lambda: "active\n" if mended[0] else "failed\n"

    def act() -> str:
        mended[0] = True
        return ""

    found = book.remedy(remedy)
    assert found is not None
    for step in found.steps:
        if isinstance(step, Deed) and step.command is not None:
            world.does[tuple("rmu-blue" if word == "$unit" else word for word in step.command)] = act
    world.sql = lambda sql, variables: _sessions(sql, mended)
    return world


def _sessions(sql: str, mended: list[bool]) -> list[dict[str, str | None]]:
    """Answer as a database does in which a migration waits for one session, until that or the migration is ended."""
    if "pg_terminate_backend" in sql or "pg_cancel_backend" in sql:
        mended[0] = True
        return [{"ended": "t"}]
    if "app_used" in sql:
        return [{"allowed": "97", "used": "20", "app_limit": "90", "app_used": "20"}]
    if sql.startswith("select count(*) from pg_stat_activity"):
        return [{"count": "0" if mended[0] else "1"}]
    if "pg_blocking_pids" not in sql or mended[0]:
        return []
    return [{"pid": "77", "state": "active", "seconds": "300", "blocks": "2", "blocked_by": "1"}]


def _measured(world: FakeWorld) -> None:
    world.places |= {"asg": "rmu-test-hosts", "alb_arn": "arn:x:loadbalancer/app/rmu/1"}
    world.places |= {"target_group_arn": "arn:x:targetgroup/rmu/2"}
    for namespace, metric, value, whose in METERS:
        of = {"AutoScalingGroupName": "rmu-test-hosts"} if whose == "asg" else BALANCER
        world.meters.measure(namespace, metric, value, **of)


def command_of(book: Runbook, remedy: str) -> tuple[str, ...]:
    """Name the first command of a remedy."""
    found = book.remedy(remedy)
    assert found is not None
    return next(s.command for s in found.steps if isinstance(s, Deed) and s.command is not None)


def silent_host(world: FakeWorld, *, memory: float) -> FakeWorld:
    """Let a host answer nobody, whose memory (percent) was measured a minute before."""
    world.places["asg"] = "rmu-test-hosts"
    world.meters.measure("CWAgent", "mem_used_percent", memory, AutoScalingGroupName="rmu-test-hosts")
    vitals = {"event": "vitals", "memory_available": round((100 - memory) * 10_000_000), "oom_kills": 0}
    world.logbook.say("host", "i-1/rmu-vitals", json.dumps(vitals))
    world.clock.sleep(60)
    world.hosts[0].booted = None
    return world
