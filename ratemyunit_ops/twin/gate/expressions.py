"""Metric math, as far as alarms and dashboards of ours use it: parsed by hand into a tree, never evaluated as Python.

Known: numbers, ids, `+ - * / ^`, comparisons (1 or 0), `AND OR NOT`, parentheses, lists `[m1, m2]`, METRICS(), and
FILL IF SUM MAX MIN AVG ABS CEIL FLOOR PERIOD TIME_SERIES. A series is second -> value; a point that one of two series
lacks is 0, and what is divided by zero is dropped
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html). Of a metric that has no point
at all the guide says nothing: the twin takes the worse, and an operator or FILL makes nothing of it.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Series = dict[int, float]
Value = float | Series | list[Series]
Evaluate = Callable[["Given"], Value]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<word>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|==|!=|<>|&&|\|\||[-+*/^<>()\[\],]))"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
}


class Wrong(ValueError):
    """An expression that cannot be read, or that means nothing; its text says why."""


@dataclass(frozen=True)
class Given:
    """What an expression is evaluated over: other results by id, which of them are metrics, the periods' seconds."""

    results: Mapping[str, Series | float]
    metrics: Sequence[str]
    seconds: Sequence[int]
    period: int


def evaluate(expression: str, given: Given) -> Value:
    """Answer what an expression comes to.

    Raises Wrong.
    """
    return parse(expression)[0](given)


def parse(expression: str) -> tuple[Evaluate, frozenset[str]]:
    """Read an expression; answer what evaluates it, and the ids that it names.

    Raises Wrong.
    """
    reader = _Reader(expression)
    tree = reader.either()
    reader.end()
    return tree, frozenset(reader.ids)


class _Reader:
    """Recursive descent, one method per level of binding, the loosest first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.ids: set[str] = set()
        self._tokens = _tokens(text)
        self._at = 0

    def either(self) -> Evaluate:
        left = self._both()
        while self._take("OR", "||"):
            left = _each(lambda a, b: float(bool(a) or bool(b)), left, self._both())
        return left

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise Wrong(f"{self.text!r}: {self._tokens[self._at]!r} was not expected")

    def _both(self) -> Evaluate:
        left = self._compared()
        while self._take("AND", "&&"):
            left = _each(lambda a, b: float(bool(a) and bool(b)), left, self._compared())
        return left

    def _compared(self) -> Evaluate:
        left = self._sum()
        while sign := self._take(*_COMPARE):
            left = _each(_one_or_none(_COMPARE[sign]), left, self._sum())
        return left

    def _sum(self) -> Evaluate:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _each(operator.add if sign == "+" else operator.sub, left, self._product())
        return left

    def _product(self) -> Evaluate:
        left = self._power()
        while sign := self._take("*", "/"):
            left = _each(operator.mul if sign == "*" else operator.truediv, left, self._power())
        return left

    def _power(self) -> Evaluate:
        left = self._signed()
        return _each(math.pow, left, self._power()) if self._take("^") else left

    def _signed(self) -> Evaluate:
        if self._take("-"):
            return _each(operator.sub, _constant(0.0), self._signed())
        if self._take("NOT"):
            return _each(lambda a, b: float(not a), self._signed(), _constant(0.0))
        return self._single()

    def _single(self) -> Evaluate:
        word = self._next()
        if word == "(":
            inner = self.either()
            self._expect(")")
            return inner
        if word == "[":
            return _list(self._arguments("]"))
        if word[0].isdigit() or word[0] == ".":
            return _constant(float(word))
        if word[0].isalpha():
            return self._named(word)
        raise Wrong(f"{self.text!r}: {word!r} was not expected")

    def _named(self, word: str) -> Evaluate:
        if self._take("("):
            return _call(word, self._arguments(")"), self.text)
        if not word[0].islower() and word != "REPEAT":
            raise Wrong(f"{self.text!r}: ids begin with a small letter, {word!r} does not")
        if word == "REPEAT":
            return _constant(math.nan)
        self.ids.add(word)
        return lambda given: _result(given, word)

    def _arguments(self, until: str) -> list[Evaluate]:
        found: list[Evaluate] = []
        while not self._take(until):
            found.append(self.either())
            if not self._take(","):
                self._expect(until)
                break
        return found

    def _take(self, *wanted: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise Wrong(f"{self.text!r} ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise Wrong(f"{self.text!r}: {token!r} is missing")


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Wrong(f"{text!r}: {text[at:].strip()[:1]!r} means nothing")
        found.append(match.group(match.lastgroup or 0))
        at = match.end()
    return found


def _one_or_none(compare: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda a, b: float(compare(a, b))


def _constant(value: float) -> Evaluate:
    return lambda given: value


def _result(given: Given, id: str) -> Series | float:
    if id not in given.results:
        raise Wrong(f"there is no {id!r}")
    return given.results[id]


def _list(parts: list[Evaluate]) -> Evaluate:
    return lambda given: [_series(part(given), given) for part in parts]


def _series(value: Value, given: Given) -> Series:
    if isinstance(value, list):
        raise Wrong("a list cannot be a member of a list")
    return value if isinstance(value, dict) else dict.fromkeys(given.seconds, value)


def _each(act: Callable[[float, float], float], left: Evaluate, right: Evaluate) -> Evaluate:
    """Apply an operator point by point; a list takes it member by member."""

    def over(given: Given) -> Value:
        return _apply(act, left(given), right(given))

    return over


def _apply(act: Callable[[float, float], float], a: Value, b: Value) -> Value:
    if isinstance(a, list):
        return [_pair(act, one, b) for one in a]
    if isinstance(b, list):
        return [_pair(act, a, one) for one in b]
    if isinstance(a, dict) or isinstance(b, dict):
        return _pair(act, a, b)
    value = _safe(act, a, b)
    if value is None:
        raise Wrong("a number cannot be divided by zero")
    return value


def _pair(act: Callable[[float, float], float], a: Value, b: Value) -> Series:
    if isinstance(a, list) or isinstance(b, list):
        raise Wrong("two lists have no operators between them")
    seconds = _known(a, b)
    found = {at: _safe(act, _at(a, at), _at(b, at)) for at in seconds}
    return {at: value for at, value in found.items() if value is not None}


def _known(a: Series | float, b: Series | float) -> Sequence[int]:
    if isinstance(a, dict) and isinstance(b, dict):
        return sorted(a.keys() | b.keys()) if a and b else []
    return list(a if isinstance(a, dict) else b if isinstance(b, dict) else ())


def _at(value: Series | float, second: int) -> float:
    return value.get(second, 0.0) if isinstance(value, dict) else value


def _safe(act: Callable[[float, float], float], a: float, b: float) -> float | None:
    try:
        return act(a, b)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None


def _call(name: str, arguments: list[Evaluate], text: str) -> Evaluate:
    if name in _ACTS:
        act, counts = _ACTS[name]
        if len(arguments) not in counts:
            raise Wrong(f"{text!r}: {name} does not take {len(arguments)} arguments")
        return lambda given: act(given, *(one(given) for one in arguments))
    if len(arguments) != 1 or name not in (*_FOLDS, *_POINTWISE, "TIME_SERIES"):
        raise Wrong(f"{text!r}: the twin knows no {name} of {len(arguments)} arguments")
    only = arguments[0]
    if name == "TIME_SERIES":
        return lambda given: _series(only(given), given)
    if name in _POINTWISE:
        return _each(lambda a, b: _POINTWISE[name](a), only, _constant(0.0))
    return lambda given: _fold(_FOLDS[name], only(given))


_FOLDS: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "MAX": max,
    "MIN": min,
    "AVG": lambda values: sum(values) / len(values),
}
_POINTWISE: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}


def _fold(fold: Callable[[list[float]], float], value: Value) -> Value:
    """Join the series of a list point by point, whichever of them has one; a single series becomes a number."""
    if isinstance(value, list):
        seconds = sorted({at for one in value for at in one})
        return {at: float(fold([one[at] for one in value if at in one])) for at in seconds}
    if isinstance(value, dict):
        return float(fold(list(value.values()))) if value else {}
    return value


def _fill(given: Given, value: Value, filler: Value) -> Value:
    if isinstance(value, list):
        return [_filled(given, one, filler) for one in value]
    return _filled(given, value, filler) if isinstance(value, dict) else value


def _filled(given: Given, series: Series, filler: Value) -> Series:
    if isinstance(filler, list):
        raise Wrong("FILL fills with a number, a series or REPEAT")
    found: Series = {}
    last: float | None = None
    for at in given.seconds if series else ():
        if at in series:
            last = found[at] = series[at]
        elif isinstance(filler, dict):
            found |= {at: filler[at]} if at in filler else {}
        elif not math.isnan(filler):
            found[at] = filler
        elif last is not None:
            found[at] = last
    return found


def _if(given: Given, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    if isinstance(condition, list) or isinstance(then, list) or isinstance(otherwise, list):
        raise Wrong("IF takes series and numbers")
    if not isinstance(condition, dict):
        chosen = then if condition else otherwise
        return {} if chosen is None else chosen
    found: Series = {}
    for at, true in condition.items():
        chosen = then if true else otherwise
        if isinstance(chosen, dict):
            found |= {at: chosen.get(at, 0.0)} if true or at in chosen else {}
        elif chosen is not None:
            found[at] = chosen
    return found


def _metrics(given: Given) -> Value:
    return [_series(given.results[id], given) for id in given.metrics]


def _period(given: Given, value: Value) -> Value:
    return float(given.period)


_ACTS: dict[str, tuple[Callable[..., Value], tuple[int, ...]]] = {
    "FILL": (_fill, (2,)),
    "IF": (_if, (2, 3)),
    "METRICS": (_metrics, (0,)),
    "PERIOD": (_period, (1,)),
}
