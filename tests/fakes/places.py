"""The ports that reach no host: front door, registry, secrets, places, identity, Terraform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ratemyunit_ops.errors import Failed, RmuError
from ratemyunit_ops.model import CertificateView, Facts, FrontDoor, ImageView, PlanSummary
from ratemyunit_ops.ports import LockHolder, Said
from tests.fakes.line import Line

if TYPE_CHECKING:
    from tests.fakes.world import FakeWorld

ACCOUNT = "123456789012"


class FakeTraffic:
    """The front door: each request goes to the next host, and what serves there answers."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def look(self) -> FrontDoor:
        return self._line.call("traffic.look", self._world.ask_front_door)

    def smoke(self) -> Facts:
        return self._line.call("traffic.smoke", self._smoke)

    def _smoke(self) -> Facts:
        seen = self._world.ask_front_door()
        if seen.version in self._world.smoke_fails or seen.version is None:
            raise Failed(f"search answered wrongly ({seen.version})", state="Traffic had been moved.", next="rmu logs")
        return {"smoke": "ok"}


class FakeRegistry:
    """Images by version, and what is kept from expiry."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def image(self, version: str) -> ImageView | None:
        return self._line.call("registry.image", lambda: self._world.images.get(version))

    def images(self) -> tuple[ImageView, ...]:
        """List them as the registry does: newest first, without their labels."""
        bare = {"schema_head": "", "schema_oldest": "", "schema_admits": ""}
        found = reversed(self._world.images.values())
        return self._line.call("registry.images", lambda: tuple(i.model_copy(update=bare) for i in found))

    def keep(self, digest: str, tag: str) -> None:
        self._line.call("registry.keep", lambda: self._keep(digest, tag), changes=True)

    def _keep(self, digest: str, tag: str) -> None:
        image = self._world.image_of(digest)
        if image is None or set(image.tags) & self._world.keep_fails:
            raise Failed(f"the registry has no {digest}", state="Nothing was kept.", next="rmu image list")
        self._world.kept[tag] = digest


class FakeSecrets:
    """Secrets by name."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def ensure(self, names: Sequence[str]) -> tuple[str, ...]:
        def make() -> tuple[str, ...]:
            missing = tuple(n for n in names if n not in self._world.secrets)
            self._world.secrets.update(missing)
            return missing

        return self._line.call("secrets.ensure", make, changes=True)

    def missing(self, names: Sequence[str]) -> tuple[str, ...]:
        return self._line.call("secrets.missing", lambda: tuple(n for n in names if n not in self._world.secrets))

    def names(self) -> tuple[str, ...]:
        return self._line.call("secrets.names", lambda: tuple(sorted(self._world.secrets)))

    def renewed(self, name: str, *, run: str) -> bool:
        return self._line.call("secrets.renewed", lambda: self._world.renewed.get(name) == run)

    def renew(self, name: str, *, run: str) -> Facts:
        def make() -> Facts:
            already = self._world.renewed.get(name) == run
            if not already:
                self._world.renewed[name] = run
                self._world.outdate(name)
            return {"outcome": "already" if already else "changed"}

        return self._line.call("secrets.renew", make, changes=True)


class FakeCertificates:
    """The account's certificates."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def all(self) -> tuple[CertificateView, ...]:
        return self._line.call("certificates.all", lambda: tuple(self._world.certificates))


class FakePlaces:
    """What Terraform wrote down."""

    def __init__(self, world: FakeWorld, line: Line) -> None:
        self._world = world
        self._line = line

    def all(self) -> Mapping[str, str]:
        return self._line.call("places.all", lambda: dict(self._world.places))


class FakeIdentity:
    """Who this process is."""

    def __init__(self, who: str, ends: datetime | None = None, silent: RmuError | None = None) -> None:
        self._who = who
        self._ends = ends
        self._silent = silent

    def expires(self) -> datetime | None:
        return self._ends

    def who(self) -> str:
        return self._who

    def plan(self) -> Literal["free", "paid"]:
        return "paid"

    def account(self) -> str:
        if self._silent:
            raise self._silent
        return ACCOUNT


class FakePeople:
    """The person at the keyboard; world.people_say is what they answer, None where there is nobody."""

    def __init__(self, world: FakeWorld, line: Line, who: str) -> None:
        self._world = world
        self._line = line
        self._who = who

    def ask(self, question: str) -> Said:
        def answer() -> Said:
            self._world.people_do()
            said = self._world.people_say
            return Said(yes=bool(said), who=self._who, how="not asked" if said is None else "typed")

        return self._line.call("people.ask", answer)


class FakeInfra:
    """Terraform: what is wanted, what is there, and a state lock that outlives its holder."""

    def __init__(self, world: FakeWorld, line: Line, who: str) -> None:
        self._world = world
        self._line = line
        self._who = who

    def plan(self, root: str, variables: Mapping[str, str]) -> PlanSummary:
        return self._line.call("infra.plan", lambda: self._summary(root))

    def apply(
        self, root: str, variables: Mapping[str, str], on_event: Callable[[str, str, float], None]
    ) -> PlanSummary:
        return self._line.call("infra.apply", lambda: self._apply(root, on_event), changes=True)

    def destroy(self, root: str, variables: Mapping[str, str], on_event: Callable[[str, str, float], None]) -> None:
        self._line.call("infra.destroy", lambda: self._destroy(root), changes=True)

    def held(self, root: str, address: str) -> str:
        return self._line.call("infra.held", lambda: self._world.state_holds)

    def adoption(self, root: str, address: str, name: str, variables: Mapping[str, str]) -> PlanSummary:
        return self._line.call("infra.adoption", lambda: self._adoption(address, name))

    def adopt(
        self,
        root: str,
        address: str,
        name: str,
        variables: Mapping[str, str],
        on_event: Callable[[str, str, float], None],
    ) -> PlanSummary:
        return self._line.call("infra.adopt", lambda: self._adopt(root, address, name), changes=True)

    def output(self, root: str) -> Mapping[str, str]:
        return self._line.call("infra.output", lambda: {n: n for n in sorted(self._world.built.get(root, ()))})

    def lock_holder(self, root: str) -> LockHolder | None:
        return self._line.call("infra.lock_holder", lambda: self._world.state_locks.get(root))

    def unlock(self, root: str, lock_id: str) -> None:
        def unlock() -> None:
            held = self._world.state_locks.get(root)
            if held is None or held.id != lock_id:
                raise Failed(f"the state is not locked by {lock_id}", state="Nothing was unlocked.", next="rmu doctor")
            del self._world.state_locks[root]

        self._line.call("infra.unlock", unlock, changes=True)

    def _summary(self, root: str) -> PlanSummary:
        wanted, there = self._world.wanted.get(root, set()), self._world.built.get(root, set())
        return PlanSummary(
            create=tuple(sorted(wanted - there)),
            change=tuple(sorted(self._world.drifted)),
            destroy=tuple(sorted(there - wanted)),
        )

    def _adoption(self, address: str, name: str) -> PlanSummary:
        changed = () if self._world.state_holds == name else (address,)
        return PlanSummary(change=changed, replace=tuple(sorted(self._world.adopting_replaces)))

    def _adopt(self, root: str, address: str, name: str) -> PlanSummary:
        self._lock(root)
        summary = self._adoption(address, name)
        if summary.change:
            self._world.state_holds = ""
        self._line.between("infra.adopt")
        self._world.state_holds = name
        self._world.places["database"] = name
        del self._world.state_locks[root]
        return summary

    def _destroy(self, root: str) -> None:
        self._lock(root)
        self._line.between("infra.destroy")
        self._world.built.pop(root, None)
        del self._world.state_locks[root]

    def _lock(self, root: str) -> None:
        held = self._world.state_locks.get(root)
        if held is not None:
            raise Failed(
                f"the state of {root} is locked by {held.who}", state="Nothing was applied.", next="rmu doctor"
            )
        now: datetime = self._world.clock.now()
        lock = f"lock-{self._world.clock.seconds}"
        unlock = f"terraform -chdir=/cache/{root} force-unlock {lock}"
        self._world.state_locks[root] = LockHolder(id=lock, who=self._who, created=now, by_hand=unlock)

    def _apply(self, root: str, on_event: Callable[[str, str, float], None]) -> PlanSummary:
        self._lock(root)
        summary = self._summary(root)
        for name in summary.create:
            on_event(name, "create", 1.0)
        self._line.between("infra.apply")
        self._world.built[root] = set(self._world.wanted.get(root, set()))
        del self._world.state_locks[root]
        return summary
