"""One machine of the twin: a disk of its own over the base, booted by systemd-nspawn on the site's bridge.

Raise the ground and one machine by hand, without a gate (root; facts are given by you, the user data runs once):

    from ratemyunit_ops.twin import ground, imds, machine
    from ratemyunit_ops.twin.site import Site
    site = Site(name="try", port_base=4680)
    ground.raise_ground(site)
    imds.describe(site, "10.77.1.5", imds.Facts("i-0000000000000try1", "10.77.1.5", user_data=b"#!/bin/sh\ndate\n"))
    host = machine.Machine(site, "i-0000000000000try1")
    host.start("10.77.1.5", memory_bytes=1 << 30)
    host.wait_up()
    print(host.run(["systemctl", "--failed"]).stdout.decode())
    # and in the end: from ratemyunit_ops.twin.down import lower_ground; lower_ground(site)

From outside, `nsenter --net=/run/netns/rmu-try curl http://10.77.1.5:8080/` reaches it. The console is in
/var/lib/rmu-twin/try/logs/machine-NAME.log. A machine outlives the process that started it.
"""

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ratemyunit_ops.errors import Failed, Refused
from ratemyunit_ops.twin import daemons, meminfo, mounts
from ratemyunit_ops.twin.base import ensure_base
from ratemyunit_ops.twin.cgroups import Cgroup, hierarchies
from ratemyunit_ops.twin.files import read_json, write_json, write_whole
from ratemyunit_ops.twin.imds import mac_address
from ratemyunit_ops.twin.site import Site

DISK = 8 << 30

# $1 the machine's unified cgroup, $2 how many cgroup.procs files follow, then those, then the command. 133 is nspawn's
# word for "it rebooted". Whatever else ends nspawn, its PID 1 may be left alive, so what is left is killed: one by one,
# for after a write to cgroup.kill the kernel (6.18) also kills what the next boot clones into cgroups below.
_LOOP = r"""
cgroup=$1; n=$2; shift 2
while :; do
    sh -c 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1"; shift; n=$((n-1)); done; exec "$@"' sh "$n" "$@"
    code=$?
    while left=$(find "$cgroup" -name cgroup.procs -exec cat {} +) && [ -n "$left" ]; do kill -9 $left; sleep 0.05; done
    [ "$code" = 133 ] || exit "$code"
done
"""


class Machine:
    """One machine, by its name (an instance id, or a database's identifier)."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.directory = site.state_dir / "machines" / name
        self._root = self.directory / "root"
        self._disk = self.directory / "disk"
        self._cgroup = Cgroup(f"{site.cgroup}/machines/{name}")

    def start(
        self,
        address: str,
        *,
        memory_bytes: int | None = None,
        disk_bytes: int = DISK,
        cloud_init: bool = True,
        binds: Mapping[Path, str] | None = None,
        image: Path | None = None,
    ) -> None:
        """Boot it (with a fresh disk, or a copy of an image's, if it has none yet); answers before it is up.

        `binds` maps a path outside to the path inside. What cloud-init learns is `imds.describe`d before. One that
        runs is left alone. Raises Failed when its disk cannot be made.
        """
        if self.running():
            return
        self._have_disk(disk_bytes, image)
        self._write_settings(address, cloud_init)
        write_json(self.directory / "machine.json", {"address": address})
        procs = self._cgroup.make()
        binds = {self._disk / "containers": "/var/lib/containers", **(binds or {})}
        if memory_bytes is not None:
            self._cgroup.limit_memory(memory_bytes)
            meminfo.begin(self.site, self.name, memory_bytes)
            binds[meminfo.directory(self.site, self.name)] = "/run/twin"
        loop = ["sh", "-c", _LOOP, "sh", str(hierarchies()[0] / self._cgroup.path), str(len(procs)), *map(str, procs)]
        daemons.start(
            self.site,
            self._daemon,
            [*loop, *self._nspawn(binds)],
            inside=False,
            # A lock of nspawn's would be left in /run after a kill; `running` says the same.
            env={"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_LOCK": "0"},
        )

    def wait_up(self, deadline: float = 90.0) -> float:
        """Wait until systemd inside has started everything, cloud-init included; answer the seconds waited.

        Raises Failed at the deadline, or when the machine went away.
        """
        began = time.monotonic()
        state = "no PID 1 yet"
        while time.monotonic() - began < deadline:
            if self._leader() is not None:
                with suppress(subprocess.TimeoutExpired):
                    state = self.run(["systemctl", "is-system-running"], timeout=10).stdout.decode().strip()
                if state in ("running", "degraded"):
                    return time.monotonic() - began
            if not self.running():
                break
            time.sleep(0.2)
        raise Failed(
            f"machine {self.name} did not come up in {deadline:.0f} s (last: {state or 'no answer'})",
            state="Its disk and its console log are kept.",
            next=f"less {daemons.log_file(self.site, self._daemon)}",
        )

    def stop(self, grace: float = 30.0) -> None:
        """Shut it down in order; cut the power after the grace. Its disk stays."""
        self.run(["systemctl", "poweroff", "--no-block"], timeout=grace)
        until = time.monotonic() + grace
        while self.running() and time.monotonic() < until:
            time.sleep(0.1)
        self.kill()

    def kill(self) -> None:
        """Cut the power. Its disk stays."""
        daemons.stop(self.site, self._daemon, grace=0.0)
        left = self._cgroup.kill()
        if left:
            raise Failed(f"processes of {self.name} do not die: {left}", state="It is half off.", next="rmu twin down")
        self._cgroup.remove()
        for where in (self._root, self._disk):
            mounts.unmount_below(where)

    def reboot(self) -> None:
        """Ask it to reboot; its loop boots it again. One that is frozen could not: EC2 pulls its plug after a while."""
        self.thaw()
        self.run(["systemctl", "reboot", "--no-block"])

    def freeze(self) -> None:
        """Stop all its processes where they are; the network still reaches it, and nothing answers."""
        self._cgroup.freeze(True)

    def thaw(self) -> None:
        """Continue after freeze."""
        self._cgroup.freeze(False)

    def destroy(self) -> None:
        """Cut the power and throw away its disk."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def running(self) -> bool:
        """Answer whether it is powered on (also while it reboots)."""
        return daemons.pid(self.site, self._daemon) is not None

    @property
    def ip(self) -> str | None:
        """Its address; None before the first start."""
        known: dict[str, str] = read_json(self.directory / "machine.json", {})
        return known.get("address")

    def memory(self) -> int:
        """Answer the bytes it uses now, file cache left out."""
        return self._cgroup.memory()[0]

    def cpu_seconds(self) -> float:
        """Answer the CPU time it has used since it was powered on."""
        return self._cgroup.cpu_seconds()

    def weigh(self, factor: int) -> None:
        """Let it get its CPUs before others do: a hypervisor shares them out, here the kernel does."""
        for cgroup in (Cgroup(self.site.cgroup), Cgroup(f"{self.site.cgroup}/machines"), self._cgroup):
            cgroup.weigh(factor)

    def frozen(self) -> bool:
        """Answer whether it is stopped where it is."""
        return self._cgroup.frozen()

    def network(self, table: str) -> str:
        """Read a table of its network, `tcp` or `route` of proc(5); empty where it is off."""
        leader = self._leader()
        with suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{leader}/net/{table}").read_text() if leader else ""
        return ""

    def run(
        self, argv: Sequence[str], *, timeout: float = 60.0, env: Mapping[str, str] | None = None, input: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside as root, in the machine's own cgroups; its exit code is the command's.

        Raises Refused when the machine is off, and subprocess.TimeoutExpired at the timeout; the command is ended
        then, inside too.
        """
        # What merely enters the namespaces stays in our cgroup and escapes the machine's memory limit: ask its systemd.
        inside = ["systemd-run", "--pipe", "--wait", "--quiet", "--collect", "-p", f"RuntimeMaxSec={timeout}"]
        # It would put its own empty variables in place of a script's.
        inside.append("--expand-environment=no")
        inside += [f"--setenv={name}={value}" for name, value in (env or {}).items()]
        whole = [*self._enter(), *inside, "--", *argv]
        return subprocess.run(whole, check=False, input=input, capture_output=True, timeout=timeout + 2)

    def run_uncharged(self, argv: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside as root on the outer machine's memory: what a hypervisor does is not the guest's load.

        Raises Refused when the machine is off, and subprocess.TimeoutExpired at the timeout.
        """
        whole = [*self._enter(), *argv]
        return subprocess.run(
            whole,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
        )

    def _enter(self) -> list[str]:
        leader = self._leader()
        if leader is None:
            raise Refused(f"machine {self.name} is off", next="rmu twin status")
        # Where we are in a chroot ourselves, the root of its mount namespace is not yet the machine's own.
        return ["nsenter", "--all", "--root", "--wd", f"--target={leader}", "--"]

    def image(self, to: Path) -> None:
        """Copy its disk to a file that another machine may `start(image=...)` from."""
        subprocess.run(["sync", "--file-system", str(self._disk)], check=True)
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(self._disk_file), str(to)], check=True)

    @property
    def _daemon(self) -> str:
        return f"machine-{self.name}"

    @property
    def _disk_file(self) -> Path:
        return self.directory / "disk.img"

    def _leader(self) -> int | None:
        """Find its PID 1: the one process that is 1 in the first namespace below ours."""
        for number in self._cgroup.processes():
            with suppress(FileNotFoundError, ProcessLookupError):
                for line in Path(f"/proc/{number}/status").read_text().splitlines():
                    if line.startswith("NSpid:") and line.split()[2:] == ["1"]:
                        return number
        return None

    def _have_disk(self, size: int, image: Path | None) -> None:
        """Mount its disk, made or copied if it has none, and lay it over the base."""
        for where in (self._root, self._disk):
            where.mkdir(parents=True, exist_ok=True)
        if not self._disk_file.exists():
            new = self._disk_file.with_suffix(".new")
            if image is not None:
                subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(new)], check=True)
            else:
                with new.open("wb") as file:
                    file.truncate(size)
                subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "1", str(new)], check=True)
            new.rename(self._disk_file)
        if not self._disk.is_mount():
            mounts.mount(["-o", "loop,noinit_itable", str(self._disk_file), str(self._disk)])
        for name in ("upper", "work", "containers"):
            (self._disk / name).mkdir(exist_ok=True)
        if not self._root.is_mount():
            base = self._base()
            layers = f"lowerdir={base},upperdir={self._disk / 'upper'},workdir={self._disk / 'work'}"
            mounts.mount(["-t", "overlay", "-o", layers, f"rmu-{self.name}", str(self._root)])

    def _base(self) -> Path:
        """Answer the base it was born on; a newer rmu must not slip another one under its disk."""
        noted = self.directory / "base"
        if not noted.exists():
            write_whole(noted, str(ensure_base(self.site, print)))
        return Path(noted.read_text())

    def _write_settings(self, address: str, cloud_init: bool) -> None:
        etc = self._root / "etc"
        prefix = self.site.network.partition("/")[2]
        write_whole(
            etc / "twin-network",
            f"link set host0 address {mac_address(address)} up\n"
            f"address add {address}/{prefix} dev host0\n"
            f"route add default via {self.site.router}\n"
            # Metadata, DNS, gate and registry sit on the bridge itself.
            "route add 169.254.169.0/24 dev host0 scope link\n",
        )
        off = etc / "cloud/cloud-init.disabled"
        if cloud_init:
            off.unlink(missing_ok=True)
        else:
            write_whole(off, "")

    def _nspawn(self, binds: Mapping[Path, str]) -> list[str]:
        return [
            "nsenter",
            f"--net={self.site.netns_file}",
            "--",
            "systemd-nspawn",
            "--quiet",
            "--settings=no",
            "--register=no",
            "--keep-unit",
            f"--directory={self._root}",
            # nspawn keeps files by machine name in /run: two twins may have machines of one name.
            f"--machine={self.site.name}.{self.name}",
            f"--network-bridge={self.site.bridge}",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--capability=all",
            # Without these two crun fails ("create keyring", "bpf create").
            "--system-call-filter=@keyring bpf",
            *(f"--bind={outside}:{inside}" for outside, inside in binds.items()),
            "--console=read-only",
            "--boot",
        ]


def machines(site: Site) -> list[Machine]:
    """Answer every machine that has a disk here, running or not."""
    directory = site.state_dir / "machines"
    return [Machine(site, path.name) for path in sorted(directory.iterdir())] if directory.is_dir() else []
