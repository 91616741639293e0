"""The arrows of the house: who may import whom, and which library lives in which part. Late imports count too."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = "ratemyunit_ops"
MODULES = sorted((ROOT / HOUSE).rglob("*.py"))

ANYBODY = {"model", "errors", "spans", ""}
"""What every part may use; "" is the package itself, for its version."""
ARROWS: dict[str, set[str]] = {
    "model": set(),
    "errors": set(),
    "spans": set(),
    "documents": set(),
    "objectives": {"documents"},
    "burning": {"objectives"},
    "ports": {"model"},
    "records": {"ports"},
    "leaner": set(),
    "render": {"shipped", "leaner"},
    "runbooks": {"documents"},
    "shipped": set(),
    "settings": set(),
    "survey": {"ports", "records"},
    "steps": {"ports", "render", "records", "runbooks"},
    "planning": {"steps", "settings", "runbooks"},
    "engine": {"steps.base", "ports", "records"},
    "reports": {"ports", "records", "runbooks", "documents", "objectives", "burning"},
    "show": {"steps.base", "runbooks"},
    "outside": {"ports"},
    "twin": set(),
    "": set(),
}
"""`cli` is not listed: it composes everything. A part always reaches itself."""

LIBRARIES: dict[str, set[str]] = {
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"show"},
    "jinja2": {"render"},
    "boto3": {"outside.aws", "twin"},
    "botocore": {"outside.aws", "twin"},
    "paramiko": {"outside", "twin"},
    "alembic": {"outside"},
    "pgparse": {"outside"},
    "python_terraform": {"outside"},
    "subprocess": {"outside", "twin"},
    "socket": {"outside", "twin"},
    "http": {"outside", "twin"},
    "urllib": {"outside", "twin"},
    "time": {"outside", "twin"},
    "moto": {"twin"},
    "werkzeug": {"twin"},
}

EXTRAS: dict[str, set[str]] = {"twin": {"twin"}, "lint": {"outside.migrations", "outside.revision_program"}}
"""What may be missing where rmu is installed, and the only parts that import it."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(module: Path) -> str:
    """Name a module inside the house: `engine.carry`, `ports`, and "" for the package itself."""
    parts = module.relative_to(ROOT / HOUSE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


@cache
def imports(module: Path) -> frozenset[str]:
    """List every name a module imports, wherever in it, as dotted names."""
    return frozenset(_imported(module))


def _imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            here = (HOUSE, *name_of(module).split("."))
            base = ".".join(here[: len(here) - node.level + (module.name == "__init__.py")])
            yield from (f"{base}.{node.module or alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, parts: set[str]) -> bool:
    """Tell whether a dotted name lies in one of the parts."""
    return any(name == p or name.startswith(f"{p}.") for p in parts if p) or (
        "" in parts and name in {"", "__version__"}
    )


def ours(module: Path) -> set[str]:
    """List what a module imports of the house, without the house's name."""
    return {n.removeprefix(HOUSE).removeprefix(".") for n in imports(module) if n.split(".")[0] == HOUSE}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_only_along_the_arrows(module: Path) -> None:
    name = name_of(module)
    part = name.split(".")[0]
    if part == "cli":
        return
    allowed = ARROWS[part] | ANYBODY | {part}

    wrong = {n for n in ours(module) if not within(n, allowed)}

    assert not wrong, f"{name} may not import {sorted(wrong)}"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_library_is_imported_only_where_it_lives(module: Path) -> None:
    name = name_of(module)

    wrong = {n for n in imports(module) if not within(name, LIBRARIES.get(n.split(".")[0], {name}))}

    assert not wrong, f"{name} may not import {sorted(wrong)}"


@cache
def brought(requirements: tuple[str, ...]) -> set[str]:
    """List the distributions that these requirements bring, with what those want themselves."""
    named = {_distribution(r) for r in requirements}
    wanted = {_distribution(r) for name in named for r in metadata.requires(name) or () if "extra ==" not in r}
    return named | wanted


def _distribution(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def not_brought(dependencies: Sequence[str]) -> set[tuple[str, str]]:
    """List each module with the libraries it imports that the wheel would not bring with these dependencies."""
    gives = metadata.packages_distributions()
    found = set()
    for module in MODULES:
        name = name_of(module)
        more = [
            r for extra, parts in EXTRAS.items() if within(name, parts) for r in PROJECT["optional-dependencies"][extra]
        ]
        there = brought((*dependencies, *more))
        libraries = {n.split(".")[0] for n in imports(module)} - {HOUSE, *sys.stdlib_module_names}
        found |= {(name, lib) for lib in libraries if not {_distribution(d) for d in gives.get(lib, ())} & there}
    return found


def test_the_wheel_names_every_library_that_it_imports() -> None:
    assert not_brought(PROJECT["dependencies"]) == set()


def test_a_library_that_the_wheel_does_not_name_is_noticed() -> None:
    without = [d for d in PROJECT["dependencies"] if not d.startswith("jinja2")]

    assert not_brought(without) == {("render", "jinja2")}


def test_nothing_imports_the_door_and_only_its_twin_command_imports_the_twin() -> None:
    to_cli = {name_of(m) for m in MODULES if any(within(n, {"cli"}) for n in ours(m))}
    to_twin = {name_of(m) for m in MODULES if any(within(n, {"twin"}) for n in ours(m))}

    assert {n for n in to_cli if not within(n, {"cli"})} == set()
    assert {n for n in to_twin if not within(n, {"twin"})} <= {"cli.twin"}


def test_every_part_of_the_house_has_its_arrows() -> None:
    parts = {name_of(m).split(".")[0] for m in MODULES}

    assert parts - {"cli"} == set(ARROWS)


def test_the_engine_knows_steps_by_their_base_only() -> None:
    seen = {n for m in MODULES if within(name_of(m), {"engine"}) for n in ours(m) if within(n, {"steps"})}

    assert seen
    assert all(within(n, {"steps.base"}) for n in seen)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_module_says_what_lives_in_it(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['rmu', '--help']\n"
        "from ratemyunit_ops.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'boto3', 'botocore', 'paramiko', 'moto', 'jinja2'}\n"
        "print(*{m.split('.')[0] for m in sys.modules} & heavy)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)

    assert done.stdout.splitlines()[-1] == ""
