"""`make bench-quiet`: an hour of ordinary load with twenty deploys in it, and who was woken. Nobody should be.

A twin of its own, the product on it, ten requests a second, somebody who has confirmed both topics. As a control the
host's memory is eaten at the end: that must be heard. Writes bench-out/quiet.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from ratemyunit_ops.twin.inner import call
from tests.bench.figures import ended_in_order, keep, load, say
from tests.bench.product import furnish
from tests.twin.driver import Stack, raised_stack, wait_until

MINUTES = 60.0
DEPLOYS = 20
PER_SECOND = 10
SETTLE_S = 180.0
EMAIL = "oncall@example.org"


def main() -> None:
    """Raise a twin, let an hour pass, write what was heard, and leave nothing."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    before = load()
    where = Path(tempfile.mkdtemp(prefix="rmu-bench-"))
    with ended_in_order(), raised_stack("quiet", 9620, where) as stack:
        figures = measured(stack, minutes)
    keep("quiet", figures, before)


def measured(stack: Stack, minutes: float) -> dict[str, Any]:
    """Deploy again and again under load, and count what arrived."""
    versions = furnish(stack, DEPLOYS + 1, bake="PT10S")
    call(stack.site, "confirm", EMAIL)
    stack.rmu("deploy", versions[0], "--yes")
    time.sleep(SETTLE_S)
    began = time.time()
    with asking(f"{stack.front_door}/api/units?search=a") as answers:
        for number, version in enumerate(versions[1:], 1):
            stack.rmu("deploy", version, "--yes")
            say(f"{version} deployed; heard so far: {heard(stack, began)}")
            time.sleep(max(0.0, began + number * minutes * 60 / DEPLOYS - time.time()))
    fired = heard(stack, began)
    loud = time.time()
    with stack.fault("memory-eaten"):
        wait_until(lambda: "rmu-twin-memory-high" in heard(stack, loud), 120, "the control's page")
    return {
        "minutes": minutes,
        "deploys": DEPLOYS,
        "requests": answers,
        "fired": fired,
        "target_fired": 0,
        "control": {"what": "the host's memory eaten after it", "fired": heard(stack, loud)},
    }


def heard(stack: Stack, since: float) -> dict[str, int]:
    """Count by name the alarms that were delivered as firing."""
    messages = [
        json.loads(one["message"])
        for one in call(stack.site, "deliveries")
        if one["endpoint"] == EMAIL and one["at"] >= since and one["message"].startswith('{"AlarmName"')
    ]
    return dict(Counter(one["AlarmName"] for one in messages if one["NewStateValue"] == "ALARM"))


@contextmanager
def asking(url: str) -> Iterator[dict[str, int]]:
    """Ask at a steady rate, whatever the answers take, while the block runs."""
    answers: Counter[str] = Counter()
    over = threading.Event()

    def one() -> None:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                answers[str(answer.status)] += 1
        except OSError as why:
            answers[str(getattr(why, "code", "none"))] += 1

    def ask() -> None:
        while not over.wait(1 / PER_SECOND):
            threading.Thread(target=one, daemon=True).start()

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    try:
        yield answers
    finally:
        over.set()
        asker.join()


if __name__ == "__main__":
    main()
