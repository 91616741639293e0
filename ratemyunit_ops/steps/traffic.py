"""Steps that move traffic."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.model import Facts, ReleaseRef
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change


class Serve(Change):
    """Send traffic to a release on every host; each host proves it before it answers.

    `stand_by` keeps the old release as the proxy's backup (a bake). Its undo is to serve the old release,
    or nothing where there was none.
    """

    kind: Literal["serve"] = "serve"
    release: ReleaseRef | None
    instead_of: ReleaseRef | None
    stand_by: bool = False
    probe: bool = False

    def title(self) -> str:
        back = f" [undo: serve {self.instead_of.version if self.instead_of else 'nothing'}]"
        return f"serve {self.release.version if self.release else 'nothing'}{back}"

    def done(self, o: Outside) -> bool:
        wanted = self.release.version if self.release else None
        return all(h.serves() == wanted for h in o.fleet.survey())

    def do(self, o: Outside) -> Facts:
        return o.fleet.serve(self.release, backup=self.instead_of if self.stand_by else None, probe=self.probe)

    def undo(self) -> Change:
        return Serve(release=self.instead_of, instead_of=self.release)

    def serves(self) -> dict[str, str | None]:
        return {"serving": self.release.version if self.release else None}
