"""Phases: what runs inside a deploy, what waits, what is said when a lock cannot be had. Trees with more revisions
than ours run as processes of their own, as an image does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from conftest import APP, Cluster
from patient import LONG
from psycopg.rows import dict_row
from sqlalchemy import text
from test_migrate import hurry, pid

from ratemyunit import blockers, jobs, migrate, pauses, revisions, schema
from ratemyunit import database as pool

FIXTURES = Path(__file__).parent / "fixtures"
HEAD = schema.HEAD
LINE = [f"{number:04}" for number in range(1, int(HEAD) + 1)]
NEXT, AFTER = (f"{int(HEAD) + more:04}" for more in (1, 2))
"""Two numbers after the line, for the revisions of a test."""

REVISION = """\
\"\"\"{title}.\"\"\"

from alembic import op

revision = "{number}"
down_revision = "{before}"
phase = "{phase}"
oldest_code = "{oldest}"
{more}


def upgrade() -> None:
    op.execute({sql!r})
    op.execute("insert into schema_line values ('{number}', '{oldest}')")
"""


class Tree:
    """A copy of the app with revisions of a test."""

    def __init__(self, where: Path, head: str) -> None:
        self.where = where
        shutil.copytree(APP / "ratemyunit", where / "ratemyunit", ignore=shutil.ignore_patterns("__pycache__"))
        toml = where / "ratemyunit/schema.toml"
        toml.write_text(re.sub(r"^head = .*$", f'head = "{head}"', toml.read_text(), flags=re.MULTILINE))

    def add(self, number: str, phase: str, sql: str, *, oldest: str = "0002", more: str = "") -> "Tree":
        """Put a revision down."""
        fields = {"title": f"Revision {number}", "number": number, "before": f"{int(number) - 1:04}"}
        text = REVISION.format(**fields, phase=phase, oldest=oldest, sql=sql, more=more)
        (self.where / f"ratemyunit/migrations/versions/{number}_test.py").write_text(text)
        return self

    def run(self, *argv: str, url: str) -> tuple[int, dict[str, Any]]:
        """Run a role of this tree to its end; answer its exit code and its last line."""
        return last_line(self.where, *argv, url=url)


def last_line(tree: Path, *argv: str, url: str) -> tuple[int, dict[str, Any]]:
    """Run a role to its end; answer its exit code and its last line."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree), "DATABASE_URL": url}
    argv = (sys.executable, "-m", "ratemyunit", *argv)
    done = subprocess.run(argv, env=env, cwd=tree, capture_output=True, text=True, check=False, timeout=LONG)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def migrating(cluster: Cluster, database: str) -> str:
    """Name a migrated database as the role that migrates it."""
    return cluster.url(database, "rmu_migrate")


def test_every_revision_says_its_phase_and_whom_it_leaves_working() -> None:
    line = revisions.line()

    assert [r.revision for r in line] == [f"{n:04}" for n in range(1, len(line) + 1)]
    assert all(r.phase in {"expand", "contract"} and r.title for r in line)
    assert all(r.oldest_code < r.revision for r in line if r.phase == "expand" and r.revision != "0001")
    assert max(r.oldest_code for r in line if r.revision <= schema.HEAD) == schema.ADMITS
    assert all(r.phase == "contract" for r in line if r.revision > schema.HEAD)


def test_pending_names_phase_and_oldest_code_and_changes_nothing(cluster: Cluster, empty_database: str) -> None:
    url = cluster.url(empty_database, "rmu_migrate")

    seen = migrate.look(url)

    assert (seen["current"], seen["head"], seen["tip"]) == ("", HEAD, HEAD)
    assert [p["revision"] for p in seen["pending"]] == LINE
    assert seen["pending"][1] == {
        "revision": "0002",
        "phase": "expand",
        "oldest_code": "0001",
        "title": "Ratings of units, under ids that clients make",
    }
    assert migrate.look(url) == seen


def test_f33_expand_runs_at_once_and_contract_only_when_asked(migrating: str, tmp_path: Path) -> None:
    tree = Tree(tmp_path, head=NEXT)
    tree.add(NEXT, "expand", "alter table units add column room text")
    tree.add(AFTER, "contract", "alter table units drop column room", oldest=NEXT)

    expanded, after = tree.run("migrate", url=migrating), tree.run("migrate", "--pending", url=migrating)
    contracted = tree.run("migrate", "--contract", url=migrating)

    assert (expanded[0], expanded[1]["ran"], expanded[1]["admits"]) == (0, [NEXT], "0002")
    assert (after[1]["head"], after[1]["tip"]) == (NEXT, AFTER)
    assert [p["phase"] for p in after[1]["pending"]] == ["contract"]
    assert (contracted[0], contracted[1]["ran"], contracted[1]["admits"]) == (0, [AFTER], NEXT)


def test_f33_a_contract_before_an_expand_is_refused_and_nothing_is_changed(migrating: str, tmp_path: Path) -> None:
    tree = Tree(tmp_path, head=AFTER)
    tree.add(NEXT, "contract", "alter table ratings drop column comment", oldest=NEXT)
    tree.add(AFTER, "expand", "alter table units add column room text")

    code, said = tree.run("migrate", url=migrating)

    assert (code, said["error"]) == (1, "contract_first")
    assert f"{NEXT} (Revision {NEXT}) is a contract revision" in str(said["why"])
    assert tree.run("migrate", "--current", url=migrating)[1] == {"head": HEAD}


def test_an_empty_database_takes_contract_revisions_too(cluster: Cluster, empty_database: str, tmp_path: Path) -> None:
    tree = Tree(tmp_path, head=AFTER).add(NEXT, "contract", "select 1").add(AFTER, "expand", "select 1")

    code, said = tree.run("migrate", url=cluster.url(empty_database, "rmu_migrate"))

    assert (code, said["head"]) == (0, AFTER)


# What code of 0003 may have left, each job at a site of its own.
LEFT_BY_0003 = """
insert into universities (name) values ('North'), ('Sør 📚');
insert into units (university_id, code, title, description)
    select id, 'A1', 'Old', '' from universities union all
    select id, 'É2-“x”', 'Ønsker \\ 100% _', repeat('long ', 4000) from universities;
insert into ratings (id, unit_id, stars, comment)
    select gen_random_uuid(), units.id, stars, comment
    from units, generate_series(1, 5) as stars, unnest(array['', 'It''s fine', E'two\nlines 📈']) as comment;
insert into jobs (url, university, state, attempts, not_before, lease_until, error, units_found) values
    ('http://due.example/', 'North', 'queued', 0, now() - interval '1 min', null, null, null),
    ('http://later.example/', 'North', 'queued', 2, now() + interval '1 h', null, 'no answer', null),
    ('http://taken.example/', 'North', 'running', 1, now() - interval '1 min', now() + interval '1 h', null, null),
    ('http://died.example/', 'North', 'running', 1, now() - interval '1 h', now() - interval '1 min', null, null),
    ('http://done.example/', 'North', 'done', 1, now() - interval '1 d', null, null, 6),
    ('http://failed.example/', 'North', 'failed', 5, now() - interval '1 d', null, 'no answer', null);
insert into queue_pauses (queue, paused_by, because) values ('scrapes', 'ann@laptop', 'the site is down');
"""


def test_f33_old_rows_survive_the_expansion_and_old_code_goes_on_writing(
    cluster: Cluster, empty_database: str, tmp_path: Path
) -> None:
    filled_by_0003(cluster, empty_database, tmp_path)
    before = contents(cluster, empty_database)

    migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))

    assert contents(cluster, empty_database, {table: columns for table, (columns, _) in before.items()}) == before
    assert {len(rows) for _, rows in before.values()} == {1, 2, 4, 6, 60}
    with psycopg.connect(cluster.url(empty_database)) as app:
        app.execute("delete from queue_pauses")
        met = list(said_again(app, FIXTURES / "statements-of-0003.json"))
    assert len(met) == 30
    assert [(sql, rows) for sql, rows, wanted in met if rows != wanted] == []


def test_todays_worker_heeds_the_pause_and_takes_the_jobs_that_older_code_left(
    cluster: Cluster, empty_database: str, tmp_path: Path
) -> None:
    filled_by_0003(cluster, empty_database, tmp_path)
    migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))
    engine = pool.engine(cluster.url(empty_database))

    def taken() -> set[str]:
        with engine.begin() as connection:
            tried = [jobs.claim(connection, job) for job in connection.execute(text("select id from jobs")).scalars()]
        return {job.url for job in tried if job is not None}

    with engine.connect() as connection:
        pause = pauses.current(connection)
        stands = jobs.counts(connection)
    paused = taken()
    with engine.begin() as connection:
        pauses.resume(connection)
    running, again = taken(), taken()
    with engine.begin() as connection:
        lapsed, after = jobs.lapse(connection), jobs.counts(connection)
    engine.dispose()

    assert pause is not None and (pause["paused_by"], pause["because"]) == ("ann@laptop", "the site is down")
    assert (stands.waiting, stands.running, stands.later, stands.failed) == (2, 1, 1, 1)
    assert (paused, running, again) == (set(), {"http://due.example/"}, set())
    assert (lapsed, after.running, after.later) == (1, 2, 2)  # whose worker died is put off as one that failed


def test_a_statement_over_its_revisions_limit_is_cancelled_and_said_so(migrating: str, tmp_path: Path) -> None:
    tree = Tree(tmp_path, head=NEXT).add(NEXT, "expand", "select pg_sleep(600)", more='statement_timeout = "200ms"')

    code, said = tree.run("migrate", url=migrating)

    assert (code, said["error"]) == (1, "too_slow")
    assert f"a statement of {NEXT} was cancelled" in str(said["why"])
    assert tree.run("migrate", "--current", url=migrating)[1] == {"head": HEAD}


def test_without_a_limit_of_its_own_a_revision_has_thirty_seconds(migrating: str, tmp_path: Path) -> None:
    limits = "current_setting('statement_timeout') as s, current_setting('lock_timeout') as l"
    Tree(tmp_path, head=NEXT).add(NEXT, "expand", f"create table limits as select {limits}").run(
        "migrate", url=migrating
    )

    with psycopg.connect(migrating) as connection:
        assert connection.execute("select s, l from limits").fetchone() == ("30s", "2s")


def test_f33_a_migration_that_waits_for_a_long_transaction_names_its_pid_age_and_query(
    cluster: Cluster, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    first_revision(cluster, empty_database, tmp_path)
    with psycopg.connect(cluster.url(empty_database)) as other:
        other.execute("update units set title = 'a secret of O''Brien' where code = 'A1' and 7 = 7")
        other.execute("lock table units in row exclusive mode")
        time.sleep(1.1)

        with pytest.raises(migrate.Blocked) as blocked:
            migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))

        seen = blocked.value.seen
        assert [b.pid for b in seen] == [pid(other)]
        assert (seen[0].state, seen[0].query) == ("idle in transaction", "lock table units in row exclusive mode")
        assert seen[0].seconds >= 1
        assert f"0002 could not get its lock in 3 tries of 2s: pid {pid(other)} (idle in transaction" in str(
            blocked.value
        )

    assert migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))["ran"] == LINE[1:]


def test_a_lock_that_is_let_go_in_time_is_had_by_a_later_try(
    cluster: Cluster, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_revision(cluster, empty_database, tmp_path)
    paused: list[float] = []
    with psycopg.connect(cluster.url(empty_database)) as other:
        other.execute("lock table units in row exclusive mode")

        def pause(seconds: float) -> None:
            paused.append(seconds)
            other.rollback()

        monkeypatch.setattr(migrate, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))

        assert migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))["ran"] == LINE[1:]
    assert paused == [migrate.PAUSES[0]]


def test_an_index_that_could_not_be_built_concurrently_is_built_by_the_next_migration(
    cluster: Cluster, database: str, migrating: str, tmp_path: Path
) -> None:
    tree = Tree(tmp_path, head=NEXT).add(NEXT, "expand", "select 1")
    revision = tmp_path / "ratemyunit/migrations/versions" / f"{NEXT}_test.py"
    concurrently = """with op.get_context().autocommit_block():
        op.create_index("units_by_title", "units", ["title"], postgresql_concurrently=True)"""
    revision.write_text(revision.read_text().replace("op.execute('select 1')", concurrently))
    hurried = tmp_path / "ratemyunit/migrate.py"
    hurried.write_text(hurried.read_text().replace("(1.0, 3.0)", "(0.05, 0.05)"))
    with psycopg.connect(cluster.url(database)) as other:
        other.execute("set transaction isolation level repeatable read")
        other.execute("select count(*) from units")

        code, said = tree.run("migrate", url=migrating)

        assert (code, said["error"]) == (1, "lock_timeout")
        assert [b["pid"] for b in said["blockers"]] == [pid(other)]

    code, said = tree.run("migrate", url=migrating)

    assert (code, said.get("ran")) == (0, [NEXT]), said
    with psycopg.connect(migrating) as owner:
        assert owner.execute("select count(*) from pg_index where not indisvalid").fetchone() == (0,)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("update t set a = 'it''s', b = 3.5 where id = $1", "update t set a = ?, b = ? where id = $1"),
        ("select 'cut off in the mid", "select ?"),
        ("do $x$ secret $x$", "do ?"),
        ("select\n  a1,  b2 from t3", "select a1, b2 from t3"),
        ("", ""),
    ],
)
def test_a_query_is_shown_without_its_values(said: str, shown: str) -> None:
    assert blockers.without_values(said) == shown


def test_check_reads_and_writes_everything_and_leaves_nothing(cluster: Cluster, database: str) -> None:
    before = rows(cluster, database)

    code, said = last_line(APP, "check", url=cluster.url(database))

    assert (code, said["ok"]) == (0, True)
    assert (said["reads"], said["writes"]) >= (15, 23)
    assert rows(cluster, database) == before


def test_check_knows_every_function_that_asks_the_database() -> None:
    asking = {
        f"{module}.{name}"
        for module in ("search", "units", "ratings", "jobs", "accounts", "sessions", "moderation")
        for name in re.findall(r"^def ([a-z]\w*)\(\s*connection: Connection", source(module), re.MULTILINE)
    }

    assert len(asking) > 12
    assert {name for name in asking if name not in source("check")} == set()


@pytest.mark.parametrize(
    ("sql", "failed"),
    [
        ("alter table units drop column description cascade", "units.store"),
        ("alter table ratings rename column stars to points", "search.find"),
        ("alter table jobs alter column error set not null", "jobs.add"),
        ("revoke select on units from rmu_app", "units.store"),
        ("alter table ratings add column mood text not null", "ratings.give"),
    ],
)
def test_f33_check_finds_a_schema_on_which_the_old_code_cannot_read_or_write(
    cluster: Cluster, database: str, sql: str, failed: str
) -> None:
    with psycopg.connect(cluster.url(database, "rmu_migrate"), autocommit=True) as owner:
        owner.execute(sql)

    code, said = last_line(APP, "check", url=cluster.url(database))

    assert (code, said["ok"], said["failed"]) == (1, False, failed)
    assert said["why"] and "rmucheck" not in str(said["why"])


def test_f32_check_heeds_what_a_newer_schema_says_of_old_code(cluster: Cluster, database: str) -> None:
    cluster.sql("insert into schema_line values ('9000', '9000')", database)
    cluster.sql("update alembic_version set version_num = '9000'", database)

    code, said = last_line(APP, "check", url=cluster.url(database))

    assert (code, said["failed"]) == (1, "schema.fit")
    assert "needs code of 9000" in str(said["why"])


def test_check_without_a_database_says_so(cluster: Cluster) -> None:
    code, said = last_line(APP, "check", url=cluster.url("nowhere"))

    assert (code, said["failed"]) == (1, "connect")


def first_revision(cluster: Cluster, database: str, where: Path, head: str = "0001") -> None:
    """Bring an empty database to 0001, or another head, by a tree that has never heard of more."""
    before = Tree(where, head=head)
    for later in (where / "ratemyunit/migrations/versions").glob("*.py"):
        if later.name[:4] > head:
            later.unlink()
    assert before.run("migrate", url=cluster.url(database, "rmu_migrate"))[1]["head"] == head


def filled_by_0003(cluster: Cluster, database: str, where: Path) -> None:
    """Make a database of 0003 with rows of every table, in every state that they may be in."""
    first_revision(cluster, database, where, "0003")
    with psycopg.connect(cluster.url(database)) as app:
        app.execute(LEFT_BY_0003)


def contents(
    cluster: Cluster, database: str, known: dict[str, list[str]] | None = None
) -> dict[str, tuple[list[str], list[str]]]:
    """Read every table that the application writes, or the columns of those that are known: columns and sorted rows."""
    every = """
        select table_name, array_agg(column_name::text order by ordinal_position) from information_schema.columns
        where table_schema = 'public' and table_name not in ('alembic_version', 'schema_line') group by table_name
    """
    with psycopg.connect(cluster.url(database, "master")) as connection:
        tables = known or dict(connection.execute(every).fetchall())
        asked = {table: f"select {', '.join(columns)} from {table}" for table, columns in tables.items()}
        return {table: (tables[table], sorted(map(str, connection.execute(sql)))) for table, sql in asked.items()}


def said_again(connection: psycopg.Connection[Any], recording: Path) -> Iterator[tuple[str, int, int]]:
    """Say what older code said; tell of each statement how many rows it met, now and then."""
    firsts: list[dict[str, Any]] = []

    def value(given: Any) -> Any:
        if isinstance(given, dict):
            return timedelta(**given) if "seconds" in given else firsts[given["of"][0]][given["of"][1]]
        return given

    for one in json.loads(recording.read_text())["statements"]:
        cursor = connection.cursor(row_factory=dict_row)
        cursor.execute(one["sql"], {name: value(given) for name, given in one["params"].items()})
        firsts.append((cursor.fetchone() or {}) if cursor.description else {})
        yield one["sql"], cursor.rowcount, one["rows"]


def rows(cluster: Cluster, database: str) -> dict[str, int]:
    """Count the rows of every table."""
    with psycopg.connect(cluster.url(database, "master")) as connection:
        names = [t for (t,) in connection.execute("select tablename from pg_tables where schemaname = 'public'")]
        return {t: connection.execute(f"select count(*) from {t}").fetchone()[0] for t in names}


def source(module: str) -> str:
    """Read a module of ours."""
    return (APP / f"ratemyunit/{module}.py").read_text()
