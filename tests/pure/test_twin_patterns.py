"""CloudWatch's filter patterns as the twin reads them: every kind that rmu and its Terraform write."""

from __future__ import annotations

import json
import re

import pytest

from ratemyunit_ops.shipped import shipped
from ratemyunit_ops.twin.gate.patterns import PatternWrong, compiled

PROBE = {"event": "probe", "ok": False, "ms": 512.5, "status": 0, "why": None, "deep": {"list": [1, {"x": "y"}]}}
SQL = "2026-11-27 06:00:00 UTC:10.0.0.1(1):rmu_app@ratemyunit:[7]:LOG:  duration: 12 ms /*request_id='abc-12345'*/ x"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        '{ $.event = "probe" }',
        '{ $.event = "probe" && $.ok IS FALSE }',
        '{ ($.event = "probe") && ($.ms > 500) }',
        '{ $.event = "other" || $.ms >= 512.5 }',
        '{ $.event = "other" && $.ok IS TRUE || $.status = 0 }',
        '{ $.event = "pro*" }',
        "{ $.event = probe }",
        "{ $.event = %^pr.be$% }",
        '{ $.event != "other" }',
        "{ $.why IS NULL }",
        "{ $.gone NOT EXISTS }",
        '{ $.deep.list[1].x = "y" }',
        "{ $['ms'] < 1000 }",
        "probe",
        "?nothing ?probe",
        "probe -other",
    ],
)
def test_a_pattern_finds_its_line(pattern: str) -> None:
    assert compiled(pattern)(json.dumps(PROBE))


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.event = "prob" }',
        "{ $.ok IS TRUE }",
        '{ $.ok = "false" }',
        '{ $.gone != "x" }',
        "{ $.ms > 512.5 }",
        "{ $.event > 5 }",
        "{ $.gone IS NULL }",
        '{ $.event = "other" || $.ok IS TRUE && $.status = 0 }',
        "probe other",
        "probe -event",
        "?nope ?neither",
    ],
)
def test_a_pattern_leaves_other_lines_alone(pattern: str) -> None:
    assert not compiled(pattern)(json.dumps(PROBE))


def test_every_pattern_that_terraform_writes_can_be_read() -> None:
    written = (shipped("terraform") / "modules/logs/main.tf").read_text()

    patterns = [json.loads(f'"{found}"') for found in re.findall(r'pattern = "((?:[^"\\]|\\.)*)" }', written)]

    assert len(patterns) > 10
    for pattern in patterns:
        compiled(re.sub(r"\$\{[^}]*\}", "1", pattern))


def test_a_condition_is_false_on_a_line_that_is_no_json() -> None:
    assert not compiled("{ $.x NOT EXISTS }")(SQL)
    assert not compiled('{ $.event != "x" }')("[1]")


def test_a_quoted_term_finds_a_request_in_postgresqls_log() -> None:
    assert compiled("\"'abc-12345'\"")(SQL)
    assert not compiled("\"'abc-1234'\"")(SQL)


@pytest.mark.parametrize(
    "pattern",
    ["{ $.a", "{ $.a = }", "{ a = 1 }", "{ $.a > x }", "{ $.a IS x }", "[a, b]", "{ $.a = 1 ) }", "{ ($.a = 1 }"],
)
def test_a_pattern_that_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(PatternWrong):
        compiled(pattern)
