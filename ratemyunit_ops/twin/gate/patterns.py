"""CloudWatch Logs' filter patterns: JSON conditions, terms and regular expressions. Patterns by space are refused.

What a pattern means is as AWS writes it down (logs user guide, "Filter pattern syntax"): a condition on a field that is
not there is false, also with `!=`; `IS TRUE` means JSON's true and no string.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Test = Callable[[str], bool]
Condition = Callable[[Any], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<selector>\$(?:\.[\w@-]+|\[\d+\]|\['[^']*'\]|\["[^"]*"\])*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<regex>%[^%]*%)
      | (?P<sign>&&|\|\||!=|<=|>=|=|<|>|\(|\))
      | (?P<word>[^\s()&|=<>!"]+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"\.([\w@-]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|(\S+))')
ABSENT = object()


class PatternWrong(ValueError):
    """A pattern that AWS would not take, or that the twin does not know."""


def compiled(pattern: str) -> Test:
    """Make the test of a message. An empty pattern matches everything.

    Raises PatternWrong.
    """
    text = pattern.strip()
    if not text:
        return lambda _: True
    if text.startswith("["):
        raise PatternWrong("patterns by space are not known here")
    if not text.startswith("{"):
        return _terms(text)
    if not text.endswith("}"):
        raise PatternWrong(f"no closing brace: {pattern}")
    condition = _Parser(text[1:-1]).whole()
    return lambda message: condition(_object(message))


def at(value: Any, selector: str) -> Any:
    """Find what a selector names in a JSON value; ABSENT where there is nothing."""
    for name, index, quoted, double in _STEP.findall(selector[1:]):
        key = name or quoted or double
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif not index and isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return ABSENT
    return value


def object_of(message: str) -> Any:
    """Read a message's JSON object; None where it is none."""
    try:
        value = json.loads(message)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _object(message: str) -> Any:
    found = object_of(message)
    return ABSENT if found is None else found


class _Parser:
    """One condition: comparisons, `&&` before `||`, parentheses."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._here = 0

    def whole(self) -> Condition:
        """Read all of it."""
        condition = self._either()
        if self._here < len(self._tokens):
            raise PatternWrong(f"not expected: {self._tokens[self._here][1]}")
        return condition

    def _either(self) -> Condition:
        sides = [self._both()]
        while self._take("||"):
            sides.append(self._both())
        return lambda value: any(side(value) for side in sides)

    def _both(self) -> Condition:
        sides = [self._one()]
        while self._take("&&"):
            sides.append(self._one())
        return lambda value: all(side(value) for side in sides)

    def _one(self) -> Condition:
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return inner
        kind, selector = self._next()
        if kind != "selector":
            raise PatternWrong(f"a selector ($.x) was expected, not {selector}")
        kind, word = self._next()
        if kind == "word":
            return self._is(selector, word.upper())
        if kind != "sign" or word in ("(", ")", "&&", "||"):
            raise PatternWrong(f"a comparison was expected, not {word}")
        return _comparison(selector, word, *self._next())

    def _is(self, selector: str, word: str) -> Condition:
        second = self._next()[1].upper()
        if (word, second) == ("NOT", "EXISTS"):
            return lambda value: value is not ABSENT and at(value, selector) is ABSENT
        wanted = {"TRUE": True, "FALSE": False, "NULL": None}
        if word != "IS" or second not in wanted:
            raise PatternWrong(f"not known: {word} {second}")
        return lambda value: at(value, selector) is wanted[second]

    def _take(self, sign: str) -> bool:
        if self._here < len(self._tokens) and self._tokens[self._here] == ("sign", sign):
            self._here += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise PatternWrong(f"{sign} was expected")

    def _next(self) -> tuple[str, str]:
        if self._here >= len(self._tokens):
            raise PatternWrong("it ends too early")
        self._here += 1
        return self._tokens[self._here - 1]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    here = 0
    while text[here:].strip():
        found = _TOKEN.match(text, here)
        if not found or not found.lastgroup:
            raise PatternWrong(f"cannot be read: {text[here:]}")
        yield found.lastgroup, found.group(found.lastgroup)
        here = found.end()


def _comparison(selector: str, sign: str, kind: str, word: str) -> Condition:
    number = _number(word) if kind == "word" else None
    if sign in ("=", "!="):
        same = _same(kind, word, number)
        return lambda value: (found := at(value, selector)) is not ABSENT and same(found) is (sign == "=")
    if number is None:
        raise PatternWrong(f"{sign} wants a number, not {word}")
    order: dict[str, Callable[[float], bool]] = {
        "<": lambda n: n < number,
        ">": lambda n: n > number,
        "<=": lambda n: n <= number,
        ">=": lambda n: n >= number,
    }
    return lambda value: _is_number(found := at(value, selector)) and order[sign](found)


def _same(kind: str, word: str, number: float | None) -> Condition:
    if kind == "regex":
        shape = re.compile(word[1:-1])
        return lambda found: isinstance(found, str) and shape.search(found) is not None
    if number is not None:
        return lambda found: found == number if _is_number(found) else found == word
    text = json.loads(word) if kind == "string" else word
    wild = re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)
    return lambda found: isinstance(found, str) and wild.fullmatch(found) is not None


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _terms(text: str) -> Test:
    """All plain terms, none of those with a minus; or, where all have a question mark, any."""
    needed, any_of, without = list[Test](), list[Test](), list[Test]()
    for sign, quoted, regex, word in _TERM.findall(text):
        which = {"": needed, "?": any_of, "-": without}[sign]
        which.append(_term(re.sub(r"\\(.)", r"\1", quoted) or word, regex))

    def matches(message: str) -> bool:
        wanted = all(t(message) for t in needed) if needed else not any_of or any(t(message) for t in any_of)
        return wanted and not any(t(message) for t in without)

    return matches


def _term(word: str, regex: str) -> Test:
    if regex:
        shape = re.compile(regex)
        return lambda message: shape.search(message) is not None
    return lambda message: word in message
