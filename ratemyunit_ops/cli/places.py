"""What `rmu infra` does."""

from __future__ import annotations

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, agreed, carry_out, finish, new_run_id, session_of
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import read_events
from ratemyunit_ops.engine.lease import acquire, busy
from ratemyunit_ops.errors import Absent, Refused
from ratemyunit_ops.model import PlanSummary, Pointer
from ratemyunit_ops.planning.infra import SECRETS, InfraRequest, database_identifier, plan_apply
from ratemyunit_ops.records import pointer_entry, read_pointer
from ratemyunit_ops.survey import survey


def bootstrap_it(w: Wired, *, yes: bool) -> None:
    """Apply the bootstrap root, then make the secrets that are missing."""
    agreed(w, Asked("bootstrap", False, yes), f"bootstrap {w.settings.environment}?")
    with w.screen.working("terraform apply bootstrap"):
        done = w.outside.infra.apply("bootstrap", w.names(), lambda n, a, s: w.screen.detail(f"{n}: {a}"))
    made = w.outside.secrets.ensure(SECRETS)
    document = {"created": done.create, "secrets": made}
    w.screen.result(document, [f"{len(done.create)} places made, {len(made)} secrets made"])


def show_plan(w: Wired) -> None:
    """Show Terraform's plan."""
    summary = _summary(w)
    w.screen.result(summary.model_dump(), _lines(summary))


def show_drift(w: Wired) -> None:
    """Show Terraform's plan and fail when it is not empty."""
    summary = _summary(w)
    w.screen.result({"drift": not summary.empty, **summary.model_dump()}, _lines(summary))
    if not summary.empty:
        raise typer.Exit(3)


def apply_it(w: Wired, asked: Asked) -> None:
    """Plan an apply and carry it; go on with a dead apply."""
    seen = runs.unfinished(w.outside)
    if seen is not None:
        if read_events(w.outside.ledger, seen.run)[0].facts["plan"]["verb"] != "infra apply":
            raise busy(seen)
        w.screen.note(f"run {seen.run} was begun by this same command: going on with it")
        if asked.dry_run:
            return
        session = session_of(w, agreed(w, asked, f"resume {seen.run}?"))
        finish(w, seen.run, lambda: runs.resume(w.outside, seen.run, session))
        return
    summary = _summary(w)
    for line in _lines(summary):
        w.screen.note(line)
    pointer = read_pointer(w.outside.ledger)
    request = InfraRequest(
        run=new_run_id(),
        rmu_version=__version__,
        who=w.who,
        database=database_identifier(w.settings.environment, pointer),
        variables=w.variables(),
    )
    plan = plan_apply(survey(w.outside, w.settings.environment, ()), request, summary)
    carry_out(w, plan, asked)


def destroy_it(w: Wired, *, yes: bool) -> None:
    """Destroy the stack. Raises Refused while the live database is protected, or a run is open."""
    seen = runs.unfinished(w.outside)
    if seen is not None:
        raise busy(seen)
    name = database_identifier(w.settings.environment, read_pointer(w.outside.ledger))
    if _protected(w, name):
        raise Refused(
            f"database {name} is protected from deletion",
            next="set deletion_protection = false in terraform/env, rmu infra apply, then rmu infra destroy",
        )
    if not yes and w.screen.ask("Type the environment's name to destroy it") != w.settings.environment:
        raise Refused("the environment's name was not typed", next="rmu infra destroy --yes")
    lease = acquire(w.outside, new_run_id(), w.who)
    try:
        with w.screen.working("terraform destroy"):
            w.outside.infra.destroy("stack", w.variables(), lambda n, a, s: w.screen.detail(f"{n}: {a}"))
        # Or the hosts of the next apply would wait for an image that is gone with its repository.
        w.outside.ledger.write([pointer_entry(Pointer())], token=lease.view.token)
    finally:
        lease.free()
    w.screen.result({"outcome": "done"}, ["destroyed"])


def _protected(w: Wired, database: str) -> bool:
    """Tell whether the database refuses its deletion; one that a destroy cut short took already refuses nothing."""
    try:
        return w.outside.databases.view(database).protected
    except Absent:
        return False


def _summary(w: Wired) -> PlanSummary:
    with w.screen.working("terraform plan"):
        return w.outside.infra.plan("stack", w.variables())


def _lines(s: PlanSummary) -> list[str]:
    groups = (("make", s.create), ("change", s.change), ("replace", s.replace), ("destroy", s.destroy))
    named = [
        f"{len(names)} to {verb}: {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
        for verb, names in groups
        if names
    ]
    return named or ["nothing to change"]
