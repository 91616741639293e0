"""Objectives: the part of OpenSLO v1 that rmu reads, and what an objective is to the rest of the house.

`terraform/slo.yaml` holds one SLO per YAML document. Whatever is not read is refused, never passed over.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from ratemyunit_ops.documents import Document, read_documents
from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Frozen, Severity

FILE = "slo.yaml"

Of = Literal["balancer", "targets", "environment"]
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

ELB = "AWS/ApplicationELB"
COUNTED: dict[tuple[str, str], tuple[Of, ...]] = {
    (ELB, "RequestCount"): ("balancer", "targets"),
    (ELB, "HTTPCode_Target_5XX_Count"): ("balancer", "targets"),
    (ELB, "HTTPCode_ELB_5XX_Count"): ("balancer",),
    ("", "ProbeFailed"): ("environment",),
    ("", "ProbeLost"): ("environment",),
    ("", "Scrapes"): ("environment",),
    ("", "ScrapesFailed"): ("environment",),
    ("", "Searches"): ("environment",),
    ("", "SearchesSlow"): ("environment",),
}
"""Metrics that count events, and whose they are: the balancer's, and those module `watch` makes in `rmu/ENV` ("")."""


class Measured(Frozen):
    """A metric that counts events. An empty namespace is the environment's own, `rmu/ENV`."""

    namespace: str = ""
    metric: str
    stat: Literal["Sum", "SampleCount"] = "Sum"
    of: Of = "environment"


class Objective(Frozen):
    """What part of the events of a window has to be good; `bad` and `good` are counted, one of them is empty."""

    name: str
    title: str
    says: str = ""
    service: str
    target: float
    window: timedelta
    good: tuple[Measured, ...] = ()
    bad: tuple[Measured, ...] = ()
    total: tuple[Measured, ...]
    fast: Severity = "SEV-1"
    slow: Severity = "SEV-2"
    runbook: str
    least: int = Field(default=5, ge=1, description="bad events in a long window before anybody is told")

    @property
    def budget(self) -> float:
        """Tell which part of the events may be bad."""
        return round(1 - self.target, 12)

    def measured(self) -> tuple[Measured, ...]:
        """List each metric once."""
        return tuple(dict.fromkeys((*self.total, *self.bad, *self.good)))


def read_objectives(path: Path) -> tuple[Objective, ...]:
    """Read the objectives of a file.

    Raises:
        Mistyped: naming file, line and key: no OpenSLO v1, a key rmu does not read, a metric that does not exist.
    """
    documents = read_documents(path)
    if not documents:
        raise Mistyped(f"{path} holds no objective", next=f"edit {path}")
    found: dict[str, Objective] = {}
    for document in documents:
        objective = _objective(document)
        if objective.name in found:
            raise document.wrong(("metadata", "name"), f"there are two objectives {objective.name}")
        found[objective.name] = objective
    return tuple(found.values())


class _Part(BaseModel):
    """A part of the file, in OpenSLO's spelling."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, strict=True)


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]


class _Metadata(_Part):
    name: Name
    display_name: str = ""
    labels: dict[str, str | list[str]] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class _Measured(_Part):
    namespace: str = ""
    metric: str
    stat: Literal["Sum", "SampleCount"] = "Sum"
    of: Of = "environment"


class _Query(_Part):
    sum: list[_Measured] = Field(min_length=1, max_length=4)


class _Source(_Part):
    type: Literal["CloudWatch"]
    spec: _Query


class _Counted(_Part):
    metric_source: _Source


class _Ratio(_Part):
    # A counter that only grows would have to be differenced; CloudWatch sums what happened in a period.
    counter: Literal[False]
    good: _Counted | None = None
    bad: _Counted | None = None
    total: _Counted

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.good is None) == (self.bad is None):
            raise ValueError("name either good or bad, beside total")
        return self


class _IndicatorSpec(_Part):
    ratio_metric: _Ratio


class _Indicator(_Part):
    metadata: _Metadata
    spec: _IndicatorSpec


class _Window(_Part):
    duration: str = Field(pattern=r"^[1-9][0-9]*[mhdw]$")
    is_rolling: Literal[True]


class _Target(_Part):
    display_name: str = ""
    target: float | None = Field(default=None, gt=0, lt=1)
    target_percent: float | None = Field(default=None, gt=0, lt=100)

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.target is None) == (self.target_percent is None):
            raise ValueError("name either target or targetPercent")
        return self


class _Spec(_Part):
    description: str = ""
    service: str
    indicator: _Indicator
    time_window: list[_Window] = Field(min_length=1, max_length=1)
    budgeting_method: Literal["Occurrences"]
    objectives: list[_Target] = Field(min_length=1, max_length=1)


class _Slo(_Part):
    api_version: Literal["openslo/v1"]
    kind: Literal["SLO"]
    metadata: _Metadata
    spec: _Spec


class _Annotations(BaseModel):
    """What rmu wants to know beyond OpenSLO, as its annotations `rmu/...`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator="rmu/{}".format)
    fast: Severity = "SEV-1"
    slow: Severity = "SEV-2"
    runbook: str
    least: int = Field(default=5, ge=1)


RATIO = ("spec", "indicator", "spec", "ratioMetric")


def _objective(document: Document) -> Objective:
    slo = document.read_as(_Slo)
    ratio, target = slo.spec.indicator.spec.ratio_metric, slo.spec.objectives[0]
    return Objective(
        name=slo.metadata.name,
        title=slo.metadata.display_name or slo.metadata.name,
        says=slo.spec.description.strip(),
        service=slo.spec.service,
        target=target.target if target.target is not None else (target.target_percent or 0) / 100,
        window=_duration(slo.spec.time_window[0].duration),
        good=_side(document, "good", ratio.good),
        bad=_side(document, "bad", ratio.bad),
        total=_side(document, "total", ratio.total),
        **_annotations(document, slo.metadata.annotations).model_dump(),
    )


def _annotations(document: Document, annotations: dict[str, str]) -> _Annotations:
    """Read our annotations; those of other tools are theirs."""
    ours = {name: value for name, value in annotations.items() if name.startswith("rmu/")}
    return document.read_as(_Annotations, ours, at=("metadata", "annotations"))


def _side(document: Document, name: str, counted: _Counted | None) -> tuple[Measured, ...]:
    if counted is None:
        return ()
    measured = [Measured.model_validate(m.model_dump()) for m in counted.metric_source.spec.sum]
    for number, one in enumerate(measured):
        place = (*RATIO, name, "metricSource", "spec", "sum", number)
        known = COUNTED.get((one.namespace, one.metric))
        if known is None:
            shown = f"{one.namespace or 'rmu/ENV'} {one.metric}"
            raise document.wrong(
                (*place, "metric"),
                f"nothing here counts {shown}, so this objective cannot be met; there is {_known(one.namespace)}",
            )
        if one.of not in known:
            raise document.wrong((*place, "of"), f"{one.metric} is counted of {' or '.join(known)}, not of {one.of}")
    return tuple(measured)


def _known(namespace: str) -> str:
    there = [metric for space, metric in COUNTED if space == namespace] or [f"{s or 'rmu/ENV'} {m}" for s, m in COUNTED]
    return ", ".join(there)


def _duration(text: str) -> timedelta:
    return int(text[:-1]) * UNITS[text[-1]]
