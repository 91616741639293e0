"""The gate alone: one process on loopback, without machines; tests play the keepers and the guests."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

LATENCY = 0.3


class Gate:
    """One gate process and the two sides that speak to it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="twin",
            aws_secret_access_key="twin",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def call(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data), timeout=30) as answer:
            return json.loads(answer.read())

    def seen(self, **report: Any) -> None:
        self.call("/twin/seen", report)


@contextmanager
def running_gate(directory: Path) -> Iterator[Gate]:
    """Run a gate while the block does; its log goes into the directory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "RMU_TWIN_SSM_LATENCY": str(LATENCY)}
    command = [sys.executable, "-m", "ratemyunit_ops.twin.gate.server", "--host", "127.0.0.1", "--port", str(port)]
    log = (directory / "gate.log").open("w")
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    gate = Gate(port)
    try:
        _wait_for(gate, process)
        yield gate
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait_for(gate: Gate, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            gate.call("/twin/wanted")
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the gate did not start"
            time.sleep(0.2)
