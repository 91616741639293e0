"""Every remedy that a cause offers can be carried where that cause is so: a plan comes out, or the words of a verb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ratemyunit_ops.cli.runbooks import complaint_of
from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.planning.runbook import RemedyRequest, plan_remedy, still_so, verb_of
from ratemyunit_ops.runbooks.conditions import Condition, Facts
from ratemyunit_ops.runbooks.judging import Diagnosis, Verdict, holds, may_be_picked
from ratemyunit_ops.runbooks.schema import Cause, Check, Input, Remedy, Runbook
from ratemyunit_ops.shipped import shipped
from tests.fakes import BEGIN, FakeWorld
from tests.fakes.operator import Operator
from tests.fakes.sick import runbook

BOOKS = [runbook(path.stem) for path in sorted(shipped("runbooks").glob("*.yaml"))]
SAMPLES = {"host": "i-1", "database": "db-1", "release": "v41", "run": "r-1", "pid": "77", "text": "it"}
THROUGH = {"host": "group", "database": "ledger", "release": "ledger", "run": "ledger"}
"""What tells an input that is looked up."""
EVERY_RUN = {"group", "ledger"}
"""What nothing can be carried without: the API, and the ledger."""


def offers() -> Iterator[Any]:
    for book in BOOKS:
        for cause in book.causes:
            for name in cause.remedies:
                yield pytest.param(book, cause, name, id=f"{book.name}: {cause.name}: {name}")


def so(book: Runbook, condition: Condition, *, wanted: bool = True) -> Facts:
    """Make a fact of which a condition is so, or is not."""
    read, literal = book.reads()[condition.fact], condition.literal
    if condition.op == "is":
        known = {"number": 1, "truth": True, "text": "it"}[read.of_type]
        return {condition.fact: known} if (literal == "known") is wanted else {}
    candidates: list[Any] = [literal, *(literal if isinstance(literal, list) else []), "other", True, False]
    candidates += [literal + 1, literal - 1] if read.of_type == "number" else []
    return next(
        {condition.fact: value}
        for value in candidates
        if of_type(value, read.of_type) and condition.holds({condition.fact: value}) is wanted
    )


def of_type(value: object, kind: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"number": number, "truth": isinstance(value, bool), "text": isinstance(value, str)}[kind]


def shown(book: Runbook, cause: Cause, remedy: Remedy) -> Facts:
    """Make facts by which a cause is so, and by which the remedy is for it."""
    facts: Facts = {}
    for judged in (cause, *([remedy.only] if remedy.only else [])):
        for condition in (*judged.all, *judged.any[:1]):
            facts |= so(book, condition)
        for condition in judged.none:
            facts |= so(book, condition, wanted=False)
    assert holds(cause, facts)
    return facts


def way(check: Check) -> str:
    return check.facts or ("command" if check.command else "sql")


def down(book: Runbook, facts: Facts) -> set[str]:
    """Name what does not answer where these facts are so."""
    return {
        way(check)
        for check in book.diagnosis
        for name, read in check.reads.items()
        if read.answered and facts.get(name) is False
    }


def known(book: Runbook, asked: Input, silent: set[str]) -> bool:
    if asked.look_up is not None:
        return THROUGH[asked.kind] not in silent
    reader = next((check for check in book.diagnosis if asked.fact in check.reads), None)
    return asked.value is not None or (reader is not None and way(reader) not in silent)


def sample(asked: Input) -> str:
    return asked.of[0] if asked.of else str(asked.value or SAMPLES[asked.kind])


@pytest.mark.parametrize(("book", "cause", "name"), list(offers()))
def test_what_a_cause_offers_can_be_carried_where_it_is_so(book: Runbook, cause: Cause, name: str) -> None:
    remedy = book.remedy(name)
    assert remedy is not None
    facts = shown(book, cause, remedy)
    silent = down(book, facts)
    inputs = {one: sample(asked) for one, asked in book.inputs.items() if known(book, asked, silent)}
    verdict = Verdict(cause=cause.name, says=cause.says, holds="yes", remedies=cause.remedies)
    found = Diagnosis(cause=cause.name, verdicts=(verdict,), facts=facts)
    request = RemedyRequest(run="r-1", rmu_version="1", environment="test", at=BEGIN, remedy=name, inputs=inputs)

    assert not EVERY_RUN & silent
    assert may_be_picked(remedy, facts)
    assert still_so(book, found, request) is not None
    if remedy.verb is not None:
        assert complaint_of(verb_of(remedy, inputs, {}, book)) == ""
    else:
        assert plan_remedy(book, found, request).steps


def test_of_a_lost_region_the_commands_are_said_and_nothing_is_offered_that_cannot_be_carried() -> None:
    world = FakeWorld()
    world.front_door_down = True
    gone = Unreachable("sts does not answer", next="rmu doctor")
    for call in ("group.health", "metrics.alarms", *("ledger.get", "ledger.query") * 9):
        world.fail(call, gone)

    looked = Operator(world, silent=gone).runbook("region-lost")

    assert looked.code == 0
    assert looked.screen.document is not None
    assert looked.screen.document["cause"] == "region-gone"
    assert looked.screen.document["remedies"] == []
    said = "\n".join(looked.screen.said)
    assert "rmu infra bootstrap --env ENV" in said
    assert "--database rmu-ENV-db-1" in said
    assert "nothing was changed" in said
