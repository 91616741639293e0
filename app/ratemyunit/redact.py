"""What no log line may hold: passwords, tokens, cookies, authorization, e-mail addresses, what people wrote and where
they are. Every line passes here once.

Names decide first: whatever a field called `password` holds is gone. Then shapes, inside any text: credentials in a
URL, `Authorization: ...`, `token=...`, an address. A long text loses its middle, once it is clean: how a traceback ends
says most, and what a cut leaves of a secret has no shape.

No shape may begin anew at each place of a text and look from there to its end: that takes the square of its length.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

GONE = "[redacted]"
LONGEST = 4000
MOST = 64 * 1024
"""So much of a text is looked at."""
DEEPEST = 6

WORDS = r"(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|private[-_]?key|credentials?|authorization|cookie)"
PERSONAL = r"(?:e-?mail|comment|search|x-real-ip|x-forwarded-for|client(?:_address)?|remote_addr|ip)"
NAMES = re.compile(rf"(?:^|[-_.]){WORDS}s?(?:$|[-_.])|^(?:pwd|session[-_]?id|csrf\w*|{PERSONAL})$", re.IGNORECASE)


def _password(found: re.Match[str]) -> str:
    return f"{found[1]}{GONE}@" if found[2] else found[0]


SHAPES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # scheme://user:password@host; what proves to have no @ is passed over in one.
    (re.compile(r"(://[^\s/:@]*:)[^\s@\"']+(@)?"), _password),
    # A header to the end of its line: a cookie holds spaces and semicolons.
    (re.compile(r"\b((?:set-)?cookie|(?:proxy-)?authorization)(\s*:\s*)[^\r\n\"']+", re.IGNORECASE), rf"\1\2{GONE}"),
    (re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {GONE}"),
    # name=value, name: value, "name": "value", however the name begins; `token_count=3` is no token.
    (
        re.compile(rf"({WORDS}[\"']?\s*[=:]\s*)(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&\"'{{}}\[\]]+)", re.IGNORECASE),
        rf"\1{GONE}",
    ),
    # Below what it complains of PostgreSQL tells the row, whose values may have lines of their own.
    (
        re.compile(r"^([ \t]*DETAIL:).*(?:\n(?![ \t]*(?:HINT|CONTEXT|LINE \d|\[SQL|\(Background)).*)*", re.MULTILINE),
        rf"\1 {GONE}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]+)*"), GONE),
    (re.compile(r"[\w.+-]{1,64}+@[\w-]+(?:\.[\w-]+)+"), "[e-mail]"),
)


def redact(line: Mapping[str, Any]) -> dict[str, Any]:
    """Take out of a line's fields what must not be kept."""
    return {name: GONE if NAMES.search(name) else _clean(value, 1) for name, value in line.items()}


def clean(text: str) -> str:
    """Take secrets and addresses out of a text, and cut it."""
    seen = _whole_lines(text)
    for shape, instead in SHAPES:
        seen = shape.sub(instead, seen)
    left_out = len(seen) - LONGEST
    return seen if left_out <= 0 else f"{seen[: LONGEST // 4]} [{left_out} left out] {seen[-LONGEST * 3 // 4 :]}"


def _whole_lines(text: str) -> str:
    """Take as much of a text as is looked at: its ends, without the lines that are torn."""
    if len(text) <= MOST:
        return text
    head, _, _ = text[: MOST // 4].rpartition("\n")
    _, _, tail = text[-MOST * 3 // 4 :].partition("\n")
    return f"{head}\n[{len(text) - len(head) - len(tail)} left out]\n{tail}"


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
