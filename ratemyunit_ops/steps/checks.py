"""Steps that look and never change anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from ratemyunit_ops.errors import Failed, RmuError, Unreachable
from ratemyunit_ops.model import Facts, FrontDoor, ImageView, ReleaseRef, Works
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import read_pointer
from ratemyunit_ops.steps.base import Check

NOT_MOVED = "Traffic was not moved."
SCAN_PATIENCE = timedelta(minutes=3)
"""How long a scan may take before it counts as one that proved nothing."""


class ImageFit(Check):
    """The image is in the registry under the digest the plan means, scanned, and the base is still live."""

    kind: Literal["image_fit"] = "image_fit"
    release: ReleaseRef
    base: str | None
    allow_critical: bool = False

    def title(self) -> str:
        return "check digest, scan, base is live"

    def look(self, o: Outside) -> Facts:
        image = scanned(o, self.release.version)
        if image is None or image.digest != self.release.digest:
            raise Failed(
                f"the registry has no image {self.release.version} with digest {self.release.digest[:19]} any more",
                state=NOT_MOVED,
                next=f"rmu image push {self.release.version}",
            )
        if image.scan == "critical" and not self.allow_critical:
            raise Failed(
                f"the scan of {self.release.version} found {image.findings} CRITICAL findings",
                state=NOT_MOVED,
                next=f"rmu image scan {self.release.version}",
            )
        live = read_pointer(o.ledger).release
        if live != self.base:
            raise Failed(
                f"{live or 'nothing'} is live now, but this deploy was planned on {self.base or 'nothing'}",
                state=NOT_MOVED,
                next=f"rmu deploy {self.release.version} --dry-run",
            )
        return {"digest": image.digest, "scan": image.scan, "base": live}


def scanned(o: Outside, version: str) -> ImageView | None:
    """Find an image once its scan has ended: right after a push it is still under way, and has found nothing yet."""
    until = o.clock.monotonic() + SCAN_PATIENCE.total_seconds()
    while (image := o.registry.image(version)) is not None and image.scan == "pending":
        if o.clock.monotonic() > until:
            break
        o.clock.sleep(1)
    return image


class Ready(Check):
    """Release and digest answer ready three times in a row on every host; the digest is read from the container."""

    kind: Literal["ready"] = "ready"
    release: ReleaseRef
    schema_head: str
    deadline: timedelta = timedelta(seconds=120)

    def title(self) -> str:
        return "ready: digest + schema match, 3 in a row"

    def look(self, o: Outside) -> Facts:
        return o.fleet.ready(self.release, schema_head=self.schema_head, deadline=self.deadline)


class StillWorks(Check):
    """The release that serves still reads and writes on the migrated schema, and answers the smoke list.

    `head` and `run` are of the migration before it: what the schema stays at, and what a restore goes back before.
    """

    kind: Literal["still_works"] = "still_works"
    release: ReleaseRef
    head: str = ""
    run: str = ""

    def title(self) -> str:
        return "the old release still reads and writes"

    def look(self, o: Outside) -> Facts:
        seen = o.traffic.look()
        if seen.version != self.release.version:
            raise Failed(
                f"{seen.version or 'nothing'} answers at the front door where {self.release.version} should",
                state=NOT_MOVED,
                next="rmu status",
            )
        works = o.oneoff.works(self.release)
        if works.ok is False:
            raise self._broken(o, works)
        return {**o.traffic.smoke(), "works": works.model_dump()}

    def _broken(self, o: Outside, works: Works) -> Failed:
        """Say what is so now: migrations are not undone, so what serves has to live on this schema, or cannot."""
        version, head = self.release.version, self.head or "that the migration made"
        try:
            o.traffic.smoke()
            serving = f"{version} still answers its smoke list, but not everything it does will work"
        except RmuError as why:
            serving = f"{version} serves and is broken on it: {why.what}"
        return Failed(
            f"{version} does not work on schema {head}: {works.failed} failed ({works.why})\n"
            f"The schema stays at {head}, since migrations are not undone. {serving}.",
            state=NOT_MOVED,
            next=f"rmu db restore --before {self.run}" if self.run else "rmu logs",
        )


class Proven(Check):
    """The front door answers with this release and digest, several times in a row, and the smoke list passes.

    On the way back the smoke list is only told: with the database down it fails on both sides, and to unwind for it
    would be to return to the release that somebody has just left.
    """

    kind: Literal["proven"] = "proven"
    release: ReleaseRef
    smoke_decides: bool = True
    every_host: bool = False
    in_a_row: int = 5
    deadline: timedelta = timedelta(seconds=30)

    def title(self) -> str:
        return "prove it through the front door, every host"

    def look(self, o: Outside) -> Facts:
        hosts: set[str] = set()
        agreed = 0
        until = o.clock.monotonic() + self.deadline.total_seconds()
        seen = "no answer"
        while agreed < self.in_a_row or (silent := self._silent(o, hosts)):
            if agreed >= self.in_a_row:
                seen = f"nothing from {', '.join(silent)}"
            if o.clock.monotonic() > until:
                raise Failed(
                    f"the front door did not answer as {self.release.version} (last: {seen})",
                    state="Traffic had been moved.",
                    next="rmu status",
                )
            try:
                door = o.traffic.look()
            except Unreachable as why:
                agreed, seen = 0, why.what
                o.clock.sleep(0.2)
                continue
            seen = f"{door.version} {(door.digest or '')[:19]} {door.database or ''}".strip()
            right = (door.version, door.digest) == (self.release.version, self.release.digest) and self._right(door)
            agreed = agreed + 1 if right else 0
            hosts = {*hosts, door.host or ""} if right else set()
            o.clock.sleep(0 if right and agreed < self.in_a_row else 0.2)
        return {"hosts": sorted(hosts), **self._smoke(o)}

    def _silent(self, o: Outside, heard: set[str]) -> list[str]:
        """Name the hosts in service that have not answered yet; a release that does not name its host is believed."""
        if not self.every_host or "" in heard:
            return []
        return sorted(i.id for i in o.fleet.instances() if i.state == "InService" and i.id not in heard)

    def _right(self, door: FrontDoor) -> bool:
        """Tell whether the database is the one that is meant, where one is meant and the release tells."""
        return self.release.database is None or door.database in (None, self.release.database)

    def _smoke(self, o: Outside) -> Facts:
        try:
            return o.traffic.smoke()
        except Failed as why:
            if self.smoke_decides:
                raise
            return {"what": why.what}


class Bake(Check):
    """Watch the new release under real traffic; the old one stands by as the proxy's backup.

    Fails when the proxy fell back, when the front door names another release, or when the drop probe lost a request.
    """

    kind: Literal["bake"] = "bake"
    release: ReleaseRef
    length: timedelta
    probe: bool

    def title(self) -> str:
        return "bake"

    def look(self, o: Outside) -> Facts:
        until = o.clock.monotonic() + self.length.total_seconds()
        while o.clock.monotonic() < until:
            self._still_serving(o)
            o.clock.sleep(min(1.0, max(0.0, until - o.clock.monotonic())))
        seen = o.fleet.probe(wait=timedelta(seconds=10))
        if seen.fell_back:
            raise Failed(
                f"{self.release.version} failed its checks during the bake; the proxy fell back to the old release",
                state="The old release is serving.",
                next="rmu logs",
            )
        if self.probe and seen.verdict == "fail":
            raise Failed(
                f"the drop probe lost {seen.failed} of {seen.sent} requests",
                state="Traffic had been moved.",
                next="rmu logs",
            )
        return {"probe": seen.model_dump(mode="json") if self.probe else None, "commands": 1}

    def _still_serving(self, o: Outside) -> None:
        try:
            door = o.traffic.look()
        except Unreachable:
            return  # a laptop's own network says nothing of the release; the probe on the hosts decides
        if door.version not in (None, self.release.version):
            raise Failed(
                f"{door.version} answered at the front door during the bake of {self.release.version}",
                state="Traffic had been moved.",
                next="rmu status",
            )
