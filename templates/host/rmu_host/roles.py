"""The database's roles, made by its master over psql: ops, migrations, application. Safe to repeat."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Any

from .answers import Answer, failed
from .cloud import Cloud
from .machine import Machine, Ran
from .units import DATABASE, TRUST

ROLES = ("ops", "migrate", "app")

# Ops closes the others' doors (fence) and ends their sessions; what they own it inherits, to salvage by.
# PostgreSQL 16 and later let a role alter another only where it holds ADMIN on it.
# Where the master may not hand the server's own roles on, ops still ends the sessions of those it is a member of.
# A restored database is warmed faster by pg_prewarm; where the master may not make it, it is warmed without.
# A migration that waits for a lock names who holds it, and what that session does.
SQL = """\
grant rmu_migrate to current_user;
grant rmu_app, rmu_migrate to rmu_ops with admin option;
do $$ begin grant pg_signal_backend to rmu_ops; exception when insufficient_privilege then null; end $$;
do $$ begin grant pg_monitor to rmu_migrate; exception when insufficient_privilege then null; end $$;
alter schema public owner to rmu_migrate;
alter database {database} owner to rmu_migrate;
revoke all on database {database} from public;
grant connect on database {database} to rmu_app, rmu_ops;
grant usage on schema public to rmu_app;
alter default privileges for role rmu_migrate in schema public
    grant select, insert, update, delete on tables to rmu_app;
alter default privileges for role rmu_migrate in schema public
    grant usage, select on sequences to rmu_app;
do $$ begin create extension if not exists pg_prewarm; exception when others then null; end $$;
"""

# The application never takes the last sessions: who comes to mend it must get in.
ROOM_FOR_OPS = """\
do $$ begin execute format('alter role rmu_app connection limit %s', greatest(10,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - 7)); end $$;
"""


def roles(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Make the roles with today's passwords; with `look`, only tell whether they are there and take them."""
    base = f"/rmu/{host['env']}/db"
    names = [f"{base}/{role}_password" for role in (*ROLES, "master")]
    secrets = cloud.parameters(names)
    passwords = {role: secrets[f"{base}/{role}_password"] for role in (*ROLES, "master")}
    there = all(psql(m, request["database"], role, passwords[role], "select 1").code == 0 for role in ROLES)
    if request.get("look"):
        return {"outcome": "ok", "there": there}
    done = psql(m, request["database"], "master", passwords["master"], script(passwords))
    if done.code != 0:
        raise failed("roles_failed", f"the database roles could not be made: {first(done.err)}")
    return {"outcome": "already" if there else "changed", "there": True}


def script(passwords: dict[str, str]) -> str:
    """Spell the SQL. It holds no password: the server logs DDL, and ships its log."""
    lines = []
    for role in ROLES:
        # A role that exists is not an error, and `create role if not exists` does not exist.
        make = f"create role rmu_{role}"
        lines.append(f"do $$ begin {make}; exception when duplicate_object then null; end $$;")
        more = " createrole" if role == "ops" else ""
        lines.append(f"alter role rmu_{role} with login{more} password '{verifier(passwords[role])}';")
    return "\n".join(lines) + "\n" + SQL.format(database=DATABASE) + ROOM_FOR_OPS


def verifier(password: str, salt: bytes | None = None, rounds: int = 4096) -> str:
    """Make what PostgreSQL keeps of a password (RFC 5803), as its own psql does: no way leads back from it."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{salt64}${stored64}:{server64}"


def psql(m: Machine, database: dict[str, Any], role: str, password: str, sql: str) -> Ran:
    """Run SQL as a role, the server's certificate checked."""
    env = {"PGPASSWORD": password, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": TRUST, "PGCONNECT_TIMEOUT": "5"}
    argv = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", database["address"], "-p", str(database["port"])]
    return m.run([*argv, "-U", f"rmu_{role}", "-d", DATABASE, "-f", "-"], timeout=60, stdin=sql, env=env)


def first(text: str) -> str:
    """Return the first line of a command's errors: the lines after it may quote the SQL."""
    return (text.strip().splitlines() or ["psql said nothing"])[0][:300]
