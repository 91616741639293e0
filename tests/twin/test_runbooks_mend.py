"""Runbooks on real machines: the symptom is seen, the diagnosis names it, the remedy that is picked takes it away."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ratemyunit_ops.twin.fault_account import self_signed
from tests.runbooks import record
from tests.twin.driver import CHECKOUT, SEARCH, Answer, Stack, raised_stack, started

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
    with product.no_drop(path=SEARCH), product.fault(fault):
        assert "PONG" not in product.on_host(PING)
        assert diagnosed(product, "redis-lost") == cause

        mend(product, "redis-lost", "restart-redis")

        assert "PONG" in product.on_host(PING)


@pytest.mark.parametrize(
    ("fault", "target", "cause", "remedy"),
    [("journal-full", None, "journal", "vacuum"), ("images-piled", "400", "images", "prune")],
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


def test_a_certificate_that_ends_soon_is_another_once_it_is_imported(product: Stack) -> None:
    acm = product.aws("acm")

    with product.fault("certificate-expiring", "6"):
        assert diagnosed(product, "certificate-expiring") == "imported-ends"
        [row] = acm.list_certificates()["CertificateSummaryList"]
        made, key = self_signed("rmu.example.org", datetime.timedelta(days=365))
        acm.import_certificate(CertificateArn=row["CertificateArn"], Certificate=made, PrivateKey=key)

        answer = mend(product, "certificate-expiring", "import")

        assert answer["outcome"] == "done"
        assert diagnosed(product, "certificate-expiring") is None


def test_a_deploy_whose_carrier_died_is_finished(product: Stack) -> None:
    new = push(product)
    product.kill("deploy", new, "--yes", "--no-probe", at=started("park the worker"))

    assert diagnosed(product, "deploy-stuck") == "carrier-died"
    mend(product, "deploy-stuck", "resume")

    product.serves_alone(new)


def test_a_release_that_never_got_ready_serves_once_its_settings_are_mended(product: Stack) -> None:
    new, nowhere = push(product), {**record.PRODUCT, "REDIS_URL": "redis://127.0.0.1:6399/0"}
    broken = product.settings("broken.toml", app=nowhere, ready_deadline="PT8S", smoke="a")
    with product.no_drop(path=SEARCH):
        product.deploy(new, expect=5, config=broken)
        assert diagnosed(product, "release-not-ready") == "the-release"

        mend(product, "release-not-ready", "again", "--input", f"release={new}")

    product.serves_alone(new)


def test_a_migration_that_waits_for_a_session_goes_on(product: Stack) -> None:
    scene = record.Scene(product, record.ports(product))
    waiting = record.lock_in_the_way(scene)
    next(waiting)
    try:
        assert diagnosed(product, "bad-migration") == "waits-for-lock"
        mend(product, "bad-migration", "end-blocker")
        assert diagnosed(product, "bad-migration") != "waits-for-lock"
    finally:
        with suppress(StopIteration):
            next(waiting)


def test_an_application_that_a_restore_left_shut_out_may_log_in_again(product: Stack) -> None:
    scene = record.Scene(product, record.ports(product))
    fenced = record.still_fenced(scene)
    next(fenced)
    try:
        assert diagnosed(product, "restore-wrong") == "still-fenced"
        mend(product, "restore-wrong", "lift-fence")
        assert diagnosed(product, "restore-wrong") != "still-fenced"
    finally:
        with suppress(StopIteration):
            next(fenced)


def test_a_lost_region_is_told_from_a_front_door_that_is_away_alone(product: Stack) -> None:
    with product.fault("region-lost"):
        answer = product.rmu("runbook", "run", "region-lost")

    assert answer["cause"] == "region-gone"
    assert product.who()
