"""A local AWS without machines: the twin's gate alone, on a port of its own, and Terraform pointed at it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.outside.aws.identity import StsIdentity
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.terraform import Folders, Terraform

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "terraform"
REGION = "us-east-1"
PASSWORD = "pw-that-no-state-may-hold-0123456"
EDGE_SECRET = "header-that-the-listener-rule-asks-for"
SECRETS = {"db/master_password": PASSWORD, "edge/header_secret": EDGE_SECRET}
VARIABLES = {"region": REGION, "user_data_base64": "IyEvYmluL3NoCg=="}


@dataclass(frozen=True)
class Cloud:
    """The gate's endpoint, and how it is reached."""

    url: str

    @property
    def account(self) -> Account:
        return Account(region=REGION, endpoint=self.url, access_key="test", secret="test")

    def call(self, path: str, body: dict[str, Any] | None = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data), timeout=30) as answer:
            answer.read()

    def database_is_there(self, identifier: str) -> None:
        """Be the keeper that would have started PostgreSQL."""
        self.call("/twin/seen", {"databases": {identifier: "available"}})

    def make_secrets(self, environment: str) -> None:
        """Be rmu, which makes the secrets before Terraform reads them."""
        for name, value in SECRETS.items():
            self.account.act(
                "ssm",
                "PutParameter",
                Name=f"/rmu/{environment}/{name}",
                Value=value,
                Type="SecureString",
                Overwrite=True,
            )

    def terraform(
        self,
        environment: str,
        work: Path,
        *,
        sources: Path = SOURCES,
        tfvars: Path | None = None,
        alarms: Path | None = None,
    ) -> Terraform:
        folders = Folders(sources=sources, work=work, tfvars=tfvars, alarms=alarms)
        return Terraform(environment, self.account, StsIdentity(self.account), folders)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH: nothing here is proven")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "ratemyunit_ops.twin.gate.server", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path_factory.mktemp("gate") / "gate.log").open("w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, env=dict(os.environ), stdout=log, stderr=log)
    found = Cloud(f"http://127.0.0.1:{port}")
    try:
        wait_until_it_answers(found, process)
        yield found
    finally:
        process.kill()
        process.wait()


def wait_until_it_answers(cloud: Cloud, process: subprocess.Popen[bytes]) -> None:
    """Wait for the gate, long enough for a machine that is busy with other twins."""
    deadline = time.monotonic() + 240
    while True:
        try:
            return cloud.call("/twin/wanted")
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the gate did not start"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder for the real roots; shared, since each init of the provider takes seconds."""
    return tmp_path_factory.mktemp("work")


def nobody_listens(name: str, action: str, seconds: float) -> None:
    """Take an event and forget it."""


def wait_for(what: Callable[[], object], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)


def last_plan(home: Path) -> dict[str, Any]:
    """Read the stack's plan that was made last in an environment's working folder, with the values it plans."""
    own = {"TF_DATA_DIR": str(home / "stack.data"), "TF_CLI_CONFIG_FILE": str(home / "terraform.rc")}
    argv = ["terraform", f"-chdir={home / 'src/live/stack'}", "show", "-json", str(home / "stack.plan")]
    shown = subprocess.run(argv, env={**os.environ, **own}, check=True, capture_output=True)
    return dict(json.loads(shown.stdout))


def terraforms_of(folder: Path) -> list[int]:
    """Find the processes of Terraform that work in a folder, by their working directory."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            inside = str(proc.joinpath("cwd").readlink()).startswith(str(folder))
            name = proc.joinpath("comm").read_text().strip()
        except OSError:
            continue
        if inside and name == "terraform":
            found.append(int(proc.name))
    return found
