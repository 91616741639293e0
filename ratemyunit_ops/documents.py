"""YAML files that people write, read strictly: every mistake is named with its file, line and key.

Plain data only: no merge keys, no aliases, no key twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ratemyunit_ops.errors import Mistyped

if TYPE_CHECKING:
    from yaml import Node, SafeLoader

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
"""Where something stands in a document: keys and positions from the top."""


@dataclass(frozen=True)
class Document:
    """One YAML document of a file: its values, and the line each of them begins in."""

    path: Path
    values: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Find the line of a place; of what holds it where it is missing itself."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def wrong(self, place: Place, says: str, *, next: str = "") -> Mistyped:
        """Make the error that says what is wrong at a place."""
        key = ".".join(str(part) for part in place)
        at = f"{self.path}, line {self.line(place)}"
        return Mistyped(f"{at}: {key + ': ' if key else ''}{says}", next=next or f"edit {self.path}")

    def read_as(self, model: type[M], values: Any = None, *, at: Place = ()) -> M:
        """Read the values, or those of a place, as a model. Raises Mistyped for the first thing that does not fit."""
        try:
            return model.model_validate(self.values if values is None else values)
        except ValidationError as why:
            first = why.errors()[0]
            place = (*at, *(part for part in first["loc"] if part != "[key]"))
            raise self.wrong(place, _says(first["type"], first["msg"])) from why


def read_documents(path: Path) -> tuple[Document, ...]:
    """Read every document of a YAML file. Raises Mistyped where it cannot be read."""
    import yaml

    try:
        text = path.read_text()
    except OSError as why:
        raise Mistyped(f"{path} cannot be read: {why.strerror}", next=f"ls -l {path}") from why
    loader = yaml.SafeLoader(text)
    try:
        return tuple(_documents(path, loader))
    except yaml.MarkedYAMLError as why:
        line = why.problem_mark.line + 1 if why.problem_mark else 1
        raise Mistyped(f"{path}, line {line}: {why.problem or why.context}", next=f"edit {path}") from why
    except yaml.YAMLError as why:  # a character that no YAML may hold
        raise Mistyped(f"{path} is not valid YAML: {why}", next=f"edit {path}") from why
    finally:
        loader.dispose()


def _documents(path: Path, loader: SafeLoader) -> list[Document]:
    found: list[Document] = []
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            lines: dict[Place, int] = {}
            found.append(Document(path, _Walk(path, loader, lines).values(node, ()), lines))
    return found


class _Walk:
    """One walk through a document: values come out, lines are noted on the way."""

    def __init__(self, path: Path, loader: SafeLoader, lines: dict[Place, int]) -> None:
        self.path = path
        self.loader = loader
        self.lines = lines
        self.seen: set[int] = set()

    def values(self, node: Node, place: Place) -> Any:
        import yaml

        line = node.start_mark.line + 1
        if id(node) in self.seen:  # an alias may hold itself, or ten copies of ten copies
            raise Mistyped(f"{self.path}, line {line}: what is here is meant twice (an alias)", next="write it out")
        self.seen.add(id(node))
        self.lines.setdefault(place, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node.value, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.values(item, (*place, n)) for n, item in enumerate(node.value)]
        return self.loader.construct_object(node)

    def _mapping(self, pairs: list[tuple[Node, Node]], place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in pairs:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in found:
                raise Mistyped(
                    f"{self.path}, line {line}: {'.'.join(map(str, (*place, key)))} is given twice "
                    f"(first in line {self.lines[(*place, key)]})",
                    next=f"edit {self.path}",
                )
            self.lines[(*place, key)] = line
            found[key] = self.values(value_node, (*place, key))
        return found


def _says(kind: str, message: str) -> str:
    """Say a complaint of pydantic's in our words."""
    if kind == "extra_forbidden":
        return "rmu does not read this key"
    if kind == "missing":
        return "is missing"
    if kind == "model_type":
        return "should be a mapping"
    return re.sub(r"^(Value error, |Input |String |List )", "", message)
