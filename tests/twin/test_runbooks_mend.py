"""Runbooks on real machines: the symptom is seen, the diagnosis names it, the remedy that is picked takes it away.

Each runbook meets two faults, some of them beside a look-alike. What cannot be mended here says so.
"""

from __future__ import annotations

import datetime
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ratemyunit_ops.twin.fault_account import self_signed
from tests.runbooks import record
from tests.twin.driver import CHECKOUT, SEARCH, Answer, Stack, raised_stack, started, wait_until

pytestmark = [pytest.mark.twin, pytest.mark.long]
PING = "timeout 2 redis-cli ping"
USED = "df --output=pcent /var/lib/containers | tail -n 1 | tr -dc 0-9"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A twin of its own, on which the product serves as a second release."""
    with raised_stack("mend", 9760, tmp_path_factory.mktemp("mend")) as stack:
        stack.config = stack.settings("rmu.toml", app=record.PRODUCT, ready_deadline="PT60S", smoke="a")
        shutil.copytree(CHECKOUT / "app", stack.where / "app", ignore=shutil.ignore_patterns(".*", "__pycache__"))
        for _ in range(2):
            stack.deploy(push(stack))
        yield stack


def push(stack: Stack) -> str:
    version = next(stack.names)
    stack.rmu("image", "push", version, environ={**os.environ, **stack.environ()}, patience=900)
    return version


def diagnosed(stack: Stack, runbook: str) -> str | None:
    """Run a diagnosis, and tell the cause that it names."""
    cause: str | None = stack.rmu("runbook", "run", runbook)["cause"]
    return cause


def mend(stack: Stack, runbook: str, remedy: str, *more: str) -> Answer:
    """Let a person pick a remedy."""
    return stack.rmu("runbook", "run", runbook, "--remedy", remedy, "--yes", "--because", "a test", *more)


@pytest.mark.parametrize(("fault", "cause"), [("redis-lost", "stopped"), ("redis-frozen", "hung")])
def test_a_lost_redis_answers_again(product: Stack, fault: str, cause: str) -> None:
    with product.no_drop(), product.fault(fault):
        assert "PONG" not in product.on_host(PING)
        assert diagnosed(product, "redis-lost") == cause
        assert diagnosed(product, "release-not-ready") == "redis"

        mend(product, "redis-lost", "restart-redis")

        assert "PONG" in product.on_host(PING)


def test_a_worker_that_hangs_beside_a_full_disk_is_restarted(product: Stack) -> None:
    with product.fault("journal-full"), product.fault("worker-stuck"):
        assert int(product.on_host(USED)) >= 95
        assert diagnosed(product, "queue-stalled") == "worker-hung"

        mend(product, "queue-stalled", "restart-worker")

        assert diagnosed(product, "queue-stalled") != "worker-hung"


@pytest.mark.parametrize(
    ("fault", "target", "cause", "remedy"),
    [("journal-full", None, "journal", "vacuum"), ("images-piled", "900", "images", "prune")],
)
def test_a_full_disk_has_room_again_and_what_serves_goes_on(
    product: Stack, fault: str, target: str | None, cause: str, remedy: str
) -> None:
    with product.no_drop(path=SEARCH), product.fault(fault, target):
        assert int(product.on_host(USED)) >= 95
        assert diagnosed(product, "disk-full") == cause

        mend(product, "disk-full", remedy)

        assert int(product.on_host(USED)) < 90


def test_what_holds_an_older_secret_is_started_anew_and_no_request_is_lost(product: Stack) -> None:
    live = product.who()["version"]

    with product.no_drop(path=SEARCH), product.fault("secret-rotated", "app/admin_token"):
        assert diagnosed(product, "secret-rotation") == "older-value"
        mend(product, "secret-rotation", "renew")

        stale = [one["stale"] for one in product.rmu("secret", "list")["secrets"]]
        assert not any(stale)

    product.rmu("secret", "renew", "--yes", "--because", "the fault was cleared")
    product.serves_alone(live)


def test_a_database_whose_password_was_changed_is_searched_again(product: Stack) -> None:
    with product.fault("secret-rotated"):
        assert answers(product) != 200
        assert diagnosed(product, "secret-rotation") == "password-changed"

        mend(product, "secret-rotation", "renew")

        assert answers(product) == 200

    product.rmu("secret", "renew", "--yes", "--because", "the fault was cleared")
    assert answers(product) == 200


@pytest.mark.parametrize(("days", "cause"), [("6", "imported-ends"), ("0.0005", "ended")])
def test_a_certificate_that_ends_is_another_once_it_is_imported(product: Stack, days: str, cause: str) -> None:
    with product.fault("certificate-expiring", days):
        seen = product.rmu("runbook", "run", "certificate-expiring")
        assert seen["cause"] == cause
        arn = seen["facts"]["arn"]
        made, key = self_signed("rmu.example.org", datetime.timedelta(days=365))
        product.aws("acm").import_certificate(CertificateArn=arn, Certificate=made, PrivateKey=key)

        answer = mend(product, "certificate-expiring", "import")

        assert answer["outcome"] == "done"
        assert diagnosed(product, "certificate-expiring") is None


@pytest.mark.parametrize(
    ("unit", "cause", "remedy"),
    [
        ("amazon-cloudwatch-agent.service", "not-reporting", "restart-reporter"),
        ("rmu-vitals.timer", "not-looking", "restart-watcher"),
    ],
)
def test_who_looks_at_a_host_and_stopped_looks_again(product: Stack, unit: str, cause: str, remedy: str) -> None:
    product.on_host(f"systemctl stop {unit}")
    with product.no_drop(path=SEARCH):
        assert diagnosed(product, "host-unresponsive") == cause

        mend(product, "host-unresponsive", remedy)

    assert product.on_host(f"systemctl is-active {unit}").strip() == "active"
    assert diagnosed(product, "host-unresponsive") != cause


def test_a_host_whose_ssm_agent_is_dead_takes_commands_again_by_way_of_ssh(product: Stack) -> None:
    with product.no_drop(path=SEARCH), product.fault("agent-kill"):
        assert diagnosed(product, "host-unresponsive") == "agent-dead"

        mend(product, "host-unresponsive", "restart-agent")

        assert product.on_host("systemctl is-active amazon-ssm-agent.service").strip() == "active"
        wait_until(lambda: diagnosed(product, "host-unresponsive") != "agent-dead", 120, "SSM to work again", every=5)


def test_a_deploy_whose_carrier_died_is_finished(product: Stack) -> None:
    new = push(product)
    product.kill("deploy", new, "--yes", "--no-probe", at=started("park the worker"))

    assert diagnosed(product, "deploy-stuck") == "carrier-died"
    mend(product, "deploy-stuck", "resume")

    product.serves_alone(new)


def test_a_deploy_that_bakes_is_told_from_one_that_is_stuck(product: Stack) -> None:
    scene = record.Scene(product, record.ports(product))

    with contextmanager(record.busy_deploy)(scene):
        assert diagnosed(product, "deploy-stuck") == "gets-on"

    assert diagnosed(product, "deploy-stuck") is None


def test_a_release_that_never_got_ready_serves_once_its_settings_are_mended(product: Stack) -> None:
    new, nowhere = push(product), {**record.PRODUCT, "REDIS_URL": "redis://127.0.0.1:6399/0"}
    broken = product.settings("broken.toml", app=nowhere, ready_deadline="PT8S", smoke="a")
    with product.no_drop(path=SEARCH):
        product.deploy(new, expect=5, config=broken)
        assert diagnosed(product, "release-not-ready") == "the-release"

        mend(product, "release-not-ready", "again", "--input", f"release={new}")

    product.serves_alone(new)


@pytest.mark.parametrize("remedy", ["end-blocker", "cancel"])
def test_a_migration_that_waits_for_a_session_holds_nobody_up_any_more(product: Stack, remedy: str) -> None:
    with product.fault("lock-held"):
        assert diagnosed(product, "bad-migration") == "waits-for-lock"

        mend(product, "bad-migration", remedy)

        assert diagnosed(product, "bad-migration") is None
        assert answers(product) == 200


def test_a_column_that_what_serves_reads_and_that_is_not_there_is_missed(product: Stack) -> None:
    """It is taken and put back by hand: what `restore` does, test_bad_days.py and test_road_restore.py show."""
    scene = record.Scene(product, record.ports(product))

    with contextmanager(record.column_gone)(scene):
        assert answers(product) == 500
        assert diagnosed(product, "bad-migration") == "asks-for-what-is-not-there"

    assert answers(product) == 200


def test_an_application_that_a_restore_left_shut_out_may_log_in_again(product: Stack) -> None:
    with product.fault("app-fenced"):
        assert diagnosed(product, "restore-wrong") == "still-fenced"

        mend(product, "restore-wrong", "lift-fence")

        assert diagnosed(product, "restore-wrong") is None
        assert answers(product) == 200


def test_a_restore_whose_carrier_died_is_given_up(product: Stack) -> None:
    live = product.who()["version"]
    product.kill("db", "restore", "--latest", "--yes", "--because", "a test", at=started("restore "))

    assert diagnosed(product, "restore-wrong") == "carrier-died"
    mend(product, "restore-wrong", "abandon")

    assert answers(product) == 200
    product.serves_alone(live)


def test_a_lost_region_is_told_from_a_front_door_that_is_away_alone(product: Stack) -> None:
    """The local AWS is one region, so nothing can move to another: `dr restore` is carried by test_drill.py."""
    with product.fault("region-lost"):
        lost = diagnosed(product, "region-lost")
        seen = product.rmu("status")
    with product.left_alone():
        product.on_host("systemctl stop haproxy")
        try:
            away = product.rmu("runbook", "run", "region-lost")
            mend(product, "host-unresponsive", "restart-proxy")
            assert diagnosed(product, "host-unresponsive") != "proxy-dead"
        finally:
            product.on_host("systemctl start haproxy")

    assert {"account", "front_door", "pointer"} <= {u["what"] for u in seen["unknown"]}
    assert (lost, away["cause"]) == ("region-gone", "hosts")
    assert away["verdicts"][0]["see"] == "host-unresponsive"
    assert product.who()


def answers(stack: Stack) -> int:
    """Search through the front door; answer the status, 0 where none comes."""
    try:
        with urllib.request.urlopen(stack.front_door + SEARCH, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as why:
        return why.code
    except OSError:
        return 0
