"""Steps that move traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.model import Database, Facts, HostView, Release, ReleaseRef
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change
from ratemyunit_ops.steps.data import hold
from ratemyunit_ops.steps.named import placed


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
        return all(_served_by(h, self.release) for h in o.fleet.survey())

    def do(self, o: Outside) -> Facts:
        backup = self.instead_of if self.stand_by else None
        return o.fleet.serve(self.release, backup=backup, probe=self.probe, let_go=self.let_go)

    def undo(self) -> Change:
        return Serve(release=self.instead_of, instead_of=self.release)

    def serves(self) -> dict[str, str | None]:
        return {"serving": self.release.version if self.release else None}


class BringAlong(Change):
    """Let hosts that came into service meanwhile serve what the others serve.

    One that had read the pointer before it was changed boots what that named then, and nobody else would notice.
    `all_of_them`: no step before has moved any host, so this is the flip.
    """

    kind: Literal["bring_along"] = "bring_along"
    release: Release
    database: Database
    all_of_them: bool = False
    ready: timedelta = timedelta(minutes=2)
    deadline: timedelta = timedelta(minutes=20)

    def title(self) -> str:
        return f"every host serves {self.release.version}, newborn ones too"

    def done(self, o: Outside) -> bool:
        return not self._booting(o) and not self._strays(o)

    def do(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        while booting := self._booting(o):
            if o.clock.monotonic() > until:
                what = f"{', '.join(booting)} did not come into service in {self.deadline.total_seconds() / 60:.0f} min"
                raise Failed(what, state="The other hosts serve.", next="rmu host list")
            o.clock.sleep(2)
        strays = self._strays(o)
        if not strays:
            return {"brought": []}
        o.fleet.prepare(self.release, placed(o, self.database))
        o.fleet.start(self._ref, schema_head=self.release.schema_head, deadline=self.ready)
        return {"brought": strays, **o.fleet.serve(self._ref, backup=None, probe=False, let_go=True)}

    def undo(self) -> None:
        return None

    def flips(self) -> bool:
        return self.all_of_them

    @property
    def _ref(self) -> ReleaseRef:
        return self.release.on(self.database.identifier)

    def _booting(self, o: Outside) -> list[str]:
        return sorted(i.id for i in o.fleet.instances() if i.state != "InService" and not i.leaving)

    def _strays(self, o: Outside) -> list[str]:
        return sorted(h.id for h in o.fleet.survey() if not _served_by(h, self._ref))


class HoldRequests(Change):
    """Let requests wait at the proxy of every host. A hold ends by itself, whatever becomes of this run."""

    kind: Literal["hold_requests"] = "hold_requests"
    unbroken: ClassVar[bool] = True
    at_most: timedelta

    def title(self) -> str:
        return f"hold requests, {self.at_most.total_seconds():.0f} s at most"

    def done(self, o: Outside) -> bool:
        return o.fleet.holding()

    def do(self, o: Outside) -> Facts:
        return hold(o, self.at_most)

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


def _served_by(host: HostView, release: ReleaseRef | None) -> bool:
    if release is None or host.live_slot is None:
        return (release, host.live_slot) == (None, None)
    return host.slots[host.live_slot].holds(release)
