"""The schemas in docs/json are those of the code, and old keys stay."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ratemyunit_ops.reports.schemas import DOCUMENTS, TwinStatusDocument, schema
from ratemyunit_ops.twin import status as twin_status
from ratemyunit_ops.twin.site import Site

DOCS = Path(__file__).parents[2] / "docs" / "json"
STAY = {
    "status": "environment front_door release digest schema_head last_drill "
    "hosts.id hosts.address hosts.live_slot hosts.slots.release hosts.slots.state worker.release worker.state "
    "previous.release previous.state unknown.what unknown.why lease.run lease.owner lease.step lease.age_seconds "
    "database.identifier database.latest_restorable_time",
    "run": "run outcome release seconds phases probe.sent probe.failed probe.p99_ms probe.added_p99_ms probe.verdict "
    "ssm_commands",
    "history": "runs.run runs.verb runs.outcome runs.who runs.because runs.started runs.finished",
    "twin-status": "endpoint region front_door hosts.id databases.identifier databases.url registry",
    "failure": "outcome what state next",
    "migrate-lint": "findings.file findings.line findings.rule findings.severity findings.why findings.safe_way",
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
    made = schema(name)

    assert set(STAY[name].split()) <= set(paths(made, made.get("$defs", {})))


def paths(node: dict[str, Any], defs: dict[str, Any]) -> Iterator[str]:
    """Name every key of a schema, and of what it holds as `key.key`; lists and maps add no word of their own."""
    if "$ref" in node:
        node = defs[node["$ref"].split("/")[-1]]
    for name, one in node.get("properties", {}).items():
        yield name
        yield from (f"{name}.{more}" for more in paths(one, defs))
    inner = [*node.get("anyOf", ()), node.get("items"), node.get("additionalProperties")]
    for one in inner:
        if isinstance(one, dict):
            yield from paths(one, defs)


def test_the_status_of_a_twin_is_as_its_schema_says(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = {"id": "i-1", "address": "10.0.0.5", "type": "t3.small", "machine": "running", "state": "running"}
    ended = {**instance, "id": "i-0", "state": "terminated"}
    database = {"id": "rmu-twin-db-1", "status": "available", "port": 5432, "machine_address": "10.0.0.9"}
    wanted = {"instances": [instance, ended], "groups": [], "databases": [{**database, "database": "app"}]}
    # A twin that runs is a machine's worth of work: its gate and its door are stood in for, the document is its own.
    monkeypatch.setattr(twin_status, "is_up", lambda site: True)
    monkeypatch.setattr(twin_status, "call", lambda site, verb: wanted)
    monkeypatch.setattr(twin_status, "client", lambda site, service: Nothing())
    monkeypatch.setattr(twin_status.door, "published", lambda site: {15432: "10.0.0.9:5432"})

    seen = twin_status.status(Site(name="nowhere", port_base=64_000))

    assert TwinStatusDocument.model_validate(seen)
    assert [h["id"] for h in seen["hosts"]] == ["i-1"]
    assert (seen["databases"][0]["port"], seen["databases"][0]["url"]) == (15432, None)


class Nothing:
    """An account that holds neither pointer nor password yet."""

    def __getattr__(self, name: str) -> Any:
        def refuses(**_: Any) -> Any:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "none"}}, name)

        return refuses
