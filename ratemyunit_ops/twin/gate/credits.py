"""CPU credits of burstable instances: earned by the clock, spent by the CPU that a machine really uses. Pure.

By AWS's table and formulas (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html):
a credit is one virtual CPU at 100 percent for a minute, a type earns so many an hour, and keeps at most a day's.
Two things are kinder here than there: a T3 in standard mode is born with none, and here it is born rested; and one
that has none left is not held at its baseline, which of half this machine would be too little to answer anybody.
"""

from dataclasses import dataclass, field

EARNED_PER_HOUR = {
    "nano": (6.0, 2),
    "micro": (12.0, 2),
    "small": (24.0, 2),
    "medium": (24.0, 2),
    "large": (36.0, 2),
    "xlarge": (96.0, 4),
    "2xlarge": (192.0, 8),
}
"""Size of a T3, T3a or T4g -> the credits that it earns an hour, and its virtual CPUs."""
FAMILIES = frozenset({"t3", "t3a", "t4g"})
LONGEST_S = 60.0
"""What a machine used since it was read last is known for so long; while nobody reads it, nothing is reckoned."""


@dataclass
class Purse:
    """The credits of one instance."""

    earns: float
    cpus: int
    balance: float = field(init=False)
    at: float | None = None

    def __post_init__(self) -> None:
        self.balance = self.most

    @property
    def most(self) -> float:
        """Answer how many it keeps: those of a day."""
        return 24 * self.earns

    def use(self, percent: float, now: float) -> float:
        """Earn and spend since it was reckoned last, at a CPU use of so many percent; answer what was spent."""
        minutes = 0.0 if self.at is None else min(now - self.at, LONGEST_S) / 60
        spent = self.cpus * percent / 100 * minutes
        self.at = now
        self.balance = min(self.most, max(0.0, self.balance + self.earns / 60 * minutes - spent))
        return spent


def purse_of(instance_type: str) -> Purse | None:
    """Answer the purse of a newborn instance; None where its type knows no credits."""
    family, _, size = instance_type.partition(".")
    return Purse(*EARNED_PER_HOUR[size]) if family in FAMILIES and size in EARNED_PER_HOUR else None
