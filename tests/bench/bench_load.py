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
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import made_up_units
from tests.bench.asking import Seen, parts, searching, send
from tests.bench.figures import ended_in_order, keep, load, say, spread, wait_for_quiet
from tests.bench.product import furnish
from tests.twin.driver import Stack, raised_stack
from tests.twin.memory import memory_watched

RATE, SECONDS = 50, 120
MORE, MORE_S = (75, 100, 150, 200, 300, 400), 30
P95_MS, P99_MS = 100, 250
API_MIB, WORKER_MIB = 180, 450
STARTS, START_S = 5, 1.0
HOST_SCRIPT = Path(__file__).with_name("on_a_host.py")
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
    versions = furnish(stack, 2, bake="PT5S")
    for version in versions:
        stack.rmu("deploy", version, "--yes", patience=900)
    wait_for_quiet()
    say("starting what stands by")
    starts = on_host(
        stack, "start", stack.unit(versions[0]), str(port_of(stack, versions[0])), str(STARTS), seconds=300
    )
    database = stack.rmu("twin", "status")["databases"][0]["url"]
    say("loading the units")
    with psycopg.connect(database) as owner:
        made_up_units.store(owner, made_up_units.catalogue())
    asked(stack, RATE, 10, seed=3)  # what is cold once, is cold once
    wait_for_quiet()
    say(f"{RATE} searches a second for {SECONDS} s")
    with memory_watched(stack) as memory, scraping(stack) as scraped:
        with ThreadPoolExecutor(1) as beside:
            units = stack.unit(versions[1]), "rmu-worker"
            parts_of = beside.submit(on_host, stack, "memory", *units, str(SECONDS), seconds=SECONDS + 60)
            done, hits = finished(database), cached(stack)
            promised = asked(stack, RATE, SECONDS, seed=1)
            done, hits = finished(database) - done, cached(stack) - hits
        faster = list(until_late(stack))
    say("the same without a database")
    control = asyncio.run(send(stack.site.front_door_port, ["/livez"] * RATE * MORE_S, RATE))
    carried = [one["rate"] for one in [told(RATE, promised), *faster] if one["in_time"]]
    return {
        "units": made_up_units.UNITS,
        "seconds": SECONDS,
        "promised": told(RATE, promised),
        "from_cache": round(hits / (RATE * SECONDS), 3),
        "faster": {"seconds": MORE_S, "steps": faster},
        "carries": max(carried, default=0),
        "target_p95_ms": P95_MS,
        "target_p99_ms": P99_MS,
        "scrapes": {"a_minute": round(done * 60 / SECONDS, 1), "wishes_refused": scraped["refused"]},
        "target_scrapes_a_minute": SCRAPES_A_MINUTE,
        "memory": memory.told(),
        "memory_mib": {name: round(mib) for name, mib in parts_of.result().items()},
        "target_memory_mib": {"api": API_MIB, "worker": WORKER_MIB},
        "start_s": spread(starts["livez_s"]),
        "target_start_s": START_S,
        "control": {"what": "/livez, which needs no database, as often", **told(RATE, control)},
        "start_control": {"what": "a Python that does nothing, in the same image", "s": spread(starts["idle_s"])},
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
def scraping(stack: Stack) -> Iterator[Figures]:
    """Have the worker scrape one page after the other while the block runs."""
    over, figures = threading.Event(), {"refused": 0}
    thread = threading.Thread(target=wish, args=(stack, over, figures))
    thread.start()
    try:
        yield figures
    finally:
        over.set()
        thread.join()


def wish(stack: Stack, over: threading.Event, figures: Figures) -> None:
    """Ask for a page every few seconds; under too much load a wish may be refused, and the next one is sent."""
    token = stack.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)["Parameter"]["Value"]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"url": PAGE, "university": "Twin"}).encode()
    while not over.wait(SCRAPE_S):
        request = urllib.request.Request(f"{stack.front_door}/api/admin/scrape", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20):
                pass
        except OSError:
            figures["refused"] += 1


def finished(database: str) -> int:
    """Count the jobs that are done."""
    with psycopg.connect(database) as owner:
        row = owner.execute("select count(*) from jobs where state = 'done'").fetchone()
    return int(row[0]) if row else 0


def cached(stack: Stack) -> float:
    """Read how many answers the live release found in its cache."""
    said = stack.on_host(f"curl -fsS http://127.0.0.1:{port_of(stack, stack.who()['version'])}/metrics")
    wanted = 'answers_looked_up_total{found="yes"}'
    return next((float(line.rpartition(" ")[2]) for line in said.splitlines() if line.startswith(wanted)), 0.0)


def port_of(stack: Stack, version: str) -> int:
    """Name the port of the slot that holds a release."""
    return {"rmu-blue": 3001, "rmu-green": 3002}[stack.unit(version)]


def on_host(stack: Stack, *words: str, seconds: float) -> Figures:
    """Run the script of this folder on the host; return what it printed."""
    script = f"/usr/bin/python3 - {' '.join(words)} <<'SCRIPT'\n{HOST_SCRIPT.read_text()}\nSCRIPT\n"
    found: Figures = json.loads(stack.on_host(script, timeout=seconds).splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
