"""From a question of a runbook to one that can be asked: inputs in their places, as whole values, checked by kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Database, Frozen
from ratemyunit_ops.runbooks.schema import Asked, Check, Deed, Done, Existing, Input, Read, Remedy, Runbook, Source

INPUT = re.compile(r"\$([a-z][a-z0-9_]{0,39})")
VARIABLE = re.compile(r"(?<!:):'([a-z][a-z0-9_]{0,39})'")
FORMS = {
    "host": re.compile(r"i-[0-9a-z]{1,32}"),
    "database": re.compile(r"[a-z][a-z0-9-]{0,62}"),
    "release": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"),
    "run": re.compile(r"r-[0-9A-Za-z-]{1,60}"),
    # 1 is the first process of all, and the largest one that Linux gives is 2^22.
    "pid": re.compile(r"[2-9]|[1-9][0-9]{1,6}"),
    # What begins with a dash would be an option of the command that it is handed to.
    "text": re.compile(r"[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,199}"),
}


class Look(Frozen):
    """One question with nothing left to fill in: what a step keeps in the journal."""

    check: str
    says: str
    command: tuple[str, ...] | None = None
    sql: str | None = None
    source: Source | None = None
    variables: dict[str, str] = {}  # noqa: RUF012  (a pydantic field: each look gets its own)
    host: str = ""
    database: Database | None = None
    exits: tuple[int, ...] = (0,)
    deadline: timedelta = timedelta(seconds=30)
    minutes: int = 15
    environment: str = ""
    reads: dict[str, Read] = {}  # noqa: RUF012


def checked(name: str, asked: Input, value: str | int) -> str:
    """Answer a value that is of its input's kind. Raises Mistyped."""
    text = str(value)
    if asked.kind == "choice":
        fits, form = text in asked.of, f"one of {', '.join(asked.of)}"
    else:
        fits, form = FORMS[asked.kind].fullmatch(text) is not None, f"a {asked.kind}"
    if not fits:
        raise Mistyped(f"input {name}: {text!r} is not {form}", next=f"--input {name}=VALUE   ({asked.says})")
    return text


def uses(asked: Asked) -> tuple[str, ...]:
    """Name the inputs that a question needs, in the order they occur."""
    told = (asked.prints, asked.prints_not) if isinstance(asked, Done) else ()
    found = [m[1] for word in (*(asked.command or ()), *told) if word and (m := INPUT.fullmatch(word))]
    found += VARIABLE.findall(asked.sql or "")
    host = asked.on or ("host" if asked.command else None)
    database = asked.database or ("database" if asked.sql else None)
    return tuple(dict.fromkeys([*(name for name in (host, database) if name), *found]))


def questions(step: Deed | Existing) -> list[Asked]:
    """List what a step asks: what it does, how it tells that it is done, what takes it back."""
    if isinstance(step, Existing):
        return []
    back = [step.undo, step.undo.done] if step.undo else []
    return [one for one in (step, step.done, *back) if one is not None]


def needs(remedy: Remedy) -> tuple[str, ...]:
    """Name the inputs that a remedy needs; what its proof needs, the diagnosis has found."""
    words = [*(remedy.verb or ())]
    for step in remedy.steps:
        words += [v for v in step.values.values() if isinstance(v, str)] if isinstance(step, Existing) else []
    found = [m[1] for word in words if (m := INPUT.fullmatch(word))]
    found += [name for step in remedy.steps for asked in questions(step) for name in uses(asked)]
    return tuple(dict.fromkeys(found))


def filled(value: str, inputs: Mapping[str, str]) -> str:
    """Answer an input's value for `$name`, and anything else as it is."""
    found = INPUT.fullmatch(value)
    return inputs[found[1]] if found else value


def bind(asked: Asked, inputs: Mapping[str, str], *, environment: str, name: str = "", says: str = "") -> Look:
    """Fill the inputs in. Raises Mistyped for one that nobody knows."""
    missing = [one for one in uses(asked) if one not in inputs]
    if missing:
        raise Mistyped(f"nobody knows the input {missing[0]}", next=f"--input {missing[0]}=VALUE")
    host = asked.on or ("host" if asked.command else None)
    database = asked.database or ("database" if asked.sql else None)
    check = asked if isinstance(asked, Check) else None
    return Look(
        check=check.name if check else name,
        says=check.says if check else says,
        command=tuple(filled(word, inputs) for word in asked.command) if asked.command else None,
        sql=asked.sql,
        source=asked.facts,
        variables={one: inputs[one] for one in VARIABLE.findall(asked.sql or "")},
        host=inputs[host] if host else "",
        database=Database(identifier=inputs[database]) if database else None,
        exits=asked.exits,
        deadline=asked.deadline,
        minutes=asked.minutes,
        environment=environment,
        reads=check.reads if check else {},
    )


def checks_for(runbook: Runbook, facts: tuple[str, ...]) -> tuple[Check, ...]:
    """List the checks that tell these facts, in the order of the diagnosis."""
    return tuple(check for check in runbook.diagnosis if any(fact in check.reads for fact in facts))
