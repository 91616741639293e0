"""`rmu twin` where nothing runs: it says so, and what to type next."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ratemyunit_ops.cli.twin import app
from ratemyunit_ops.errors import Mistyped, Refused
from ratemyunit_ops.twin import fault
from ratemyunit_ops.twin.site import Site
from ratemyunit_ops.twin.status import status

NOWHERE = Site(name="nowhere", port_base=64_000)


def test_the_status_of_a_twin_that_does_not_run_is_a_refusal_with_the_command_that_starts_it() -> None:
    with pytest.raises(Refused) as refused:
        status(NOWHERE)

    assert refused.value.next == "rmu twin up"


def test_an_unknown_fault_names_the_known_ones() -> None:
    with pytest.raises(Mistyped) as mistyped:
        fault.make(NOWHERE, "earthquake", None)

    assert "kill-host" in mistyped.value.what


def test_a_fault_that_mends_itself_cannot_be_cleared_by_hand() -> None:
    with pytest.raises(Refused):
        fault.clear(NOWHERE, "kill-host", None)


def test_faults_are_listed_without_a_twin() -> None:
    answer = CliRunner().invoke(app, ["fault", "--list", "--json"])

    assert answer.exit_code == 0
    assert set(json.loads(answer.stdout)["faults"]) == set(fault.faults())
