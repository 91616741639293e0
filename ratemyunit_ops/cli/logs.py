"""`rmu logs`: what was said, across hosts, also those that are gone; from log groups, else from the hosts' journals."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratemyunit_ops.cli.options import AsJson, Env
from ratemyunit_ops.errors import Absent, Mistyped, Refused

if TYPE_CHECKING:
    from ratemyunit_ops.cli.wire import Wired
    from ratemyunit_ops.model import LogEntry
    from ratemyunit_ops.reports.logs import Asked

DEFAULT = ("api", "worker", "host")
ALSO = {"live": "api", "blue": "api", "green": "api", "boot": "host"}
"""Names that mean a part of a role."""
SLOTS = {"blue", "green"}
UNITS = {"blue": ("rmu-blue",), "green": ("rmu-green",), "boot": ("host", "user-data", "rmu-boot")}
WORD = re.compile(r"[A-Za-z0-9._-]+")
SHORTEST_ID = 8


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Show what was said: app, worker, proxy, hosts, database.")(logs)


def logs(
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", help="api, worker, proxy, host, database, events; or live, blue, green, boot. Repeat it."
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", help="'12m' ago, or a moment with its zone.")] = "15m",
    until: Annotated[str | None, typer.Option("--until", help="The same; else now.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="From this run's beginning to its end.")] = None,
    release: Annotated[str, typer.Option("--release", help="Only lines of this release.")] = "",
    request: Annotated[str, typer.Option("--request", help="Only this request (or job), from proxy to SQL.")] = "",
    host: Annotated[str, typer.Option("--host", help="Only this host, or the beginning of its id.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of the newest.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest lines of app, worker and hosts, or those that are asked for, in the order they were said.

    Example: rmu logs --since 12m --role api --role proxy --release v42
    """
    from ratemyunit_ops.cli.wire import wire

    w = wire(env, as_json=as_json)
    begin, end = _times(w, since, until, run)
    asked = _asked(w, role or [], begin, end, release=release, request=request, host=host, newest=lines)
    if follow:
        _follow(w, asked)
    else:
        _show(w, asked)


def _times(w: Wired, since: str, until: str | None, run: str | None) -> tuple[datetime, datetime]:
    from ratemyunit_ops.records import read_header

    now = w.outside.clock.now()
    if run is not None:
        header = read_header(w.outside.ledger, run)
        if header is None:
            raise Mistyped(f"there is no run {run}", next="rmu history")
        # What a run set going is said a little later.
        return header.started, (header.finished + timedelta(seconds=30) if header.finished else now)
    begin, end = _time(since, now), _time(until, now) if until else now
    if begin >= end:
        raise Mistyped("--since is not before --until", next="rmu logs --since 30m --until 10m")
    return begin, end


def _time(text: str, now: datetime) -> datetime:
    from ratemyunit_ops.planning.restore import read_time

    try:
        return read_time(re.sub(r"^(\d+\s*[smhd])$", r"\1 ago", text.strip()), now)
    except Mistyped as why:
        raise Mistyped(why.what, next="rmu logs --since 12m   (or --since '2026-11-27 14:05 UTC')") from why


def _asked(w: Wired, names: list[str], begin: datetime, end: datetime, **words: Any) -> Asked:
    """Put together which lines are wanted. Raises Mistyped where no line could be."""
    from ratemyunit_ops.reports.logs import WITH_RELEASE, WITH_REQUEST, Asked

    _well_formed(names, words)
    if "live" in names and not words["release"]:
        words["release"] = _live(w)
    default = WITH_REQUEST if words["request"] else WITH_RELEASE if words["release"] else DEFAULT
    roles = tuple(dict.fromkeys(ALSO.get(name, name) for name in names)) or default
    for role in roles:
        for option, may in (("release", WITH_RELEASE), ("request", WITH_REQUEST)):
            if words[option] and role not in may:
                raise Mistyped(f"lines of {role} belong to no {option}", next=f"rmu logs --role {role} --since 12m")
    slots = tuple(UNITS[name][0] for name in names if name in SLOTS) if set(names) <= SLOTS else ()
    units = UNITS["boot"] if names == ["boot"] else slots
    news = not (names or words["request"] or words["release"])
    return Asked.model_validate({"roles": roles, "start": begin, "end": end, "units": units, "news": news, **words})


def _well_formed(names: list[str], words: dict[str, Any]) -> None:
    from ratemyunit_ops.reports.logs import ROLES

    known = (*ROLES, *ALSO)
    for name in names:
        if name not in known:
            raise Mistyped(f"there is no role {name} (there are: {', '.join(known)})", next="rmu logs --role api")
    # They become part of a pattern.
    for option in ("release", "request", "host"):
        if words[option] and not WORD.fullmatch(words[option]):
            raise Mistyped(f"“{words[option]}” is no {option}", next=f"rmu logs --{option} {option.upper()}")
    if 0 < len(words["request"]) < SHORTEST_ID:
        raise Mistyped(
            f"“{words['request']}” is too short to tell requests apart",
            next=f"rmu logs --request ID   (at least its first {SHORTEST_ID} characters)",
        )


def _live(w: Wired) -> str:
    from ratemyunit_ops.records import read_pointer

    live = read_pointer(w.outside.ledger).release
    if live is None:
        raise Refused("nothing is live here", next="rmu logs --role host")
    return live


def _show(w: Wired, asked: Asked) -> None:
    from ratemyunit_ops.cli.journals import JOURNALS, from_journals
    from ratemyunit_ops.reports.logs import newest

    source = "groups"
    try:
        entries = newest(w.outside.logs, asked)
    except (Absent, Refused) as why:
        if not set(asked.roles) & set(JOURNALS):
            raise
        w.screen.note(f"the log groups cannot be read ({why.what}); asking the hosts' own journals over SSM")
        source, entries = "journal", from_journals(w, asked)
    by_host: dict[str, list[str]] = {}
    for entry in entries:
        by_host.setdefault(entry.host, []).append(entry.raw)
    document = {"source": source, "lines": [_document(entry) for entry in entries], "logs": by_host}
    nothing = [f"no such line between {asked.start:%H:%M:%S} and {asked.end:%H:%M:%S} UTC"]
    w.screen.result(document, list(w.screen.log_lines(asked.end).spell(entries)) or nothing)


def _follow(w: Wired, asked: Asked) -> None:
    from ratemyunit_ops.reports.logs import follow

    spelling = w.screen.log_lines(asked.end)
    try:
        for entries in follow(w.outside.logs, w.outside.clock, asked):
            for entry in entries if w.screen.as_json else ():
                w.screen.json_line(_document(entry))
            w.screen.lines([] if w.screen.as_json else spelling.spell(entries))
    except Absent as why:
        raise Refused(f"there is nothing to follow: {why.what}", next="rmu logs   (asks the hosts themselves)") from why
    except KeyboardInterrupt:
        return  # that is how following ends


def _document(entry: LogEntry) -> dict[str, Any]:
    return {**entry.model_dump(mode="json", exclude={"raw", "more"}), "line": entry.raw}
