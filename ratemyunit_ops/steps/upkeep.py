"""Steps that keep hosts in order: images that nothing needs go, secrets get new values, and are what runs holds."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import Facts
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change, Check


class PruneImages(Change):
    """Remove the images that no slot and no worker holds. They can be pulled again, so nothing is undone."""

    kind: Literal["prune_images"] = "prune_images"

    def title(self) -> str:
        return "remove images that nothing needs, on every host"

    def done(self, o: Outside) -> bool:
        return not any(o.fleet.unneeded().values())

    def do(self, o: Outside) -> Facts:
        return o.fleet.prune()

    def undo(self) -> None:
        return None


class RenewSecret(Change):
    """Give a secret a new value. The old one is not put back by an undo: somebody else may know it by now."""

    kind: Literal["renew_secret"] = "renew_secret"
    name: str
    run: str

    def title(self) -> str:
        return f"give {self.name} a new value"

    def done(self, o: Outside) -> bool:
        return o.secrets.renewed(self.name, run=self.run)

    def do(self, o: Outside) -> Facts:
        return o.secrets.renew(self.name, run=self.run)

    def undo(self) -> None:
        return None


class TodaysSecrets(Check):
    """Whatever runs was started with the secrets of today."""

    kind: Literal["todays_secrets"] = "todays_secrets"

    def title(self) -> str:
        return "everything that runs has today's secrets"

    def look(self, o: Outside) -> Facts:
        old = o.fleet.stale()
        if old:
            held = ", ".join(sorted({f"{s.secret} ({s.holder} on {s.host})" for s in old}))
            raise Failed(f"an older value is held of {held}", state="Traffic was moved.", next="rmu secret list")
        return {"stale": 0}
