"""The program as hosts get it: smaller, and the same."""

from __future__ import annotations

from typing import Any

import pytest

from ratemyunit_ops.leaner import lean
from ratemyunit_ops.shipped import shipped

MODULE = '''
"""A module."""
from dataclasses import dataclass

@dataclass
class Box:
    """A box."""
    size: int = 3
    """How large."""

def add(first: int, second: int = 2) -> int:
    """Add, in a roundabout way."""
    total: int = 0
    for number in (first, second):
        total += number
    return total

def handle(words: list[str]) -> str:
    try:
        match words:
            case ["say", what]:
                said = f"{what=} {[letter for letter in what]}"
                return said
        raise ValueError(words)
    except ValueError as why:
        message = str(why)
        return message

def counter():
    count = 0
    def more():
        nonlocal count
        count += 1
        return count
    return more

def late():
    from math import floor
    result = floor(2.5)
    text = """four
    spaces"""
    return result, text
'''


def test_what_is_carried_does_what_was_written() -> None:
    def outcome(source: str) -> list[Any]:
        names: dict[str, Any] = {"__name__": "carried"}
        exec(compile(source, "carried", "exec", dont_inherit=True), names)
        more = names["counter"]()
        said = [names["handle"](["say", "hi"]), names["handle"](["x"])]
        return [names["Box"](), names["add"](first=4, second=5), said, more(), more(), names["late"]()]

    assert repr(outcome(lean(MODULE))) == repr(outcome(MODULE))
    assert len(lean(MODULE)) < len(MODULE)


@pytest.mark.parametrize("module", sorted((shipped("templates") / "host/rmu_host").glob("*.py")), ids=lambda f: f.stem)
def test_every_module_of_the_host_is_still_python_and_smaller(module: Any) -> None:
    carried = lean(module.read_text())

    compile(carried, module.name, "exec")
    assert '"""' not in carried
    assert len(carried) < len(module.read_text()) or not module.read_text()
