"""What a host does when it boots: a reboot obeys its own map, a new instance obeys the live pointer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from rmu_host import boot as program
from rmu_host.answers import No
from rmu_host.boot import bring_up
from rmu_host.state import MAP, STATE, adopt

from tests.fakes.host_machine import DATABASE, App, FakeCloud, FakeMachine, release
from tests.pure.test_host_program import Caller, served


@pytest.fixture
def m(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path)
    machine.apps = {f"sha256:{v}": App(v) for v in ("v1", "v2")}
    return machine


@pytest.fixture
def cloud() -> FakeCloud:
    account = FakeCloud()
    for version in ("v1", "v2"):
        account.items["release", f"release#{version}"] = release(version)
    return account


def point(cloud: FakeCloud, version: str | None) -> None:
    cloud.items["pointer", "pointer"] = {"release": version, "database": DATABASE}


def boot(m: FakeMachine, cloud: FakeCloud) -> list[dict[str, Any]]:
    """Power on: nothing runs, HAProxy is not up, and the program brings up what it must."""
    steps: list[dict[str, Any]] = []
    m.units.clear()
    m.proxy = False
    bring_up(m, cloud, adopt(m), lambda **what: steps.append(what))
    return steps


def test_a_host_born_before_the_first_release_serves_nothing_and_is_healthy(m: FakeMachine, cloud: FakeCloud) -> None:
    boot(m, cloud)

    assert m.map == "none"
    assert cloud.completed == ["i-1"]


def test_rows_that_a_killed_salvage_left_are_gone_after_a_boot(m: FakeMachine, cloud: FakeCloud) -> None:
    left = m.path("/var/tmp/rmu-salvage-r-0")
    left.mkdir(parents=True)

    boot(m, cloud)

    assert not left.exists()


def test_f29_a_new_host_serves_the_live_release_by_itself(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")

    steps = boot(m, cloud)

    assert served(m) == "v1"
    assert "rmu-worker" in m.units
    assert cloud.completed == ["i-1"]
    assert [s["step"] for s in steps] == ["pull", "start", "serve", "hook"]


def test_f05_a_reboot_obeys_the_hosts_own_map_whatever_the_pointer_says(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    boot(m, cloud)
    ask = Caller(m, cloud)
    ask.prepare("v2")
    ask.start("v2")
    ask.serve("v2", backup="v1")

    boot(m, cloud)

    assert served(m) == "v2"
    assert m.map == "green-backed"
    assert {"rmu-blue", "rmu-green"} <= set(m.units)
    assert "rmu-worker" not in m.units  # start had parked it
    assert cloud.completed == ["i-1"]


def test_a_reboot_runs_the_worker_that_ran(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    boot(m, cloud)

    boot(m, cloud)

    assert "rmu-worker" in m.units


def test_a_machine_image_forgets_the_host_it_was_taken_from(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    boot(m, cloud)
    ask = Caller(m, cloud)
    ask.generation = 9
    ask.prepare("v2")
    m.name = "i-2"

    boot(m, cloud)

    assert served(m) == "v1"
    assert (m.read_json(f"{STATE}/slots/green.json"), m.read_json(f"{STATE}/fence.json")) == (None, None)
    assert cloud.completed == ["i-1", "i-2"]


def test_a_reboot_without_a_metadata_service_serves_what_it_served(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    boot(m, cloud)
    m.imds = False

    boot(m, cloud)

    assert served(m) == "v1"


def test_f06_a_damaged_map_or_record_is_an_empty_one(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    m.write(MAP, "live \x00purple\n")
    m.write(f"{STATE}/slots/green.json", "{half")

    boot(m, cloud)

    assert served(m) == "v1"


def test_a_release_that_does_not_get_ready_keeps_the_hook_waiting(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    m.apps["sha256:v1"].checks["database"] = "down"

    with pytest.raises(No, match="never became ready"):
        boot(m, cloud)

    assert cloud.completed == []
    assert m.map == "none"
    m.apps["sha256:v1"].checks["database"] = "ok"
    boot(m, cloud)
    assert served(m) == "v1"


def test_a_worker_that_does_not_start_is_no_reason_to_replace_the_host(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v1")
    m.broken.add("rmu-worker")

    with pytest.raises(No, match="the worker did not start"):
        boot(m, cloud)

    assert served(m) == "v1"
    assert cloud.completed == ["i-1"]
    m.broken.clear()
    boot(m, cloud)
    assert "rmu-worker" in m.units


def test_a_pointer_without_its_release_record_is_named(m: FakeMachine, cloud: FakeCloud) -> None:
    point(cloud, "v9")

    with pytest.raises(No, match="names v9, which has no release record"):
        boot(m, cloud)


def test_a_drills_host_obeys_no_pointer_completes_no_hook_and_waits_to_be_told(
    m: FakeMachine, cloud: FakeCloud
) -> None:
    point(cloud, "v1")
    m.role = "drill"

    steps = boot(m, cloud)

    assert (m.map, served(m)) == ("none", None)
    assert m.proxy
    assert cloud.completed == []
    assert not m.units
    assert steps == []


def test_a_drills_host_made_from_an_image_forgets_what_its_original_served(tmp_path: Path, cloud: FakeCloud) -> None:
    original = FakeMachine(tmp_path, instance="i-original")
    original.apps = {"sha256:v1": App("v1")}
    point(cloud, "v1")
    boot(original, cloud)
    copy = FakeMachine(tmp_path, instance="i-copy")
    copy.role = "drill"

    boot(copy, cloud)

    assert (copy.map, served(copy)) == ("none", None)
    assert cloud.completed == ["i-original"]


def test_a_host_tells_its_ssh_key_and_serves_also_where_nobody_hears_it(m: FakeMachine, cloud: FakeCloud) -> None:
    m.write("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA root@host\n")
    point(cloud, "v1")

    boot(m, cloud)
    told = dict(cloud.items)["host_key", "i-1"]
    cloud.tell = lambda *_: 1 / 0  # type: ignore[method-assign]
    steps = boot(m, cloud)

    assert told == {"key": "ssh-ed25519 AAAA root@host"}
    assert served(m) == "v1"
    assert any(step.get("step") == "host key" for step in steps)


def test_a_host_that_cannot_serve_tells_its_ssh_key_most_of_all(m: FakeMachine, cloud: FakeCloud) -> None:
    m.write("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA root@host\n")
    point(cloud, "v9")

    with pytest.raises(No, match="v9"):
        boot(m, cloud)

    assert cloud.items["host_key", "i-1"] == {"key": "ssh-ed25519 AAAA root@host"}


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "GetItem"), "ClientError: An error occurred (AccessDenied)"),
        (NoCredentialsError(), "NoCredentialsError: Unable to locate credentials"),
        (EndpointConnectionError(endpoint_url="https://x"), "EndpointConnectionError: Could not connect to the endpoi"),
        (OSError("no map"), "OSError: no map"),
        (No("failed", "not_found", "no release record"), "no release record"),
    ],
)
def test_a_boot_that_aws_does_not_let_through_says_why_and_is_tried_again(
    m: FakeMachine, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, trouble: Exception, said: str
) -> None:
    def refuse(pk: str, sk: str) -> None:
        raise trouble

    monkeypatch.setattr(cloud, "item", refuse)
    monkeypatch.setattr(program, "Cloud", lambda settings: cloud)

    code = program.boot(m)

    last = json.loads((m.read("/var/log/rmu/host.log") or "").splitlines()[-1])
    assert code == 1
    assert last["boot"]["step"] == "failed"
    assert last["boot"]["why"].startswith(said)
