"""Help for three in the morning: every page opens with an example that can be typed; shells complete the words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pure.test_docs import cli, complaint

TYPED = "import sys; sys.argv = ['rmu']; from ratemyunit_ops.cli.main import main; main()"


def pages(node: Any, name: str) -> Iterator[tuple[str, str]]:
    """List every page of help under a command: its name and what it says before the options."""
    yield name, node.help or ""
    for word, child in getattr(node, "commands", {}).items():
        yield from pages(child, f"{name} {word}")


PAGES = dict(pages(cli(), "rmu"))


def examples(page: str) -> list[str]:
    """List the lines of examples; what follows `&&` is a line of its own."""
    _, _, after = page.partition("Example: ")
    lines = [part.strip() for line in after.splitlines() for part in line.split(" && ")]
    return [line for line in lines if line.startswith("rmu ")]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_of_help_has_an_example_of_its_own_command_that_the_cli_takes(name: str) -> None:
    found = examples(PAGES[name])

    assert found, f"{name} --help has no example"
    assert any(re.match(rf"{name}( |$)", example) for example in found)
    assert {example: why for example in found if (why := complaint(example))} == {}


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "rmu dep", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "rmu dep"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "rmu dep", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_a_shell_that_asks_how_a_word_ends_is_told(shell: str, asked: dict[str, str]) -> None:
    environ = {**os.environ, **asked, "_RMU_COMPLETE": f"complete_{shell}"}

    told = subprocess.run([sys.executable, "-c", TYPED], env=environ, capture_output=True, text=True, check=False)

    assert re.findall(r"\b(deploy|doctor|rollback)\b", told.stdout) == ["deploy"], told
