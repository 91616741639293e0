"""CPU credits as AWS's guide reckons them."""

import pytest

from ratemyunit_ops.twin.gate.credits import Purse, purse_of

HOUR = 3600


def used(purse: Purse, percent: float, seconds: int, *, since: int = 0) -> float:
    """Let an instance use so much of its CPU for so long, read every five seconds; answer what that changes."""
    purse.use(percent, since)
    before = purse.balance
    for second in range(since + 5, since + seconds + 5, 5):
        purse.use(percent, second)
    return purse.balance - before


@pytest.mark.parametrize(
    ("kind", "percent", "an_hour"),
    [("t3.nano", 2.0, 3.6), ("t3.nano", 5.0, 0.0), ("t3.small", 20.0, 0.0), ("t3.small", 100.0, 24.0 - 120.0)],
)
def test_what_is_earned_and_spent_in_an_hour_is_what_the_guide_says(kind: str, percent: float, an_hour: float) -> None:
    purse = purse_of(kind)
    assert purse is not None
    purse.balance = 120.0

    assert used(purse, percent, HOUR) == pytest.approx(an_hour)


def test_a_days_credits_are_kept_and_none_are_owed() -> None:
    purse = purse_of("t3.micro")
    assert purse is not None

    assert purse.balance == 288
    assert used(purse, 0.0, HOUR) == 0
    used(purse, 100.0, 3 * HOUR, since=HOUR)
    assert purse.balance == 0


def test_while_nobody_reads_a_machine_nothing_is_reckoned() -> None:
    purse = purse_of("t3.small")
    assert purse is not None
    purse.balance = 10.0
    purse.use(100.0, 0)

    assert purse.use(100.0, 10 * HOUR) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["m5.large", "t2.micro", "db.t3.micro", ""])
def test_other_types_have_none(kind: str) -> None:
    assert purse_of(kind) is None
