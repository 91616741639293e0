"""How the checks of a runbook are asked: one after the other, each answered or not, and never a reason to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ratemyunit_ops.errors import Mistyped, RmuError, Unreachable
from ratemyunit_ops.model import Database, Frozen, previous_good
from ratemyunit_ops.ports import CommandResult, Outside
from ratemyunit_ops.records import database_name, holder, read_headers, read_pointer, read_releases
from ratemyunit_ops.runbooks.binding import Look, bind, checked, uses
from ratemyunit_ops.runbooks.conditions import Facts
from ratemyunit_ops.runbooks.evidence import Evidence, read_all
from ratemyunit_ops.runbooks.schema import Check, Input, Runbook
from ratemyunit_ops.steps.named import placed
from ratemyunit_ops.steps.sources import document, well

CUT = "the transport kept the first 24,000 characters only"


class Gathered(Frozen):
    """What a diagnosis brought: evidence by check, the facts read from it, and the inputs as they came to be known."""

    evidence: tuple[Evidence, ...]
    facts: Facts
    inputs: dict[str, str]
    unknown: dict[str, str]


def gather(
    o: Outside,
    runbook: Runbook,
    given: Mapping[str, str],
    *,
    environment: str,
    tell: Callable[[Check], None] = lambda check: None,
) -> Gathered:
    """Ask every check of a runbook. One that cannot be asked is evidence too. Raises Mistyped for a wrong input."""
    inputs = given_inputs(runbook, given)
    facts: Facts = {}
    unknown: dict[str, str] = {}
    found: list[Evidence] = []
    asking = Round(o)
    for check in runbook.diagnosis:
        tell(check)
        _learn(o, runbook, uses(check), inputs, facts, unknown)
        evidence = _checked(asking, check, inputs, unknown, environment)
        facts |= read_all(check.reads, evidence)
        found.append(evidence)
    _learn(o, runbook, tuple(runbook.inputs), inputs, facts, unknown)
    return Gathered(evidence=tuple(found), facts=facts, inputs=inputs, unknown=unknown)


def given_inputs(runbook: Runbook, given: Mapping[str, str]) -> dict[str, str]:
    """Check what a person said. Raises Mistyped, which names the inputs that there are."""
    strange = [name for name in given if name not in runbook.inputs]
    if strange:
        known = ", ".join(runbook.inputs) or "none"
        raise Mistyped(
            f"{runbook.name} has no input {strange[0]}; it has: {known}", next=f"rmu runbook show {runbook.name}"
        )
    return {name: checked(name, runbook.inputs[name], value) for name, value in given.items()}


class Round:
    """One round of questions. A host that took no command is not asked again: each try takes SSM most of a minute."""

    def __init__(self, o: Outside) -> None:
        self._o = o
        self._silent: set[str] = set()

    def ask(self, look: Look) -> Evidence:
        """Ask one question that changes nothing. What cannot be asked is told as evidence."""
        silent = next((host for host in self._through(look) if host in self._silent), None)
        if silent is not None:
            return _no_answer(look, f"not asked: {silent} took no command a moment ago")
        try:
            return self._ask(look)
        except Unreachable as why:
            self._silent |= {look.host} if look.command is not None else set()
            return _no_answer(look, why.what)
        except RmuError as why:
            return _no_answer(look, why.what)

    def _ask(self, look: Look) -> Evidence:
        if look.command is not None:
            return of_command(look, run(self._o, look))
        if look.sql is not None:
            return _of_sql(self._o, look)
        return Evidence(check=look.check, says=look.says, document=document(self._o, look))

    def _through(self, look: Look) -> tuple[str, ...]:
        """Name the hosts without which a question has no answer: its own, the first one, or all."""
        if look.command is not None or not self._silent:
            return (look.host,)
        try:
            serving = sorted(h for h, state in self._o.group.states().items() if state == "InService")
        except RmuError:
            return ()
        first = look.sql is not None or look.source in BY_ONE_HOST
        return tuple(serving[:1] if first else serving if look.source in BY_ALL_HOSTS else ())


BY_ONE_HOST = frozenset({"queue"})
BY_ALL_HOSTS = frozenset({"survey", "images", "secrets"})
"""Sources that hosts answer themselves: the first in service for all, or each for itself."""


def ask(o: Outside, look: Look) -> Evidence:
    """Ask one question by itself."""
    return Round(o).ask(look)


def _no_answer(look: Look, why: str) -> Evidence:
    return Evidence(check=look.check, says=look.says, answered=False, why=why)


def run(o: Outside, look: Look) -> CommandResult:
    """Run a command on its host. Raises Unreachable, Failed."""
    assert look.command is not None
    return o.shell.run(look.command, hosts=[look.host], deadline=look.deadline)[0]


def of_command(look: Look, said: CommandResult) -> Evidence:
    """Take what a command said as evidence; an exit that was not expected is no answer."""
    why = "" if said.exit_code in look.exits else f"exit {said.exit_code}: {said.stderr.strip()[:300] or 'no word'}"
    return Evidence(
        check=look.check,
        says=look.says,
        answered=not why,
        why=why,
        exit=said.exit_code,
        text=said.stdout,
        cut=CUT if said.cut else "",
    )


def at_place(o: Outside, look: Look) -> Database:
    """Find where a database is reached: by the pointer, which needs no control plane, else by that."""
    assert look.database is not None
    pointer = read_pointer(o.ledger).database
    known = pointer if pointer is not None and pointer.identifier == look.database.identifier else look.database
    return placed(o, known)


def _of_sql(o: Outside, look: Look) -> Evidence:
    assert look.sql is not None
    seen = o.data.rows(at_place(o, look), look.sql, variables=look.variables, limit=look.deadline)
    cut = f"{len(seen.rows)} rows of more" if seen.total > len(seen.rows) else ""
    return Evidence(check=look.check, says=look.says, rows=seen.rows, cut=cut)


def _checked(
    asking: Round, check: Check, inputs: Mapping[str, str], unknown: Mapping[str, str], environment: str
) -> Evidence:
    missing = next((name for name in uses(check) if name not in inputs), None)
    if missing is not None:
        why = f"the {missing} is not known: {unknown.get(missing, 'nobody said it')}"
        return Evidence(check=check.name, says=check.says, answered=False, why=why)
    return asking.ask(bind(check, inputs, environment=environment))


def _learn(
    o: Outside,
    runbook: Runbook,
    names: tuple[str, ...],
    inputs: dict[str, str],
    facts: Facts,
    unknown: dict[str, str],
) -> None:
    """Find the default of each input that nobody has said: its value, what is looked up, or a fact."""
    for name in names:
        if name in inputs:
            continue
        try:
            inputs[name] = checked(name, runbook.inputs[name], _default(o, runbook.inputs[name], facts))
            unknown.pop(name, None)
        except RmuError as why:
            unknown[name] = why.what


def _default(o: Outside, asked: Input, facts: Facts) -> str | int:
    if asked.value is not None:
        return asked.value
    if asked.look_up is not None:
        return LOOK_UPS[asked.kind, asked.look_up](o)
    if asked.fact is not None and asked.fact in facts:
        return str(facts[asked.fact])
    raise Mistyped(f"nobody said it{f', and {asked.fact} is unknown' if asked.fact else ''}", next="--input NAME=VALUE")


def _ailing(o: Outside) -> str:
    health = o.group.health()
    sick = sorted(name for name, one in health.items() if not well(one))
    return _one_of(sick or sorted(health), "no host is in the group", "rmu host list")


def _first(o: Outside) -> str:
    states = o.group.states()
    serving = sorted(name for name, state in states.items() if state == "InService")
    return _one_of(serving or sorted(states), "no host is in the group", "rmu host list")


def _live_release(o: Outside) -> str:
    return _one_of([read_pointer(o.ledger).release], "nothing is live", "rmu status")


def _previous_release(o: Outside) -> str:
    previous = previous_good(read_releases(o.ledger), read_pointer(o.ledger).release)
    return _one_of([previous.version if previous else None], "there is no earlier good release", "rmu history")


def _open_run(o: Outside) -> str:
    seen = holder(o.ledger)
    return _one_of([seen.run if seen is not None else None], "no run is open", "rmu history")


def _newest_run(o: Outside) -> str:
    return _one_of([h.run for h in reversed(read_headers(o.ledger))], "there never was a run", "rmu history")


def _one_of(found: list[str | None] | list[str], why: str, next: str) -> str:
    if not found or found[0] is None:
        raise Unreachable(why, next=next)
    return found[0]


LOOK_UPS: dict[tuple[str, str], Callable[[Outside], str]] = {
    ("host", "ailing"): _ailing,
    ("host", "first"): _first,
    ("database", "live"): database_name,
    ("release", "live"): _live_release,
    ("release", "previous"): _previous_release,
    ("run", "open"): _open_run,
    ("run", "newest"): _newest_run,
}
