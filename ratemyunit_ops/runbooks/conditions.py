"""One comparison of a fact with a literal: `idle > 20`, `state == "alarm"`, `verdict in ["good"]`, `pid is unknown`."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Op = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "is"]
FORM = re.compile(r"([a-z][a-z0-9_]{0,39})\s*(==|!=|<=|>=|<|>|\bin\b|\bcontains\b|\bis\b)\s*(.+)", re.DOTALL)
ORDERED = frozenset({"<", "<=", ">", ">="})
COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, literal: value in literal,
    "contains": operator.contains,
}
Facts = dict[str, Any]
"""Facts by name, as JSON values; one that is not there is unknown."""


class Condition(BaseModel):
    """A fact, an operator and a literal. Nothing is evaluated but this."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fact: str
    op: Op
    literal: Any

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read `fact op literal`; the literal is JSON, or `known`, `unknown` after `is`. Raises ValueError."""
        found = FORM.fullmatch(text.strip())
        if found is None:
            raise ValueError('a condition is: fact op literal, as in idle > 20, state == "alarm", pid is unknown')
        fact, op, told = found.groups()
        if op == "is":
            if told.strip() not in {"known", "unknown"}:
                raise ValueError("after `is` comes known or unknown")
            return cls(fact=fact, op="is", literal=told.strip())
        try:
            literal = json.loads(told)
        except ValueError as why:
            raise ValueError(f"{told.strip()} is no literal: texts stand in double quotes") from why
        return cls(fact=fact, op=op, literal=literal)

    def complaint(self, of_type: str) -> str:
        """Say why this cannot be asked of a fact of that type (number, text, truth); empty where it can."""
        if self.op == "is":
            return ""
        if self.op == "in":
            if not isinstance(self.literal, list) or not self.literal:
                return "after `in` comes a list"
            wrong = [one for one in self.literal if kind_of(one) != of_type]
            return f"{json.dumps(wrong[0])} is no {of_type}" if wrong else ""
        if kind_of(self.literal) != of_type:
            return f"{self.fact} is a {of_type}, {json.dumps(self.literal)} is none"
        if self.op in ORDERED and of_type != "number":
            return f"{self.op} compares numbers, and {self.fact} is a {of_type}"
        if self.op == "contains" and of_type != "text":
            return f"contains is asked of a text, and {self.fact} is a {of_type}"
        return ""

    def holds(self, facts: Facts) -> bool | None:
        """Tell whether it is so; None where the fact is unknown."""
        known = self.fact in facts
        if self.op == "is":
            return known is (self.literal == "known")
        return bool(COMPARED[self.op](facts[self.fact], self.literal)) if known else None

    def __str__(self) -> str:
        """Write it as it was read."""
        return f"{self.fact} {self.op} {self.literal if self.op == 'is' else json.dumps(self.literal)}"


def kind_of(literal: object) -> str:
    """Name the type of a literal as facts have it."""
    if isinstance(literal, bool):
        return "truth"
    if isinstance(literal, int | float):
        return "number"
    return "text" if isinstance(literal, str) else "list"
