"""`rmu migrate lint` at the door: what it reads, bad input, exceptions, and what it knows of the live database."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from ratemyunit_ops.cli import linting
from ratemyunit_ops.errors import Mistyped, Refused
from ratemyunit_ops.model import Database, DataView, Pointer, TableView
from ratemyunit_ops.outside import migrations, squawk
from ratemyunit_ops.outside.migrations import FilesOfMigrations
from ratemyunit_ops.ports import Complaint
from ratemyunit_ops.reports.lint.code import read_code
from ratemyunit_ops.reports.lint.judging import Around, Finding, examine, lines, unsafe
from ratemyunit_ops.reports.lint.rules import off_table, table
from tests.fakes.operator import QuietScreen
from tests.fakes.world import FakeWorld

CHECKOUT = Path(__file__).parents[2]
SAFE_START = "set lock_timeout = '2s';\nset statement_timeout = '30s';\n"
REVISION = '''"""Add remarks.

Downgrade: none is needed.
"""

from alembic import op

revision = "0001"
down_revision = None
phase = "expand"
oldest_code = "0001"


def upgrade() -> None:
    {body}
'''


def revision(body: str, **changed: str) -> str:
    """Write a revision; with `phase="stage"` and the like, one that says something else."""
    text = REVISION.format(body=body)
    for old, new in changed.items():
        text = text.replace(old, new)
    return text


TABLE = 'op.execute("create table v (id uuid)")'
DROP = 'op.execute("drop table units")'
FAR = '\n\ndef _rest() -> None:\n    op.execute(\n        "drop table units"\n    )\n'
PEEP = 'import os; op.execute("drop table " + os.environ.get("AWS_SECRET_ACCESS_KEY", "nothing"))'
REVISIONS = {
    "empty/x.py": "",
    "no-upgrade/x.py": "revision = '0001'\n",
    "broken/x.py": "def upgrade(:\n",
    "not-python/x.py": "create table visits (id uuid);\n",
    "imports/x.py": revision("import nosuch_module"),
    "leaves/x.py": revision("raise SystemExit(0)"),
    "peeps/0001_peep.py": revision(PEEP),
    "talks/0001_talk.py": revision(f'print("{{}}"); {TABLE}'),
    "far/0001_far.py": revision("_rest()") + FAR,
    "beside/0001_first.py": revision(TABLE, phase="stage"),
    "beside/0007_second.py": revision(TABLE).replace('"0001"', '"0007"', 1),
}
"""Revisions that are judged in one go, each folder a line of its own: starting Alembic is what takes time."""


def template() -> str:
    """Fill the app's template in, as `alembic revision` would."""
    written = (CHECKOUT / linting.MIGRATIONS / "script.py.mako").read_text().replace("${message}", "Add remarks.")
    values = {"up_revision": '"0001"', "down_revision": "None"}
    return re.sub(r"\$\{repr\((\w+)\)\}", lambda m: values[m[1]], written)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("revisions")
    for name, text in {**REVISIONS, "template/0001_remarks.py": template()}.items():
        (made / name).parent.mkdir(exist_ok=True)
        put(made, name, text)
    (made / "bytes").mkdir()
    (made / "bytes" / "x.py").write_bytes(b"\xff\xfe\x00drop")
    return made


@pytest.fixture(scope="module")
def judged(folder: Path) -> dict[str, list[Finding]]:
    """What is found in each folder, and in the app's own."""
    first = folder / "beside" / "0001_first.py"
    files = [p for p in sorted(folder.glob("*/*.py")) if p != first]
    own = linting.find([CHECKOUT / linting.MIGRATIONS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
        found = linting.lint_files([*files, *own], root=CHECKOUT, rows={})
    by_folder: dict[str, list[Finding]] = {p.parent.name: [] for p in [*files, *own]}
    for each in found:
        by_folder[Path(each.file).parent.name].append(each)
    return by_folder


def lint(*files: Path, rows: dict[str, int] | None = None) -> tuple[Finding, ...]:
    return linting.lint_files(linting.find(files), root=CHECKOUT, rows=rows or {})


def rules(found: Sequence[Finding]) -> set[str]:
    return {f.rule for f in found}


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


# The app's own.


def test_the_app_s_own_migrations_are_safe(judged: dict[str, list[Finding]]) -> None:
    assert [f"{f.file}:{f.line} {f.rule}" for f in judged["versions"] if f.severity != "accepted"] == []


def test_the_template_of_a_revision_is_what_the_lint_wants(judged: dict[str, list[Finding]]) -> None:
    assert rules(judged["template"]) <= {"does-nothing", "no-way-back"}


# The door.


def test_an_unsafe_migration_ends_with_three_and_fixed_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, "drop.sql", SAFE_START + "drop table leftovers;\n")

    with pytest.raises(typer.Exit) as ended:
        linting.lint([path], [], None, as_json=True)

    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert ended.value.exit_code == 3
    assert {"file", "line", "rule", "severity", "why", "safe_way"} <= set(found)
    assert (found["rule"], found["line"]) == ("ban-drop-table", 3)


def test_people_read_why_and_the_safe_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path, "drop.sql", SAFE_START + "drop table leftovers;\n")

    with pytest.raises(typer.Exit):
        linting.lint([path], [], None, as_json=False)

    shown = capsys.readouterr().out
    assert "ban-drop-table" in shown and "why " in shown and "safe way " in shown
    assert "1 migration read, 1 unsafe" in shown


def test_brackets_of_sql_are_no_markup() -> None:
    found = Finding(file="x.sql", line=1, rule="r", severity="error", why="w", safe_way="s", statement="a text[red]")

    assert "text\\[red]" in lines([found], 1)[1]


def test_warnings_alone_end_with_nought(tmp_path: Path) -> None:
    path = put(tmp_path, "visits.sql", SAFE_START + "create table visits (id uuid primary key, at timestamp);\n")

    found = lint(path)

    assert rules(found) == {"prefer-timestamp-tz"}
    assert not unsafe(found)


def test_without_rmu_toml_a_file_can_still_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RMU_CONFIG", raising=False)

    assert linting.checkout() == tmp_path


# Bad input.


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(Mistyped, match="there is no nosuch"):
        linting.find([Path("nosuch.sql")])


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "notes.txt", "drop table units")

    with pytest.raises(Mistyped, match=r"neither \.py nor \.sql"):
        linting.find([path])


def test_a_folder_without_migrations_is_named(tmp_path: Path) -> None:
    put(tmp_path, "plain.py", "revision = 3\n")
    (tmp_path / ".venv").mkdir()
    put(tmp_path / ".venv", "hidden.sql", "drop table units")

    with pytest.raises(Mistyped, match="no migrations in it"):
        linting.find([tmp_path])


@pytest.mark.parametrize("word", ["units", "units=", "=3", "units=many", "units=-1"])
def test_rows_that_say_nothing_are_refused(word: str) -> None:
    with pytest.raises(Mistyped, match="table=number"):
        linting._counted([word])


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("empty.sql", "", "does-nothing"),
        ("blank.sql", "-- later\n\n", "does-nothing"),
        ("broken.sql", "create tabel visits ();\n", "syntax-error"),
        ("psql.sql", "\\set x 1\ncreate table visits (id uuid);\n", "syntax-error"),
    ],
)
def test_sql_that_cannot_be_read_is_a_finding_of_its_own(tmp_path: Path, name: str, text: str, rule: str) -> None:
    found = lint(put(tmp_path, name, text))

    assert rules(found) == {rule}
    assert unsafe(found)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("empty", "unreadable"),
        ("no-upgrade", "unreadable"),
        ("broken", "syntax-error"),
        ("not-python", "syntax-error"),
        ("imports", "unreadable"),
        ("leaves", "unreadable"),
        ("bytes", "syntax-error"),
    ],
)
def test_a_revision_that_cannot_be_read_is_a_finding_and_hides_no_other(
    judged: dict[str, list[Finding]], name: str, rule: str
) -> None:
    assert rule in rules(judged[name])
    assert unsafe(judged[name])


def test_bytes_that_are_no_text_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_bytes(b"\xff\xfe\x00drop")

    assert rules(lint(path)) == {"unreadable"}


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    path = put(tmp_path, "x.sql", SAFE_START + "select 1;\n\nalter table units ad column x int;\n")

    (found,) = lint(path)

    assert (found.rule, found.line) == ("syntax-error", 5)


# A revision is code.


def test_a_revision_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "DEADLINE", 0.5)
    path = put(tmp_path, "0001_loop.py", revision("while True: pass"))

    with pytest.raises(Refused, match="did not end within"):
        lint(path)


def test_a_revision_gets_none_of_the_operator_s_credentials(judged: dict[str, list[Finding]]) -> None:
    assert {f.statement for f in judged["peeps"] if f.rule == "ban-drop-table"} == {"drop table nothing"}


def test_what_a_revision_prints_does_not_spoil_the_answer(judged: dict[str, list[Finding]]) -> None:
    assert judged["talks"] == []


def test_a_finding_names_the_line_of_the_call_even_inside_a_helper(judged: dict[str, list[Finding]]) -> None:
    at = next(f.line for f in judged["far"] if f.rule == "ban-drop-table")

    assert REVISIONS["far/0001_far.py"].splitlines()[at - 1].strip() == "op.execute("


def test_reading_leaves_no_bytecode_behind(folder: Path, judged: dict[str, list[Finding]]) -> None:
    assert judged
    assert os.listdir(folder / "talks") == ["0001_talk.py"]


# Tools that are missing.


def test_without_squawk_nothing_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squawk, "on_path", lambda program: None)
    path = put(tmp_path, "x.sql", "select 1;")

    with pytest.raises(Refused, match="no squawk") as refused:
        lint(path)

    assert "pip install 'ratemyunit-ops[lint]'" in refused.value.next
    assert refused.value.state == "Nothing was judged."


def test_without_a_parser_nothing_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "NEEDED", ("alembic", "no_such_parser"))
    path = put(tmp_path, "x.sql", "select 1;")

    with pytest.raises(Refused, match="no no_such_parser") as refused:
        lint(path)

    assert "pip install 'ratemyunit-ops[lint]'" in refused.value.next


def test_a_squawk_that_answers_no_json_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squawk, "on_path", lambda program: "/bin/true")
    path = put(tmp_path, "x.sql", "select 1;")

    with pytest.raises(Refused, match="squawk ended with 0 and said: nothing"):
        lint(path)


def test_a_squawk_that_does_not_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = put(tmp_path, "squawk", "#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(squawk, "on_path", lambda program: str(slow))
    monkeypatch.setattr(squawk, "DEADLINE", 0.05)
    path = put(tmp_path, "x.sql", "select 1;")

    with pytest.raises(Refused, match="squawk did not end within") as refused:
        lint(path)

    assert refused.value.state == "Nothing was judged."


def test_the_operator_s_own_squawk_settings_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, ".squawk.toml", 'excluded_rules = ["ban-drop-table"]\n')
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path, "x.sql", SAFE_START + "drop table leftovers;\n")

    assert rules(lint(path)) == {"ban-drop-table"}


# What is known besides.


def test_rows_that_are_known_to_be_few_make_a_whole_update_fine(tmp_path: Path) -> None:
    path = put(tmp_path, "x.sql", SAFE_START + "update faculties set name = trim(name);\n")

    assert rules(lint(path)) == {"update-without-where"}
    assert rules(lint(path, rows={"faculties": 12})) == set()
    assert rules(lint(path, rows={"faculties": 12_000_000})) == {"update-without-where"}


def test_only_the_named_revision_is_told_about_but_its_neighbours_are_known(
    judged: dict[str, list[Finding]],
) -> None:
    found = judged["beside"]

    assert {Path(f.file).name for f in found} == {"0007_second.py"}
    assert "revision-number" in rules(found)


def test_the_code_that_serves_is_read_without_running_it() -> None:
    code = read_code(
        {
            "a.py": "import os\nunits = sa.Table('units', m, sa.Column('id', Uuid), sa.Column('code', Text))\n",
            "b.py": "from a import units\nx = select(units.c.code)\ninsert(units)\ny = text('select id from units')\n",
            "broken.py": "def (",
        }
    )

    assert code.place("units") == "a.py:2"
    assert (code.place("units", "code"), code.place("units", "id")) == ("b.py:2", "b.py:4")
    assert code.writes("units") == "b.py:3"
    assert code.place("units", "nosuch") == code.place("nosuch") == code.writes("nosuch") == ""


def test_a_named_environment_tells_rows_and_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = DataView(schema_head="0002", tables={"faculties": TableView(rows=12)})
    look = SimpleNamespace(look=lambda database, since: live)
    ledger = FakeWorld().outside().ledger
    screen = QuietScreen()
    wired = SimpleNamespace(outside=SimpleNamespace(data=look, ledger=ledger), screen=screen)
    monkeypatch.setattr(linting, "wire", lambda env, as_json: wired)
    monkeypatch.setattr(linting, "read_pointer", lambda ledger: Pointer(database=Database(identifier="db")))
    path = put(tmp_path, "x.sql", SAFE_START + "update faculties set name = trim(name);\n")

    linting.lint([path], [], "twin", as_json=True)
    with pytest.raises(typer.Exit):
        linting.lint([path], ["faculties=2_000_000"], "twin", as_json=True)

    assert screen.document is not None and screen.document["unsafe"]


def test_where_squawk_gives_up_and_postgresql_does_not_it_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, "x.sql", "select 1;")
    texts = FilesOfMigrations().read([path])
    complaint = Complaint(path=path, statement=0, line=1, rule="syntax-error", message="expected COLUMN")

    (found, *_) = examine(texts, [complaint], Around(code={}, rows={}), root=tmp_path)

    assert (found.rule, found.severity) == ("cannot-judge", "error")
    assert "expected COLUMN" in found.why


def test_code_is_read_from_the_package_that_the_migrations_belong_to(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    (package / "migrations").mkdir(parents=True)
    put(package, "__init__.py", "")
    put(package, "schema.py", "orders = Table('orders', m, Column('note', Text))\n")
    path = put(
        package / "migrations", "x.sql", f"-- phase: contract\n{SAFE_START}alter table orders drop column note;\n"
    )

    (found,) = lint(path)

    assert found.rule == "code-still-names"
    assert "schema.py:1 names orders.note" in found.why


# Exceptions.


def test_an_exception_with_a_reason_is_shown_and_counts_no_more(tmp_path: Path) -> None:
    reason = "nothing has used it since 2024, see the logs"
    path = put(tmp_path, "x.sql", f"-- accept ban-drop-table: {reason}\n{SAFE_START}drop table leftovers;\n")

    (found,) = lint(path)

    assert (found.severity, found.accepted) == ("accepted", reason)
    assert not unsafe([found])
    assert reason in "".join(lines([found], 1))


@pytest.mark.parametrize(
    "comment", ["accept ban-drop-table:", "accept ban-drop-table: ok", "accept no-such-rule: because"]
)
def test_an_exception_without_reason_or_rule_counts_for_nothing(tmp_path: Path, comment: str) -> None:
    path = put(tmp_path, "x.sql", f"-- {comment}\n{SAFE_START}drop table leftovers;\n")

    found = lint(path)

    assert rules(found) == {"ban-drop-table", "accepted-without-reason"}
    assert all(f.severity == "error" for f in found)


# The documents.


def test_the_table_of_rules_is_the_code_s() -> None:
    written = (CHECKOUT / "docs" / "migrations.md").read_text()

    assert "\n".join(table()) in written
    assert "\n".join(off_table()) in written
