"""Role `migrate`: bring the database to this image's schema, one at a time, and say what was done.

Expand revisions run while older code serves; contract ones only when they are asked for. Each waits for its lock a
short while only, since all other sessions queue behind one that waits.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from ratemyunit import blockers, database, logs, schema, settings
from ratemyunit.revisions import Revision, config, line, pending

LOCK = 0x726D75  # "rmu"; the advisory lock that makes two migrations take turns
LOCK_TIMEOUT = "2s"
PAUSES = (1.0, 3.0)
"""How long to let the others through before the second and the third try."""
TURN_WAIT, TURN_WAITS = "200ms", 10
"""The wait for the migrations' own turn, in pieces."""

# Ours, and nobody is building it just now.
BROKEN = text(
    """
    select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indexrelid
    where not i.indisvalid and pg_get_userbyid(c.relowner) = current_user
        and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
    """
)

log = logging.getLogger("ratemyunit.migrate")


class Blocked(Exception):
    """Somebody holds a lock that is needed, and did not let go within all tries."""

    def __init__(self, what: str, seen: tuple[blockers.Blocker, ...]) -> None:
        holders = "; ".join(b.sentence() for b in seen) or "who holds it could not be seen"
        super().__init__(f"{what} could not get its lock in {1 + len(PAUSES)} tries of {LOCK_TIMEOUT}: {holders}")
        self.seen = seen


class ContractFirst(Exception):
    """A contract revision lies before the head: it runs when older code is gone, never inside a deploy."""


class Slow(Exception):
    """A statement took longer than its revision may."""


def run(what: str) -> int:
    """Do one of expand, contract, pending, current, head; print one JSON line last; answer the exit code."""
    if what == "head":
        print(json.dumps({"head": schema.HEAD}))
        return 0
    logs.start("INFO", role="migrate", release=settings.release())
    try:
        answer = _answer(what, settings.database_url())
    except settings.SettingsWrong as why:
        log.error("settings are wrong: %s", why)
        return 2
    except Exception as why:
        # The statement and its parameters stay out of the log: a row may hold personal data.
        log.error("migration failed", extra={"fields": {"kind": type(why).__name__, "why": _first_line(why)}})
        print(json.dumps(_failure(why)), flush=True)
        return 1
    sys.stdout.flush()
    print(json.dumps(answer), flush=True)
    return 0


def upgrade(url: str, *, contract: bool = False) -> dict[str, object]:
    """Upgrade to the head, with `contract` to the tip, under the advisory lock; answer what was found and what ran.

    Raises:
        Blocked: a lock could not be had; who holds it is named.
        ContractFirst: a contract revision lies before an expand one; nothing was changed.
        Slow: a statement was cancelled at its revision's time limit.
        sqlalchemy.exc.DBAPIError: the database refused or could not be reached; each revision is whole or absent.
    """
    engine = database.engine(url, application="ratemyunit-migrate")
    try:
        with engine.connect() as connection:
            # Set for the session, so that they hold for every revision's own transaction.
            connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.commit()
            _with_tries(engine, connection, "the migrations' own turn", partial(_take_turn, connection))
            before = _current(connection)
            seconds = {}
            for revision in _wanted(before, contract):
                began = time.monotonic()
                _with_tries(engine, connection, revision.revision, partial(_one, connection, revision))
                seconds[revision.revision] = round(time.monotonic() - began, 3)
            head, admits = _current(connection), _admits(connection)
    finally:
        engine.dispose()
    return {"head_before": before, "head": head, "admits": admits, "ran": list(seconds), "seconds": seconds}


def look(url: str) -> dict[str, object]:
    """Tell which revisions a database has not seen, changing nothing."""
    engine = database.engine(url, application="ratemyunit-migrate")
    try:
        with engine.connect() as connection:
            current = _current(connection)
    finally:
        engine.dispose()
    todo = [revision.shown() for revision in pending(current)]
    return {"current": current or "", "head": schema.HEAD, "tip": line()[-1].revision, "pending": todo}


def _answer(what: str, url: str) -> dict[str, object]:
    if what in {"pending", "current"}:
        seen = look(url)
        return seen if what == "pending" else {"head": seen["current"]}
    return upgrade(url, contract=what == "contract")


def _wanted(before: str | None, contract: bool) -> list[Revision]:
    """List what is to run. On an empty database nobody needs an old shape, so there every revision is welcome."""
    todo = [r for r in pending(before) if contract or r.revision <= schema.HEAD]
    first = next((r for r in todo if r.phase == "contract"), None)
    if first is not None and before is not None and not contract:
        raise ContractFirst(
            f"{first.revision} ({first.title}) is a contract revision and lies before the head {schema.HEAD}: "
            "it runs by `migrate --contract`, when no older code is left"
        )
    return todo


def _with_tries(engine: Engine, connection: Connection, what: str, act: Callable[[], object]) -> None:
    """Try, give way, try again; what was done by a try that failed is gone with its transaction."""
    waiting = connection.execute(text("select pg_backend_pid()")).scalar_one()
    connection.commit()
    with blockers.Watching(engine, waiting) as watching:
        for pause in (*PAUSES, None):
            try:
                act()
                return
            except OperationalError as why:
                connection.rollback()
                kind = type(why.orig).__name__
                if kind == "QueryCanceled":
                    raise Slow(f"a statement of {what} was cancelled: {_first_line(why)}") from why
                if kind != "LockNotAvailable":
                    raise
                if pause is None:
                    raise Blocked(what, watching.seen) from why
                log.warning("no lock yet", extra={"fields": {"what": what, "again_in_s": pause}})
                time.sleep(pause)


def _take_turn(connection: Connection) -> None:
    # In short waits: who builds an index concurrently waits for every snapshot that is older, and a wait holds one.
    for left in reversed(range(TURN_WAITS)):
        try:
            connection.execute(text("select set_config('lock_timeout', :wait, true)"), {"wait": TURN_WAIT})
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK})
            connection.commit()
            return
        except OperationalError:
            if not left:
                raise
            connection.rollback()


def _one(connection: Connection, revision: Revision) -> None:
    from alembic import command

    _drop_broken_indexes(connection)
    limit = text("select set_config('statement_timeout', :limit, false)")
    connection.execute(limit, {"limit": revision.statement_timeout})
    connection.commit()
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, revision.revision)


def _drop_broken_indexes(connection: Connection) -> None:
    """Take away what an index built concurrently leaves when it is stopped: the next try would find its name taken."""
    left = connection.execute(BROKEN).scalars().all()
    connection.rollback()
    if left:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for name in left:
            connection.execute(text(f"drop index concurrently if exists {name}"))
        connection.commit()
        connection.execution_options(isolation_level=connection.default_isolation_level)


def _current(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    found = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    return found


def _admits(connection: Connection) -> str:
    """Read the oldest code that may run on the schema as it is now."""
    if not connection.scalar(text("select to_regclass('schema_line') is not null")):
        return ""
    found = connection.scalar(text("select max(oldest_code) from schema_line"))
    connection.rollback()
    return str(found or "")


def _failure(why: Exception) -> dict[str, object]:
    kinds = {Blocked: "lock_timeout", ContractFirst: "contract_first", Slow: "too_slow"}
    seen = [b.shown() for b in why.seen] if isinstance(why, Blocked) else []
    return {"error": kinds.get(type(why), "failed"), "why": _first_line(why), "blockers": seen}


def _first_line(why: Exception) -> str:
    return (str(why).splitlines() or [""])[0][:600]
