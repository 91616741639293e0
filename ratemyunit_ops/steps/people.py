"""Steps that ask a person: what no machine can see. The journal keeps who answered, and how."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import Facts
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Check


class Ask(Check):
    """Ask a person a question that has to be answered with yes."""

    kind: Literal["ask"] = "ask"
    question: str

    def title(self) -> str:
        return f"ask: {self.question}"

    def look(self, o: Outside) -> Facts:
        said = o.people.ask(self.question)
        if not said.yes:
            raise Failed(
                f"{self.question} {said.who} said {'no' if said.how == 'typed' else 'nothing: nobody could be asked'}",
                state="Nothing was changed.",
                next="ask on a terminal, or add --yes to vouch for it in your own name",
            )
        return {"question": self.question, "who": said.who, "how": said.how}
