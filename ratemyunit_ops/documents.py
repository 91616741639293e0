"""YAML files that people write, read strictly: every mistake is named with its file, line and key.

Plain values only: no tags, no aliases, no merge keys, no key twice. They are read as people mean them: `on` is a key
and no truth, 12:30 is no number, a date is a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Frozen

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from yaml import Node, SafeLoader

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
"""Where something stands in a document: keys and positions from the top."""

PLAIN = {
    "null": (r"null|~|", ["n", "~", ""]),
    "bool": (r"true|false", ["t", "f"]),
    "int": (r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    "float": (r"-?(?:0|[1-9][0-9]*)\.[0-9]+", list("-0123456789")),
}
"""What is no text though nobody quoted it: its form, and how it may begin."""
TAG = "tag:yaml.org,2002:"


class Finding(Frozen):
    """What is wrong with a file, and where."""

    file: str
    line: int
    key: str
    what: str

    def __str__(self) -> str:
        """Say it in one line, as compilers do."""
        return f"{self.file}:{self.line}: {self.says()}"

    def says(self) -> str:
        """Say it without its place: the key, and what is wrong with it."""
        return f"{self.key}: {self.what}" if self.key else self.what


class Unreadable(Mistyped):
    """A file is no document, or not the one that was wanted: all that was found wrong with it."""

    def __init__(self, path: Path, findings: Sequence[Finding]) -> None:
        """Say the first finding; whoever wants all has them in `findings`."""
        first, more = findings[0], f", and {len(findings) - 1} more" if len(findings) > 1 else ""
        super().__init__(f"{path}, line {first.line}: {first.says()}{more}", next=f"edit {path}")
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Document:
    """One YAML document of a file: its values, and the line each of them begins in."""

    path: Path
    values: Any
    lines: Mapping[Place, int]

    def finding(self, place: Place, says: str) -> Finding:
        """Complain about a place."""
        return Finding(file=self.path.name, line=self._line(place), key=_key(place), what=says)

    def wrong(self, place: Place, says: str) -> Unreadable:
        """Make the error that says what is wrong at a place."""
        return Unreadable(self.path, [self.finding(place, says)])

    def read_as(self, model: type[M], values: Any = None, *, at: Place = ()) -> M:
        """Read the values, or those of a place, as a model. Raises Unreadable for all that does not fit."""
        try:
            return model.model_validate(self.values if values is None else values)
        except ValidationError as why:
            found = [self.finding(self._place(at, error), _says(error)) for error in why.errors()]
            raise Unreadable(self.path, found) from why

    def _line(self, place: Place) -> int:
        """Find the line of a place; of what holds it where it is missing itself."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def _place(self, at: Place, error: ErrorDetails) -> Place:
        """Find the place that pydantic means: the names it gives to variants of a model stand in no file."""
        missing = error["loc"][-1:] if error["type"] == "missing" else ()
        for step in error["loc"][: len(error["loc"]) - len(missing)]:
            at = (*at, step) if (*at, step) in self.lines else at
        return (*at, *missing)


def read_documents(path: Path) -> tuple[Document, ...]:
    """Read every document of a YAML file.

    Raises:
        Unreadable: with all that is wrong with it.
        Mistyped: there is no such file, or it cannot be opened.
    """
    import yaml

    loader = None
    try:
        loader = _loader()(path.read_text(encoding="utf-8"))
        return tuple(_documents(path, loader))
    except OSError as why:
        raise Mistyped(f"{path} cannot be read: {why.strerror}", next=f"ls -l {path}") from why
    except yaml.MarkedYAMLError as why:
        line = why.problem_mark.line + 1 if why.problem_mark else 1
        raise _no_yaml(path, why.problem or why.context or "it is broken", line) from why
    except UnicodeDecodeError as why:
        raise _no_yaml(path, f"byte {why.start + 1} of it is no UTF-8") from why
    except yaml.reader.ReaderError as why:
        raise _no_yaml(path, f"it holds the character #x{why.character:04x}") from why
    except RecursionError as why:
        raise _no_yaml(path, "it is nested too deep") from why
    finally:
        if loader is not None:
            loader.dispose()


def _no_yaml(path: Path, why: str, line: int = 1) -> Unreadable:
    return Unreadable(path, [Finding(file=path.name, line=line, key="", what=f"no YAML: {why}")])


@cache
def _loader() -> type[SafeLoader]:
    import yaml

    class Plain(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    for name, (form, first) in PLAIN.items():
        Plain.add_implicit_resolver(TAG + name, re.compile(f"(?:{form})$"), first)
    return Plain


def _documents(path: Path, loader: SafeLoader) -> list[Document]:
    found: list[Document] = []
    wrong: list[Finding] = []
    while loader.check_node() and (node := loader.get_node()) is not None:
        walk = _Walk(path, loader)
        values = walk.values(node, ())
        found.append(Document(path, values, walk.lines))
        wrong += walk.wrong
    if wrong:
        raise Unreadable(path, wrong)
    return found


class _Walk:
    """One walk through a document: values come out, lines and complaints are noted on the way."""

    def __init__(self, path: Path, loader: SafeLoader) -> None:
        self.path = path
        self.loader = loader
        self.lines: dict[Place, int] = {}
        self.wrong: list[Finding] = []
        self.seen: set[int] = set()

    def values(self, node: Node, place: Place) -> Any:
        import yaml

        self.lines.setdefault(place, _line(node))
        if id(node) in self.seen:  # an alias may hold itself, or ten copies of ten copies
            return self._complain(self.lines[place], place, "what is here is meant twice (an alias); write it out")
        self.seen.add(id(node))
        if node.tag not in {TAG + name for name in (*PLAIN, "str", "seq", "map")}:
            return self._complain(
                _line(node), place, f"has a tag ({node.tag.removeprefix(TAG)}); only plain values are read"
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node.value, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.values(item, (*place, n)) for n, item in enumerate(node.value)]
        try:
            return self.loader.construct_object(node)
        except (KeyError, ValueError):
            return self._complain(_line(node), place, f"{node.value} is no {node.tag.removeprefix(TAG)}")

    def _mapping(self, pairs: list[tuple[Node, Node]], place: Place) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        for key, value in pairs:
            if not isinstance(key, yaml.ScalarNode):
                self._complain(_line(key), place, "a key is one word")
                continue
            at = (*place, str(key.value))
            if key.value in found:
                self._complain(_line(key), at, f"stands here twice (first in line {self.lines[at]})")
                continue
            self.lines[at] = _line(key)
            found[key.value] = self.values(value, at)
        return found

    def _complain(self, line: int, place: Place, what: str) -> None:
        self.wrong.append(Finding(file=self.path.name, line=line, key=_key(place), what=what))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _key(place: Place) -> str:
    """Spell a place as people count: the first of a list is 1."""
    return ".".join(str(step + 1) if isinstance(step, int) else step for step in place)


def _says(error: ErrorDetails) -> str:
    """Say a complaint of pydantic's in our words."""
    ours = {
        "extra_forbidden": "rmu does not read this key",
        "missing": "is missing",
        "model_type": "should be a mapping",
    }
    message = re.sub(r"^(Value error, |Input |String |List )", "", error["msg"])
    return ours.get(error["type"], message[:1].lower() + message[1:])
