"""An incident's timeline as fractions of a width: requests that failed, alarms, runs and people, over the same axis."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.reports.drawing import Axis, step
from ratemyunit_ops.reports.incident import IncidentReport
from ratemyunit_ops.reports.incident_seen import STEP, Minute, Span

MARGIN = 0.03
SHORTEST = timedelta(minutes=2)


def picture(report: IncidentReport) -> dict[str, Any]:
    """Lay the timeline out, from the first thing that happened to the last."""
    view = _View(report)
    return {
        "ticks": view.ticks(),
        "rows": [
            *view.users(),
            *(view.row(s, "alarm" if s.ours else "lane", f"{s.name} red") for s in report.alarms),
            *(view.row(s, "run" if s.outcome == "done" else "failed", f"rmu {s.name}") for s in report.runs),
            *view.people(),
        ],
        "marks": view.marks(),
    }


class _View:
    """The stretch of time that is drawn."""

    def __init__(self, report: IncidentReport) -> None:
        self.report = report
        ends = [report.until, *(m.at for m in report.moments)]
        first, last = min([report.began, *(m.at for m in report.moments)]), max(ends)
        whole = max(last - first, SHORTEST)
        self.begin = first - MARGIN * whole
        self.axis = Axis(seconds=(1 + 2 * MARGIN) * whole.total_seconds())

    def ticks(self) -> list[dict[str, Any]]:
        """Mark round times of the day."""
        every = step(self.axis.seconds)
        first = self.begin.timestamp() // every * every + every
        count = int((self.begin.timestamp() + self.axis.seconds - first) // every) + 1
        moments = [datetime.fromtimestamp(first + n * every, self.begin.tzinfo) for n in range(count)]
        form = "%H:%M" if every >= 60 else "%H:%M:%S"
        return [{"x": self._x(m), "label": m.strftime(form)} for m in moments]

    def row(self, span: Span, part: str, label: str) -> dict[str, Any]:
        """Draw what lasted; what has not ended goes on to the edge."""
        end = span.ended or self.report.until
        seconds = (end - span.began).total_seconds() if span.ended else None
        return {"label": label, "thin": False, "seconds": seconds, "spans": [self._span(span.began, end, part, label)]}

    def users(self) -> list[dict[str, Any]]:
        """Draw the minutes in which something failed, those that follow each other as one."""
        minutes = self.report.requests.minutes if self.report.requests else ()
        together: list[list[Minute]] = []
        for minute in minutes:
            if together and minute.at - together[-1][-1].at <= STEP:
                together[-1].append(minute)
            else:
                together.append([minute])
        spans = [self._span(some[0].at, some[-1].at + STEP, "users", _failed(some)) for some in together]
        return [{"label": "requests or probes failed", "thin": False, "seconds": None, "spans": spans}] if spans else []

    def people(self) -> list[dict[str, Any]]:
        """Draw when somebody typed something."""
        typed = [m for m in self.report.moments if m.source == "person"]
        spans = [self._span(m.at, m.at, "person", m.says) for m in typed]
        return [{"label": "people", "thin": False, "seconds": None, "spans": spans}] if spans else []

    def marks(self) -> list[dict[str, Any]]:
        """Mark what a reader looks for first."""
        r = self.report
        found = (
            ("detected", r.detected, "bad"),
            ("acknowledged", r.acked, ""),
            ("mended", r.mended, "good"),
            ("closed", r.incident.closed, ""),
        )
        return [
            {
                "x": self._x(at),
                "label": f"{name} {at:%H:%M:%S}",
                "brief": f"{name} {at:%H:%M}",
                "seconds": None,
                "part": part,
            }
            for name, at, part in found
            if at is not None
        ]

    def _x(self, moment: datetime) -> float:
        return self.axis.at((moment - self.begin).total_seconds())

    def _span(self, began: datetime, ended: datetime, part: str, says: str) -> dict[str, Any]:
        begin = self.begin.timestamp()
        return self.axis.span(began.timestamp() - begin, ended.timestamp() - begin, part, says)


def _failed(minutes: list[Minute]) -> str:
    return f"{sum(m.requests for m in minutes)} requests, {sum(m.probes for m in minutes)} probes failed"
