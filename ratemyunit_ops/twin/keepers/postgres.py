"""PostgreSQL inside a database's machine: cluster, settings, roles, recovery, backups. All through its own shell."""

import shutil
import subprocess
from datetime import UTC, datetime
from ipaddress import IPv4Network, collapse_addresses
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin.certs import Pair
from ratemyunit_ops.twin.files import write_whole
from ratemyunit_ops.twin.keepers.database_log import PREFIX
from ratemyunit_ops.twin.machine import Machine

VERSION = "17"
UNIT = f"postgresql@{VERSION}-main.service"
BIN = f"/usr/lib/postgresql/{VERSION}/bin"
HERE = "/srv/rds"
DATA = f"{HERE}/data/{VERSION}"
BACKUP = "/srv/backup"
SOURCE = "/srv/source"
_ETC = f"/etc/postgresql/{VERSION}/main"
LOG = "log/postgresql.log"
"""Where it logs, below HERE: the keeper reads it from outside."""

# RDS's own words that PostgreSQL does not know.
_OURS = {
    "listen_addresses": "*",
    "ssl": "on",
    "ssl_cert_file": f"{HERE}/tls/server.pem",
    "ssl_key_file": f"{HERE}/tls/server.key",
    "password_encryption": "scram-sha-256",
    "archive_mode": "on",
    "archive_command": f"test ! -f {BACKUP}/wal/%f.gz && gzip -1 < %p > {BACKUP}/wal/%f.new && "
    f"mv {BACKUP}/wal/%f.new {BACKUP}/wal/%f.gz",
    "wal_level": "replica",
    "max_wal_senders": "5",
    "shared_buffers": "128MB",
    "log_destination": "stderr",
    "log_line_prefix": PREFIX,
    "log_timezone": "UTC",
    "timezone": "UTC",
}

# Debian's unit forks through a wrapper: killed while it starts, systemd (257) waits for its pid file for ever.
_DROP_IN = f"""[Service]
Type=notify
PIDFile=
User=postgres
ExecStart=
ExecStart={BIN}/postgres -D {DATA} -c config_file={_ETC}/postgresql.conf
ExecReload=
ExecReload=/bin/kill -HUP $MAINPID
ExecStop=
KillMode=mixed
KillSignal=SIGINT
StandardError=append:{HERE}/{LOG}
Restart=always
RestartSec=3
"""

# A cluster that was copied here has its files in place; the settings, which Debian keeps apart, it has not. Segments
# are small because every one that is shipped half empty is written, packed and replayed whole.
_MAKE = f"""
set -eu
install -d -o postgres -g postgres -m 700 {HERE}/data {HERE}/tls {HERE}/log {BACKUP}/wal {BACKUP}/base
for file in server.pem server.key; do
    install -o postgres -g postgres -m 600 {HERE}/given/$file {HERE}/tls/$file
done
install -m 600 {HERE}/given/nftables.conf /etc/nftables.conf
systemctl --quiet enable nftables.service 2>/dev/null
nft -f /etc/nftables.conf
if [ ! -e {_ETC}/postgresql.conf ]; then
    if [ -e {DATA}/PG_VERSION ]; then
        install -o postgres -g postgres -m 600 /dev/null {DATA}/pg_hba.conf
        install -o postgres -g postgres -m 600 /dev/null {DATA}/pg_ident.conf
        printf "include_dir = 'conf.d'\n" > {DATA}/postgresql.conf
    fi
    pg_createcluster {VERSION} main -d {DATA} -e UTF8 --locale C.UTF-8 -- --wal-segsize=4 >/dev/null
    install -d -o postgres -g postgres {_ETC}/conf.d
fi
for file in rds.conf restore.conf; do
    [ ! -e {HERE}/given/$file ] || install -o postgres -g postgres -m 600 {HERE}/given/$file {_ETC}/conf.d/$file
done
install -o postgres -g postgres -m 600 {HERE}/given/pg_hba.conf {_ETC}/pg_hba.conf
# RDS lets its masters have this extension; Debian asks for a superuser.
prewarm=/usr/share/postgresql/{VERSION}/extension/pg_prewarm.control
grep -q '^trusted' $prewarm || echo 'trusted = true' >> $prewarm
mkdir -p /etc/systemd/system/{UNIT}.d
cat > /etc/systemd/system/{UNIT}.d/rds.conf <<'END'
{_DROP_IN}END
systemctl daemon-reload
systemctl --quiet enable {UNIT} 2>/dev/null
"""

_START = f"if systemctl --quiet is-active {UNIT}; then systemctl reload {UNIT}; else systemctl start {UNIT}; fi"

# 0: it takes writes. 8: not yet. 9: it gave up; systemd starts it again and again, and a kill counts once.
_RECOVERED = f"""
i=0
while [ $i -lt 15 ]; do
    said=$(runuser -u postgres -- {BIN}/psql -X -d postgres -A -t -q -c 'SELECT pg_is_in_recovery()' 2>/dev/null)
    [ "$said" != f ] || exit 0
    if [ "$(systemctl show -P NRestarts {UNIT})" -ge 3 ]; then
        grep -hE 'FATAL|PANIC' {HERE}/{LOG} | grep -v 'starting up' | tail -n 1
        exit 9
    fi
    sleep 0.2
    i=$((i+1))
done
exit 8
"""

_ROLES = """
SELECT 'CREATE ROLE rds_superuser NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname='rds_superuser') \\gexec
GRANT pg_monitor, pg_signal_backend, pg_checkpoint, pg_maintain TO rds_superuser WITH ADMIN OPTION;
SELECT format('CREATE ROLE %I LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser', :'master')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname=:'master') \\gexec
SELECT format('ALTER ROLE %I PASSWORD %L', :'master', :'password') WHERE :'password' <> '' \\gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'master')
 WHERE :'database' <> '' AND NOT EXISTS (SELECT FROM pg_database WHERE datname=:'database') \\gexec
"""


class Damaged(Exception):
    """What should be restored cannot be used; its text says why."""


def set_up(machine: Machine, shared: Path, row: dict[str, Any], pair: Pair) -> None:
    """Make the cluster if there is none, apply settings and certificate, and give the master its password.

    Raises Failed when PostgreSQL does not take them.
    """
    _configure(machine, shared, row, pair)
    _run(machine, ["sh", "-c", _START], b"")
    # The data of a restored instance brings its database and its old password along.
    database = "" if row["origin"] else row["database"]
    said = {"master": row["master"], "password": row["password"], "database": database}
    lines = "".join(f"\\set {name} '{_escaped(value)}'\n" for name, value in said.items())
    # By standard input: a password has no place among a process's arguments.
    _run(machine, _psql("-v", "ON_ERROR_STOP=1", "-q", "-o", "/dev/null"), (lines + _ROLES).encode())


def verify(machine: Machine) -> None:
    """Hold a copy against the checksums of its backup.

    Raises Damaged when it is not what was backed up.
    """
    check = [
        f"{BIN}/pg_verifybackup",
        "--no-parse-wal",
        "--exit-on-error",
        "--quiet",
        DATA,
    ]
    checked = machine.run(["runuser", "-u", "postgres", "--", *check], timeout=3600)
    if checked.returncode != 0:
        raise Damaged(checked.stderr.decode(errors="replace").strip()[-300:])


def begin_recovery(machine: Machine, shared: Path, row: dict[str, Any], pair: Pair) -> None:
    """Start a cluster that was copied here: it replays up to the moment that is meant, and then takes writes."""
    # What is copied and replayed is safe from everything but the outer machine's end: no need to wait for its disk.
    lines = _recovery(row["origin"].get("time"))
    write_whole(shared / "given" / "restore.conf", f"{lines}fsync = 'off'\n")
    _configure(machine, shared, row, pair)
    signal = f"install -o postgres -g postgres -m 600 /dev/null {DATA}/recovery.signal"
    _run(machine, ["sh", "-c", f"{signal}; systemctl start --no-block {UNIT}"], b"")


def recovered(machine: Machine) -> bool:
    """Answer, after a few seconds at most, whether the replay has come to its end.

    Raises Damaged when it cannot.
    """
    done = machine.run(["sh", "-c", _RECOVERED], timeout=60)
    if done.returncode == 9:
        raise Damaged(done.stdout.decode(errors="replace").strip()[-300:])
    return done.returncode == 0


def end_recovery(shared: Path, row: dict[str, Any]) -> None:
    """Let the settings of a recovered cluster be those of any other, from the next set-up on."""
    write_whole(shared / "given" / "restore.conf", _recovery(row["origin"].get("time")))


def _recovery(moment: float | None) -> str:
    """Write the target: the last commit at or before a moment; for a snapshot, the moment it was taken."""
    lines = {"hot_standby": "off", "recovery_target_action": "promote", "recovery_target_timeline": "current"}
    # Reading ahead would fetch every segment after the target too.
    lines["recovery_prefetch"] = "off"
    if moment is None:
        lines |= {"recovery_target": "immediate", "restore_command": "false"}
    else:
        at = datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="microseconds")
        lines |= {"recovery_target_time": at, "restore_command": f"gunzip -c {SOURCE}/wal/%f.gz > %p"}
    return "".join(f"{name} = '{_escaped(value)}'\n" for name, value in sorted(lines.items()))


def _configure(machine: Machine, shared: Path, row: dict[str, Any], pair: Pair) -> None:
    given = shared / "given"
    write_whole(given / "server.pem", pair.certificate.read_bytes())
    write_whole(given / "server.key", pair.key.read_bytes(), mode=0o600)
    write_whole(given / "rds.conf", settings(row))
    write_whole(given / "pg_hba.conf", access(row["parameters"]))
    write_whole(given / "nftables.conf", wall(machine.site.router, row))
    _run(machine, ["sh", "-c", _MAKE], b"")


def admit(machine: Machine, shared: Path, row: dict[str, Any]) -> None:
    """Let in whom the security groups let in. Connections that are open stay open, as on AWS."""
    write_whole(shared / "given" / "nftables.conf", wall(machine.site.router, row))
    install = f"install -m 600 {HERE}/given/nftables.conf /etc/nftables.conf && nft -f /etc/nftables.conf"
    _run(machine, ["sh", "-c", install], b"")


def wall(door: str, row: dict[str, Any]) -> str:
    """Write the packet filter: a first packet passes from admitted sources, and from the twin's own door."""
    sources = ", ".join(_apart([door, *row["admitted"]]))
    first = f"tcp dport {row['port']} tcp flags & (syn | ack) == syn"
    return (
        "table inet rds\ndelete table inet rds\n"
        "table inet rds {\n  chain in {\n    type filter hook input priority 0; policy accept;\n"
        f"    {first} ip saddr {{ {sources} }} accept\n    {first} drop\n  }}\n}}\n"
    )


def _apart(sources: list[str]) -> list[str]:
    """Leave out what another source contains: a set of nft takes no overlaps."""
    return [str(one) for one in collapse_addresses(IPv4Network(source, strict=False) for source in sources)]


def settings(row: dict[str, Any]) -> str:
    """Write PostgreSQL's settings: the parameter group's, then ours that make the instance work."""
    asked = {name: value for name, value in row["parameters"].items() if "." not in name and "{" not in value}
    if row["parameters"].get("rds.logical_replication") == "1":
        asked["wal_level"] = "logical"
    both = {**_OURS, "port": str(row["port"]), **asked}
    return "".join(f"{name} = '{_escaped(value)}'\n" for name, value in sorted(both.items()))


def access(parameters: dict[str, str]) -> str:
    """Write pg_hba: the operating system's postgres alone locally; all others by password, and TLS if forced."""
    # From PostgreSQL 15 on RDS forces TLS unless told otherwise.
    kind = "host" if parameters.get("rds.force_ssl", "1") == "0" else "hostssl"
    return f"local all postgres peer\nlocal replication postgres peer\n{kind} all all all scram-sha-256\n"


def restart(machine: Machine) -> None:
    """Restart PostgreSQL: static parameters apply then."""
    _run(machine, ["systemctl", "restart", UNIT], b"")


def restart_pending(machine: Machine) -> bool:
    """Tell whether a changed parameter waits for a restart."""
    sql = b"SELECT count(*) FROM pg_settings WHERE pending_restart;\n"
    done = machine.run(_psql("-A", "-t", "-q"), input=sql, timeout=15)
    return done.returncode == 0 and done.stdout.strip() != b"0"


def heartbeat(machine: Machine) -> tuple[float, str] | None:
    """Commit something and let its WAL be shipped; answer a moment before that commit, and the segment's name.

    A restore to the moment is possible once the segment is archived: PostgreSQL needs a commit after its target.
    None when PostgreSQL does not answer.
    """
    sql = (
        "SELECT extract(epoch FROM clock_timestamp());\n"
        "SELECT pg_logical_emit_message(true, 'rds', 'heartbeat') \\g /dev/null\n"
        "SELECT pg_walfile_name(pg_switch_wal());\n"
    )
    done = machine.run(_psql("-A", "-t", "-q"), input=sql.encode(), timeout=15)
    lines = done.stdout.decode().split()
    return (float(lines[0]), lines[1]) if done.returncode == 0 and len(lines) == 2 else None


def base_backup(machine: Machine, to: str) -> None:
    """Back the whole cluster up into a directory, with a manifest of checksums and the WAL that it needs.

    Raises Failed when PostgreSQL cannot.
    """
    copy = [f"{BIN}/pg_basebackup", "-D", to, "--checkpoint=fast", "--no-sync", "--wal-method=stream"]
    _run(machine, ["rm", "-rf", to], b"")
    done = machine.run_uncharged(["runuser", "-u", "postgres", "--", *copy], timeout=3600)
    _check(machine, done)


def tell(machine: Machine, sql: str) -> None:
    """Run SQL as the server's own superuser; by standard input, for it may hold a secret.

    Raises Failed when PostgreSQL does not take it.
    """
    _run(machine, _psql("-v", "ON_ERROR_STOP=1", "-q", "-o", "/dev/null"), sql.encode())


def wipe(directory: Path) -> None:
    """Throw a database's data away."""
    shutil.rmtree(directory, ignore_errors=True)


def _psql(*arguments: str) -> list[str]:
    return ["runuser", "-u", "postgres", "--", f"{BIN}/psql", "-X", "-d", "postgres", *arguments]


def _run(machine: Machine, argv: list[str], input: bytes, timeout: float = 60) -> None:
    _check(machine, machine.run(argv, input=input, timeout=timeout))


def _check(machine: Machine, done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode != 0:
        raise Failed(
            f"PostgreSQL on {machine.name}: {done.stderr.decode(errors='replace').strip()[-400:]}",
            state="The instance stays as it is; the keeper tries again.",
            next="rmu twin status",
        )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")
