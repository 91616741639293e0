"""Kill -9 at a sample of the seams, on the real twin and under the client: every way on ends well and drops nothing.

All seams are walked on fakes (`tests/pure/test_seams.py`); these are the ones where real parts could disagree.
"""

from __future__ import annotations

import pytest

from tests.twin.driver import Pick, Stack, done, started

pytestmark = [pytest.mark.twin, pytest.mark.long]

DEPLOY = [
    ("resume", started("prepare")),
    ("again", done("prepare")),
    ("resume", done("park the worker")),
    ("abandon", started("serve")),
    ("again", done("serve")),
    ("abandon", started("start")),
    ("rollback", started("bake")),
    ("resume", started("record the release")),
    ("again", started("retire")),
]
ROLLBACK = [("resume", started("serve")), ("again", started("record the release")), ("resume", done("record"))]


@pytest.mark.parametrize(("way", "at"), DEPLOY, ids=lambda one: one if isinstance(one, str) else "")
def test_a_deploy_killed_at_a_seam_ends_well_whatever_is_typed_next(stack: Stack, way: str, at: Pick) -> None:
    live, new = stack.live(), stack.push()
    words = ("deploy", new, "--yes", "--no-probe")

    with stack.no_drop():
        run = stack.kill(*words, at=at).events[-1]["run"]
        typed = {
            "resume": ("resume", "--yes"),
            "again": words,
            "abandon": ("abandon", run, "--yes"),
            "rollback": ("rollback", "--yes"),
        }
        answer = stack.rmu(*typed[way])

    goes_on = way in ("resume", "again")
    assert answer["run"] == run
    assert answer["outcome"] == {"abandon": "rolled_back"}.get(way, "done")
    stack.serves_alone(new if goes_on else live)
    assert stack.status()["worker"] == {"release": new if goes_on else live, "state": "running"}


@pytest.mark.parametrize(("way", "at"), ROLLBACK, ids=lambda one: one if isinstance(one, str) else "")
def test_a_rollback_killed_at_a_seam_converges(stack: Stack, way: str, at: Pick) -> None:
    old, new = stack.live(), stack.push()
    stack.deploy(new)

    with stack.no_drop():
        run = stack.kill("rollback", "--yes", at=at).events[-1]["run"]
        answer = stack.rmu(*{"resume": ("resume", "--yes"), "again": ("rollback", "--yes")}[way])

    assert (answer["run"], answer["outcome"], answer["release"]) == (run, "done", old)
    stack.serves_alone(old)
    assert stack.status()["worker"] == {"release": old, "state": "running"}
