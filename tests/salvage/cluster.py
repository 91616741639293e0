"""PostgreSQL clusters of the tests' own, on loopback, with the roles of an environment; and the host program's view."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from rmu_host import data, data_fence, data_rows, salvage, salvage_apply
from rmu_host.cloud import Cloud
from rmu_host.machine import Machine, Ran
from rmu_host.units import DATABASE

from tests.processes import free_port

HOST = {"env": "test", "region": "here"}
BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), default=Path("/usr/bin"))
# PostgreSQL refuses to run as root.
AS_OWNER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
ROLES = """
create role rmu_migrate login password 'migrate';
create role rmu_app login password 'app';
create role rmu_ops login createrole password 'ops';
grant rmu_app, rmu_migrate to rmu_ops with admin option;
grant pg_signal_backend to rmu_ops;
"""
GRANTS = """
alter schema public owner to rmu_migrate;
alter database {name} owner to rmu_migrate;
revoke all on database {name} from public;
grant connect on database {name} to rmu_app, rmu_ops;
grant usage on schema public to rmu_app;
alter default privileges for role rmu_migrate in schema public
    grant select, insert, update, delete on tables to rmu_app;
alter default privileges for role rmu_migrate in schema public grant usage, select on sequences to rmu_app;
"""
FAST = "-c fsync=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=32MB -c autovacuum=off"


def folder() -> Path:
    """Make a folder that PostgreSQL's user owns, in memory where the machine has such a place."""
    made = Path(tempfile.mkdtemp(prefix="rmu-salvage-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    if AS_OWNER:
        shutil.chown(made, "postgres", "postgres")
    return made


@dataclass
class Cluster:
    """One server process: its folder, its port, how to start and stop it."""

    directory: Path
    options: str = FAST
    port: int = field(default_factory=free_port)

    def run(self, *argv: str | Path) -> None:
        done = subprocess.run([*AS_OWNER, *argv], capture_output=True, text=True, cwd=self.directory, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"

    def make(self) -> None:
        """Make the cluster with the roles of an environment."""
        init = ["--auth=trust", "--username=master", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self.run(BIN / "initdb", "-D", self.directory / "data", *init)
        # Passwords count over the network only: the tests' own master comes by the socket.
        self.hba("host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n")
        self.start()
        self.sql(ROLES, "postgres")

    def hba(self, text: str) -> None:
        place = self.directory / "data" / "pg_hba.conf"
        place.write_text(text)

    def start(self) -> None:
        listen = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.directory} -c track_commit_timestamp=on"
        log = self.directory / "log"
        argv = ["-D", self.directory / "data", "-w", "-t", "60", "-l", log, "-o", f"{listen} {self.options}", "start"]
        done = subprocess.run(
            [*AS_OWNER, BIN / "pg_ctl", *argv], stdout=subprocess.DEVNULL, cwd=self.directory, check=False
        )
        assert done.returncode == 0, log.read_text()[-3000:]

    def stop(self, how: str = "immediate") -> None:
        self.run(BIN / "pg_ctl", "-D", self.directory / "data", "-m", how, "-w", "stop")

    def sql(self, statements: str, name: str = DATABASE) -> str:
        """Run statements as the cluster's master."""
        argv = [BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.directory)]
        argv += ["-p", str(self.port), "-U", "master", "-d", name, "-f", "-"]
        done = subprocess.run(argv, input=statements, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def session(self, name: str, role: str = "master") -> psycopg.Connection[Any]:
        """Open a session that stays, by the socket."""
        place = f"host={self.directory} port={self.port} dbname={name} user={role}"
        return psycopg.connect(place, autocommit=True)

    def create(self, name: str = DATABASE, template: str = "template0") -> None:
        """Make a database as an environment has it, or as a physical copy of another: rows keep who wrote them."""
        self.sql(f"create database {name} template {template}", "postgres")
        self.sql(GRANTS.format(name=name), name)


class PlainMachine(Machine):
    """A host whose databases are plain processes: no TLS, and the address may name a database of the cluster."""

    def __init__(self, root: Path, databases: Mapping[str, str] | None = None) -> None:
        super().__init__(root)
        self.databases = databases or {}

    def run(self, argv: Sequence[str], timeout: float = 60, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        return super().run(plain(argv, self.databases), timeout, stdin, {**(env or {}), "PGSSLMODE": "disable"})


def plain(argv: Sequence[str], databases: Mapping[str, str]) -> list[str]:
    """Turn the address into loopback, and the database into the one that the address stands for."""
    out = [str(BIN / "psql"), *argv[1:]]  # past Debian's wrapper, which takes longer than the query
    at = out.index("-h") + 1
    name = databases.get(out[at])
    out[at] = "127.0.0.1"
    if name:
        out[out.index("-d") + 1] = name
    return out


class PlainCloud(Cloud):
    """The account as these tests need it: passwords, and a bucket in memory."""

    def __init__(self) -> None:
        super().__init__(HOST)
        self.objects: dict[str, bytes] = {}

    def parameters(self, names: list[str]) -> dict[str, str]:
        return {name: name.rsplit("/", 1)[1].removesuffix("_password") for name in names}

    def _client(self, service: str) -> Any:
        return FakeS3(self.objects)


class FakeS3:
    """A bucket."""

    class exceptions:
        class ClientError(Exception):
            response: dict[str, Any] = {"Error": {"Code": "NoSuchKey"}}  # noqa: RUF012

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects

    def put_object(self, Bucket: str, Key: str, Body: Any) -> None:
        self._objects[Key] = Body.read()

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self._objects:
            raise self.exceptions.ClientError
        found = self._objects[Key]
        return {"Body": type("Body", (), {"read": lambda self: found})()}


VERBS = {
    "data_look": data.look,
    "data_checksum": data.checksum,
    "data_warm": data.warm,
    "data_sequences": data.sequences,
    "data_fence": data_fence.fence,
    "data_rows": data_rows.rows,
    "data_act": data_rows.act,
    "data_salvage": salvage.salvage,
    "data_apply": salvage_apply.apply,
}


@dataclass
class Asker:
    """rmu, as the data verbs meet it."""

    m: PlainMachine
    cloud: PlainCloud

    def __call__(self, verb: str, **body: Any) -> dict[str, Any]:
        return VERBS[verb](self.m, {"mark": "r-1", "bucket": "b", **body}, HOST, self.cloud)
