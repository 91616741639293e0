"""The ALB keeper: a stock HAProxy per load balancer, on an address of its own.

Targets come and go through HAProxy's runtime API in slots laid out beforehand, so that no connection is lost to a
reload; only listeners, rules and health check settings are rendered anew. Health is what HAProxy's probes found.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Failed
from ratemyunit_ops.twin import certs, daemons, dns, door
from ratemyunit_ops.twin.files import read_json, write_json, write_whole
from ratemyunit_ops.twin.keepers.balancer_config import SLOTS, backend_of, render
from ratemyunit_ops.twin.keepers.places import balancer_addresses
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.site import Site


class Balancers:
    """Load balancers become HAProxies."""

    name = "balancers"

    def __init__(self, site: Site, record: Record) -> None:
        self.site = site
        self.record = record
        self.kept: dict[str, Balancer] = {}

    def step(self, wanted: dict[str, Any]) -> None:
        """Make, follow and remove balancers."""
        rows = {row["arn"]: row for row in wanted["balancers"]}
        names = {row["name"] for row in rows.values()}
        for name in [one for one in self._addresses() if one not in names]:
            self._remove(name)
        for arn, row in rows.items():
            if arn not in self.kept:
                self.kept[arn] = Balancer(self.site, row, self._address(row["name"]))
            health = self.kept[arn].follow(row)
            if health:
                self.record.seen(targets=health, balancers={arn: self.kept[arn].address})
        self._open_door()

    def _open_door(self) -> None:
        first = next((one for one in self.kept.values() if one.front_port), None)
        if first is not None:
            address = f"{first.address}:{first.front_port}"
            if door.published(self.site).get(self.site.front_door_port) != address:
                door.publish(self.site, self.site.front_door_port, address, tcp=True)

    def _address(self, name: str) -> str:
        known = self._addresses()
        if name not in known:
            known[name] = next(one for one in balancer_addresses(self.site) if one not in known.values())
            write_json(self._file, known)
        return known[name]

    def _remove(self, name: str) -> None:
        """Take a balancer's process, name and address away; also one that an earlier keeper made."""
        daemons.stop(self.site, f"alb-{name}")
        directory = self.site.state_dir / "balancers" / name
        if (directory / "dns").exists():
            dns.drop_name(self.site, (directory / "dns").read_text())
        shutil.rmtree(directory, ignore_errors=True)
        known = self._addresses()
        _ip(self.site, "address", "del", f"{known.pop(name)}/32", "dev", self.site.bridge)
        write_json(self._file, known)
        self.kept = {arn: one for arn, one in self.kept.items() if one.name != name}

    def _addresses(self) -> dict[str, str]:
        known: dict[str, str] = read_json(self._file, {})
        return known

    @property
    def _file(self) -> Path:
        path: Path = self.site.state_dir / "balancers" / "addresses.json"
        return path


class Balancer:
    """One load balancer: its process, its slots."""

    def __init__(self, site: Site, row: dict[str, Any], address: str) -> None:
        self.site = site
        self.name: str = row["name"]
        self.dns_name: str = row["dns"].lower()
        self.address = address
        self.front_port: int | None = None
        self.directory: Path = site.state_dir / "balancers" / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        # Target group -> slot number -> target; kept on disk, so that a new keeper finds the slots as they are.
        self._slots: dict[str, dict[str, dict[str, Any]]] = read_json(self.directory / "slots.json", {})
        write_whole(self.directory / "dns", self.dns_name)
        _ip(site, "address", "replace", f"{address}/32", "dev", site.bridge)
        dns.set_name(site, self.dns_name, address)

    def follow(self, row: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Bring the process in line with the record; answer target health by target group."""
        if not row["listeners"]:
            return {}
        changed = {arn: self._reslot(arn, group) for arn, group in row["target_groups"].items()}
        write_json(self.directory / "slots.json", self._slots)
        if not self._run(row):
            for arn, slots in changed.items():
                for number in slots:
                    self._move(row["target_groups"][arn], arn, number)
        ports = [one["port"] for one in row["listeners"]]
        self.front_port = 80 if 80 in ports else ports[0]
        return self._health(row)

    @property
    def _daemon(self) -> str:
        return f"alb-{self.name}"

    @property
    def _config(self) -> Path:
        return self.directory / "haproxy.cfg"

    @property
    def _socket(self) -> Path:
        return self.directory / "admin.sock"

    def _reslot(self, arn: str, group: dict[str, Any]) -> list[str]:
        """Give new targets a slot, start draining those that left; answer the slots that changed."""
        slots, now, changed = self._slots.setdefault(arn, {}), time.time(), []
        for number, slot in list(slots.items()):
            if slot["id"] not in group["targets"] and not slot["leaves"]:
                slot["leaves"] = now + group["delay"]
                changed.append(number)
            elif slot["leaves"] and now > slot["leaves"]:
                del slots[number]
                changed.append(number)
        held = {slot["id"] for slot in slots.values() if not slot["leaves"]}
        for id, target in group["targets"].items():
            if id not in held:
                number = next(str(n) for n in range(1, SLOTS + 1) if str(n) not in slots)
                slots[number] = {"id": id, **target, "since": now, "leaves": 0, "healthy": False}
                changed.append(number)
        return changed

    def _run(self, row: dict[str, Any]) -> bool:
        """Start or reload HAProxy if need be; answer whether the slots went with it."""
        number = daemons.pid(self.site, self._daemon)
        text, shape = self._render(row)
        shape_file = self.directory / "shape"
        same = shape_file.exists() and shape_file.read_text() == shape
        if number is not None and same:
            return False
        write_whole(self._config, text)
        self._check()
        if number is None:
            daemons.start(self.site, self._daemon, ["haproxy", "-W", "-f", str(self._config)])
        else:
            os.kill(number, signal.SIGUSR2)
        write_whole(shape_file, shape)
        self._wait_socket()
        return True

    def _render(self, row: dict[str, Any]) -> tuple[str, str]:
        """Answer the configuration, and the same without targets, whose change alone needs no reload."""
        certificate = self.directory / "certificate.pem"
        if any(one["protocol"] == "HTTPS" for one in row["listeners"]):
            pair = certs.issue(self.site, f"alb-{self.name}", [self.dns_name, "localhost"])
            write_whole(certificate, pair.certificate.read_bytes() + pair.key.read_bytes(), mode=0o600)
        return (
            render(row, self.address, self._socket, certificate, self._slots),
            render(row, self.address, self._socket, certificate, {}),
        )

    def _check(self) -> None:
        done = subprocess.run(["haproxy", "-c", "-f", str(self._config)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(
                f"HAProxy refuses the configuration of {self.name}: {done.stderr.strip()[-400:]}",
                state="The balancer is as it was.",
                next=f"haproxy -c -f {self._config}",
            )

    def _wait_socket(self) -> None:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                self._say("show info")
                return
            except OSError:
                time.sleep(0.05)

    def _move(self, group: dict[str, Any], arn: str, number: str) -> None:
        """Tell HAProxy what became of one slot."""
        slot = self._slots[arn].get(number)
        for backend in (backend_of(arn), f"{backend_of(arn)}-open"):
            server = f"{backend}/s{number}"
            if slot is None:
                self._say(f"set server {server} state maint; shutdown sessions server {server}")
            elif slot["leaves"]:
                self._say(f"set server {server} state drain")
            else:
                # A new target must first pass its checks, as on AWS; HAProxy would trust it.
                down = "" if backend.endswith("-open") else f"; set server {server} health down"
                where = f"set server {server} addr {slot['address']} port {slot['port']}"
                self._say(f"{where}; set server {server} state ready{down}")

    def _health(self, row: dict[str, Any]) -> dict[str, dict[str, str]]:
        lines = self._say("show stat -1 4 -1").splitlines()
        names = lines[0].lstrip("# ").split(",")
        found = {}
        for line in lines[1:]:
            fields = dict(zip(names, line.split(","), strict=False))
            if fields.get("svname", "").startswith("s"):
                found[f"{fields['pxname']}/{fields['svname']}"] = fields["status"]
        return {
            arn: {
                slot["id"]: self._state(group, slot, found.get(f"{backend_of(arn)}/s{number}", ""))
                for number, slot in self._slots[arn].items()
                if not slot["leaves"]
            }
            for arn, group in row["target_groups"].items()
        }

    def _state(self, group: dict[str, Any], slot: dict[str, Any], status: str) -> str:
        """Read HAProxy's word for a server; a young one that never passed is only initial."""
        if status.startswith("UP"):
            slot["healthy"] = True
            return "healthy"
        patience = group["interval"] * group["unhealthy"] + group["timeout"]
        young = not slot["healthy"] and time.time() - slot["since"] < patience
        return "initial" if young else "unhealthy"

    def _say(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as admin:
            admin.settimeout(5)
            admin.connect(str(self._socket))
            admin.sendall(f"{command}\n".encode())
            answer = b""
            while part := admin.recv(65536):
                answer += part
        return answer.decode()


def _ip(site: Site, *arguments: str) -> None:
    subprocess.run(["ip", "-n", site.netns, *arguments], check=False, capture_output=True)
