"""The form of terraform/: what can be told by reading it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ratemyunit_ops.outside.terraform import find_mirror
from ratemyunit_ops.outside.terraform_copy import KEPT
from tests.terraform.conftest import ROOT, SOURCES

MODULES = sorted(p for p in (SOURCES / "modules").iterdir() if p.is_dir())
ROOTS = sorted(p for p in (SOURCES / "live").iterdir() if p.is_dir())
VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.M | re.S)
SKIP = re.compile(r"#checkov:skip=(\w+):(.+)")


def named(folder: Path) -> str:
    return folder.name


def test_every_file_is_formatted() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH: the format is not proven")
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-no-color", str(SOURCES)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TF_CLI_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("root", ROOTS, ids=named)
def test_a_root_and_all_its_modules_are_valid_to_terraform(root: Path, tmp_path: Path) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH: that the roots are valid is not proven")
    sources, mirror = tmp_path / "terraform", find_mirror(os.environ.get("RMU_TF_PLUGIN_MIRROR"))
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns(".terraform"))
    environment = {"PATH": os.environ["PATH"], "TF_CLI_CONFIG_FILE": "/dev/null", "TF_IN_AUTOMATION": "1"}

    def terraform(*words: str) -> subprocess.CompletedProcess[str]:
        argv = ["terraform", *words, "-no-color"]
        folder = sources / "live" / root.name
        return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    plugins = [f"-plugin-dir={mirror}"] if mirror else []
    begun = terraform("init", "-backend=false", "-input=false", *plugins)
    assert begun.returncode == 0, begun.stderr
    told = json.loads(terraform("validate", "-json").stdout)

    assert told["valid"], told["diagnostics"]
    assert told["warning_count"] == 0, told["diagnostics"]


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_has_its_five_files_and_an_example(module: Path) -> None:
    names = {f.name for f in module.iterdir()}

    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"} <= names
    assert "```hcl" in (module / "README.md").read_text()


@pytest.mark.parametrize("module", [*MODULES, *ROOTS], ids=named)
def test_every_variable_is_typed_described_and_in_order(module: Path) -> None:
    found = VARIABLE.findall((module / "variables.tf").read_text())

    assert found
    assert [name for name, _ in found] == sorted(name for name, _ in found)
    for name, body in found:
        assert re.search(r"^  type +=", body, re.M), f"{name} has no type"
        assert re.search(r"^  description +=", body, re.M), f"{name} is not described"


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_asks_for_at_most_twelve_things(module: Path) -> None:
    assert len(VARIABLE.findall((module / "variables.tf").read_text())) <= 12


def test_every_protection_from_deletion_is_on_unless_somebody_says_otherwise() -> None:
    bodies = [
        body
        for module in [*MODULES, *ROOTS]
        for name, body in VARIABLE.findall((module / "variables.tf").read_text())
        if name == "deletion_protection"
    ]

    assert len(bodies) == 6
    assert all(re.search(r"^  default += true$", body, re.M) for body in bodies)


def test_f34_whatever_no_plan_may_destroy_is_known_to_the_destruction_that_was_agreed_to() -> None:
    kept = {
        (file.parent.relative_to(SOURCES).as_posix(), resource)
        for file in SOURCES.rglob("*.tf")
        for resource, body in re.findall(r'^resource (".*?" ".*?") \{\n(.*?)^\}', file.read_text(), re.M | re.S)
        if "prevent_destroy = true" in body
    }

    assert kept == set(KEPT.items()) != set()


def test_the_stack_lists_its_variables_in_the_readme() -> None:
    declared = {name for name, _ in VARIABLE.findall((SOURCES / "live/stack/variables.tf").read_text())}
    listed = set(re.findall(r"^\| `(\w+)` \|", (SOURCES / "live/stack/README.md").read_text(), re.M))

    assert listed == declared


def test_nothing_knows_where_it_runs() -> None:
    text = "\n".join(f.read_text() for f in SOURCES.rglob("*.tf"))

    assert "twin" not in text
    assert "127.0.0.1" not in text and "endpoints {" not in text


def test_every_exception_from_checkov_is_written_down_with_its_reason() -> None:
    inline = set()
    for file in SOURCES.rglob("*.tf"):
        where = file.relative_to(SOURCES).as_posix()
        inline |= {(rule, where, why.strip()) for rule, why in SKIP.findall(file.read_text())}
    rows = re.findall(
        r"^\| (CKV\w+) \| `([^`]+)` \S+ \| (.+) \|$", (ROOT / "docs/terraform-exceptions.md").read_text(), re.M
    )

    assert inline
    assert set(rows) == inline


def test_the_scripts_of_the_documents_pass_shellcheck() -> None:
    shellcheck = str(Path(sys.executable).with_name("shellcheck"))
    scripts = sorted((SOURCES / "modules/access/scripts").glob("*.sh"))

    done = subprocess.run([shellcheck, *map(str, scripts)], capture_output=True, text=True, check=False)

    assert len(scripts) == 2
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_hosts_probe_asks_at_the_door_that_rmu_asks_at(environment: str) -> None:
    known = tomllib.loads((ROOT / "rmu.toml").read_text())["env"][environment]

    told = re.search(r'^front_door += "(.+)"', (ROOT / known["tfvars"]).read_text(), re.M)

    assert told is not None and told[1] == known["front_door"]


@pytest.mark.parametrize("environment", ["twin", "staging", "production"])
def test_a_host_looks_at_itself_as_often_as_its_alarms_look(environment: str) -> None:
    """Seldomer, and points of an alarm would be missing; oftener is only dearer."""
    known = tomllib.loads((ROOT / "rmu.toml").read_text())["env"][environment]

    told = re.search(r"^ +liveness_period = (\d+)$", (ROOT / known["tfvars"]).read_text(), re.M)

    assert known.get("measure_every", 60) == (int(told[1]) if told else 60)
