"""The export of a database's log: a statement is one event whatever its lines, told once, and the file stays small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.twin.keepers import database_log
from ratemyunit_ops.twin.keepers.database_log import DatabaseLog, events

LONG = b"2026-11-27 06:00:01 UTC:x:[7]:LOG:  duration: 12 ms  statement: SELECT\n\tFROM units\n\tLIMIT 1\n"
SHORT = b"2026-11-27 06:00:00 UTC:x:[8]:LOG:  connection received\n"


def test_a_statement_of_many_lines_is_one_event_with_its_own_time() -> None:
    found = events(LONG + SHORT, now=0)

    assert [event["message"].count("\n") for event in found] == [0, 2]
    assert [event["timestamp"] for event in found] == [1795759200000, 1795759201000]


def test_what_begins_with_no_time_came_now() -> None:
    assert events(b"pg_ctl: whatever\n", now=7)[0] == {"timestamp": 7000, "message": "pg_ctl: whatever"}


def test_each_line_is_told_once_and_a_large_file_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_log, "LARGEST", 100)
    told: list[dict[str, Any]] = []
    log = tmp_path / "postgresql.log"
    log.write_bytes(SHORT + LONG[:30])
    DatabaseLog(log, told.extend).export()
    log.write_bytes(SHORT + LONG)

    for _ in range(3):
        DatabaseLog(log, told.extend).export()
    emptied = log.stat().st_size
    log.write_bytes(SHORT)
    DatabaseLog(log, told.extend).export()

    assert [len(event["message"].splitlines()) for event in told] == [1, 3, 1]
    assert emptied == 0
