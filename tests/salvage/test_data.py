"""The verbs of databases beside the salvage: the fence, sequences, the warming, a look, sums."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from rmu_host import data_fence
from rmu_host.answers import No
from rmu_host.data import GAP
from rmu_host.data_psql import Psql
from rmu_host.request import Host
from rmu_host.roles import ROOM_FOR_OPS

from tests.salvage.conftest import Sides
from tests.salvage.writer import SCHEMA, Ledger, Writer, verify


def url(sides: Sides, role: str = "app", side: str = "old") -> str:
    place = f"host=127.0.0.1 port={sides.cluster.port} sslmode=disable dbname={getattr(sides, side)}"
    return f"{place} user=rmu_{role} password={role}"


def fence(sides: Sides, **body: object) -> dict[str, object]:
    return sides.ask("data_fence", **{"database": sides.database(sides.old), "on": True, **body})


@pytest.fixture
def clients(sides: Sides) -> Iterator[tuple[Ledger, list[Writer]]]:
    sides.setup(SCHEMA)
    ledger = Ledger()
    writers = [Writer(lambda: url(sides), ledger, seed, events=True) for seed in range(4)]
    yield ledger, writers
    for writer in writers:
        writer.stop()
    for writer in writers:
        if writer.ident:
            writer.join(20)


def test_the_fence_holds_while_clients_write_and_reconnect_in_a_loop(
    sides: Sides, clients: tuple[Ledger, list[Writer]]
) -> None:
    ledger, writers = clients
    for writer in writers:
        writer.start()
    while ledger.acknowledged < 50:
        time.sleep(0.01)

    said = fence(sides)

    before = sides.rows("select sum(n_tup_ins + n_tup_upd) from pg_stat_user_tables", "old")
    for writer in writers:
        writer.pause()
    acknowledged = ledger.acknowledged
    time.sleep(0.3)
    assert (said["outcome"], said["fenced"], said["ended"] >= 4) == ("changed", True, True)  # type: ignore[operator]
    assert said["proof"] == "a session from before could not write"
    assert ledger.acknowledged == acknowledged
    ledger.settle(url(sides, "ops"))
    assert not verify(url(sides, "ops"), ledger).wrong
    assert sides.rows("select sum(n_tup_ins + n_tup_upd) from pg_stat_user_tables", "old") == before


def test_a_transaction_in_the_middle_is_rolled_back_and_its_client_is_told(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    with psycopg.connect(url(sides)) as middle:
        middle.execute("insert into t values (1)")

        fence(sides)

        with pytest.raises(psycopg.OperationalError):
            middle.commit()
    assert sides.rows("select count(*) from t", "old") == ["0"]


def test_a_fence_is_told_taken_back_and_put_up_again(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    tell = {"look": True}
    before = fence(sides, **tell)["fenced"]

    first, again, told = fence(sides), fence(sides), fence(sides, **tell)["fenced"]
    opened, open_still, free = fence(sides, on=False), fence(sides, on=False), fence(sides, **tell)["fenced"]

    assert (before, told, free) == (False, True, False)
    assert [a["outcome"] for a in (first, again, opened, open_still)] == ["changed", "already", "changed", "already"]
    assert again["proof"] == "no session was left to write"
    psycopg.connect(url(sides)).close()


def test_a_prepared_transaction_is_named_and_nothing_is_shut(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    with psycopg.connect(url(sides), autocommit=True) as client:
        client.execute("begin; insert into t values (1); prepare transaction 'half-way'")

    with pytest.raises(No, match="half-way"):
        fence(sides)

    assert fence(sides, look=True)["fenced"] is False
    with sides.cluster.session(sides.old) as master:
        master.execute("rollback prepared 'half-way'")


def test_a_session_that_can_still_write_lifts_the_fence_and_fails(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides.setup("create table t (id int primary key)")
    monkeypatch.setattr(data_fence, "END", "select json_build_array(0, 0, '[]'::json);")

    with pytest.raises(No, match="could still write"):
        fence(sides)

    assert fence(sides, look=True, on=True)["shut"] is False


def test_a_session_just_being_born_when_the_door_shuts_is_waited_for(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A client that is slow to answer the server's question for a password.
    monkeypatch.setattr(data_fence, "BIRTH_S", 1.0)
    with socket.create_connection(("127.0.0.1", sides.cluster.port)) as raw:
        body = b"\x00\x03\x00\x00user\x00rmu_app\x00database\x00" + sides.old.encode() + b"\x00\x00"
        raw.sendall((len(body) + 4).to_bytes(4, "big") + body)
        raw.recv(1)

        assert fence(sides)["fenced"] is True


def test_sequences_of_both_sides_never_meet(sides: Sides) -> None:
    sides.setup("""create table t (id bigint generated always as identity primary key, n serial);
        create sequence down increment -5 maxvalue 100; create sequence tight maxvalue 50;
        create sequence round minvalue 1 maxvalue 3000 cycle; create sequence unused; create sequence cached cache 20;
        select nextval('down'), nextval('tight'), nextval('round');""")
    sides.restore()
    sides.on_old("insert into t select from generate_series(1, 10)")
    sides.setup("select nextval('down'), nextval('tight'), nextval('round'), nextval('cached'); create sequence late;")
    both = {"old": sides.database(sides.old), "new": sides.database(sides.new)}
    before = sides.ask("data_sequences", **both, look=True)

    moved = sides.ask("data_sequences", **both)

    assert (before["past"], sides.ask("data_sequences", **both, look=True)["past"]) == (False, True)
    assert moved["moved"] == {
        "public.t_id_seq": 10 + GAP, "public.t_n_seq": 10 + GAP, "public.down": 95 - 5 * GAP, "public.tight": 2,
        "public.round": 2 + GAP, "public.unused": GAP, "public.cached": 20 + GAP,
    }  # fmt: skip
    assert (moved["missing"], moved["in_circles"]) == (["public.late"], ["public.round"])
    assert sides.ask("data_sequences", **both)["outcome"] == "already"
    assert sides.rows("set role rmu_migrate; select nextval('down'), nextval('tight')") == [f"{90 - 5 * GAP}|3"]


WARM = """
create table t (id int primary key, v text, w int); create index on t (w) where w > 2; create index on t (lower(v));
insert into t select i, repeat(md5(i::text), case when i > 490 then 2000 else 1 end), i from generate_series(1, 500) i;
create table plain (v text); alter table t alter v set storage external; update t set v = v || 'x';
"""


def test_f35_a_restored_database_is_read_whole_before_it_serves(sides: Sides) -> None:
    sides.setup(WARM)

    said = sides.restore()

    assert (said["warmed"], said["tables"], said["bytes"] > 1_000_000) == (True, 2, True)
    toast = "from pg_statio_all_tables where relname = 'pg_toast_' || 't'::regclass::oid"
    assert sides.rows(f"select heap_blks_read + heap_blks_hit >= pg_relation_size(relid) / 8192 {toast}") == ["t"]
    assert sides.rows("select idx_scan > 0 from pg_stat_user_indexes where relname = 't'") == ["t"] * 3
    assert sides.rows("select count(*) from pg_stat_user_tables where last_analyze is not null") == ["2"]


def test_f35_where_pg_prewarm_is_there_it_reads_every_index_and_long_value(sides: Sides) -> None:
    sides.setup(WARM)
    sides.cluster.sql(
        """create extension pg_prewarm; create table seen (name text); grant all on seen to public;
        create or replace function pg_prewarm(regclass, mode text default 'buffer', fork text default 'main',
            first_block int8 default null, last_block int8 default null) returns int8
        language sql as $$ insert into seen select relname from pg_class where oid = $1; select 1::int8 $$;""",
        sides.old,
    )

    sides.restore()

    seen = sides.rows("select name from seen where name !~ '^pg_toast' order by 1")
    assert seen == ["t_lower_idx", "t_pkey", "t_w_idx"]
    assert sides.rows("select count(*) from seen where name = 'pg_toast_' || 't'::regclass::oid") == ["1"]


def test_a_look_tells_what_was_written_since_and_the_schema(sides: Sides) -> None:
    sides.setup("""create table alembic_version (version_num text primary key); create table t (id int primary key);
        create table schema_line (revision text primary key, oldest_code text);
        insert into alembic_version values ('0003'); insert into schema_line values ('0002', '0001'), ('0003', '0002');
        insert into t select generate_series(1, 7); create schema more; create table more.u (id int);""")
    since = float(sides.rows("select extract(epoch from clock_timestamp())", "old")[0])
    sides.on_old("insert into t values (8), (9); update t set id = 100 where id = 1")

    with psycopg.connect(url(sides)) as reader:
        reader.execute("select * from t")
        seen = sides.ask("data_look", database=sides.database(sides.old), since=since)

    assert (seen["schema_head"], seen["admits"]) == ("0003", "0002")
    assert seen["tables"].keys() == {"t", "more.u"}
    assert seen["tables"]["t"] == {"rows": 9, "written": 3}
    assert seen["tables"]["more.u"] == {"rows": 0, "written": 0}
    assert not {"logins", "blockers"} & seen.keys()
    assert seen["newest"] > since
    assert (seen["size"] > 0, seen["dated"]) == (True, True)


def test_the_same_rows_have_the_same_sum_whatever_their_order(sides: Sides) -> None:
    sides.setup("create table t (id int, v text); insert into t values (1, 'a'), (2, 'b'), (2, 'b')")
    first = sides.ask("data_checksum", database=sides.database(sides.old))["tables"]["t"]
    sides.on_old("delete from t; insert into t values (2, 'b'), (1, 'a'), (2, 'b')")
    same = sides.ask("data_checksum", database=sides.database(sides.old))["tables"]["t"]
    sides.on_old("update t set v = 'c' where id = 1")

    other = sides.ask("data_checksum", database=sides.database(sides.old))["tables"]["t"]

    assert first == same
    assert (other["rows"], other["checksum"] != first["checksum"]) == (3, True)


def test_rows_that_were_not_written_since_are_summed_up_apart(sides: Sides) -> None:
    sides.setup("create table t (id int, v text); insert into t values (1, 'a'), (2, 'b')")
    database = sides.database(sides.old)
    then = sides.ask("data_checksum", database=database)["tables"]["t"]
    time.sleep(1.1)
    until = time.time()
    time.sleep(0.1)
    sides.on_old("insert into t values (3, 'c')")

    grown = sides.ask("data_checksum", database=database, until=until)["tables"]["t"]
    sides.on_old("update t set v = 'z' where id = 1")
    changed = sides.ask("data_checksum", database=database, until=until)["tables"]["t"]

    assert (grown["rows"], grown["old_rows"], grown["old_checksum"]) == (3, 2, then["checksum"])
    assert (changed["old_rows"], changed["old_checksum"] != then["checksum"]) == (1, True)


def test_no_password_is_in_the_arguments_of_any_command(sides: Sides) -> None:
    made = Psql(sides.ask.m, sides.database(sides.old), "ops", "a-secret")

    assert "a-secret" not in " ".join(made.argv)


def through_the_door(sides: Sides, **request: object) -> dict[str, object]:
    m = sides.ask.m
    m.write("/run/rmu/instance", "i-1")
    m.write_json("/etc/rmu/host.json", {"env": "test", "region": "here"})
    asked = {"run": "r-1", "not_after": m.now() + 60, "mark": "r-1", "database": sides.database(sides.old), **request}
    return Host(m, lambda _: sides.ask.cloud).answer(asked)


def test_the_host_answers_looks_without_a_fence_and_changes_once(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    fenced = {"generation": 1, "sequence": 7}

    looked = through_the_door(sides, verb="data_look", since=None)
    told = through_the_door(sides, verb="data_fence", on=True, look=True)
    first, again = (through_the_door(sides, verb="data_fence", on=True, look=False, fence=fenced) for _ in range(2))
    old = through_the_door(sides, verb="data_warm", look=False, fence={"generation": 0, "sequence": 1})

    assert (looked["outcome"], told["fenced"]) == ("ok", False)
    assert (first["outcome"], again["outcome"], again["already"]) == ("changed", "changed", True)
    assert old["why"] == "stale_fence"


def test_a_database_that_does_not_answer_is_a_failure_that_says_so(sides: Sides) -> None:
    nowhere = {**sides.database(sides.old), "port": 1}

    answer = through_the_door(sides, verb="data_look", since=None, database=nowhere)

    assert (answer["outcome"], answer["why"]) == ("failed", "unreachable")
    assert "onnection refused" in str(answer["detail"])


def test_a_fence_that_is_half_shut_is_no_open_one_and_is_opened(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    sides.cluster.sql("alter role rmu_app nologin", "postgres")

    opened = fence(sides, on=False)

    assert opened["outcome"] == "changed"
    psycopg.connect(url(sides)).close()


def test_a_fence_that_cannot_shut_one_door_shuts_none(sides: Sides) -> None:
    sides.cluster.sql("revoke rmu_migrate from rmu_ops; alter role rmu_migrate superuser", "postgres")
    try:
        with pytest.raises(No):
            fence(sides)
        rolcanlogin = sides.rows("select rolcanlogin from pg_roles where rolname = 'rmu_app'", "old")
    finally:
        sides.cluster.sql(
            "alter role rmu_migrate nosuperuser login; alter role rmu_app login;"
            "grant rmu_migrate to rmu_ops with admin option",
            "postgres",
        )

    assert rolcanlogin == ["t"]


def test_a_login_that_fails_for_another_reason_proves_no_fence(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    sides.cluster.sql("alter role rmu_app password 'renewed'", "postgres")
    try:
        with pytest.raises(No, match="password authentication failed") as no:
            fence(sides)
    finally:
        sides.cluster.sql("alter role rmu_app password 'app'", "postgres")

    assert no.value.answer["why"] == "fence_unproven"
    assert fence(sides, look=True)["shut"] is False


def test_a_shut_database_where_something_may_still_commit_is_not_fenced(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    with psycopg.connect(url(sides), autocommit=True) as client:
        client.execute("begin; insert into t values (1); prepare transaction 'still-there'")
    sides.cluster.sql("alter role rmu_app nologin; alter role rmu_migrate nologin", "postgres")

    told = fence(sides, look=True)["fenced"]

    with sides.cluster.session(sides.old) as master:
        master.execute("rollback prepared 'still-there'")
    assert (told, fence(sides, look=True)["fenced"]) == (False, True)


def test_a_session_that_does_not_end_is_given_up_long_before_a_hold_is_over(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_fence, "END", "select json_build_array(1, 1, '[]'::json);")
    monkeypatch.setattr(sides.ask.m, "sleep", lambda seconds: later.append(seconds))
    later: list[float] = []
    monkeypatch.setattr(sides.ask.m, "now", lambda: sum(later))

    with pytest.raises(No, match="did not end"):
        fence(sides)

    assert sum(later) < 12
    assert fence(sides, look=True)["shut"] is False


def statement(sides: Sides, sql: str, verb: str = "data_rows", **variables: str) -> dict[str, Any]:
    said: dict[str, Any] = sides.ask(verb, database=sides.database(sides.old), sql=sql, variables=variables, limit_s=5)
    return said


def test_a_statement_answers_rows_with_nulls_and_values_that_look_like_sql(sides: Sides) -> None:
    said = statement(sides, "select 1 as n, null::int as gone, :'what' as said", what="'; drop table units; --")

    assert said["rows"] == [{"n": "1", "gone": None, "said": "'; drop table units; --"}]


def test_a_look_writes_nothing_whatever_it_says_and_is_shown_200_rows_of(sides: Sides) -> None:
    sides.setup("create table t (id int primary key)")
    long = statement(sides, "select n, repeat('x', 900) as wide from generate_series(1, 100000) n")

    with pytest.raises(No) as why:
        statement(sides, "with made as (insert into t values (1) returning id) select * from made")

    assert (len(long["rows"]), long["total"], len(long["rows"][0]["wide"])) == (200, 201, 500)
    assert why.value.answer["why"] == "sql_failed"
    assert sides.rows("select count(*) from t", "old") == ["0"]


def test_a_statement_that_fails_names_its_sqlstate_and_one_that_never_ends_is_ended(sides: Sides) -> None:
    with pytest.raises(No, match="42P01: relation"):
        statement(sides, "select * from nowhere")
    with pytest.raises(No, match="57014: canceling"):
        sides.ask("data_rows", database=sides.database(sides.old), sql="select pg_sleep(60)", variables={}, limit_s=0.5)


def test_a_change_is_one_transaction_and_tells_its_rows(sides: Sides) -> None:
    with psycopg.connect(url(sides), application_name="idler") as idle:
        ended = statement(
            sides,
            "select count(pg_terminate_backend(pid)) as ended from pg_stat_activity where application_name = :'who'",
            "data_act",
            who="idler",
        )

        with pytest.raises(psycopg.OperationalError):
            idle.execute("select 1")
    assert ended["rows"] == [{"ended": "1"}]


def test_ops_gets_in_where_the_application_has_taken_all_that_it_may(sides: Sides) -> None:
    sides.cluster.sql(ROOM_FOR_OPS, sides.old)
    held: list[psycopg.Connection[Any]] = []
    try:
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            held.extend(iter(lambda: psycopg.connect(url(sides)), None))

        seen = statement(sides, "select count(*) as n from pg_stat_activity where usename = 'rmu_app'")
    finally:
        for one in held:
            one.close()
        sides.cluster.sql("alter role rmu_app connection limit -1", sides.old)

    assert int(seen["rows"][0]["n"]) == len(held) == 50


def test_a_session_that_is_turned_away_is_told_by_its_code(sides: Sides) -> None:
    sides.cluster.sql("alter role rmu_ops connection limit 0", sides.old)
    try:
        with pytest.raises(No, match="53300: "):
            statement(sides, "select 1")
    finally:
        sides.cluster.sql("alter role rmu_ops connection limit -1", sides.old)
