"""One statement of a runbook, as ops: a look in a read-only transaction, or a change that somebody has picked.

The text is the runbook's own. What a person says comes beside it, as psql's variables, and is never a part of it.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from .answers import Answer, failed, refused
from .cloud import Cloud
from .data_psql import LOCK_S, SqlFailed, connect
from .machine import Machine

AT_MOST = 200
"""Rows that an answer may have; how many there were is told, up to one more."""
CELL = 500
NULL = "\x01"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
LOOKS = re.compile(r"\s*(select|with|values|table)\b", re.IGNORECASE)
QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
# Functions that act: a read-only transaction lets them.
ACTS = re.compile(
    r"\b(pg_(?:terminate|cancel)_backend|pg_(?:reload_conf|rotate_logfile|promote|switch_wal|backup_\w+|log_\w+"
    r"|(?:create|drop|replication|logical)_\w+|stat_reset\w*|stat_statements_reset|notify|(?:try_)?advisory_\w+)"
    r"|lo_\w+|dblink\w*|setval|nextval|set_config)\s*\(",
    re.IGNORECASE,
)
TEXTS = re.compile(r"'(?:[^']|'')*'")
TOO_MANY = "53300"
# psql tells no SQLSTATE of a connection that was refused, so these words are turned into one here.
TURNED_AWAY = re.compile(r"too many (?:clients|connections)|remaining connection slots")
BARE = re.compile(r"(?<![:\w]):(?!:)[\"A-Za-z_{]")


def rows(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Ask one statement and return its rows; it cannot write, whatever it says."""
    sql = whole(str(request["sql"]))
    bare = QUOTED.sub("''", sql)
    if not LOOKS.match(sql) or ACTS.search(bare):
        raise refused("not_a_look", "this statement does more than look; nothing was done")
    # A cursor takes one query and nothing else, and what it would answer beyond the room is never made.
    script = f"begin read only;\ndeclare look no scroll cursor for\n{sql};\nfetch {AT_MOST + 1} from look;\nrollback;\n"
    return {"outcome": "ok", **table(run(m, request, host, cloud, script))}


def act(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Run one statement that changes something, in a transaction of its own, and return what it prints."""
    sql = whole(str(request["sql"]))
    script = f"begin;\n{sql};\ncommit;\n"
    return {"outcome": "changed", **table(run(m, request, host, cloud, script))}


def whole(sql: str) -> str:
    """Return a statement without its end. Raises No for what psql would take for a command of its own, or for two."""
    text = sql.strip().removesuffix(";").rstrip()
    bare, inserts = QUOTED.sub("''", text), BARE.search(TEXTS.sub("''", text))
    if "\\" in text or "--" in bare or "/*" in bare or "$$" in bare or ";" in bare or inserts:
        raise refused("not_one_statement", "one statement, without backslashes and comments, and :'NAME' for variables")
    return text


def run(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud, script: str) -> str:
    """Let psql run a script with the request's variables. Raises SqlFailed, whose words begin with the SQLSTATE."""
    limit_s = float(request["limit_s"])
    psql = connect(m, request["database"], host, cloud, limit_s)
    variables = {str(k): str(v) for k, v in request["variables"].items()}
    if not all(NAME.fullmatch(name) for name in variables):
        raise refused("not_one_statement", "a variable has no such name")
    psql.argv = [word for word in psql.argv if word not in ("-A", "-t")] + ["--csv", "-P", f"null={NULL}"]
    psql.argv += [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    try:
        return psql.run(f"set lock_timeout = '{min(LOCK_S, limit_s):g}s';\n{script}")
    except SqlFailed as why:
        said = str(why)
        code = why.code or (TOO_MANY if TURNED_AWAY.search(said) else "")
        if not code:
            raise
        raise failed("sql_failed", f"{code}: {said}") from why


def table(text: str) -> Answer:
    """Read psql's CSV: rows by column, each value shortened; `total` is one more than there is room for, or less."""
    found = list(csv.DictReader(io.StringIO(text)))
    shown = [{k: None if v == NULL else str(v)[:CELL] for k, v in row.items()} for row in found[:AT_MOST]]
    return {"rows": shown, "total": len(found)}
