"""The EC2 keeper: every running instance of the record is a machine, every other one is none."""

import base64
from pathlib import Path
from typing import Any

from ratemyunit_ops.twin import imds
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.machine import Machine, machines
from ratemyunit_ops.twin.site import Site

GIB = 1 << 30
MEMORY = {"nano": GIB // 2, "micro": GIB, "small": 2 * GIB, "medium": 4 * GIB}


def memory_of(instance_type: str) -> int:
    """Answer the memory of an instance type (`t3.micro`, `db.t3.micro`); what is larger gets 4 GiB."""
    return MEMORY.get(instance_type.rpartition(".")[2], 4 * GIB)


class Hosts:
    """Instances become machines."""

    name = "hosts"

    def __init__(self, site: Site, record: Record) -> None:
        self.site = site
        self.record = record
        self._stopped: set[str] = set()
        self._reboots: dict[str, int] = {}

    def step(self, wanted: dict[str, Any]) -> None:
        """Start, stop, reboot and destroy until the machines are as the record wants them."""
        there = {one.name: one for one in machines(self.site) if one.name.startswith("i-")}
        for row in wanted["instances"]:
            state = self._make_so(row, there.pop(row["id"], None))
            if state != row["machine"]:
                self.record.seen(machines={row["id"]: state})
        for orphan in there.values():
            self._destroy(orphan)
        for image, instance in wanted["images"].items():
            self._take(image, instance)

    def _make_so(self, row: dict[str, Any], machine: Machine | None) -> str:
        id = row["id"]
        if row["state"] in ("terminated", "shutting-down"):
            if machine:
                self._destroy(machine)
            return "gone"
        if row["state"] in ("stopped", "stopping"):
            if machine and machine.running():
                machine.stop()
            self._stopped.add(id)
            return "stopped"
        if machine is None or id in self._stopped:
            self._stopped.discard(id)
            self._reboots[id] = row["reboots"]
            self._start(row)
            return "running"
        if row["reboots"] > self._reboots.setdefault(id, row["reboots"]):
            self._reboots[id] = row["reboots"]
            machine.reboot()
        # A machine that died is not started again: on AWS too it is the group that replaces it.
        return "running" if machine.running() else "gone"

    def _take(self, image: str, instance: str) -> None:
        """Copy a running machine's disk, as an image made without a reboot is one."""
        file = image_file(self.site, image)
        file.parent.mkdir(parents=True, exist_ok=True)
        Machine(self.site, instance).image(file)
        self.record.seen(images=[image])
        say(f"hosts: {image} is an image of {instance}")

    def _start(self, row: dict[str, Any]) -> None:
        facts = imds.Facts(
            instance_id=row["id"],
            local_ipv4=row["address"],
            region=row["region"],
            availability_zone=row["zone"],
            account=self.site.account,
            ami_id=row["image"],
            instance_type=row["type"],
            user_data=base64.b64decode(row["user_data"]),
            tags=row["tags"],
            role=_role(row["profile"]),
            instance_profile_arn=row["profile"],
            hop_limit=row["hop_limit"],
        )
        imds.describe(self.site, row["address"], facts)
        image = image_file(self.site, row["image"])
        Machine(self.site, row["id"]).start(
            row["address"], memory_bytes=memory_of(row["type"]), image=image if image.exists() else None
        )
        say(f"hosts: {row['id']} boots at {row['address']}")

    def _destroy(self, machine: Machine) -> None:
        if machine.ip:
            imds.forget(self.site, machine.ip)
        machine.destroy()
        say(f"hosts: {machine.name} is gone")


def image_file(site: Site, image: str) -> Path:
    """Name the file that an image's disk lies in; an image that was not made here has none and boots the base."""
    return site.state_dir / "images" / f"{image}.img"


def _role(profile: str) -> imds.Role | None:
    """Make the credentials of a profile's role; the twin believes any."""
    if not profile:
        return None
    name = profile.rpartition("/")[2]
    return imds.Role(name, "ASIATWINTWINTWINTWIN", "twin", "twin", "2099-01-01T00:00:00Z")
