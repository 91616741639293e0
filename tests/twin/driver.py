"""Drive `rmu` on a real twin as a person or CI would: by its command, reading what it prints and how it exits.

`Stack` is one twin with the stack applied, the smallest app's image at hand, and a settings file of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import psycopg

from ratemyunit_ops.twin.base import ensure_base
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site
from tests.contract_app import image

CHECKOUT = Path(__file__).resolve().parents[2]
RMU = Path(sys.executable).with_name("rmu")
CLIENT = CHECKOUT / "tests" / "clients" / "keepalive.py"
KEYS = {"access_key": "twin", "secret_key": "twin"}
KILLED = -9
PRODUCT = {"LOG_LEVEL": "INFO", "FIXTURE_CATALOGUE": "1", "RATE_READ": "off", "RATE_WRITE": "off"}
"""Settings of the product on a twin, where all load comes from one address."""
SEARCH = "/api/units?search=a"
"""What the product answers from its database."""
Event = dict[str, Any]
Pick = Callable[[Event], bool]


@dataclass(frozen=True)
class Answer:
    """How one command ended."""

    code: int
    document: dict[str, Any]
    events: list[Event]
    stdout: str
    stderr: str
    seconds: float

    def __getitem__(self, key: str) -> Any:
        return self.document[key]

    def says(self) -> str:
        """Join what a person would read."""
        return f"exit {self.code}\n{self.stdout}\n{self.stderr[-3000:]}"


class Running:
    """A command on its way; its progress lines are read as they come."""

    def __init__(self, argv: list[str], environ: Mapping[str, str], cwd: Path) -> None:
        self.began = time.monotonic()
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in `end`)
        self.process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell's background job ignores SIGINT, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.events: list[Event] = []
        self._lines: list[str] = []
        self._at: Pick | None = None
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                self._take(line)
        with self._news:
            self._news.notify_all()

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        with self._news:
            self._lines.append(line)
            if isinstance(event, dict):
                self.events.append(event)
                if self._at and self._at(event):
                    self.process.kill()
            self._news.notify_all()

    def kill_at(self, pick: Pick) -> None:
        """Kill -9 the command at the first progress line that `pick` picks."""
        with self._news:
            self._at = pick
            if any(pick(event) for event in self.events):
                self.process.kill()

    def wait_for(self, pick: Pick, seconds: float = 60) -> Event:
        """Wait until a progress line that `pick` picks has come."""
        until = time.monotonic() + seconds
        with self._news:
            while True:
                found = next((event for event in self.events if pick(event)), None)
                if found is not None:
                    return found
                assert self._reader.is_alive(), f"it ended before: {''.join(self._lines)[-2000:]}"
                assert time.monotonic() < until, f"waited {seconds:.0f} s: {''.join(self._lines)[-2000:]}"
                self._news.wait(0.5)

    def end(self, seconds: float = 300) -> Answer:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(10)
        self._out.seek(0)
        stdout = self._out.read()
        self._out.close()
        try:
            document = json.loads(stdout)
        except ValueError:
            document = {}
        return Answer(code, document, self.events, stdout, "".join(self._lines), time.monotonic() - self.began)


def started(words: str) -> Pick:
    """Pick the moment a step whose title begins so has been journaled as started."""
    return lambda event: event.get("event") == "started" and str(event.get("title")).startswith(words)


def done(words: str) -> Pick:
    """Pick the moment a step whose title begins so has been journaled as done."""
    return lambda event: event.get("event") == "done" and str(event.get("title")).startswith(words)


@dataclass
class Seen:
    """What the client that keeps its connections saw; filled when it ends."""

    sent: int = 0
    failed: int = 0
    told: dict[str, Any] = field(default_factory=dict)


class Stack:
    """One twin, and what tests do with it."""

    def __init__(self, site: Site, where: Path) -> None:
        self.site, self.where = site, where
        self.names = (f"v{n}" for n in itertools.count(1))
        self.digests: dict[str, str] = {}
        self.tar: Path | None = None
        self._clients: dict[str, Any] = {}
        self.config = self.settings("rmu.toml")
        cache = where / "cache" / "rmu"
        (cache / "terraform").mkdir(parents=True)
        for shared in ("images", "terraform/plugins"):  # what is big and belongs to no twin
            place = self.cache_of_this_machine() / shared
            place.mkdir(parents=True, exist_ok=True)
            (cache / shared).symlink_to(place)

    @staticmethod
    def cache_of_this_machine() -> Path:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rmu"

    def settings(self, name: str, *, app: Mapping[str, str] | None = None, **more: Any) -> Path:
        """Write a settings file for this twin; `more` adds to or replaces keys of the environment, None drops one."""
        env: dict[str, Any] = {
            "region": self.site.region,
            "account": self.site.account,
            "endpoint": self.site.endpoint,
            "registry": f"127.0.0.1:{self.site.registry_outside}",
            "front_door": self.front_door,
            "credentials": KEYS,
            "start_hint": "rmu twin up",
            "tfvars": str(CHECKOUT / "terraform" / "env" / "twin.tfvars"),
            "bake": "PT3S",
            "ready_deadline": "PT30S",
            "warm_floor_mib": 100,
            "measure_every": 10,
            "trusted_hops": 1,
            "tunnel": ["{python}", "-m", "ratemyunit_ops.twin.tunnel", "{host}"],
            **more,
        }
        lines = ['project = "ratemyunit"', "[env.twin]"]
        lines += [f"{key} = {toml(value)}" for key, value in env.items() if value is not None]
        lines += ["[env.twin.app]", *(f"{key} = {toml(value)}" for key, value in (app or {}).items())]
        path = self.where / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def take_product(self) -> None:
        """Let `rmu image build` build the product's tree, and settings be the product's."""
        (self.where / "app").symlink_to(CHECKOUT / "app")
        self.config = self.settings("rmu.toml", app=PRODUCT, ready_deadline="PT90S")

    def databases(self) -> dict[str, str]:
        """Name every database that the account has, each with a URL that works from here."""
        return {row["identifier"]: row["url"] for row in self.rmu("twin", "status")["databases"]}

    def login(self, role: str, identifier: str | None = None) -> psycopg.Connection[Any]:
        """Open a database as one of the roles, from this machine; else the live one."""
        urls = self.databases()  # the live one first
        url = urls[identifier] if identifier else next(iter(urls.values()))
        name = f"/rmu/twin/db/{role.removeprefix('rmu_')}_password"
        secret = self.aws("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return psycopg.connect(url, user=role, password=secret, autocommit=True)

    def ships(self, identifier: str = "rmu-twin-db-1") -> None:
        """Wait until everything that was written to a database until now can be restored."""
        written = datetime.now(UTC)
        asked = {"DBInstanceIdentifier": identifier}
        latest = lambda: self.aws("rds").describe_db_instances(**asked)["DBInstances"][0]["LatestRestorableTime"]  # noqa: E731
        wait_until(lambda: latest() > written, 120, "the last WAL to be shipped")

    @property
    def front_door(self) -> str:
        """The URL clients use."""
        return f"http://127.0.0.1:{self.site.front_door_port}"

    def environ(self, config: Path | None = None) -> dict[str, str]:
        """Make a command's environment: this twin's, and nobody's credentials."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "USER", "LANG") if key in os.environ}
        return {
            **kept,
            "RMU_CONFIG": str(config or self.config),
            "RMU_TWIN": self.site.name,
            "RMU_TWIN_PORT_BASE": str(self.site.port_base),
            "XDG_CACHE_HOME": str(self.where / "cache"),
            "NO_COLOR": "1",
        }

    def begin(self, *words: str, config: Path | None = None, environ: Mapping[str, str] | None = None) -> Running:
        """Start a command, reading its progress."""
        at = words.index("--") if "--" in words else len(words)
        argv = [str(RMU), *words[:at], "--json", *words[at:]]
        return Running(argv, environ or self.environ(config), self.where)

    def rmu(
        self, *words: str, expect: int | None = 0, config: Path | None = None, patience: float = 300, **how: Any
    ) -> Answer:
        """Run a command to its end; hold it to an exit code, a failure to its three parts. None holds it to nothing."""
        answer = self.begin(*words, config=config, **how).end(patience)
        assert expect is None or answer.code == expect, f"rmu {' '.join(words)}: {answer.says()}"
        if expect not in (None, 0):
            for part in ("what", "state", "next"):
                assert answer.document.get(part), f"no “{part}” in: {answer.says()}"
            assert "Traceback" not in answer.stdout + answer.stderr
        return answer

    def kill(self, *words: str, at: Pick) -> Answer:
        """Run a command and kill -9 it at a moment; it has to come to that."""
        running = self.begin(*words)
        running.kill_at(at)
        answer = running.end()
        assert answer.code == KILLED, f"it was never killed: {answer.says()}"
        return answer

    def deploy(self, version: str, *more: str, expect: int = 0, **how: Any) -> Answer:
        """Deploy without the drop probe, whose eight seconds most tests need not wait."""
        return self.rmu("deploy", version, "--yes", "--no-probe", *more, expect=expect, **how)

    def raise_up(self, prepare: Callable[[Stack], None] = lambda _: None) -> None:
        """Bring the twin up with the stack applied; what has to be in the account before that is prepared."""
        self.rmu("twin", "up")
        self.latency(0.1)
        prepare(self)
        self.rmu("infra", "bootstrap", "--yes")
        self.rmu("infra", "apply", "--yes", patience=900)  # two minutes, on a machine that has nothing else to do

    def latency(self, seconds: float) -> None:
        """Set how long SSM takes, each way."""
        call(self.site, "ssm-latency", seconds)

    def lower(self) -> None:
        """Take everything down again."""
        lower_ground(self.site)

    def push(self) -> str:
        """Push the smallest app as a new version; return its name."""
        if self.tar is None:
            self.tar = image.make(ensure_base(self.site, print), self.where)
        version = next(self.names)
        self.digests[version] = image.push(self.tar, f"localhost:{self.site.registry_outside}", version)
        return version

    def live(self) -> str:
        """Name what serves; deploy a first and a second release where nothing does yet."""
        if not self.who().get("version"):
            self.deploy(self.push())
            self.deploy(self.push())
        return str(self.who()["version"])

    def who(self) -> dict[str, Any]:
        """Ask the front door who answers; empty where nobody does."""
        try:
            with urllib.request.urlopen(f"{self.front_door}/version", timeout=5) as reply:
                return dict(json.load(reply))
        except (OSError, ValueError):
            return {}

    def status(self) -> dict[str, Any]:
        """Ask `rmu status`."""
        return self.rmu("status").document

    def serves_alone(self, version: str) -> None:
        """See that this release serves and that nothing half-done is left: no lease, no backup."""
        answered = self.who()
        assert answered.get("version") == version, f"not {version} but {answered}"
        seen = self.status()
        assert (seen["release"], seen["lease"], seen["unknown"]) == (version, None, [])

    def release(self) -> None:
        """End the run that a failed test left, if it left one: forward where there is no way back."""
        for verb in ("abandon", "resume"):
            if lease := self.rmu("status", expect=None).document.get("lease"):
                self.rmu(verb, lease["run"], "--yes", "--because", "its test failed", expect=None)

    @property
    def host(self) -> str:
        """Name the host in service."""
        return str(self.rmu("twin", "status")["hosts"][0]["id"])

    def on_host(self, script: str, timeout: float = 60) -> str:
        """Run a script on the host as root, past rmu and SSM; return what it printed."""
        ran = Machine(self.site, self.host).run(["bash", "-c", script], timeout=timeout)
        return (ran.stdout + ran.stderr).decode()

    def unit(self, version: str) -> str:
        """Name the unit of the slot that holds a release."""
        script = f"grep -l '\"{version}\"' /var/lib/rmu/slots/{{blue,green}}.json"
        return f"rmu-{Path(self.on_host(script).split()[0]).stem}"

    @contextmanager
    def fault(self, name: str, target: str | None = None) -> Iterator[None]:
        """Break something while the block runs."""
        target_words = [target] if target else []
        self.rmu("twin", "fault", name, *target_words)
        try:
            yield
        finally:
            self.rmu("twin", "fault", name, *target_words, "--clear")

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """Let the group not replace a host that is not well, so that a person has to."""
        group = {"AutoScalingGroupName": "rmu-twin-hosts", "ScalingProcesses": ["ReplaceUnhealthy"]}
        self.aws("autoscaling").suspend_processes(**group)
        try:
            yield
        finally:
            self.aws("autoscaling").resume_processes(**group)

    @contextmanager
    def client(self, connections: int = 30, patience: float = 10, path: str = "/version") -> Iterator[Seen]:
        """Let the client that never retries ask while the block runs; `patience` is in seconds.

        /version needs neither database nor Redis: where the claim is about those, ask what does.
        """
        seen, report = Seen(), self.where / f"client-{time.monotonic_ns()}.json"
        argv = [sys.executable, str(CLIENT), f"{self.front_door}{path}", "--seconds", "3600"]
        argv += ["--connections", str(connections), "--patience", str(patience), "--json", str(report)]
        process = subprocess.Popen(argv)
        try:
            time.sleep(2)  # so that connections are open and idle before anything moves
            yield seen
            time.sleep(2)  # and are used again after it
        finally:
            process.terminate()
            process.wait(30)
        seen.told = json.loads(report.read_text())
        seen.sent, seen.failed = seen.told["sent"], seen.told["failed"]

    @contextmanager
    def no_drop(self, patience: float = 10, path: str = "/version") -> Iterator[None]:
        """Hold the block to: no request of the client failed."""
        with self.client(patience=patience, path=path) as seen:
            yield
        assert seen.sent > 10
        assert seen.failed == 0, seen.told

    def aws(self, service: str) -> Any:
        """Return a client of the account, as somebody else than rmu would use it."""
        if service not in self._clients:
            client: Any = boto3.client
            self._clients[service] = client(
                service,
                endpoint_url=self.site.endpoint,
                region_name=self.site.region,
                aws_access_key_id="twin",
                aws_secret_access_key="twin",
            )
        return self._clients[service]


def toml(value: Any) -> str:
    """Write a value as TOML; strings, numbers, lists and flat tables are all that settings have."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def wait_until(look: Callable[[], Any], seconds: float, what: str, *, every: float = 0.3) -> Any:
    """Poll until `look` answers something true."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(every)
    return found


@contextmanager
def raised_stack(
    name: str, port_base: int, where: Path, prepare: Callable[[Stack], None] = lambda _: None
) -> Iterator[Stack]:
    """Raise a twin with the stack applied, and take it down at the end, however that comes."""
    site = Site(name=name, port_base=port_base)
    lower_ground(site)
    stack = Stack(site, where)
    try:
        stack.raise_up(prepare)
        yield stack
    finally:
        stack.lower()
        shutil.rmtree(where, ignore_errors=True)
