"""Every kind of step is killed somewhere: by the seams of a real run's journal, else by a test that is named here."""

from __future__ import annotations

from typing import get_args

from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.kinds import AnyStep
from tests.pure import test_drill, test_infra, test_seams, test_upkeep

KINDS = {kind.model_fields["kind"].default: kind for kind in get_args(get_args(AnyStep)[0])}
ELSEWHERE = {
    "admit_again": test_drill.test_giving_up_a_fence_from_outside_is_finished_wherever_it_was_killed,
    "adopt_database": (
        test_infra.test_an_adoption_killed_after_any_event_and_inside_terraform_is_finished_by_typing_it_again
    ),
    "apply_infra": test_infra.test_f36_a_third_person_finishes_an_apply_whose_two_carriers_died_inside_terraform,
    "destroy_infra": test_infra.test_a_destruction_killed_inside_terraform_is_finished_by_typing_it_again,
    "ensure_secrets": (
        test_infra.test_f36_a_lock_that_a_later_carrier_left_before_they_carried_the_run_is_not_the_runs
    ),
    "nothing_left": test_drill.test_an_end_that_was_killed_is_finished_by_typing_it_again,
    "renew_secret": test_upkeep.test_a_rotation_that_is_killed_anywhere_is_finished_by_the_same_words,
}
UNDOES = {"unfence_database": "fence_database"}
"""Kinds that stand in no plan, and whose undo they are."""


def met() -> set[tuple[str, str]]:
    """List how and at what events of steps runs are killed, as (when, event and kind)."""
    seams = [(case.values[1].when, case.values[1].what) for case in test_seams.SEAMS]
    return {*seams, *((when, what) for _, _, when, _, what in test_drill.FOUND)}


def test_every_kind_of_step_is_killed_before_after_and_a_change_in_its_middle() -> None:
    seams = met()

    def is_met(kind: str) -> bool:
        event = f"undo-started {UNDOES[kind]}" if kind in UNDOES else f"started {kind}"
        whens = ["before", "after", *(["cut off after"] if issubclass(KINDS[kind], Change) else [])]
        return all((when, event) in seams for when in whens)

    assert {kind for kind in KINDS if not is_met(kind)} == set(ELSEWHERE)
