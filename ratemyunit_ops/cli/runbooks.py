"""What `rmu runbook` does. A diagnosis takes no lease and changes nothing; a remedy is a run like any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typer

from ratemyunit_ops import __version__
from ratemyunit_ops.cli.carrying import Asked, carry_out, new_run_id
from ratemyunit_ops.cli.incidents import note_evidence, open_incident_lines
from ratemyunit_ops.cli.moves import resumed_own_dead_run
from ratemyunit_ops.cli.wire import Wired, right_account, wire
from ratemyunit_ops.documents import Unreadable
from ratemyunit_ops.errors import Failed, Mistyped, Refused, Unreachable
from ratemyunit_ops.model import Facts, Frozen
from ratemyunit_ops.planning.runbook import RemedyRequest, picked, plan_remedy, still_so, verb_name, verb_of
from ratemyunit_ops.runbooks.judging import Diagnosis, judge
from ratemyunit_ops.runbooks.lint import lint
from ratemyunit_ops.runbooks.reading import pages, read
from ratemyunit_ops.runbooks.schema import Remedy, Runbook
from ratemyunit_ops.shipped import shipped
from ratemyunit_ops.show.runbook import as_document, diagnosed, offered, page, terminal
from ratemyunit_ops.show.screen import Screen, in_words, plain
from ratemyunit_ops.steps.looks import Gathered, gather
from ratemyunit_ops.steps.runbook import told


class Wanted(Frozen):
    """Which runbook, what the person said of it, and where."""

    name: str
    remedy: str | None = None
    inputs: tuple[str, ...] = ()
    env: str | None = None
    transport: Literal["ssm", "ssh"] = "ssm"
    as_json: bool = False
    no_input: bool = False


@dataclass(frozen=True)
class Found:
    """What a diagnosis found, and when: an approval has to come soon after."""

    runbook: Runbook
    seen: Gathered
    judged: Diagnosis
    at: datetime


def list_them(screen: Screen) -> None:
    """List the runbooks."""
    found = [p.runbook for p in pages(shipped("runbooks"))]
    if screen.as_json:
        keys = {"name", "title", "severity", "alarms", "symptoms"}
        screen.result({"runbooks": [r.model_dump(mode="json", include=keys) for r in found]})
        return
    rows = [(r.name, r.severity, r.title, ", ".join(r.alarms)) for r in found]
    screen.table("", ("runbook", "severity", "for", "alarms"), rows)


def show_it(screen: Screen, name: str, *, markdown: bool) -> None:
    """Show one runbook on a terminal, or as the page of the docs."""
    runbook = named(name)
    lines = page(runbook).splitlines() if markdown else terminal(runbook)
    screen.result(runbook.model_dump(mode="json"), [plain(line) for line in lines])


def lint_them(screen: Screen, paths: Sequence[Path]) -> None:
    """Find what is wrong with runbooks. Exits with 3 when something is."""
    folder = shipped("runbooks")
    files = [f for path in paths or [folder] for f in _files(path)]
    names = sorted({f.stem for f in [*folder.glob("*.yaml"), *files]})
    found = lint(files, names=names, knows=complaint_of)
    lines = [str(f) for f in found] or [f"{len(files)} runbooks, nothing is wrong with them"]
    screen.result({"findings": [f.model_dump() for f in found]}, [plain(line) for line in lines])
    if found:
        raise typer.Exit(Refused.exit_code)


def run_it(wanted: Wanted, asked: Asked) -> None:
    """Look, judge, show; then carry what the person picks. Raises Mistyped for a runbook that lint refuses."""
    runbook = sound(wanted.name)
    if wanted.remedy is not None:
        picked(runbook, wanted.remedy)
    w = wire(
        wanted.env,
        as_json=wanted.as_json,
        may_ask=not wanted.no_input,
        reach=False,
        in_folder=wanted.remedy is None,
        transport=wanted.transport,
    )
    carry_runbook(w.vouching(asked.yes), runbook, wanted, asked)


def carry_runbook(w: Wired, runbook: Runbook, wanted: Wanted, asked: Asked) -> None:
    """Look and judge. Nothing is changed, and no lease is taken, until a person has picked a remedy."""
    for line in open_incident_lines(w):
        w.screen.note(line)
    if wanted.remedy is not None and _resumed(w, runbook, wanted.remedy, asked):
        return
    reached = _reached(w)
    found = _look(w, runbook, wanted)
    _show(w, wanted, found)
    _note(w, found)
    remedy = _pick(w, wanted, found)
    if remedy is None:
        return
    if w.journal is not None:
        raise Refused(
            "RMU_JOURNAL names a folder, and a remedy works in the environment's ledger alone", next="unset RMU_JOURNAL"
        )
    if not reached:
        right_account(w)
    _mend(w, wanted, found, remedy, asked)


def named(name: str) -> Runbook:
    """Read the runbook of that name. Raises Mistyped, which names those that there are."""
    return read(_file(name)).runbook


def sound(name: str) -> Runbook:
    """Read the runbook of that name, to run it. Raises Mistyped, also for what lint finds in it."""
    path = _file(name)
    found = lint([path], names=[p.stem for p in path.parent.glob("*.yaml")], knows=complaint_of)
    if found:
        raise Unreadable(path, found)
    return read(path).runbook


def _file(name: str) -> Path:
    folder = shipped("runbooks")
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise Mistyped(f"there is no runbook {name}; there are: {known}", next="rmu runbook list")
    return path


def complaint_of(words: Sequence[str]) -> str:
    """Say why rmu does not take these words; empty where it does."""
    node, rest = _command(words)
    if getattr(node, "commands", None):
        return f"rmu has no command {' '.join(words)}"
    own = rest[: rest.index("--")] if "--" in rest else rest
    strange = [w for w in own if w.startswith("-") and w.partition("=")[0] not in _options(node)]
    return f"rmu {' '.join(words[:2])} has no option {strange[0]}" if strange else ""


def options_of(words: Sequence[str]) -> set[str]:
    """Name the options of the command that words lead to."""
    return _options(_command(words)[0])


@cache
def _root() -> Any:
    from typer.main import get_command

    from ratemyunit_ops.cli.main import app

    return get_command(app)


def _command(words: Sequence[str]) -> tuple[Any, list[str]]:
    rest, node = list(words), _root()
    while (children := getattr(node, "commands", None)) and rest and rest[0] in children:
        node = children[rest.pop(0)]
    return node, rest


def _options(node: Any) -> set[str]:
    return {name for parameter in node.params for name in (*parameter.opts, *parameter.secondary_opts)}


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise Mistyped(f"there is no {path}", next="rmu runbook lint PATH")
    return sorted(path.glob("*.yaml")) if path.is_dir() else [path]


def _said(inputs: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE. Raises Mistyped."""
    for text in inputs:
        if "=" not in text:
            raise Mistyped(f"--input {text} names no value", next="--input NAME=VALUE")
    return {name: value for name, _, value in (text.partition("=") for text in inputs)}


def _reached(w: Wired) -> bool:
    """See that the account is the right one. Where nothing answers, that is evidence too, and looking goes on."""
    try:
        right_account(w)
    except Unreachable as why:
        w.screen.note(f"{why.what}; looking at what else answers")
        return False
    return True


def _resumed(w: Wired, runbook: Runbook, remedy: str, asked: Asked) -> bool:
    """Typing a dead run's own command again resumes it. Raises Busy for anybody else's run."""
    if picked(runbook, remedy).verb is not None:
        return False
    return resumed_own_dead_run(w, verb_name(runbook.name), remedy, asked)


def _look(w: Wired, runbook: Runbook, wanted: Wanted) -> Found:
    seen = gather(
        w.outside,
        runbook,
        _said(wanted.inputs),
        environment=w.settings.environment,
        tell=lambda check: w.screen.note(f"looking: {check.says}"),
    )
    return Found(runbook, seen, judge(runbook, seen.evidence), w.outside.clock.now())


def _show(w: Wired, wanted: Wanted, found: Found) -> None:
    """Show what was found. Where a remedy follows, its run is the one document that programs get."""
    if w.screen.as_json and wanted.remedy is not None:
        return
    seen = found.seen
    document = as_document(seen.evidence, found.judged, found.runbook)
    lines = diagnosed(seen.evidence, found.judged, found.runbook)
    w.screen.result({**document, "inputs": seen.inputs, "unknown": seen.unknown}, [plain(line) for line in lines])


def _note(w: Wired, found: Found) -> None:
    """Keep what was seen as evidence of the incident that is open, if one is."""
    likely = found.judged.likeliest
    text = f"{found.runbook.name}: {likely.says if likely else 'none of the causes that it knows is shown'}"
    facts: Facts = {
        "runbook": found.runbook.name,
        "cause": found.judged.cause,
        "speaks_for": list(likely.speaks_for) if likely else [],
        **told(found.seen.evidence, ""),
    }
    note_evidence(w, text, facts)


def _pick(w: Wired, wanted: Wanted, found: Found) -> Remedy | None:
    """Take the remedy that a person names; none where nobody can be asked, or nothing is offered."""
    runbook = found.runbook
    if wanted.remedy is not None:
        return picked(runbook, wanted.remedy)
    offers = offered(runbook, found.judged)
    if not offers:
        w.screen.note("nothing was changed, and there is nothing here that rmu could carry")
        return None
    first = offers[0].name
    if w.screen.may_ask:
        answer = w.screen.ask(f"Which remedy? (a name, as {first}; - for none)").strip()
        return picked(runbook, answer) if answer not in {"", "-"} else None
    if not w.screen.as_json:
        w.screen.note(f"nothing was changed. next: rmu runbook run {runbook.name} --remedy {first}")
    return None


def _mend(w: Wired, wanted: Wanted, found: Found, remedy: Remedy, asked: Asked) -> None:
    """Carry the remedy that was picked, or hand over to the verb that it is."""
    likely, seen = found.judged.likeliest, found.seen
    if likely is None or remedy.name not in likely.remedies:
        w.screen.note(f"the evidence names no cause that {remedy.name} is for; you picked it")
    request = RemedyRequest(
        run=new_run_id(),
        rmu_version=__version__,
        environment=w.settings.environment,
        at=w.outside.clock.now(),
        remedy=remedy.name,
        inputs=seen.inputs,
        unknown=seen.unknown,
    )
    if remedy.verb is not None:
        words = verb_of(remedy, seen.inputs, seen.unknown, found.runbook)
        _hand_over(w, words, wanted, asked, still=lambda: _still_so(w, found, remedy, request))
        return
    plan = plan_remedy(found.runbook, found.judged, request)
    carry_out(replace(w, still=lambda: _still_fresh(w, found, remedy)), plan, asked)


def _still_so(w: Wired, found: Found, remedy: Remedy, request: RemedyRequest) -> None:
    """See that it was agreed to in time, and look at the cause once more: a verb's plan does not. Raises Refused."""
    _still_fresh(w, found, remedy)
    look = still_so(found.runbook, found.judged, request)
    if look is None:
        return
    w.screen.note("looking once more, before anything is changed")
    try:
        look.look(w.outside)
    except Failed as why:
        raise Refused(why.what, next=why.next) from why


def _still_fresh(w: Wired, found: Found, remedy: Remedy) -> None:
    """See that what was agreed to is what was seen a moment ago. Raises Refused."""
    # By the clock on the wall: the other one stands still while a laptop sleeps.
    waited, limit = (w.outside.clock.now() - found.at).total_seconds(), remedy.approve_within.total_seconds()
    if waited > limit:
        raise Refused(
            f"the approval came {in_words(waited)} after the evidence; it is good for {in_words(limit)}",
            next=f"rmu runbook run {found.runbook.name} --remedy {remedy.name}",
        )


def _hand_over(w: Wired, words: list[str], wanted: Wanted, asked: Asked, *, still: Callable[[], None]) -> None:
    """Let another command of rmu do it: it plans, shows and asks by itself."""
    from ratemyunit_ops.cli.main import app

    w.screen.note(f"handing over to: rmu {' '.join(words)}")
    known = options_of(words)
    if asked.dry_run and "--dry-run" not in known:
        w.screen.note(f"it cannot be tried without being done. next: rmu {' '.join(words)}")
        return
    flags = {"--dry-run": asked.dry_run, "--yes": asked.yes, "--step": asked.step, "--no-input": wanted.no_input}
    flags |= {"--json": wanted.as_json}
    more = [name for name, wished in flags.items() if wished and name in known]
    because = asked.because or f"runbook {wanted.name}"
    more += ["--because", because] if "--because" in known else []
    end = words.index("--") if "--" in words else len(words)
    whole = [*words[:end], "--env", w.settings.environment, *more, *words[end:]]
    code = app(whole, standalone_mode=False, obj=still)
    if code:
        raise typer.Exit(code)
