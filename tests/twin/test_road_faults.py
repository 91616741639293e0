"""An account on a bad day: AWS's own errors, lost answers and delays, put before the twin's API by a fault proxy."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.twin.driver import Stack, wait_until

pytestmark = [pytest.mark.twin, pytest.mark.long]

CUT = {"abort_bytes": 0}
"""The call has been done, and its answer is lost on the way."""
THROTTLED = {"code": "ProvisionedThroughputExceededException"}
BROKEN = {"code": "InternalServerError", "status": 500}
INVOCATION = {"service": "ssm", "operation": "GetCommandInvocation"}
RAIN: list[dict[str, Any]] = [
    {"service": "dynamodb", "operation": "GetItem", "times": 2, "error": THROTTLED},
    {"service": "dynamodb", "operation": "TransactWriteItems", "times": 4, "response": CUT},
    {"service": "dynamodb", "operation": "PutItem", "times": 2, "response": CUT},
    {**INVOCATION, "times": 2, "error": BROKEN},
    {**INVOCATION, "times": 3, "response": CUT},
    {"service": "autoscaling", "operation": "DescribeAutoScalingGroups", "times": 4, "latency": 1000},
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def faults(stack: Stack, rules: list[dict[str, Any]]) -> Iterator[Path]:
    """Put a fault proxy before the twin's API; yield settings that lead through it."""
    port, config = free_port(), stack.where / "faults.yaml"
    config.write_text(json.dumps({"upstream": stack.site.endpoint, "port": port, "rules": rules}))
    argv = [str(Path(sys.executable).with_name("microburst")), "--config", str(config), "--no-resign"]
    with (stack.where / "faults.log").open("w") as log:
        proxy = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), 30, "the fault proxy")
        yield stack.settings("faults.toml", endpoint=f"http://127.0.0.1:{port}")
    finally:
        proxy.kill()
        proxy.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_f38_throttles_lost_answers_and_delays_do_not_keep_a_deploy_from_its_end(stack: Stack) -> None:
    stack.live()
    new = stack.push()

    with faults(stack, RAIN) as config, stack.no_drop():
        answer = stack.deploy(new, config=config)

    assert (answer["outcome"], answer["release"]) == ("done", new)
    stack.serves_alone(new)


def test_f37_a_flip_whose_command_lost_its_answer_is_not_sent_again_and_is_unwound(stack: Stack) -> None:
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
