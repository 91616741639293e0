"""What `slo` does, and what a deploy asks of budgets: objectives from their file, figures from CloudWatch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ratemyunit_ops.burning import as_tfvars, compiled
from ratemyunit_ops.cli.files import make_folder, write
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import Mistyped, RmuError
from ratemyunit_ops.model import Known, Unknown
from ratemyunit_ops.objectives import FILE, Objective, read_objectives
from ratemyunit_ops.reports.slo import Budget, Scope, gone, report_budgets
from ratemyunit_ops.reports.slo_shown import budget_lines, forecast, in_days, percent, picture, verdict_of
from ratemyunit_ops.settings import Settings


def objectives_of(settings: Settings) -> tuple[Objective, ...]:
    """Read the objectives beside rmu.toml, else those that rmu brings along. Raises Mistyped."""
    from ratemyunit_ops.shipped import shipped

    own = settings.root / "terraform" / FILE
    return _read_once(own if own.is_file() else shipped("terraform") / FILE)


_read_once = cache(read_objectives)
"""A command reads its objectives once; YAML is slow to read."""


def scope_of(w: Wired) -> Scope:
    """Say whose metrics are meant."""
    return Scope.of_places(w.settings.environment, w.places)


def show_budgets(w: Wired, html: Path | None) -> None:
    """Show every budget, and draw them into a page if asked. Raises Mistyped where that cannot be written."""
    objectives, budgets = _look(w)
    now = w.outside.clock.now()
    document = _document(w, budgets, steps=True)
    if html is not None:
        elsewhere = "--html FILE   (in a folder that you may write to)"
        make_folder(html.parent, next=elsewhere)
        write(html, _page(w, objectives, budgets), next=elsewhere)
        document["report"] = str(html)
        w.screen.note(f"drawn into {html}")
    w.screen.result(document, budget_lines(budgets, now))


def check_budgets(w: Wired) -> int:
    """Say which budgets are gone; answer the exit code."""
    _, budgets = _look(w)
    lost = [b.name for b in budgets if b.verdict == "gone"]
    for b in (b for b in budgets if b.verdict == "unknown"):
        w.screen.note(f"{b.name}: unknown, {b.why}")
    w.screen.result({**_document(w, budgets), "gone": lost}, [f"{verdict_of(budgets)}"])
    if lost:
        w.screen.note(f"nothing is left of the budget of {', '.join(lost)}   (rmu slo show)")
    return 3 if lost else 0


def compile_alarms(w: Wired) -> None:
    """Write the environment's alarms, and say whether that changed anything. Raises Mistyped."""
    file, name = w.settings.slo_tfvars, w.settings.environment
    if file is None:
        raise Mistyped(f"environment {name} names no tfvars to write beside", next=f"edit {w.settings.path}")
    if not file.parent.is_dir():
        raise Mistyped(f"there is no folder {file.parent} to write into", next=f"edit {w.settings.path}")
    objectives = objectives_of(w.settings)
    _runbooks_exist(objectives)
    alarms = compiled(objectives, speed=w.settings.env.slo_speed)
    text = as_tfvars(alarms)
    changed = not file.is_file() or file.read_text() != text
    if changed:
        write(file, text, next=f"ls -ld {file.parent} {file}")
    document = {"environment": name, "file": str(file), "changed": changed}
    says = f"{len(alarms['alarms'])} alarms over {len(alarms['windows'])} windows"
    after = f"Next: rmu infra plan --env {name}" if changed else "It was so already."
    w.screen.result(
        {**document, "alarms": sorted(alarms["alarms"]), "windows": sorted(alarms["windows"])},
        [f"{file.name}: {says}. {after}"],
    )


def _runbooks_exist(objectives: Sequence[Objective]) -> None:
    from ratemyunit_ops.shipped import shipped

    for o in objectives:
        if not (shipped("runbooks") / f"{o.runbook}.yaml").is_file():
            raise Mistyped(
                f"objective {o.name} names runbook {o.runbook}, which does not exist: its alarm would lead nowhere",
                next="rmu runbook list",
            )


def budgets_gone(w: Wired) -> Known[tuple[str, ...]] | Unknown:
    """Name the objectives whose budget is gone; whatever cannot be read is unknown, with why."""
    now = w.outside.clock.now()
    try:
        return Known(value=gone(w.outside.metrics, scope_of(w), objectives_of(w.settings), now), at=now)
    except RmuError as why:
        return Unknown(why=why.what)


def _look(w: Wired) -> tuple[tuple[Objective, ...], tuple[Budget, ...]]:
    objectives = objectives_of(w.settings)
    with w.screen.working("asking CloudWatch"):
        return objectives, report_budgets(w.outside.metrics, scope_of(w), objectives, w.outside.clock.now())


def _document(w: Wired, budgets: Sequence[Budget], *, steps: bool = False) -> dict[str, Any]:
    shown = [b.model_dump(mode="json", exclude=None if steps else {"steps"}) for b in budgets]
    return {"environment": w.settings.environment, "at": w.outside.clock.now().isoformat(), "objectives": shown}


def _page(w: Wired, objectives: Sequence[Objective], budgets: Sequence[Budget]) -> str:
    from ratemyunit_ops.render import page

    now = w.outside.clock.now()
    return page(
        "report/slo.html",
        {
            "environment": w.settings.environment,
            "now": now,
            "verdict": verdict_of(budgets),
            "shown": [
                {"b": b, "o": o, "p": picture(b, o, now), "forecast": forecast(b, now)}
                for o, b in zip(objectives, budgets, strict=True)
            ],
            "percent": percent,
            "in_days": in_days,
        },
    )
