"""What `rmu migrate plan`, `up`, `checklist` and `rehearse` do."""

from __future__ import annotations

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, carry_out, new_run_id
from ratemyunit_ops.cli.linting import MIGRATIONS, checkout, find, lint_files, look_live
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import Refused, RmuError
from ratemyunit_ops.model import DatabaseView, ImageView, Known, MigrationsView, SchemaNote, World
from ratemyunit_ops.outside.podman import newest_revision
from ratemyunit_ops.planning.common import database_of, live_release, need, restore_takes, schema_of
from ratemyunit_ops.planning.deploy import DeployRequest, fit_image, nothing_pending
from ratemyunit_ops.planning.migrate import (
    plan_contract,
    plan_expand,
    plan_questions,
    plan_rehearse,
)
from ratemyunit_ops.records import read_headers, read_pointer
from ratemyunit_ops.reports.lint.judging import unsafe
from ratemyunit_ops.reports.migrations import (
    ChecklistLine,
    MigrationsReport,
    checklist,
    newest_rehearsal,
    report_migrations,
)
from ratemyunit_ops.survey import DEPLOY, survey

NOTHING: dict[str, object] = {"run": None, "outcome": "done", "ran": []}
YES_NO = {True: "yes", False: "no"}


def show_plan(w: Wired, version: str | None) -> None:
    """Show what a version's migrations are and who can run on the result."""
    world, request = _look(w, version)
    image, now = fit_image(world, request), schema_of(world, database_of(world))
    if now is None:
        raise Refused("nothing was deployed here yet: the first deploy makes the schema", next="rmu deploy VERSION")
    seen = _asked_of_the_database(w, world, request.version)
    if seen is not None:
        now = now.model_copy(update={"head": seen.current})
        titles = {p.revision: p for p in seen.pending}
        revisions = tuple(titles.get(r.revision, r) for r in image.revisions)
        image = image.model_copy(update={"revisions": revisions})
    live = live_release(world)
    releases = need(world.releases, "the list of releases")
    report = report_migrations(request.version, image, now, releases, live.version if live else None)
    _show(w, report, seen is not None)


def run_up(w: Wired, version: str | None, *, contract: bool, asked: Asked) -> None:
    """Run a version's expand revisions now, or its contract ones too."""
    verb = "migrate up --contract" if contract else "migrate up"
    if resumed_own_dead_run(w, verb, version or _live(w), asked):
        return
    world, request = _look(w, version)
    plan = (plan_contract if contract else plan_expand)(world, request)
    if nothing_pending(world, request, contract=contract):
        w.screen.result(NOTHING, [f"The schema has all that {request.version} brings; nothing to do."])
        return
    carry_out(w, plan, asked)


def run_rehearse(w: Wired, version: str, asked: Asked) -> None:
    """Rehearse a version's migrations on a restored copy, and say how long they took."""
    if resumed_own_dead_run(w, "migrate rehearse", version, asked):
        return
    world, request = _look(w, version, more=frozenset({"windows", "settings"}))
    expires, takes = w.outside.identity.expires(), restore_takes(read_headers(w.outside.ledger))
    carry_out(w, plan_rehearse(world, request, expires=expires, takes=takes), asked)
    seen = newest_rehearsal(w.outside.ledger, version)
    if seen is not None and seen.run == request.run:
        took = f"{seen.took_s:.1f} s" if seen.took_s is not None else "not measured"
        w.screen.note(f"migrations of {version} on the copy: {took}; the release that serves works on the result")
        if seen.contract_s is not None:
            w.screen.note(f"its contract revisions after them: {seen.contract_s:.1f} s; {version} works on the result")


def run_checklist(w: Wired, version: str, asked: Asked) -> None:
    """Print the checklist with what was looked up for each line; then ask what only a person knows.

    Exit 3 while a line fails.
    """
    if resumed_own_dead_run(w, "migrate checklist", version, asked):
        return
    world, request = _look(w, version)
    lines = _lines(w, world, request)
    _print(w, version, lines)
    told = [line.model_dump() for line in lines]
    failing = next((line for line in lines if line.verdict == "fails"), None)
    if failing is not None:
        why = Refused(f"{failing.line}: {failing.seen}", next=failing.mend)
        w.screen.failure(why, {"version": version, "lines": told})
        raise typer.Exit(why.exit_code)
    questions = tuple(f"{line.line} ({line.seen})?" for line in lines if line.verdict == "ask")
    seen = {line.line: line.seen for line in lines if line.verdict == "ok"}
    carry_out(w.vouching(asked.yes), plan_questions(world, request, seen, questions, told), asked)


def _look(w: Wired, version: str | None, more: frozenset[str] = frozenset()) -> tuple[World, DeployRequest]:
    """Survey what a migration needs, and make the request of a version; the live one where none is named."""
    named = version or _live(w)
    with w.screen.working("looking at hosts, registry and ledger"):
        world = survey(w.outside, w.settings.environment, DEPLOY | more, version=named)
    env = w.settings.env
    request = DeployRequest(
        run=new_run_id(),
        version=named,
        rmu_version=__version__,
        repository=w.places.get("repository", ""),
        allow_critical=named in env.allow_critical_findings,
        config=dict(env.app),
        secrets=w.outside.secrets.names(),
    )
    return world, request


def _live(w: Wired) -> str:
    live = read_pointer(w.outside.ledger).release
    if live is None:
        raise Refused("nothing is live, so a version has to be named", next="rmu image list")
    return live


def _asked_of_the_database(w: Wired, world: World, version: str) -> MigrationsView | None:
    """Ask the database through the version's image, where a host holds it; else the records have to do."""
    record = next((r for r in need(world.releases, "the list of releases") if r.version == version), None)
    hosts = world.hosts.value if isinstance(world.hosts, Known) else ()
    if record is None or not hosts or not all(h.holding(record.ref) for h in hosts):
        return None
    try:
        return w.outside.oneoff.pending(record.ref)
    except RmuError as why:
        w.screen.note(f"the database could not be asked ({why.what.splitlines()[0]}); this is what the records say")
        return None


def _show(w: Wired, report: MigrationsReport, asked: bool) -> None:
    if w.screen.as_json:
        w.screen.result(report.model_dump(mode="json"))
        return
    source = "asked just now" if asked else "by the records"
    w.screen.result(
        {},
        [
            f"{report.database} has schema {report.current} ({source}); {report.version} is written for {report.head}"
            + (f", with contract revisions up to {report.tip}" if report.tip != report.head else "")
        ],
    )
    w.screen.table(
        "pending" if report.pending else "nothing is pending",
        ("revision", "phase", "needs code", "what"),
        [(p.revision, p.phase, f"{p.oldest_code} or newer", p.title) for p in report.pending],
    )
    w.screen.table(
        "who can run",
        ("release", "code", "now", "after expand", "after contract"),
        [
            (
                f"{c.release}{' (serves)' if c.serves else ''}",
                c.code,
                *(YES_NO[can] for can in (c.now, c.after_expand, c.after_contract)),
            )
            for c in report.can_run
        ],
    )


def _lines(w: Wired, world: World, request: DeployRequest) -> tuple[ChecklistLine, ...]:
    live, schema = live_release(world), schema_of(world, database_of(world))
    if live is None or schema is None:
        raise Refused("nothing is live, so no migration can hurt it", next=f"rmu deploy {request.version}")
    database: DatabaseView | str = world.database.value if isinstance(world.database, Known) else world.database.why
    env = w.settings.env
    lines = checklist(
        now=w.outside.clock.now(),
        image=fit_image(world, request),
        schema=schema,
        live=live,
        rehearsal=newest_rehearsal(w.outside.ledger, request.version),
        runs=read_headers(w.outside.ledger),
        database=database,
        lint=_lint(w, request.version, fit_image(world, request), schema),
        dashboard=env.dashboard or DASHBOARD.format(region=env.region),
    )
    named = {line: line.mend.replace("VERSION", request.version) for line in lines}
    return tuple(line.model_copy(update={"mend": mend}) for line, mend in named.items())


DASHBOARD = "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#home:dashboards/RDS"
"""CloudWatch's own dashboard of a service; `dashboard` in rmu.toml names a better one."""


def _lint(w: Wired, version: str, image: ImageView, schema: SchemaNote) -> tuple[bool, str, str]:
    """Judge the checked-out migrations, where they are the image's; a linter that is missing is no clean bill.

    Answers whether they are safe, what was seen, and what mends it.
    """
    root = checkout(w.settings.environment)
    again = f"rmu migrate lint --env {w.settings.environment}"
    try:
        files = find([root / MIGRATIONS])
        newest = newest_revision(root / "app")
        if newest != image.tip:
            read = f"{root / MIGRATIONS} was read, which ends with {newest}; {version} ends with {image.tip}"
            return False, read, f"check out the tree that {version} was built of, then the same again"
        rows, head = look_live(w)
        findings = lint_files(files, root=root, rows=rows, applied=head or schema.head)
    except RmuError as why:
        return False, why.what.splitlines()[0], again
    worst = [f for f in findings if f.severity == "error"]
    found = f"{worst[0].file}:{worst[0].line} {worst[0].rule}" if worst else "none unsafe"
    return not unsafe(findings), f"{len(files)} revisions read, up to {newest}, {found}", again


def _print(w: Wired, version: str, lines: tuple[ChecklistLine, ...]) -> None:
    if w.screen.as_json:
        for line in lines:
            w.screen.note(f"{line.verdict}: {line.line}: {line.seen}")
        return
    marks = {"ok": "✓", "fails": "✗", "ask": "?"}
    rows = [(marks[line.verdict], line.line, line.seen, line.mend) for line in lines]
    w.screen.table(f"before migrating to {version}", ("", "line", "seen just now", "mend"), rows)
