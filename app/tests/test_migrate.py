"""Migrations: whole or not at all, one at a time, and as the roles of an environment may."""

import json
import os
import subprocess
import sys
import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import APP, Cluster
from patient import LONG

from ratemyunit import database as pool
from ratemyunit import migrate, schema

LINE = [f"{number:04}" for number in range(1, int(schema.HEAD) + 1)]


def test_migrate_names_what_ran_and_a_second_run_has_nothing_to_do(cluster: Cluster, empty_database: str) -> None:
    url = cluster.url(empty_database, "rmu_migrate")

    assert untimed(migrate.upgrade(url)) == ran(None, schema.HEAD, *LINE)
    assert untimed(migrate.upgrade(url)) == ran(schema.HEAD, schema.HEAD)


def test_the_last_line_printed_is_the_answer_and_the_exit_code_is_0(cluster: Cluster, empty_database: str) -> None:
    code, lines = run("migrate", DATABASE_URL=cluster.url(empty_database, "rmu_migrate"))

    assert code == 0
    assert json.loads(lines[-1])["ran"] == LINE


def test_head_is_printed_without_any_environment() -> None:
    assert run("migrate", "--head") == (0, [json.dumps({"head": schema.HEAD})])


def test_an_older_image_leaves_a_newer_schema_alone(cluster: Cluster, database: str) -> None:
    cluster.sql("update alembic_version set version_num = '9000'", database)

    answer = migrate.upgrade(cluster.url(database, "rmu_migrate"))

    assert untimed(answer) == ran("9000", "9000")


def test_two_migrations_take_turns_and_the_second_finds_the_work_done(
    cluster: Cluster, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "TURN_WAITS", 1000)  # the first is slow where the machine is
    url = cluster.url(empty_database, "rmu_migrate")
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(migrate.upgrade(url)["ran"])) for _ in range(2)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    assert sorted(answers, key=len) == [[], LINE]


def test_a_migration_that_cannot_get_its_lock_gives_up_and_leaves_nothing(
    cluster: Cluster, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    with psycopg.connect(cluster.url(empty_database, "rmu_migrate")) as other:
        other.execute(f"select pg_advisory_lock({migrate.LOCK})")

        with pytest.raises(migrate.Blocked, match=f"turn could not get its lock in 3 tries .*pid {pid(other)} "):
            migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))

    assert tables(cluster, empty_database) == set()


def test_a_failed_migration_leaves_no_table_behind_and_ends_with_1(cluster: Cluster, empty_database: str) -> None:
    cluster.sql("create table jobs (mine int)", empty_database)  # the last thing 0001 makes is in the way

    code, lines = run("migrate", DATABASE_URL=cluster.url(empty_database, "rmu_migrate"))

    assert code == 1
    assert json.loads(lines[-2])["message"] == "migration failed"
    assert json.loads(lines[-1])["error"] == "failed"
    assert tables(cluster, empty_database) <= {"jobs", "alembic_version"}


def test_the_applications_role_reads_and_writes_rows_and_nothing_more(cluster: Cluster, database: str) -> None:
    with psycopg.connect(cluster.url(database), autocommit=True) as app:
        app.execute("insert into universities (name) values ('x')")
        app.execute("delete from universities")
        for forbidden in (
            "create table mine (a int)",
            "drop table units",
            "alter table units add column mine int",
            "update schema_line set oldest_code = '0000'",
            "update alembic_version set version_num = '0000'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(forbidden)


def test_tables_of_later_migrations_are_open_to_the_application(cluster: Cluster, database: str) -> None:
    with psycopg.connect(cluster.url(database, "rmu_migrate"), autocommit=True) as owner:
        owner.execute("create table later (id serial)")

    with psycopg.connect(cluster.url(database)) as app:
        app.execute("insert into later default values")


def test_the_code_and_the_migrations_describe_the_same_tables(cluster: Cluster, database: str) -> None:
    with pool.engine(cluster.url(database, "master")).connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
        indices = {row[0] for row in connection.exec_driver_sql("select indexname from pg_indexes")}

    # PostgreSQL writes an index's expression in words of its own, so those are compared by name alone.
    by_name = {index.name for index in schema.EXPRESSION_INDEXES}
    assert [d for d in differences if getattr(d[-1], "name", "") not in by_name] == []
    assert {"jobs_due", "units_by_code", *by_name} <= indices


def test_revisions_are_four_digits_in_one_line_and_end_at_the_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(APP / "ratemyunit/migrations"))
    line = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]

    assert line == sorted(line, reverse=True)
    assert all(len(revision) == 4 and revision.isdecimal() for revision in line)
    assert line[0] == schema.HEAD
    assert schema.OLDEST in line


def tables(cluster: Cluster, name: str) -> set[str]:
    """List the tables of a database."""
    with psycopg.connect(cluster.url(name, "master")) as connection:
        return {row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")}


def run(*argv: str, **environment: str) -> tuple[int, list[str]]:
    """Run a role to its end; answer the exit code and what it printed."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP), **environment}
    done = subprocess.run(
        [sys.executable, "-m", "ratemyunit", *argv], env=env, capture_output=True, text=True, check=False, timeout=LONG
    )
    return done.returncode, done.stdout.splitlines()


def ran(before: str | None, head: str, *revisions: str) -> dict[str, object]:
    """Make the answer of a migration on the schema of today."""
    return {"head_before": before, "head": head, "admits": schema.ADMITS, "ran": list(revisions)}


def untimed(answer: dict[str, object]) -> dict[str, object]:
    """Take out how long each revision took."""
    assert list(answer.pop("seconds")) == answer["ran"]
    return answer


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pauses out. The tries keep their length: whoever looks who is in the way has to come to it."""
    monkeypatch.setattr(migrate, "PAUSES", (0.05, 0.1))


def pid(connection: psycopg.Connection) -> int:
    """Say which session of the server this is."""
    return connection.info.backend_pid
