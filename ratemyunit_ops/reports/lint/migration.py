"""A migration as the lint sees it: what it says about itself, and what its SQL does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ratemyunit_ops.model import Frozen
from ratemyunit_ops.ports import MigrationText
from ratemyunit_ops.reports.lint.deeds import Deed, deeds_of

PHASES = ("expand", "contract")
SAID = re.compile(
    r"^--\s*(phase|oldest_code|irreversible|downgrade|statement_timeout)\s*[:=]\s*(.+?)\s*$", re.MULTILINE
)
ACCEPTED = re.compile(r"(?:#|--)\s*accept ([a-z-]+):[ \t]*(.*)$", re.MULTILINE)
# The template's own words say nothing yet.
WAY_BACK = re.compile(r"^\s*downgrade\s*:\s*(?!say here)\S", re.MULTILINE | re.IGNORECASE)


class Fact(Frozen):
    """Something a migration says about itself, and where."""

    value: str
    line: int


class Migration(Frozen):
    """One migration, read whole."""

    text: MigrationText
    facts: dict[str, Fact]
    way_back: bool
    accepted: dict[str, str]
    deeds: tuple[tuple[Deed, ...], ...]
    """What each statement does; as long as `text.statements`."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.text.path

    @property
    def is_revision(self) -> bool:
        """Tell whether it stands in Alembic's line."""
        return self.path.suffix == ".py"

    @property
    def is_contract(self) -> bool:
        """Tell whether it runs only when older code is gone."""
        return self.said("phase") == "contract"

    def said(self, name: str) -> str:
        """Read what it says about itself; empty where it says nothing."""
        return self.facts[name].value if name in self.facts else ""

    def line_of(self, name: str) -> int:
        """Find the line on which it says so; the first where it does not."""
        return self.facts[name].line if name in self.facts else 1

    def all_deeds(self) -> Iterator[Deed]:
        """List what it does, in order."""
        for deeds in self.deeds:
            yield from deeds

    def makes(self, table: str, column: str = "") -> bool:
        """Tell whether the table, or the column, is this migration's own: nobody else's code can know it yet."""
        made = {("", d.table) for d in self.all_deeds() if d.kind == "create_table"}
        made |= {(d.table, d.column) for d in self.all_deeds() if d.kind == "add_column"}
        return ("", table) in made or (bool(column) and (table, column) in made)


def always_written(before: Sequence[Migration], table: str, column: str) -> bool:
    """Tell whether all code must write a column: as far as the line tells, it is required and nothing fills it."""
    deeds = [d for m in before for d in m.all_deeds() if d.table == table]
    made = any(d.kind == "create_table" and column in d.flags for d in deeds)
    made |= any(d.kind == "add_column" and d.column == column and "required" in d.flags for d in deeds)
    relaxed = {"set_default", "drop_not_null", "drop_column"}
    return made and not any(d.kind in relaxed and d.column == column for d in deeds)


def migration_of(text: MigrationText) -> Migration:
    """Read one migration."""
    facts, way_back = _revision_facts(text.text) if text.path.suffix == ".py" else _sql_facts(text.text)
    return Migration(
        text=text,
        facts=facts,
        way_back=way_back,
        accepted={rule: why.strip() for rule, why in ACCEPTED.findall(text.text)},
        deeds=tuple(tuple(deeds_of(s.tree)) for s in text.statements),
    )


def _sql_facts(text: str) -> tuple[dict[str, Fact], bool]:
    facts = {m[1]: Fact(value=m[2], line=text[: m.start()].count("\n") + 1) for m in SAID.finditer(text)}
    return facts, "downgrade" in facts or "irreversible" in facts


def _revision_facts(text: str) -> tuple[dict[str, Fact], bool]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}, True  # what cannot be read is complained of once, not again for each thing it does not say
    facts = {}
    for node in tree.body:
        names = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        if names and isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            facts[names[0]] = Fact(
                value="" if node.value.value is None else str(node.value.value),
                line=node.lineno,
            )
    told = bool(WAY_BACK.search(ast.get_docstring(tree) or ""))
    irreversible = "irreversible" in facts and bool(facts["irreversible"].value.strip())
    return facts, told or irreversible or any(_does_something(node) for node in tree.body)


def _does_something(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.name != "downgrade":
        return False
    idle = (ast.Pass, ast.Raise)
    return any(not isinstance(part, idle) and not _is_text(part) for part in node.body)


def _is_text(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
