"""The review's three runbooks on the product and a real host: broken on purpose, seen, mended, and seen to be gone."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from ratemyunit_ops.twin.machine import Machine
from tests.twin.driver import SEARCH, Answer, Stack, raised_stack, started, wait_until

pytestmark = [pytest.mark.twin, pytest.mark.long]
DATABASE = "rmu-twin-db-1"
FREE = 100 << 20
SESSIONS = "select count(*) from pg_stat_activity where usename = 'rmu_app'"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A twin on which the product serves, with its worker and the queue's endpoints."""
    with raised_stack("runbook", 9700, tmp_path_factory.mktemp("runbook")) as stack:
        stack.take_product()
        stack.rmu("image", "build", "v1", patience=900)
        stack.rmu("image", "push", "v1", patience=900)
        stack.deploy("v1", patience=900)
        yield stack


def sessions(stack: Stack) -> int:
    """Count the application's sessions as the superuser, past rmu."""
    argv = ["runuser", "-u", "postgres", "--", "psql", "-X", "-A", "-t", "-d", "ratemyunit", "-c", SESSIONS]
    return int(Machine(stack.site, DATABASE).run(argv).stdout)


def ask(stack: Stack, path: str, body: Any = None) -> Any:
    """Send one request through the front door as the admin; with a body it is a POST."""
    parameter = stack.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {parameter['Parameter']['Value']}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(stack.front_door + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def scrape(stack: Stack, university: str) -> str:
    """Let a page be scraped; answer the job."""
    wish = {"url": "http://127.0.0.1:8080/fixture/catalogue", "university": university}
    return str(ask(stack, "/api/admin/scrape", wish)["job"])


def diagnosed(stack: Stack, runbook: str, *inputs: str) -> Answer:
    words = [word for text in inputs for word in ("--input", text)]
    return stack.rmu("runbook", "run", runbook, *words)


def test_sessions_that_are_exhausted_are_named_and_given_back_while_the_release_serves_on(product: Stack) -> None:
    calm = diagnosed(product, "database-connections")

    with product.fault("connections-full"):
        held = sessions(product)
        wait_until(lambda: diagnosed(product, "database-connections")["cause"], 60, "a cause", every=3)
        seen = diagnosed(product, "database-connections")
        with product.no_drop():  # searches may fail until it is mended: that is the symptom
            mended = product.rmu("runbook", "run", "database-connections", "--remedy", "end-idle-sessions", "--yes")
        left = sessions(product)

    assert calm["cause"] is None
    assert held > 60 > left
    assert seen["cause"] == "idle-leak"
    assert (mended["outcome"], mended["cause"]) == ("done", "idle-leak")
    assert diagnosed(product, "database-connections")["cause"] is None
    assert ask(product, SEARCH)["units"] is not None


def test_a_slow_query_beside_exhaustion_is_not_why_and_is_named_once_it_is_alone(product: Stack) -> None:
    with product.fault("query-slow"):
        with product.fault("connections-full"):
            both = wait_until(lambda: diagnosed(product, "database-connections")["cause"], 60, "a cause", every=3)
            product.rmu("runbook", "run", "database-connections", "--remedy", "end-idle-sessions", "--yes")
        alone = wait_until(lambda: diagnosed(product, "database-connections")["cause"], 180, "it to be slow", every=5)
        product.rmu("runbook", "run", "database-connections", "--remedy", "end-session", "--yes")

        assert (both, alone) == ("idle-leak", "slow-query")
        assert diagnosed(product, "database-connections")["cause"] is None


def test_a_worker_that_hangs_is_named_and_a_remedy_that_is_killed_is_finished_by_the_same_words(
    product: Stack,
) -> None:
    words = ("runbook", "run", "queue-stalled", "--remedy", "pause-restart-resume", "--yes", "--because", "no page")
    with product.fault("worker-stuck"):
        job = scrape(product, "Stalled")
        seen = diagnosed(product, "queue-stalled")
        waits = ask(product, f"/api/admin/jobs/{job}")["state"]
        with product.no_drop():
            product.kill(*words, at=started("restart the worker"))
            mended = product.rmu(*words)
        wait_until(lambda: ask(product, f"/api/admin/jobs/{job}")["state"] == "done", 90, "the scrape")

    assert (seen["cause"], waits) == ("worker-hung", "queued")
    assert mended["outcome"] == "done"
    assert product.rmu("queue", "status")["paused"] is False
    assert product.rmu("history", "--limit", "1")["runs"][0]["verb"] == "runbook queue-stalled"


def test_a_browser_that_hangs_is_named_and_goes_with_its_worker(product: Stack) -> None:
    opened = scrape(product, "Opens the browser")
    wait_until(lambda: ask(product, f"/api/admin/jobs/{opened}")["state"] == "done", 90, "the first scrape")
    with product.fault("browser-hung"):
        job = scrape(product, "Hung")
        seen = diagnosed(product, "queue-stalled")
        with product.no_drop():
            mended = product.rmu("runbook", "run", "queue-stalled", "--remedy", "restart-worker", "--yes")
        wait_until(lambda: ask(product, f"/api/admin/jobs/{job}")["state"] == "done", 90, "the scrape")

    assert (seen["cause"], mended["outcome"]) == ("browser-hung", "done")


def test_a_queue_that_somebody_paused_is_resumed(product: Stack) -> None:
    product.rmu("queue", "pause", "--yes", "--because", "forgotten")

    assert diagnosed(product, "queue-stalled")["cause"] == "paused"
    product.rmu("runbook", "run", "queue-stalled", "--remedy", "resume-queue", "--yes")

    assert product.rmu("queue", "status")["paused"] is False


def test_a_frozen_host_is_told_from_one_without_memory_and_each_is_mended(product: Stack) -> None:
    host = f"host={product.host}"
    with product.left_alone():
        with product.fault("memory-eaten"):
            hungry = wait_until(
                lambda: (a := diagnosed(product, "host-unresponsive", host))["cause"] and a, 90, "a cause"
            )
            ended = product.rmu("runbook", "run", "host-unresponsive", "--remedy", "end-largest", "--yes")
        wait_until(
            lambda: diagnosed(product, "host-unresponsive", host)["facts"].get("vitals_free", 0) > FREE, 60, "vitals"
        )
        with product.fault("freeze-host"):  # a reboot has thawed it by then: clearing it again changes nothing
            frozen = wait_until(
                lambda: (a := diagnosed(product, "host-unresponsive"))["cause"] == "frozen" and a, 300, "a frozen host"
            )
            reboot = product.rmu("runbook", "run", "host-unresponsive", "--remedy", "reboot", "--yes", "--input", host)
            wait_until(lambda: product.who().get("version") == "v1", 60, "the front door")

    assert hungry["cause"] == ended["cause"] == "out-of-memory"
    assert frozen["inputs"]["host"] == product.host
    assert reboot["outcome"] == "done"
    assert diagnosed(product, "host-unresponsive")["cause"] is None
