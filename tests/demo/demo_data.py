"""A bad migration, and the way back that loses nothing: refused rollback, restore, salvage. Run by `make demo-data`.

A contract migration drops a column that people had written into. Students rate units all the time, through the front
door, and write down what was acknowledged to them; at the end every acknowledged rating must be there, comment and all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from tests.demo import bad_migration
from tests.demo.demo import Demo, Row, show_table
from tests.demo.rmu import CHECKOUT, DemoFailed, Rmu

RATERS = CHECKOUT / "tests" / "clients" / "raters.py"
SECONDS_OF_RATING = 6.0
HELD = ("hold_requests", "fence_database", "move_sequences", "point_to", "serve")


@dataclass
class Raters:
    """What the students were promised, and how they fared; the counts are filled when they end."""

    ledger: Path
    counts: dict[str, Any] = field(default_factory=dict)

    def promised(self) -> dict[str, dict[str, Any]]:
        """Read every acknowledged rating by its id."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return {rating["id"]: rating for rating in map(json.loads, lines)}


@dataclass
class DataDemo(Demo):
    """The scenes of the story about data."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rmu-demo-data-")))

    def run(self) -> None:
        """Play every scene. Raises DemoFailed at the first that goes another way than promised."""
        self.a_place_to_live()
        one, two, three = self.two_trees()
        self.first_deploy(one)
        unit = self.a_unit_to_rate()
        began = time.monotonic()
        with self.raters(unit) as students:
            time.sleep(SECONDS_OF_RATING)
            for version in (two, three):
                self.scene(f"Deploy {version}, whose code takes ratings without a comment")
                self.rows.append(Row(f"{version} deployed", self.deploy(version)["seconds"]))
            kept = self.comments_before(students)
            run = self.contract(three)
            time.sleep(SECONDS_OF_RATING)
            undo = self.rollback_is_refused(one, run)
            restore = self.restore(undo)
            time.sleep(SECONDS_OF_RATING)
            left_behind = self.count(students, "after the restore, before the salvage")
            self.salvage(restore)
            time.sleep(1)
        self.rows.append(
            Row(
                "ratings sent all the while",
                time.monotonic() - began,
                students.counts["sent"],
                students.counts["failed"],
            )
        )
        self.all_there(students, kept, left_behind)

    def two_trees(self) -> list[str]:
        """Push the app as it is, and a tree whose contract migration drops what is in ratings.comment."""
        self.scene("Two trees: the app as it is, and one that drops what people wrote")
        began = time.monotonic()
        names = self.next_versions(3)
        self.rmu("image", "push", names[0])
        config = self.other_tree()
        for name in names[1:]:
            self.rmu("image", "push", name, config=config)
        self.rows.append(Row(f"{names[0]} to {names[-1]} built and pushed", time.monotonic() - began))
        return names

    def other_tree(self) -> Path:
        """Write the second tree, with settings beside it: rmu builds the app that lies beside its rmu.toml."""
        bad_migration.tree(self.folder / "app")
        settings = Path(os.environ.get("RMU_CONFIG", CHECKOUT / "rmu.toml")).read_text()
        path = self.folder / "rmu.toml"
        path.write_text(settings.replace('tfvars = "terraform/', f'tfvars = "{CHECKOUT}/terraform/'))
        return path

    def a_unit_to_rate(self) -> str:
        """Store a unit, as the scraper would."""
        with self.database() as database:
            named = "insert into universities (name) values ('Demo') on conflict (name) do update set name = 'Demo'"
            university = database.execute(f"{named} returning id").fetchone()
            assert university is not None
            unit = database.execute(
                "insert into units (university_id, code, title) values (%s, 'RMU101', 'How nothing is lost')"
                " on conflict (university_id, code) do update set title = excluded.title returning id",
                university,
            ).fetchone()
            assert unit is not None
            return str(unit[0])

    def comments_before(self, students: Raters) -> int:
        """Count the comments that stand before the mistake."""
        kept = sum(bool(comment) for comment in self.stored().values())
        self.screen.print(f"  {len(students.promised())} ratings are acknowledged so far, {kept} with a comment")
        return kept

    def contract(self, version: str) -> str:
        self.scene("The mistake: the contract migration drops a column whose content was still wanted")
        answer = self.rmu("migrate", "up", version, "--contract", "--yes", "--because", "demo")
        self.rows.append(Row("contract migration run", answer.seconds))
        return str(answer["run"])

    def rollback_is_refused(self, version: str, run: str) -> list[str]:
        """See that the old code is not sent onto a schema it cannot run on; take the command that is printed."""
        self.scene(f"`rmu rollback {version}` refuses, and says what helps")
        answer = self.rmu("rollback", version, "--yes", "--because", "comments are gone", expect=3)
        for part in ("what", "state", "next"):
            self.screen.print(f"  {answer[part]}", markup=False)
        words = str(answer["next"]).split()
        if words[:3] != ["rmu", "db", "restore"] or run not in words:
            raise DemoFailed(f"the refusal names {answer['next']}, not a restore to before {run}")
        self.rows.append(Row("rollback refused, restore named", answer.seconds))
        return words[1:]

    def restore(self, command: list[str]) -> str:
        self.scene("Type what it said: restore to before the migration, cut over while requests wait")
        answer = self.rmu(*command, "--yes", "--because", "comments are gone")
        held = sum(answer["phases"].get(step, 0.0) for step in HELD)
        self.screen.print(f"  requests were held for {held:.0f} s; left behind: {json.dumps(answer['left_behind'])}")
        self.rows.append(Row(f"restored to before it, on {answer['instance']}", answer["seconds"]))
        return str(answer["run"])

    def salvage(self, run: str) -> None:
        self.scene("Give back what the restore left behind")
        where = self.folder / "salvage"
        answer = self.rmu("db", "salvage", run, "--dir", str(where), "--apply", "--yes", "--because", "demo")
        self.screen.print(f"  {json.dumps(answer['tables'])} in {where}", markup=False)
        self.rows.append(Row("salvaged and applied", answer.seconds))

    def count(self, students: Raters, when: str) -> int:
        """Count the promises that the live database does not hold."""
        promised, there = students.promised(), self.stored()
        missing = len(promised.keys() - there.keys())
        self.screen.print(f"  {when}: {len(promised)} acknowledged, {missing} of them missing")
        return missing

    def all_there(self, students: Raters, kept: int, left_behind: int) -> None:
        """Hold the database to the students' own ledger."""
        promised, there = students.promised(), self.stored()
        missing = promised.keys() - there.keys()
        with_words = sum(bool(comment) for comment in there.values())
        self.scene("The count")
        self.screen.print(f"  acknowledged to students:            {len(promised):>6}")
        self.screen.print(f"  in the database:                     {len(promised) - len(missing):>6}")
        self.screen.print(f"  missing until they were salvaged:    {left_behind:>6}")
        self.screen.print(f"  missing now:                         {len(missing):>6}")
        self.screen.print(f"  comments, of {kept} before the mistake: {with_words:>6}")
        if missing or not left_behind or with_words < kept:
            raise DemoFailed("an acknowledged rating is gone, or nothing was ever at stake")

    def stored(self) -> dict[str, str]:
        """Read the live database's ratings as a separate reader: id and comment."""
        with self.database() as database:
            return {str(id): comment for id, comment in database.execute("select id, comment from ratings")}

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.rmu("twin", "status", quiet=True)["databases"][0]["url"], autocommit=True)

    @contextmanager
    def raters(self, unit: str) -> Iterator[Raters]:
        """Let students rate while the block runs."""
        students = Raters(self.folder / "acknowledged.jsonl")
        argv = [sys.executable, str(RATERS), self.front_door, "--unit", unit, "--ledger", str(students.ledger)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        try:
            yield students
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=90)
        students.counts = json.loads(said)


def main() -> int:
    """Play the story; the exit code says whether every scene went as promised."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Console(highlight=False, width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "80")))
    demo = DataDemo(Rmu(screen), screen)
    try:
        demo.run()
    except DemoFailed as why:
        show_table(screen, demo.rows)
        screen.print(f"[red]The demo stopped:[/] {why}")
        screen.print("The local AWS is still up, as it was. Look: .venv/bin/rmu status · wipe it: make down")
        return 1
    show_table(screen, demo.rows)
    screen.print("Type next: .venv/bin/rmu status    .venv/bin/rmu history    make down (stops and wipes it)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
