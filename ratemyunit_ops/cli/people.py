"""The person at the keyboard, behind the port `People`: asked on the screen, or spoken for by --yes."""

from __future__ import annotations

from dataclasses import dataclass

from ratemyunit_ops.ports import Said
from ratemyunit_ops.show.screen import Screen


@dataclass(frozen=True)
class Operator:
    """Who typed the command. `vouches` is --yes: they answer for what they are asked, and are named for it."""

    screen: Screen
    who: str
    vouches: bool = False

    def ask(self, question: str) -> Said:
        """Ask on the screen; where --yes was typed, take that for the answer and say so."""
        if self.vouches:
            self.screen.note(f"{question} {self.who} says so by --yes")
            return Said(yes=True, who=self.who, how="--yes")
        if not self.screen.may_ask:
            return Said(yes=False, who=self.who, how="not asked")
        return Said(yes=self.screen.confirm(question), who=self.who, how="typed")
