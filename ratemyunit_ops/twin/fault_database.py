"""What may stand in a database's way: sessions never given back, a statement that never ends, a lock, a fence."""

from functools import partial

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin.fault_account import NAMES
from ratemyunit_ops.twin.fault_parts import Fault, database_of, host_of, inside, number
from ratemyunit_ops.twin.inner import client
from ratemyunit_ops.twin.keepers import postgres
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site

SESSIONS, QUERY, LOCK, MIGRATION = "twin-sessions", "twin-query", "twin-lock", "twin-migration"
MOST = 10_000
SHUT = "begin;\nalter role rmu_app nologin;\nalter role rmu_migrate nologin;\ncommit;\n"
"""As a host's fence does it."""

# Held by libpq itself, in one small process on the host: the database sees the application's role, name and address.
_HOLD = """
import ctypes, sys, time
unit, sql, most = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
for slot in ("blue", "green", "worker"):
    try:
        lines = open(f"/run/rmu/{slot}.env").read().splitlines()
    except OSError:
        continue
    url = next(line for line in lines if line.startswith("DATABASE_URL=")).partition("=")[2]
    break
else:
    sys.exit("no slot of this host has the database's address")
pq = ctypes.CDLL("libpq.so.5")
pq.PQconnectdb.restype = ctypes.c_void_p
pq.PQconnectdb.argtypes = [ctypes.c_char_p]
pq.PQstatus.argtypes = [ctypes.c_void_p]
pq.PQsendQuery.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
held = []
while len(held) < most:
    session = pq.PQconnectdb(f"{url}&application_name=ratemyunit&connect_timeout=5".encode())
    if pq.PQstatus(session) != 0:
        break
    held.append(session)
    if sql:
        pq.PQsendQuery(session, sql)
if not held:
    sys.exit("the database refused the first session")
open(f"/run/{unit}", "w").write(str(len(held)))
while True:
    time.sleep(3600)
"""

# It must have opened what it could before the command answers.
_BEGIN = """
set -e
rm -f /run/{unit}
cat > /run/{unit}.py
systemd-run --quiet --unit {unit} --collect python3 -I /run/{unit}.py {unit} "{sql}" {most}
for n in $(seq 150); do
    test ! -s /run/{unit} || {{ cat /run/{unit}; exit 0; }}
    systemctl --quiet is-active {unit} || break
    sleep 0.2
done
echo "it opened no session" >&2
exit 1
"""

# A statement that sleeps does not miss its client; an idle session ends with it, so that only the one needs this.
_END_SQL = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select count(*) as twin_slow%';"
SLOW = "select count(*) as twin_slow from generate_series(1, 10) as n, pg_sleep(3600)"

# The session that holds the lock looks at one row and never ends its transaction. Who waits for it wants the whole
# table, as most of what a migration says does, changes nothing, and is no transaction of its own: once it has the
# lock it is over. Both come from a host: the database lets nobody else in.
_LOOK = "begin; select id from units limit 1"
_WAIT = f"""
set -e
systemctl stop {MIGRATION} 2>/dev/null || true
place=$(cat /run/rmu/blue.env /run/rmu/green.env 2>/dev/null | sed -n 's/^DATABASE_URL=.*@//p' | head -n 1)
systemd-run --quiet --collect --unit {MIGRATION} --setenv=PGPASSWORD="$(cat)" \\
    psql -X -q "postgresql://rmu_migrate@$place" -c "alter table units alter column title drop default"
"""


def _hold(unit: str, sql: str, usual: int, site: Site, target: str | None) -> tuple[Machine, int]:
    machine = host_of(site, None)
    most = int(number(target or str(usual)))
    _end(site, unit)
    script = _BEGIN.format(unit=unit, sql=sql, most=most)
    done = machine.run(["sh", "-c", script], timeout=60, input=_HOLD.encode())
    if done.returncode != 0:
        raise Refused(
            f"{machine.name}: {done.stderr.decode(errors='replace').strip()[-300:]}",
            next="rmu deploy VERSION   (the sessions are opened with a slot's credentials)",
        )
    return machine, int(done.stdout)


def _end(site: Site, unit: str) -> Machine:
    machine = host_of(site, None)
    inside(machine, f"systemctl stop {unit} 2>/dev/null; rm -f /run/{unit} /run/{unit}.py")
    if unit == QUERY:
        postgres.tell(database_of(site, None), _END_SQL)
    return machine


def _fill(site: Site, target: str | None) -> str:
    machine, held = _hold(SESSIONS, "", MOST, site, target)
    return f"{machine.name} holds {held} idle sessions of the application"


def _slow(site: Site, _: str | None) -> str:
    machine, _held = _hold(QUERY, SLOW, 1, site, None)
    return f"a statement of the application from {machine.name} never ends"


def _mended(unit: str, site: Site, _: str | None) -> str:
    return f"{_end(site, unit).name} holds none of them any more"


def _lock(site: Site, _: str | None) -> str:
    machine, _held = _hold(LOCK, _LOOK, 1, site, None)
    name = f"{NAMES}/db/migrate_password"
    password = client(site, "ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    inside(machine, _WAIT, input=password.encode())
    return f"a session from {machine.name} holds a lock that a migration waits for"


def _unlock(site: Site, _: str | None) -> str:
    inside(host_of(site, None), f"systemctl stop {MIGRATION} 2>/dev/null || true")
    return f"{_end(site, LOCK).name} holds no lock any more"


def _fence(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    postgres.tell(machine, SHUT)
    return f"application and migrations may not log in to {machine.name}"


def _lift(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    postgres.tell(machine, SHUT.replace("nologin", "login"))
    return f"application and migrations may log in to {machine.name} again"


FAULTS = {
    "connections-full": Fault(
        "hold idle sessions of the application open, TARGET of them, else until PostgreSQL refuses one",
        _fill,
        partial(_mended, SESSIONS),
    ),
    "lock-held": Fault("let a session hold a lock that a migration's statement waits for", _lock, _unlock),
    "app-fenced": Fault(
        "shut application and migrations out of a database, as a restore given up by hand does", _fence, _lift
    ),
    "query-slow": Fault("let a statement of the application never end", _slow, partial(_mended, QUERY)),
}
