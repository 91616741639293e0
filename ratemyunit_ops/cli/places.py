"""What `rmu infra` does."""

from __future__ import annotations

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, agreed, carry_out, new_run_id
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import Absent, Refused
from ratemyunit_ops.model import DatabaseView, PlanSummary, World
from ratemyunit_ops.planning.infra import (
    DATABASE,
    SECRETS,
    InfraRequest,
    database_identifier,
    holds_the_live_one,
    plan_adopt,
    plan_apply,
    plan_destroy,
)
from ratemyunit_ops.records import read_database, read_pointer
from ratemyunit_ops.steps.infra import by_kind
from ratemyunit_ops.survey import survey


def bootstrap_it(w: Wired, *, yes: bool, dry_run: bool = False) -> None:
    """Apply the bootstrap root, then make the secrets that are missing."""
    if dry_run:
        _show_bootstrap(w)
        return
    agreed(w, Asked("bootstrap", False, yes), f"bootstrap {w.settings.environment}?")
    with w.screen.working("terraform apply bootstrap"):
        done = w.outside.infra.apply("bootstrap", w.names(), lambda n, a, s: w.screen.detail(f"{n}: {a}"))
    made = w.outside.secrets.ensure(SECRETS)
    document = {"created": done.create, "secrets": made}
    w.screen.result(document, [f"{len(done.create)} places made, {len(made)} secrets made"])


def _show_bootstrap(w: Wired) -> None:
    with w.screen.working("terraform plan bootstrap"):
        summary = w.outside.infra.plan("bootstrap", w.names())
    missing = w.outside.secrets.missing(SECRETS)
    document = {
        "outcome": "dry_run",
        "steps": ["terraform apply bootstrap", "make the secrets that are missing"],
        **summary.model_dump(),
        "secrets": missing,
    }
    w.screen.result(document, [*_lines(summary), f"{len(missing)} secrets to make: {', '.join(missing) or 'none'}"])


def show_plan(w: Wired) -> None:
    """Show Terraform's plan. Raises Refused while it holds another database than the live one."""
    summary = _summary(w, _request(w))
    w.screen.result(summary.model_dump(), _lines(summary))


def show_drift(w: Wired) -> None:
    """Show Terraform's plan. Exits with 3 when it is not empty."""
    summary = _summary(w, _request(w))
    document = {"drift": not summary.empty, **summary.model_dump()}
    if summary.empty:
        w.screen.result(document, _lines(summary))
        return
    if not w.screen.as_json:
        w.screen.result({}, _lines(summary))
    why = Refused("the world is not what Terraform says", next=f"rmu infra apply --env {w.settings.environment}")
    w.screen.failure(why, document)
    raise typer.Exit(why.exit_code)


def apply_it(w: Wired, asked: Asked) -> None:
    """Plan an apply and carry it; go on with a dead apply."""
    if resumed_own_dead_run(w, "infra apply", None, asked):
        return
    request = _request(w)
    summary = _summary(w, request)
    _note(w, summary)
    carry_out(w, plan_apply(_world(w), request, summary), asked)


def adopt_it(w: Wired, asked: Asked) -> None:
    """Plan to take the live database into the state, show what Terraform would do then, and carry it."""
    if resumed_own_dead_run(w, "infra adopt", None, asked):
        return
    request = _request(w)
    summary = PlanSummary()
    if request.held not in ("", request.database):
        with w.screen.working("terraform plan, on a copy of the state"):
            summary = w.outside.infra.adoption("stack", DATABASE, request.database, request.variables)
    plan = plan_adopt(_world(w), request, summary)
    _note(w, summary)
    carry_out(w, plan, asked)


def destroy_it(w: Wired, asked: Asked) -> None:
    """Destroy the stack once its plan was shown and its name typed. Raises Refused while the database is protected."""
    if resumed_own_dead_run(w, "infra destroy", None, asked):
        return
    request = _request(w)
    rest = sorted(
        (d for d in w.outside.databases.all() if d.identifier != request.database), key=lambda d: d.identifier
    )
    others = {d.identifier: _lets_go(w, d) for d in rest}
    plan = plan_destroy(_world(w), request, protected=_protected(w, request.database), others=others)
    carry_out(w, plan, asked, typed=w.settings.environment)


def _lets_go(w: Wired, database: DatabaseView) -> str:
    """Name the command that takes a database away: one that served is forgotten, a copy is ended with its run."""
    if database.made_by is None or read_database(w.outside.ledger, database.identifier) is not None:
        return f"rmu db forget {database.identifier}"
    corner = w.outside.databases.settings(database.identifier).security_groups
    stands = corner == (w.places.get("drill_db_security_group"),)
    return f"rmu dr end {database.made_by}" if stands else f"rmu show {database.made_by}"


def _request(w: Wired) -> InfraRequest:
    return InfraRequest(
        run=new_run_id(),
        rmu_version=__version__,
        database=database_identifier(w.settings.environment, read_pointer(w.outside.ledger)),
        held=w.places.get("database", ""),
        variables=w.variables(),
    )


def _world(w: Wired) -> World:
    return survey(w.outside, w.settings.environment, ())


def _protected(w: Wired, database: str) -> bool:
    """Tell whether the database refuses its deletion; one that a destroy cut short took already refuses nothing."""
    try:
        return w.outside.databases.view(database).protected
    except Absent:
        return False


def _summary(w: Wired, request: InfraRequest) -> PlanSummary:
    holds_the_live_one(request)
    with w.screen.working("terraform plan"):
        return w.outside.infra.plan("stack", request.variables)


def _note(w: Wired, summary: PlanSummary) -> None:
    for line in _lines(summary):
        w.screen.note(line)


def _lines(s: PlanSummary) -> list[str]:
    named = [
        f"{len(names)} to {verb}: {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
        for verb, names in by_kind(s)
        if names
    ]
    return named or ["nothing to change"]
