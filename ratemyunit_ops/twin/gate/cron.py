"""When a schedule fires: `at(...)`, `rate(...)` and `cron(...)`, as EventBridge reads them. Pure."""

import calendar
from datetime import datetime
from zoneinfo import ZoneInfo

_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = tuple(name.upper() for name in calendar.month_abbr)


def due(expression: str, last: float, now: float, *, start: float, zone: str = "UTC") -> bool:
    """Tell whether an expression fires in (last, now].

    Raises ValueError for one that cannot be read.
    """
    kind, _, inside = expression.strip().partition("(")
    inside = inside.rstrip(")")
    if kind == "at":
        moment = datetime.fromisoformat(inside).replace(tzinfo=ZoneInfo(zone)).timestamp()
        return last < moment <= now
    if kind == "rate":
        number, unit = inside.split()
        every = int(number) * _UNITS[unit.rstrip("s")]
        return now >= start and (last < start or int((now - start) // every) > int((last - start) // every))
    if kind == "cron":
        minute = now // 60 * 60
        return last < minute and minute >= start and _named(inside, datetime.fromtimestamp(minute, ZoneInfo(zone)))
    raise ValueError(f"{expression!r} is no schedule")


def _named(fields: str, at: datetime) -> bool:
    """Tell whether the six fields of a cron expression name a minute."""
    minute, hour, day, month, weekday, year = fields.split()
    return (
        _field(minute, at.minute)
        and _field(hour, at.hour)
        and _field(day, at.day, top=calendar.monthrange(at.year, at.month)[1])
        and _field(month, at.month, _MONTHS)
        and _field(weekday, at.isoweekday() % 7 + 1, ("", *_DAYS))
        and _field(year, at.year)
    )


def _field(text: str, value: int, names: tuple[str, ...] = (), top: int | None = None) -> bool:
    return any(_part(part, value, names, top) for part in text.upper().split(","))


def _part(part: str, value: int, names: tuple[str, ...], top: int | None) -> bool:
    if part in ("*", "?"):
        return True
    if part == "L":
        return value == top
    span, _, step = part.partition("/")
    low, _, high = span.partition("-")
    first = 0 if low == "*" else _number(low, names)
    last = _number(high, names) if high else 10_000 if step else first
    return first <= value <= last and (value - first) % int(step or 1) == 0


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text) if text in names else int(text)
