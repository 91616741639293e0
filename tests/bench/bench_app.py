"""`make bench-app`: fifty searches a second over fifty thousand units, beside the bare SQL.

The api runs here as a process, on a PostgreSQL and a Redis of its own, while somebody stores units and gives ratings,
so that the cache is emptied as it would be. Then the same searches one by one, each beside the very statement it runs,
sent by the driver alone; the snapshot moves on before each, so that no answer comes from the cache. A second control is
the search that the first release had: full text ranked by ts_rank. Writes bench-out/app.json.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE), str(HERE / "templates" / "host"), str(HERE / "app")]

from ratemyunit import schema, search  # noqa: E402

from tests.bench import made_up_units  # noqa: E402
from tests.bench.asking import PAGE, Seen, ask, parts, searching, send  # noqa: E402
from tests.bench.figures import ended_in_order, keep, load, say, wait_for_quiet  # noqa: E402
from tests.processes import free_port, redis_in  # noqa: E402
from tests.salvage.cluster import Cluster, folder  # noqa: E402

PYTHON = HERE / "app/.venv/bin/python"
RATE, SECONDS = 50, 120
PAIRS, FIRST_RELEASE = 600, 200
STARTS = 5
# As an environment's smallest instance has them.
OPTIONS = "-c shared_buffers=128MB -c max_connections=80"

Figures = dict[str, Any]


@dataclass
class Stand:
    """The product on this machine: where it answers, and where its database is."""

    cluster: Cluster
    port: int
    process: subprocess.Popen[bytes]

    def session(self) -> psycopg.Connection[Any]:
        """Open a session as the application's role, with what its pool sets, and nothing prepared."""
        words = "-c jit=off -c max_parallel_workers_per_gather=0 -c pg_trgm.word_similarity_threshold=0.4"
        return psycopg.connect(url(self.cluster, "app"), autocommit=True, prepare_threshold=None, options=words)

    def figure(self, name: str) -> float:
        """Read one of its figures."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)

    def cpu_s(self) -> float:
        """Read how long it has had a core."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Read the most memory that the process has had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def url(cluster: Cluster, role: str) -> str:
    """Spell the URL of the bench's database."""
    return f"postgresql://rmu_{role}:{role}@127.0.0.1:{cluster.port}/ratemyunit"


def environment(cluster: Cluster, redis: int, port: int) -> dict[str, str]:
    """Write the environment of the api. The bench is one client that asks for many."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HERE / "app"),
        "DATABASE_URL": url(cluster, "app"),
        "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "HTTP_PORT": str(port),
        "RATE_READ": "off",
        "LOG_LEVEL": "INFO",
    }


@contextmanager
def stand() -> Iterator[tuple[Stand, list[float]]]:
    """Raise a database with the units, a Redis and the api; tell also how long the api took to start, several times."""
    with tempfile.TemporaryDirectory(prefix="rmu-bench-") as place, database() as cluster, redis_in(place) as redis:
        starts = []
        for left in reversed(range(STARTS)):
            port = free_port()
            process, took = started(environment(cluster, redis, port), Path(place) / "api.log", port)
            starts.append(took)
            try:
                if not left:
                    yield Stand(cluster, port, process), starts
            finally:
                process.terminate()
                process.wait(40)


@contextmanager
def database() -> Iterator[Cluster]:
    """Make a cluster with a migrated database and fifty thousand units."""
    cluster = Cluster(folder(), OPTIONS)
    cluster.make()
    try:
        cluster.create()
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE / "app"), "DATABASE_URL": url(cluster, "migrate")}
        subprocess.run([PYTHON, "-m", "ratemyunit", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
        say("loading the units")
        with psycopg.connect(url(cluster, "migrate")) as connection:
            made_up_units.store(connection, made_up_units.catalogue())
        yield cluster
    finally:
        cluster.stop()
        subprocess.run(["rm", "-rf", cluster.directory], check=True)


def started(env: dict[str, str], log: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """Start the api; tell how long it took until /livez answered."""
    began = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen([PYTHON, "-m", "ratemyunit", "api"], env=env, stdout=out, stderr=subprocess.STDOUT)
    while time.monotonic() < began + 60:
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=30) as answer:
                    assert answer.status == 200
                return process, time.monotonic() - began
        time.sleep(0.005)
    raise AssertionError("the api did not start")


def under_load(on: Stand) -> Seen:
    """Send searches at their rate, whether or not the ones before are answered, while others write."""
    over = threading.Event()
    writer = threading.Thread(target=write, args=(on, over))
    writer.start()
    try:
        return asyncio.run(send(on.port, paths(RATE * SECONDS, seed=1), RATE))
    finally:
        over.set()
        writer.join()


def paths(count: int, *, seed: int) -> list[str]:
    """Spell so many searches."""
    return [searching(words) for words in made_up_units.searches(count, seed=seed)]


def write(on: Stand, over: threading.Event) -> None:
    """Store a page of units every other second, as a worker does, and give a rating each second."""
    with on.session() as connection:
        listed = connection.execute("select id, university_id, code from units limit 3000").fetchall()
        units = cycle(listed)
        for n in range(SECONDS * 10):
            if over.wait(1):
                return
            unit, _, _ = next(units)
            connection.execute(
                "insert into ratings (id, unit_id, stars, comment) values (%s, %s, 4, '')", (uuid4(), unit)
            )
            if n % 2:
                with connection.transaction():
                    for _, university, code in (next(units) for _ in range(30)):
                        connection.execute(
                            "insert into units (university_id, code, title, description) values (%s, %s, %s, %s) "
                            "on conflict (university_id, code) do update set title = excluded.title",
                            (university, code, f"Storing {n}", "of the bench"),
                        )


def side_by_side(on: Stand) -> Figures:
    """Run the same searches by the api and by the driver alone, in turns."""
    with on.session() as bare:
        return asyncio.run(in_turns(on.port, bare))


async def in_turns(port: int, bare: psycopg.Connection[Any]) -> Figures:
    """Ask the api (never from the cache), the database, and the api again (from the cache)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    api, sql, cached = [], [], []
    for words in made_up_units.searches(PAIRS, seed=2):
        bare.execute("select pg_current_xact_id()")
        for times in (api, cached):
            began = time.perf_counter()
            status, _ = await ask(reader, writer, searching(words))
            times.append((time.perf_counter() - began) * 1000)
            assert status == 200
        sql.append(timed(lambda words=words: bare_search(bare, words)))
    return {"api": api, "sql": sql, "cached": cached}


def bare_search(bare: psycopg.Connection[Any], words: str) -> None:
    """Run the statements of a search, and take its rows, by the driver alone."""
    asked = search.Asked(words)
    for tiers in (search.FITTING, [search.MISSPELT]):
        question, said = search.statement(asked, tiers, PAGE, None)
        if bare.execute(spelt(question), said).fetchall():
            return


def spelt(question: Any) -> str:
    """Spell a statement as the driver takes it."""
    return str(question.compile(dialect=DIALECT))


DIALECT = PGDialect_psycopg()
RANKED = (
    "select units.*, universities.name from units join universities on universities.id = units.university_id "
    f"where {schema.SEARCHABLE} @@ to_tsquery('simple', %(terms)s) "
    f"order by ts_rank({schema.SEARCHABLE}, to_tsquery('simple', %(terms)s)) desc, units.code, units.id limit 20"
)


def first_release(on: Stand) -> list[float]:
    """Search as the first release did, by the driver alone."""
    with on.session() as bare:
        asked = [" & ".join(f"{t}:*" for t in search.Asked(w).terms) for w in made_up_units.searches(PAIRS, seed=2)]
        return [timed(lambda t=t: bare.execute(RANKED, {"terms": t}).fetchall()) for t in asked[:FIRST_RELEASE]]


def timed(act: Callable[[], object]) -> float:
    """Tell how many milliseconds something takes."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and write the figures."""
    before = load()
    wait_for_quiet()
    with stand() as (on, starts):
        asyncio.run(send(on.port, paths(RATE * 5, seed=3), RATE))  # what is cold once, is cold once
        say(f"{RATE} searches a second for {SECONDS} s")
        hits, looked = on.figure('answers_looked_up_total{found="yes"}'), RATE * SECONDS
        worked = on.cpu_s()
        seen = under_load(on)
        worked = on.cpu_s() - worked
        hits = on.figure('answers_looked_up_total{found="yes"}') - hits
        say("the same beside the bare SQL")
        turns, ranked = side_by_side(on), first_release(on)
        memory = on.memory_mib()
    api, sql, cached = (parts(turns[which]) for which in ("api", "sql", "cached"))
    keep("app", {
        "units": made_up_units.UNITS,
        "ratings": made_up_units.RATINGS,
        "rate": RATE,
        "seconds": SECONDS,
        "failed": seen.failed,
        "answer_ms": parts(seen.answered),
        "from_cache": round(hits / looked, 3),
        "cpu_ms": round(worked * 1000 / looked, 2),
        "target_p95_ms": 100,
        "target_p99_ms": 250,
        "overhead": {
            "api_ms": api,
            "cached_ms": cached,
            "ratio": round(api["p50"] / sql["p50"], 2),
            "cached_ratio": round(cached["p50"] / sql["p50"], 2),
            "target_ratio": 5,
        },
        "control": {"what": "the same statements by the driver alone", "sql_ms": sql},
        "first_release": {"what": "the first release's search by the driver alone", "sql_ms": parts(ranked)},
        "memory_mib": round(memory, 1),
        "target_memory_mib": 180,
        "start_s": {"n": STARTS, "best": round(min(starts), 2), "max": round(max(starts), 2)},
        "target_start_s": 1,
    }, before)  # fmt: skip


if __name__ == "__main__":
    with ended_in_order():
        main()
