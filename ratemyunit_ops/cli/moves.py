"""What `deploy` and `rollback` do before a plan is carried: settings to request, retries that resume, cancels."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.budgets import budgets_gone
from ratemyunit_ops.cli.carrying import (
    Asked,
    agreed,
    carry_out,
    go_on,
    new_run_id,
    session_of,
    show_rest,
    show_way_back,
)
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import read_events
from ratemyunit_ops.engine.lease import busy
from ratemyunit_ops.errors import Mistyped, Refused, RmuError, RolledBack
from ratemyunit_ops.model import LeaseView, Unknown, World
from ratemyunit_ops.planning.common import live_release
from ratemyunit_ops.planning.deploy import DeployRequest, plan_deploy, serves_well
from ratemyunit_ops.planning.rollback import RollbackRequest, plan_rollback, target_of, warm_on, way_of
from ratemyunit_ops.records import read_release, unfinished
from ratemyunit_ops.reports.runs import report_run
from ratemyunit_ops.spans import EXAMPLES, read_span
from ratemyunit_ops.survey import DEPLOY, ROLLBACK, survey, warm_release

HOW = {
    "flip": "a flip: the release is still started, a second or two",
    "start": "a start: its image is on the hosts, about half a minute",
    "pull": "a pull and a start: about a minute",
}
NOTHING_DONE: dict[str, object] = {
    "run": None,
    "outcome": "done",
    "seconds": 0.0,
    "phases": {},
    "probe": None,
    "ssm_commands": 1,
}
"""What a deploy of what serves already says to programs; its survey was one command."""


def deploy_it(w: Wired, version: str, *, bake: str | None, base: str | None, probe: bool, asked: Asked) -> None:
    """Plan a deploy and carry it; go on with a dead run of the same command; say so when it serves already."""
    if resumed_own_dead_run(w, "deploy", version, asked):
        return
    with w.screen.working("looking at hosts, registry and ledger"):
        world = survey(w.outside, w.settings.environment, DEPLOY, version=version)
        world = world.model_copy(update={"budgets_gone": budgets_gone(w)})
    request = _request(w, version, bake=bake, base=base, probe=probe)
    plan = plan_deploy(world, request)
    if serves_well(world, request):
        live = live_release(world)
        w.screen.result(
            {**NOTHING_DONE, "release": version, "digest": live.digest if live else None},
            [f"{version} serves already; nothing to do."],
        )
        return
    _warn_of_budgets(w, world)
    carry_out(w, plan, asked)


def roll_back(w: Wired, version: str | None, *, asked: Asked) -> None:
    """Cancel a running deploy, or plan the way back and carry it; both where VERSION is another than then serves."""
    deploy = _open_deploy(w)
    if deploy is not None:
        _cancel_it(w, deploy, version, asked)
    elif not resumed_own_dead_run(w, "rollback", version, asked):
        _go_back(w, version, asked)


def _go_back(w: Wired, version: str | None, asked: Asked) -> None:
    warm = warm_release(w.outside)
    needs = ROLLBACK if warm and version in (None, warm) else ROLLBACK | {"hosts"}
    with w.screen.working("looking at the ledger"):
        world = survey(w.outside, w.settings.environment, needs)
    request = RollbackRequest(
        run=new_run_id(),
        version=version,
        rmu_version=__version__,
        ready_deadline=w.settings.env.ready_deadline,
        warm=warm if needs is ROLLBACK else warm_on(world),
    )
    plan = plan_rollback(world, request)
    w.screen.note(f"back to {target_of(plan)} by {HOW[way_of(plan)]}")
    carry_out(w, plan, asked)


def _request(w: Wired, version: str, *, bake: str | None, base: str | None, probe: bool) -> DeployRequest:
    env = w.settings.env
    return DeployRequest(
        run=new_run_id(),
        version=version,
        rmu_version=__version__,
        repository=w.places.get("repository", ""),
        base=base,
        bake=duration(bake, "--bake") if bake else env.bake,
        ready_deadline=env.ready_deadline,
        probe=probe,
        allow_critical=version in env.allow_critical_findings,
        warm_floor=env.warm_floor_mib * 2**20,
        config=dict(env.app),
        secrets=w.outside.secrets.names(),
        slo=env.slo,
    )


def _warn_of_budgets(w: Wired, world: World) -> None:
    """Say where a deploy would spend what is not there, and where nobody can tell."""
    if isinstance(world.budgets_gone, Unknown):
        w.screen.note(f"what is left of budgets is unknown: {world.budgets_gone.why}")
    elif world.budgets_gone.value:
        w.screen.note(f"nothing is left of the budget of {', '.join(world.budgets_gone.value)}   (rmu slo show)")


def duration(text: str, option: str) -> timedelta:
    """Read 30s, 5m or 1h, as an option has it. Raises Mistyped, which names the option."""
    try:
        return read_span(text)
    except ValueError as why:
        raise Mistyped(f"“{text}” is no duration", next=f"{option} 5m   ({EXAMPLES})") from why


def resumed_own_dead_run(w: Wired, verb: str, version: str | None, asked: Asked) -> bool:
    """Typing a dead run's own command again resumes it. Raises Busy for anybody else's run."""
    run = own_dead_run(w, verb, version)
    if run is not None and asked.dry_run:
        show_rest(w, run)
    elif run is not None:
        go_on(w, run, session_of(w, agreed(w, asked, f"resume {run}?"), step=asked.step))
    return run is not None


def own_dead_run(w: Wired, verb: str, version: str | None) -> str | None:
    """Name the unfinished run that these very words began, and say so. Raises Busy for anybody else's run."""
    seen = unfinished(w.outside.ledger)
    if seen is None:
        return None
    plan = read_events(w.outside.ledger, seen.run)[0].facts["plan"]
    if (plan.get("verb"), plan.get("request", {}).get("version")) != (verb, version):
        raise busy(seen)
    w.screen.note(f"run {seen.run} was begun by this same command, which goes on with it")
    return seen.run


def _open_deploy(w: Wired) -> LeaseView | None:
    """Show who holds the environment with a deploy; None where none is open."""
    seen = unfinished(w.outside.ledger)
    if seen is None or read_events(w.outside.ledger, seen.run)[0].facts["plan"]["verb"] != "deploy":
        return None
    return seen


def _cancel_it(w: Wired, deploy: LeaseView, version: str | None, asked: Asked) -> None:
    """Cancel a deploy and wait until it is unwound, or unwind it when its carrier is dead; then go on to VERSION."""
    run = deploy.run
    if version is not None and read_release(w.outside.ledger, version) is None:
        raise Refused(f"no release {version} was ever deployed here; deploy {run} goes on", next="rmu rollback")
    if asked.dry_run:
        w.screen.note(f"deploy {run} of {deploy.owner} is running, and would be asked to unwind")
        show_way_back(w, run)
        return
    w.screen.note(f"deploy {run} of {deploy.owner} is running: asking it to unwind")
    because = agreed(w, asked, f"cancel {run}?")
    outcome = runs.cancel(w.outside, run, session_of(w, because, step=asked.step))
    if outcome not in {"rolled_back", "refused"}:
        raise RmuErrorAfterCancel(run, outcome)
    report = report_run(w.outside.ledger, run)
    document = {**report.document(), "outcome": "done" if outcome == "rolled_back" else outcome}
    said = f"Deploy {run} is unwound; {report.release or 'nothing'} serves."
    if version in (None, report.release):
        w.screen.result(document, [said])
        return
    w.screen.note(said)
    try:
        _go_back(w, version, replace(asked, because=because or None))
    except RmuError as why:
        stays = RolledBack(why.what, state=f"{said} It stays: {version} was not brought back.", next=why.next)
        w.screen.failure(stays, document)
        raise typer.Exit(stays.exit_code) from why


class RmuErrorAfterCancel(RmuError):
    """The deploy ended another way before it could unwind."""

    exit_code = 3
    outcome = "refused"

    def __init__(self, run: str, outcome: str) -> None:
        super().__init__(f"run {run} had ended ({outcome}) before it could be cancelled", next="rmu rollback")
