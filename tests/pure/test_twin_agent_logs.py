"""The twin's CloudWatch agent, its half of logs: every line is put once, over restarts, rotation and refusals."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from ratemyunit_ops import twin

AGENT = (
    Path(twin.__file__).parent
    / "guest/amazon-cloudwatch-agent/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-logs"
)


class Logs:
    """CloudWatch Logs that knows no group and no stream before they are made."""

    class exceptions:
        class ResourceNotFoundException(Exception): ...

        class ResourceAlreadyExistsException(Exception): ...

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, list[str]]] = {"/rmu/t/app": {}}
        self.down = False

    def create_log_group(self, logGroupName: str) -> None:
        if logGroupName in self.groups:
            raise self.exceptions.ResourceAlreadyExistsException
        self.groups[logGroupName] = {}

    def create_log_stream(self, logGroupName: str, logStreamName: str) -> None:
        self.groups[logGroupName][logStreamName] = []

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[dict[str, Any]]) -> None:
        if self.down:
            raise ConnectionError
        try:
            stream = self.groups[logGroupName][logStreamName]
        except KeyError:
            raise self.exceptions.ResourceNotFoundException from None
        stream += [event["message"] for event in logEvents]


class Host:
    """A file that grows on a host, and an agent that may start again."""

    def __init__(self, folder: Path) -> None:
        self.agent = run_path(str(AGENT))
        self.agent["File"].ship.__globals__["STATE"] = folder
        self.file = folder / "rmu-blue.log"
        self.logs = Logs()

    def write(self, text: str) -> None:
        with self.file.open("a") as f:
            f.write(text)

    def ship(self) -> list[str]:
        """Let a newborn agent do its round; answer all that was put so far."""
        asked = {
            "file_path": str(self.file),
            "log_group_name": "/rmu/t/app",
            "log_stream_name": "{instance_id}/rmu-blue",
        }
        one = self.agent["File"](asked, "i-1")
        while one.ship(self.logs):
            pass
        return self.logs.groups["/rmu/t/app"].get("i-1/rmu-blue", [])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_whole_lines_are_put_once_over_restarts(host: Host) -> None:
    assert host.ship() == []
    host.write('{"n": 1}\n{"n": 2}\n{"n": ')
    assert host.ship() == ['{"n": 1}', '{"n": 2}']

    host.write("3}\n")

    assert host.ship() == ['{"n": 1}', '{"n": 2}', '{"n": 3}']
    assert host.ship() == ['{"n": 1}', '{"n": 2}', '{"n": 3}']


def test_a_file_that_was_put_aside_is_read_to_its_end_before_the_new_one(host: Host) -> None:
    host.write("a\n")
    host.ship()
    host.write("b\n")
    host.file.rename(f"{host.file}.1")
    host.write("c\n")

    assert host.ship() == ["a", "b", "c"]


def test_what_was_refused_is_put_later(host: Host) -> None:
    host.write("a\n")
    host.logs.down = True
    with pytest.raises(ConnectionError):
        host.ship()

    host.logs.down = False

    assert host.ship() == ["a"]


def test_a_group_that_is_not_there_is_made(host: Host) -> None:
    del host.logs.groups["/rmu/t/app"]
    host.write("a\n")

    assert host.ship() == ["a"]
