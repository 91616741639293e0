"""The base: one Debian 13 root, made once and cached, that every machine is an overlay of.

Hosts and databases share it: what only one of them needs is installed and switched off. It holds what the Debian 13
image and the host's own user data would install, so that a machine boots in seconds; everything else about a host
comes from user data, as on AWS.
"""

import fcntl
import hashlib
import inspect
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin import certs
from ratemyunit_ops.twin.site import Site

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "podman",
    "crun",
    "netavark",
    "haproxy",
    "redis-server",
    "nftables",
    "python3-boto3",
    "amazon-ecr-credential-helper",
    "postgresql-client",
    "postgresql-17",
    "cloud-init",
    "openssh-server",
    "sudo",
    "iproute2",
    "iputils-ping",
    "curl",
    "ca-certificates",
    "socat",
    "jq",
    "procps",
    "gzip",
    "less",
)

# Installed by the packages, started by nobody but user data or the database keeper.
OFF = (
    "haproxy.service",
    "redis-server.service",
    "postgresql.service",
    "nftables.service",
    "podman-auto-update.timer",
    "podman-restart.service",
    "podman-auto-update.service",
    "podman-clean-transient.service",
    "netavark-dhcp-proxy.socket",
    "netavark-dhcp-proxy.service",
    "netavark-firewalld-reload.service",
)

# Of no use in a machine without a disk, a screen or a network card of its own; each costs memory or boot time.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "systemd-pstore.service",
    "systemd-timesyncd.service",
    "getty@tty1.service",
    "console-getty.service",
    "cloud-init-hotplugd.socket",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
)


def ensure_base(site: Site, progress: Callable[[str], None]) -> Path:
    """Answer the base's directory; make it first if its packages or its setup changed (half a minute).

    Raises Failed when the packages cannot be fetched or installed.
    """
    ca = certs.authority(site).certificate
    base = site.cache_dir / "bases" / _key(ca)
    base.parent.mkdir(parents=True, exist_ok=True)
    with (base.parent / "lock").open("w") as lock:  # two twins may come up at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not base.exists():
            _make(base, ca, progress)
            _drop_unused(site, base)
    return base


def _drop_unused(site: Site, base: Path) -> None:
    """Remove the bases of older versions (a gigabyte each), unless a machine of some twin still stands on one."""
    used = {base, *(Path(file.read_text()) for file in site.state_root.glob("*/machines/*/base"))}
    mounted = Path("/proc/self/mountinfo").read_text()
    for old in base.parent.iterdir():
        if old.is_dir() and old not in used and str(old) not in mounted:
            shutil.rmtree(old)
            old.with_name(f"{old.name}.log").unlink(missing_ok=True)


def _make(base: Path, ca: Path, progress: Callable[[str], None]) -> None:
    new = base.with_name(f"{base.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    progress("making the Debian 13 base of all machines (once; about half a minute)")
    log = base.with_name(f"{base.name}.log")
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "trixie", str(new)]
    with log.open("w") as out:
        code = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
    if code != 0:
        shutil.rmtree(new, ignore_errors=True)
        last = log.read_text().strip().splitlines()[-1:] or ["no output"]
        raise Failed(f"mmdebstrap ended with {code}: {last[0]}", state="No machine exists yet.", next=f"less {log}")
    _set_up(new, ca)
    new.rename(base)
    progress("the base is made")


def _set_up(root: Path, ca: Path) -> None:
    """Lay our few files over the fresh root; what they say is why they are there."""
    for source in _overlay_files():
        target = root / source.relative_to(_overlay())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    shutil.copyfile(ca, root / "usr/local/share/ca-certificates/rmu-twin.crt")
    # An empty id is filled at first boot; a missing one would make systemd hold a first-boot ceremony.
    (root / "etc/machine-id").write_text("")
    _chroot(root, "update-ca-certificates")
    _chroot(root, "systemctl", "disable", *OFF)
    _chroot(root, "systemctl", "mask", *MASKED)
    _chroot(root, "systemctl", "enable", "twin-platform.service")
    # Host keys are an instance's own; cloud-init makes them at first boot.
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    # cloud-init's local stage would wait 50 s for a DHCP lease; without a client it uses the address that is there.
    (root / "usr/sbin/dhcpcd").unlink()
    # The cluster of the package's own making: the database keeper makes one to its own taste.
    _chroot(root, "pg_dropcluster", "17", "main")


def _chroot(root: Path, *argv: str) -> None:
    done = subprocess.run(["chroot", str(root), *argv], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(
            f"{' '.join(argv)[:80]} ended with {done.returncode} in the new base: {done.stderr.strip()[-300:]}",
            state="No machine exists yet.",
            next="rmu doctor",
        )


def _key(ca: Path) -> str:
    """Name the base by all that goes into it."""
    parts = [" ".join(PACKAGES), " ".join(OFF), " ".join(MASKED), ca.read_text(), inspect.getsource(_set_up)]
    for source in _overlay_files():
        parts += [str(source.relative_to(_overlay())), source.read_text()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _overlay() -> Path:
    return Path(str(files("ratemyunit_ops.twin"))) / "guest" / "base"


def _overlay_files() -> list[Path]:
    return sorted(path for path in _overlay().rglob("*") if path.is_file())
