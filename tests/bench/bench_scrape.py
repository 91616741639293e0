"""`make bench-scrape`: a real worker at full speed on pages of which a fifth mean harm; nothing may be left open.

First ordinary pages with one browser: how many a minute, and what the worker takes with one page. Then the soak: 1,000
pages with 5 s each, 200 of them hostile, two browsers, of which one is killed or frozen now and then. What is left is
counted from outside: pages and contexts by the browsers' own debugging port, processes through /proc by the temporary
folder in their environment, which every descendant inherits. Writes bench-out/scrape.json.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE), str(HERE / "templates" / "host"), str(HERE / "app")]

from ratemyunit.scraper import memory  # noqa: E402

from tests.bench.figures import ended_in_order, keep, load, say  # noqa: E402
from tests.processes import free_port, redis_in  # noqa: E402
from tests.salvage.cluster import Cluster, folder  # noqa: E402

PYTHON = HERE / "app/.venv/bin/python"
SITES = 6
ORDINARY = 120
JOBS, EVERY = 1_000, 5
LIMIT_S = 5
KILL_EVERY = 60
TARGET = {"jobs_a_minute": 10, "memory_mib": 450, "left": 0}
BROWSERS = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
# The last of its tries: a page that means harm is asked once.
LAST_TRY = 4
HARM = [
    *("loop", "crash", "alerts", "dialogs", "popups", "popup", "reload", "frames", "download", "downloads", "workers"),
    *("memory", "silent", "drip", "huge", "redirects", "headers"),
]
LEFT = """
import json, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as driver:
    found = {"pages": 0, "contexts": 0}
    for port in sys.argv[1:]:
        session = driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port}").new_browser_cdp_session()
        targets = session.send("Target.getTargets")["targetInfos"]
        found["pages"] += sum(one["type"] == "page" for one in targets)
        found["contexts"] += len(session.send("Target.getBrowserContexts")["browserContextIds"])
    print(json.dumps(found))
"""

Figures = dict[str, Any]


@dataclass
class Ground:
    """What the worker works on, and where."""

    cluster: Cluster
    redis: int
    sites: list[str]
    place: Path
    chromium: str
    samples: list[float] = field(default_factory=list)

    def url(self, role: str) -> str:
        """Spell the database's URL for a role."""
        return f"postgresql://rmu_{role}:{role}@127.0.0.1:{self.cluster.port}/ratemyunit"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.url("app"), autocommit=True) as connection:
            answer = connection.execute(statement)
            return answer.fetchall() if answer.description else []

    def put(self, paths: list[str]) -> None:
        """Put jobs down, spread over the sites; a page that means harm has one try."""
        rows = [
            (site + path, LAST_TRY if path.startswith("/hostile/") else 0)
            for path, site in zip(paths, cycle(self.sites), strict=False)
        ]
        with psycopg.connect(self.url("app")) as connection, connection.cursor() as cursor:
            cursor.executemany("insert into jobs (url, university, attempts) values (%s, 'Bench', %s)", rows)

    def ended(self) -> int:
        """Count the jobs that have ended."""
        return int(self.sql("select count(*) from jobs where state in ('done', 'failed')")[0][0])


def main() -> None:
    """Raise a database, a Redis, the sites; measure; write the figures, and leave nothing."""
    before = load()
    with ended_in_order(), ground() as on:
        figures: Figures = {"target": TARGET, "browser": Path(on.chromium).name}
        figures["control"] = {"what": "ordinary pages alone in one browser, earlier in the same run"}
        figures |= {"one_page": one_page(on), "soak": soak(on)}
    keep("scrape", figures, before)


def one_page(on: Ground) -> Figures:
    """Read ordinary pages with one browser."""
    on.put(["/catalogue"] * ORDINARY)
    with worker(on, SCRAPE_BROWSERS="1") as process:
        seconds = worked(on, process, ORDINARY)
    return {
        "jobs": ORDINARY,
        "jobs_a_minute": round(ORDINARY / seconds * 60, 1),
        "memory_mib": {"median": round(statistics.median(on.samples)), "max": round(max(on.samples))},
    }


def soak(on: Ground) -> Figures:
    """Read pages of which every fifth means harm, and do harm to the browsers as well."""
    on.sql("delete from jobs")
    on.samples.clear()
    harm = cycle(f"/hostile/{name}" for name in HARM)
    on.put([next(harm) if n % EVERY == 0 else "/catalogue" for n in range(JOBS)])
    with worker(on, SCRAPE_BROWSERS="2", SCRAPE_PAGE_SECONDS=str(LIMIT_S)) as process:
        hurt = {"killed": 0, "frozen": 0}
        seconds = worked(on, process, JOBS, hurt)
        left = still_open(on)
        stopped = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(40)
        stop_s = time.monotonic() - stopped
    time.sleep(2)
    ordinary = "select state, count(*) from jobs where url not like '%/hostile/%' group by 1"
    return {
        "jobs": JOBS,
        "hostile": JOBS // EVERY,
        "limit_s": LIMIT_S,
        "seconds": round(seconds),
        "jobs_a_minute": round(JOBS / seconds * 60, 1),
        "browsers_hurt": hurt,
        "ordinary": dict(on.sql(ordinary)),
        "left": left,
        "stopped": {"code": code, "seconds": round(stop_s, 1), "processes": len(mine(on)), "profiles": profiles(on)},
        "memory_mib": {"median": round(statistics.median(on.samples)), "max": round(max(on.samples))},
    }


def worked(on: Ground, process: subprocess.Popen[bytes], jobs: int, hurt: dict[str, int] | None = None) -> float:
    """Wait until all jobs have ended, measure memory on the way, and hurt browsers where that is asked for."""
    began = time.monotonic()
    next_harm = KILL_EVERY
    while (ended := on.ended()) < jobs:
        assert process.poll() is None, (on.place / "worker.log").read_text()[-2000:]
        root = memory.process(process.pid)
        if root:
            on.samples.append(memory.mib(memory.family(root)))
        if hurt is not None and ended >= next_harm and (browsers := roots(on)):
            frozen = (ended // KILL_EVERY) % 2 == 0
            for one in memory.family(browsers[0]) if frozen else browsers[:1]:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGSTOP if frozen else signal.SIGKILL)
            hurt["frozen" if frozen else "killed"] += 1
            next_harm = ended + KILL_EVERY
            say(f"{ended} jobs ended; a browser was {'frozen' if frozen else 'killed'}")
        time.sleep(1)
    return time.monotonic() - began


def still_open(on: Ground) -> Figures:
    """Count what is open once the last job has ended: nothing but browsers that show nothing."""
    time.sleep(3)
    browsers = roots(on)
    known = {one.pid for browser in browsers for one in memory.family(browser)}
    others = [one for one in mine(on) if is_browser(one) and one.pid not in known]
    ports = [(profile(one) / "DevToolsActivePort").read_text().split()[0] for one in browsers]
    said = subprocess.run([PYTHON, "-c", LEFT, *ports], capture_output=True, text=True, check=True, timeout=60)
    return {**json.loads(said.stdout), "browsers": len(browsers), "stray_processes": len(others)}


def mine(on: Ground) -> list[memory.Process]:
    """List every process that descends from a worker of ours, whoever its parent is now."""
    mark = f"TMPDIR={on.place / 'tmp'}".encode()
    found = []
    for entry in memory.PROC.iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                one = memory.process(int(entry.name))
                found += [one] if one and one.alive else []
    return found


def command(one: memory.Process) -> list[str]:
    """Read a process's command; empty where it has gone."""
    with suppress(OSError):
        return (memory.PROC / str(one.pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def is_browser(one: memory.Process) -> bool:
    """Tell a browser's process, of whatever kind."""
    return any("--user-data-dir=" in word or "--type=" in word for word in command(one))


def roots(on: Ground) -> list[memory.Process]:
    """List the browsers' first processes."""
    return [
        one
        for one in mine(on)
        if "--remote-debugging-pipe" in command(one) and not any(word.startswith("--type=") for word in command(one))
    ]


def profile(browser: memory.Process) -> Path:
    """Find a browser's folder."""
    return Path(next(w.partition("=")[2] for w in command(browser) if w.startswith("--user-data-dir=")))


def profiles(on: Ground) -> int:
    """Count the folders that browsers left behind."""
    return len(list((on.place / "tmp").glob("playwright*")))


@contextmanager
def worker(on: Ground, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker with a browser that also has a debugging port."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HERE / "app"),
        "DATABASE_URL": on.url("app"),
        "REDIS_URL": f"redis://127.0.0.1:{on.redis}/0",
        "HTTP_PORT": str(free_port()),
        "SCRAPE_HOSTS": "127.0.0.1",
        "CHROMIUM_PATH": str(on.place / "chromium"),
        "TMPDIR": str(on.place / "tmp"),
        "HOME": str(on.place),
        **settings,
    }
    with (on.place / "worker.log").open("a") as out:
        process = subprocess.Popen([PYTHON, "-m", "ratemyunit", "worker"], env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(40)


@contextmanager
def ground() -> Iterator[Ground]:
    """Raise all that the worker needs."""
    chromium = os.environ.get("CHROMIUM_PATH") or next(path for path in BROWSERS if os.path.exists(path))
    with tempfile.TemporaryDirectory(prefix="rmu-bench-") as place, database() as cluster, redis_in(place) as redis:
        (Path(place) / "tmp").mkdir()
        wrapped = Path(place) / "chromium"
        wrapped.write_text(f'#!/bin/sh\nexec {chromium} --remote-debugging-port=0 "$@"\n')
        wrapped.chmod(0o755)
        sites = subprocess.Popen([PYTHON, HERE / "app/tests/sites.py", str(SITES)], stdout=subprocess.PIPE, env=SERVES)
        try:
            assert sites.stdout
            yield Ground(cluster, redis, json.loads(sites.stdout.readline()), Path(place), chromium)
        finally:
            sites.terminate()
            sites.wait(10)


SERVES = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE / "app")}


@contextmanager
def database() -> Iterator[Cluster]:
    """Make a cluster with a migrated database."""
    cluster = Cluster(folder())
    cluster.make()
    try:
        cluster.create()
        url = f"postgresql://rmu_migrate:migrate@127.0.0.1:{cluster.port}/ratemyunit"
        env = {**SERVES, "DATABASE_URL": url}
        subprocess.run([PYTHON, "-m", "ratemyunit", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
        yield cluster
    finally:
        cluster.stop()
        subprocess.run(["rm", "-rf", cluster.directory], check=True)


if __name__ == "__main__":
    main()
