"""Ranges of unit codes, such as COMP1000-1999: counted before anything is made of them."""

import re
from collections.abc import Iterator

MOST = 2_000
RANGE = re.compile(r"([A-Z]{2,8})([0-9]{1,9})-([0-9]{1,9})")
PLACE = "{code}"


class RangeRefused(ValueError):
    """The range is malformed, runs backwards, or is too wide; the message says which."""


def urls(template: str, span: str) -> Iterator[str]:
    """Spell the URL of every code in the range: `https://h.example/{code}` over `COMP1000-1999`.

    Raises:
        RangeRefused: at once, before the first URL is asked for.
    """
    if template.count(PLACE) != 1:
        raise RangeRefused(f"the address of a range has {PLACE} in it once")
    subject, first, last, width = _bounds(span)
    return (template.replace(PLACE, f"{subject}{number:0{width}}") for number in range(first, last + 1))


def count(span: str) -> int:
    """Count the codes of a range without spelling them.

    Raises:
        RangeRefused: it is no range that may be scraped.
    """
    _, first, last, _ = _bounds(span)
    return last - first + 1


def _bounds(span: str) -> tuple[str, int, int, int]:
    # [0-9] and nine digits: no sign, no other script's digits, and no number that is slow to read.
    found = RANGE.fullmatch(span)
    if not found:
        raise RangeRefused("a range is a subject and two numbers, as in COMP1000-1999")
    subject, low, high = found.groups()
    first, last = int(low), int(high)
    if last < first:
        raise RangeRefused("the range runs backwards")
    if last - first >= MOST:
        raise RangeRefused(f"the range holds {last - first + 1} codes; at most {MOST} may be asked for at once")
    return subject, first, last, len(low)
