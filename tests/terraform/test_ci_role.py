"""CI's role, made by the real module: whom it trusts, for what, and what it may do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.outside.terraform import Terraform
from tests.terraform.conftest import REGION, SOURCES, Cloud, last_plan, nobody_listens

ENVIRONMENT = "trusting"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
ROOT = """
terraform {
  backend "s3" {
    use_lockfile = true
  }
}
provider "aws" { region = var.region }
module "access" {
  source         = "../../modules/access"
  environment    = "trusting"
  bucket         = "rmu-trusting-ledger-123456789012"
  github         = var.github
  repository_arn = "arn:aws:ecr:us-east-1:123456789012:repository/rmu-trusting/app"
}
"""
DECLARED = """
variable "github" {
  type    = any
  default = null
}
variable "region" { type = string }
"""
GITHUB = {
    "environment": "production",
    "owner": "acme",
    "owner_id": "1001",
    "repository": "ratemyunit",
    "repository_id": "2002",
}


@pytest.fixture(scope="module")
def folder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that holds module access and nothing else."""
    folder = tmp_path_factory.mktemp("ci")
    stack = folder / "sources/live/stack"
    stack.mkdir(parents=True)
    shutil.copytree(SOURCES / "modules/access", folder / "sources/modules/access")
    shutil.copy(SOURCES / "live/stack/versions.tf", stack)
    (stack / "main.tf").write_text(ROOT)
    (stack / "variables.tf").write_text(DECLARED)
    cloud.account.act("s3", "CreateBucket", Bucket=f"rmu-{ENVIRONMENT}-state-123456789012")
    return folder


def trusting(cloud: Cloud, folder: Path, github: dict[str, str] | None) -> Terraform:
    tfvars = folder / "given.tfvars.json"
    tfvars.write_text(json.dumps({"github": github}))
    return cloud.terraform(ENVIRONMENT, folder / "work", sources=folder / "sources", tfvars=tfvars)


def planned(cloud: Cloud, folder: Path, github: dict[str, str] | None) -> dict[str, Any]:
    """Plan the module; answer what would be made, by kind and name."""
    trusting(cloud, folder, github).plan("stack", {"region": REGION})
    plan = last_plan(folder / "work" / ENVIRONMENT)
    managed = [c for c in plan["resource_changes"] if c["mode"] == "managed"]
    return {f"{c['type']}.{c['name']}": c["change"]["after"] for c in managed}


def test_without_a_repository_there_is_no_role_for_ci_and_no_provider(cloud: Cloud, folder: Path) -> None:
    made = planned(cloud, folder, None)

    assert "aws_iam_role.host" in made
    assert {name for name in made if name.endswith((".ci", ".github"))} == set()


def test_the_first_environment_of_an_account_makes_githubs_provider(cloud: Cloud, folder: Path) -> None:
    provider = planned(cloud, folder, GITHUB)["aws_iam_openid_connect_provider.github"]

    assert provider["url"] == "https://token.actions.githubusercontent.com"
    assert provider["client_id_list"] == ["sts.amazonaws.com"]


def test_ci_is_one_deployment_environment_of_one_repository_and_may_deploy_and_respond(
    cloud: Cloud, folder: Path
) -> None:
    given = {**GITHUB, "provider_arn": PROVIDER}
    assert "aws_iam_openid_connect_provider.github" not in planned(cloud, folder, given)

    trusting(cloud, folder, given).apply("stack", {"region": REGION}, nobody_listens)

    role = cloud.account.ask("iam", "GetRole", RoleName="rmu-trusting-ci")["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    sub = statement["Condition"]["StringEquals"].pop("token.actions.githubusercontent.com:sub")
    assert statement == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": PROVIDER},
        "Condition": {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}},
    }
    assert sorted(sub) == [
        "repo:acme/ratemyunit:environment:production",
        "repo:acme@1001/ratemyunit@2002:environment:production",
    ]
    allowed = cloud.account.ask("iam", "ListAttachedRolePolicies", RoleName="rmu-trusting-ci")["AttachedPolicies"]
    assert {p["PolicyName"] for p in allowed} == {"rmu-trusting-deploy", "rmu-trusting-respond"}
    assert cloud.account.ask("iam", "ListRolePolicies", RoleName="rmu-trusting-ci")["PolicyNames"] == []
