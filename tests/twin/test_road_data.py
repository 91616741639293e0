"""The product's data on the road: a migration that lies, the way back from it, and one that is rehearsed before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.demo.bad_migration import after, told, tree, tree_that_lies
from tests.twin.driver import SEARCH, Stack, raised_stack, started

pytestmark = [pytest.mark.twin, pytest.mark.long]

HELD_S = 40.0
HEAD = told()["head"]
NEXT = after(HEAD)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A twin of its own with the product serving as v1. Its tests stand on each other, in this order."""
    with raised_stack("road-data", 5740, tmp_path_factory.mktemp("road-data")) as stack:
        stack.take_product()
        stack.rmu("image", "push", "v1", patience=900)
        stack.rmu("deploy", "v1", "--yes", patience=900)
        yield stack


def beside(stack: Stack, name: str, grow: Callable[[Path], Path]) -> Path:
    """Make another tree of the product; return the settings that lie beside it."""
    grow(stack.where / name / "app")
    settings = stack.where / name / "rmu.toml"
    settings.write_text(stack.config.read_text())
    return settings


def live(stack: Stack) -> str:
    """Name the live database."""
    return str(stack.status()["database"]["identifier"])


def column(stack: Stack) -> set[str]:
    """Name what a rating has for words, as the live database tells."""
    asked = "select column_name from information_schema.columns where table_name = 'ratings'"
    with psycopg.connect(stack.databases()[live(stack)]) as connection:
        return {name for (name,) in connection.execute(asked)} & {"comment", "remark"}


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {line["line"]: line["verdict"] for line in document["lines"]}


def test_an_expand_that_shuts_out_the_release_that_serves_stops_its_deploy_and_names_the_restore(
    product: Stack,
) -> None:
    product.rmu("image", "push", "liar", config=beside(product, "lies", tree_that_lies), patience=900)

    stopped = product.rmu("deploy", "liar", "--yes", expect=None)

    assert stopped.code in (4, 5), stopped.says()
    assert product.who()["version"] == "v1"
    assert column(product) == {"remark"}
    words = stopped["next"].split()
    assert words[:4] == ["rmu", "db", "restore", "--before"], stopped.says()

    with product.no_drop(HELD_S):
        restored = product.rmu(*words[1:], "--yes", "--because", "its expand lied")

    assert (restored["outcome"], restored["release"]) == ("done", "v1")
    assert column(product) == {"comment"}
    product.serves_alone("v1")


def test_after_the_restore_terraform_is_brought_in_line_and_the_old_database_let_go(product: Stack) -> None:
    [left] = product.status()["database"]["superseded"]
    superseded = left["identifier"]

    early = product.rmu("db", "forget", superseded, "--yes", expect=3)
    adopted = product.rmu("infra", "adopt", "--yes", patience=900)
    drift = product.rmu("infra", "drift", patience=300)
    unnamed = product.rmu("db", "forget", superseded, "--no-input", expect=3)
    unsalvaged = product.rmu("db", "forget", superseded, "--yes", expect=3)
    into = str(product.where / "left-behind")
    salvaged = product.rmu("db", "salvage", left["run"], "--dir", into, "--apply", "--yes", patience=600)
    with product.no_drop(path=SEARCH):
        forgotten = product.rmu("db", "forget", superseded, "--yes", "--because", "nothing is missed", patience=600)

    assert "adopt" in early["next"]
    assert adopted["outcome"] == "done"
    assert drift["drift"] is False
    assert superseded in unnamed["what"]
    assert unsalvaged["next"].startswith(f"rmu db salvage {left['run']} --apply")
    assert salvaged["conflicts"] == []
    assert forgotten["outcome"] == "done"
    assert list(product.databases()) != [superseded]
    kept = product.aws("rds").describe_db_instance_automated_backups(DBInstanceIdentifier=superseded)
    assert [one["Status"] for one in kept["DBInstanceAutomatedBackups"]] == ["retained"]


def test_a_migration_is_planned_rehearsed_and_listed_and_its_deploy_killed_at_it_goes_on(product: Stack) -> None:
    config = beside(product, "next", tree)
    for version in ("v2", "v3"):
        product.rmu("image", "push", version, config=config, patience=900)

    planned = product.rmu("migrate", "plan", "v2", config=config)
    early = product.rmu("migrate", "checklist", "v2", "--yes", config=config, expect=3)
    rehearsed = product.rmu("migrate", "rehearse", "v2", "--yes", config=config, patience=600)
    beside_it = list(product.databases())
    late = product.rmu("migrate", "checklist", "v2", "--yes", config=config, expect=None)
    with product.no_drop(path=SEARCH):
        product.kill("deploy", "v2", "--yes", at=started("migrate"))
        deployed = product.rmu("resume", "--yes")

    assert [(one["revision"], one["phase"]) for one in planned["pending"]] == [
        (NEXT, "expand"),
        (after(NEXT), "contract"),
    ]
    assert rehearsed["outcome"] == "done"
    assert beside_it == [live(product)]
    better = {line for line, verdict in verdicts(late.document).items() if verdict != "fails"}
    assert better > {line for line, verdict in verdicts(early.document).items() if verdict != "fails"}
    assert (deployed["outcome"], deployed["release"]) == ("done", "v2")
    product.serves_alone("v2")


def test_a_contract_waits_until_no_old_release_can_come_back_and_goes_on_when_killed(product: Stack) -> None:
    refused = product.rmu("migrate", "up", "--contract", "--yes", expect=3)
    product.rmu("deploy", "v3", "--yes")

    with product.no_drop(path=SEARCH):
        product.kill("migrate", "up", "--contract", "--yes", at=started("migrate"))
        contracted = product.rmu("resume", "--yes")
    back = product.rmu("rollback", "v1", "--yes", expect=3)

    assert "v1" in refused["what"]
    assert contracted["outcome"] == "done"
    assert back["next"].startswith("rmu db restore --before")
    assert product.status()["schema_head"] == after(NEXT)
    product.serves_alone("v3")
