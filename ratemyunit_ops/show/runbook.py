"""A runbook and a diagnosis as a person reads them: on a terminal of 80 columns, and as a page of the docs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta

from ratemyunit_ops.runbooks.evidence import Evidence
from ratemyunit_ops.runbooks.judging import Diagnosis, Verdict, may_be_picked
from ratemyunit_ops.runbooks.schema import Asked, Cause, Check, Deed, Existing, Input, Judged, Remedy, Runbook

WIDTH = 80
SHOWN = 8
"""Lines of one check's evidence on a terminal; the rest is in the journal and under --json."""


def terminal(r: Runbook) -> list[str]:
    """Show a runbook on a terminal. No line is longer than 80 columns."""
    lines = [f"{r.name} · {r.severity}", *_wrapped(r.title, "  ")]
    lines += _wrapped(f"alarms: {', '.join(r.alarms) or 'none'}", "  ")
    lines += ["", "symptoms", *(line for one in r.symptoms for line in _item(one))]
    lines += ["", "what is looked at", *(line for c in r.diagnosis for line in _item(f"{c.name}: {c.says}"))]
    lines += ["", "what it may be, the likeliest first"]
    for cause in r.causes:
        lines += [*_item(f"{cause.name}: {cause.says}"), *_wrapped(conditions(cause), "      ")]
        lines += [*_wrapped(f"then: {_then(cause)}", "      "), *_typed(cause.commands)]
    lines += ["", "remedies, of which you pick one"] if r.remedies else []
    for remedy in r.remedies:
        lines += [*_item(f"{remedy.name}: {remedy.says}")]
        lines += _wrapped(f"costs {remedy.costs}; takes about {words(remedy.takes)}", "      ")
        lines += [line for step in steps(remedy) for line in _wrapped(f"- {step}", "      ")]
    if r.after:
        lines += ["", "afterwards", *(line for one in r.after for line in _item(one))]
    return [*lines, "", f"next: rmu runbook run {r.name}"]


def page(r: Runbook) -> str:
    """Make the page of the docs."""
    return "\n".join(_page(r)) + "\n"


def _page(r: Runbook) -> Iterator[str]:
    yield f"<!-- Made of runbooks/{r.name}.yaml by `make runbooks`; a test says that it is up to date. -->"
    yield f"# {r.title}"
    yield f"\n`{r.name}` · {r.severity} · alarms: {', '.join(f'`{a}`' for a in r.alarms) or 'none'}\n"
    yield f"```\nrmu runbook run {r.name}\n```\n"
    yield "## Symptoms\n"
    yield from (f"- {one}" for one in r.symptoms)
    if r.inputs:
        yield "\n## Inputs\n\n| input | kind | what | else |\n|---|---|---|---|"
        yield from (f"| `{name}` | {i.kind} | {_cell(i.says)} | {_default(i)} |" for name, i in r.inputs.items())
    yield "\n## What is looked at\n\nNothing of this changes anything.\n"
    for n, check in enumerate(r.diagnosis, start=1):
        yield f"{n}. **{check.name}**: {check.says}\n\n{_fenced(check)}\n"
    yield "## What it may be\n\nThe first one whose conditions are true is the likeliest.\n"
    yield "| cause | what it is | by | then |\n|---|---|---|---|"
    yield from (f"| {c.name} | {_cell(c.says)} | {_cell(conditions(c))} | {_cell(_then(c))} |" for c in r.causes)
    for cause in r.causes:
        yield from _commands(cause)
    yield "\n## Remedies\n\nA person picks one; nothing is done without.\n" if r.remedies else ""
    for remedy in r.remedies:
        yield from _remedy(r, remedy)
    if r.after:
        yield "## Afterwards\n"
        yield from (f"- {one}" for one in r.after)


def _commands(cause: Cause) -> Iterator[str]:
    if cause.commands:
        yield f"\nWhat a person types for `{cause.name}`:\n\n```"
        yield from cause.commands
        yield "```"


def _remedy(r: Runbook, remedy: Remedy) -> Iterator[str]:
    yield f"### {remedy.name}\n\n{remedy.says}. Costs: {remedy.costs}. Takes about {words(remedy.takes)}.\n"
    yield f"```\nrmu runbook run {r.name} --remedy {remedy.name}\n```\n"
    yield from (f"{n}. {step}" for n, step in enumerate(steps(remedy), start=1))
    yield ""


def diagnosed(found: Sequence[Evidence], seen: Diagnosis, r: Runbook) -> list[str]:
    """Show a diagnosis: every answer, the likeliest cause with its reasons, the others, the remedies."""
    lines = ["evidence"]
    for e in found:
        lines += [*_item(f"{e.check}: {e.says}", "+" if e.answered else "?"), *_evidence(e)]
    likely = seen.likeliest
    lines += ["", *_cause(likely)] if likely else ["", *_none(seen)]
    others = [v for v in seen.verdicts if v is not likely and (likely or v.holds != "unknown")]
    if others:
        lines += ["", "others", *(line for v in others for line in _other(v))]
    offers = [line for one in offered(r, seen) for line in _offer(one, likely)]
    return [*lines, *(["", "remedies", *offers] if offers else [])]


def offered(r: Runbook, seen: Diagnosis) -> list[Remedy]:
    """List the remedies that may be picked, those of the likeliest cause first and in its order."""
    wanted = seen.likeliest.remedies if seen.likeliest else ()
    first = [one for name in wanted if (one := r.remedy(name))]
    return [*first, *(one for one in r.remedies if one not in first and may_be_picked(one, seen.facts))]


def conditions(judged: Judged) -> str:
    """Say conditions in words."""
    parts = [" and ".join(map(str, judged.all)), " or ".join(map(str, judged.any))]
    parts[1] = f"({parts[1]})" if parts[1] and len(judged.any) > 1 else parts[1]
    parts += [f"not {one}" for one in judged.none]
    return " and ".join(part for part in parts if part)


def steps(remedy: Remedy) -> list[str]:
    """Say what a remedy does, a line each."""
    if remedy.verb is not None:
        return [f"rmu {' '.join(remedy.verb)}"]
    only = [f"only where {remedy.only.says}: {conditions(remedy.only)}"] if remedy.only else []
    told = [_deed(one) if isinstance(one, Deed) else _existing(one) for one in remedy.steps]
    assert remedy.proof is not None
    return [*only, *told, f"proof, within {words(remedy.proof.deadline)}: {conditions(remedy.proof)}"]


def words(span: timedelta) -> str:
    """Say a length of time."""
    seconds = round(span.total_seconds())
    return f"{seconds} s" if seconds < 120 or seconds % 60 else f"{seconds // 60} min"


def _deed(step: Deed) -> str:
    what = " ".join(step.command) if step.command else " ".join((step.sql or "").split())
    return f"{step.title}: {what}{f'; undone by: {step.undo.title}' if step.undo else ''}"


def _existing(step: Existing) -> str:
    given = ", ".join(f"{k}: {v}" for k, v in step.values.items())
    return f"{step.step.replace('_', ' ')}{f' ({given})' if given else ''}"


def _then(cause: Cause) -> str:
    ways = [*cause.remedies, *([f"see {cause.see}"] if cause.see else []), *([cause.advice] if cause.advice else [])]
    return "; ".join(ways)


def _default(i: Input) -> str:
    if i.of:
        choice = f"one of {', '.join(f'`{one}`' for one in i.of)}"
        return f"{choice}; else `{i.value or i.fact or i.look_up}`" if i.value or i.fact or i.look_up else choice
    said = f"`{i.value}`" if i.value is not None else f"looked up: {i.look_up}" if i.look_up else ""
    return said or (f"the fact `{i.fact}`" if i.fact else "has to be said")


def _fenced(check: Check) -> str:
    return "\n".join(f"   {line}".rstrip() for line in [f"```{'sql' if check.sql else ''}", *_question(check), "```"])


def _question(asked: Asked) -> list[str]:
    if asked.command is not None:
        return [" ".join(asked.command)]
    return (asked.sql or f"what rmu looks up: {asked.facts}").strip().splitlines()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _evidence(e: Evidence) -> list[str]:
    lines = e.lines()
    more = [f"      … {len(lines) - SHOWN} more lines (--json has them)"] if len(lines) > SHOWN else []
    shown = [f"      {line}"[: WIDTH - 1] for line in lines[:SHOWN]]
    return [*shown, *more, *([f"      ({e.cut})"] if e.cut else [])]


def _cause(v: Verdict) -> list[str]:
    lines = ["likeliest cause", *_item(f"{v.cause}: {v.says}", "!"), *_reasons(v)]
    lines += [*(_wrapped(v.advice, "      ") if v.advice else []), *_typed(v.commands)]
    return [*lines, *([f"      belongs to: rmu runbook run {v.see}"] if v.see else [])]


def _typed(commands: Sequence[str]) -> list[str]:
    """Show commands as a shell takes them, also where one is too long for a line."""
    lines = []
    for one in commands:
        first, *rest = textwrap.wrap(one, WIDTH - 11, break_long_words=False, break_on_hyphens=False)
        lines.append(" \\\n".join([f"      {first}", *(f"        {part}" for part in rest)]))
    return [line for one in lines for line in one.splitlines()]


def _none(seen: Diagnosis) -> list[str]:
    open_ones = [v for v in seen.verdicts if v.holds == "unknown"]
    lines = ["none of the causes that this runbook knows is shown by the evidence"]
    for v in open_ones:
        lines += [*_item(f"{v.cause}: {v.says} (cannot be told)", "?"), *_reasons(v)]
    return lines


def _reasons(v: Verdict) -> list[str]:
    marked = (("for", v.speaks_for), ("against", v.speaks_against), ("unknown", v.unknown))
    return [
        line for mark, said in marked for one in said for line in _wrapped(f"{mark:<8} {one}", "      ", "         ")
    ]


def _other(v: Verdict) -> list[str]:
    told = {"yes": "also true", "no": "not so", "unknown": "cannot be told"}[v.holds]
    why = (v.speaks_for if v.holds == "yes" else v.unknown if v.holds == "unknown" else v.speaks_against)[:2]
    return _item(f"{v.cause}: {told}{': ' if why else ''}{'; '.join(why)}")


def _offer(remedy: Remedy, likely: Verdict | None) -> list[str]:
    fits = likely is not None and remedy.name in likely.remedies
    return [
        *_item(f"{remedy.name}: {remedy.says}", "*" if fits else "·"),
        *_wrapped(f"costs {remedy.costs}; takes about {words(remedy.takes)}", "      "),
    ]


def _item(text: str, mark: str = "·") -> list[str]:
    return _wrapped(text, f"  {mark} ", "    ")


def _wrapped(text: str, first: str, rest: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH - 1,
        initial_indent=first,
        subsequent_indent=rest if rest is not None else first,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def as_document(found: Sequence[Evidence], seen: Diagnosis, r: Runbook) -> dict[str, object]:
    """Make the document that programs read."""
    likely = seen.likeliest
    return {
        "runbook": r.name,
        "cause": seen.cause,
        "says": likely.says if likely else "",
        "facts": json.loads(json.dumps(seen.facts)),
        "verdicts": [v.model_dump(mode="json") for v in seen.verdicts],
        "evidence": [e.model_dump(mode="json") for e in found],
        "remedies": [
            {
                "name": one.name,
                "says": one.says,
                "costs": one.costs,
                "fits": bool(likely and one.name in likely.remedies),
            }
            for one in offered(r, seen)
        ],
    }
