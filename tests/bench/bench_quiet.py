"""`make bench-quiet`: an hour of ordinary load with twenty deploys in it, and who was woken. Nobody should be.

A twin of its own, the product on it, ten searches and a rating a second, a page scraped every twenty, somebody who has
confirmed both topics: no alarm may fire, and `critical` may say nothing at all. As a control the host's memory is eaten
at the end: that must be heard. Writes bench-out/quiet.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))

from ratemyunit_ops.twin.inner import call
from tests.bench.figures import ended_in_order, keep, load, say
from tests.bench.product import furnish
from tests.twin.driver import Stack, raised_stack, wait_until

MINUTES = 60.0
DEPLOYS = 20
PER_SECOND = 10
SCRAPE_S = 20.0
PAGE = "http://127.0.0.1:8080/fixture/catalogue"
LOAD = f"{PER_SECOND} searches and a rating a second, a scrape every {SCRAPE_S:g} s"
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
    with asking(stack) as answers:
        for number, version in enumerate(versions[1:], 1):
            stack.rmu("deploy", version, "--yes")
            say(f"{version} deployed; heard so far: {heard(stack, began)}")
            time.sleep(max(0.0, began + number * minutes * 60 / DEPLOYS - time.time()))
    fired, roused = heard(stack, began), woken(stack, began)
    loud = time.time()
    with stack.fault("memory-eaten"):
        wait_until(lambda: "rmu-twin-memory-high" in heard(stack, loud), 120, "the control's page")
    return {
        "minutes": minutes,
        "deploys": DEPLOYS,
        "load": LOAD,
        "requests": answers,
        "fired": fired,
        "target_fired": 0,
        "woken": roused,
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


def woken(stack: Stack, since: float) -> dict[str, int]:
    """Count every message that `critical` brought, good news too: it may go on to a phone."""
    found = [
        one["message"]
        for one in call(stack.site, "deliveries")
        if one["endpoint"] == EMAIL and one["at"] >= since and one["source"].endswith("-critical")
    ]
    return dict(Counter(_named(message) for message in found))


def _named(message: str) -> str:
    if not message.startswith('{"AlarmName"'):
        return message
    alarm = json.loads(message)
    return f"{alarm['AlarmName']} {alarm['NewStateValue']}"


@contextmanager
def asking(stack: Stack) -> Iterator[dict[str, int]]:
    """Search, rate and have pages scraped at a steady rate, whatever the answers take, while the block runs."""
    answers: Counter[str] = Counter()
    over = threading.Event()
    parameter = stack.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)
    admin = {"Authorization": f"Bearer {parameter['Parameter']['Value']}"}
    scrape(stack.front_door, admin, answers)
    units = wait_until(lambda: found(stack.front_door), SETTLE_S, "the first units")
    jobs = (
        (1 / PER_SECOND, lambda: told(f"{stack.front_door}/api/units?search=a", answers)),
        (1.0, lambda: rate(stack.front_door, units[0]["id"], answers)),
        (SCRAPE_S, lambda: scrape(stack.front_door, admin, answers)),
    )
    askers = [threading.Thread(target=again, args=(every, ask, over), daemon=True) for every, ask in jobs]
    for asker in askers:
        asker.start()
    try:
        yield answers
    finally:
        over.set()
        for asker in askers:
            asker.join()


def again(every: float, ask: Callable[[], None], over: threading.Event) -> None:
    """Ask again and again, and wait for no answer."""
    while not over.wait(every):
        threading.Thread(target=ask, daemon=True).start()


def found(front_door: str) -> list[dict[str, Any]]:
    """Read the units that there are."""
    with urllib.request.urlopen(f"{front_door}/api/units?search=", timeout=20) as answer:
        return list(json.load(answer)["units"])


def rate(front_door: str, unit: str, answers: Counter[str]) -> None:
    given = {"id": str(uuid4()), "stars": 4, "comment": "an ordinary hour"}
    told(f"{front_door}/api/units/{unit}/ratings", answers, given)


def scrape(front_door: str, admin: dict[str, str], answers: Counter[str]) -> None:
    told(f"{front_door}/api/admin/scrape", answers, {"url": PAGE, "university": "Twin"}, admin)


def told(url: str, answers: Counter[str], body: Any = None, headers: Mapping[str, str] = {}) -> None:
    """Send one request and count its answer; with a body it is a POST."""
    wanted = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=wanted, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answers["200" if answer.status < 300 else str(answer.status)] += 1
    except OSError as why:
        answers[str(getattr(why, "code", "none"))] += 1


if __name__ == "__main__":
    main()
