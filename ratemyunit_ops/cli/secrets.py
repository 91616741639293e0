"""What `rmu secret` does."""

from __future__ import annotations

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, carry_out, new_run_id
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.planning.upkeep import APP, OF_ROLES, UpkeepRequest, plan_renew
from ratemyunit_ops.survey import survey

NEEDS = frozenset({"pointer", "releases", "instances", "hosts", "database", "schema_notes"})


def renew_it(w: Wired, secret: str | None, asked: Asked) -> None:
    """Plan a rotation, or a renewal where no secret is named, and carry it."""
    if resumed_own_dead_run(w, "secret rotate" if secret else "secret renew", secret, asked):
        return
    world = survey(w.outside, w.settings.environment, NEEDS)
    request = UpkeepRequest(
        run=new_run_id(),
        rmu_version=__version__,
        secret=secret,
        known=w.outside.secrets.names(),
        ready_deadline=w.settings.env.ready_deadline,
        warm_floor=w.settings.env.warm_floor_mib * 2**20,
    )
    carry_out(w, plan_renew(world, request), asked)


def show_secrets(w: Wired) -> None:
    """Print every secret's name, and who holds an older value of it."""
    names = [*(f"{APP}{name}" for name in w.outside.secrets.names()), *sorted(OF_ROLES)]
    old = w.outside.fleet.stale()
    document = {"secrets": [{"name": n, "stale": [s.model_dump() for s in old if s.secret == n]} for n in names]}
    rows = [(n, ", ".join(f"{s.holder} on {s.host}" for s in old if s.secret == n)) for n in names]
    if w.screen.as_json:
        w.screen.result(document)
        return
    w.screen.table("", ("secret", "an older value is held by"), rows)
