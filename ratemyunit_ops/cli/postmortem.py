"""What `rmu incident report` does: the facts of an incident as pages that a team sends out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratemyunit_ops.cli.budgets import objectives_of
from ratemyunit_ops.cli.pages import write_pages
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine.incident import read_incident
from ratemyunit_ops.errors import Refused
from ratemyunit_ops.records import read_incidents
from ratemyunit_ops.reports.incident import IncidentReport, report_incident
from ratemyunit_ops.reports.incident_picture import picture
from ratemyunit_ops.show.screen import in_words, plain


def report_it(w: Wired, named: str | None, folder: Path) -> None:
    """Write the draft of an incident's postmortem; the newest incident's where none is named."""
    name = named or next((i.id for i in read_incidents(w.outside.ledger)[::-1]), None)
    if name is None:
        raise Refused("there was no incident here yet", next="rmu incident open --help")
    with w.screen.working("gathering what happened"):
        report = report_incident(w.outside, read_incident(w.outside, name), objectives_of(w.settings))
    paths = write_report(report, folder)
    for missing in report.unknown:
        w.screen.note(f"left out: {missing}")
    w.screen.result(_document(report, paths), [plain(line) for line in _lines(report, paths)])


def write_report(report: IncidentReport, folder: Path) -> tuple[Path, Path]:
    """Write a postmortem as HTML and as Markdown; answers both paths. Raises Mistyped."""
    return write_pages("incident", report.incident.id, folder, {"r": report, "p": picture(report)})


def _document(report: IncidentReport, paths: tuple[Path, ...]) -> dict[str, Any]:
    told = report.model_dump(mode="json", exclude={"incident", "moments", "requests"})
    return {
        "incident": report.incident.id,
        "severity": report.incident.severity,
        "title": report.incident.title,
        "opened": report.incident.opened,
        "closed": report.incident.closed,
        "seconds": report.seconds,
        **told,
        "requests": report.requests.model_dump(exclude={"minutes"}) if report.requests else None,
        "timeline": [m.model_dump(mode="json") for m in report.moments],
        "report": str(paths[0].resolve()),
    }


def _lines(report: IncidentReport, paths: tuple[Path, ...]) -> list[str]:
    failed = f"{report.requests.failed} of {report.requests.asked}" if report.requests else "unknown"
    lasted = in_words(report.seconds)
    state = f"mended after {lasted}" if report.mended else f"not seen mended in {lasted}"
    return [
        f"{report.incident.severity} {report.incident.id}: {report.incident.title}",
        f"  it was     {state}",
        f"  requests   {failed} failed",
        *[f"  report     {path}" for path in paths],
        "Three blanks are yours: impact, root cause, what we change.",
    ]
