"""The fence of a database: the application and its migrations are shut out, and it is proven by a write that fails."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answer, No, failed, refused
from .cloud import Cloud
from .data_psql import Psql, Session, SqlFailed, passwords
from .machine import Machine

ROLES = "('rmu_app', 'rmu_migrate')"
PATIENCE_S = 10.0
"""How long sessions may take to end: requests are held meanwhile, and a hold lasts 30 s."""
LIMIT_S = 5.0
BIRTH_S = 3.0
PAUSE_S = 0.3

# Both or neither: a fence that is half shut would be taken for open.
SHUT = "begin;\nalter role rmu_app nologin;\nalter role rmu_migrate nologin;\ncommit;\n"
OPEN = SHUT.replace("nologin", "login")
NO_LOGIN = "is not permitted to log in"
SEEN = f"""
select json_build_object(
    'shut', (select not bool_or(rolcanlogin) from pg_roles where rolname in {ROLES}),
    'open', (select bool_and(rolcanlogin) from pg_roles where rolname in {ROLES}),
    'sessions', (select count(*) from pg_stat_activity where usename in {ROLES}),
    'prepared', (select coalesce(json_agg(gid order by gid), '[]') from pg_prepared_xacts
        where database = current_database()),
    'subscriptions', (select coalesce(json_agg(s.subname order by s.subname), '[]') from pg_subscription s
        join pg_database d on d.oid = s.subdbid where d.datname = current_database() and s.subenabled),
    'slots', (select coalesce(json_agg(slot_name order by slot_name), '[]') from pg_replication_slots
        where database is null or database = current_database()));
"""
# A session that had passed the check of its login before the door was shut shows in no list of sessions yet; the
# transaction it is born in does.
_BORN = """(select coalesce(json_agg(virtualtransaction), '[]') from pg_locks
    where locktype = 'virtualxid' and pid not in (select pid from pg_stat_activity where pid is not null))"""
BORN = f"select {_BORN};"
END = f"""
select json_build_array(count(*), count(*) filter (where pg_terminate_backend(pid)), {_BORN})
from pg_stat_activity where usename in {ROLES};
"""
WRITABLE = """
select format('delete from %I.%I t where t.ctid = (select s.ctid from %I.%I s limit 1)',
    n.nspname, c.relname, n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname = 'public' and has_table_privilege('rmu_app', c.oid, 'delete')
order by c.relname limit 1;
"""


def fence(m: Machine, request: dict[str, Any], host: dict[str, Any], cloud: Cloud) -> Answer:
    """Shut the application out and prove it, or let it in again; with `look`, only tell."""
    secrets = passwords(host, cloud, "ops", "app")
    ops, app = (Psql(m, request["database"], role, secret, LIMIT_S) for role, secret in secrets.items())
    before = seen(ops)
    if request.get("look"):
        return {"outcome": "ok", "fenced": closed(before), **before}
    if not request["on"]:
        ops.run(OPEN)
        return {"outcome": "already" if before["open"] else "changed", "fenced": False}
    refuse_other_writers(before)
    try:
        ended, proof = shut(m, ops, app)
    except No:
        ops.run(OPEN)
        raise
    done = "already" if closed(before) else "changed"
    return {"outcome": done, "fenced": True, "ended": ended, "proof": proof, "slots": before["slots"]}


def closed(found: dict[str, Any]) -> bool:
    """Tell whether nobody of the application is in, nobody may come in, and nothing else could write."""
    others = found["prepared"] or found["subscriptions"]
    return found["shut"] is True and found["sessions"] == 0 and not others


def seen(ops: Psql) -> dict[str, Any]:
    """Look at the doors of a database and at who is inside."""
    found: dict[str, Any] = json.loads(ops.run(SEEN))
    return found


def refuse_other_writers(found: dict[str, Any]) -> None:
    """Refuse where a write could come without a session: a prepared transaction, a subscription."""
    if found["prepared"]:
        names = ", ".join(found["prepared"][:5])
        raise refused("prepared", f"prepared transactions could still commit: {names}; commit or roll them back first")
    if found["subscriptions"]:
        names = ", ".join(found["subscriptions"][:5])
        raise refused("subscribed", f"subscriptions still write here: {names}; disable them first")


def shut(m: Machine, ops: Psql, app: Psql) -> tuple[int, str]:
    """Shut the doors, end who is inside, prove it. Return how many were ended, and what was proven.

    Raises No when somebody could not be ended, or a write went through.
    """
    write = ops.run(WRITABLE).strip() or "select pg_current_xact_id()"
    witness = app.open()
    try:
        witnessed = witness.ask("select 1") is not None
        ended = end_all(m, ops, json.loads(ops.run(SHUT + BORN)))
        refuse_other_writers(seen(ops))
        prove(app, witness if witnessed else None, write)
    finally:
        witness.close()
    proof = "a session from before could not write" if witnessed else "no session was left to write"
    return ended - witnessed, proof


def end_all(m: Machine, ops: Psql, born: list[str]) -> int:
    """End sessions until none is there twice in a row, and none of those that were just being born."""
    began, ended, quiet = m.now(), 0, 0
    while quiet < 2:
        there, told, younger = json.loads(ops.run(END))
        ended += told
        born = [one for one in born if one in younger]
        # A client that is slow to send its password is born for a minute, and then finds the door shut.
        waiting = born and m.now() < began + BIRTH_S
        quiet = 0 if there or waiting else quiet + 1
        if m.now() > began + PATIENCE_S:
            raise failed("fence_failed", f"{there} sessions of the application did not end; the fence was lifted")
        m.sleep(PAUSE_S)
    return ended


def prove(app: Psql, witness: Session | None, write: str) -> None:
    """Prove that neither a session from before nor a new one can write.

    Raises No when one can.
    """
    if witness and witness.ask(f"begin; {write}; rollback;") is not None:
        raise failed("fence_unproven", "a session opened before the fence could still write; the fence was lifted")
    try:
        app.run("select 1")
    except SqlFailed as why:
        # The server's own words: without a session it gives no code. Anything else would prove nothing.
        if NO_LOGIN in str(why):
            return
        raise failed(
            "fence_unproven", f"no login of the application was refused ({why}); the fence was lifted"
        ) from why
    raise failed("fence_unproven", "the application could still log in; the fence was lifted")
