"""The outside of one host: commands, HTTP on loopback, HAProxy's socket, time, files. No decision lives here."""

from __future__ import annotations

import http.client
import json
import os
import pkgutil
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMDS = "169.254.169.254"


@dataclass(frozen=True)
class Ran:
    """What a command said: its exit code, its output, its errors."""

    code: int
    out: str
    err: str = ""


@dataclass(frozen=True)
class Heard:
    """What an HTTP request brought: status 0 means that nobody answered, and `body` then says why.

    `slot` is who answered, as HAProxy says on loopback; empty on any other port.
    """

    status: int
    body: str
    slot: str = ""

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object, empty where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Machine:
    """This host. Tests hand in another root and override what reaches out."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, absolute: str) -> Path:
        """Return where an absolute path of the host really is."""
        return self.root / absolute.lstrip("/")

    def shipped(self, name: str) -> str:
        """Return a file that travels with this program.

        Raises FileNotFoundError in the boot's archive, which has room for none.
        """
        return (pkgutil.get_data("rmu_host", name) or b"").decode()

    def run(self, argv: Sequence[str], timeout: float = 60, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        """Run a command to its end; a command that is missing or too slow is a failed one."""
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                env={**os.environ, **(env or {})},
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(124, "", f"{argv[0]} did not end within {timeout:g} s")
        except OSError as why:
            return Ran(127, "", str(why))
        return Ran(done.returncode, done.stdout, done.stderr)

    def get(self, port: int, path: str, timeout: float = 2) -> Heard:
        """Send one GET to loopback on a connection of its own."""
        return self.ask("GET", port, path, timeout=timeout)

    def ask(self, method: str, port: int, path: str, body: object = None, token: str = "", timeout: float = 5) -> Heard:
        """Send one request to loopback on a connection of its own: a body as JSON, a token as a bearer's."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            slot = answer.headers.get("X-Rmu-Slot", "")
            return Heard(answer.status, answer.read().decode(errors="replace"), slot)
        except (OSError, http.client.HTTPException) as why:
            return Heard(0, f"{type(why).__name__}: {why}")
        finally:
            connection.close()

    def haproxy(self, command: str) -> str:
        """Send a command to HAProxy's admin socket and return its answer.

        Raises OSError where HAProxy does not run.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(5)
            s.connect(str(self.path("/run/haproxy/admin.sock")))
            s.sendall(command.encode() + b"\n")
            parts = []
            while part := s.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def instance(self) -> str:
        """Return this instance's id: asked once per boot, kept in a tmpfs.

        Raises OSError where the metadata service does not answer.
        """
        kept = self.path("/run/rmu/instance")
        if kept.exists():
            return kept.read_text().strip()
        name = self.metadata("instance-id")
        self.write("/run/rmu/instance", name)
        return name

    def metadata(self, key: str) -> str:
        """Return one value of the instance metadata service (version 2).

        Raises OSError where it does not answer.
        """
        token = self._imds("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        return self._imds("GET", f"meta-data/{key}", {"X-aws-ec2-metadata-token": token})

    def drills(self) -> bool:
        """Tell whether this host was made for a drill, by its tag.

        Raises OSError where the metadata service does not tell: a guess could make it serve.
        """
        return self.metadata("tags/instance/rmu:role") == "drill"

    def _imds(self, method: str, path: str, headers: dict[str, str]) -> str:
        connection = http.client.HTTPConnection(IMDS, timeout=3)
        try:
            connection.request(method, f"/latest/{path}", headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise OSError(f"the metadata service answered {answer.status} to {path}")
            return answer.read().decode()
        except http.client.HTTPException as why:
            raise OSError(str(why)) from why
        finally:
            connection.close()

    def now(self) -> float:
        """Return the time in unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def disk_free(self) -> int:
        """Return the free bytes where images are stored."""
        place = self.path("/var/lib/containers")
        return shutil.disk_usage(place if place.exists() else self.root).free

    def sizes(self) -> dict[str, int]:
        """Return what the kernel tells of memory and swap, in bytes."""
        lines = self.path("/proc/meminfo").read_text().splitlines()
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}

    def memory(self) -> dict[str, int]:
        """Return total and available memory in bytes."""
        sizes = self.sizes()
        return {"total": sizes["MemTotal"], "available": sizes["MemAvailable"]}

    def booted(self) -> int:
        """Return when this machine booted, in unix seconds."""
        # The kernel may have booted long before this machine: its first process tells.
        ticks = int(self.path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
        lines = self.path("/proc/stat").read_text().splitlines()
        kernel = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return kernel + ticks // os.sysconf("SC_CLK_TCK")

    def read(self, absolute: str) -> str | None:
        """Return a file's text, None where there is none."""
        try:
            return self.path(absolute).read_text()
        except FileNotFoundError:
            return None

    def read_json(self, absolute: str) -> dict[str, Any] | None:
        """Return a JSON object from a file; an unreadable one counts as missing (one bad file must not stop all)."""
        text = self.read(absolute)
        try:
            value = json.loads(text) if text else None
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def write(self, absolute: str, text: str, mode: int = 0o644) -> None:
        """Write a file so that a reader, also after a power cut, sees the old text or the new one, never a part."""
        place = self.path(absolute)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        fresh.replace(place)

    def write_json(self, absolute: str, value: object) -> None:
        """Write a JSON file whole."""
        self.write(absolute, json.dumps(value, sort_keys=True) + "\n")

    def remove(self, absolute: str) -> None:
        """Remove a file if it is there."""
        self.path(absolute).unlink(missing_ok=True)
