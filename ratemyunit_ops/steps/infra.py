"""Steps on places: secrets by name, Terraform, the database's roles."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from ratemyunit_ops.errors import Failed, RmuError
from ratemyunit_ops.model import Database, Facts, PlanSummary
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.steps.base import Change, Check

STALE_PLAN = timedelta(minutes=10)
"""How old a plan that was shown may be before Terraform is asked anew what it would take away."""


class EnsureSecrets(Change):
    """Make the secrets that are missing, random. Existing ones are never touched, so nothing needs undoing."""

    kind: Literal["ensure_secrets"] = "ensure_secrets"
    names: tuple[str, ...]

    def title(self) -> str:
        return f"make the secrets that are missing ({len(self.names)} names)"

    def done(self, o: Outside) -> bool:
        return o.secrets.missing(self.names) == ()

    def do(self, o: Outside) -> Facts:
        return {"made": list(o.secrets.ensure(self.names))}

    def undo(self) -> None:
        return None


class ApplyInfra(Change):
    """Apply one Terraform root. A state lock left by the dead try of this very run is released first; no other ever is.

    Terraform has no way back, so this is a fence: a failure means resume, or mend and resume.
    """

    kind: Literal["apply_infra"] = "apply_infra"
    root: str
    variables: dict[str, str]
    summary: PlanSummary
    who: str
    planned: datetime

    def title(self) -> str:
        s = self.summary
        kinds = (("make", s.create), ("change", s.change), ("replace", s.replace), ("destroy", s.destroy))
        counts = ", ".join(f"{len(names)} to {verb}" for verb, names in kinds)
        return f"terraform apply {self.root}: {counts}"

    def done(self, o: Outside) -> bool:
        return o.infra.lock_holder(self.root) is None and o.infra.plan(self.root, self.variables).empty

    def do(self, o: Outside) -> Facts:
        self._release_own_lock(o)
        self._still_agreed(o)
        slow: dict[str, float] = {}
        done = o.infra.apply(self.root, self.variables, lambda name, action, seconds: slow.update({name: seconds}))
        slowest = dict(sorted(slow.items(), key=lambda pair: -pair[1])[:5])
        return {"changed": len(done.create) + len(done.change) + len(done.replace), "slowest": slowest}

    def undo(self) -> None:
        return None

    def _still_agreed(self, o: Outside) -> None:
        """See that what was shown a while ago still is the worst there is: a resume may come days later."""
        if o.clock.now() - self.planned < STALE_PLAN:
            return
        now = o.infra.plan(self.root, self.variables)
        more = sorted({*now.replace, *now.destroy} - {*self.summary.replace, *self.summary.destroy})
        if more:
            raise Failed(
                f"terraform would now replace or destroy {', '.join(more)}, which nobody has agreed to",
                state="Terraform changed nothing.",
                next="rmu infra plan   (then: rmu abandon the run, and rmu infra apply)",
            )

    def _release_own_lock(self, o: Outside) -> None:
        holder = o.infra.lock_holder(self.root)
        if holder is None:
            return
        if holder.who != self.who or holder.created < self.planned:
            raise Failed(
                f"{holder.who} holds Terraform's state lock {holder.id} since {holder.created:%H:%M:%S} UTC",
                state="Terraform changed nothing.",
                next=f"terraform force-unlock {holder.id}   (only when you know that it is dead)",
            )
        o.infra.unlock(self.root, holder.id)


class HostsInService(Check):
    """Every host of the group has completed its launch hook and is in service."""

    kind: Literal["hosts_in_service"] = "hosts_in_service"
    deadline: timedelta = timedelta(minutes=15)

    def title(self) -> str:
        return "hosts are in service"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        states = {i.id: i.state for i in o.fleet.instances()}
        while not states or set(states.values()) != {"InService"}:
            if o.clock.monotonic() > until:
                raise Failed(
                    f"not every host came into service: {states or 'no host at all'}",
                    state="Terraform's changes stand.",
                    next="rmu host list",
                )
            o.clock.sleep(2)
            states = {i.id: i.state for i in o.fleet.instances()}
        return {"hosts": states}


class MakeRoles(Change):
    """Make the database's roles, with today's passwords. Making them again is harmless, so nothing is undone."""

    kind: Literal["make_roles"] = "make_roles"
    database: str

    def title(self) -> str:
        return "make the database roles"

    def done(self, o: Outside) -> bool:
        try:
            return bool(o.oneoff.has_roles(self._database(o)))
        except RmuError:
            return False

    def do(self, o: Outside) -> Facts:
        return o.oneoff.make_roles(self._database(o))

    def undo(self) -> None:
        return None

    def _database(self, o: Outside) -> Database:
        seen = o.databases.view(self.database)
        return Database(identifier=seen.identifier, address=seen.address, port=seen.port)
