"""What is wrong with a runbook that can be read: names that lead nowhere, types that do not fit, looks that act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ratemyunit_ops.documents import Finding, Place
from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.runbooks.binding import INPUT, checked, needs, uses
from ratemyunit_ops.runbooks.conditions import kind_of
from ratemyunit_ops.runbooks.deeds import of_command, of_regex, of_sql
from ratemyunit_ops.runbooks.reading import Page, read_or_complain
from ratemyunit_ops.runbooks.schema import Asked, Existing, Input, Judged, Read, Remedy, Runbook

Complaint = tuple[Place, str]
KnowsVerb = Callable[[Sequence[str]], str]
"""Says why rmu does not take these words; empty where it does."""


def lint(paths: Sequence[Path], *, names: Sequence[str], knows: KnowsVerb = lambda words: "") -> list[Finding]:
    """Find all that is wrong with runbooks. `names` are those that another one may be referred to by."""
    found: list[Finding] = []
    for path in paths:
        page = read_or_complain(path)
        found += page if isinstance(page, list) else _of(page, names, knows)
    return found


def _of(page: Page, names: Sequence[str], knows: KnowsVerb) -> list[Finding]:
    complaints = [*_inputs(page.runbook), *_diagnosis(page.runbook), *_causes(page.runbook, names, knows)]
    complaints += _remedies(page.runbook, knows)
    return [page.finding(where, what) for where, what in complaints]


def _inputs(r: Runbook) -> Iterator[Complaint]:
    reads = r.reads()
    for name, asked in r.inputs.items():
        where = ("inputs", name)
        if asked.fact is not None and asked.fact not in reads:
            yield (*where, "fact"), f"no check reads {asked.fact}"
        if asked.value is not None:
            yield from _fits((*where, "value"), name, asked, asked.value)
    used = set(_used(r))
    yield from ((("inputs", name), "nothing uses it") for name in r.inputs if name not in used)


def _fits(where: Place, name: str, asked: Input, value: str | int) -> Iterator[Complaint]:
    try:
        checked(name, asked, value)
    except Mistyped as why:
        yield where, why.what


def _used(r: Runbook) -> Iterator[str]:
    for check in r.diagnosis:
        yield from uses(check)
    for remedy in r.remedies:
        yield from needs(remedy)


def _diagnosis(r: Runbook) -> Iterator[Complaint]:
    seen: dict[str, str] = {}
    for n, check in enumerate(r.diagnosis):
        where: Place = ("diagnosis", n)
        yield from _asked(r, where, check, looks=True)
        yield from _known_by_then(r, where, check, seen)
        if check.name in {c.name for c in r.diagnosis[:n]}:
            yield (*where, "name"), f"a check before is called {check.name}, too"
        for name, read in check.reads.items():
            at = (*where, "reads", name)
            if name in seen:
                yield at, f"{seen[name]} reads it already"
            seen[name] = check.name
            if read.regex is not None and (why := of_regex(read.regex)):
                yield (*at, "regex"), why
            if read.otherwise is not None and kind_of(read.otherwise) != read.of_type:
                yield (*at, "else"), f"the fact is a {read.of_type}"
            yield from _place_fits(at, read, check)


def _place_fits(at: Place, read: Read, check: Asked) -> Iterator[Complaint]:
    if read.column is not None and check.sql is None:
        yield (*at, "column"), "columns are read of sql"
    if (read.regex is not None or read.exit is not None) and check.command is None:
        yield at, "regex and exit are read of a command"
    if read.path is not None and check.sql is not None:
        yield (*at, "path"), "sql answers rows: read a column"


def _known_by_then(r: Runbook, where: Place, check: Asked, seen: dict[str, str]) -> Iterator[Complaint]:
    for name in uses(check):
        fact = r.inputs[name].fact if name in r.inputs else None
        if fact is not None and fact not in seen:
            yield where, f"the input {name} comes from {fact}, which is read later"


def _asked(r: Runbook, where: Place, asked: Asked, *, looks: bool) -> Iterator[Complaint]:
    changes = not looks and bool(asked.changes)
    if asked.command is not None and (why := of_command(asked.command, changes=changes)):
        yield (*where, "command"), why
    if asked.sql is not None and (why := of_sql(asked.sql, changes=changes, inputs=tuple(r.inputs))):
        yield (*where, "sql"), why
    for name in uses(asked):
        if name not in r.inputs:
            yield where, f"there is no input {name}"
    for key, kind in (("on", "host"), ("database", "database")):
        named = getattr(asked, key) or kind
        if named in uses(asked) and named in r.inputs and r.inputs[named].kind != kind:
            yield (*where, key), f"{named} is no {kind}"


def _causes(r: Runbook, names: Sequence[str], knows: KnowsVerb) -> Iterator[Complaint]:
    for n, cause in enumerate(r.causes):
        where: Place = ("causes", n)
        yield from _judged(r, where, cause)
        for name in cause.remedies:
            if r.remedy(name) is None:
                yield (*where, "remedies"), f"there is no remedy {name}"
        if not cause.remedies and cause.see is None and not cause.advice:
            yield where, "what then? name remedies, another runbook under see, or advice"
        yield from (((*where, "commands", n), why) for n, why in _typed(cause.commands, knows))
        if cause.see is not None and (cause.see == r.name or cause.see not in names):
            yield (*where, "see"), f"there is no other runbook {cause.see}"
    offered = {name for cause in r.causes for name in cause.remedies}
    for n, remedy in enumerate(r.remedies):
        if remedy.name not in offered:
            yield ("remedies", n, "name"), f"no cause offers {remedy.name}"


def _typed(commands: Sequence[str], knows: KnowsVerb) -> Iterator[tuple[int, str]]:
    for n, command in enumerate(commands):
        program, *words = command.split()
        if why := knows(words) if program == "rmu" else "a command that a person types is one of rmu":
            yield n, why


def _judged(r: Runbook, where: Place, judged: Judged) -> Iterator[Complaint]:
    reads = r.reads()
    for key in ("all", "any", "none"):
        for n, condition in enumerate(getattr(judged, key)):
            at = (*where, key, n)
            if condition.fact not in reads:
                yield at, f"no check reads {condition.fact}"
            elif why := condition.complaint(reads[condition.fact].of_type):
                yield at, why


def _remedies(r: Runbook, knows: KnowsVerb) -> Iterator[Complaint]:
    for n, remedy in enumerate(r.remedies):
        where: Place = ("remedies", n)
        if remedy.name in {one.name for one in r.remedies[:n]}:
            yield (*where, "name"), f"a remedy before is called {remedy.name}, too"
        if remedy.verb is not None:
            yield from _verb(r, (*where, "verb"), remedy.verb, knows)
        yield from _steps(r, where, remedy)
        if remedy.only is not None:
            yield from _judged(r, (*where, "only"), remedy.only)
        if remedy.proof is not None:
            yield from _judged(r, (*where, "proof"), remedy.proof)


def _verb(r: Runbook, where: Place, verb: Sequence[str], knows: KnowsVerb) -> Iterator[Complaint]:
    names = [m[1] for word in verb if (m := INPUT.fullmatch(word))]
    yield from ((where, f"there is no input {name}") for name in names if name not in r.inputs)
    if any("$" in word and not INPUT.fullmatch(word) for word in verb):
        yield where, "an input is a whole word, as $name"
    if why := knows([INPUT.sub("X", word) for word in verb]):
        yield where, why


def _steps(r: Runbook, where: Place, remedy: Remedy) -> Iterator[Complaint]:
    for n, step in enumerate(remedy.steps):
        at: Place = (*where, "steps", n)
        if isinstance(step, Existing):
            wanted = [m[1] for v in step.values.values() if isinstance(v, str) and (m := INPUT.fullmatch(v))]
            yield from (((*at, "with"), f"there is no input {name}") for name in wanted if name not in r.inputs)
            continue
        yield from _asked(r, at, step, looks=False)
        if step.done is not None:
            yield from _asked(r, (*at, "done"), step.done, looks=True)
        if step.undo is not None:
            yield from _asked(r, (*at, "undo"), step.undo, looks=False)
            if step.undo.done is not None:
                yield from _asked(r, (*at, "undo", "done"), step.undo.done, looks=True)
