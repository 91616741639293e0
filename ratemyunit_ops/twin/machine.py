"""One machine of the twin: an overlay of the base, booted by systemd-nspawn on the site's bridge."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ratemyunit_ops.twin.site import Site


class Machine:
    """One machine, by its name (an instance id, or a database's identifier)."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name

    def start(
        self,
        address: str,
        *,
        memory_bytes: int | None = None,
        cloud_init: bool = True,
        binds: Mapping[Path, str] | None = None,
        image: Path | None = None,
    ) -> None:
        """Boot it (made from the base, or from an image, if it is not there yet); answers before it is up.

        `binds` maps a path outside to the path inside. What it learns from cloud-init is `imds.describe`d before.
        """
        raise NotImplementedError

    def wait_up(self, deadline: float = 60.0) -> float:
        """Wait until systemd inside has started everything, cloud-init included; answer the seconds waited."""
        raise NotImplementedError

    def stop(self, grace: float = 30.0) -> None:
        """Shut it down in order; kill it after the grace. Its disk stays."""
        raise NotImplementedError

    def kill(self) -> None:
        """Cut the power. Its disk stays."""
        raise NotImplementedError

    def reboot(self) -> None:
        """Ask it to reboot; its loop boots it again."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop all its processes where they are; the network still reaches nothing that answers."""
        raise NotImplementedError

    def thaw(self) -> None:
        """Continue after freeze."""
        raise NotImplementedError

    def destroy(self) -> None:
        """Cut the power and throw away its disk."""
        raise NotImplementedError

    def running(self) -> bool:
        """Answer whether it is powered on (also while it reboots)."""
        raise NotImplementedError

    @property
    def ip(self) -> str | None:
        """Its address; None before the first start."""
        raise NotImplementedError

    def run(
        self, argv: Sequence[str], *, timeout: float = 60.0, env: Mapping[str, str] | None = None, input: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside as root, in the machine's own cgroups; its exit code is the command's."""
        raise NotImplementedError

    def image(self, to: Path) -> None:
        """Copy its disk to a directory that another machine may `start(image=...)` from."""
        raise NotImplementedError


def machines(site: Site) -> list[Machine]:
    """Answer every machine that has a disk here, running or not."""
    raise NotImplementedError
