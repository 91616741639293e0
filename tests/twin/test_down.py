"""A twin with all its organs, its processes killed: `up` mends it, `down` leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.ground import missing
from ratemyunit_ops.twin.machine import machines
from ratemyunit_ops.twin.site import Site
from tests.twin.conftest import Twin, Web, wait_for

pytestmark = pytest.mark.twin
SITE = Site(name="t-down", port_base=5680)


@pytest.fixture
def doomed() -> Iterator[Twin]:
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}: that `down` leaves nothing is unproven")
    lower_ground(SITE)
    yield Twin(SITE)
    lower_ground(SITE)


def leavings() -> dict[str, set[str]]:
    """Answer what of the twin the world still holds, by kind."""

    def lines(command: str) -> set[str]:
        ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return {line for line in ran.stdout.splitlines() if SITE.name in line}

    # Links of the namespace go with it; a veth that lost its other end would stand here, in ours.
    return {
        "processes": lines("cat /proc/[0-9]*/cgroup /proc/[0-9]*/cmdline | tr '\\0' ' '"),
        "mounts": lines("cat /proc/self/mountinfo"),
        "namespaces": lines("ls /run/netns"),
        "links": lines("ip -o link"),
        "cgroups": lines("find /sys/fs/cgroup -type d -name 'rmu-*'"),
        "loops": lines("losetup --list --noheadings"),
        "files": lines("ls /var/lib/rmu-twin /run/systemd/nspawn/* 2>/dev/null"),
    }


def test_down_leaves_nothing_of_all_organs_also_when_their_keepers_were_killed(doomed: Twin) -> None:
    doomed.up()
    web = Web(doomed)
    doomed.client("rds").create_db_instance(
        DBInstanceIdentifier="rmu-down-db-1",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        EngineVersion="17.5",
        AllocatedStorage=20,
        MasterUsername="rmu_master",
        MasterUserPassword="not-so-secret",
        DBName="x",
    )
    web.host()
    standing = leavings()
    for name in ("gate", "keepers", "door", "registry"):
        pid = daemons.pid(SITE, name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    lower_ground(SITE)

    assert all(standing[kind] for kind in ("processes", "mounts", "namespaces", "cgroups", "loops", "files")), standing
    until = time.monotonic() + 10  # the dead are there until this machine's init has buried them
    while any(leavings().values()) and time.monotonic() < until:
        time.sleep(0.5)
    assert leavings() == {kind: set() for kind in standing}


def test_a_gate_that_was_killed_comes_back_with_an_empty_account_and_nothing_stands(doomed: Twin) -> None:
    doomed.up()
    Web(doomed)
    wait_for("a machine", lambda: machines(SITE))
    balancer = SITE.state_dir / "balancers" / "web" / "haproxy.cfg"
    wait_for("a balancer", balancer.exists)
    gate = daemons.pid(SITE, "gate")
    assert gate is not None
    os.kill(gate, signal.SIGKILL)

    doomed.up()

    wait_for("the machines to go", lambda: not machines(SITE), 30)
    wait_for("the balancer to go", lambda: not Path(balancer).exists(), 30)
    assert doomed.status()["hosts"] == [] and daemons.pid(SITE, "alb-web") is None
