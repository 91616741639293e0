"""What a balancer's requests were: read from HAProxy's own ring of lines, one a request, beside the data path.

As on AWS there are no points where there were no requests, and the counts of errors exist only while there are errors.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratemyunit_ops.twin.keepers.balancer_config import backend_of

AGAIN_SECONDS = 0.2
LOOK_SECONDS = 1.0
NAMESPACE = "AWS/ApplicationELB"

# Second, target group (none for what never reached one), metric, value -> how often.
Counts = Counter[tuple[int, str, str, float]]


class Requests:
    """The requests of one balancer, read by a thread of its own."""

    def __init__(self, admin: Path) -> None:
        self._admin = admin
        self._lock = threading.Lock()
        self._counts: Counts = Counter()
        self._over = threading.Event()
        threading.Thread(target=self._follow, name=f"requests of {admin.parent.name}", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end, which it does in a moment."""
        self._over.set()

    def points(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Answer what was counted since the last time, as the gate takes it."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return list(points_of(row, counts))

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                for line in self._lines():
                    with self._lock:
                        self._counts.update(told(line, int(time.time())))
            except OSError:
                time.sleep(AGAIN_SECONDS)

    def _lines(self) -> Iterator[str]:
        """Yield lines until another process has taken the place of the one that writes them, as a reload does.

        The old one would go on listening to us, and we to it, though it serves nobody any more.
        """
        with self._connected() as admin:
            asked, process, rest = time.monotonic(), self._process(), b""
            admin.sendall(b"show events requests -w -n\n")
            while not self._over.is_set():
                if time.monotonic() - asked > LOOK_SECONDS:
                    asked = time.monotonic()
                    if self._process() != process:
                        return
                try:
                    part = admin.recv(65536)
                except TimeoutError:
                    continue
                if not part:
                    return
                *whole, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole if line)

    def _process(self) -> bytes:
        """Ask who serves now."""
        with self._connected() as admin:
            admin.sendall(b"show info\n")
            lines = iter(lambda: admin.recv(65536), b"")
            return next((line for line in b"".join(lines).splitlines() if line.startswith(b"Pid:")), b"")

    def _connected(self) -> socket.socket:
        admin = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        admin.settimeout(AGAIN_SECONDS)
        admin.connect(str(self._admin))
        return admin


def told(line: str, second: int) -> list[tuple[int, str, str, float]]:
    """Read a line (`balancer_config.REQUEST_LINE`): what CloudWatch counts of that request."""
    fields = line.split()
    if len(fields) != 4 or not fields[2].lstrip("-").isdigit():
        return []
    backend, server, status, answered_ms = fields[0].removesuffix("-open"), fields[1], int(fields[2]), int(fields[3])
    chosen = backend if server != "<NOSRV>" else ""
    found = [(second, chosen, "RequestCount", 1.0)] if chosen else []
    if answered_ms >= 0 and chosen:
        found.append((second, chosen, "TargetResponseTime", answered_ms / 1000))
        found.append((second, chosen, f"HTTPCode_Target_{status // 100}XX_Count", 1.0))
    elif status >= 400:
        found.append((second, "", f"HTTPCode_ELB_{status // 100}XX_Count", 1.0))
        if status in (500, 502, 503, 504):
            found.append((second, "", f"HTTPCode_ELB_{status}_Count", 1.0))
    return found


def points_of(row: dict[str, Any], counts: Counts) -> Iterator[dict[str, Any]]:
    """Make points of counts: by balancer, and by balancer and target group."""
    balancer = row["arn"].partition(":loadbalancer/")[2]
    groups = {backend_of(arn): arn.rpartition(":")[2] for arn in row["target_groups"]}
    for (second, backend, name, value), times in counts.items():
        point = {"region": row["region"], "namespace": NAMESPACE, "name": name, "value": value, "times": times}
        yield {**point, "at": second, "dimensions": {"LoadBalancer": balancer}}
        if backend in groups:
            yield {**point, "at": second, "dimensions": {"LoadBalancer": balancer, "TargetGroup": groups[backend]}}
