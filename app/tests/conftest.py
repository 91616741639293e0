"""Real parts for the tests: a PostgreSQL cluster, a Redis, the image's roles as processes, all on loopback."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import patient
import psycopg
import pytest
import trustme
from redis import Redis
from sqlalchemy import Engine

from ratemyunit import database as pool
from ratemyunit import health, migrate

APP = Path(__file__).resolve().parents[1]
TOKEN = "token-of-the-tests"


for each in patient.LIMITS:
    patient.be(each)


def free_port() -> int:
    """Find a port that nobody listens on, and that no connection is given by chance before somebody does."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as s, suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


@dataclass
class Cluster:
    """One PostgreSQL cluster that the tests own."""

    port: int
    bin: Path
    directory: Path
    as_owner: list[str]
    pattern: str = ""

    def make(self, name: str) -> None:
        """Make a database as an environment has it: rmu_migrate owns it and its schema, nothing is in it."""
        self.sql(f"create database {name} owner rmu_migrate")
        self.sql("alter schema public owner to rmu_migrate", name)

    def make_migrated(self, name: str) -> None:
        """Make a migrated database. They are all alike, so one is migrated and the others are copies."""
        if not self.pattern:
            self.make("pattern")
            migrate.upgrade(self.url("pattern", "rmu_migrate"))
            self.pattern = "pattern"
            # PostgreSQL copies no database that somebody is connected to, and waits 5 s only until they have left.
            wait_until(lambda: not self.connected("pattern"))
        self.sql(f"create database {name} owner rmu_migrate template {self.pattern}")

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""

        def dropped() -> bool:
            with suppress(psycopg.errors.ObjectInUse):  # whoever was sent away had not left within 5 s
                self.sql(f"drop database if exists {name} with (force)")
                return True
            return False

        wait_until(dropped)

    def connected(self, name: str) -> int:
        """Count who is connected to a database."""
        with psycopg.connect(self.url("postgres", "master")) as connection:
            row = connection.execute("select count(*) from pg_stat_activity where datname = %s", [name]).fetchone()
        return int(row[0]) if row else 0

    def url(self, database: str, role: str = "rmu_app") -> str:
        """Make the URL of one database for one role."""
        return f"postgresql://{role}:{role}@127.0.0.1:{self.port}/{database}"

    def verified_url(self, database: str, authority: Path, host: str = "localhost") -> str:
        """Make a URL as an environment has it: the server's certificate and name are checked."""
        url = f"postgresql://rmu_app:rmu_app@{host}:{self.port}/{database}"
        return f"{url}?sslmode=verify-full&sslrootcert={authority}"

    @property
    def authority(self) -> Path:
        """Say where the certificate authority of the cluster's certificate lies."""
        return self.directory / "ca.pem"

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as the cluster's master."""
        with psycopg.connect(self.url(database, "master"), autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Make a cluster with the roles that an environment has."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    assert homes, "these tests need PostgreSQL's server programs (apt-get install postgresql)"
    # PostgreSQL refuses to run as root.
    as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    # Small databases by the hundred are written here: in memory, where the machine has such a folder.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="rmu-pg-", dir=memory))
    if as_owner:
        shutil.chown(directory, "postgres", "postgres")
    made = Cluster(free_port(), homes[-1], directory, as_owner)
    data, password = directory / "data", directory / "password"
    password.write_text("master")
    password.chmod(0o644)
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": directory}
    init = ["--auth=scram-sha-256", "--username=master", f"--pwfile={password}", "--encoding=UTF8", "--no-sync"]
    subprocess.run([*as_owner, made.bin / "initdb", "-D", data, *init], **run)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    _write_certificate(authority, data)
    options = f"-c ssl=on -c listen_addresses=127.0.0.1 -p {made.port} -c fsync=off -c autovacuum=off -k {directory}"
    control = [*as_owner, made.bin / "pg_ctl", "-D", data, "-w", "-t", str(patient.LONG), "-l", directory / "log"]
    subprocess.run([*control, "-o", options, "start"], **run)
    try:
        for role in ("rmu_migrate", "rmu_app"):
            made.sql(f"create role {role} login password '{role}'")
        made.sql("grant pg_monitor to rmu_migrate")
        yield made
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)
        shutil.rmtree(directory)


def _write_certificate(authority: trustme.CA, data: Path) -> None:
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(data / "server.crt")
    issued.private_key_pem.write_to_path(data / "server.key")
    (data / "server.key").chmod(0o600)
    if os.getuid() == 0:
        shutil.chown(data / "server.key", "postgres", "postgres")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Start a Redis that keeps nothing."""
    with redis_server() as url:
        yield url


class redis_server:
    """A Redis process as a context, by a file of settings where one is given."""

    def __init__(self, port: int = 0, settings: Path | None = None, **more: str) -> None:
        self._port = port
        self._settings = [str(settings)] if settings else []
        self._more = [word for name, value in more.items() for word in (f"--{name}", value)]

    def __enter__(self) -> str:
        """Start it and wait until it listens."""
        port = self._port or free_port()
        named = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        argv = ["redis-server", *self._settings, *named, *self._more]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
        wait_until(lambda: listens(port))
        return f"redis://127.0.0.1:{port}/0"

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(patient.LONG)


@contextmanager
def silent() -> Iterator[tuple[str, Callable[[], int]]]:
    """Listen where a Redis should be, and never answer; give its URL and a count of those who came."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener, ExitStack() as kept:
        came = 0

        def callers() -> int:
            nonlocal came
            listener.settimeout(0.1)
            with suppress(TimeoutError):
                while True:
                    kept.enter_context(listener.accept()[0])
                    came += 1
            return came

        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", callers


_databases = iter(range(1, 10_000))


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[str]:
    """Make a database with nothing in it."""
    name = f"empty{next(_databases)}"
    cluster.make(name)
    yield name
    cluster.drop(name)


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """Make a migrated database."""
    name = f"migrated{next(_databases)}"
    cluster.make_migrated(name)
    yield name
    cluster.drop(name)


@pytest.fixture
def engine(cluster: Cluster, database: str) -> Iterator[Engine]:
    """Open a pool on a migrated database."""
    made = pool.engine(cluster.url(database))
    yield made
    made.dispose()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """Open an empty Redis."""
    made = health.open_redis(redis_url)
    made.flushall()
    yield made
    made.close()


@dataclass
class Role:
    """One role of the image as a process."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path
    base: str = field(init=False)

    def __post_init__(self) -> None:
        self.base = f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Ask by GET; answer status, headers and body, whatever the status."""
        return self._ask(urllib.request.Request(self.base + path, headers=headers))

    def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, str], str]:
        """Ask by POST with a JSON body."""
        content = {"Content-Type": "application/json", **headers}
        return self._ask(urllib.request.Request(self.base + path, json.dumps(body).encode(), content))

    def stop(self) -> int:
        """Send SIGTERM; answer the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patient.LONG)

    def lines(self) -> list[dict[str, object]]:
        """Parse every whole line logged so far; a line that is no JSON fails the test."""
        return [json.loads(line) for line in self.log.read_text().rpartition("\n")[0].splitlines()]

    def _ask(self, request: urllib.request.Request) -> tuple[int, dict[str, str], str]:
        try:
            with urllib.request.urlopen(request, timeout=patient.LONG) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, dict(answer.headers), answer.read().decode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator["type[Role]"]:
    """Give a function that starts a role, with an environment and with limits of its own, and waits for /livez."""
    started: list[Role] = []

    def starter(role: str, limits: tuple[str, ...] = (), **environment: str) -> Role:
        port = free_port()
        log = tmp_path / f"{role}-{len(started)}.log"
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(APP), "HTTP_PORT": str(port)}
        # What the tests scrape is on loopback, too.
        env |= {"ADMIN_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1", "SCRAPE_HOSTS": "127.0.0.1", **environment}
        env.setdefault("SCRAPE_PAGE_SECONDS", "40")
        with log.open("w") as out:
            argv = [sys.executable, patient.__file__, role, *limits]
            process = subprocess.Popen(argv, env=env, stdout=out, stderr=subprocess.STDOUT, text=True)
        one = Role(process, port, log)
        started.append(one)
        wait_until(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, log.read_text()
        return one

    yield starter  # type: ignore[misc]
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def listens(port: int) -> bool:
    """Tell whether someone listens on a loopback port."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait_until(question: object) -> None:
    """Ask again until the answer is yes, or fail."""
    until = time.monotonic() + patient.LONG
    while not question():  # type: ignore[operator]
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
