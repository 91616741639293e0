"""What `rmu db` does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, carry_out, new_run_id, plan_begun, say_adoption
from ratemyunit_ops.cli.files import make_folder, write
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine.journal import read_events
from ratemyunit_ops.errors import HalfWay, Mistyped, Refused
from ratemyunit_ops.model import Known, World
from ratemyunit_ops.planning.common import restore_takes
from ratemyunit_ops.planning.restore import (
    Aim,
    Before,
    RestoreRequest,
    aim,
    plan_restore,
    possible_from,
    read_time,
)
from ratemyunit_ops.planning.salvage import ForgetRequest, SalvageRequest, plan_forget, plan_salvage, words_of
from ratemyunit_ops.records import read_headers, read_salvage
from ratemyunit_ops.show.screen import on_both_clocks
from ratemyunit_ops.steps.base import Plan
from ratemyunit_ops.survey import RESTORE, SALVAGE, point_before, survey, survey_since


@dataclass(frozen=True)
class Moment:
    """The moment an operator typed; one of the three."""

    to: str | None = None
    before: str | None = None
    latest: bool = False

    @property
    def words(self) -> str:
        """Spell it as typed: the same words again go on with a dead run."""
        return f"to {self.to}" if self.to else f"before {self.before}" if self.before else "latest"


def restore_it(w: Wired, moment: Moment, asked: Asked) -> None:
    """Find the point, say what would be left behind, and carry the restore once the environment was typed."""
    if sum(map(bool, (moment.to, moment.before, moment.latest))) != 1:
        raise Mistyped(
            "a restore wants one moment", next="rmu db restore --to '12m ago'   (or --before RUN, or --latest)"
        )
    if resumed_own_dead_run(w, "db restore", moment.words, asked):
        say_adoption(w)
        return
    with w.screen.working("looking at ledger, hosts and database"):
        world = survey(w.outside, w.settings.environment, RESTORE)
        request = _request(w, world, moment)
        goal = aim(world, request)
        world = survey_since(w.outside, world, goal.point, goal.release.version)
    plan = plan_restore(world, request, goal)
    _tell(w, world, goal, plan)
    carry_out(w, plan, asked, typed=w.settings.environment)
    say_adoption(w)


def salvage_it(w: Wired, run: str, *, folder: Path, apply: bool, asked: Asked) -> None:
    """Find what a restore left behind, write it into a folder, and with `apply` give it back. Raises Mistyped."""
    make_folder(folder)
    if resumed_own_dead_run(w, "db salvage", words_of(run, apply=apply), asked):
        if not asked.dry_run:
            _write(w, run, folder)
        return
    world = survey(w.outside, w.settings.environment, SALVAGE)
    request = SalvageRequest(run=new_run_id(), rmu_version=__version__, restore=_plan_of(w, run), apply=apply)
    plan = plan_salvage(world, request)
    carry_out(w, plan, asked, then=lambda: _write(w, run, folder))


def forget_it(w: Wired, name: str, asked: Asked) -> None:
    """Let a superseded instance go once its name was typed; `--yes` stands for that where all its rows are back."""
    if resumed_own_dead_run(w, "db forget", name, asked):
        return
    world = survey(w.outside, w.settings.environment, SALVAGE)
    held = w.places.get("database", "")
    plan = plan_forget(world, ForgetRequest(run=new_run_id(), rmu_version=__version__, identifier=name, held=held))
    lost = _not_back(w, world, name)
    w.screen.note(lost.what if lost else f"what {name} held beyond its successor was given back")
    carry_out(w, plan, asked, typed=name, untyped=lost)


def _request(w: Wired, world: World, moment: Moment) -> RestoreRequest:
    seen = world.database.value if isinstance(world.database, Known) else None
    # By AWS's clock where it tells the time: a laptop's that runs behind would call the last minutes the future.
    now = seen.asked if seen and seen.asked else world.at
    return RestoreRequest(
        run=new_run_id(),
        rmu_version=__version__,
        words=moment.words,
        at=read_time(moment.to, now) if moment.to else None,
        before=_before(w, moment.before) if moment.before else None,
        ready_deadline=w.settings.env.ready_deadline,
        expires=w.outside.identity.expires(),
        takes=restore_takes(read_headers(w.outside.ledger)),
    )


def _before(w: Wired, run: str) -> Before:
    noted = point_before(w.outside, run)
    if noted is None:
        raise Refused(f"there is no run {run} that noted a restore point", next="rmu history")
    return Before(run=run, point=noted[0], live=noted[1])


def _tell(w: Wired, world: World, goal: Aim, plan: Plan) -> None:
    """Say what was understood: when, which release, and what stays behind."""
    at, told = goal.point.at, plan.request["told"]
    w.screen.note(f"restore point: {on_both_clocks(at)}")
    w.screen.note(f"{goal.release.version} will run on it (schema {goal.head or goal.release.schema_head})")
    window = next(v for v in getattr(world.windows, "value", ()) if v.resource_id == goal.point.resource_id)
    when = possible_from(window, at, world.at)
    if when is not None:
        w.screen.note(f"possible from {when:%H:%M} UTC, in {_minutes(world.at, when)} min")
    w.screen.note(_left(told["left_behind"], plan.run))


def _left(behind: dict[str, int] | None, run: str) -> str:
    """Say what stays behind, and what is not counted in it."""
    if behind is None:
        return f"left behind: unknown, the database does not date its rows; rmu db salvage {run} will find them"
    if not behind:
        return "left behind: no row was written since (deletes are not counted)"
    rows = ", ".join(f"{table} {number}" for table, number in behind.items())
    return (
        f"left behind, rows written since (deletes not counted): {rows}; they can be given back: rmu db salvage {run}"
    )


def _minutes(now: datetime, when: datetime) -> int:
    return -(-int((when - now).total_seconds()) // 60)


def _plan_of(w: Wired, run: str) -> Plan:
    events = read_events(w.outside.ledger, run)
    if not events:
        raise Refused(f"there is no run {run}", next="rmu history")
    return plan_begun(run, events)


def _write(w: Wired, run: str, folder: Path) -> None:
    """Write the files of a salvage that is done. Raises HalfWay where the folder does not take them."""
    try:
        for name, text in sorted(w.outside.data.files(run).items()):
            write(folder / Path(name).name, text)
    except Mistyped as why:
        raise HalfWay(
            why.what,
            state=f"The salvage of {run} is done; not all of its files are in {folder}.",
            next=f"rmu db salvage {run} --dir FOLDER   (it is safe to repeat)",
        ) from why


def _not_back(w: Wired, world: World, name: str) -> Refused | None:
    """Tell what an instance held that is nowhere else, and what to type; None where all of it was given back."""
    notes = world.database_notes.value if isinstance(world.database_notes, Known) else ()
    run = next((n.superseded_by for n in notes if n.identifier == name), None) or "RUN"
    salvage = read_salvage(w.outside.ledger, run)
    typed = f"on a terminal, and type {name} where it asks"
    if salvage is None or (salvage.found.tables and not salvage.applied):
        unsaid = f"what {name} holds beyond its successor was not given back"
        return Refused(unsaid, next=f"rmu db salvage {run} --apply   (or rmu db forget {name} {typed})")
    undecided = sum(c.rows for c in salvage.found.conflicts_by)
    if undecided == 0:
        return None
    place = f"s3://{w.places.get('bucket', 'BUCKET')}/salvage/{run}/conflicts.json"
    return Refused(
        f"{undecided} rows of {name} are conflicts that nobody decided: {place}",
        next=f"rmu db forget {name}   ({typed}; once they are mended by hand: rmu db salvage {run} --apply)",
    )
