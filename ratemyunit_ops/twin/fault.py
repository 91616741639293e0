"""Break something in the twin on purpose, and mend it again."""

from typing import Any

from ratemyunit_ops.errors import Mistyped, Refused
from ratemyunit_ops.twin import fault_account, fault_database, fault_host, fault_load
from ratemyunit_ops.twin.fault_parts import Act, Fault, database_of, host_of, inside, number
from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.keepers.backups import Store
from ratemyunit_ops.twin.site import DATABASES, Site

AGENT = "amazon-ssm-agent.service"
FILL = "/var/lib/containers/twin-fill"


def faults() -> dict[str, Fault]:
    """Answer every fault by name."""
    return {
        "kill-host": Fault("cut a host's power; its group replaces it", _kill_host),
        "freeze-host": Fault("stop a host where it is: it is reached, and never answers", _freeze, _thaw),
        "agent-kill": Fault("kill a host's SSM agent: commands are not delivered", _agent_off, _agent_on),
        "disk-full": Fault("fill a host's disk", _fill, _empty),
        "postgres-kill": Fault("kill PostgreSQL; it is started again after 3 s, as RDS does", _postgres_kill),
        "postgres-freeze": Fault("stop a database where it is: it is reached, and never answers", _pg_freeze, _pg_thaw),
        "database-lost": Fault("lose a database with the WAL not shipped yet; its automated backups are kept", _lose),
        "database-quota": Fault("let the account have TARGET databases", *_knob("quota", DATABASES)),
        "database-slow": Fault("let a new database be `creating` for TARGET seconds", *_knob("creating_seconds", 0)),
        "backups-late": Fault(
            "let RDS take no automated backup any more",
            *_switch("backups", False, "RDS takes no automated backups", "RDS takes automated backups again"),
        ),
        "backup-every": Fault(
            "take an automated backup every TARGET seconds (else every day)", *_knob("backup_seconds", 86_400)
        ),
        "days-pass": Fault(
            "let TARGET days pass for what goes by the day: schedules, and the ends of certificates",
            *_knob("days_ahead", 0),
        ),
        "backup-now": Fault("take an automated backup out of turn", _back_up),
        "backup-corrupt": Fault("damage the newest backup of a database, or of a resource id", _corrupt),
        "archive-lag": Fault(
            "ship WAL every TARGET seconds (else 15): restorable times lag", *_knob("archive_seconds", 15)
        ),
        "restore-disk-full": Fault(
            "let restores find no room",
            *_switch("disk_full", True, "restores find no room", "restores find room again"),
        ),
        "partition": Fault("take a host off the network", _partition, _join),
        "ssm-latency": Fault(
            "make SSM slower; TARGET is seconds each way (default 5)",
            *_seconds("ssm-latency", 1.0, "SSM takes {:g} s each way", "SSM takes 1 s each way"),
        ),
        "reads-lag": Fault(
            "answer Describe calls as they were answered, for TARGET seconds (default 5)",
            *_seconds(
                "reads-lag",
                0.0,
                "a Describe call may be answered as it was {:g} s before",
                "a Describe call is answered as things are",
            ),
        ),
        "plant-findings": Fault("let image scans find CRITICAL ones; TARGET is a digest, else all", _plant, _unplant),
        **fault_host.FAULTS,
        **fault_database.FAULTS,
        **fault_account.FAULTS,
        **fault_load.FAULTS,
    }


def make(site: Site, name: str, target: str | None) -> str:
    """Break something; answer what was broken.

    Raises Mistyped for an unknown name, Refused when there is nothing to break.
    """
    return _named(name).make(site, target)


def clear(site: Site, name: str, target: str | None) -> str:
    """Mend what `make` broke.

    Raises Refused where the twin mends it by itself.
    """
    mend = _named(name).mend
    if mend is None:
        raise Refused(f"{name} is not undone by hand: {_named(name).says}", next="rmu twin status")
    return mend(site, target)


def _named(name: str) -> Fault:
    known = faults()
    if name not in known:
        raise Mistyped(f"there is no fault {name!r}; known: {', '.join(known)}", next="rmu twin fault --list")
    return known[name]


def _kill_host(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    machine.kill()
    return f"{machine.name} has no power"


def _freeze(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    machine.freeze()
    return f"{machine.name} is frozen"


def _thaw(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    machine.thaw()
    return f"{machine.name} goes on"


def _agent_off(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    # Masked, so that nothing starts it again; what it runs is spared, as on AWS.
    inside(machine, f"systemctl mask --runtime {AGENT} && systemctl kill --kill-whom=main -s KILL {AGENT}")
    return f"the agent of {machine.name} is dead"


def _agent_on(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, f"systemctl unmask --runtime {AGENT} && systemctl restart {AGENT}")
    return f"the agent of {machine.name} lives"


def _fill(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, f'fallocate -l "$(df --output=avail -B1 {FILL.rpartition("/")[0]} | tail -n 1)" {FILL}')
    return f"the disk of {machine.name} is full"


def _empty(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, f"rm -f {FILL}")
    return f"the disk of {machine.name} has room again"


def _postgres_kill(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    inside(machine, "systemctl kill -s KILL postgresql@17-main.service")
    return f"PostgreSQL of {machine.name} is dead"


def _pg_freeze(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    machine.freeze()
    return f"{machine.name} is frozen"


def _pg_thaw(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    machine.thaw()
    return f"{machine.name} goes on"


def _lose(site: Site, target: str | None) -> str:
    machine = database_of(site, target)
    call(site, "rds-lose", machine.name)
    return f"{machine.name} is lost"


def _store(site: Site, target: str | None) -> Store:
    """Find the backups that are meant: a database's, or by resource id those of one that is gone."""
    wanted = call(site, "wanted")
    if target in wanted["rds"]["backups"]:
        return Store(site, str(target))
    resource = next((one["resource"] for one in wanted["databases"] if target in (None, one["id"])), None)
    if resource is None:
        raise Refused(f"there are no backups of {target or 'anything'}", next="rmu twin status")
    return Store(site, resource)


def _back_up(site: Site, target: str | None) -> str:
    store = _store(site, target)
    store.ask()
    return f"{store.directory.name} is backed up as soon as it can be"


def _corrupt(site: Site, target: str | None) -> str:
    store = _store(site, target)
    whole = [base["name"] for base in store.bases() if not base["damaged"]]
    if not whole:
        raise Refused(f"{store.directory.name} has no backup yet", next="rmu twin status")
    # Not of its WAL: that is in the archive too.
    tables = (one for one in (store.data(whole[-1]) / "base").rglob("*") if one.is_file())
    largest = max(tables, key=lambda one: one.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        file.write(b"rotten" * 100)
    return f"the backup {whole[-1]} of {store.directory.name} is damaged"


def _knob(name: str, usual: int) -> tuple[Act, Act]:
    """Make the two acts of a fault that is a number."""

    def turn(site: Site, target: str | None) -> str:
        value = number(target or "")
        call(site, "rds-knobs", {name: int(value) if name == "quota" else value})
        return f"{name} is {value:g}"

    def back(site: Site, target: str | None) -> str:
        call(site, "rds-knobs", {name: usual})
        return f"{name} is {usual} again"

    return turn, back


def _seconds(action: str, usual: float, says: str, says_again: str) -> tuple[Act, Act]:
    """Make the two acts of a fault that is a number of seconds, 5 where none is named."""

    def turn(site: Site, target: str | None) -> str:
        seconds = number(target or "5")
        call(site, action, seconds)
        return says.format(seconds)

    def back(site: Site, target: str | None) -> str:
        call(site, action, usual)
        return says_again

    return turn, back


def _switch(name: str, value: bool, says: str, says_again: str) -> tuple[Act, Act]:
    """Make the two acts of a fault that is a switch."""

    def turn(site: Site, target: str | None) -> str:
        call(site, "rds-knobs", {name: value})
        return says

    def back(site: Site, target: str | None) -> str:
        call(site, "rds-knobs", {name: not value})
        return says_again

    return turn, back


def _partition(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    inside(machine, "ip link set host0 down")
    return f"{machine.name} is off the network"


def _join(site: Site, target: str | None) -> str:
    machine = host_of(site, target)
    # Its addresses survive a link that is down, its routes do not; what is there already is an error to `ip`.
    inside(machine, "ip -force -batch /etc/twin-network 2>/dev/null; ip route show default | grep -q via")
    return f"{machine.name} is on the network"


def _plant(site: Site, target: str | None) -> str:
    planted: dict[str, Any] = {target or "*": {"CRITICAL": 1}}
    call(site, "findings", planted)
    return f"scans of {target or 'every image'} find one CRITICAL"


def _unplant(site: Site, target: str | None) -> str:
    call(site, "findings", {})
    return "scans find nothing"
