"""CI's workflows: who gets credentials, who agreed to it, and that nothing they use can change under them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github/workflows"
WORKFLOWS = {file.name: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yml"))}


def jobs() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """List every job: its workflow's file, what it may do, and itself."""
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            yield name, job.get("permissions", workflow["permissions"]), job


def used(job: dict[str, Any]) -> list[str]:
    return [step["uses"] for step in job["steps"] if "uses" in step]


def test_whatever_gets_credentials_waits_for_a_deployment_environment() -> None:
    """Its protection rules are the approval; and the role trusts no job without one."""
    entitled = {name: job for name, may, job in jobs() if may.get("id-token") == "write"}

    assert {"deploy.yml", "rollback.yml"} <= set(entitled)
    assert all(job["environment"] == "${{ inputs.environment }}" for job in entitled.values())
    assert {name for name, _, job in jobs() if any("configure-aws" in action for action in used(job))} == set(entitled)


def test_nothing_else_may_write_anything() -> None:
    assert [
        (name, may)
        for name, may, _ in jobs()
        if {**may, "id-token": "read"} != {"contents": "read", "id-token": "read"}
    ] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_workflow_knows_a_key(name: str) -> None:
    text = (FOLDER / name).read_text()

    assert not re.search(r"secrets\.|access[-_]key|AKIA|ASIA", text, re.IGNORECASE)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_ends_and_uses_only_actions_pinned_to_a_commit(name: str) -> None:
    for of, _, job in jobs():
        if of == name:
            assert job["timeout-minutes"] <= 30
            assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used(job))


def test_what_a_workflow_installs_to_build_the_tools_of_ci_install_too() -> None:
    tools = (FOLDER.parents[1] / ".ci/tools").read_text()
    wanted = set(re.findall(r"^  \S+=(\S+)$", tools, re.MULTILINE))
    installed = re.findall(r"apt-get install ((?:-\S+ )*)(.+)", (FOLDER / "deploy.yml").read_text())

    assert installed
    assert {package for _, words in installed for package in words.split()} <= wanted
