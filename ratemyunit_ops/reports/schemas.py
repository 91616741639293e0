"""The JSON that other programs read, as JSON Schema. `docs/json/` holds the files; a test compares."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ratemyunit_ops.documents import Finding as FileFinding
from ratemyunit_ops.model import ConflictCount, Probe, RestorePoint, RunHeader, Severity, TableSalvage
from ratemyunit_ops.reports.lint.judging import Finding
from ratemyunit_ops.reports.page_load import Limits, PageFigures
from ratemyunit_ops.reports.slo import Budget
from ratemyunit_ops.reports.status import Status
from ratemyunit_ops.runbooks.evidence import Evidence
from ratemyunit_ops.runbooks.judging import Verdict

VERSION = 1


class Loose(BaseModel):
    """A document that may gain keys."""

    model_config = ConfigDict(extra="allow")


OUTCOMES = "^(done|dry_run|refused|busy|rolled_back|half_way|interrupted|bug)$"


class FailureDocument(Loose):
    """What a command answers that only looks (`status`, `history`, `migrate lint`, `twin status`) and could not.

    Commands that do something say these keys beside their own.
    """

    outcome: str = Field(pattern=OUTCOMES)
    what: str
    state: str
    next: str


class RunDocument(Loose):
    """`deploy`, `rollback`, `resume`, `abandon`."""

    run: str | None = Field(description="null: it ended before there was one")
    outcome: str = Field(pattern=OUTCOMES)
    what: str | None = Field(default=None, description="what went wrong; with `state` and `next` where it ended badly")
    state: str | None = None
    next: str | None = Field(default=None, description="what to type next")
    steps: list[str] | None = Field(default=None, description="of a dry run: what would be done")
    release: str | None = None
    seconds: float | None = None
    phases: dict[str, float] | None = None
    probe: Probe | None = None
    ssm_commands: int | None = None


class HistoryDocument(Loose):
    """`history`."""

    runs: list[RunHeader]


class RestoreDocument(RunDocument):
    """`db restore`."""

    restore_point: RestorePoint | None
    left_behind: dict[str, int] | None = Field(
        description="rows written since, by table, deletes not counted; null: the database dates no rows"
    )
    instance: str | None = Field(description="null here and above: it ended before there was one")
    superseded: str | None = Field(description="null: the pointer was not moved")


class SalvageDocument(RunDocument):
    """`db salvage`."""

    tables: dict[str, TableSalvage] | None = Field(description="null here and below: it ended before they were known")
    conflicts: list[ConflictCount] | None = Field(description="their keys are in conflicts.json, beside the files")
    files: list[str] | None


class DrillDocument(Loose):
    """`dr drill`, `dr restore`, `dr report`."""

    run: str | None = Field(description="null: it ended before there was one")
    outcome: str = Field(pattern=OUTCOMES)
    rto_seconds: float | None = Field(
        default=None, description="from the begin until the app served; null: it never did"
    )
    rpo_seconds: float | None = None
    verified: str = Field(default="unknown", pattern="^(yes|partly|no|unknown)$")
    report: str | None = Field(default=None, description="path of the HTML report")


class OfferDocument(Loose):
    """A remedy, and whether it fits the likeliest cause."""

    name: str
    says: str
    costs: str
    fits: bool


class DiagnosisDocument(Loose):
    """`runbook run` without a remedy; with one it is that run's document, with `runbook`, `cause` and `remedy`."""

    runbook: str
    cause: str | None = Field(description="the likeliest cause; null: none that it knows is shown")
    says: str
    facts: dict[str, Any]
    verdicts: list[Verdict]
    evidence: list[Evidence]
    remedies: list[OfferDocument]
    inputs: dict[str, str]
    unknown: dict[str, str] = Field(description="inputs that nobody knows, and why")


class RunbookLintDocument(Loose):
    """`runbook lint`."""

    findings: list[FileFinding] = Field(description="exit code 3 when there is any")


class LintDocument(Loose):
    """`migrate lint`."""

    findings: list[Finding]
    read: int = Field(description="how many migrations were read")
    unsafe: bool = Field(description="whether any finding is an error; the exit code is 3 then")


class IncidentDocument(Loose):
    """`incident open`, `ack`, `note`, `escalate`, `close`."""

    incident: str
    outcome: str = Field(pattern="^(opened|joined|acknowledged|noted|escalated|closed)$")
    severity: Severity
    title: str
    opened: datetime
    opened_by: str
    acked: datetime | None = Field(description="since when somebody has it; an escalation asks again")
    acked_by: str
    closed: datetime | None
    paged: dict[str, Any] | None = Field(description="topic, sent, listening; null where nobody was to be paged")
    refused: dict[str, str] = Field(description="what did not go out (page, escalation, chat, ledger), and why")


class IncidentReportDocument(Loose):
    """`incident report`."""

    incident: str
    severity: Severity
    title: str
    opened: datetime
    closed: datetime | None
    began: datetime
    detected: datetime
    paged: datetime | None
    acked: datetime | None
    mended: datetime | None = Field(description="null: nobody saw it mended")
    seconds: float = Field(description="from its begin until it was mended, else closed, else now")
    requests: dict[str, int] | None = Field(description="asked, failed; null: not known")
    timeline: list[dict[str, Any]] = Field(description="at, source, says, who, bad")
    unknown: list[str] = Field(description="what could not be read, and why")
    report: str = Field(description="path of the HTML")


class BudgetsDocument(Loose):
    """`slo show`."""

    environment: str
    at: datetime
    objectives: list[Budget] = Field(description="`left` is 1 for an untouched budget, 0 for none, less if overdrawn")
    report: str | None = Field(default=None, description="path of the page, where one was asked for")


class CheckedBudgetsDocument(BudgetsDocument):
    """`slo check`."""

    gone: list[str] = Field(description="objectives whose budget is gone; the exit code is 3 where there is one")


class CompiledAlarmsDocument(Loose):
    """`slo compile`."""

    environment: str
    file: str
    changed: bool
    alarms: list[str]
    windows: list[str]


class PagesDocument(Loose):
    """`web budget`."""

    pages: list[PageFigures] = Field(description="`above` names the limits that a page does not stay below")
    above: list[str] = Field(description="pages above their budget; the exit code is 3 where there is one")
    limits: Limits
    phone: dict[str, float] = Field(description="the network and the processor the pages were loaded with")


class TwinHostDocument(Loose):
    """One host of a twin."""

    id: str
    address: str
    type: str
    machine: str
    lifecycle: str | None = Field(description="its state in its group; null: it is in none")


class TwinDatabaseDocument(Loose):
    """One database of a twin."""

    identifier: str
    status: str
    port: int | None
    url: str | None = Field(description="works from this machine, with the application's role; null: there is none yet")


class TwinStatusDocument(Loose):
    """`twin status`, `twin up`."""

    name: str
    endpoint: str
    region: str
    front_door: str
    registry: str
    hosts: list[TwinHostDocument]
    databases: list[TwinDatabaseDocument] = Field(description="the live one first")


DOCUMENTS: dict[str, type[BaseModel]] = {
    "status": Status,
    "run": RunDocument,
    "history": HistoryDocument,
    "failure": FailureDocument,
    "twin-status": TwinStatusDocument,
    "db-restore": RestoreDocument,
    "db-salvage": SalvageDocument,
    "dr-drill": DrillDocument,
    "incident": IncidentDocument,
    "incident-report": IncidentReportDocument,
    "migrate-lint": LintDocument,
    "runbook-run": DiagnosisDocument,
    "runbook-lint": RunbookLintDocument,
    "slo-show": BudgetsDocument,
    "slo-check": CheckedBudgetsDocument,
    "slo-compile": CompiledAlarmsDocument,
    "web-budget": PagesDocument,
}


def schema(name: str) -> dict[str, Any]:
    """Make the JSON Schema of one document, with its version."""
    made = DOCUMENTS[name].model_json_schema()
    return {"$id": f"rmu/{name}/{VERSION}", **made}
