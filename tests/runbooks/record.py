"""Record what every diagnosis sees under every fault, on a twin with the product: one JSON file a fault.

    python -m tests.runbooks.record --name cases --port-base 10040 --minutes 45 [FAULT...]

Each fault is made as `rmu twin fault` and people make it, looked at by the questions of all runbooks through the same
ports as `rmu runbook run` has, and mended again, whatever happens; the next one waits until no alarm fires. What
several runbooks ask is asked once. A file is whole or absent; faults come in the order below until the minutes are
over. Nothing else writes into `evidence/`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ratemyunit_ops.errors import Mistyped, RmuError
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.render import host_program_text
from ratemyunit_ops.runbooks.binding import Look, bind, checked, uses
from ratemyunit_ops.runbooks.evidence import Evidence, read_all
from ratemyunit_ops.runbooks.reading import Page, pages
from ratemyunit_ops.runbooks.schema import Check
from ratemyunit_ops.shipped import shipped
from ratemyunit_ops.steps import looks
from ratemyunit_ops.twin import fault as twin_fault
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site
from tests.runbooks import cases
from tests.twin.driver import CHECKOUT, PRODUCT, Event, Stack, started, wait_until

EVIDENCE = Path(__file__).parent / "evidence"
AT_ONCE, ALL_AT_ONCE = 4, 64
"""Few at once: where others keep the machine busy, a question that waits for too many would seem to have no answer."""
HEAVY = threading.Semaphore(2)
"""What runs the host program takes 80 MB of a host's one gigabyte."""
EATEN = frozenset({"memory-eaten", "eaten-beside-deploy"})
"""Where a host has no memory for several answers at a time, it is asked as a person asks: one after another."""
DEAD = frozenset({"agent-kill", "freeze-host", "region-lost"})
"""Where nothing runs on the host, all questions wait for their deadlines: they do so together."""
PAGE = "http://127.0.0.1:8080/fixture/catalogue"
Seen = dict[str, list[Evidence]]


@dataclass
class Scene:
    """A twin on which the product serves, and what recording needs of it."""

    stack: Stack
    o: Outside
    pages: list[Page] = field(default_factory=lambda: pages(shipped("runbooks")))
    made: int = 0

    @property
    def database(self) -> str:
        return "rmu-twin-db-1"

    def sql(self, script: str) -> None:
        """Run SQL in the database as its superuser."""
        argv = ["runuser", "-u", "postgres", "--", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "ratemyunit"]
        said = Machine(self.stack.site, self.database).run([*argv, "-c", script])
        assert said.returncode == 0, f"{script[:80]}: {said.stderr.decode(errors='replace')[-300:]}"

    def jobs(self, count: int) -> None:
        """Put scrape jobs down as rows, as the admin's page does."""
        rows = ", ".join(f"('{PAGE}', 'Twin')" for _ in range(count))
        self.sql(f"insert into jobs (url, university) values {rows}")


# -- looking -----------------------------------------------------------------------------------------------------------


def look_around(scene: Scene, host: str, at_once: int = AT_ONCE, books: Collection[str] = ()) -> Seen:
    """Ask the questions of all runbooks, or some: those that need no fact first, each once, several at a time."""
    answers: dict[str, Evidence] = {}
    wanted = [page for page in scene.pages if not books or page.runbook.name in books]
    found: Seen = {page.runbook.name: [] for page in wanted}
    facts: dict[str, dict[str, Any]] = {name: {} for name in found}
    for late in (False, True):
        asked = [(page, check) for page in wanted for check in page.runbook.diagnosis if by_fact(page, check) is late]
        bound = [(page, check, bound_look(scene, page, check, host, facts)) for page, check in asked]
        fresh = {key(look): look for _, _, look in bound if isinstance(look, Look) and key(look) not in answers}
        with ThreadPoolExecutor(at_once) as pool:
            said = pool.map(lambda one: asked_of(scene.o, one, at_once), fresh.values())
            answers |= dict(zip(fresh, said, strict=True))
        for page, check, look in bound:
            evidence = look if isinstance(look, Evidence) else answers[key(look)]
            mine = evidence.model_copy(update={"check": check.name, "says": check.says})
            found[page.runbook.name].append(mine)
            facts[page.runbook.name] |= read_all(check.reads, mine)
    return found


def asked_of(o: Outside, look: Look, at_once: int) -> Evidence:
    """Ask; what is heavy for a host waits for its turn, unless nobody will answer anyway."""
    if at_once == ALL_AT_ONCE or not (look.sql or look.source in {"survey", "secrets", "images", "queue"}):
        return looks.ask(o, look)
    with HEAVY:
        return looks.ask(o, look)


def by_fact(page: Page, check: Check) -> bool:
    """Tell whether a question needs an input that another answer brings."""
    return any(page.runbook.inputs[name].fact for name in uses(check) if name in page.runbook.inputs)


def bound_look(scene: Scene, page: Page, check: Check, host: str, facts: Mapping[str, Any]) -> Look | Evidence:
    inputs = {}
    for name, asked in page.runbook.inputs.items():
        value = {"host": host, "database": scene.database}.get(asked.kind, asked.value)
        value = facts[page.runbook.name].get(asked.fact) if asked.fact else value
        if value is not None:
            inputs[name] = checked(name, asked, value)
    try:
        return bind(check, inputs, environment="twin")
    except Mistyped as why:
        return Evidence(check=check.name, says=check.says, answered=False, why=why.what)


def key(look: Look) -> str:
    return look.model_dump_json(exclude={"check", "says", "reads"})


# -- faults ------------------------------------------------------------------------------------------------------------

Fault = Callable[[Scene], Iterator[None]]


def by_twin(name: str, target: str | None = None, settle: float = 2) -> Fault:
    """Make a fault of the twin's own, and give its symptoms some seconds."""

    def make(scene: Scene) -> Iterator[None]:
        site = scene.stack.site
        twin_fault.make(site, name, target)
        try:
            time.sleep(settle)
            yield
        finally:
            twin_fault.clear(site, name, target)

    return make


def both(*faults: Fault) -> Fault:
    """Make several faults at once: the first is planted, the others are decoys."""

    def make(scene: Scene) -> Iterator[None]:
        with ExitStack() as held:
            for fault in faults:
                held.enter_context(contextmanager(fault)(scene))
            yield

    return make


def nothing(scene: Scene) -> Iterator[None]:
    yield


def waiting_jobs(count: int) -> Fault:
    """Let jobs wait, as they do behind a queue that stands still."""

    def make(scene: Scene) -> Iterator[None]:
        scene.jobs(count)
        try:
            time.sleep(2)
            yield
        finally:
            scene.sql("delete from jobs where state = 'queued'")

    return make


def dead_carrier(*words: str, at: str) -> Fault:
    """Kill rmu in the middle of a run."""

    def make(scene: Scene) -> Iterator[None]:
        said = [push(scene) if word == "VERSION" else word for word in words]
        killed = scene.stack.kill(*said, "--yes", at=started(at))
        try:
            time.sleep(12)
            yield
        finally:
            abandon(scene, killed.events)

    return make


def abandon(scene: Scene, events: Collection[Event]) -> None:
    """Give up every run that these events tell of."""
    for run in {event["run"] for event in events if event.get("run")}:
        scene.stack.rmu("abandon", run, "--yes", "--because", "recorded", expect=None)


def deploying(at: str, **settings: Any) -> Fault:
    """Let a deploy be on its way, at a step that takes its time."""

    def make(scene: Scene) -> Iterator[None]:
        config = scene.stack.settings("busy.toml", **{"app": PRODUCT, **settings})
        running = scene.stack.begin("deploy", push(scene), "--yes", "--no-probe", "--bake", "5m", config=config)
        try:
            running.wait_for(started(at), 180)
            yield
        finally:
            running.process.kill()
            running.end(60)
            abandon(scene, running.events)

    return make


def never_ready(**wrong: str) -> Fault:
    """Deploy a release whose own settings keep it from becoming ready."""

    def make(scene: Scene) -> Iterator[None]:
        broken = scene.stack.settings("broken.toml", app={**PRODUCT, **wrong}, ready_deadline="PT8S")
        try:
            scene.stack.rmu("deploy", push(scene), "--yes", "--no-probe", config=broken, expect=5)
            yield
        finally:
            scene.stack.deploy(push(scene))

    return make


def not_ready_for_redis(scene: Scene) -> Iterator[None]:
    """Deploy while Redis is gone."""
    short = scene.stack.settings("short.toml", app=PRODUCT, ready_deadline="PT8S")
    try:
        with scene.stack.fault("redis-lost"):
            scene.stack.rmu("deploy", push(scene), "--yes", "--no-probe", config=short, expect=5)
            yield
    finally:
        scene.stack.deploy(push(scene))


busy_deploy = deploying("bake")
lock_in_the_way = by_twin("lock-held")
still_fenced = by_twin("app-fenced")


def column_gone(scene: Scene) -> Iterator[None]:
    """Take away what the code that serves reads, by hand: no migration has run."""
    scene.sql("alter table units rename column title to twin_title")
    try:
        with asking(scene):
            time.sleep(5)
            yield
    finally:
        scene.sql("alter table units rename column twin_title to title")


def asked_for(fault: Fault) -> Fault:
    """Let users ask all the while: what is slow or wrong shows on requests alone."""

    def make(scene: Scene) -> Iterator[None]:
        with asking(scene), contextmanager(fault)(scene):
            yield

    return make


@contextmanager
def asking(scene: Scene) -> Iterator[None]:
    """Ask the front door for units, whatever it answers, while the block runs."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.3):
            url = f"{scene.stack.front_door}/api/units?search=a"
            subprocess.run(["curl", "-s", "-m", "10", "-o", "/dev/null", url], check=False)

    asks = threading.Thread(target=ask)
    asks.start()
    try:
        yield
    finally:
        over.set()
        asks.join()


def frozen(scene: Scene) -> Iterator[None]:
    """Freeze the host, and let its group leave it alone meanwhile."""
    group = {"AutoScalingGroupName": "rmu-twin-hosts", "ScalingProcesses": ["ReplaceUnhealthy"]}
    scene.stack.aws("autoscaling").suspend_processes(**group)
    try:
        with scene.stack.fault("freeze-host"):
            time.sleep(12)
            yield
        wait_until(lambda: scene.stack.who().get("version"), 60, "the host to go on")
    finally:
        scene.stack.aws("autoscaling").resume_processes(**group)


def failed_restore(scene: Scene) -> Iterator[None]:
    """Let a restore begin with a damaged backup; a sound one is taken after it."""
    scene.stack.rmu("twin", "fault", "backup-corrupt")
    try:
        scene.stack.rmu("db", "restore", "--latest", "--yes", "--because", "recorded", expect=None)
        yield
    finally:
        scene.stack.rmu("twin", "fault", "backup-now")


def ledger_gone(scene: Scene) -> Iterator[None]:
    """Lose the ledger's table, for good: the twin ends with it."""
    dynamodb = scene.stack.aws("dynamodb")
    for table in dynamodb.list_tables()["TableNames"]:
        dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=table)
    yield


MINUTE = 75
"""Until a whole minute shows nothing but the fault: metrics are asked for by the minute."""

FAULTS: dict[str, Fault] = {
    # one for each runbook first
    "healthy": nothing,
    "redis-lost": by_twin("redis-lost"),
    "connections-full": by_twin("connections-full"),
    "journal-full": by_twin("journal-full"),
    "worker-stuck": both(by_twin("worker-stuck"), waiting_jobs(12)),
    "lock-in-the-way": lock_in_the_way,
    "still-fenced": still_fenced,
    "certificate-expiring": by_twin("certificate-expiring", "9"),
    "secret-rotated": by_twin("secret-rotated", "app/admin_token"),
    "memory-eaten": by_twin("memory-eaten", settle=12),
    "region-lost": by_twin("region-lost", settle=0),
    "freeze-host": frozen,
    # then a second one
    "redis-frozen": by_twin("redis-frozen"),
    "exhausted-with-slow-query": both(by_twin("query-slow"), by_twin("connections-full")),
    "queue-with-full-disk": both(by_twin("worker-stuck"), waiting_jobs(9), by_twin("disk-full")),
    "certificate-ends-tomorrow": by_twin("certificate-expiring", "1"),
    "images-piled": by_twin("images-piled", "400"),
    "agent-kill": by_twin("agent-kill", settle=1),
    "query-slow": by_twin("query-slow", settle=MINUTE),
    "postgres-load": by_twin("postgres-load", settle=MINUTE),
    "cpu-load": by_twin("cpu-load", settle=MINUTE),
    "app-slow": asked_for(by_twin("app-slow", settle=MINUTE)),
    "database-storage-low": by_twin("database-storage-low", settle=MINUTE),
    # what leaves a trace in logs, and runs
    "password-rotated": by_twin("secret-rotated"),
    "deploy-killed": dead_carrier("deploy", "VERSION", "--no-probe", at="park the worker"),
    "deploy-under-way": busy_deploy,
    # A newcomer that starts over and over, and the memory beside it.
    "eaten-beside-deploy": both(
        deploying("ready", app={**PRODUCT, "REDIS_URL": "redis://127.0.0.1:6399/0"}, ready_deadline="PT5M"),
        by_twin("memory-eaten", settle=12),
    ),
    "not-ready-for-redis": not_ready_for_redis,
    "release-never-ready": never_ready(REDIS_URL="redis://127.0.0.1:6399/0"),
    "release-crashes": never_ready(REDIS_URL="nonsense"),
    "column-gone": column_gone,
    "restore-killed": dead_carrier("db", "restore", "--latest", at="restore "),
    "restore-failed": failed_restore,
    # and what nothing comes after
    "ledger-gone": ledger_gone,
}


# -- the whole ---------------------------------------------------------------------------------------------------------


def push(scene: Scene) -> str:
    """Push the product under one more version."""
    scene.made += 1
    version = f"v{scene.made}"
    scene.stack.rmu("image", "push", version, environ={**os.environ, **scene.stack.environ()})
    return version


def record(scene: Scene, name: str, fault: Fault, books: Collection[str] = ()) -> None:
    """Make a fault, look with all runbooks or some, mend it, and keep what was seen."""
    host = min(name for name, state in scene.o.group.states().items() if state == "InService")
    fires, began = red(scene), time.monotonic()
    with contextmanager(fault)(scene):
        made = time.monotonic()
        seen = look_around(scene, host, ALL_AT_ONCE if name in DEAD else 1 if name in EATEN else AT_ONCE, books)
        looked = time.monotonic()
    lacking = [f"{book} {e.check}: {e.why}" for book, found in seen.items() for e in found if not e.answered]
    assert lacking == [] or name != "healthy", f"a healthy twin answers everything: {lacking}"
    document = {
        "fault": name,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host,
        "red_before": fires,
        "seconds": {"made": round(made - began, 1), "looked": round(looked - made, 1)},
        "runbooks": {book: [e.model_dump(mode="json") for e in found] for book, found in seen.items()},
    }
    text = json.dumps(document, indent=1) + "\n"
    (EVIDENCE / f"{name}.json.new").write_text(text)
    (EVIDENCE / f"{name}.json.new").rename(EVIDENCE / f"{name}.json")
    say(f"{name}: made in {made - began:.0f} s, looked in {looked - made:.0f} s, {len(lacking)} without an answer")


QUIET = 60


def settled(scene: Scene) -> None:
    """Wait until users are served and no alarm fires, so that nothing of the fault before is seen with the next.

    On a machine that others keep busy some alarm may fire all the time: then what fires is said, in the evidence too.
    """
    wait_until(lambda: scene.stack.who().get("version"), 60, "the front door")
    until = time.monotonic() + QUIET
    while (fires := red(scene)) and time.monotonic() < until:
        time.sleep(2)
    if fires:
        say(f"still red: {', '.join(fires)}")


def red(scene: Scene) -> list[str]:
    """Name the alarms that fire; objectives look back for hours, and stay out of it."""
    return [one.name for one in scene.o.metrics.alarms() if one.state == "ALARM" and not one.name.startswith("slo-")]


def furnished(site: Site, where: Path, *, there: bool) -> Scene:
    """Let the product serve on a twin, with its worker; raise it first where it is not there."""
    stack = Stack(site, where)
    stack.config = stack.settings("rmu.toml", app=PRODUCT, ready_deadline="PT60S", smoke="a")
    left_out = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
    shutil.copytree(CHECKOUT / "app", where / "app", ignore=left_out)
    if not there:
        try:
            stack.raise_up()
        except AssertionError as why:
            say(f"once more, for: {str(why)[:300]}")
            stack.raise_up()
        say("raised")
    stack.latency(0.1)
    serving = str(stack.who().get("version") or "v0")
    scene = Scene(stack, ports(stack), made=int(serving.removeprefix("v")))
    if serving == "v0":
        stack.deploy(push(scene))
    say("the product serves")
    return scene


def ports(stack: Stack) -> Outside:
    """Make the ports that the command itself has."""
    os.environ.update({k: v for k, v in stack.environ().items() if k.startswith(("RMU_", "XDG_"))})
    from ratemyunit_ops.cli.wire import wire

    # Made before there are threads: two that parse at once may fail in Python 3.11 (gh-106905).
    host_program_text("survey")
    return wire("twin", as_json=True, may_ask=False, reach=False).outside


def say(words: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


def lacking(*, own: bool) -> list[str]:
    """Name the faults that were not looked at by every runbook yet, or by none where their own are enough."""
    return [
        one for one in FAULTS if (one not in cases.recorded() and cases.TRUTH[one] if own else not cases.whole(one))
    ]


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("faults", nargs="*", help="else those that have no evidence yet")
    asked.add_argument("--name", default="cases")
    asked.add_argument("--port-base", type=int, default=10040)
    asked.add_argument("--minutes", type=float, default=60)
    asked.add_argument("--there", action="store_true", help="that twin is up, with the stack applied: take it over")
    asked.add_argument("--own", action="store_true", help="look with the runbooks alone that are about a fault")
    asked.add_argument("--leave", action="store_true", help="leave the twin up at the end")
    said = asked.parse_args()
    until = time.monotonic() + 60 * said.minutes
    site, where = Site(name=said.name, port_base=said.port_base), Path(tempfile.mkdtemp(prefix="rmu-record-"))
    if not said.there:
        lower_ground(site)
    whole = False
    try:
        scene = furnished(site, where, there=said.there)
        for name in said.faults or lacking(own=said.own):
            if time.monotonic() > until:
                say(f"no time is left for {name} and what follows")
                break
            try:
                settled(scene)
                record(scene, name, FAULTS[name], cases.TRUTH[name] if said.own else ())
            except (RmuError, AssertionError, OSError, subprocess.SubprocessError) as why:
                say(f"{name} is not recorded: {str(why)[:1500]}")
        whole = True
    finally:
        if not (said.leave and whole):
            lower_ground(site)
        shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    main()
