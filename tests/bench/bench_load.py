"""`make bench-load`: the product on a host of 1 GiB behind its balancer, searched while its worker scrapes.

A twin of its own with fifty thousand units in its database. Fifty searches a second through the front door for two
minutes, then more and more, until answers come late or not at all: that is how many one host carries. Control: as many
requests that need no database. Writes bench-out/load.json.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import made_up_units
from tests.bench.asking import Seen, parts, searching, send
from tests.bench.figures import ended_in_order, keep, load, say, wait_for_quiet
from tests.bench.product import furnish
from tests.twin.driver import Stack, raised_stack
from tests.twin.memory import memory_watched

RATE, SECONDS = 50, 120
MORE, MORE_S = (75, 100, 150, 200, 300, 400), 30
P95_MS, P99_MS = 100, 250
SCRAPE_S = 5.0
SCRAPES_A_MINUTE = 10
PAGE = "http://127.0.0.1:8080/fixture/catalogue"
Figures = dict[str, Any]


def main() -> None:
    """Raise a twin, load it, write the figures, and leave nothing."""
    before = load()
    where = Path(tempfile.mkdtemp(prefix="rmu-bench-"))
    with ended_in_order(), raised_stack("load", 10120, where) as stack:
        figures = measured(stack)
    keep("load", figures, before)


def measured(stack: Stack) -> Figures:
    """Ask at the rate that was promised, and then faster."""
    [version] = furnish(stack, 1, bake="PT5S")
    stack.rmu("deploy", version, "--yes", patience=900)
    database = stack.rmu("twin", "status")["databases"][0]["url"]
    say("loading the units")
    with psycopg.connect(database) as owner:
        made_up_units.store(owner, made_up_units.catalogue())
    asked(stack, RATE, 10, seed=3)  # what is cold once, is cold once
    wait_for_quiet()
    say(f"{RATE} searches a second for {SECONDS} s")
    with memory_watched(stack) as memory, scraping(stack, database) as scraped:
        promised = asked(stack, RATE, SECONDS, seed=1)
        faster = list(until_late(stack))
    say("the same without a database")
    control = asyncio.run(send(stack.site.front_door_port, ["/livez"] * RATE * MORE_S, RATE))
    carried = [one["rate"] for one in [told(RATE, promised), *faster] if one["in_time"]]
    return {
        "units": made_up_units.UNITS,
        "seconds": SECONDS,
        "promised": told(RATE, promised),
        "faster": {"seconds": MORE_S, "steps": faster},
        "carries": max(carried, default=0),
        "target_p95_ms": P95_MS,
        "target_p99_ms": P99_MS,
        "scrapes": scraped,
        "target_scrapes_a_minute": SCRAPES_A_MINUTE,
        "memory": memory.told(),
        "control": {"what": "/livez, which needs no database, as often", **told(RATE, control)},
    }


def until_late(stack: Stack) -> Iterator[Figures]:
    """Ask faster and faster; the last step is one that was late, where there is one."""
    for rate in MORE:
        say(f"{rate} searches a second for {MORE_S} s")
        step = told(rate, asked(stack, rate, MORE_S, seed=rate))
        yield step
        if not step["in_time"]:
            return


def asked(stack: Stack, rate: int, seconds: int, *, seed: int) -> Seen:
    """Search at a rate, through the front door."""
    paths = [searching(words) for words in made_up_units.searches(rate * seconds, seed=seed)]
    return asyncio.run(send(stack.site.front_door_port, paths, rate))


def told(rate: int, seen: Seen) -> Figures:
    """Show what came of it, and whether it kept what is promised."""
    times = parts(seen.answered)
    in_time = not seen.failed and times["p95"] <= P95_MS and times["p99"] <= P99_MS
    return {"rate": rate, "failed": seen.failed, "answer_ms": times, "in_time": in_time}


@contextmanager
def scraping(stack: Stack, database: str) -> Iterator[Figures]:
    """Have the worker scrape one page after the other while the block runs; count what it finished."""
    token = stack.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)["Parameter"]["Value"]
    over, figures, began = threading.Event(), Figures(), time.monotonic()
    thread = threading.Thread(target=wish, args=(stack.front_door, token, over))
    thread.start()
    try:
        yield figures
    finally:
        over.set()
        thread.join()
    minutes = (time.monotonic() - began) / 60
    with psycopg.connect(database) as owner:
        rows = owner.execute("select state, count(*) from jobs group by 1").fetchall()
    states = {str(state): int(count) for state, count in rows}
    figures.update(states=states, a_minute=round(states.get("done", 0) / minutes, 1))


def wish(front_door: str, token: str, over: threading.Event) -> None:
    """Ask for a page every few seconds."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"url": PAGE, "university": "Twin"}).encode()
    while not over.wait(SCRAPE_S):
        request = urllib.request.Request(f"{front_door}/api/admin/scrape", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=20):
            pass


if __name__ == "__main__":
    main()
