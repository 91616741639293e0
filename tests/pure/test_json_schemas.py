"""The schemas in docs/json are those of the code, and old keys stay."""

import json
from pathlib import Path

import pytest

from ratemyunit_ops.reports.schemas import DOCUMENTS, schema

DOCS = Path(__file__).parents[2] / "docs" / "json"
STAY = {
    "status": "environment front_door release digest schema_head hosts worker previous unknown lease database "
    "last_drill",
    "run": "run outcome release seconds phases probe ssm_commands",
    "history": "runs",
    "migrate-lint": "findings",
    "runbook-run": "runbook cause says facts verdicts evidence remedies inputs unknown",
    "runbook-lint": "findings",
    "slo-show": "environment at objectives",
    "slo-check": "environment at objectives gone",
    "slo-compile": "environment file changed alarms windows",
    "web-budget": "pages above limits phone",
    "db-restore": "run outcome restore_point left_behind instance superseded seconds",
    "db-salvage": "tables files",
    "incident": "incident outcome severity title opened acked acked_by closed paged refused",
    "incident-report": "incident began detected paged acked mended seconds requests timeline unknown report",
    "dr-drill": "run outcome rto_seconds rpo_seconds verified report",
}


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_written_schema_is_the_code_s(name: str) -> None:
    written = json.loads((DOCS / f"{name}.json").read_text())

    assert written == schema(name)


@pytest.mark.parametrize("name", sorted(STAY))
def test_a_key_that_other_programs_read_is_never_dropped(name: str) -> None:
    assert set(STAY[name].split()) <= set(schema(name)["properties"])
