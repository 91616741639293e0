"""What a restore in the corner was, by its journal: how long it took, what would be lost, how it was proven, its cost.

The journal is all it reads, so the report of an old drill can be made again at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import Ledger
from ratemyunit_ops.records import read_bodies, read_header
from ratemyunit_ops.reports.drawing import Axis, clock, ticks
from ratemyunit_ops.reports.runs import kind_of

Verified = Literal["yes", "partly", "no", "unknown"]
PROVES = ("proven", "app_answers")
"""Kinds of steps after which the app is known to serve the restored data; the first that the plan has in this order."""
LANES = {
    "database": ("restore_database", ("drop_database",)),
    "host": ("launch_drill_host", ("end_drill_host",)),
}
PARTS = {
    "database": (
        "restore_database",
        "database_available",
        "settle_database",
        "same_settings",
        "restorable",
        "renew_passwords",
    ),
    "host": ("launch_drill_host", "drill_host_answers", "prepare"),
    "app": ("start_release", "ready", "serve", "app_answers", "proven", "start_worker", "hosts_in_service"),
    "proof": ("compare_data",),
}

PRICES = {
    "db.t3.micro": 0.018, "db.t3.small": 0.036, "db.t3.medium": 0.072, "db.t4g.micro": 0.016, "db.t4g.small": 0.032,
    "t3.micro": 0.0104, "t3.small": 0.0208, "t3.medium": 0.0416, "t3.large": 0.0832,
}  # fmt: skip
"""Dollars an hour in us-east-1: list prices that nobody here could look up again."""
DB_GB_MONTH, DISK_GB_MONTH, ADDRESS_HOUR = 0.115, 0.08, 0.005
MONTH_HOURS = 730
HOST_DISK_GB = 20
DB_AT_LEAST, HOST_AT_LEAST = timedelta(minutes=10), timedelta(minutes=1)
"""What is billed however short it was."""


class Line(Frozen):
    """One step as it went. Seconds count from the begin of the run."""

    number: int
    title: str
    kind: str
    part: str
    began: float | None = None
    ended: float | None = None
    outcome: Literal["done", "failed", "undone", "not reached", "begun"] = "not reached"

    @property
    def seconds(self) -> float:
        """Tell how long it took."""
        return (self.ended or 0.0) - (self.began or 0.0)


class Lane(Frozen):
    """How long something stood in the corner. Seconds count from the begin of the run."""

    name: str
    began: float
    ended: float | None


class CostLine(Frozen):
    """One thing that is paid for; dollars."""

    what: str
    hours: float
    dollars: float | None


class DrillReport(Frozen):
    """One restore, whole."""

    run: str
    verb: str
    environment: str
    outcome: str
    who: str
    because: str
    started: datetime
    finished: datetime | None
    seconds: float
    source: str
    source_lives: bool
    restored_to: datetime
    newest: datetime
    database: str
    release: str
    host_from: str
    rto_seconds: float | None
    rpo_seconds: float
    verified: Verified
    verified_why: str
    schema_head: str
    size: int | None
    tables: tuple[dict[str, Any], ...]
    smoke: tuple[dict[str, Any], ...]
    lines: tuple[Line, ...]
    lanes: tuple[Lane, ...]
    cost: tuple[CostLine, ...]
    dollars: float
    priced: bool
    torn_down: bool
    failure: str = ""


def report_drill(ledger: Ledger, run: str, titles: Sequence[str]) -> DrillReport | None:
    """Read one run's journal as a drill's report; `titles` are its plan's. None for a run that restored nothing."""
    events = read_bodies(ledger, run)
    if not events or not str(events[0]["facts"]["plan"]["verb"]).startswith("dr ") or "at" not in _asked(events):
        return None
    header = read_header(ledger, run)
    return _Reader(events, titles).report(header.outcome if header else None)


def _asked(events: list[dict[str, Any]]) -> dict[str, Any]:
    asked: dict[str, Any] = events[0]["facts"]["plan"]["request"]
    return asked


class _Reader:
    """One journal, read once."""

    def __init__(self, events: list[dict[str, Any]], titles: Sequence[str]) -> None:
        self.events = events
        self.plan: dict[str, Any] = events[0]["facts"]["plan"]
        self.asked = _asked(events)
        self.titles = titles
        self.kinds = [kind_of(s) for s in self.plan["steps"]]
        self.began = datetime.fromisoformat(events[0]["at"])

    def report(self, outcome: str | None) -> DrillReport:
        lines = tuple(self._line(n) for n in range(len(self.kinds)))
        end = self._at(self.events[-1])
        lanes = tuple(lane for lane in (self._lane(name) for name in LANES) if lane)
        cost = tuple(self._cost(lanes, end))
        compared = self._done("compare_data") or {}
        newest = datetime.fromisoformat(self.asked["latest"])
        verified, why = self._verified(compared)
        return DrillReport(
            run=self.plan["run"],
            verb=self.plan["verb"],
            environment=self.plan["environment"],
            outcome=outcome or "half_way",
            who=self.events[0]["facts"].get("who", ""),
            because=self.events[0]["facts"].get("because", ""),
            started=self.began,
            finished=datetime.fromisoformat(self.events[-1]["at"]) if outcome else None,
            seconds=end,
            source=self.asked["source"],
            source_lives=bool(self.asked["source_lives"]),
            restored_to=datetime.fromisoformat(self.asked["at"]),
            newest=newest,
            database=self.asked["database"],
            release=self.asked["release"],
            host_from=self.asked["image"] or "the launch template",
            rto_seconds=self._rto(),
            rpo_seconds=round((self.began - newest).total_seconds(), 1),
            verified=verified,
            verified_why=why,
            schema_head=compared.get("schema_head", ""),
            size=compared.get("bytes"),
            tables=tuple(compared.get("tables", ())),
            smoke=self._smoke(),
            lines=lines,
            lanes=lanes,
            cost=cost,
            dollars=round(sum(c.dollars or 0.0 for c in cost), 4),
            priced=all(c.dollars is not None for c in cost),
            torn_down=bool(lanes) and all(lane.ended is not None for lane in lanes),
            failure=self._failure(),
        )

    def _line(self, n: int) -> Line:
        mine = [e for e in self.events if e["step"] == n]
        begins = [e for e in mine if e["kind"] == "started"]
        ends = [e for e in mine if e["kind"] in {"done", "found", "failed"}]
        outcome = "not reached"
        if mine:
            last = mine[-1]["kind"]
            outcome = {"done": "done", "found": "done", "failed": "failed", "undone": "undone"}.get(last, "begun")
        kind = self.kinds[n]
        return Line(
            number=n + 1,
            title=self.titles[n],
            kind=kind,
            part=next((part for part, kinds in PARTS.items() if kind in kinds), "end"),
            began=self._at(begins[0]) if begins else None,
            ended=self._at(ends[-1]) if ends else None,
            outcome=outcome,
        )

    def _lane(self, name: str) -> Lane | None:
        """Find when something of this run's own was made and when it went, by a step of its end or by an undo."""
        first, last = LANES[name]
        made = [n for n, kind in enumerate(self.kinds) if kind == first]
        begun = [e for e in self.events if e["step"] in made and e["kind"] in {"done", "found", "started"}]
        if not begun:
            return None
        after = [n for n, kind in enumerate(self.kinds) if kind in last and n > made[0]]
        gone = [e for e in self.events if e["step"] in after and e["kind"] in {"done", "found"}]
        gone += [e for e in self.events if e["step"] in made and e["kind"] == "undone"]
        return Lane(name=name, began=self._at(begun[0]), ended=self._at(gone[-1]) if gone else None)

    def _cost(self, lanes: tuple[Lane, ...], end: float) -> list[CostLine]:
        lines: list[CostLine] = []
        for lane in lanes:
            stood = timedelta(seconds=(lane.ended if lane.ended is not None else end) - lane.began)
            if lane.name == "database":
                hours = max(stood, DB_AT_LEAST) / timedelta(hours=1)
                kind, size = self.asked["instance_class"], int(self.asked["storage_gb"])
                lines += [_priced(f"database {kind}", hours, PRICES.get(kind))]
                lines += [_priced(f"its storage, {size} GB", hours, size * DB_GB_MONTH / MONTH_HOURS)]
            else:
                hours = max(stood, HOST_AT_LEAST) / timedelta(hours=1)
                kind = (self._done("launch_drill_host") or {}).get("type") or "of the template's size"
                lines += [_priced(f"host {kind}", hours, PRICES.get(kind))]
                lines += [_priced(f"its disk, {HOST_DISK_GB} GB", hours, HOST_DISK_GB * DISK_GB_MONTH / MONTH_HOURS)]
                lines += [_priced("its public address", hours, ADDRESS_HOUR)]
        return lines

    def _rto(self) -> float | None:
        """Count from the begin of the run to the moment at which the app was seen to serve the restored data."""
        kind = next((k for k in PROVES if k in self.kinds), "")
        done = [
            e for e in self.events if e["kind"] == "done" and e["step"] is not None and self.kinds[e["step"]] == kind
        ]
        return self._at(done[-1]) if done else None

    def _verified(self, compared: dict[str, Any]) -> tuple[Verified, str]:
        if compared:
            return compared["verified"], compared["why"]
        n = self.kinds.index("compare_data")
        failed = next((e for e in self.events if e["step"] == n and e["kind"] == "failed"), None)
        if failed:
            return "no", failed["facts"]["what"]
        return "unknown", "the run ended before anything could be compared"

    def _smoke(self) -> tuple[dict[str, Any], ...]:
        seen = (self._done("app_answers") or {}).get("smoke", ())
        return tuple(seen) if isinstance(seen, list) else ()

    def _failure(self) -> str:
        failed = [e for e in self.events if e["kind"] in {"failed", "cancelled"}]
        return str(failed[-1]["facts"].get("what") or failed[-1]["facts"].get("because", "")) if failed else ""

    def _done(self, kind: str) -> dict[str, Any] | None:
        mine = [e for e in self.events if e["step"] is not None and self.kinds[e["step"]] == kind]
        facts: dict[str, Any] | None = next((e["facts"] for e in reversed(mine) if e["kind"] == "done"), None)
        return facts

    def _at(self, event: dict[str, Any]) -> float:
        return round((datetime.fromisoformat(event["at"]) - self.began).total_seconds(), 3)


def _priced(what: str, hours: float, dollars_an_hour: float | None) -> CostLine:
    dollars = None if dollars_an_hour is None else round(hours * dollars_an_hour, 5)
    return CostLine(what=what, hours=round(hours, 3), dollars=dollars)


def _plainly(title: str, report: DrillReport) -> str:
    """Say a step's title without the long names that the page tells elsewhere."""
    named = title.replace(report.database, "the copy").replace(report.source, "the source")
    return named.removesuffix(" (in the corner)").replace(f" of {report.run}", "")


def picture(report: DrillReport) -> dict[str, Any]:
    """Lay the timeline out in fractions of its width: lanes above, then one bar per step that was reached."""
    axis = Axis(seconds=max(report.seconds, 1.0))
    served = report.rto_seconds
    return {
        "ticks": [{"x": axis.at(t), "label": clock(t)} for t in ticks(axis.seconds)],
        "rows": [*(_lane(axis, lane) for lane in report.lanes), *_bars(axis, report)],
        "bars": _bars(axis, report),
        "marks": [] if served is None else [_served(axis, served)],
    }


def _lane(axis: Axis, lane: Lane) -> dict[str, Any]:
    label = "the copy of the database" if lane.name == "database" else "its host"
    return _row(axis, label, "lane", lane.began, lane.ended, thin=True)


def _bars(axis: Axis, report: DrillReport) -> list[dict[str, Any]]:
    return [
        {
            "number": line.number,
            "title": _plainly(line.title, report),
            **_row(
                axis,
                f"{line.number}  {_plainly(line.title, report)}",
                "failed" if line.outcome == "failed" else line.part,
                line.began,
                line.ended,
            ),
        }
        for line in report.lines
        if line.began is not None
    ]


def _row(axis: Axis, label: str, part: str, began: float, ended: float | None, *, thin: bool = False) -> dict[str, Any]:
    """Lay one bar out; what has not ended goes on to the edge."""
    end = axis.seconds if ended is None else ended
    return {"label": label, "thin": thin, "seconds": end - began, "spans": [axis.span(began, end, part, label)]}


def _served(axis: Axis, seconds: float) -> dict[str, Any]:
    return {
        "x": axis.at(seconds),
        "label": "the app serves the restored data after",
        "brief": "serves after",
        "seconds": seconds,
        "part": "good",
    }
