"""Steps on places: secrets by name, Terraform, the database's roles."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from ratemyunit_ops.errors import Failed, RmuError
from ratemyunit_ops.model import Database, Facts, PlanSummary, Pointer
from ratemyunit_ops.ports import Entry, Outside
from ratemyunit_ops.records import pointer_entry
from ratemyunit_ops.steps.base import Change, Check

STALE_PLAN = timedelta(minutes=10)
"""How old a plan that was shown may be before Terraform is asked anew what it would do."""


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
    """Apply one Terraform root. A state lock left by a dead try of this very run is released first; no other ever is.

    Terraform has no way back, so this is a fence: a failure means resume, or mend and resume.
    """

    kind: Literal["apply_infra"] = "apply_infra"
    root: str
    variables: dict[str, str]
    summary: PlanSummary
    planned: datetime

    def title(self) -> str:
        return f"terraform apply {self.root}: {counted(self.summary)}"

    def done(self, o: Outside) -> bool:
        if o.infra.lock_holder(self.root) is not None:
            return False
        return self._nothing_to_do(o) or o.infra.plan(self.root, self.variables).empty

    def do(self, o: Outside) -> Facts:
        release_own_lock(o, self.root)
        if self._nothing_to_do(o):
            return {"changed": 0}
        self._still_agreed(o)
        slow = Slow()
        done = o.infra.apply(self.root, self.variables, slow)
        return {"changed": len(done.create) + len(done.change) + len(done.replace), "slowest": slow.worst()}

    def undo(self) -> None:
        return None

    def _still_agreed(self, o: Outside) -> None:
        """See that what was shown a while ago still is the worst there is: a resume may come days later."""
        if not self._stale(o):
            return
        now = o.infra.plan(self.root, self.variables)
        more = sorted({*now.replace, *now.destroy} - {*self.summary.replace, *self.summary.destroy})
        if more:
            raise Failed(
                f"terraform would now replace or destroy {', '.join(more)}, which nobody has agreed to",
                state="Terraform changed nothing.",
                next="rmu infra plan   (then: rmu abandon the run, and rmu infra apply)",
            )

    def _nothing_to_do(self, o: Outside) -> bool:
        return self.summary.empty and not self._stale(o)

    def _stale(self, o: Outside) -> bool:
        return o.clock.now() - self.planned >= STALE_PLAN


class AdoptDatabase(Change):
    """Let Terraform's state hold the database that serves now, in place of the one it made.

    The state lets go of the old one, which stays as it is, and imports the new one, all in one apply that changes in
    place alone. Terraform has no way back, so this is a fence; whatever it was killed at, a resume comes to the same.
    """

    kind: Literal["adopt_database"] = "adopt_database"
    root: str
    address: str
    database: str
    variables: dict[str, str]
    summary: PlanSummary

    def title(self) -> str:
        return f"take {self.database} into Terraform's state: {counted(self.summary)}"

    def done(self, o: Outside) -> bool:
        if o.infra.lock_holder(self.root) is not None or o.infra.held(self.root, self.address) != self.database:
            return False
        return o.infra.plan(self.root, self.variables).empty

    def do(self, o: Outside) -> Facts:
        release_own_lock(o, self.root)
        slow = Slow()
        done = o.infra.adopt(self.root, self.address, self.database, self.variables, slow)
        return {"changed": list(done.change), "slowest": slow.worst()}

    def undo(self) -> None:
        return None


class NothingLeft(Check):
    """Terraform has nothing left to do."""

    kind: Literal["nothing_left"] = "nothing_left"
    root: str
    variables: dict[str, str]

    def title(self) -> str:
        return "terraform has nothing left to do"

    def look(self, o: Outside) -> Facts:
        left = o.infra.plan(self.root, self.variables)
        if not left.empty:
            raise Failed(
                f"terraform still has something to do: {counted(left)}",
                state="What was applied stands.",
                next="rmu infra plan",
            )
        return {"left": 0}


class DestroyInfra(Change):
    """Destroy one Terraform root, and with the hosts the pointer they boot by. There is no way back: a fence."""

    kind: Literal["destroy_infra"] = "destroy_infra"
    root: str
    variables: dict[str, str]

    def title(self) -> str:
        return f"terraform destroy {self.root}"

    def done(self, o: Outside) -> bool:
        return o.infra.lock_holder(self.root) is None and not o.infra.output(self.root)

    def do(self, o: Outside) -> Facts:
        release_own_lock(o, self.root)
        slow = Slow()
        o.infra.destroy(self.root, self.variables, slow)
        return {"slowest": slow.worst()}

    def undo(self) -> None:
        return None

    def entries(self, facts: Facts) -> tuple[Entry, ...]:
        # Or the hosts of the next apply would wait for an image that is gone with its repository.
        return (pointer_entry(Pointer()),)


def release_own_lock(o: Outside, root: str) -> None:
    """Release the state lock that a dead try of this very run left, whoever carried it then.

    Raises Failed for a lock of anybody else, or of before they carried this run: its holder may be alive.
    """
    holder = o.infra.lock_holder(root)
    if holder is None:
        return
    if not any(c.who == holder.who and c.since <= holder.created for c in o.carriers):
        raise Failed(
            f"{holder.who} holds Terraform's state lock {holder.id} since {holder.created:%H:%M:%S} UTC",
            state="Terraform changed nothing.",
            next=f"{holder.by_hand}   (only when you know that it is dead)",
        )
    o.infra.unlock(root, holder.id)


def counted(s: PlanSummary) -> str:
    """Say how much Terraform would do, by kind."""
    counts = (f"{len(names)} to {verb}" for verb, names in by_kind(s) if names or verb != "import")
    return ", ".join(counts)


def by_kind(s: PlanSummary) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Name what Terraform would do, by the verbs that an operator reads."""
    verbs = ("make", "change", "replace", "destroy", "import")
    return tuple(zip(verbs, (s.create, s.change, s.replace, s.destroy, s.imports), strict=True))


class Slow(dict[str, float]):
    """Listens to Terraform's events and keeps how long each resource took."""

    def __call__(self, name: str, action: str, seconds: float) -> None:
        self[name] = seconds

    def worst(self) -> dict[str, float]:
        """Answer the five slowest."""
        return dict(sorted(self.items(), key=lambda pair: -pair[1])[:5])


class HostsInService(Check):
    """Every host of the group has completed its launch hook and is in service."""

    kind: Literal["hosts_in_service"] = "hosts_in_service"
    deadline: timedelta = timedelta(minutes=15)

    def title(self) -> str:
        return "hosts are in service"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.deadline.total_seconds()
        states = self._states(o)
        while not states or set(states.values()) != {"InService"}:
            if o.clock.monotonic() > until:
                raise Failed(
                    f"not every host came into service: {states or 'no host at all'}",
                    state="What was done until then stands.",
                    next="rmu host list",
                )
            o.clock.sleep(2)
            states = self._states(o)
        return {"hosts": states}

    def _states(self, o: Outside) -> dict[str, str]:
        return {i.id: i.state for i in o.fleet.instances() if not i.leaving}


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
        return seen.place
