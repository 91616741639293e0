"""What no log line may hold: passwords, tokens, cookies, authorization, e-mail addresses, what people wrote and where
they are. Every line passes here once.

Names decide first: whatever a field called `password` holds is gone. Then shapes, inside any text: credentials in a
URL, `Authorization: ...`, `token=...`, an address. A long text loses its middle: how a traceback ends says most.
"""

import re
from collections.abc import Mapping
from typing import Any

GONE = "[redacted]"
LONGEST = 4000
DEEPEST = 6

WORDS = r"(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|private[-_]?key|credentials?|authorization|cookie)"
PERSONAL = r"(?:e-?mail|comment|search|x-real-ip|x-forwarded-for|client(?:_address)?|remote_addr|ip)"
NAMES = re.compile(rf"(?:^|[-_.]){WORDS}s?(?:$|[-_.])|^(?:pwd|session[-_]?id|csrf\w*|{PERSONAL})$", re.IGNORECASE)

SHAPES = (
    # scheme://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@\"']+(@)", re.IGNORECASE), rf"\1{GONE}\2"),
    # A header to the end of its line: a cookie holds spaces and semicolons.
    (re.compile(r"\b((?:set-)?cookie|(?:proxy-)?authorization)(\s*:\s*)[^\r\n\"']+", re.IGNORECASE), rf"\1\2{GONE}"),
    (re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {GONE}"),
    # name=value, name: value, "name": "value"; `token_count=3` is no token.
    (
        re.compile(rf"\b([\w-]*{WORDS})([\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&\"'{{}}\[\]]+)", re.IGNORECASE),
        rf"\1\2{GONE}",
    ),
    # Below what it complains of PostgreSQL tells the row, whose values may have lines of their own.
    (
        re.compile(r"^(\s*DETAIL:).*(?:\n(?!\s*(?:HINT|CONTEXT|LINE \d|\[SQL|\(Background)).*)*", re.MULTILINE),
        rf"\1 {GONE}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), GONE),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[e-mail]"),
)


def redact(line: Mapping[str, Any]) -> dict[str, Any]:
    """Take out of a line's fields what must not be kept."""
    return {name: GONE if NAMES.search(name) else _clean(value, 1) for name, value in line.items()}


def clean(text: str) -> str:
    """Take secrets and addresses out of a text, and cut it."""
    left_out = len(text) - LONGEST
    cut = text if left_out <= 0 else f"{text[: LONGEST // 4]} [{left_out} left out] {text[-LONGEST * 3 // 4 :]}"
    for shape, instead in SHAPES:
        cut = shape.sub(instead, cut)
    return cut


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > DEEPEST:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {str(n): GONE if NAMES.search(str(n)) else _clean(v, depth + 1) for n, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(one, depth + 1) for one in value]
    return clean(str(value))
