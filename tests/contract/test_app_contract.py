"""docs/contract-app.md, row by row, held against the two apps we have, each as a process: the product and the smallest.

What is said here of an image's program alone is proven here; labels, the user and the file system are the image's
(tests/twin/test_image.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.contract_app import app as smallest
from tests.processes import free_port, redis_in
from tests.salvage.cluster import FAST, Cluster, folder

CHECKOUT = Path(__file__).resolve().parents[2]
OF_THE_PRODUCT = CHECKOUT / "app/.venv/bin/python"
SMALLEST = Path(smallest.__file__)
TOKEN = "token-of-the-tests"
NAMED = {"RELEASE_VERSION": "v7", "RELEASE_DIGEST": "sha256:abc", "HOST_ID": "i-1", "DATABASE_ID": "db-1"}
STOPS_WITHIN_S, STARTS_WITHIN_S = 30, 120
LONGEST_LINE = 8000
MOST_LINES = 100
PATHS = ("/livez", "/readyz", "/version", "/metrics", "/api/units?search=a")
SAMPLE = re.compile(r"[a-zA-Z_:][\w:]*(\{.*\})? (NaN|[+-]Inf|[0-9.e+-]+)")
QUEUE = {
    "status": ("GET", None),
    "pause": ("POST", {"by": "root@laptop", "because": "a test"}),
    "resume": ("POST", {"by": "root@laptop"}),
}
STANDS = {"waiting", "running", "later", "failed", "oldest_s", "paused", "paused_by", "paused_at", "because"}


@dataclass(frozen=True)
class Answer:
    """What an app answered."""

    status: int
    heads: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        return self.heads["Content-Type"].partition(";")[0]


@dataclass
class Role:
    """A role that runs until it is told to stop."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str, method: str = "GET", body: object = None, **heads: str) -> Answer:
        sent = None if body is None else json.dumps(body).encode()
        heads = {"Content-Type": "application/json", **heads}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", sent, heads, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as got:
                return Answer(got.status, got.headers, got.read().decode())
        except urllib.error.HTTPError as got:
            return Answer(got.code, got.headers, got.read().decode())

    def counted(self, how: str, objective: str) -> float:
        """Read one of the objectives' counters."""
        (found,) = re.findall(
            rf'^slo_{how}_events_total{{objective="{objective}"}} (\S+)$', self.ask("/metrics").body, re.MULTILINE
        )
        return float(found)


@dataclass(frozen=True)
class Life:
    """What was seen of a role from its start to its end by SIGTERM, while somebody held a connection."""

    role: str
    alive: Answer
    metrics: Answer
    code: int
    stopped_within_s: float
    refuses_then: bool
    said: list[bytes]


@dataclass
class App:
    """One app: how it is called, with what environment, and with what it is unfit."""

    argv: list[str]
    environ: dict[str, str]
    not_ready: dict[str, str]
    cannot_write: dict[str, str]
    where: Path
    migrates_as: dict[str, str] = field(default_factory=dict)
    has_queue: bool = False

    def call(self, *words: str, **more: str) -> tuple[int, dict[str, Any]]:
        """Run a role that ends by itself; return its exit code and its last line."""
        environ = {**self.environ, **(self.migrates_as if words[0] == "migrate" else {}), **more}
        done = subprocess.run([*self.argv, *words], env=environ, capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def running(self, role: str, **more: str) -> Iterator[Role]:
        """Run a role that serves, and kill it where a test left it running."""
        port = free_port()
        environ = {**self.environ, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(port), **more}
        log = self.where / f"{role}-{port}.log"
        with log.open("w") as out:
            process = subprocess.Popen([*self.argv, role], env=environ, stdout=out, stderr=out)
        one = Role(process, port, log)
        try:
            until(lambda: alive(one))
            yield one
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(30)


def alive(role: Role) -> bool:
    assert role.process.poll() is None, role.log.read_text()[-3000:]
    with suppress(OSError):
        return role.ask("/livez").status == 200
    return False


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while not look():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    made = Cluster(folder(), FAST)
    made.make()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.directory)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_in(tmp_path_factory.mktemp("redis")) as port:
        yield f"redis://127.0.0.1:{port}/0"


def the_product(postgres: Cluster, redis: str, where: Path) -> App:
    if not OF_THE_PRODUCT.exists():
        pytest.skip("app/.venv is not made (`make app` makes it): that the product keeps the contract is unproven")
    for name in ("product", "bare"):
        postgres.create(name)
    url = "postgresql://rmu_{role}:{role}@127.0.0.1:{port}/{name}?sslmode=disable"
    place = {"port": postgres.port, "name": "product"}
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(where),
        "PYTHONPATH": str(CHECKOUT / "app"),
        "DATABASE_URL": url.format(role="app", **place),
        "REDIS_URL": redis,
        "ADMIN_TOKEN": TOKEN,
        **NAMED,
    }
    return App(
        [str(OF_THE_PRODUCT), "-m", "ratemyunit"],
        environ,
        not_ready={"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"},
        cannot_write={"DATABASE_URL": url.format(role="app", port=postgres.port, name="bare")},
        where=where,
        migrates_as={"DATABASE_URL": url.format(role="migrate", **place)},
        has_queue=True,
    )


def the_smallest(postgres: Cluster, redis: str, where: Path) -> App:
    environ = {"PATH": os.environ["PATH"], "ADMIN_TOKEN": TOKEN, **NAMED}
    return App(
        [sys.executable, "-I", str(SMALLEST)],
        environ,
        not_ready={"NEVER_READY": "1"},
        cannot_write={"CHECK_FAILS": "1"},
        where=where,
    )


@pytest.fixture(scope="module", params=[the_product, the_smallest])
def app(request: pytest.FixtureRequest, postgres: Cluster, redis: str, tmp_path_factory: pytest.TempPathFactory) -> App:
    made: App = request.param(postgres, redis, tmp_path_factory.mktemp("app"))
    code, said = made.call("migrate")
    assert code == 0, said
    return made


@pytest.fixture(scope="module")
def api(app: App) -> Iterator[Role]:
    with app.running("api") as one:
        yield one


@pytest.fixture(scope="module")
def lives(app: App) -> dict[str, Life]:
    return {role: lived(app, role) for role in ("api", "worker")}


@pytest.fixture(params=["api", "worker"])
def life(lives: dict[str, Life], request: pytest.FixtureRequest) -> Life:
    return lives[request.param]


def lived(app: App, role: str) -> Life:
    with app.running(role) as one:
        alive, metrics = one.ask("/livez"), one.ask("/metrics")
        one.ask("/api/units?search=private-words")
        one.ask("/api/there/is/nothing", **{"X-Request-ID": "request-of-a-test"})
        with closing(HTTPConnection("127.0.0.1", one.port, timeout=60)) as held:
            held.request("GET", "/livez")
            held.getresponse().read()
            began = time.monotonic()
            one.process.send_signal(signal.SIGTERM)
            code = one.process.wait(STOPS_WITHIN_S + 30)
            took = time.monotonic() - began
        refuses = True
        with suppress(OSError):
            refuses = not one.ask("/livez")
        return Life(role, alive, metrics, code, took, refuses, one.log.read_bytes().splitlines())


def test_livez_answers_and_readyz_names_what_is_missing_where_the_app_is_unfit(app: App) -> None:
    with app.running("api", **app.not_ready) as unfit:
        alive, ready = unfit.ask("/livez"), unfit.ask("/readyz")

    assert (alive.status, ready.status) == (200, 503)
    said = ready.json()
    assert said["ready"] is False
    assert [name for name, how in said["checks"].items() if how != "ok"] != []


def test_readyz_and_version_tell_what_a_deploy_compares(app: App, api: Role) -> None:
    ready, version = api.ask("/readyz"), api.ask("/version")
    head = app.call("migrate", "--head")[1]["head"]

    assert ready.status == 200, ready.body
    assert (ready.json()["ready"], ready.json()["schema_head"]) == (True, head)
    assert ready.json()["checks"] == {"database": "ok", "redis": "ok", "schema": "ok"}
    started_as = {"version": "v7", "digest": "sha256:abc", "host": "i-1", "database": "db-1"}
    assert version.json() == {**started_as, "schema_head": head}
    assert (version.status, version.heads["Cache-Control"]) == (200, "no-store")


def test_the_smoke_list_is_a_list_of_units(api: Role) -> None:
    answer = api.ask("/api/units?search=a")

    assert (answer.status, answer.kind) == (200, "application/json")
    assert isinstance(answer.json()["units"], list)


def test_metrics_are_prometheus_text_with_the_objectives_counters(life: Life) -> None:
    lines = [line for line in life.metrics.body.splitlines() if line and not line.startswith("#")]

    assert (life.alive.status, life.metrics.status, life.metrics.kind) == (200, 200, "text/plain")
    assert [line for line in lines if not SAMPLE.fullmatch(line)] == []
    for how in ("valid", "good"):
        assert any(line.startswith(f"slo_{how}_events_total{{") for line in lines)


def test_a_search_counts_for_both_objectives_and_a_probe_for_none(api: Role) -> None:
    names = [(how, objective) for how in ("valid", "good") for objective in ("errors", "search")]
    before = [api.counted(*name) for name in names]

    for path in ("/livez", "/readyz", "/api/units?search=a"):
        assert api.ask(path).status == 200

    assert [api.counted(*name) - was for name, was in zip(names, before, strict=True)] == [1, 1, 1, 1]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [*PATHS, "/api/there/is/nothing", "/api/admin/queue/status"])
def test_every_answer_names_the_release(api: Role, path: str, method: str) -> None:
    assert api.ask(path, method).heads["X-Rmu-Release"] == "v7"


def test_what_is_not_there_is_404_as_problem_json(api: Role) -> None:
    answer = api.ask("/api/there/is/nothing")

    assert (answer.status, answer.kind) == (404, "application/problem+json")
    assert answer.json()["status"] == 404


def test_a_queue_tells_how_it_stands_to_whoever_has_the_token_and_no_queue_is_404(app: App, api: Role) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answers = {what: api.ask(f"/api/admin/queue/{what}", *how, **bearer) for what, how in QUEUE.items()}

    if app.has_queue:
        assert {what: one.status for what, one in answers.items()} == dict.fromkeys(QUEUE, 200)
        assert {what: set(one.json()) for what, one in answers.items()} == dict.fromkeys(QUEUE, STANDS)
        assert [answers[what].json()["paused"] for what in QUEUE] == [False, True, False]
        assert answers["status"].heads["Cache-Control"] == "no-store"
    else:
        assert {what: one.status for what, one in answers.items()} == dict.fromkeys(QUEUE, 404)


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer another"}], ids=["no token", "a wrong token"])
@pytest.mark.parametrize("what", QUEUE)
def test_nobody_else_learns_of_the_queue(app: App, api: Role, what: str, given: dict[str, str]) -> None:
    answer = api.ask(f"/api/admin/queue/{what}", *QUEUE[what], **given)

    assert (answer.status, answer.kind) == (401 if app.has_queue else 404, "application/problem+json")


def test_one_connection_carries_one_request_after_another(api: Role) -> None:
    requests = [("GET", "/livez", None), ("POST", "/api/there/is/nothing", b"{}"), ("GET", "/livez", None)]
    statuses, sockets = [], set()

    with closing(HTTPConnection("127.0.0.1", api.port, timeout=60)) as line:
        for method, path, body in requests:
            line.request(method, path, body)
            answer = line.getresponse()
            answer.read()
            statuses.append(answer.status)
            sockets.add(line.sock)

    assert (statuses, len(sockets)) == ([200, 404, 200], 1)


def test_sigterm_ends_with_0_in_time_though_somebody_holds_a_connection(life: Life) -> None:
    assert life.code == 0
    assert life.stopped_within_s < STOPS_WITHIN_S
    assert life.refuses_then


def test_every_line_is_one_json_object_that_says_when_how_bad_who_and_what(life: Life) -> None:
    lines = [json.loads(line) for line in life.said]

    assert lines
    assert max(map(len, life.said)) <= LONGEST_LINE
    for line in lines:
        assert (line["release"], line["role"]) == ("v7", life.role), line
        assert line["level"], line
        assert line.get("message") or line.get("event"), line
        assert isinstance(line["at"], float) or datetime.fromisoformat(line["at"]).tzinfo, line
    about = {line["request_id"] for line in lines if "path" in line}
    assert not about or "request-of-a-test" in about
    assert b"private-words" not in b"".join(life.said)


def test_migrate_tells_in_its_last_line_what_it_did(app: App) -> None:
    head = app.call("migrate", "--head")[1]["head"]

    code, said = app.call("migrate")

    assert (code, set(said)) == (0, {"head_before", "head", "admits", "ran", "seconds"})
    assert (said["head_before"], said["head"], said["ran"]) == (head, head, [])
    assert app.call("migrate", "--contract") == (0, said)
    assert app.call("migrate", "--current") == (0, {"head": head})
    code, pending = app.call("migrate", "--pending")
    assert (code, pending) == (0, {"current": head, "head": head, "tip": pending["tip"], "pending": []})
    assert re.fullmatch(r"\d{4}", head)


def test_check_tells_in_its_last_line_whether_the_code_can_work(app: App) -> None:
    works, fails = app.call("check"), app.call("check", **app.cannot_write)

    assert (works[0], works[1]["ok"], set(works[1])) == (0, True, {"ok", "reads", "writes"})
    assert (fails[0], fails[1]["ok"]) == (1, False)
    assert fails[1]["failed"] and fails[1]["why"]


def test_the_smallest_app_has_at_most_a_hundred_lines() -> None:
    assert len(SMALLEST.read_text().splitlines()) <= MOST_LINES
