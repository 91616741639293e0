"""PostgreSQL inside a database's machine: the cluster, its settings, its roles. All through the machine's own shell."""

import shutil
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin.certs import Pair
from ratemyunit_ops.twin.files import write_whole
from ratemyunit_ops.twin.machine import Machine

VERSION = "17"
UNIT = f"postgresql@{VERSION}-main.service"
HERE = "/srv/rds"

# RDS's own words that PostgreSQL does not know.
_OURS = {
    "listen_addresses": "*",
    "ssl": "on",
    "ssl_cert_file": f"{HERE}/tls/server.pem",
    "ssl_key_file": f"{HERE}/tls/server.key",
    "password_encryption": "scram-sha-256",
    "archive_mode": "on",
    "archive_command": f"test ! -f {HERE}/wal/%f.gz && gzip -1 < %p > {HERE}/wal/%f.new && "
    f"mv {HERE}/wal/%f.new {HERE}/wal/%f.gz",
    "wal_level": "replica",
    "max_wal_senders": "5",
    "shared_buffers": "128MB",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_MAKE = f"""
set -eu
install -d -o postgres -g postgres -m 700 {HERE}/data {HERE}/wal {HERE}/tls
for file in server.pem server.key; do
    install -o postgres -g postgres -m 600 {HERE}/given/$file {HERE}/tls/$file
done
if [ ! -e /etc/postgresql/{VERSION}/main/postgresql.conf ]; then
    pg_createcluster {VERSION} main -d {HERE}/data/{VERSION} -e UTF8 --locale C.UTF-8 >/dev/null
fi
install -o postgres -g postgres -m 600 {HERE}/given/rds.conf /etc/postgresql/{VERSION}/main/conf.d/rds.conf
install -o postgres -g postgres -m 600 {HERE}/given/pg_hba.conf /etc/postgresql/{VERSION}/main/pg_hba.conf
mkdir -p /etc/systemd/system/{UNIT}.d
printf '[Service]\\nRestart=always\\nRestartSec=3\\n' > /etc/systemd/system/{UNIT}.d/rds.conf
systemctl daemon-reload
systemctl --quiet enable {UNIT} 2>/dev/null
if systemctl --quiet is-active {UNIT}; then systemctl reload {UNIT}; else systemctl start {UNIT}; fi
"""

_ROLES = """
SELECT 'CREATE ROLE rds_superuser NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname='rds_superuser') \\gexec
GRANT pg_monitor, pg_signal_backend, pg_checkpoint, pg_maintain TO rds_superuser WITH ADMIN OPTION;
SELECT format('CREATE ROLE %I LOGIN CREATEDB CREATEROLE IN ROLE rds_superuser', :'master')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname=:'master') \\gexec
SELECT format('ALTER ROLE %I PASSWORD %L', :'master', :'password') \\gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'master')
 WHERE :'database' <> '' AND NOT EXISTS (SELECT FROM pg_database WHERE datname=:'database') \\gexec
"""


def set_up(machine: Machine, shared: Path, row: dict[str, Any], pair: Pair) -> None:
    """Make the cluster if there is none, apply settings and certificate, and give the master its password.

    Raises Failed when PostgreSQL does not take them.
    """
    given = shared / "given"
    write_whole(given / "server.pem", pair.certificate.read_bytes())
    write_whole(given / "server.key", pair.key.read_bytes(), mode=0o600)
    write_whole(given / "rds.conf", settings(row))
    write_whole(given / "pg_hba.conf", access(row["parameters"]))
    _run(machine, ["sh", "-c", _MAKE], b"")
    said = {"master": row["master"], "password": row["password"], "database": row["database"]}
    lines = "".join(f"\\set {name} '{_escaped(value)}'\n" for name, value in said.items())
    # By standard input: a password has no place among a process's arguments.
    _run(machine, _psql("-v", "ON_ERROR_STOP=1", "-q", "-o", "/dev/null"), (lines + _ROLES).encode())


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
    return f"local all postgres peer\n{kind} all all all scram-sha-256\n"


def restart(machine: Machine) -> None:
    """Restart PostgreSQL: static parameters apply then."""
    _run(machine, ["systemctl", "restart", UNIT], b"")


def restart_pending(machine: Machine) -> bool:
    """Tell whether a changed parameter waits for a restart."""
    sql = b"SELECT count(*) FROM pg_settings WHERE pending_restart;\n"
    done = machine.run(_psql("-A", "-t", "-q"), input=sql, timeout=15)
    return done.returncode == 0 and done.stdout.strip() != b"0"


def archived_until(machine: Machine) -> float | None:
    """Answer the unix time up to which everything is archived, and make sure that it moves on.

    None while nothing was archived yet, or PostgreSQL does not answer.
    """
    # RDS writes a heartbeat of its own; without one an idle database would archive nothing.
    sql = (
        "SELECT pg_logical_emit_message(false, 'rds', 'heartbeat'), pg_switch_wal(), pg_sleep(0.5) \\g /dev/null\n"
        "SELECT extract(epoch FROM last_archived_time) FROM pg_stat_archiver;\n"
    )
    done = machine.run(_psql("-A", "-t", "-q"), input=sql.encode(), timeout=15)
    text = done.stdout.decode().strip()
    return float(text) if done.returncode == 0 and text else None


def wipe(directory: Path) -> None:
    """Throw a database's data away."""
    shutil.rmtree(directory, ignore_errors=True)


def _psql(*arguments: str) -> list[str]:
    return ["runuser", "-u", "postgres", "--", "psql", "-X", "-d", "postgres", *arguments]


def _run(machine: Machine, argv: list[str], input: bytes) -> None:
    done = machine.run(argv, input=input, timeout=60)
    if done.returncode != 0:
        raise Failed(
            f"PostgreSQL on {machine.name}: {done.stderr.decode(errors='replace').strip()[-400:]}",
            state="The instance stays as it is; the keeper tries again.",
            next="rmu twin status",
        )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")
