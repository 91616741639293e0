"""What was said, where and about what: log groups asked by patterns, their lines read, joined and put in order.

A request is followed by its id from the proxy's line over the app's to the statement in PostgreSQL's log.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ratemyunit_ops.errors import Absent, Unreachable
from ratemyunit_ops.model import Frozen, LogEntry, LogGroup, LogLine
from ratemyunit_ops.ports import Clock, Logs

Role = Literal["api", "worker", "proxy", "host", "database", "events"]
ROLES: tuple[Role, ...] = ("api", "worker", "proxy", "host", "database", "events")
GROUPS: dict[Role, LogGroup] = {
    "api": "app",
    "worker": "app",
    "proxy": "proxy",
    "host": "host",
    "database": "database",
    "events": "events",
}
WITH_RELEASE: tuple[Role, ...] = ("api", "worker", "proxy")
WITH_REQUEST: tuple[Role, ...] = ("proxy", "api", "worker", "database")
WAY: tuple[Role, ...] = ("events", "host", *WITH_REQUEST)
ROLE_OF_UNIT: dict[str, Role] = {"rmu-blue": "api", "rmu-green": "api", "rmu-worker": "worker", "haproxy": "proxy"}

OVERLAP = timedelta(seconds=30)
"""A line comes to its group some seconds after it was said, and is found some seconds after that."""
EVERY = timedelta(seconds=2)
PATIENCE = 5
"""So many looks in a row may fail before following ends."""

ACCESS = "ratemyunit.access"
KNOWN = frozenset({"at", "level", "release", "role", "logger", "message", "event", "unit", "request_id", "job"})
# RDS writes this before each line, and lets nobody change it: %t:%r:%u@%d:[%p]:
DATABASE_LINE = re.compile(r"^\S+ \S+ UTC:[^:]*:(?P<who>[^:]*):\[\d+\]:(?P<level>[A-Z]+):\s+(?P<said>.*)", re.DOTALL)
COMMENT = re.compile(r"/\*[^*]*?(?:request_id|job)='([^']+)'[^*]*\*/\s*")
LEVELS = {"LOG": "info", "STATEMENT": "info", "DETAIL": "info", "HINT": "info", "FATAL": "error", "PANIC": "error"}
SHORT = 400


class Asked(Frozen):
    """Which lines are wanted. `request` may be the beginning of an id, of a request or of a job.

    With `news` what goes well all the time is left out: requests that were answered, probes.
    """

    roles: tuple[Role, ...]
    start: datetime
    end: datetime
    newest: int = 100
    release: str = ""
    request: str = ""
    host: str = ""
    units: tuple[str, ...] = ()
    news: bool = False

    def wants(self, entry: LogEntry) -> bool:
        """Tell whether a line is one of those."""
        return (
            entry.role in self.roles
            and self.release in ("", entry.release)
            and entry.request.startswith(self.request)
            and entry.host.startswith(self.host)
            and (not self.units or entry.unit in self.units)
            and (not self.news or is_news(entry))
        )


def is_news(entry: LogEntry) -> bool:
    """Tell whether a line says something that is not said all the time."""
    if entry.unit == "rmu-vitals":
        return entry.fields.get("ok") is False
    if entry.fields.get("logger") == ACCESS:
        return int(entry.fields.get("status", 0)) >= 500
    return True


def patterns(asked: Asked) -> dict[LogGroup, str]:
    """Say what to ask each group, so that it sends only what is wanted; a group that cannot know is not asked."""
    roles = [r for r in asked.roles if not asked.request or r in WITH_REQUEST]
    roles = [r for r in roles if not asked.release or r in WITH_RELEASE]
    found: dict[LogGroup, str] = {}
    for group in dict.fromkeys(GROUPS[role] for role in roles):
        conditions = [f'$.release = "{asked.release}"'] if asked.release else []
        if asked.news and group == "app":
            conditions.append(f'($.logger NOT EXISTS || $.logger != "{ACCESS}" || $.status >= 500)')
        if group == "database":
            # The comment that the app puts before a statement; a term in quotes is looked for as it is.
            found[group] = f'"\'{asked.request}"' if asked.request else ""
            continue
        if asked.request:
            names = ("$.request_id", "$.job") if group == "app" else ("$.request_id",)
            either = " || ".join(f'{name} = "{asked.request}*"' for name in names)
            conditions.append(f"({either})")
        found[group] = f"{{ {' && '.join(conditions)} }}" if conditions else ""
    return found


def newest(logs: Logs, asked: Asked) -> tuple[LogEntry, ...]:
    """Read the newest lines that are wanted, in the order they were said.

    Raises Absent where there is no group, Refused where one may not be read.
    """
    wanted = (entry for entry in map(read, _lines(logs, asked)) if asked.wants(entry))
    return tuple(in_order(heapq.nlargest(asked.newest, wanted, key=_moment)))


def follow(logs: Logs, clock: Clock, asked: Asked, *, every: timedelta = EVERY) -> Iterator[tuple[LogEntry, ...]]:
    """Read what is wanted again and again, each line once; the first answer holds the newest that are there."""
    seen: dict[tuple[str, str], datetime] = {}
    start, failed, first = asked.start, 0, True
    while True:
        now = clock.now()
        try:
            found = list(_lines(logs, asked.model_copy(update={"start": start, "end": now + OVERLAP})))
            failed = 0
        except Absent:
            raise
        except Unreachable:
            failed += 1
            if failed == PATIENCE:
                raise
            found = []
        else:
            start = max(asked.start, now - OVERLAP)
        fresh = [line for line in found if (line.place, line.id) not in seen]
        seen = {key: at for key, at in seen.items() if at >= start - OVERLAP}
        seen |= {(line.place, line.id): line.at for line in fresh}
        wanted = in_order(entry for entry in map(read, fresh) if asked.wants(entry))
        yield tuple(wanted[-asked.newest :] if first else wanted)
        first = False
        clock.sleep(every.total_seconds())


def in_order(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """Put lines in the order they were said; of one moment as a request goes: a database tells whole seconds only."""
    return sorted(entries, key=_moment)


def _moment(entry: LogEntry) -> tuple[datetime, int]:
    return entry.at, WAY.index(entry.role)


def _lines(logs: Logs, asked: Asked) -> Iterator[LogLine]:
    """Read the groups that are there; a database that has never logged has none. Raises Absent where none is."""
    absent, there = None, 0
    for group, pattern in patterns(asked).items():
        # Streams of databases are called after the database, not after a host.
        host = "" if group in ("database", "events") else asked.host
        try:
            found = logs.lines([group], start=asked.start, end=asked.end, pattern=pattern, host=host)
        except Absent as why:
            absent = why
            continue
        there += 1
        yield from found
    if absent and not there:
        raise absent


def read(line: LogLine) -> LogEntry:
    """Read one line, whatever it is: JSON of ours, PostgreSQL's, an event of AWS, or plain text."""
    host, _, unit = line.stream.partition("/")
    if line.group == "database":
        return _of_database(line, line.place.split("/")[-2] if line.place.count("/") > 1 else host)
    fields = _object(line.text)
    if line.group == "events":
        return _of_events(line, fields)
    role = ROLE_OF_UNIT.get(unit, "host")
    text, more = _said(role, fields) if fields else (line.text, "")
    return LogEntry(
        at=_at(fields.get("at"), line.at),
        role=role,
        host=host,
        unit=str(fields.get("unit") or unit),
        level=str(fields.get("level", "")),
        release=_word(fields.get("release")),
        request=_word(fields.get("request_id") or fields.get("job")),
        text=text[:SHORT],
        more=more or text[SHORT:],
        fields=fields,
        raw=line.text,
    )


def _of_database(line: LogLine, database: str) -> LogEntry:
    found = DATABASE_LINE.match(line.text)
    said = found["said"] if found else line.text
    level = found["level"] if found else ""
    about = COMMENT.search(said)
    first, _, more = COMMENT.sub("", said).replace("\n\t", "\n").partition("\n")
    return LogEntry(
        at=line.at,
        role="database",
        host=database,
        level=LEVELS.get(level, level.lower()),
        request=about[1] if about else "",
        text=f"{level}: {first}"[:SHORT] if found else first[:SHORT],
        more=f"{first[SHORT:]}\n{more}".strip(),
        fields={"who": found["who"]} if found else {},
        raw=line.text,
    )


def _of_events(line: LogLine, fields: dict[str, Any]) -> LogEntry:
    detail = fields.get("detail") or {}
    words = (fields.get("detail-type"), detail.get("SourceIdentifier") or detail.get("AutoScalingGroupName"))
    message = detail.get("Message") or detail.get("StatusMessage") or detail.get("Description")
    return LogEntry(
        at=_at(fields.get("time"), line.at),
        role="events",
        host=str(fields.get("source", "")),
        text=" · ".join(str(word) for word in (*words, message) if word)[:SHORT] or line.text[:SHORT],
        fields=fields,
        raw=line.text,
    )


def _said(role: Role, fields: dict[str, Any]) -> tuple[str, str]:
    """Say a line of ours in one line for people, and what is too long for it."""
    more = str(fields.get("exception") or "")
    if role == "proxy" and "status" in fields:
        words = (fields.get("method"), fields.get("path"), fields["status"], f"{fields.get('total_ms')} ms")
        away = (
            "" if fields.get("state", "").startswith("--") or not fields.get("state") else f" ended {fields['state']}"
        )
        return " ".join(str(word) for word in words) + away, more
    if fields.get("logger") == ACCESS:
        return f"{fields.get('method')} {fields.get('path')} {fields.get('status')} {fields.get('ms')} ms", more
    if "request" in fields and isinstance(fields.get("answer"), dict):
        return _of_request(fields["request"], fields["answer"]), more
    if isinstance(fields.get("boot"), dict):
        return f"boot {_pairs(fields['boot'])}", more
    head = fields.get("message") or fields.get("event") or ""
    if fields.get("unit"):
        head = f"{fields['unit']}: {head}"
    rest = {name: value for name, value in fields.items() if name not in KNOWN and name != "exception"}
    return f"{head} {_pairs(rest)}".strip(), more


def _of_request(request: dict[str, Any], answer: dict[str, Any]) -> str:
    """Say one request of rmu to a host, and how it ended."""
    words = (
        request.get("verb"),
        request.get("release"),
        answer.get("outcome"),
        answer.get("why"),
        answer.get("detail"),
    )
    return " ".join(str(word) for word in words if word) + f" ({answer.get('seconds')} s, run {request.get('run')})"


def _pairs(fields: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items() if not isinstance(value, dict | list))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _at(said: Any, came: datetime) -> datetime:
    """Take the line's own word for when it was said: a number of seconds, or ISO with its zone."""
    try:
        own = datetime.fromtimestamp(said, UTC) if isinstance(said, int | float) else datetime.fromisoformat(str(said))
    except (ValueError, OverflowError):
        return came
    return own.astimezone(UTC) if own.tzinfo else came


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value != "-" else ""


def from_journal(host: str, unit: str, texts: Sequence[str], came: datetime) -> tuple[LogEntry, ...]:
    """Read what a host's own journal said of a unit."""
    lines = (
        LogLine(id=str(n), at=came, group="app", place="journal", stream=f"{host}/{unit}", text=text)
        for n, text in enumerate(texts)
    )
    return tuple(map(read, lines))
