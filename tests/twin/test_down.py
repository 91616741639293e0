"""A twin with all its organs, its processes killed: `up` mends it, `down` leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.ground import missing
from ratemyunit_ops.twin.machine import machines
from ratemyunit_ops.twin.site import Site
from ratemyunit_ops.twin.up import bring_up
from tests.twin.conftest import Twin, Web, wait_for
from tests.twin.driver import RMU
from tests.twin.footprint import footprint, kill_every_daemon, left_after, marked, since

pytestmark = pytest.mark.twin
SITE = Site(name="t-down", port_base=5680)


@pytest.fixture
def doomed() -> Iterator[Twin]:
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}: that `down` leaves nothing is unproven")
    lower_ground(SITE)
    yield Twin(SITE)
    lower_ground(SITE)


@pytest.mark.parametrize("killed_first", [False, True], ids=["alive", "killed"])
def test_down_leaves_nothing_of_all_organs_also_when_all_of_them_were_killed(doomed: Twin, killed_first: bool) -> None:
    mark = uuid.uuid4().hex
    before = footprint()
    marked(mark, bring_up, SITE, print)
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
    wait_for("a balancer", lambda: daemons.pid(SITE, "alb-web"))
    wait_for("two machines", lambda: len(machines(SITE)) > 1)
    standing = since(before, mark, SITE)
    more = {"MaxSize": 3, "DesiredCapacity": 3}  # `down` comes while machines are being made
    doomed.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="web", **more)

    killed = kill_every_daemon(SITE) if killed_first else []
    subprocess.run([RMU, "twin", "down", "--name", SITE.name, "--port-base", str(SITE.port_base)], check=True)

    # Links of the namespace go with it; a veth that lost its other end would stand here, in ours.
    assert {kind for kind, things in standing.items() if things} >= set(standing) - {"links"}, standing
    if killed_first:
        assert {"alb-web", "dns", "door", "front", "gate", "imds", "keepers", "registry"} <= set(killed)
        assert len([name for name in killed if name.startswith("machine-")]) > 1, killed
    assert left_after(before, mark, SITE) == {kind: set() for kind in standing}


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
