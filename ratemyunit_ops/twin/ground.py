"""Raise the ground: namespace, bridge, addresses, IMDS, DNS, TLS front, door. Keepers stand on it."""

import os
import shutil
import subprocess
from pathlib import Path

from ratemyunit_ops.errors import Failed, Refused
from ratemyunit_ops.twin.dns import start_dns
from ratemyunit_ops.twin.door import start_door
from ratemyunit_ops.twin.front import start_front
from ratemyunit_ops.twin.imds import mac_address, start_imds
from ratemyunit_ops.twin.site import Site

# Program -> Debian package.
NEEDS = {
    "dnsmasq": "dnsmasq-base",
    "docker-registry": "docker-registry",
    "dpkg-deb": "dpkg",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "systemd-nspawn": "systemd-container",
}


def raise_ground(site: Site) -> None:
    """Make the namespace with its bridge, and start IMDS, DNS, the TLS front and the door. Safe to repeat.

    Raises Refused when something that it needs is missing on this machine, or a port is taken.
    """
    _check_needs()
    _have_machine_id()
    site.state_dir.mkdir(parents=True, exist_ok=True)
    if not site.netns_file.exists():
        _ip("netns", "add", site.netns)
    _raise_bridge(site)
    start_imds(site)
    start_dns(site)
    start_front(site)
    start_door(site)


def missing() -> dict[str, str]:
    """Answer the programs the ground needs that are not on this machine, each with its Debian package."""
    return {program: package for program, package in NEEDS.items() if shutil.which(program) is None}


def _check_needs() -> None:
    if os.geteuid() != 0:
        raise Refused("the twin needs root: it makes namespaces and mounts", next="sudo rmu twin up")
    lacking = missing()
    if lacking:
        packages = " ".join(sorted(set(lacking.values())))
        raise Refused(f"missing on this machine: {', '.join(lacking)}", next=f"apt-get install {packages}")


def _have_machine_id() -> None:
    """Give this machine an id if it never booted (a chroot, a container); nspawn derives MAC addresses from it."""
    file = Path("/etc/machine-id")
    if not file.exists() or file.read_text().strip() in ("", "uninitialized"):
        subprocess.run(["systemd-machine-id-setup"], check=True, capture_output=True)


def _raise_bridge(site: Site) -> None:
    inside = ["-n", site.netns]
    _ip(*inside, "link", "set", "lo", "up")
    if _ip(*inside, "link", "show", site.bridge, check=False) != 0:
        # Without a forward delay of 0 a new port is deaf for 15 s.
        _ip(*inside, "link", "add", site.bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0")
    prefix = site.network.partition("/")[2]
    # Left to itself a bridge takes the lowest address of its ports: a machine that came or went would change it, and
    # the others would talk to nobody for up to half a minute, until they ask again who the bridge is.
    _ip(*inside, "link", "set", site.bridge, "address", mac_address(site.router))
    for address in (f"{site.router}/{prefix}", *(f"{a}/32" for a in (site.imds, site.dns, site.front, site.inner))):
        _ip(*inside, "address", "replace", address, "dev", site.bridge)
    _ip(*inside, "link", "set", site.bridge, "up")


def _ip(*arguments: str, check: bool = True) -> int:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Failed(
            f"ip {' '.join(arguments)}: {done.stderr.strip()}", state="The twin is half up.", next="rmu twin down"
        )
    return done.returncode
