"""What is done on hosts by hand is written down before it happens, whoever holds the environment, and told again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import typer

from ratemyunit_ops.cli.byhand import By, open_console, run_argv, show_deeds
from ratemyunit_ops.cli.main import app
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import LedgerDown, Mistyped, Unreachable
from ratemyunit_ops.outside.file_ledger import FileLedger
from ratemyunit_ops.records import read_deeds
from ratemyunit_ops.show.screen import Screen
from tests.fakes import FakeWorld
from tests.fakes.line import Killed
from tests.fakes.operator import SETTINGS, Operator, QuietScreen

UPTIME = ("uptime", "-p")
SSH = By("ssh", "SSM is silent")
SOON = timedelta(seconds=30)


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()
    made.prints[UPTIME] = "up 3 days\n"
    return made


def process(world: FakeWorld) -> Wired:
    """Start a process of somebody who types commands."""
    screen = cast(Screen, QuietScreen())
    return Wired(outside=world.outside(), settings=SETTINGS, screen=screen, who="ann@laptop")


def test_a_command_by_hand_is_kept_with_who_why_where_and_how_it_ended(world: FakeWorld) -> None:
    w = process(world)

    run_argv(w, UPTIME, None, SOON, SSH)

    (deed,) = read_deeds(w.outside.ledger)
    assert (deed.verb, deed.transport, deed.who, deed.because) == ("exec", "ssh", "ann@laptop", "SSM is silent")
    assert (deed.hosts, deed.argv) == (("i-1", "i-2"), UPTIME)
    assert (deed.outcome, deed.ended) == ("i-1 exit 0, i-2 exit 0", world.clock.now())


def test_it_is_written_down_before_it_is_done_so_that_a_killed_one_is_known_too(world: FakeWorld) -> None:
    world.fail("shell.run", Killed())

    with pytest.raises(Killed):
        run_argv(process(world), UPTIME, None, SOON, SSH)

    (deed,) = read_deeds(world.outside().ledger)
    assert deed.argv == UPTIME


def test_without_a_ledger_nothing_is_done_and_a_folder_is_offered(world: FakeWorld, tmp_path: Path) -> None:
    w = process(world)
    world.fail("ledger.write", LedgerDown("no route", next="rmu doctor"))

    with pytest.raises(LedgerDown, match="written down first, and the ledger does not answer: no route") as down:
        run_argv(w, UPTIME, None, SOON, SSH)
    assert "shell.run" not in world.faults.calls
    assert "--journal ./journal" in down.value.next

    in_folder = replace(w, outside=replace(w.outside, ledger=FileLedger(tmp_path)))
    run_argv(in_folder, UPTIME, "i-1", SOON, SSH)
    assert [d.outcome for d in read_deeds(FileLedger(tmp_path))] == ["i-1 exit 0"]


def test_an_end_that_cannot_be_kept_does_not_hide_what_the_command_said(world: FakeWorld) -> None:
    w = process(world)
    world.fail("ledger.write", LedgerDown("no route", next="rmu doctor"), nth=2)

    run_argv(w, UPTIME, "i-1", SOON, SSH)

    said = cast(QuietScreen, w.screen).said
    assert said[0].startswith("that it has ended could not be written down") and "up 3 days" in said[1]


def test_what_failed_is_kept_as_failed_and_an_exit_code_is_passed_on(world: FakeWorld) -> None:
    w = process(world)
    world.fail("shell.run", Unreachable("i-1 does not let us in over SSH: no route", next="rmu host list"))

    with pytest.raises(Unreachable):
        run_argv(w, UPTIME, "i-1", SOON, SSH)
    world.clock.sleep(1)
    with pytest.raises(typer.Exit) as ended:
        run_argv(w, ("missing",), "i-1", SOON, By("ssm", ""))

    assert ended.value.exit_code == 6
    assert [d.outcome for d in read_deeds(w.outside.ledger)] == [
        "i-1 does not let us in over SSH: no route",
        "i-1 exit 127",
    ]


def test_the_glass_is_broken_also_while_somebody_elses_run_holds_the_environment(world: FakeWorld) -> None:
    world.push("v41")
    world.push("v42")
    world.live("v41")
    world.kill_after_event(5)
    Operator(world).deploy("v42")
    w = process(world)

    run_argv(w, UPTIME, "i-1", SOON, SSH)

    assert [d.outcome for d in read_deeds(w.outside.ledger)] == ["i-1 exit 0"]


def test_what_was_done_is_told_newest_first(world: FakeWorld) -> None:
    w = process(world)
    run_argv(w, UPTIME, "i-1", SOON, By("ssm", "a look"))
    world.clock.sleep(60)
    run_argv(w, UPTIME, "i-2", SOON, SSH)

    show_deeds(w, 20)

    rows = [line for line in cast(QuietScreen, w.screen).said if "exec over" in line]
    assert ["exec over ssh uptime -p | i-2 exit 0" in rows[0], "exec over ssm uptime -p" in rows[1]] == [True, True]


def test_a_time_that_is_none_names_the_option_that_it_was_typed_for(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratemyunit_ops.cli.wire.wire", lambda env, **how: process(world))  # it would ask AWS

    with pytest.raises(Mistyped, match="“x” is no duration") as why:
        app(["exec", "--timeout", "x", "--", "uptime"], standalone_mode=False)

    assert why.value.next == "--timeout 5m   (30s, 5m, 2h or 7d)"
    assert Operator(world).deploy("v42", bake="x").failure.next == "--bake 5m   (30s, 5m, 2h or 7d)"


def test_a_console_without_a_terminal_is_refused_before_anything_is_kept(world: FakeWorld) -> None:
    w = process(world)

    with pytest.raises(Mistyped, match="wants a terminal"):
        open_console(w, "i-1", SSH)
    assert read_deeds(w.outside.ledger) == ()
