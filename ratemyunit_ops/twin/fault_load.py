"""Faults of load: busy CPUs and spent credits, a host's memory eaten, a release that answers late, a full database."""

import shlex
from typing import Any

from ratemyunit_ops.twin.fault_parts import Fault, database_of, host_of, inside, number
from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.keepers.meters import CPUS
from ratemyunit_ops.twin.keepers.postgres import HERE
from ratemyunit_ops.twin.site import Site

# A sparse file beside the cluster: it counts against the storage that was allocated, and takes no room here.
_BALLAST = f"{HERE}/twin-ballast"
_BUSY = "twin-cpu-load-{n}"
_EATER = "twin-memory-eater"
_QUERY = "twin-postgres-load-{n}"
_SLOW = "twin-app-slow"
_HEAVY = 20
# Of no rows and no files: a set of rows would be kept, and fill this machine's disk.
_ENDLESS = "DO $$ DECLARE twin_load float := 0; BEGIN LOOP twin_load := sqrt(twin_load + 1); END LOOP; END $$"
_LEFT_GIB = 1.0
# psql that is gone leaves its statement running.
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO%twin_load%'"

# It takes half of what is above its goal and then waits until the machine's figures have moved, which they do once a
# second: faster, and the kernel would end it. Where others need memory it gives some back.
_EAT = """
import mmap, time
def left():
    lines = dict(line.split(':') for line in open('/proc/meminfo'))
    return int(lines['MemAvailable'].split()[0]) << 10, int(lines['MemTotal'].split()[0]) << 10
held = []
while True:
    free, total = left()
    above = free - total * 9 // 100
    if above > 4 << 20:
        piece = mmap.mmap(-1, above // 2)
        for at in range(0, len(piece), 4096):
            piece[at] = 1
        held.append(piece)
    while above < -total * 2 // 100 and held:
        above += len(held[-1])
        held.pop().close()
    until = time.monotonic() + 5
    while left()[0] == free and time.monotonic() < until:
        time.sleep(0.1)
"""

# Two seconds of standing still, half a second of work: HAProxy's checks see one failure at most, and go on.
_HALT = """
live=$(sed -n 's/^live //p' /var/lib/rmu/live.map)
while :; do
    systemctl freeze rmu-${live%-backed}.service
    sleep 2
    systemctl thaw rmu-${live%-backed}.service
    sleep 0.5
done
"""
_THAW = "for unit in rmu-blue rmu-green; do systemctl thaw $unit.service 2>/dev/null || true; done\n"


def _cpu_load(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    machine.weigh(_HEAVY)
    inside(machine, "".join(_unit(_BUSY.format(n=n), "sh -c 'while :; do :; done'") for n in range(CPUS)))
    return f"the CPU of {machine.name} is busy"


def _cpu_rest(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, "".join(_stop(_BUSY.format(n=n)) for n in range(CPUS)))
    machine.weigh(1)
    return f"the CPU of {machine.name} rests"


def _spend(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    call(site, "credits-spent", machine.name)
    return f"{machine.name} has no CPU credits left"


def _refill(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    call(site, "credits-back", machine.name)
    return f"{machine.name} has a day's CPU credits again"


def _eat(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    # Should it come to that, the kernel takes the eater first.
    inside(machine, _unit(_EATER, f"python3 -c {shlex.quote(_EAT)}", "-p OOMScoreAdjust=1000"))
    return f"the memory of {machine.name} is eaten, up to a little"


def _spit_out(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, _stop(_EATER))
    return f"the memory of {machine.name} is free again"


def _halt(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, _unit(_SLOW, f"sh -c {shlex.quote(_HALT)}"))
    return f"the live release on {machine.name} is slow"


def _go_on(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, _stop(_SLOW) + _THAW)
    return f"the live release on {machine.name} goes on"


def _query(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    machine.weigh(_HEAVY)
    ask = f"runuser -u postgres -- psql -X -d postgres -c {shlex.quote(_ENDLESS)}"
    inside(machine, "".join(_unit(_QUERY.format(n=n), ask) for n in range(CPUS)))
    return f"PostgreSQL of {machine.name} is busy"


def _query_no_more(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    ends = f"runuser -u postgres -- psql -X -d postgres -c {shlex.quote(_END)} >/dev/null\n"
    inside(machine, "".join(_stop(_QUERY.format(n=n)) for n in range(CPUS)) + ends)
    machine.weigh(1)
    return f"PostgreSQL of {machine.name} rests"


def _fill_storage(site: Site, target: str | None) -> str:
    left = number(target) if target else _LEFT_GIB
    machine = database_of(site, None)
    allocated = next(one["storage_gib"] for one in _databases(site) if one["id"] == machine.name)
    inside(machine, f"truncate -s {int((allocated - left) * (1 << 30))} {_BALLAST}")
    return f"the storage of {machine.name} has less than {left:g} GiB left"


def _databases(site: Site) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = call(site, "wanted")["databases"]
    return rows


def _room(site: Site, target: str | None) -> str:
    machine = database_of(site, None)
    inside(machine, f"rm -f {_BALLAST}")
    return f"the storage of {machine.name} has room again"


def _unit(name: str, command: str, properties: str = "") -> str:
    run = f"systemd-run -q --collect --expand-environment=no --unit {name} {properties} {command}"
    return f"systemctl is-active -q {name} || {run}\n"


def _stop(name: str) -> str:
    return f"systemctl stop {name} 2>/dev/null || true\n"


FAULTS: dict[str, Fault] = {
    "app-slow": Fault("let the live release on a host answer late", _halt, _go_on),
    "cpu-load": Fault("keep a host's CPU busy", _cpu_load, _cpu_rest),
    "credits-spent": Fault("let a host have no CPU credits left; what it earns and spends goes on", _spend, _refill),
    "memory-eaten": Fault("eat a host's memory up to a little: it lives on, badly", _eat, _spit_out),
    "postgres-load": Fault("keep a database's CPU busy with endless queries", _query, _query_no_more),
    "database-storage-low": Fault("leave a database TARGET GiB of storage (default 1)", _fill_storage, _room),
}
