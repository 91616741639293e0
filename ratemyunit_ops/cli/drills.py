"""What `rmu dr` does: what can still be found out becomes a request, the plan is carried, and reported either way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import (
    Asked,
    agreed,
    has_typed,
    new_run_id,
    plan_begun,
    resume_checked,
    say_dry_run,
    session_of,
    show_rest,
)
from ratemyunit_ops.cli.files import make_folder
from ratemyunit_ops.cli.moves import own_dead_run
from ratemyunit_ops.cli.pages import write_pages
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import read_events
from ratemyunit_ops.errors import Absent, Mistyped, Refused, RmuError
from ratemyunit_ops.model import DatabaseView, Known, Release, RestoreWindow, RunHeader, World
from ratemyunit_ops.planning.common import need, restore_takes
from ratemyunit_ops.planning.drill import (
    DrillRequest,
    Leftover,
    Source,
    Standing,
    choose_release,
    choose_window,
    fences,
    leftovers,
    plan_drill,
    plan_end,
    schema_at,
    settings_from,
)
from ratemyunit_ops.planning.restore import read_time
from ratemyunit_ops.records import read_headers
from ratemyunit_ops.reports.drill import DrillReport, picture, report_drill
from ratemyunit_ops.reports.runs import nothing_known, report_run
from ratemyunit_ops.show.screen import in_words, on_both_clocks
from ratemyunit_ops.steps.base import Plan
from ratemyunit_ops.steps.drill import GOING, answers, status_of
from ratemyunit_ops.survey import survey

NEEDS = frozenset({"pointer", "releases", "instances", "windows", "live_notes", "schema_notes"})


@dataclass(frozen=True)
class Typed:
    """The arguments of a restore or a drill."""

    verb: Literal["dr restore", "dr drill"]
    to: str | None = None
    release: str | None = None
    database: str | None = None
    from_image: bool = False
    cut_over: bool = False
    folder: Path = Path("dr-reports")

    @property
    def words(self) -> str:
        """Spell what was typed: the same words again go on with a dead run."""
        more = (("release", self.release), ("database", self.database))
        flags = (("from-image", self.from_image), ("cut-over", self.cut_over))
        named = [f"{name} {value}" for name, value in more if value] + [name for name, on in flags if on]
        return " ".join([f"to {self.to}" if self.to else "latest", *named])


def restore_it(w: Wired, typed: Typed, asked: Asked) -> None:
    """Restore from backups beside what serves; go on with a dead run of the same command. Reports either way."""
    if typed.cut_over and w.journal is not None:
        raise Mistyped(
            "hosts boot from the ledger's table, so a cut-over must write there, not into a folder",
            next="rmu infra bootstrap   (it makes an empty table; then the same without --journal)",
        )
    if _resumed(w, typed.verb, typed.words, asked, typed.folder):
        return
    with w.screen.working("looking for backups, images, and what is left of the rest"):
        world = survey(w.outside, w.settings.environment, NEEDS)
        request = _request(w, world, typed)
        plan = plan_drill(world, request)
    _tell(w, request)
    _carry(w, plan, asked, typed.folder, word=w.settings.environment if typed.cut_over else "")


def end_it(w: Wired, run: str, asked: Asked) -> None:
    """Take away what a restore left standing in the corner."""
    if _resumed(w, "dr end", run, asked, None):
        return
    hosts = {h.run for h in w.outside.corner.hosts()}
    database = next((d.identifier for d in w.outside.databases.all() if d.made_by == run), None)
    if run not in hosts and database is None:
        raise Refused(f"nothing of run {run} stands in the corner", next="rmu history")
    # The world is asked, not the ledger: a table made anew, or a folder, knows of no database that serves.
    group = _corner_group(w)
    if database is not None and w.outside.databases.settings(database).security_groups != (group,):
        raise Refused(f"{database} stands in no corner: it serves, or did", next=f"rmu db forget {database}")
    world, left = survey(w.outside, w.settings.environment, ()), Leftover(run=run, database=database)
    plan = plan_end(world, run=new_run_id(), ended=left, corner_group=group, rmu_version=__version__)
    _carry(w, plan, asked, None)


def report_it(w: Wired, run: str | None, folder: Path) -> None:
    """Make the report of a run again, from its journal; the newest drill's where none is named."""
    verbs = {"dr drill", "dr restore"}
    newest = next((h.run for h in reversed(read_headers(w.outside.ledger)) if h.verb in verbs), None)
    name = run or newest
    if name is None:
        raise Refused("there was no drill here yet", next="rmu dr drill")
    report = _read_report(w, name)
    if report is None:
        raise Mistyped(f"{name} is no drill", next="rmu history")
    paths = write_report(report, folder)
    w.screen.result(_document(report, paths), _lines(report, paths))


def write_report(report: DrillReport, folder: Path) -> tuple[Path, Path]:
    """Write a report as HTML and as Markdown; answers both paths. Raises Mistyped."""
    return write_pages("drill", report.run, folder, {"r": report, "p": picture(report)})


def _resumed(w: Wired, verb: str, words: str, asked: Asked, folder: Path | None) -> bool:
    """Go on with the dead run that this very command began. Raises Busy for anybody else's."""
    run = own_dead_run(w, verb, words)
    if run is not None and asked.dry_run:
        show_rest(w, run)
    elif run is not None:
        _reports_go(folder)
        session = session_of(w, agreed(w, asked, f"resume {run}?"), step=asked.step)
        _finish(w, run, lambda: resume_checked(w, run, session), folder)
    return run is not None


def _request(w: Wired, world: World, typed: Typed) -> DrillRequest:
    """Find out what can be: whose backups, which release, which image. Raises Refused where nothing is there."""
    o, env = w.outside, w.settings.environment
    known = isinstance(world.pointer, Known) and w.journal is None
    pointer = need(world.pointer, "the live pointer") if known else None
    window = choose_window(world, typed.database, pointer=pointer)
    seen = _instance(w, window)
    # By AWS's clock, as far as it can be known: a laptop's that runs behind would call the last minutes the future.
    now = seen.asked if seen and seen.asked else max(world.at, window.latest)
    at = (read_time(typed.to, now) if typed.to else window.latest).replace(microsecond=0)
    group = _corner_group(w)
    named = pointer.database.identifier if pointer and pointer.database else ""
    names = {named, *_served_by_hosts(w, world), *([seen.identifier] if seen else [])} if typed.cut_over else set()
    others = {name: _standing(w, name) for name in sorted(names - {""})}
    readable = seen if _well(seen) else None
    dead = {name for name, standing in others.items() if standing.answers.no}
    alive = readable.place if readable and readable.identifier not in dead else None
    image = o.corner.newest_image() if typed.from_image else None
    if typed.from_image and image is None:
        raise Refused("there is no image of a host yet (one is made daily)", next="rmu dr drill   (boots the template)")
    runs = _headers(w)
    return DrillRequest(
        run=new_run_id(),
        verb=typed.verb,
        rmu_version=__version__,
        typed=typed.words,
        at=at,
        source=Source(
            window=window,
            alive=alive,
            settings=o.databases.settings(readable.identifier) if readable else settings_from(w.places, env),
            settings_known=readable is not None,
            schema_head=schema_at(world, window.identifier, at),
        ),
        release=choose_release(world, _releases(w, typed.release), asked=typed.release, at=at),
        corner_group=group,
        image=image.id if image else None,
        cut_over=typed.cut_over,
        others=others,
        expects_database=named or w.places.get("database", ""),
        ready_deadline=w.settings.env.ready_deadline,
        expires=o.identity.expires(),
        takes=restore_takes(runs),
        leftovers=leftovers(world, o.corner.hosts(), o.databases.all(), {h.run: (h.verb, h.outcome) for h in runs}),
    )


def _standing(w: Wired, name: str) -> Standing:
    """Look at an instance that another one is to take the place of: how it is, whether it answers, whom it admits."""
    o, status = w.outside, status_of(w.outside, name)
    if status in GOING:
        return Standing(status=status)
    return Standing(status=status, answers=answers(o, name), admits=o.databases.settings(name).security_groups)


def _corner_group(w: Wired) -> str:
    group = w.places.get("drill_db_security_group", "")
    if not group:
        raise Refused("the stack is older than drills are: it has no corner", next="rmu infra apply")
    return group


def _instance(w: Wired, window: RestoreWindow) -> DatabaseView | None:
    """Find the instance whose history a window is; another one of its name is not it."""
    try:
        seen = w.outside.databases.view(window.identifier)
    except Absent:
        return None
    return seen if seen.resource_id == window.resource_id else None


def _served_by_hosts(w: Wired, world: World) -> set[str]:
    """Name the databases that hosts in service use, whatever a ledger says. Raises Unreachable where one is mute."""
    if not any(i.state == "InService" for i in need(world.instances, "the list of hosts")):
        return set()
    slots = [h.slots[h.live_slot] for h in w.outside.fleet.survey() if h.live_slot]
    return {slot.database for slot in slots if slot.database}


def _well(seen: DatabaseView | None) -> TypeGuard[DatabaseView]:
    """Tell whether an instance can be asked what it holds."""
    return seen is not None and seen.status == "available"


def _releases(w: Wired, asked: str | None) -> tuple[Release, ...]:
    """Make a release of an image, for the day when no record is left: the newest one that is kept from expiry."""
    version = asked or _newest_version(w)
    image = w.outside.registry.image(version) if version else None  # a listing knows no labels
    if version is None or image is None or not image.active:
        return ()
    return (
        Release(
            version=version,
            digest=image.digest,
            image=w.places.get("repository", ""),
            config=dict(w.settings.env.app),
            secrets=w.outside.secrets.names(),
            schema_head=image.schema_head,
            schema_oldest=image.schema_oldest,
            schema_admits=image.schema_admits,
            created=w.outside.clock.now(),
            run="unknown",
        ),
    )


def _newest_version(w: Wired) -> str | None:
    """Name the newest image that a release kept from expiry, else the newest there is."""
    images = [i for i in w.outside.registry.images() if i.active and any(not _keeps(tag) for tag in i.tags)]
    kept = [i for i in images if any(_keeps(tag) for tag in i.tags)]
    return next((tag for image in (kept or images)[:1] for tag in image.tags if not _keeps(tag)), None)


def _keeps(tag: str) -> bool:
    return tag.startswith("keep-")


def _headers(w: Wired) -> tuple[RunHeader, ...]:
    """List every run; none where the ledger is gone."""
    with suppress(RmuError):
        return read_headers(w.outside.ledger)
    return ()


def _tell(w: Wired, request: DrillRequest) -> None:
    """Say what was understood."""
    window = request.source.window
    dead = "it does not answer" if window.source == "instance" else "it is gone: from its retained backups"
    w.screen.note(f"source: {window.identifier} ({'it lives' if request.source.alive else dead})")
    for fence in fences(request):
        w.screen.note(
            f"{fence.identifier} does not answer: it is fenced from outside before another one serves, and kept"
        )
    w.screen.note(f"restore point: {on_both_clocks(request.at)}")
    w.screen.note(f"{request.release.version} will run on it, on a host from {request.image or 'the launch template'}")
    if w.journal is not None:
        w.screen.note(f"journal: {w.journal}   (for resume, show, history: export RMU_JOURNAL={w.journal})")
    for left in request.leftovers:
        w.screen.note(f"leftover of {left.run}, taken away first: {left.database or 'its host'}")


def _carry(w: Wired, plan: Plan, asked: Asked, folder: Path | None, *, word: str = "") -> None:
    """Show the plan and carry it once it was agreed to; `word`, if any, has to be typed whatever settings want."""
    w.screen.plan(plan)
    if asked.dry_run:
        say_dry_run(w, plan, plan.titles())
        return
    _reports_go(folder)
    asked = has_typed(w, word, asked)
    session = session_of(w, agreed(w, asked, f"{plan.verb} on {plan.environment}?"), step=asked.step)
    _finish(w, plan.run, lambda: runs.execute(w.outside, plan, session), folder)


def _reports_go(folder: Path | None) -> None:
    """See before a drill begins that its report can be written at its end. Raises Mistyped."""
    if folder is not None:
        make_folder(folder)


def _finish(w: Wired, run: str, act: Callable[[], None], folder: Path | None) -> None:
    """Do the work, and write and show the report, however it ended."""
    failed: RmuError | None = None
    try:
        act()
    except RmuError as why:
        failed = why
    report = _report(w, run)
    paths = _written(w, report, folder) if report and folder else ()
    document = _document(report, paths) if report else _bare(w, run, "dr drill" if folder else "dr end")
    if failed is not None:
        w.screen.failure(failed, document)
        raise typer.Exit(failed.exit_code) from failed
    w.screen.result(document, _lines(report, paths) if report else [f"Done. Run {run}."])


def _written(w: Wired, report: DrillReport, folder: Path) -> tuple[Path, ...]:
    """Write the report of a run that has ended; one that cannot be written hides nothing of how it ended."""
    try:
        return write_report(report, folder)
    except Mistyped as why:
        w.screen.note(f"{why.what}   (the report again: rmu dr report {report.run} --dir FOLDER)")
        return ()


def _bare(w: Wired, run: str, verb: str) -> dict[str, Any]:
    """Make the document of a run that has no report."""
    known = {**nothing_known(verb), "run": run, "outcome": "half_way"}
    with suppress(RmuError, IndexError):
        known["outcome"] = report_run(w.outside.ledger, run).outcome
    return known


def _report(w: Wired, run: str) -> DrillReport | None:
    """Read a run's report; None where it is no drill, never began, or cannot be read now or by this version."""
    with suppress(RmuError):
        return _read_report(w, run)
    return None


def _read_report(w: Wired, run: str) -> DrillReport | None:
    """Read a run's report; None where it is no drill. Raises Refused where this version of rmu cannot read it."""
    events = read_events(w.outside.ledger, run)
    titles = [s.title() for s in plan_begun(run, events).steps] if events else []
    return report_drill(w.outside.ledger, run, titles)


def _document(report: DrillReport, paths: tuple[Path, ...]) -> dict[str, Any]:
    return {
        "run": report.run,
        "outcome": report.outcome,
        "rto_seconds": report.rto_seconds,
        "rpo_seconds": report.rpo_seconds,
        "verified": report.verified,
        "why": report.verified_why,
        "report": str(paths[0].resolve()) if paths else None,
        "restore_point": report.restored_to.isoformat(),
        "instance": report.database,
        "release": report.release,
        "tables": {t["table"]: {"rows": t["rows"], "checksum": t["checksum"]} for t in report.tables},
        "torn_down": report.torn_down,
        "dollars": report.dollars if report.priced else None,
        "seconds": report.seconds,
    }


def _lines(report: DrillReport, paths: tuple[Path, ...]) -> list[str]:
    rto = in_words(report.rto_seconds) if report.rto_seconds is not None else "never"
    stands = [] if report.torn_down or report.outcome != "done" else [f"  stands     {report.database}"]
    return [
        f"verified: {report.verified} ({report.verified_why})",
        f"  RTO        {rto}",
        f"  RPO        {in_words(report.rpo_seconds)}",
        f"  cost       {'' if report.priced else 'at least '}${report.dollars:.4f} at list prices",
        *stands,
        *[f"  report     {path}" for path in paths],
    ]
