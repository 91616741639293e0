"""A real host: born by the user data, flipped under load, rebooted, starved of memory. The app is the smallest one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops import render
from ratemyunit_ops.twin.site import Site
from tests.twin.host_ground import DATABASE, MIB, READY, SECRETS, HostGround

pytestmark = pytest.mark.twin

CLIENT = Path(__file__).parents[1] / "clients" / "keepalive.py"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostGround]:
    ground = HostGround(Site(name="test-host", port_base=4860), tmp_path_factory.mktemp("host"))
    try:
        ground.raise_up()
        ground.publish("v1", "v2", "v3")
        ground.born()
        yield ground
    finally:
        ground.lower()


class Load:
    """The keep-alive client, running beside a test."""

    def __init__(self, host: HostGround, result: Path, connections: int = 30) -> None:
        argv = [sys.executable, str(CLIENT), f"http://{host.address}:8080/version", "--seconds", "120"]
        argv += ["--connections", str(connections), "--json", str(result)]
        self.result, self.process = result, subprocess.Popen(host.inside(*argv))
        time.sleep(3)

    def end(self) -> dict[str, Any]:
        self.process.terminate()
        assert self.process.wait(20) == 0
        told: dict[str, Any] = json.loads(self.result.read_text())
        return told


def both(host: HostGround) -> None:
    """Have v1 serve and v2 stand ready beside it."""
    for version in ("v1", "v2"):
        for answer in (host.prepare(version), host.start(version)):
            assert answer["outcome"] in ("changed", "already"), answer
        if version == "v1":
            assert host.serve("v1")["outcome"] in ("changed", "already")


def test_a_host_before_its_first_release_is_healthy_and_answers_503(host: HostGround) -> None:
    health = host.shell("curl -s -o /dev/null -w '%{http_code}' localhost:8080/rmu-health")
    answer = host.shell("curl -s -o /dev/null -w '%{http_code}' localhost:8080/version")

    assert (health, answer) == ("200", "503")


def test_user_data_says_that_the_kernel_refused_swap_and_went_on(host: HostGround) -> None:
    log = host.shell("cat /var/log/rmu/user-data.log")

    assert "this kernel refuses a swap file; going on without" in log
    assert log.strip().endswith("done")


def test_a_host_says_how_it_is_within_a_moment_whoever_holds_its_lock(host: HostGround) -> None:
    both(host)

    said = json.loads(
        host.shell("flock /var/lib/rmu/lock systemctl start rmu-vitals.service; cat /run/rmu/vitals.json")
    )

    body = said["vitals"]
    assert (body["units"]["haproxy"], body["redis"]) == ("active", True)
    assert {"v1", "v2"} <= set(body["releases"].values())
    assert 0 < body["memory_available"] < body["memory_total"]
    assert set(said) == {"at", "probe", "queue", "vitals"}


def test_user_data_run_again_changes_nothing_that_serves(host: HostGround) -> None:
    both(host)

    # It speaks through a tee, whose last lines may follow the word of whoever comes after it.
    said = host.shell("/var/lib/cloud/instance/scripts/part-001; echo code $?", timeout=120)

    assert "code 0" in said.splitlines()
    assert host.served() == "v1"


def test_f09_f14_no_request_is_lost_through_flips_of_a_client_that_never_retries(
    host: HostGround, tmp_path: Path
) -> None:
    both(host)
    load = Load(host, tmp_path / "load.json")

    for _ in range(5):
        for version in ("v2", "v1"):
            assert host.serve(version)["outcome"] == "changed"
            time.sleep(0.5)

    seen = load.end()
    assert seen["failed"] == 0, seen
    assert set(seen["releases"]) == {"v1", "v2"}


def test_the_same_client_counts_drops_when_a_release_is_stopped_and_then_started(
    host: HostGround, tmp_path: Path
) -> None:
    both(host)
    load = Load(host, tmp_path / "load.json")

    unit = host.unit("v1")
    host.shell(f"systemctl stop {unit}; sleep 1; systemctl start {unit}; sleep 3")

    assert load.end()["failed"] > 0


def test_f05_a_reload_of_the_proxy_keeps_the_flip_and_loses_no_request(host: HostGround, tmp_path: Path) -> None:
    both(host)
    assert host.serve("v2", backup="v1")["outcome"] == "changed"
    load = Load(host, tmp_path / "load.json")

    host.shell("systemctl reload haproxy; sleep 3; systemctl reload haproxy; sleep 3")

    assert load.end()["failed"] == 0
    seen = host.ask("survey")
    assert (host.served(), seen["backup_on"]) == ("v2", True)
    assert host.serve("v1")["outcome"] == "changed"


def test_a_release_that_dies_in_the_bake_is_replaced_by_the_one_behind_it(host: HostGround) -> None:
    both(host)
    host.serve("v2", backup="v1")

    host.shell(f"systemctl stop {host.unit('v2')}; sleep 3")

    assert host.served() == "v1"
    assert host.ask("survey")["fell_back"] is True
    assert host.shell("curl -s -o /dev/null -w '%{http_code}' localhost:8080/rmu-health") == "200"
    host.serve("v1")


def test_f39_health_is_about_what_serves_not_about_the_database(host: HostGround) -> None:
    both(host)
    health = "curl -s -o /dev/null -w '%{http_code}' localhost:8080/rmu-health"

    up = host.shell(health)
    unit = host.unit("v1")
    down = host.shell(f"systemctl stop {unit}; sleep 3; {health}; systemctl start {unit}; sleep 3")

    assert (up, down) == ("200", "503")


@pytest.mark.parametrize("role", ["slot", "worker"])
def test_containers_cannot_reach_the_credentials_of_the_host(host: HostGround, role: str) -> None:
    host.deploy("v1")
    name = host.unit("v1") if role == "slot" else "rmu-worker"
    ask = (
        "import socket; s = socket.socket(); s.settimeout(3);"
        "print('reached' if s.connect_ex(('169.254.169.254', 80)) == 0 else 'cut')"
    )

    from_container = host.shell(f'podman exec {name} /usr/bin/python3.13 -c "{ask}"')
    from_host = host.shell(f'python3 -c "{ask}"')

    assert (from_container.strip(), from_host.strip()) == ("cut", "reached")


def test_credentials_are_private_to_root_and_go_with_the_slot(host: HostGround) -> None:
    host.deploy("v1")
    host.prepare("v2")
    host.start("v2")

    place = f"/run/rmu/{host.unit('v2').removeprefix('rmu-')}.env"
    mode = host.shell(f"stat -c '%a %U' {place}")
    host.ask("stop", release=host.ref("v2"))

    assert mode.strip() == "600 root"
    assert "No such file" in host.shell(f"cat {place}")


def test_no_secret_is_on_the_disk_while_slots_run_or_after_they_were_stopped(host: HostGround) -> None:
    values = "|".join(f"pw[-]{name.replace('/', '-')}" for name in SECRETS)  # the search does not find its own words
    find = f"grep -rlaE -D skip '{values}' %s 2> /dev/null | sort"
    disk = find % "/etc /home /opt /root /srv /usr/local /var"
    host.deploy("v1")
    host.prepare("v2")
    host.start("v2")

    looked = host.ask("migrate", release=host.ref("v2"), look="pending")
    running, in_memory = host.shell(disk, timeout=120), host.shell(find % "/run", timeout=120)
    host.shell(f"systemctl kill -s KILL {host.unit('v2')}; sleep 4")
    host.ask("stop", release=host.ref("v2"))
    stopped = host.shell(disk, timeout=120)

    assert looked["outcome"] == "ok"
    assert {"/run/rmu/blue.env", "/run/rmu/green.env"} <= set(in_memory.split()), "the search finds nothing at all"
    assert (running, stopped) == ("", "")


@pytest.mark.long
def test_f33_a_migration_tries_the_old_release_in_containers_that_leave_nothing(host: HostGround) -> None:
    host.deploy("v2")
    host.deploy("v1", CHECK_FAILS="1")

    ran = host.ask("migrate", release=host.ref("v2"), old=host.ref("v1"))
    pending = host.ask("migrate", release=host.ref("v2"), look="pending")
    checked = host.ask("migrate", release=host.ref("v2"), look="check")
    copy = {**DATABASE, "identifier": "copy"}
    guest = host.ask("migrate", release=host.ref("v3"), guest=host.release("v3"), database=copy, old=host.ref("v1"))

    assert (ran["outcome"], ran["head"], ran["old_works"]["failed"]) == ("already", "0001", "a setting")
    assert (pending["current"], pending["tip"], checked["works"]["ok"]) == ("0001", "0001", True)
    assert (guest["new_works"]["ok"], guest["old_works"]["ok"]) == (True, False)
    assert "rmu-migrate" not in host.shell("podman ps --all") and "rmu-check" not in host.shell("podman ps --all")
    assert host.shell("ls /run/rmu/*migrate* /run/rmu/*check* 2>/dev/null") == ""
    assert host.served() == "v1"
    host.deploy("v2")  # v1 serves with a setting of this test: no other one could deploy it anew


def test_f15_a_release_that_never_gets_ready_moves_nothing(host: HostGround) -> None:
    host.deploy("v1")
    host.prepare("v3", NEVER_READY="1")

    answer = host.start("v3", deadline_s=5)

    assert (answer["outcome"], answer["why"]) == ("failed", "not_ready")
    assert "database: not yet" in answer["probes"][-1]["said"]
    assert any('"event": "started"' in line for line in answer["log"])
    assert host.served() == "v1"
    host.ask("stop", release=host.ref("v3"))


def test_f16_an_image_without_a_shell_or_curl_is_probed_from_the_host(host: HostGround) -> None:
    host.deploy("v1")

    tools = host.shell(f"podman exec {host.unit('v1')} /bin/sh -c true; podman exec {host.unit('v1')} curl -V")

    assert tools.count("not found") + tools.count("No such file") >= 2
    assert host.ask("ready", release=host.ref("v1"), ready=READY)["outcome"] == "ok"


def test_f23_the_units_call_the_program_of_the_last_caller(host: HostGround) -> None:
    host.prepare("v1")

    installed = host.shell("sha256sum /usr/local/lib/rmu/rmu_host.pyz").split()[0]

    assert installed == hashlib.sha256(render.host_program()).hexdigest()


def test_f31_out_of_memory_kills_the_newcomer_and_not_what_serves(host: HostGround, tmp_path: Path) -> None:
    host.deploy("v1")
    load = Load(host, tmp_path / "load.json")
    restarts = "systemctl show -p NRestarts --value "
    before = host.shell(restarts + host.unit("v1"))

    host.prepare("v3", EAT_MIB="1200")
    assert host.start("v3")["outcome"] == "changed"
    time.sleep(20)

    newcomer = host.shell(restarts + host.unit("v3"))
    host.ask("stop", release=host.ref("v3"))
    assert int(newcomer) > 0
    assert host.shell(restarts + host.unit("v1")) == before
    seen = load.end()
    # A machine without a free page may keep a client waiting for too long; it must not lose what serves.
    assert seen["failed"] < seen["sent"] * 0.05, seen


def test_a_slot_that_restarts_by_itself_while_it_serves_is_spared_again(host: HostGround) -> None:
    host.deploy("v1")
    host.prepare("v2")
    host.start("v2")
    score = "cat /proc/$(podman inspect -f '{{.State.Pid}}' %s)/oom_score_adj"
    serving, newcomer = host.unit("v1"), host.unit("v2")

    pid = f"$(systemctl show -p MainPID --value {serving})"
    host.shell(
        f"old={pid}; systemctl kill -s KILL {serving}; "
        f"until systemctl is-active -q {serving} && [ {pid} != $old ]; do sleep 0.2; done"
    )

    assert int(host.shell(score % serving)) < int(host.shell(score % newcomer))
    host.ask("stop", release=host.ref("v2"))


def test_both_slots_the_proxy_redis_and_agents_fit_into_one_gib(host: HostGround) -> None:
    host.deploy("v1")
    host.prepare("v2")
    host.start("v2")

    assert host.machine.memory() < 700 * MIB
    host.ask("stop", release=host.ref("v2"))


def test_the_drop_probe_passes_a_clean_flip_and_fails_a_broken_one(host: HostGround) -> None:
    host.deploy("v1")
    for version in ("v2", "v3"):
        host.prepare(version)
        host.start(version)
        if version == "v2":
            flipped = host.serve("v2", probe={"url": "http://localhost:8080", "seconds": 4})
            clean = host.ask("probe", wait_s=10)
    assert host.serve("v3", probe={"url": "http://localhost:8080", "seconds": 6})["outcome"] == "changed"
    host.shell(f"systemctl kill -s KILL {host.unit('v3')}; sleep 1")
    broken = host.ask("probe", wait_s=10)

    assert (flipped["outcome"], clean["verdict"], clean["failed"]) == ("changed", "pass", 0)
    assert flipped["seconds"] < 4  # the probe goes on without holding its request's pipes (F23)
    assert clean["sent"] > 50
    assert broken["verdict"] == "fail"


def test_a_front_door_that_does_not_answer_is_inconclusive_and_holds_up_no_flip(host: HostGround) -> None:
    both(host)

    flipped = host.serve("v2", probe={"url": "http://10.77.99.99:1", "seconds": 1})
    seen = host.ask("probe", wait_s=20)

    assert flipped["outcome"] == "changed"
    assert seen["verdict"] == "inconclusive"


RESTORED = {**DATABASE, "identifier": "rmu-twin-db-2"}


def on(host: HostGround, version: str, database: dict[str, Any]) -> dict[str, Any]:
    """Name a release on a database."""
    return {**(host.ref(version) or {}), "database": database["identifier"]}


def stand_beside(host: HostGround, version: str, database: dict[str, Any]) -> None:
    """Have a release that serves stand ready once more, on another database."""
    for answer in (
        host.ask("prepare", release=host.release(version), database=database),
        host.ask("start", release=on(host, version, database), ready=READY),
    ):
        assert answer["outcome"] in ("changed", "already"), answer


def test_requests_wait_while_the_database_beneath_a_release_is_exchanged(host: HostGround, tmp_path: Path) -> None:
    host.deploy("v1")
    old = host.unit("v1")
    stand_beside(host, "v1", RESTORED)
    load = Load(host, tmp_path / "load.json")

    held = host.ask("hold", on=True, at_most_s=20)
    health = host.shell("curl -s -m 1 -o /dev/null -w '%{http_code}' localhost:8080/rmu-health")
    host.shell(f"systemctl stop {old}; sleep 2")
    flipped = host.ask("serve", release=on(host, "v1", RESTORED), backup=None, probe=None, let_go=True)
    time.sleep(1)

    seen = load.end()
    assert (held["outcome"], flipped["outcome"], flipped["let_go"]) == ("changed", "changed", "changed")
    assert (seen["failed"], health) == (0, "200"), seen
    assert seen["max_ms"] > 2000, "nobody waited"
    slots = host.ask("survey")["slots"].values()
    assert {s["database"]: s["state"] for s in slots if s["state"] == "serving"} == {"rmu-twin-db-2": "serving"}


@pytest.mark.long
def test_a_host_whose_proxy_is_older_learns_to_hold_before_its_database_is_exchanged(
    host: HostGround, tmp_path: Path
) -> None:
    host.deploy("v1")
    host.shell("sed -i '/hold/d; /held/d; /Rmu-Slot/d' /etc/haproxy/haproxy.cfg; rm -f /etc/haproxy/hold.lua")
    host.shell("systemctl restart haproxy; sleep 2")
    before = host.ask("hold", on=True, at_most_s=5)
    load = Load(host, tmp_path / "load.json")
    now = next(s["database"] for s in host.ask("survey")["slots"].values() if s["state"] == "serving")

    stand_beside(host, "v1", DATABASE if now == RESTORED["identifier"] else RESTORED)
    after = host.ask("hold", on=True, at_most_s=5)
    host.ask("hold", on=False)

    assert before["why"] == "no_hold"
    assert (after["outcome"], load.end()["failed"]) == ("changed", 0)


DATABASE_SERVER = """
set -e
cd /tmp; rm -rf pg; mkdir pg; cd pg
openssl req -quiet -new -x509 -nodes -days 2 -subj /CN=db.example -addext subjectAltName=DNS:db.example \\
    -keyout key.pem -out cert.pem 2> log
chmod 600 key.pem; chown -R postgres .
as() { runuser -u postgres -- "$@"; }
bin=/usr/lib/postgresql/17/bin
as $bin/initdb -D /tmp/pg/data --auth-local=trust --auth-host=scram-sha-256 > /dev/null
systemd-run --quiet --collect --unit=test-database -p User=postgres $bin/postgres -D /tmp/pg/data -p 5499 \\
    -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp/pg \\
    -c ssl=on -c ssl_cert_file=/tmp/pg/cert.pem -c ssl_key_file=/tmp/pg/key.pem
until as $bin/pg_isready -q -h /tmp/pg -p 5499; do sleep 0.1; done
as psql -q -h /tmp/pg -p 5499 postgres <<'SQL'
-- As RDS makes its master: no superuser, and two roles to give away.
create role rmu_master login createrole createdb password 'pw-db-master_password';
grant pg_signal_backend, pg_monitor to rmu_master with admin option;
create database ratemyunit owner rmu_master;
SQL
grep -q db.example /etc/hosts || echo '127.0.0.1 db.example' >> /etc/hosts
cp /etc/rmu/rds-ca.pem /tmp/pg/ca.kept; cp cert.pem /etc/rmu/rds-ca.pem
"""
END_OF_DATABASE = """
cp /tmp/pg/ca.kept /etc/rmu/rds-ca.pem
systemctl stop test-database
"""


def as_role(host: HostGround, role: str, sql: str) -> str:
    """Run SQL as a role with its password of today."""
    url = f"postgresql://rmu_{role}:pw-db-{role}_password@db.example:5499/ratemyunit"
    return host.shell(f"psql -tA '{url}?sslmode=verify-full&sslrootcert=/etc/rmu/rds-ca.pem' -c \"{sql}\"").strip()


def test_the_databases_roles_are_made_by_a_master_that_is_no_superuser(host: HostGround) -> None:
    database = {"identifier": "x", "address": "db.example", "port": 5499}
    assert host.shell(DATABASE_SERVER) == ""
    try:
        before = host.ask("roles", database=database, look=True)
        made, again = host.ask("roles", database=database), host.ask("roles", database=database)
        after = host.ask("roles", database=database, look=True)
        as_role(host, "migrate", "create table units (id bigserial primary key, name text)")
        inserted = as_role(host, "app", "insert into units (name) values ('a') returning id")
        forbidden = as_role(host, "app", "create table x (id int)")
        fenced = as_role(host, "ops", "alter role rmu_app nologin")
        locked_out = as_role(host, "app", "select 1")
    finally:
        host.shell(END_OF_DATABASE)

    assert (before["there"], made, after["there"]) == (False, {**made, "outcome": "changed"}, True)
    assert again["outcome"] == "already"
    assert inserted.splitlines()[0] == "1"
    assert "permission denied" in forbidden
    assert fenced == "ALTER ROLE"
    assert "not permitted to log in" in locked_out


def test_f26_a_request_cut_off_from_its_caller_runs_to_its_own_end(host: HostGround) -> None:
    both(host)
    host.serve("v1")

    host.shell("systemctl stop amazon-ssm-agent")
    answer = host.serve("v2")

    assert answer["outcome"] == "changed"
    assert host.served() == "v2"
    host.shell("systemctl start amazon-ssm-agent")


def test_f05_a_reboot_comes_back_serving_what_it_served(host: HostGround) -> None:
    both(host)
    host.serve("v2", backup="v1")
    host.point("v1")  # the pointer is not asked by a host that knows itself

    host.machine.reboot()
    time.sleep(2)
    host.machine.wait_up(90)

    seen = host.ask("survey")
    assert host.served() == "v2"
    assert seen["backup_on"] is True
    assert {s["release"]: s["state"] for s in seen["slots"].values()} == {"v1": "warm", "v2": "serving"}


def test_f29_a_new_host_comes_up_serving_the_live_release_by_itself(host: HostGround) -> None:
    host.point("v2")
    host.machine.destroy()

    host.born(name="i-0000000000000new")

    assert host.served() == "v2"
    assert host.ask("survey")["worker"] == {"release": "v2", "state": "running"}
