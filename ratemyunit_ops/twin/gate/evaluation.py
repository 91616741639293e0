"""How an alarm decides: M of N points, missing ones, older ones read again; and the rule of a composite alarm. Pure.

After "Configuring how CloudWatch alarms treat missing data"
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html): an alarm reads more
points than it needs, so that real ones stand in for missing ones. How many more is not published; the guide's one
example reads 5 for 3, so it is two more here, whatever the period.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OLDER = 2

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than the threshold"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to the threshold"),
    "LessThanThreshold": (operator.lt, "less than the threshold"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to the threshold"),
}


@dataclass(frozen=True)
class Terms:
    """When an alarm speaks."""

    comparison: str
    threshold: float
    points: int
    of: int
    missing: str = "missing"

    def breaches(self, value: float) -> bool:
        """Tell whether one point is beyond the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Verdict:
    """What an alarm's state should be, why, and by which points; no state means: as it is."""

    state: str | None
    reason: str
    recent: tuple[float, ...] = ()


def decide(terms: Terms, read: Sequence[float | None]) -> Verdict:
    """Judge the points that were read, the oldest first; None is a missing one."""
    real = [(age, value) for age, value in enumerate(reversed(read)) if value is not None][: terms.of]
    bad = sum(terms.breaches(value) for _, value in real)
    recent = tuple(value for _, value in reversed(real))
    lacking = terms.of - len(real)
    if lacking and terms.missing == "breaching":
        bad += lacking
    elif lacking and terms.missing != "notBreaching":
        if not real:
            state = None if terms.missing == "ignore" else "INSUFFICIENT_DATA"
            return Verdict(state, f"Insufficient Data: {terms.of} datapoints were unknown.")
        if bad < terms.points and _old_enough(terms, real):
            return Verdict(None if terms.missing == "ignore" else "ALARM", _words(terms, recent, lacking, True), recent)
    state = "ALARM" if bad >= terms.points else "OK"
    return Verdict(state, _words(terms, recent, lacking, state == "ALARM"), recent)


def _old_enough(terms: Terms, real: list[tuple[int, float]]) -> bool:
    """Tell whether all that is known breaches since long enough ago, though less is known than the alarm wants.

    A young one waits, for the next point may be a good one ("avoiding premature transitions").
    """
    return all(terms.breaches(value) for _, value in real) and real[-1][0] + 1 >= terms.points


def _words(terms: Terms, recent: tuple[float, ...], lacking: int, crossed: bool) -> str:
    told = "no datapoints were received"
    if recent:
        values = ", ".join(f"{value:.6g}" for value in reversed(recent))
        verb = "was" if len(recent) == 1 else "were"
        told = f"{len(recent)} datapoint{'s'[: len(recent) > 1]} [{values}] {verb}{'' if crossed else ' not'}"
        told += f" {COMPARISONS[terms.comparison][1]} ({terms.threshold:g})"
    filled = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(terms.missing) if lacking else None
    tail = f" and {lacking} missing datapoint{'s'[: lacking > 1]} treated as [{filled}]" if filled else ""
    return f"Threshold Crossed: {told}{tail}."


_RULE = re.compile(r'\s*(?:(?P<sign>[()])|"(?P<quoted>[^"]*)"|(?P<word>[^\s()"]+))')


def holds(rule: str, states: Mapping[str, str]) -> bool:
    """Tell whether the rule of a composite alarm is true: `ALARM("a") AND NOT (OK(b) OR FALSE)`.

    Alarms go by name or ARN; one that is not there has insufficient data.

    Raises ValueError for a rule that cannot be read.
    """
    return _Rule(rule, states).whole()


class _Rule:
    def __init__(self, rule: str, states: Mapping[str, str]) -> None:
        self.rule = rule
        self._states = states
        self._tokens: list[str] = []
        at = 0
        while at < len(rule.rstrip()):
            match = _RULE.match(rule, at)
            if match is None:
                raise ValueError(f"{rule!r} is no alarm rule")
            self._tokens.append(match.group(match.lastgroup or 0))
            at = match.end()

    def whole(self) -> bool:
        value = self._either()
        if self._tokens:
            raise ValueError(f"{self.rule!r}: {self._tokens[0]!r} was not expected")
        return value

    def _either(self) -> bool:
        value = self._both()
        while self._take("OR"):
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._single()
        while self._take("AND"):
            value = self._single() and value
        return value

    def _single(self) -> bool:
        word = self._next()
        if word == "NOT":
            return not self._single()
        if word == "(":
            value = self._either()
            self._expect(")")
            return value
        if word in ("TRUE", "FALSE"):
            return word == "TRUE"
        if word in ("ALARM", "OK", "INSUFFICIENT_DATA"):
            self._expect("(")
            name = self._next().rpartition(":alarm:")[2]
            self._expect(")")
            return self._states.get(name, "INSUFFICIENT_DATA") == word
        raise ValueError(f"{self.rule!r}: {word!r} was not expected")

    def _take(self, token: str) -> bool:
        if self._tokens[:1] == [token]:
            self._tokens.pop(0)
            return True
        return False

    def _next(self) -> str:
        if not self._tokens:
            raise ValueError(f"{self.rule!r} ends too early")
        return self._tokens.pop(0)

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise ValueError(f"{self.rule!r}: {token!r} is missing")
