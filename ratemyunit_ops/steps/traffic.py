"""Steps that move traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from ratemyunit_ops.model import Facts, HostView, ReleaseRef
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change


class Serve(Change):
    """Send traffic to a release on every host; each host proves it before it answers.

    `stand_by` keeps the old release as the proxy's backup (a bake); `let_go` ends a hold with the flip. Its undo is to
    serve the old release, or nothing where there was none.
    """

    kind: Literal["serve"] = "serve"
    release: ReleaseRef | None
    instead_of: ReleaseRef | None
    stand_by: bool = False
    probe: bool = False
    let_go: bool = False

    def title(self) -> str:
        undo = f" [undo: serve {self.instead_of.version if self.instead_of else 'nothing'}]"
        back = "" if self.fence else undo
        return f"serve {self.release.version if self.release else 'nothing'}{back}"

    def done(self, o: Outside) -> bool:
        return all(self._served_by(h) for h in o.fleet.survey())

    def do(self, o: Outside) -> Facts:
        backup = self.instead_of if self.stand_by else None
        return o.fleet.serve(self.release, backup=backup, probe=self.probe, let_go=self.let_go)

    def undo(self) -> Change:
        return Serve(release=self.instead_of, instead_of=self.release)

    def serves(self) -> dict[str, str | None]:
        return {"serving": self.release.version if self.release else None}

    def _served_by(self, host: HostView) -> bool:
        if self.release is None or host.live_slot is None:
            return (self.release, host.live_slot) == (None, None)
        return host.slots[host.live_slot].holds(self.release)


class HoldRequests(Change):
    """Let requests wait at the proxy of every host. A hold ends by itself, whatever becomes of this run."""

    kind: Literal["hold_requests"] = "hold_requests"
    at_most: timedelta

    def title(self) -> str:
        return f"hold requests, {self.at_most.total_seconds():.0f} s at most"

    def done(self, o: Outside) -> bool:
        return o.fleet.holding()

    def do(self, o: Outside) -> Facts:
        return o.fleet.hold(at_most=self.at_most)

    def undo(self) -> Change:
        return LetRequestsGo()


class LetRequestsGo(Change):
    """Let waiting requests go on to what serves."""

    kind: Literal["let_requests_go"] = "let_requests_go"

    def title(self) -> str:
        return "let requests go"

    def done(self, o: Outside) -> bool:
        return not o.fleet.holding()

    def do(self, o: Outside) -> Facts:
        return o.fleet.let_go()

    def undo(self) -> None:
        return None
