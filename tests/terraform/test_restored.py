"""After a restore: Terraform's state holds the database that was superseded, until the live one is adopted.

The stack is made whole once more; what waits for the provider (it looks after a minute, then three times) is long.
"""

from __future__ import annotations

import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ratemyunit_ops.model import RestorePoint
from ratemyunit_ops.outside.aws.databases import RdsDatabases
from ratemyunit_ops.outside.clock import SystemClock
from ratemyunit_ops.outside.terraform import Terraform, TerraformFailed, TerraformRefused
from ratemyunit_ops.planning.infra import DATABASE
from tests.terraform.conftest import SOURCES, VARIABLES, Cloud, nobody_listens, terraforms_of

OLD, NEW = "rmu-restored-db-1", "rmu-restored-db-ab12"
BEFORE = {"environment": "restored", **VARIABLES, "database_identifier": OLD}
AFTER = {**BEFORE, "database_identifier": NEW}

GITHUB = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("restored")


@pytest.fixture(scope="module")
def tfvars(folder: Path) -> Path:
    """The twin's values, in an account that has GitHub's provider: another stack in it may have made that already."""
    values = (SOURCES / "env/twin.tfvars").read_text()
    given = folder / "restored.tfvars"
    given.write_text(values.replace("github = {", f'github = {{\n  provider_arn = "{GITHUB}"'))
    return given


@pytest.fixture(scope="module")
def terraform(cloud: Cloud, folder: Path, tfvars: Path) -> Terraform:
    """The stack of an environment, applied, and a database restored beside its own as `rmu db restore` does it."""
    made = cloud.terraform("restored", folder, tfvars=tfvars)
    made.apply("bootstrap", BEFORE, nobody_listens)
    cloud.make_secrets("restored")
    made.apply("stack", BEFORE, lambda *event: cloud.database_is_there(OLD))
    databases = RdsDatabases(cloud.account, "restored", SystemClock())
    resource, now = databases.view(OLD).resource_id, datetime.now(UTC)
    base = {"name": "base", "ended": (now - timedelta(hours=2)).timestamp(), "damaged": False}
    cloud.call("/twin/seen", {"bases": {resource: [base]}, "archived": {resource: now.timestamp()}})
    like, point = databases.settings(OLD), RestorePoint(resource_id=resource, at=now - timedelta(hours=1))
    databases.restore(point, identifier=NEW, like=like, run="r-1")
    obeys(cloud)
    databases.settle(NEW, like)
    return made


def obeys(cloud: Cloud) -> None:
    cloud.call("/twin/seen", {"databases": {OLD: "available", NEW: "available"}, "obeyed": {NEW: 1000, OLD: 1000}})


def test_f34_what_adopting_would_do_is_known_before_the_state_is_touched(terraform: Terraform) -> None:
    would = terraform.adoption("stack", DATABASE, NEW, AFTER)

    assert would.replace == would.destroy == would.create == ()
    assert DATABASE in would.change
    assert 'module.ledger.aws_ssm_parameter.place["database"]' in would.change
    assert terraform.held("stack", DATABASE) == OLD
    assert terraform.plan("stack", BEFORE).empty  # the copy left nothing behind


def test_the_logs_of_a_restored_database_are_forgotten_as_those_of_the_first(
    cloud: Cloud, terraform: Terraform
) -> None:
    groups = {
        g["logGroupName"]: g.get("retentionInDays")
        for g in cloud.account.pages("logs", "DescribeLogGroups", "logGroups", logGroupNamePrefix="/aws/rds/instance/")
    }

    assert {name: groups.get(f"/aws/rds/instance/{name}/postgresql") for name in (OLD, NEW)} == {OLD: 30, NEW: 30}


def test_an_adoption_killed_inside_terraform_converges_by_another_one(
    cloud: Cloud, terraform: Terraform, folder: Path
) -> None:
    def kill(name: str, action: str, seconds: float) -> None:
        for pid in terraforms_of(folder):
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(TerraformFailed):
        terraform.adopt("stack", DATABASE, NEW, AFTER, kill)
    holder = terraform.lock_holder("stack")
    assert holder is not None
    terraform.unlock("stack", holder.id)

    terraform.adopt("stack", DATABASE, NEW, AFTER, lambda *event: obeys(cloud))

    assert terraform.held("stack", DATABASE) == NEW
    assert terraform.lock_holder("stack") is None


def test_f34_after_the_adoption_the_plan_is_empty_and_the_superseded_database_still_there(
    cloud: Cloud, terraform: Terraform
) -> None:
    again = terraform.adopt("stack", DATABASE, NEW, AFTER, nobody_listens)

    assert again.empty
    assert terraform.plan("stack", AFTER).empty
    databases = RdsDatabases(cloud.account, "restored", SystemClock())
    assert databases.view(OLD).status == "available"
    place = cloud.account.ask("ssm", "GetParameter", Name="/rmu/restored/places/database_address")["Parameter"]
    assert place["Value"] == databases.view(NEW).address


def test_f34_a_plan_that_would_replace_the_database_is_refused_by_terraform_itself(
    cloud: Cloud, terraform: Terraform, folder: Path, tfvars: Path, tmp_path: Path
) -> None:
    """As when somebody changes what cannot be changed in place."""
    shutil.copytree(SOURCES, tmp_path / "sources", ignore=shutil.ignore_patterns(".terraform"))
    module = tmp_path / "sources/modules/database/main.tf"
    module.write_text(module.read_text().replace('"ratemyunit"', '"renamed"'))
    changed = cloud.terraform("restored", folder, sources=tmp_path / "sources", tfvars=tfvars)

    with pytest.raises(TerraformRefused, match="Instance cannot be destroyed"):
        changed.plan("stack", AFTER)


def test_a_destruction_that_was_agreed_to_takes_the_database_too(cloud: Cloud, terraform: Terraform) -> None:
    terraform.destroy("stack", AFTER, lambda *event: cloud.call("/twin/seen", {"left": [NEW]}))

    assert terraform.held("stack", DATABASE) == ""
    assert terraform.output("stack") == {}
