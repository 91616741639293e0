"""psql as the data verbs need it: long statements, pinned settings, SQLSTATE as the reason, sessions that stay open.

Text is compared between two databases and written into files, so every setting that shapes text is pinned.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from .answers import No
from .cloud import Cloud
from .machine import Machine
from .units import DATABASE, TRUST

TLS = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": TRUST}
PINNED = {
    "search_path": "public",
    "timezone": "UTC",
    "datestyle": "ISO,YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "standard_conforming_strings": "on",
    "row_security": "off",  # an error where a policy would hide rows
}
LOCK_S = 5
LIMIT_S = 3600
SOON_S = 60
"""For what clients wait for, or a person: a command that nobody listens to any more must not go on."""


class SqlFailed(No):
    """A statement failed; `code` is its SQLSTATE, empty where there was no session at all; `out` came before it."""

    def __init__(self, said: str, out: str = "") -> None:
        self.out = out
        found = re.search(r"(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}): (.*)", said)
        self.code = found[1] if found else ""
        # Only the message itself: the lines after it may quote rows.
        line = found[2] if found else (said.strip().splitlines() or ["psql said nothing"])[0]
        super().__init__("failed", "sql_failed" if found else "unreachable", line[:300])


class Psql:
    """One database as one role. No statement takes longer than `limit_s`."""

    def __init__(
        self, m: Machine, database: dict[str, Any], role: str, password: str, limit_s: float = LIMIT_S
    ) -> None:
        self.m, self.database, self.limit_s = m, database, limit_s
        options = {**PINNED, "lock_timeout": f"{LOCK_S}s", "statement_timeout": f"{limit_s:g}s", "jit": "off"}
        self.env = {
            **TLS,
            "PGPASSWORD": password,
            "PGCONNECT_TIMEOUT": "5",
            "PGCLIENTENCODING": "UTF8",
            "PGGSSENCMODE": "disable",
            "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in options.items())
            + " -c client_min_messages=warning -c idle_in_transaction_session_timeout=0",
        }
        self.argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        self.argv += ["-h", database["address"], "-p", str(database["port"]), "-U", f"rmu_{role}", "-d", DATABASE]

    def run(self, sql: str) -> str:
        """Run a script and return what it printed.

        Raises SqlFailed for the first statement that fails; what its transaction did is gone then.
        """
        done = self.m.run([*self.argv, "-f", "-"], timeout=self.limit_s + 10, stdin=sql, env=self.env)
        if done.code != 0:
            raise SqlFailed(done.err, done.out)
        return done.out

    def open(self) -> Session:
        """Open a session that stays."""
        return Session(self.argv, self.env)


class Session:
    """A psql that stays connected from one question to the next."""

    END = "-- answered"

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self._psql = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **env}
        )

    def ask(self, sql: str) -> str | None:
        """Return what a statement printed, None where it failed or nobody is connected any more."""
        assert self._psql.stdin and self._psql.stdout
        try:
            self._psql.stdin.write(f"{sql}\n\\echo {self.END}\n")
            self._psql.stdin.flush()
        except OSError:
            return None
        lines: list[str] = []
        for line in self._psql.stdout:
            if line.strip() == self.END:
                return "".join(lines)
            lines.append(line)
        return None

    def close(self) -> None:
        """End it."""
        self._psql.kill()
        self._psql.communicate()


def connect(m: Machine, database: dict[str, Any], host: dict[str, Any], cloud: Cloud, limit_s: float = LIMIT_S) -> Psql:
    """Meet a database as ops, with today's password."""
    return Psql(m, database, "ops", passwords(host, cloud, "ops")["ops"], limit_s)


def passwords(host: dict[str, Any], cloud: Cloud, *roles: str) -> dict[str, str]:
    """Return today's passwords, in one call."""
    names = {role: f"/rmu/{host['env']}/db/{role}_password" for role in roles}
    found = cloud.parameters([*names.values()])
    return {role: found[name] for role, name in names.items()}


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"
