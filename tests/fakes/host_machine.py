"""A host that behaves, below the host program: systemd, podman, HAProxy, the apps in the slots, and a clock.

What the program reads and writes is real (files in a directory of the test's); what it reaches out to is here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rmu_host.cloud import Cloud
from rmu_host.machine import Heard, Machine, Ran
from rmu_host.proxy import CONFIG, LUA
from rmu_host.state import HOLD, MAP, PORTS, STATE, UNITS, Live

from ratemyunit_ops import render

IMAGE = "registry.example/rmu-test/app"
DATABASE = {"identifier": "rmu-test-db-1", "address": "db.example", "port": 5432}
HAPROXY = "haproxy.cfg"
MIB = 1 << 20


@dataclass
class App:
    """What an image does once it runs."""

    version: str
    ready_after: float = 1.0
    checks: dict[str, str] = field(default_factory=lambda: {"database": "ok", "redis": "ok", "schema": "ok"})
    schema_head: str = "0002"
    tells_database: bool = True
    migrates: dict[str, Any] = field(default_factory=lambda: {"head_before": "0001", "head": "0002", "ran": ["0002"]})
    works: dict[str, Any] | None = field(default_factory=lambda: {"ok": True, "reads": 8, "writes": 11})


@dataclass
class Unit:
    """A unit that runs."""

    digest: str = ""
    since: float = 0.0
    database: str = ""


class FakeMachine(Machine):
    """One host: its registry (`apps` by digest), its pulled images, its running units."""

    def __init__(self, root: Path, instance: str = "i-1") -> None:
        super().__init__(root)
        self.name = instance
        self.clock = 1_000_000.0
        self.apps: dict[str, App] = {}
        self.pulled: set[str] = set()
        self.units: dict[str, Unit] = {}
        self.broken: set[str] = set()
        self.runs: list[list[str]] = []
        self.proxy = True
        self.proxy_deaf = False
        self.map = ""
        self.hold: str | None = None  # the deadline in HAProxy's map; None where its configuration has no such map
        self.scur: dict[str, list[int]] = {}
        self.stot: dict[tuple[str, str], int] = {}
        self.free = 4000 * MIB
        self.fills_up = False
        self.available = 500 * MIB
        self.imds = True
        self.role = "host"
        self.seen_up_at: dict[str, float] = {}
        self.on_flip: Callable[[], object] = lambda: None
        self.before: dict[str, Callable[[], object]] = {}
        self.hears: Callable[[int, str], Heard | None] = lambda port, path: None
        self.token = "its-token"
        self.queue: dict[str, Any] | Heard | None = {"waiting": 3, "running": 1, "paused": False, "paused_by": None}
        self.asked: list[tuple[str, int, str, object]] = []
        self.write(CONFIG, render.render("host/files/haproxy.cfg", {"trusted_hops": 1}))
        self.write(LUA, self.shipped("hold.lua"))
        self.write(HOLD, "until 0\n")
        self.write("/etc/rmu/host.json", json.dumps({"env": "test", "region": "here"}))
        self.load_map()

    # the clock and what stands still
    def now(self) -> float:
        self.clock += 0.001
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def disk_free(self) -> int:
        return self.free

    def shipped(self, name: str) -> str:
        return render.render(f"host/files/{name}", {"trusted_hops": "TRUSTED_HOPS"})

    def memory(self) -> dict[str, int]:
        return {"total": 1024 * MIB, "available": self.available}

    def booted(self) -> int:
        return 999_000

    def drills(self) -> bool:
        return self.role == "drill"

    def instance(self) -> str:
        if not self.imds:
            raise OSError("the metadata service is silent")
        return self.name

    # HAProxy
    def load_map(self) -> None:
        """Start or reload HAProxy: it reads its configuration and its map files."""
        self.map = (self.read(MAP) or "live none").split()[-1]
        holds = HOLD in (self.read(CONFIG) or "")
        self.hold = (self.read(HOLD) or "").split()[-1] if holds else None

    def haproxy(self, command: str) -> str:
        if not self.proxy:
            raise OSError("no such socket")
        if command.split()[2:3] == [HOLD]:
            return self.hold_map(command.split())
        if command.startswith("set map") and not self.proxy_deaf:
            self.map = command.split()[-1]
            self.on_flip()
        if command.startswith("show map"):
            return f"0x5581 live {self.map}\n"
        if command == "show stat":
            rows = ["# pxname,svname,scur,stot,status"]
            for backend in ("blue", "green", "blue-backed", "green-backed"):
                rows += [self.row(backend, slot) for slot in PORTS if slot in backend or "backed" in backend]
            return "\n".join(rows) + "\n"
        return ""

    def hold_map(self, words: list[str]) -> str:
        if self.hold is None:
            return "Unknown map identifier. Please use #<id> or <file>.\n"
        if words[0] == "set" and not self.proxy_deaf:
            self.hold = words[-1]
        return f"0x5582 until {self.hold}\n" if words[0] == "show" else "\n"

    def row(self, backend: str, slot: str) -> str:
        left = self.scur.get(slot) or [0]
        scur = (left.pop(0) if len(left) > 1 else left[0]) if backend == slot else 0
        up = "UP" if f"rmu-{slot}" in self.units and self.clock >= self.seen_up_at.get(slot, 0) else "DOWN"
        return f"{backend},{slot},{scur},{self.stot.get((backend, slot), 0)},{up}"

    # HTTP on loopback
    def get(self, port: int, path: str, timeout: float = 2) -> Heard:
        special = self.hears(port, path)
        if special is not None:
            return special
        if port == 8080:
            live = Live.of(self.map) if self.proxy else Live()
            for slot in (live.slot, live.backup):
                if slot and f"rmu-{slot}" in self.units:
                    return replace(self.get(PORTS[slot], path), slot=slot)
            return Heard(503, '{"detail":"no release serves here"}')
        slot = next(s for s, p in PORTS.items() if p == port)
        unit = self.units.get(f"rmu-{slot}")
        return self.answer(unit, path) if unit else Heard(0, "ConnectionRefusedError")

    def ask(self, method: str, port: int, path: str, body: object = None, token: str = "", timeout: float = 5) -> Heard:
        self.asked.append((method, port, path, body))
        if token != self.token:
            return Heard(401, '{"detail": "this needs the admin token"}')
        if self.queue is None:
            return Heard(404, "{}")
        if isinstance(self.queue, Heard):
            return self.queue
        what = path.rpartition("/")[2]
        if what != "status":
            assert isinstance(body, dict)
            paused = what == "pause"
            self.queue |= {"paused": paused, "paused_by": body["by"] if paused else None}
        return Heard(200, json.dumps(self.queue))

    def answer(self, unit: Unit, path: str) -> Heard:
        app = self.apps[unit.digest]
        if path == "/readyz":
            ready = self.clock - unit.since >= app.ready_after and set(app.checks.values()) == {"ok"}
            body = {"ready": ready, "schema_head": app.schema_head, "checks": app.checks}
            return Heard(200 if ready else 503, json.dumps(body))
        told = {"database": unit.database} if app.tells_database else {}
        return Heard(200, json.dumps({"version": app.version, **told}))

    # commands
    def run(self, argv: Sequence[str], timeout: float = 60, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        self.runs.append(list(argv))
        self.before.get(" ".join(argv[:2]), lambda: None)()
        handler = getattr(self, f"_{argv[0].replace('-', '_')}", None)
        return handler(list(argv[1:])) if handler else Ran(0, "")

    def _systemctl(self, argv: list[str]) -> Ran:
        verb, name = argv[0], next((a for a in argv[1:] if a.endswith(".service")), "").removesuffix(".service")
        if verb == "is-active":
            state = "failed" if name in self.broken else "active" if name in self.units else "inactive"
            return Ran(0 if state == "active" else 3, state + "\n")
        if verb == "reload":
            self.load_map()
        if verb in ("start", "restart"):
            return self.start(name)
        if verb == "stop":
            self.units.pop(name, None)
        if verb == "show" and "--property=LoadState" in argv:
            known = self.path(f"{UNITS}/{name}.container").exists()
            return Ran(0, "loaded\n" if known else "not-found\n")
        return Ran(0, "")

    def start(self, name: str) -> Ran:
        if name in self.broken:
            return Ran(1, "", f"Job for {name}.service failed")
        if name == "haproxy":
            self.proxy = True
            self.load_map()
            return Ran(0, "")
        text = self.read(f"{UNITS}/{name}.container")
        found = re.search(r"^Image=\S+@(\S+)$", text or "", re.M)
        if not found or found[1] not in self.pulled:
            return Ran(1, "", "no such image")
        held = self.read_json(f"{STATE}/slots/{name.removeprefix('rmu-')}.json") or {"database": DATABASE}
        self.units[name] = Unit(found[1], self.clock, held["database"]["identifier"])
        return Ran(0, "")

    def _haproxy(self, argv: list[str]) -> Ran:
        return (
            Ran(1, "", "Proxy 'front': unable to find required use_backend") if HAPROXY in self.broken else Ran(0, "")
        )

    def _podman(self, argv: list[str]) -> Ran:
        if argv[:2] == ["image", "exists"]:
            return Ran(0 if argv[2].split("@")[1] in self.pulled else 1, "")
        if argv[0] == "pull" and self.fills_up:
            return Ran(125, "", "Error: writing blob: write /var/tmp/layer: no space left on device\n")
        if argv[0] == "pull":
            digest = argv[-1].split("@")[1]
            if digest not in self.apps:
                return Ran(125, "", "Error: manifest unknown")
            self.pulled.add(digest)
        if argv[0] == "rmi":
            self.pulled.discard(argv[1].rpartition("@")[2])
        if argv[0] in ("images", "ps"):
            return self.listing(argv)
        if argv[0] == "inspect":
            unit = self.units.get(argv[-1])
            return Ran(0, json.dumps([{"ImageDigest": unit.digest}])) if unit else Ran(125, "[]")
        if argv[0] == "run":
            digest = next(a for a in argv if "@" in a).split("@")[1]
            if digest in self.broken:
                return Ran(1, "half a migration\n", "lock timeout")
            return self.one_off(self.apps[digest], argv[argv.index(f"{IMAGE}@{digest}") + 1 :])
        return Ran(0, "")

    def listing(self, argv: list[str]) -> Ran:
        if argv[0] == "ps":
            return Ran(0, json.dumps([{"ImageID": unit.digest} for unit in self.units.values()]))
        if "json" in argv:
            listed = [{"Id": d, "Digest": d, "Names": [f"{IMAGE}@{d}"], "Size": 300 * MIB} for d in sorted(self.pulled)]
            return Ran(0, json.dumps(listed))
        return Ran(0, "".join(f"{IMAGE} {digest}\n" for digest in sorted(self.pulled)))

    def one_off(self, app: App, words: list[str]) -> Ran:
        if words == ["check"]:
            return Ran(2, "", "usage: app") if app.works is None else Ran(1 - app.works["ok"], json.dumps(app.works))
        if "error" in app.migrates:
            return Ran(1, "trying\n" + json.dumps(app.migrates))
        before = app.migrates["head_before"]
        said = {"--current": {"head": before}, "--pending": {"current": before, "head": app.schema_head, "pending": []}}
        return Ran(0, "upgrading\n" + json.dumps(said.get(words[-1], app.migrates)))

    def _journalctl(self, argv: list[str]) -> Ran:
        return Ran(0, "starting\nno database\n")

    def _systemd_run(self, argv: list[str]) -> Ran:
        wanted = self.read_json("/var/lib/rmu/probe/request.json") or {}
        self.write_json("/var/lib/rmu/probe/result.json", {"run": wanted["run"], "baseline_done": True})
        return Ran(0, "")


class FakeCloud(Cloud):
    """The account as one host sees it."""

    def __init__(self) -> None:
        super().__init__({})
        self.secrets: dict[str, str] = {
            "/rmu/test/db/app_password": "app/pw",
            "/rmu/test/db/migrate_password": "migrate-pw",
            "/rmu/test/app/secret_key": "s3cret",
        }
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.size = 100 * MIB
        self.completed: list[str] = []

    def parameters(self, names: list[str]) -> dict[str, str]:
        return {name: self.secrets[name] for name in names}

    def item(self, pk: str, sk: str) -> dict[str, Any] | None:
        return self.items.get((pk, sk))

    def tell(self, pk: str, sk: str, body: dict[str, Any]) -> None:
        self.items[pk, sk] = body

    def image_size(self, image: str, digest: str) -> int:
        return self.size

    def complete_hook(self, instance: str) -> bool:
        self.completed.append(instance)
        return True


def release(version: str, digest: str | None = None) -> dict[str, Any]:
    """Make a release as `prepare` is sent it."""
    return {
        "version": version,
        "digest": digest or f"sha256:{version}",
        "image": IMAGE,
        "config": {"LOG_LEVEL": "info"},
        "secrets": ["secret_key"],
    }


def ref(version: str, database: str | None = None) -> dict[str, str | None]:
    """Name a release, and the database its slot is set up with."""
    return {"version": version, "digest": f"sha256:{version}", "database": database}
