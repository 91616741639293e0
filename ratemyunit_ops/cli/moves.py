"""What `deploy` and `rollback` do before a plan is carried: settings to request, retries that resume, cancels."""

from __future__ import annotations

import re
from datetime import timedelta

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.budgets import budgets_gone
from ratemyunit_ops.cli.carrying import Asked, agreed, carry_out, go_on, new_run_id, session_of
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.engine.journal import read_events
from ratemyunit_ops.engine.lease import busy
from ratemyunit_ops.errors import Mistyped, RmuError
from ratemyunit_ops.model import Unknown, World
from ratemyunit_ops.planning.common import live_release
from ratemyunit_ops.planning.deploy import DeployRequest, already_serves, plan_deploy
from ratemyunit_ops.planning.rollback import RollbackRequest, plan_rollback, warm_on, way_of
from ratemyunit_ops.reports.runs import report_run
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
UNITS = {"s": 1, "m": 60, "h": 3600}


def deploy_it(w: Wired, version: str, *, bake: str | None, base: str | None, probe: bool, asked: Asked) -> None:
    """Plan a deploy and carry it; go on with a dead run of the same command; say so when it serves already."""
    if resumed_own_dead_run(w, "deploy", version, asked):
        return
    with w.screen.working("looking at hosts, registry and ledger"):
        world = survey(w.outside, w.settings.environment, DEPLOY, version=version)
        world = world.model_copy(update={"budgets_gone": budgets_gone(w)})
    request = _request(w, version, bake=bake, base=base, probe=probe)
    plan = plan_deploy(world, request)
    if already_serves(world, request):
        live = live_release(world)
        w.screen.result(
            {**NOTHING_DONE, "release": version, "digest": live.digest if live else None},
            [f"{version} serves already; nothing to do."],
        )
        return
    _warn_of_budgets(w, world)
    carry_out(w, plan, asked)


def roll_back(w: Wired, version: str | None, *, asked: Asked) -> None:
    """Cancel a running deploy, or plan the way back and carry it."""
    if _cancelled_a_deploy(w, asked) or resumed_own_dead_run(w, "rollback", version, asked):
        return
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
    target = plan.steps[-1].release.version  # type: ignore[attr-defined]
    w.screen.note(f"back to {target} by {HOW[way_of(plan)]}")
    carry_out(w, plan, asked)


def _request(w: Wired, version: str, *, bake: str | None, base: str | None, probe: bool) -> DeployRequest:
    env = w.settings.env
    return DeployRequest(
        run=new_run_id(),
        version=version,
        rmu_version=__version__,
        repository=w.places.get("repository", ""),
        base=base,
        bake=duration(bake) if bake else env.bake,
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


def duration(text: str) -> timedelta:
    """Read 30s, 5m or 1h. Raises Mistyped."""
    found = re.fullmatch(r"(\d+)([smh])", text)
    if not found:
        raise Mistyped(f"“{text}” is no duration", next="--bake 5m   (30s, 5m, 1h)")
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def resumed_own_dead_run(w: Wired, verb: str, version: str | None, asked: Asked) -> bool:
    """Typing a dead run's own command again resumes it. Raises Busy for anybody else's run."""
    run = own_dead_run(w, verb, version)
    if run is not None and not asked.dry_run:
        go_on(w, run, session_of(w, agreed(w, asked, f"resume {run}?"), step=asked.step))
    return run is not None


def own_dead_run(w: Wired, verb: str, version: str | None) -> str | None:
    """Name the unfinished run that these very words began, and say so. Raises Busy for anybody else's run."""
    seen = runs.unfinished(w.outside)
    if seen is None:
        return None
    plan = read_events(w.outside.ledger, seen.run)[0].facts["plan"]
    if (plan.get("verb"), plan.get("request", {}).get("version")) != (verb, version):
        raise busy(seen)
    w.screen.note(f"run {seen.run} was begun by this same command: going on with it")
    return seen.run


def _cancelled_a_deploy(w: Wired, asked: Asked) -> bool:
    """During a deploy a rollback cancels it and waits for it to unwind, or unwinds it when its carrier is dead."""
    seen = runs.unfinished(w.outside)
    if seen is None or read_events(w.outside.ledger, seen.run)[0].facts["plan"]["verb"] != "deploy":
        return False
    w.screen.note(f"deploy {seen.run} of {seen.owner} is running: asking it to unwind")
    if asked.dry_run:
        return True
    session = session_of(w, agreed(w, asked, f"cancel {seen.run}?"), step=asked.step)
    outcome = runs.cancel(w.outside, seen.run, session)
    if outcome not in {"rolled_back", "refused"}:
        raise RmuErrorAfterCancel(seen.run, outcome)
    report = report_run(w.outside.ledger, seen.run)
    document = {**report.document(), "outcome": "done" if outcome == "rolled_back" else outcome}
    w.screen.result(document, [f"Deploy {seen.run} is unwound; {report.release or 'nothing'} serves."])
    return True


class RmuErrorAfterCancel(RmuError):
    """The deploy ended another way before it could unwind."""

    exit_code = 3
    outcome = "refused"

    def __init__(self, run: str, outcome: str) -> None:
        super().__init__(f"run {run} had ended ({outcome}) before it could be cancelled", next="rmu rollback")
