"""A runbook's file, read: YAML without its traps, and every complaint with its file, line and key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Frozen
from ratemyunit_ops.runbooks.schema import Runbook

Where = tuple[str | int, ...]


class Finding(Frozen):
    """What is wrong with a runbook, and where."""

    file: str
    line: int
    key: str
    what: str

    def __str__(self) -> str:
        """Say it in one line, as compilers do."""
        return (
            f"{self.file}:{self.line}: {self.key}: {self.what}" if self.key else f"{self.file}:{self.line}: {self.what}"
        )


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `on` is a key and no truth, 12:30 is no number, a date is a text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _form, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})$"), _first)


class Page(Frozen):
    """A runbook, and where in its file each part stands."""

    path: Path
    text: str
    runbook: Runbook

    def finding(self, where: Where, what: str) -> Finding:
        """Complain about a part."""
        return _finding(self.path, _compose(self.text), where, what)


def read(path: Path) -> Page:
    """Read one file. Raises Mistyped, which names file, line and key of the first thing that is wrong."""
    found = read_or_complain(path)
    if isinstance(found, Page):
        return found
    more = f"   (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise Mistyped(str(found[0]), next=f"rmu runbook lint{more}")


def read_or_complain(path: Path) -> Page | list[Finding]:
    """Read one file; answer all that is wrong with it where it cannot be read."""
    text = path.read_text()
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as why:
        line = why.problem_mark.line + 1 if why.problem_mark else 1
        return [Finding(file=path.name, line=line, key="", what=f"no YAML: {why.problem}")]
    twice = _said_twice(path, root, ())
    if twice:
        return twice
    try:
        runbook = Runbook.model_validate(yaml.load(text, Loader=_Loader))  # noqa: S506  (a SafeLoader, see above)
    except ValidationError as why:
        return [_finding(path, root, tuple(e["loc"]), _plainly(e)) for e in why.errors()]
    if runbook.name != path.stem:
        return [_finding(path, root, ("name",), f"{runbook.name} stands in {path.name}; the two are one")]
    return Page(path=path, text=text, runbook=runbook)


def pages(folder: Path) -> list[Page]:
    """Read every runbook of a folder, by name. Raises Mistyped."""
    return [read(path) for path in sorted(folder.glob("*.yaml"))]


def _compose(text: str) -> yaml.Node:
    return yaml.compose(text, Loader=_Loader) or yaml.MappingNode("tag:yaml.org,2002:map", [])


def _said_twice(path: Path, node: yaml.Node, where: Where) -> list[Finding]:
    """Find keys that stand twice in one place: YAML takes the last one and says nothing."""
    if isinstance(node, yaml.SequenceNode):
        return [f for n, one in enumerate(node.value) for f in _said_twice(path, one, (*where, n))]
    if not isinstance(node, yaml.MappingNode):
        return []
    found, seen = [], set[str]()
    for key, value in node.value:
        at = (*where, key.value)
        if key.value in seen:
            line = key.start_mark.line + 1
            found.append(Finding(file=path.name, line=line, key=_key(at), what="stands here twice"))
        seen.add(key.value)
        found += _said_twice(path, value, at)
    return found


def _finding(path: Path, root: yaml.Node, where: Where, what: str) -> Finding:
    line, known = _walk(root, where)
    return Finding(file=path.name, line=line, key=_key(known), what=what)


def _walk(node: yaml.Node, where: Where) -> tuple[int, Where]:
    """Find the line of a part, and its key: names that pydantic gives to variants stand in no file."""
    line, known = (node.start_mark.line + 1 if node.start_mark else 1), list[str | int]()
    for step in where:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == step), None)
            if found is None:
                known += [step] if step not in {"deed", "step"} else []
                continue
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            continue
        known.append(step)
    return line, tuple(known)


def _key(where: Where) -> str:
    return ".".join(str(step + 1) if isinstance(step, int) else str(step) for step in where)


def _plainly(error: Any) -> str:
    said = {"extra_forbidden": "there is no such key", "missing": "is missing"}
    message = str(error["msg"]).removeprefix("Value error, ")
    return said.get(error["type"], message[:1].lower() + message[1:])
