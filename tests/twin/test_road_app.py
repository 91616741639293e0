"""The product's own image on the road: built, pushed, deployed twice, and at work, on a host of 1 GiB."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.twin.driver import Stack, raised_stack, wait_until
from tests.twin.memory import memory_watched

pytestmark = [pytest.mark.twin, pytest.mark.long]

ROOM_MIB = 800
"""Of the host's 1,024: what it may hold at once that it cannot give back."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A twin of its own: the app's schema and the smallest app's do not belong into one history."""
    with raised_stack("road-app", 5660, tmp_path_factory.mktemp("road-app")) as stack:
        stack.take_product()
        yield stack


def ask(stack: Stack, path: str, body: Any = None, token: str = "") -> Any:
    """Send one request through the front door; with a body it is a POST."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(stack.front_door + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_f31_the_product_is_deployed_twice_on_one_gibibyte_and_scrapes_in_between(product: Stack) -> None:
    built = product.rmu("image", "build", "v1", patience=900)
    for version in ("v1", "v2"):
        assert product.rmu("image", "push", version, patience=900)["digest"] == built["digest"]
    product.rmu("deploy", "v1", "--yes")
    parameter = product.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)
    token = parameter["Parameter"]["Value"]
    wish = {"url": "http://127.0.0.1:8080/fixture/catalogue", "university": "Twin"}

    job = ask(product, "/api/admin/scrape", wish, token)["job"]
    wait_until(lambda: ask(product, f"/api/admin/jobs/{job}", token=token)["state"] == "done", 90, "the scrape")
    units = ask(product, "/api/units?search=a")["units"]
    with product.no_drop(), memory_watched(product) as memory:
        second = product.rmu("deploy", "v2", "--yes")
    found_still = ask(product, "/api/units?search=a")["units"]

    assert units
    assert found_still == units
    assert ask(product, f"/api/units/{units[0]['id']}")["id"] == units[0]["id"]
    assert second["probe"]["failed"] == 0
    assert second["ssm_commands"] <= 8
    used = memory.told()
    assert used["peak_mib"] < ROOM_MIB and used["oom_kills"] == 0, used
    assert product.on_host("systemctl show -p NRestarts --value rmu-blue rmu-green rmu-worker").split() == ["0"] * 3
    assert token not in second.stdout + second.stderr + product.rmu("show", second["run"]).stdout
    product.serves_alone("v2")


def test_a_paused_queue_takes_no_job_through_a_restart_and_goes_on_when_resumed(product: Stack) -> None:
    """Stands on the deploys of the test before."""
    wish = {"url": "http://127.0.0.1:8080/fixture/catalogue", "university": "Later"}
    token = product.aws("ssm").get_parameter(Name="/rmu/twin/app/admin_token", WithDecryption=True)["Parameter"][
        "Value"
    ]

    paused = product.rmu("queue", "pause", "--yes", "--because", "the catalogue is down")
    again = product.rmu("queue", "pause", "--yes")
    job = ask(product, "/api/admin/scrape", wish, token)["job"]
    product.on_host("systemctl restart rmu-worker redis-server")
    wait_until(lambda: "paused" in product.on_host("journalctl -u rmu-worker -n 20 -o cat"), 60, "the worker to hear")
    stands = product.rmu("queue", "status")
    waiting = ask(product, f"/api/admin/jobs/{job}", token=token)["state"]
    resumed = product.rmu("queue", "resume", "--yes")
    wait_until(lambda: ask(product, f"/api/admin/jobs/{job}", token=token)["state"] == "done", 90, "the scrape")

    assert (paused["outcome"], paused["queue"]["paused"], again["run"]) == ("done", True, None)
    assert (stands["paused"], stands["because"], stands["waiting"]) == (True, "the catalogue is down", 1)
    assert waiting == "queued"
    assert resumed["queue"]["paused"] is False
    assert [run["verb"] for run in product.rmu("history", "--limit", "2")["runs"]] == ["queue resume", "queue pause"]
    said = "".join(a.stdout + a.stderr for a in (paused, again, stands, resumed))
    assert token not in said + product.on_host("cat /var/log/rmu/*.log; journalctl -o cat")
