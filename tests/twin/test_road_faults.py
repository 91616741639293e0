"""An account on a bad day: AWS's own errors, lost answers and delays before the twin's API, and reads that lag."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import free_port
from tests.twin.driver import Stack, wait_until

pytestmark = [pytest.mark.twin, pytest.mark.long]

CUT = {"abort_bytes": 0}
"""The call has been done, and its answer is lost on the way."""
THROTTLED = {"code": "ProvisionedThroughputExceededException"}
BROKEN = {"code": "InternalServerError", "status": 500}
INVOCATION = {"service": "ssm", "operation": "GetCommandInvocation"}
RAIN: list[dict[str, Any]] = [
    {"service": "dynamodb", "operation": "GetItem", "times": 2, "error": THROTTLED},
    {"service": "dynamodb", "operation": "TransactWriteItems", "times": 2, "response": CUT},
    {"service": "dynamodb", "operation": "PutItem", "times": 2, "response": CUT},
    {**INVOCATION, "times": 2, "error": BROKEN},
    {**INVOCATION, "times": 3, "response": CUT},
    {"service": "autoscaling", "operation": "DescribeAutoScalingGroups", "times": 4, "latency": 1000},
]
LAG_S = "5"


class Proxy:
    """A fault proxy before the twin's API."""

    def __init__(self, stack: Stack, rules: list[dict[str, Any]]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.settings = stack.settings("faults.toml", endpoint=self.url)
        config, log = stack.where / "faults.yaml", stack.where / "faults.log"
        port = int(self.url.rpartition(":")[2])
        config.write_text(json.dumps({"upstream": stack.site.endpoint, "port": port, "rules": rules}))
        argv = [str(Path(sys.executable).with_name("microburst")), "--config", str(config), "--no-resign"]
        with log.open("w") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out)

    def told(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_microburst/{what}", timeout=5) as answer:
            return json.load(answer)

    def answers(self) -> bool:
        try:
            return bool(self.told("health"))
        except OSError:
            return False

    def fired(self) -> set[tuple[str, str]]:
        return {(one["service"], one["operation"]) for one in self.told("fired?limit=1000")}


@contextmanager
def faults(stack: Stack, rules: list[dict[str, Any]]) -> Iterator[Path]:
    """Put a fault proxy before the API; yield settings that lead through it. Each rule has to have fired."""
    proxy = Proxy(stack, rules)
    try:
        wait_until(proxy.answers, 30, "the fault proxy")
        yield proxy.settings
        assert proxy.fired() >= {(rule["service"], rule["operation"]) for rule in rules}
    finally:
        proxy.process.kill()
        proxy.process.wait()


def test_throttles_lost_answers_and_delays_keep_neither_deploy_nor_rollback_from_its_end(stack: Stack) -> None:
    live, new = stack.live(), stack.push()

    with stack.no_drop():
        with faults(stack, RAIN) as config:
            answer = stack.deploy(new, config=config)
        with faults(stack, RAIN) as config:
            back = stack.rmu("rollback", "--yes", config=config)

    assert (answer["outcome"], answer["release"]) == ("done", new)
    assert (back["outcome"], back["release"]) == ("done", live)
    stack.serves_alone(live)


def test_a_flip_whose_command_lost_its_answer_is_not_sent_again_and_is_unwound(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    lost = {
        "service": "ssm",
        "operation": "SendCommand",
        "body": "contains(Comment, 'serve')",
        "times": 1,
        "response": CUT,
    }

    with faults(stack, [lost]) as config, stack.no_drop():
        answer = stack.deploy(new, config=config, expect=5)

    assert "it was not sent again" in answer["what"]
    assert answer["outcome"] == "rolled_back"
    stack.serves_alone(live)


def test_reads_that_lag_behind_writes_mislead_neither_deploy_nor_reboot_nor_restore(stack: Stack) -> None:
    stack.live()
    new = stack.push()

    with stack.fault("reads-lag", LAG_S):
        with stack.no_drop():
            stack.deploy(new)
        rebooted = stack.rmu("host", "reboot", stack.host, "--yes")
        with stack.no_drop(40):
            restored = stack.rmu("db", "restore", "--latest", "--yes")

    assert (rebooted["outcome"], restored["outcome"]) == ("done", "done")
    assert stack.status()["database"]["identifier"] == restored["instance"]
    stack.serves_alone(new)
