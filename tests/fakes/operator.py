"""A person at a keyboard: types the product's own commands into the fake world, each in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import typer

from ratemyunit_ops.cli import carrying, drills, looking, machines, migrating, moves, restoring, runbooks, secrets
from ratemyunit_ops.cli.moves import Asked
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import Event, event_key, read_events
from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import Facts
from ratemyunit_ops.settings import Environment, Settings
from ratemyunit_ops.show.screen import Screen
from ratemyunit_ops.steps.base import Plan
from tests.fakes.line import Killed
from tests.fakes.places import ACCOUNT, FakeIdentity
from tests.fakes.world import FakeWorld

KILLED = 137


@dataclass
class QuietScreen:
    """A screen nobody looks at; it keeps what was said."""

    said: list[str] = field(default_factory=list)
    failed: RmuError | None = None
    document: dict[str, Any] | None = None
    planned: Plan | None = None
    interrupted: Callable[[], bool] = lambda: False
    answer: Callable[[str], bool] = lambda question: True
    types: str = ""
    as_json: bool = False
    may_ask: bool = True

    def frame(self, environment: str, account: str, front_door: str) -> None: ...

    def end(self) -> None: ...

    def plan(self, plan: Plan) -> None:
        self.planned = plan

    def steps(self, heading: str, steps: Sequence[tuple[int, str]]) -> None:
        self.said += [heading, *(f"{n} {title}" for n, title in steps)]

    def event(self, plan: Plan, kind: str, step: int | None, facts: Facts, seconds: float | None) -> None: ...

    def note(self, text: str) -> None:
        self.said.append(text)

    def confirm(self, question: str) -> bool:
        return self.answer(question)

    def ask(self, question: str) -> str:
        self.said.append(question)
        return self.types

    def waiting(self, text: str, left: float) -> None: ...

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        yield

    def result(self, document: dict[str, Any], lines: Sequence[str] = ()) -> None:
        self.document = document
        self.said += lines

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.said += [title, *(" | ".join(row) for row in rows)]

    def failure(self, why: RmuError, document: dict[str, Any] | None = None) -> None:
        self.failed, self.document = why, document


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    screen: QuietScreen

    @property
    def why(self) -> str:
        return self.screen.failed.what if self.screen.failed else ""

    @property
    def failure(self) -> RmuError:
        assert self.screen.failed is not None, "the command did not fail"
        return self.screen.failed


class Operator:
    """Types commands, and may press Ctrl-C from a moment on. A killed command answers 137; its process is gone."""

    def __init__(
        self,
        world: FakeWorld,
        who: str = "ann@laptop",
        *,
        interrupted: Callable[[], bool] = lambda: False,
        answer: Callable[[str], bool] = lambda question: True,
        types: str = "",
        credentials_end: datetime | None = None,
        settings: Settings | None = None,
        silent: RmuError | None = None,
    ) -> None:
        self.world = world
        self._types = types
        self._credentials_end = credentials_end
        self._settings = settings or SETTINGS
        self._silent = silent
        self.who = who
        self.identity = who
        self._interrupted = interrupted
        self._answer = answer

    def status(self) -> Ended:
        return self._type(looking.show_status)

    def deploy(
        self, version: str, *, bake: str = "12s", base: str | None = None, dry_run: bool = False, step: bool = False
    ) -> Ended:
        asked = Asked(because="a test", dry_run=dry_run, yes=True, step=step)
        return self._type(lambda w: moves.deploy_it(w, version, bake=bake, base=base, probe=True, asked=asked))

    def rollback(self, version: str | None = None, *, dry_run: bool = False) -> Ended:
        asked = Asked(because="a test", dry_run=dry_run, yes=True)
        return self._type(lambda w: moves.roll_back(w, version, asked=asked))

    def reboot(self, host: str) -> Ended:
        return self._type(lambda w: machines.reboot_it(w, host, Asked(because="a test", dry_run=False, yes=True)))

    def replace(self, host: str) -> Ended:
        return self._type(lambda w: machines.replace_it(w, host, Asked(because="a test", dry_run=False, yes=True)))

    def runbook(
        self,
        name: str,
        remedy: str | None = None,
        *,
        inputs: Sequence[str] = (),
        yes: bool = True,
        dry_run: bool = False,
    ) -> Ended:
        wanted = runbooks.Wanted(name=name, remedy=remedy, inputs=tuple(inputs))
        asked = Asked(because="a test", dry_run=dry_run, yes=yes)
        return self._type(lambda w: runbooks.carry_runbook(w, runbooks.named(name), wanted, asked))

    def prune(self) -> Ended:
        return self._type(lambda w: machines.prune_hosts(w, Asked(because="a test", dry_run=False, yes=True)))

    def renew(self, secret: str | None = None) -> Ended:
        return self._type(lambda w: secrets.renew_it(w, secret, Asked(because="a test", dry_run=False, yes=True)))

    def secrets(self) -> Ended:
        return self._type(secrets.show_secrets)

    def restore(
        self,
        *,
        to: str | None = None,
        before: str | None = None,
        latest: bool = False,
        yes: bool = True,
        dry_run: bool = False,
        step: bool = False,
    ) -> Ended:
        asked = Asked(because="a test", dry_run=dry_run, yes=yes, step=step)
        moment = restoring.Moment(to=to, before=before, latest=latest)
        return self._type(lambda w: restoring.restore_it(w, moment, asked))

    def salvage(self, run: str, folder: Path | None = None, *, apply: bool = True, dry_run: bool = False) -> Ended:
        asked = Asked(because="a test", dry_run=dry_run, yes=True)
        with TemporaryDirectory() as somewhere:
            into = folder or Path(somewhere)
            return self._type(lambda w: restoring.salvage_it(w, run, folder=into, apply=apply, asked=asked))

    def forget(self, name: str, *, yes: bool = True, types: str = "") -> Ended:
        self._types = types or self._types
        return self._type(lambda w: restoring.forget_it(w, name, Asked(because="a test", dry_run=False, yes=yes)))

    def drill(
        self,
        folder: Path,
        *,
        verb: Literal["dr drill", "dr restore"] = "dr drill",
        dry_run: bool = False,
        **typed: Any,
    ) -> Ended:
        words = drills.Typed(verb, folder=folder, **typed)
        return self._type(lambda w: drills.restore_it(w, words, Asked(because="a test", dry_run=dry_run, yes=True)))

    def end_drill(self, run: str) -> Ended:
        return self._type(lambda w: drills.end_it(w, run, Asked(because="a test", dry_run=False, yes=True)))

    def report_drill(self, folder: Path, run: str | None = None) -> Ended:
        return self._type(lambda w: drills.report_it(w, run, folder))

    def migrate_up(self, version: str | None = None, *, contract: bool = False) -> Ended:
        asked = Asked(because="a test", dry_run=False, yes=True)
        return self._type(lambda w: migrating.run_up(w, version, contract=contract, asked=asked))

    def migrate_plan(self, version: str | None = None) -> Ended:
        return self._type(lambda w: migrating.show_plan(w, version))

    def rehearse(self, version: str) -> Ended:
        asked = Asked(because="a test", dry_run=False, yes=True)
        return self._type(lambda w: migrating.run_rehearse(w, version, asked))

    def checklist(self, version: str, *, yes: bool = False) -> Ended:
        asked = Asked(because="a test", dry_run=False, yes=yes)
        return self._type(lambda w: migrating.run_checklist(w, version, asked))

    def resume(self, run: str | None = None) -> Ended:
        asked = Asked(because="a test", dry_run=False, yes=True)
        return self._type(lambda w: carrying.resume_it(w, run or w.open_run(), asked))

    def abandon(self, run: str | None = None) -> Ended:
        def act(w: Wired) -> None:
            name = run or w.open_run()
            session = carrying.session_of(w, "a test")
            carrying.finish(w, name, lambda: runs.abandon(w.outside, name, session), undone_is_success=True)

        return self._type(act)

    def _type(self, command: Callable[[Wired], None]) -> Ended:
        screen = QuietScreen(interrupted=self._interrupted, answer=self._answer, types=self._types)
        identity = FakeIdentity(self.identity, self._credentials_end, self._silent)
        w = Wired(
            outside=replace(self.world.outside(self.who), identity=identity),
            settings=self._settings,
            screen=cast(Screen, screen),
            who=self.who,
        )
        try:
            command(w)
        except typer.Exit as ended:
            return Ended(ended.exit_code, screen)
        except RmuError as why:
            screen.failed = why
            return Ended(why.exit_code, screen)
        except Killed:
            return Ended(KILLED, screen)
        return Ended(0, screen)


SETTINGS = Settings(
    project="ratemyunit",
    environment="test",
    picked_by_default=False,
    env=Environment(
        region="eu-central-1",
        account=ACCOUNT,
        front_door="http://front.example",
        ready_deadline=timedelta(seconds=30),
    ),
    path=Path("rmu.toml"),
)


def journal(world: FakeWorld, run: str = "r-001") -> list[Event]:
    """Read a run's events, as anybody may."""
    return read_events(world.outside().ledger, run)


def story(world: FakeWorld, run: str = "r-001") -> list[str]:
    """Tell a run's events as words: `started serve`, `closed done`."""
    events = journal(world, run)
    kinds = [s["kind"] for s in events[0].facts["plan"]["steps"]]
    return [f"{e.kind} {kinds[e.step] if e.step is not None else e.facts.get('outcome', '')}".strip() for e in events]


def make_unreadable(world: FakeWorld, run: str = "r-001") -> None:
    """Let a run have been begun by a later rmu, with a step this one does not know."""
    item = world.table.items[(f"run#{run}", event_key(0))]
    body = json.loads(str(item["body"]))
    body["facts"]["plan"]["steps"][-1]["kind"] = "shift_by_weight"
    item["body"] = json.dumps(body)


def outcome(world: FakeWorld, run: str = "r-001") -> str | None:
    """Read how a run ended; None while it is open."""
    body = json.loads(str(world.table.items[("run", run)]["body"]))
    return cast("str | None", body["outcome"])
