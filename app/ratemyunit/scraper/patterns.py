"""Patterns that people give, on RE2: the time to match grows with the text alone, never with the pattern's cunning."""

from functools import lru_cache
from typing import Any

import re2

LONGEST_PATTERN = 300
# A counted repetition inside another grows the program; past this RE2 refuses the pattern.
MOST_MEMORY = 1 << 20


class PatternRefused(ValueError):
    """RE2 does not take the pattern; the message says why."""


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Any:
    """Compile a pattern.

    Raises:
        PatternRefused: it is too long, malformed, too big, or uses what only backtracking can match.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise PatternRefused(f"a pattern has at most {LONGEST_PATTERN} characters")
    options = re2.Options()
    options.max_mem, options.log_errors = MOST_MEMORY, False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as why:
        said = why.args[0] if why.args else ""
        raise PatternRefused(f"the pattern is refused: {said.decode() if isinstance(said, bytes) else said}") from why


def matches(pattern: str, text: str) -> bool:
    """Tell whether the pattern is found in the text; an empty pattern is found in any."""
    return compiled(pattern).search(text) is not None


def taken(pattern: str, text: str) -> str:
    """Take out of a text what the pattern's first group matched, or all of the match; without a pattern, the text."""
    if not pattern:
        return text
    found = compiled(pattern).search(text)
    if found is None:
        return ""
    return found.group(1 if compiled(pattern).groups else 0) or ""
