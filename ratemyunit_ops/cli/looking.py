"""What `rmu status` does."""

from __future__ import annotations

from contextlib import suppress

from ratemyunit_ops.cli.wire import Wired, right_account
from ratemyunit_ops.errors import RmuError, Unreachable
from ratemyunit_ops.model import World
from ratemyunit_ops.reports.status import report_status, status_lines
from ratemyunit_ops.show.screen import plain
from ratemyunit_ops.survey import STATUS, lease_age, survey


def show_status(w: Wired) -> None:
    """Show who serves what; where nobody says which account this is, that is unknown too, and the rest is shown.

    Raises Refused where the account is another one, and Mistyped without credentials.
    """
    silent = _why_silent(w)
    world = survey(w.outside, w.settings.environment, STATUS)
    report = report_status(world, w.settings.env.front_door, _age(w, world), account_unknown=silent)
    w.screen.result(report.model_dump(mode="json"), [plain(line) for line in status_lines(report)])


def _why_silent(w: Wired) -> str:
    """Say why the account does not answer; empty where it is the right one."""
    try:
        right_account(w)
    except Unreachable as why:
        return f"{why.what}   ({why.next})"
    return ""


def _age(w: Wired, world: World) -> float | None:
    with suppress(RmuError):
        return lease_age(w.outside, world)
    return None
