"""The twin's ground with real machines: they boot, run user data once, hold containers, break, and leave nothing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin import daemons, dns, door, imds
from ratemyunit_ops.twin.base import ensure_base
from ratemyunit_ops.twin.cgroups import Cgroup
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.ground import missing, raise_ground
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site
from tests.twin.footprint import footprint, kill_every_daemon, left_after, marked

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(missing()),
        reason=f"needs root and {', '.join(missing()) or 'nothing else'}: that the ground stands is unproven",
    ),
]

SITE = Site(name="t-ground", port_base=14880)
ADDRESS = "10.77.9.5"
ID = "i-0000000000ground1"
USER_DATA = b"#!/bin/sh\necho ran >> /root/user-data-runs\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    lower_ground(SITE)
    raise_ground(SITE)
    yield SITE
    lower_ground(SITE)
    assert leavings(SITE) == []


@pytest.fixture(scope="module")
def gate(site: Site) -> Path:
    """A gate that only knows the agent; answers the directory where commands are dropped and updates are read."""
    directory = site.state_dir / "fake-gate"
    (directory / "commands").mkdir(parents=True)
    script = str(Path(__file__).parent / "fake_gate.py")
    daemons.start(site, "gate", [sys.executable, script, site.inner, str(site.gate_port), str(directory)])
    return directory


@pytest.fixture(scope="module")
def host(site: Site, gate: Path) -> Machine:
    machine = boot(site, ID, ADDRESS)
    said = sh(machine, AGENT_INSTALL)
    assert said.returncode == 0, said.stderr
    return machine


STOPS_AND_BOOTS_S = 150
"""systemd gives a unit 90 s to stop."""
AGENT_INSTALL = """
set -e
curl -fsS -o /tmp/agent.deb \
    https://s3.us-east-1.amazonaws.com/amazon-ssm-us-east-1/latest/debian_amd64/amazon-ssm-agent.deb
dpkg -i /tmp/agent.deb
"""


def boot(site: Site, name: str, address: str) -> Machine:
    role = imds.Role("rmu-host", "ASIAEXAMPLE", "secret", "token", "2099-01-01T00:00:00Z")
    imds.describe(site, address, imds.Facts(name, address, user_data=USER_DATA, tags={"rmu:env": "twin"}, role=role))
    machine = Machine(site, name)
    machine.start(address, memory_bytes=1 << 30)
    print(f"{name} booted in {machine.wait_up():.1f} s with {machine.memory() >> 20} MiB in use")
    return machine


def sh(machine: Machine, script: str, timeout: float = 60) -> "subprocess.CompletedProcess[bytes]":
    return machine.run(["sh", "-c", script], timeout=timeout)


def out(machine: Machine, script: str) -> str:
    return sh(machine, script).stdout.decode().strip()


def wait_for(question: Callable[[], Any], deadline: float = 30) -> Any:
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        if answer := question():
            return answer
        time.sleep(0.1)
    pytest.fail(f"not true within {deadline:.0f} s: {question}")


def leavings(site: Site) -> list[str]:
    """Everything in the world that carries the site's name: processes, mounts, namespaces, cgroups, loops, files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().replace("\0", " ") + (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        dead = daemons.start_time(int(process.name)) is None  # and waits for PID 1 to take notice
        if not dead and int(process.name) != os.getpid() and (f"/{site.name}/" in words or f"/{site.cgroup}/" in words):
            found.append(f"process {process.name} {words[:100]}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line}" for line in mounts if f"/{site.name}/" in line or line.split()[4].endswith(site.cgroup)]
    for top in ("/sys/fs/cgroup", "/run/netns", "/run/systemd/nspawn", "/var/lib/rmu-twin"):
        found += [f"path {path}" for path in walk(Path(top)) if site.cgroup in path.parts or site.name in path.parts]
        found += [f"path {path}" for path in walk(Path(top)) if path.name.startswith(f"{site.name}.")]
    loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout
    found += [f"loop {line}" for line in loops.splitlines() if f"/{site.name}/" in line]
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout)
    found += [f"link {link['ifname']}" for link in links if link["ifname"].startswith(f"vb-{site.name}"[:11])]
    return found


def walk(top: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(top):
        yield from (Path(directory) / name for name in (*names, *files))


def test_user_data_runs_on_the_first_boot_and_not_after_a_reboot(host: Machine) -> None:
    before = boot_stamp(host)

    host.reboot()
    wait_for(lambda: boot_stamp(host) not in ("", before), STOPS_AND_BOOTS_S)
    host.wait_up()

    assert out(host, "cat /root/user-data-runs") == "ran"
    assert out(host, "systemctl is-active amazon-ssm-agent") == "active"


def boot_stamp(machine: Machine) -> str:
    """When its systemd started; the kernel's boot id is the outer machine's and never changes."""
    try:
        return out(machine, "systemctl show -P UserspaceTimestampMonotonic")
    except (Refused, subprocess.TimeoutExpired):
        return ""


def test_nothing_in_a_fresh_machine_has_failed(host: Machine) -> None:
    assert out(host, "systemctl --failed --no-legend") == ""
    assert out(host, "hostname") == "ip-10-77-9-5"


def test_a_machine_sees_its_own_memory_and_disk(host: Machine) -> None:
    assert out(host, "free -b | awk '/^Mem:/{print $2}'") == str(1 << 30)
    assert int(out(host, "df --output=size -B1 / | tail -1")) < 8 << 30


def test_metadata_wants_a_token_and_knows_its_caller(host: Machine) -> None:
    bare = out(host, "curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/instance-id")
    token = "$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)"
    ask = f'curl -s -H "X-aws-ec2-metadata-token: {token}" http://169.254.169.254/latest'

    assert bare == "401"
    assert out(host, f"{ask}/meta-data/instance-id") == ID
    assert out(host, f"{ask}/meta-data/tags/instance/rmu:env") == "twin"
    assert json.loads(out(host, f"{ask}/dynamic/instance-identity/document"))["region"] == "us-east-1"
    assert out(host, "python3 -c 'import boto3; print(boto3.Session().get_credentials().access_key)'") == "ASIAEXAMPLE"


def test_metadata_does_not_reach_one_hop_further(host: Machine) -> None:
    """As a container behind a bridge of its own would ask: through a namespace that the machine forwards for."""
    lead = """
        ip netns add far; ip link add near type veth peer name eth0 netns far
        ip address add 192.168.77.1/24 dev near; ip link set near up
        ip -n far address add 192.168.77.2/24 dev eth0; ip -n far link set eth0 up
        ip -n far route add default via 192.168.77.1
        sysctl -qw net.ipv4.ip_forward=1
        nft 'table ip far { chain out { type nat hook postrouting priority 100; oifname "host0" masquerade; }; }'
        ip netns exec far curl -s -o /dev/null -w '%{http_code} ' -m 3 http://169.254.169.251:5000/far
        ip netns exec far curl -s -o /dev/null -w '%{http_code}' -m 3 -X PUT \
            -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token
    """
    # The gate answers from there, so the way is open; the metadata service's answer dies on it.
    assert out(host, lead) == "200 000"
    sh(host, "ip netns del far; nft delete table ip far")


def test_aws_names_are_answered_under_a_trusted_certificate(host: Machine, gate: Path) -> None:
    bundle = out(host, "curl -fsS https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem")
    assert bundle.startswith("-----BEGIN CERTIFICATE-----")

    for name in ("sts.us-east-1", "iam", "bucket.s3.us-east-1", "api.ecr.us-east-1"):
        assert sh(host, f"curl -fsS https://{name}.amazonaws.com/seen").returncode == 0

    seen = [line.get("host") for line in told(gate) if line.get("path") == "/seen"]
    assert seen == [f"{n}.amazonaws.com" for n in ("sts.us-east-1", "iam", "bucket.s3.us-east-1", "api.ecr.us-east-1")]


def test_a_name_set_by_a_keeper_wins_and_can_be_dropped(site: Site, host: Machine) -> None:
    name = "rmu-db-1.abc.us-east-1.rds.amazonaws.com"
    look = f"getent ahostsv4 {name} | awk '{{print $1; exit}}'"

    dns.set_name(site, name, "10.77.9.77")
    wait_for(lambda: out(host, look) == "10.77.9.77")
    dns.set_name(site, name, "10.77.9.78")
    wait_for(lambda: out(host, look) == "10.77.9.78")
    dns.drop_name(site, name)
    wait_for(lambda: out(host, look) == site.front)


def told(gate: Path) -> list[dict[str, Any]]:
    file = gate / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def hand_out(gate: Path, command_id: str, **rest: Any) -> None:
    new = gate / command_id
    new.write_text(json.dumps({"command_id": command_id, "plugin": "run", "instance": ID, **rest}))
    new.rename(gate / "commands" / f"{command_id}.json")


def end_of(gate: Path, command_id: str) -> dict[str, Any]:
    ends = [t for t in told(gate) if t.get("command_id") == command_id and t["status"] != "InProgress"]
    return ends[0] if ends else {}


def test_the_ssm_agent_runs_a_script_and_tells_its_exit_code(host: Machine, gate: Path) -> None:
    hand_out(gate, "c-1", script="echo $WORD; echo bad >&2; exit 7", env={"WORD": "hello"}, execution_timeout_s=30)

    end = wait_for(lambda: end_of(gate, "c-1"))

    assert (end["status"], end["exit_code"], end["stdout"], end["stderr"]) == ("Failed", 7, "hello\n", "bad\n")
    assert [t["status"] for t in told(gate) if t.get("command_id") == "c-1"] == ["InProgress", "Failed"]


def test_a_script_outlives_a_restart_of_the_agent_and_is_reported(host: Machine, gate: Path) -> None:
    hand_out(gate, "c-2", script="sleep 3; echo survived", execution_timeout_s=30)
    wait_for(lambda: any(t.get("command_id") == "c-2" for t in told(gate)))

    sh(host, "systemctl restart amazon-ssm-agent")

    end = wait_for(lambda: end_of(gate, "c-2"))
    assert (end["status"], end["stdout"]) == ("Success", "survived\n")


def test_a_script_ends_at_its_timeout_or_when_cancelled(host: Machine, gate: Path) -> None:
    hand_out(gate, "c-3", script="sleep 60", execution_timeout_s=1)
    assert wait_for(lambda: end_of(gate, "c-3"))["status"] == "TimedOut"

    hand_out(gate, "c-4", script="sleep 60", execution_timeout_s=30)
    wait_for(lambda: any(t.get("command_id") == "c-4" for t in told(gate)))
    time.sleep(0.5)
    (gate / "commands" / "cancel.json").write_text(json.dumps({"cancel": "c-4"}))
    assert wait_for(lambda: end_of(gate, "c-4"))["status"] == "Cancelled"


def test_a_container_that_takes_too_much_dies_and_its_neighbour_lives(host: Machine) -> None:
    made = sh(host, "tar -C / -c bin sbin lib lib64 usr/bin usr/lib64 usr/lib/x86_64-linux-gnu usr/lib/python3.13 "
              "usr/lib/python3 etc | podman import - localhost/base", timeout=300)  # fmt: skip
    assert made.returncode == 0, made.stderr
    quadlet = (
        "[Container]\\nImage=localhost/base\\nNetwork=host\\nExec=sleep 1000\\n[Install]\\nWantedBy=default.target\\n"
    )
    sh(host, f"printf '{quadlet}' > /etc/containers/systemd/neighbour.container; systemctl daemon-reload")
    assert sh(host, "systemctl start neighbour").returncode == 0

    eater = sh(host, "podman run --rm --network=host localhost/base python3 -c 'b=bytearray(2<<30)'", timeout=120)

    assert eater.returncode == 137, eater.stderr
    assert out(host, "systemctl is-active neighbour") == "active"


def test_a_full_disk_is_full_for_one_machine_only(host: Machine) -> None:
    full = sh(host, "fallocate -l 9G /root/big; rc=$?; rm -f /root/big; exit $rc")

    assert full.returncode != 0
    assert b"No space left" in full.stderr
    assert shutil.disk_usage("/").free > 1 << 30


def test_a_frozen_machine_answers_nobody_until_it_is_thawed(host: Machine) -> None:
    host.freeze()
    with pytest.raises(subprocess.TimeoutExpired):
        host.run(["true"], timeout=1)

    host.thaw()

    assert host.run(["true"]).returncode == 0


def test_a_killed_machine_leaves_no_process_and_keeps_its_disk(site: Site, host: Machine) -> None:
    sh(host, "echo kept > /root/kept; sync")

    host.kill()

    assert not host.running()
    assert [line for line in leavings(site) if line.startswith("process") and f"machine-{ID}" in line] == []
    host.start(ADDRESS, memory_bytes=1 << 30)
    host.wait_up()
    assert out(host, "cat /root/kept /root/user-data-runs") == "kept\nran"


def test_a_machine_that_is_stopped_ends_its_services_in_order(host: Machine) -> None:
    polite = "systemd-run --unit=polite -p ExecStop='touch /root/ended-in-order' sleep 1000"
    assert sh(host, polite).returncode == 0

    host.stop()

    assert not host.running()
    host.start(ADDRESS, memory_bytes=1 << 30)
    host.wait_up()
    assert sh(host, "test -e /root/ended-in-order").returncode == 0


def test_swap_is_refused_since_it_would_be_the_outer_machine_s(host: Machine) -> None:
    made = sh(host, "fallocate -l 16M /swap && chmod 600 /swap && mkswap /swap")

    assert made.returncode == 0, made.stderr
    assert sh(host, "swapon /swap").returncode != 0


def test_a_copy_of_a_disk_boots_as_a_new_instance_and_runs_user_data_again(site: Site, host: Machine) -> None:
    image = site.state_dir / "image.img"
    host.image(image)
    imds.describe(site, "10.77.9.6", imds.Facts("i-0000000000ground2", "10.77.9.6", user_data=USER_DATA))
    copy = Machine(site, "i-0000000000ground2")

    copy.start("10.77.9.6", memory_bytes=1 << 30, image=image)
    copy.wait_up()

    assert out(copy, "cat /root/user-data-runs") == "ran\nran"
    copy.destroy()
    image.unlink()


def test_the_door_moves_a_port_without_breaking_an_open_connection(site: Site, gate: Path) -> None:
    port = site.port_base + 7
    door.publish(site, port, f"{site.inner}:{site.gate_port}", tcp=True)
    kept = socket.create_connection(("127.0.0.1", port), timeout=5)

    door.publish(site, site.port_base + 8, f"{site.inner}:{site.gate_port}")

    kept.sendall(b"GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
    assert kept.recv(100).startswith(b"HTTP/1.0 200")
    with urllib.request.urlopen(f"{site.endpoint}/through", timeout=5) as answer:
        assert answer.status == 200
    door.withdraw(site, port)
    wait_for(lambda: refused(port))
    door.withdraw(site, site.port_base + 8)


def refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_that_someone_else_holds_is_refused_by_name(site: Site) -> None:
    port = site.port_base + 9

    with socket.create_server(("127.0.0.1", port)), pytest.raises(Refused, match=str(port)):
        door.publish(site, port, f"{site.inner}:1")

    assert port not in door.published(site)


def test_nothing_listens_off_loopback(site: Site, host: Machine) -> None:
    ours = Cgroup(site.cgroup).processes()
    listening = subprocess.run(["ss", "-Hltnup"], capture_output=True, text=True, check=True).stdout.splitlines()

    lines = [line.split() for line in listening if any(f"pid={number}," in line for number in ours)]
    assert lines, (ours, listening)
    assert all(line[4].startswith("127.0.0.1:") for line in lines), lines


def test_machines_that_come_and_go_do_not_change_who_the_bridge_is(site: Site, host: Machine) -> None:
    inside = ["ip", "-n", site.netns]
    lowest = ["name", "low0", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "low1"]

    subprocess.run([*inside, "link", "add", *lowest], check=True)
    subprocess.run([*inside, "link", "set", "low0", "master", site.bridge, "up"], check=True)
    told = subprocess.run([*inside, "-j", "link", "show", site.bridge], check=True, capture_output=True)
    subprocess.run([*inside, "link", "delete", "low0"], check=True)

    assert json.loads(told.stdout)[0]["address"] == imds.mac_address(site.router)


def test_raising_again_changes_nothing_and_mends_what_was_killed(site: Site) -> None:
    before = {name: daemons.pid(site, name) for name in ("imds", "dns", "front", "static", "door")}
    victim = before["dns"]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: daemons.pid(site, "dns") is None)

    raise_ground(site)

    after = {name: daemons.pid(site, name) for name in before}
    assert after["dns"] not in (None, victim)
    assert {k: v for k, v in after.items() if k != "dns"} == {k: v for k, v in before.items() if k != "dns"}


def test_two_twins_live_side_by_side_and_one_going_down_spares_the_other(site: Site, host: Machine) -> None:
    other = Site(name="t-ground-2", port_base=14980)
    lower_ground(other)
    try:
        raise_ground(other)
        twin = boot(other, ID, ADDRESS)  # the same name and address as its neighbour
        assert out(twin, "cat /root/user-data-runs") == "ran"
    finally:
        lower_ground(other)

    assert leavings(other) == []
    assert host.run(["true"]).returncode == 0


CLOUDWATCH = """
set -e
curl -fsS -o /tmp/cw.deb \
    https://amazoncloudwatch-agent-us-east-1.s3.us-east-1.amazonaws.com/debian/amd64/latest/amazon-cloudwatch-agent.deb
dpkg -i /tmp/cw.deb
echo '{"metrics": {"namespace": "Rmu", "append_dimensions": {"InstanceId": "${aws:InstanceId}"},
  "metrics_collected": {"mem": {"measurement": ["mem_used_percent"]}, "disk": {"resources": ["/"]}}}}' > /tmp/cw.json
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -c file:/tmp/cw.json -s
"""


def test_the_cloudwatch_agent_puts_memory_and_disk_as_its_configuration_says() -> None:
    watched = Site(name="t-watched", port_base=15180)
    lower_ground(watched)
    try:
        raise_ground(watched)
        server = ["gate.server", "--host", watched.inner, "--port", str(watched.gate_port)]
        daemons.start(watched, "gate", daemons.python(*server))
        machine = boot(watched, "i-0000000000watch01", "10.77.9.8")
        said = sh(machine, CLOUDWATCH)
        assert said.returncode == 0, said.stderr
        keys: dict[str, Any] = {
            "aws_access_key_id": "twin",
            "aws_secret_access_key": "twin",
            "region_name": "us-east-1",
        }
        cloudwatch = boto3.client("cloudwatch", endpoint_url=watched.endpoint, **keys)

        metrics = wait_for(lambda: cloudwatch.list_metrics(Namespace="Rmu")["Metrics"])

        found = {m["MetricName"]: {d["Name"]: d["Value"] for d in m["Dimensions"]} for m in metrics}
        assert found["mem_used_percent"] == {"InstanceId": "i-0000000000watch01"}
        assert found["disk_used_percent"] == {"InstanceId": "i-0000000000watch01", "path": "/"}
    finally:
        lower_ground(watched)


def test_down_leaves_nothing_even_after_everything_was_killed() -> None:
    doomed = Site(name="t-doomed", port_base=15080)
    lower_ground(doomed)
    mark = uuid.uuid4().hex
    before = footprint()
    marked(mark, raise_ground, doomed)
    machine = marked(mark, boot, doomed, "i-0000000000doomed1", "10.77.9.9")
    sh(machine, "systemd-run sleep 1000")
    caches = set(doomed.cache_dir.iterdir())

    killed = kill_every_daemon(doomed)
    lower_ground(doomed)

    assert killed == ["dns", "door", "front", "imds", "machine-i-0000000000doomed1", "meminfo", "static"]
    assert left_after(before, mark, doomed) == {kind: set() for kind in (*before, "processes")}
    assert leavings(doomed) == []
    assert set(doomed.cache_dir.iterdir()) == caches


def test_the_base_is_made_once(site: Site) -> None:
    said: list[str] = []

    assert ensure_base(site, said.append) == ensure_base(site, said.append)
    assert said == []
