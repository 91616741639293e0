"""Faults of hosts and of the account: each is seen from where its victim would see it, and gone when it is cleared."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin import fault, fault_account
from ratemyunit_ops.twin.site import Site
from tests.twin.conftest import Twin, Web
from tests.twin.test_gate import Gate, gate  # noqa: F401  (a fixture)


@pytest.fixture
def account(gate: Gate) -> Site:  # noqa: F811
    """A site whose API is a gate alone."""
    return Site(name="faults", port_base=int(gate.url.rpartition(":")[2]))


def test_a_certificate_that_ends_soon_is_in_the_account_until_it_is_cleared(gate: Gate, account: Site) -> None:  # noqa: F811
    acm = gate.client("acm")

    fault.make(account, "certificate-expiring", "6")
    [row] = acm.list_certificates()["CertificateSummaryList"]
    ends = acm.describe_certificate(CertificateArn=row["CertificateArn"])["Certificate"]["NotAfter"]
    fault.clear(account, "certificate-expiring", None)

    left = ends - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=5) < left <= datetime.timedelta(days=6)
    assert acm.list_certificates()["CertificateSummaryList"] == []


def test_a_rotated_secret_has_another_value_and_its_old_one_again(gate: Gate, account: Site) -> None:  # noqa: F811
    ssm, name = gate.client("ssm"), f"{fault_account.NAMES}/app/secret_key"
    ssm.put_parameter(Name=name, Value="first", Type="SecureString")

    def value() -> str:
        return str(ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])

    fault.make(account, "secret-rotated", "app/secret_key")
    rotated = value()
    fault.clear(account, "secret-rotated", "app/secret_key")

    assert rotated != "first"
    assert value() == "first"


def test_a_secret_that_is_not_there_is_not_rotated(gate: Gate, account: Site) -> None:  # noqa: F811
    with pytest.raises(Refused):
        fault.make(account, "secret-rotated", "app/nothing")

    with pytest.raises(ClientError):
        gate.client("ssm").get_parameter(Name=f"{fault_account.NAMES}/app/nothing")


def run(twin: Twin, host: str, script: str) -> str:
    return str(twin.machine(host).run(["sh", "-c", script]).stdout.decode().strip())


def free_mib(twin: Twin, host: str) -> int:
    return int(run(twin, host, "df --output=avail -BM /var/log | tail -n 1 | tr -dc 0-9"))


@pytest.mark.twin
@pytest.mark.parametrize("name", ["redis-lost", "redis-frozen"])
def test_a_redis_that_is_broken_does_not_answer_until_it_is_cleared(twin: Twin, web: Web, name: str) -> None:
    host = web.host()
    run(twin, host, "systemctl start redis-server")
    ping = "timeout 2 redis-cli ping"

    fault.make(twin.site, name, host)
    broken = run(twin, host, ping)
    state = run(twin, host, "systemctl is-active redis-server")
    fault.clear(twin.site, name, host)

    assert broken != "PONG"
    assert (state == "active") is (name == "redis-frozen")
    assert run(twin, host, ping) == "PONG"


@pytest.mark.twin
def test_a_journal_that_fills_the_disk_goes_by_journalds_own_vacuum(twin: Twin, web: Web) -> None:
    host = web.host()
    before = free_mib(twin, host)

    fault.make(twin.site, "journal-full", host)
    full = free_mib(twin, host)
    run(twin, host, "journalctl --vacuum-size=32M")

    assert full < 400 < before
    assert free_mib(twin, host) > before - 200
    fault.clear(twin.site, "journal-full", host)


@pytest.mark.twin
@pytest.mark.long
def test_piled_images_fill_the_disk_until_they_are_cleared(twin: Twin, web: Web) -> None:
    host = web.host()
    settings: dict[str, Any] = {"repository": "registry.example/rmu-twin/app"}
    run(twin, host, f"mkdir -p /etc/rmu; echo '{json.dumps(settings)}' > /etc/rmu/host.json")
    before = free_mib(twin, host)

    fault.make(twin.site, "images-piled", "300")
    listed = run(twin, host, "podman images --format '{{.Repository}}:{{.Tag}}'")
    full = free_mib(twin, host)
    fault.clear(twin.site, "images-piled", None)

    assert "registry.example/rmu-twin/app:twin-piled" in listed
    assert full < 400
    assert free_mib(twin, host) > before - 200


@pytest.mark.twin
def test_a_lost_region_answers_nobody_outside_and_goes_on_inside(twin: Twin, web: Web) -> None:
    host = web.host()

    fault.make(twin.site, "region-lost", None)
    try:
        with pytest.raises(OSError, match="refused"):
            twin.call("alive")
        inside = run(twin, host, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/health")
    finally:
        fault.clear(twin.site, "region-lost", None)

    assert inside == "200"
    assert twin.call("alive") is None
